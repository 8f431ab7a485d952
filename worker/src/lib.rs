//! A loadgrid worker: drives its share of a load and measures it.
//!
//! It deliberately does not know what a test file, an SLO or a report is.

pub mod allow;
pub mod assemble;
pub mod client;
pub mod clock;
pub mod engine;
pub mod health;
pub mod interval;
pub mod limits;
pub mod mix;
pub mod recorder;
pub mod schedule;
pub mod session;
pub mod spool;
pub mod timer;
pub mod tls;
