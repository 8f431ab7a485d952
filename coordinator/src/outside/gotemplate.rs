//! Go's `text/template`, as far as Iter8's templates of providers and payloads need it: actions, `if`, `range`, `with`,
//! `define` and `template`, variables, pipelines, and a small set of functions. Strict where Go is lenient: a value
//! that is not there is an error, not `<no value>`. It knows neither files nor the environment.
//!
//! A key is found as it is written or, as Go's field names start with a capital and JSON's do not, whatever its case.

mod functions;
mod lex;
mod parse;
mod run;

use serde_json::Value;

/// The longest text that a template makes.
const OUTPUT_MAX: usize = 4 << 20;

/// Actions, texts and iterations of one rendering.
const STEPS_MAX: usize = 200_000;

/// How deep blocks, brackets and templates may stand in one another.
const DEPTH_MAX: usize = 50;

/// What is wrong at a byte of the template.
#[derive(Debug, PartialEq, Eq)]
struct Wrong {
    at: usize,
    what: String,
}

impl Wrong {
    fn new(at: usize, what: impl Into<String>) -> Self {
        Wrong { at, what: what.into() }
    }
}

/// Fills in a template with values, under `.` and `$`.
///
/// # Errors
/// `LINE:COLUMN: what is wrong there, and what to write instead`.
pub fn render(template: &str, values: &Value) -> Result<String, String> {
    let rendered =
        lex::pieces(template).and_then(parse::parse).and_then(|parsed| run::Run::new(&parsed).render(values));
    rendered.map_err(|wrong| {
        let before = template.get(..wrong.at).unwrap_or(template);
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        format!("{line}:{column}: {}", wrong.what)
    })
}

#[cfg(test)]
mod tests;
