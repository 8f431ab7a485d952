//! loadgrid: shards an open-loop load over workers, merges what they measure exactly, and judges it.

pub mod capacity;
pub mod cli;
pub mod compare;
pub mod demo;
pub mod grid;
pub mod grpc;
pub mod iter8;
pub mod kube;
mod near;
pub mod outside;
mod paper;
pub mod plan;
pub mod report;
pub mod results;
pub mod serve;
pub mod slo;
pub mod spec;
pub mod store;
pub mod trend;
pub mod verdict;
