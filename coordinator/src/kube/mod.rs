//! The cluster: the way to its API server, what is waited for in it, the tunnel to a coordinator that runs there, who tests
//! what, and tests that are its resources. What a test does with all that is not known here.

pub mod client;
pub mod controller;
pub mod crd;
pub mod ksvc;
pub mod lease;
pub mod ready;
pub mod resource;
#[cfg(test)]
pub(crate) mod server;
pub mod trigger;
pub mod tunnel;
