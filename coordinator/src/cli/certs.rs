//! `loadgrid certs`: a CA and role certificates for those who have none.

use std::path::PathBuf;

use clap::Args;

use super::{Failure, Outcome, exit, output};
use crate::grid::certs;

#[derive(Args)]
pub(super) struct Arguments {
    /// Where to; made if it is not there. Nothing in it is overwritten.
    #[arg(value_name = "DIR")]
    dir: PathBuf,
    /// Names and addresses by which workers reach the coordinator.
    #[arg(long = "name", value_name = "NAME", default_values = ["localhost", "127.0.0.1", "::1"])]
    names: Vec<String>,
}

pub(super) fn main(arguments: &Arguments) -> Outcome {
    certs::write(&arguments.dir, &arguments.names).map_err(Failure::usage)?;
    let dir = arguments.dir.display();
    output::complain(&format!(
        "made a CA and certificates for coordinator ({}), worker and operator in {dir}\n\
         next: loadgrid run TEST.yaml --listen ADDRESS:7070 --workers N --tls-dir {dir}\n\
         and on each worker, with ca.pem, worker.pem and worker.key copied there:\n      \
         loadgrid-worker --coordinator https://NAME:7070 --tls-dir {dir}\n\
         or, for a grid that stays: loadgrid serve --tls-dir {dir}, and with ca.pem, operator.pem and operator.key\n      \
         loadgrid run TEST.yaml --grid https://NAME:7400 --tls-dir {dir}\n\
         keep ca.key to yourself: whoever has it can join",
        arguments.names.join(", ")
    ));
    Ok(exit::PASS)
}
