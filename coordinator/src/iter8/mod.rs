//! Iter8's front door: its values and experiments, run as loadgrid's tests and reported in its layouts.
//!
//! Everything here is pure: text and values come in, documents, verdicts and reports go out. Who reads files, drives
//! the load or asks a cluster is not known.
//!
//! A runner goes this way: [`set::merge`] flags and files, [`values::read`] them to an [`Experiment`], take each
//! [`Experiment::task`] in turn, run the [`load::LoadPlan`]s and [`Insights::record_http`] what they measured,
//! [`assess::assess`], and write [`text::render`] or [`html::render`].

pub mod assertion;
pub mod assess;
pub mod condition;
pub mod experiment;
mod fields;
mod grpc;
mod grpc_keys;
pub mod html;
mod http;
pub mod insights;
pub mod load;
pub mod metrics;
pub mod notify;
mod ramp;
pub mod set;
pub mod task;
mod template;
pub mod text;
pub mod values;

pub use self::experiment::{Experiment, ResultBody, TaskSpec};
pub use self::insights::{Bucket, Insights, MetricMeta, MetricType};
pub use self::load::{Length, LoadPlan, Protocol};
pub use self::task::Task;

/// A mistake in what was given: where, what is wrong, and what to write instead.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {message}")]
pub struct Iter8Error {
    /// A key's path, a flag, or a file with line and column.
    pub place: String,
    pub message: String,
}

impl Iter8Error {
    pub fn new(place: impl Into<String>, message: impl Into<String>) -> Self {
        Iter8Error { place: place.into(), message: message.into() }
    }
}
