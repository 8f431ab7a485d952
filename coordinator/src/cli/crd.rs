//! `loadgrid crd`: what a cluster needs to know of LoadTests.

use super::{Failure, Outcome, exit, output};
use crate::kube::crd;

pub(super) fn main() -> Outcome {
    output::print(&crd::yaml().map_err(Failure::not_carried_out)?)?;
    Ok(exit::PASS)
}
