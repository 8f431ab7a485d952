//! The charts of the pages: plain functions from figures to SVG.
//!
//! Each chart is drawn twice, wide and narrow, and the page shows the one that fits: text in a picture that is scaled
//! down from a desktop's width is not legible on a phone. Colours are the page's, by class; every line has a dash or
//! width of its own besides, and every mark a form. What cannot be drawn (no sample, not a number) is left out, never
//! drawn as zero.

mod capacity;
mod forest;
mod frame;
mod spectrum;
mod timeline;
mod trend;

pub use self::capacity::{capacity, near_capacity, outcome_class, throughput};
pub use self::forest::forest;
pub use self::spectrum::{spectra, spectrum};
pub use self::timeline::{quantiles, rate};
pub use self::trend::trend;

#[cfg(test)]
mod tests;
