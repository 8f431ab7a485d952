//! `loadgrid report`: a kept run, or a file of one, rendered again.

use std::path::Path;
use std::{fs, io};

use clap::{Args, ValueEnum};

use super::documents::Document;
use super::reach::ReachFlags;
use super::{Failure, Outcome, exit, output};
use crate::report::{self, Format};
use crate::store::Kind;

#[derive(Args)]
pub(super) struct Arguments {
    /// A kept run (an id or its beginning, latest, NAME@latest, NAME@baseline), a file that `-o json` wrote, or - for stdin.
    #[arg(value_name = "RUN", required_unless_present = "schema")]
    run: Option<String>,
    /// text, json, html, junit, markdown or hlog.
    #[arg(short, long, default_value = "text")]
    output: Format,
    /// Print the JSON Schema of what is kept instead.
    #[arg(long, value_name = "KIND", num_args = 0..=1, default_missing_value = "run", conflicts_with = "run")]
    schema: Option<Schema>,
    #[command(flatten)]
    store: ReachFlags,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Schema {
    Run,
    Capacity,
    Comparison,
    Trend,
}

pub(super) fn main(arguments: &Arguments) -> Outcome {
    let Some(run) = arguments.run.as_ref().filter(|_| arguments.schema.is_none()) else {
        let schema = match arguments.schema {
            Some(Schema::Capacity) => schema_text(&schemars::schema_for!(crate::capacity::model::CapacityReport)),
            Some(Schema::Comparison) => schema_text(&schemars::schema_for!(crate::compare::Comparison)),
            Some(Schema::Trend) => crate::trend::schema(),
            Some(Schema::Run) | None => report::schema(),
        };
        output::print(&schema.map_err(Failure::not_carried_out)?)?;
        return Ok(exit::PASS);
    };
    let document = find(run, None, &arguments.store)?;
    let named = |error: String| Failure::usage(format!("{run}: {error}"));
    output::print(&document.render(arguments.output, output::stdout_has_colour()).map_err(named)?)?;
    Ok(exit::PASS)
}

fn schema_text(schema: &schemars::Schema) -> Result<String, String> {
    serde_json::to_string_pretty(schema).map(|text| text + "\n").map_err(|error| error.to_string())
}

/// A file if there is one of this name, else what the store has under it.
pub(super) fn find(run: &str, kind: Option<Kind>, store: &ReachFlags) -> Result<Document, Failure> {
    let named = |error: String| Failure::usage(format!("{run}: {error}"));
    let unreadable = |error: io::Error| named(format!("can't be read: {error}"));
    if run == "-" {
        return Document::parse(&io::read_to_string(io::stdin()).map_err(unreadable)?).map_err(named);
    }
    if Path::new(run).exists() {
        return Document::parse(&fs::read_to_string(run).map_err(unreadable)?).map_err(named);
    }
    if run.contains('/') || run.ends_with(".json") {
        return Err(named("there is no such file, and no run of such a name can be in a store".to_owned()));
    }
    Document::parse(&store.get(run, kind)?.document).map_err(named)
}
