//! jq filters that make one number of a JSON document. Where the document comes from is not known here.

use std::fmt;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use jaq_core::data::JustLut;
use jaq_core::load::{self, Arena, File, Loader};
use jaq_core::{Compiler, Ctx, Native, Vars};
use jaq_json::{Num, Val};

/// A filter that takes longer is given up.
const TIME_MAX: Duration = Duration::from_secs(5);

/// A value in an error is cut after so many characters.
const SHOWN_MAX: usize = 100;

/// A compiled filter.
#[derive(Clone)]
pub struct Jq {
    filter: Arc<jaq_core::compile::Filter<Native<JustLut<Val>>>>,
}

impl fmt::Debug for Jq {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Jq").finish_non_exhaustive()
    }
}

impl Jq {
    /// Compiles a filter. It knows neither files nor the environment.
    ///
    /// # Errors
    /// Line and column in the filter, and what is wrong there.
    pub fn new(code: &str) -> Result<Self, String> {
        let arena = Arena::default();
        let definitions = jaq_core::defs().chain(jaq_std::defs()).chain(jaq_json::defs());
        // `env` would give all of the environment away to whoever wrote the filter.
        let standard = jaq_std::funs().filter(|function| function.0 != "env");
        let functions = jaq_core::funs().chain(standard).chain(jaq_json::funs());
        let modules = Loader::new(definitions)
            .load(&arena, File { path: (), code })
            .map_err(|errors| misread(code, errors.into_iter().map(|(_, error)| error).collect()))?;
        let filter = Compiler::default().with_funs(functions).compile(modules).map_err(|errors| {
            let unknown = errors.into_iter().flat_map(|(file, errors)| {
                let there = file.code;
                errors.into_iter().map(move |(name, what)| {
                    format!("{}: there is no {} '{name}' here", place(there, name), what.as_str())
                })
            });
            unknown.collect::<Vec<_>>().join("; ")
        })?;
        Ok(Jq { filter: Arc::new(filter) })
    }

    /// The one finite number that the filter makes of a document; blocks for at most 5 s. A filter that does not end
    /// keeps its thread until the program ends.
    ///
    /// # Errors
    /// What the filter gave or did instead.
    pub fn number(&self, document: &[u8]) -> Result<f64, String> {
        let (filter, document) = (self.filter.clone(), document.to_vec());
        let (sender, receiver) = mpsc::sync_channel(1);
        let run = move || {
            // Nobody waits any more once the time is over.
            let _ = sender.send(run(&filter, &document));
        };
        thread::Builder::new()
            .name("jq".to_owned())
            .spawn(run)
            .map_err(|error| format!("no thread for jq ({error})"))?;
        match receiver.recv_timeout(TIME_MAX) {
            Ok(number) => number,
            Err(_) => Err(format!("the filter did not end within {} s", TIME_MAX.as_secs())),
        }
    }
}

fn run(filter: &jaq_core::compile::Filter<Native<JustLut<Val>>>, document: &[u8]) -> Result<f64, String> {
    // jaq's own reader goes as deep as the document does, and no thread's stack is that deep.
    serde_json::from_slice::<serde::de::IgnoredAny>(document)
        .map_err(|error| format!("what came is no JSON ({error})"))?;
    let document = jaq_json::read::parse_single(document).map_err(|error| format!("what came is no JSON ({error})"))?;
    let context = Ctx::<JustLut<Val>>::new(&filter.lut, Vars::new([]));
    // jaq's own helper for results would end the program on `halt`. Two values are enough to know that one is too many.
    let outputs = filter.id.run((context, document)).take(2);
    let outputs = outputs.map(|output| {
        output.map_err(|exception| match exception.get_err() {
            Ok(error) => cut(&error.to_string()),
            Err(_) => "the filter halts: let it give a number".to_owned(),
        })
    });
    let outputs = outputs.collect::<Result<Vec<_>, _>>()?;
    match outputs.as_slice() {
        [value] => number(value),
        [] => Err("the filter gave no value: let it give a number".to_owned()),
        _ => Err("the filter gave several values: let it give one number, with first(…) or add".to_owned()),
    }
}

fn number(value: &Val) -> Result<f64, String> {
    let number = match value {
        Val::Num(Num::Int(number)) => *number as f64,
        Val::Num(Num::Float(number)) => *number,
        // Large integers, and decimals as they were written.
        Val::Num(other) => other.to_string().parse().unwrap_or(f64::NAN),
        Val::Null => return Err("the filter gave null: the document has nothing at that path".to_owned()),
        other => {
            let mend = if other.to_string().starts_with('"') { ": add | tonumber" } else { "" };
            return Err(format!("the filter gave {}, not a number{mend}", cut(&other.to_string())));
        }
    };
    if number.is_finite() {
        return Ok(number);
    }
    Err(format!("the filter gave {number}, which is no finite number: there may have been no data"))
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(SHOWN_MAX) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

fn misread(code: &str, errors: Vec<load::Error<&str>>) -> String {
    let mut said = Vec::new();
    for error in errors {
        match error {
            load::Error::Io(list) => {
                said.extend(list.iter().map(|(path, _)| format!("{}: there are no modules here", place(code, path))));
            }
            load::Error::Lex(list) => {
                let expected = |wanted: &str, found: &str| format!("{}: expected {wanted}", place(code, found));
                said.extend(list.iter().map(|(wanted, found)| expected(wanted.as_str(), found)));
            }
            load::Error::Parse(list) => said.extend(list.iter().map(|(wanted, found)| {
                let shown = if found.is_empty() { "the end".to_owned() } else { format!("'{}'", cut(found)) };
                format!("{}: expected {}, found {shown}", place(code, found), wanted.as_str())
            })),
        }
    }
    said.join("; ")
}

/// Line and column of a part in its filter, counted from 1.
fn place(code: &str, part: &str) -> String {
    // Parts are slices of the filter; one of the library's own definitions is not.
    let offset = (part.as_ptr() as usize).wrapping_sub(code.as_ptr() as usize);
    match code.get(..offset) {
        Some(before) => {
            let line = before.matches('\n').count() + 1;
            let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
            format!("line {line}, column {column}")
        }
        None => "in the library".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(code: &str, document: &str) -> Result<f64, String> {
        Jq::new(code)?.number(document.as_bytes())
    }

    #[test]
    fn a_filter_makes_a_number() {
        let prometheus = r#"{"data": {"result": [{"value": [1700000000.1, "0.25"]}]}}"#;
        for code in [
            ".data.result[0].value[1] | tonumber",
            // As Iter8's own template for Istio writes it.
            ".data.result.[0].value.[1] | tonumber",
        ] {
            assert_eq!(of(code, prometheus), Ok(0.25), "{code}");
        }
        for (code, document, number) in [
            ("length", "[1, 2]", 2.0),
            (".", "123456789012345678901234567890", 123_456_789_012_345_678_901_234_567_890.0),
            (".", "1.5e3", 1500.0),
            ("[.[] | select(.up)] | map(.n) | add / length", r#"[{"up": true, "n": 3}, {"up": false, "n": 9}]"#, 3.0),
        ] {
            assert_eq!(of(code, document), Ok(number), "{code}");
        }
    }

    #[test]
    fn what_is_no_number_is_an_error() {
        for (code, document, expected) in [
            (".a", "{}", "gave null"),
            (".", "\"7\"", "gave \"7\", not a number: add | tonumber"),
            (".", "[1]", "gave [1], not a number"),
            ("empty", "1", "gave no value"),
            ("1, 2", "1", "gave several values"),
            ("repeat(1)", "1", "gave several values"),
            ("1 / 0", "1", ""),
            ("nan", "1", "no finite number"),
            ("infinite", "1", "no finite number"),
            ("tonumber", "\"NaN\"", ""),
            (".[0].x", "[1]", "cannot index"),
            ("error(\"why\")", "1", "why"),
            (".", "<html>", "no JSON"),
            (".", "1 2", "no JSON"),
            (".", &"[".repeat(1_000_000), "no JSON"),
        ] {
            let error = of(code, document).unwrap_err();
            assert!(error.contains(expected), "{code}: {error}");
        }
    }

    #[test]
    fn a_filter_reaches_nothing_and_ends_nothing() {
        for code in ["halt", "halt(3)", "halt_error", "1 | halt_error(2)"] {
            let error = of(code, "1").unwrap_err();
            assert!(error.contains("halts"), "{code}: {error}");
        }
        for code in ["env | length", "$ENV | length", "input", "inputs", "include \"x\"; 1", "import \"x\" as x; 1"] {
            assert!(Jq::new(code).is_err(), "{code}");
        }
    }

    #[test]
    fn mistakes_have_a_place() {
        for (code, expected) in [
            (".a\n| foo", "line 2, column 3: there is no filter 'foo' here"),
            (".a | ", "line 1, column 6: expected"),
            ("[1", "line 1, column"),
            ("$x", "line 1, column 1: there is no variable '$x' here"),
        ] {
            let error = Jq::new(code).unwrap_err();
            assert!(error.starts_with(expected), "{code}: {error}");
        }
    }
}
