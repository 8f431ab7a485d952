//! A real API server: readiness, leases, the tunnel, the chart, and a coordinator in service beside it.

mod chart;
mod common;
mod documents;
mod kubelet;
mod lease;
mod ready;
mod resources;
mod tunnel;
