//! `loadgrid report`: a stored run, rendered again.

use std::path::PathBuf;
use std::{fs, io};

use clap::Args;

use super::{Failure, Outcome, exit, output};
use crate::report::{self, Format};

#[derive(Args)]
pub(super) struct Arguments {
    /// A run stored by `loadgrid run --report json=RUN.json` (or -o json); - for stdin.
    #[arg(value_name = "RUN.json", required_unless_present = "schema")]
    run: Option<PathBuf>,
    /// text, json, html, junit, markdown or hlog.
    #[arg(short, long, default_value = "text")]
    output: Format,
    /// Print the JSON Schema of stored runs instead.
    #[arg(long)]
    schema: bool,
}

pub(super) fn main(arguments: &Arguments) -> Outcome {
    let Some(path) = arguments.run.as_ref().filter(|_| !arguments.schema) else {
        output::print(&report::schema().map_err(Failure::not_carried_out)?)?;
        return Ok(exit::PASS);
    };
    let named = |error: String| Failure::usage(format!("{}: {error}", path.display()));
    let read = if path.as_os_str() == "-" { io::read_to_string(io::stdin()) } else { fs::read_to_string(path) };
    let text = read.map_err(|error| named(format!("can't be read: {error}")))?;
    let run = report::parse(&text).map_err(named)?;
    let rendered = report::render(&run, arguments.output, output::stdout_has_colour()).map_err(named)?;
    output::print(&rendered)?;
    Ok(exit::PASS)
}
