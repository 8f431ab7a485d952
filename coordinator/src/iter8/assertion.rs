//! The conditions that `assert` checks, and Iter8's log lines about them. When to check again is not known here.

use super::Iter8Error;
use super::experiment::Experiment;
use super::fields::nearest;

/// What may be asserted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    /// Every task ran.
    Completed,
    /// No task failed so far; also before any ran.
    NoFailure,
    /// Every version keeps every objective.
    Slos,
}

/// What a check found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    pub conditions: Vec<(Condition, bool)>,
    /// Messages at level info, in Iter8's words and order.
    pub log: Vec<&'static str>,
}

impl Outcome {
    pub fn holds(&self) -> bool {
        self.conditions.iter().all(|(_, holds)| *holds)
    }
}

/// The message of the error, exit code 1, when the conditions do not hold in time.
pub const FAILED: &str = "assert conditions failed";

/// Reads conditions, each perhaps a list with commas, without regard to case.
///
/// # Errors
/// A condition that is unknown, or none.
pub fn conditions<S: AsRef<str>>(given: &[S]) -> Result<Vec<Condition>, Iter8Error> {
    const NAMES: [&str; 3] = ["completed", "nofailure", "slos"];
    let names = given.iter().flat_map(|text| text.as_ref().split(',')).map(str::trim).filter(|name| !name.is_empty());
    let read = |name: &str| match name.to_ascii_lowercase().as_str() {
        "completed" => Ok(Condition::Completed),
        "nofailure" => Ok(Condition::NoFailure),
        "slos" => Ok(Condition::Slos),
        other => {
            let near = nearest(other, &NAMES).map_or_else(|| NAMES.join(", "), |near| format!("did you mean {near}?"));
            Err(Iter8Error::new("--condition", format!("unsupported assert condition detected; {name}: {near}")))
        }
    };
    let found: Vec<Condition> = names.map(read).collect::<Result<_, _>>()?;
    if found.is_empty() {
        return Err(Iter8Error::new("--condition", "nothing is asserted: write completed, nofailure or slos"));
    }
    Ok(found)
}

/// Checks each condition once.
pub fn check(experiment: &Experiment, conditions: &[Condition]) -> Outcome {
    let mut outcome = Outcome { conditions: Vec::new(), log: Vec::new() };
    for condition in conditions {
        let (holds, yes, no) = match condition {
            Condition::Completed => (experiment.completed(), "experiment completed", "experiment did not complete"),
            Condition::NoFailure => (experiment.no_failure(), "experiment has no failure", "experiment failed"),
            Condition::Slos => (experiment.slos_satisfied(), "SLOs are satisfied", "SLOs are not satisfied"),
        };
        outcome.conditions.push((*condition, holds));
        outcome.log.push(if holds { yes } else { no });
    }
    let all = if outcome.holds() { "all conditions were satisfied" } else { "not all conditions were satisfied" };
    outcome.log.push(all);
    outcome
}

#[cfg(test)]
mod tests {
    use super::super::experiment::tests::experiment;
    use super::*;

    #[test]
    fn conditions_are_read() {
        let found = conditions(&["Completed,NOFAILURE", "slos"]).unwrap();
        assert_eq!(found, [Condition::Completed, Condition::NoFailure, Condition::Slos]);
        assert!(conditions(&["slo"]).unwrap_err().to_string().contains("did you mean slos?"));
        assert!(conditions(&[","]).is_err());
    }

    #[test]
    fn log_lines_are_iter8s() {
        let all = conditions(&["completed,nofailure,slos"]).unwrap();
        let mut experiment = experiment();
        let outcome = check(&experiment, &all);
        assert!(outcome.holds());
        let lines = [
            "experiment completed",
            "experiment has no failure",
            "SLOs are satisfied",
            "all conditions were satisfied",
        ];
        assert_eq!(outcome.log, lines);
        experiment.result_mut().failure = true;
        experiment.result_mut().num_completed_tasks = 1;
        experiment.result_mut().insights = None;
        let outcome = check(&experiment, &all);
        assert!(!outcome.holds());
        let lines = [
            "experiment did not complete",
            "experiment failed",
            "SLOs are not satisfied",
            "not all conditions were satisfied",
        ];
        assert_eq!(outcome.log, lines);
    }
}
