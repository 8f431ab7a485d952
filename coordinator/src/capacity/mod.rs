//! How far a target goes: which rate to probe next, what a probe says, and what can be said in the end.
//!
//! Pure: no clock, no I/O, no randomness. The caller runs the probes.

pub mod backlog;
pub mod build;
pub mod judge;
pub mod knee;
mod markdown;
pub mod model;
pub mod search;
mod text;
pub mod usl;

#[cfg(test)]
mod simulation;

pub use self::markdown::render as markdown;
pub use self::text::render as text;
