//! The wire between a loadgrid coordinator and its workers: generated messages and the histogram that travels on it.
//!
//! Knows nothing of sockets, clocks or schedules.

pub mod demo;
pub mod error_kind;
pub mod histogram;

/// Messages and services of `loadgrid/v1/grid.proto`.
#[allow(clippy::all, missing_docs)]
pub mod v1 {
    tonic::include_proto!("loadgrid.v1");
}

pub use error_kind::ErrorKind;
pub use histogram::{DecodeError, Histogram, Recorded, Summary};

/// Both ends of a session must speak the same one: a mismatch is refused, never guessed at.
pub const PROTOCOL_VERSION: u32 = 3;

/// The largest message either side accepts, bytes: an interval of 100 requests with full histograms is under 8 MiB.
pub const MESSAGE_BYTES_MAX: usize = 64 * 1024 * 1024;

/// The URI in a certificate's subject alternative names that says what its holder may do.
pub const ROLE_URI_PREFIX: &str = "loadgrid://role/";
