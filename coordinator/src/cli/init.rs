//! `loadgrid init`: a commented test to start from.

use super::{Outcome, exit, output};

/// The same file as in `examples/`, so that it is tried whenever they are.
const TEMPLATE: &str = include_str!("../../../examples/start.yaml");

pub(super) fn main() -> Outcome {
    output::print(TEMPLATE)?;
    Ok(exit::PASS)
}
