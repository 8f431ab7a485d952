//! An experiment from its first task to its last, as Iter8 ran them: in order, and no further than the first failure.

use super::store::Store;
use super::{How, Outcome, exit, tasks};
use crate::cli::output;
use crate::iter8::Experiment;

/// An experiment under way.
pub(super) struct Runner<'a> {
    pub experiment: Experiment,
    pub store: Store,
    pub how: &'a How,
}

/// A line in Iter8's form.
pub(super) fn log(level: &str, message: &str) {
    let now = jiff::Zoned::now().strftime("%Y-%m-%d %H:%M:%S");
    output::complain(&format!("time={now} level={level} msg={message}"));
}

impl<'a> Runner<'a> {
    pub(super) fn new(experiment: Experiment, store: Store, how: &'a How) -> Self {
        Runner { experiment, store, how }
    }

    pub(super) fn log(&self, message: &str) {
        if !self.how.quiet {
            log("info", message);
        }
    }

    /// Runs all tasks; the result is written after each of them.
    pub(super) fn run(mut self, reuse: bool) -> Outcome {
        self.experiment.begin(jiff::Timestamp::now(), reuse);
        self.experiment.result_mut().iter8_version = Some(format!("loadgrid {}", env!("CARGO_PKG_VERSION")));
        self.store.clear();
        self.store.write(&self.experiment)?;
        for index in 0..self.experiment.spec.len() {
            let name = format!("task {}: {}", index + 1, self.experiment.spec[index].name());
            match self.experiment.is_due(index) {
                Ok(true) => {
                    self.log(&format!("{name}: started"));
                    if let Err(failure) = self.task(index) {
                        log("error", &format!("{name}: failure: {}", failure.message));
                        self.experiment.result_mut().failure = true;
                        self.store.write(&self.experiment)?;
                        return Ok(failure.code);
                    }
                    self.log(&format!("{name}: completed"));
                }
                Ok(false) => self.log(&format!("{name}: skipped: its condition is false")),
                Err(error) => {
                    self.experiment.result_mut().failure = true;
                    self.store.write(&self.experiment)?;
                    return Err(super::iter8_failure(&error));
                }
            }
            self.experiment.result_mut().num_completed_tasks += 1;
            self.store.write(&self.experiment)?;
        }
        Ok(exit::PASS)
    }

    fn task(&mut self, index: usize) -> Result<(), super::Failure> {
        let task = self.experiment.task(index).map_err(|error| super::iter8_failure(&error))?;
        tasks::carry_out(self, index, task)
    }
}
