//! `loadgrid completions`: for the shell.

use clap::{Args, CommandFactory};

use super::{Outcome, exit, output};

#[derive(Args)]
pub(super) struct Arguments {
    shell: clap_complete::Shell,
}

pub(super) fn main<C: CommandFactory>(arguments: &Arguments) -> Outcome {
    // Into memory first: the generator itself panics on a closed pipe.
    let mut bytes = Vec::new();
    clap_complete::generate(arguments.shell, &mut C::command(), "loadgrid", &mut bytes);
    output::print(&String::from_utf8_lossy(&bytes))?;
    Ok(exit::PASS)
}
