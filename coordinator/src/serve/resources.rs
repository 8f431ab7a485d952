//! LoadTests of a cluster as submissions to the service: what the controller asks for, in the service's terms.

use tokio::sync::watch;

use super::control::Api;
use super::job::{Outcome, State};
use super::recovery::ASKED;
use super::{Refusal, Search, Source, Submission};
use crate::kube::controller::{CapacityOrder, Declined, Done, Open, Order, Progress, Refused, Runs, field_at};

impl Runs for Api {
    fn submit(&self, order: Order) -> Result<String, Declined> {
        let name = order.by.rsplit(' ').next().unwrap_or(&order.name).to_owned();
        let search = order.capacity.map(|CapacityOrder { max, precision, budget }| Search {
            max,
            precision,
            budget,
            ..Search::default()
        });
        let submission = Submission {
            test: Source::Resource { name: name.clone(), text: order.text.clone() },
            search,
            workers: order.workers.map(|workers| workers as usize),
            how: super::How::default(),
            key: order.key,
            by: order.by,
        };
        match self.service.submit(submission) {
            Ok(submitted) => Ok(submitted.run),
            Err(Refusal::Busy(why)) => Err(Declined::Busy(why)),
            Err(refusal) => Err(Declined::Refused(refused(&refusal, &name, &order.text))),
        }
    }

    fn busy(&self) -> Option<String> {
        // A test whose result has no place would be run for nothing, and nobody is there to be told.
        self.service.busy().or_else(|| self.service.trouble())
    }

    fn open(&self) -> Vec<Open> {
        let jobs = self.service.jobs();
        // Keys of commands have no parts.
        let open = jobs.values().filter(|job| !matches!(job.state, State::Over(_)) && job.key.contains('/'));
        open.map(|job| Open { key: job.key.clone(), run: job.run.clone(), by: job.by.clone() }).collect()
    }

    fn progress(&self, run: &str) -> Option<Progress> {
        let jobs = self.service.jobs();
        let job = jobs.get(run)?;
        Some(match &job.state {
            State::Queued { why } => Progress::Queued { why: why.clone() },
            State::Going if job.held_up.is_some() => Progress::Queued { why: job.held_up.clone().unwrap_or_default() },
            State::Going if job.snapshot.elapsed.is_none() && job.about.is_none() => Progress::Ready,
            // The probes of a search gather their workers anew, and the search goes on meanwhile.
            State::Going
                if job.snapshot.elapsed.is_none()
                    && job.snapshot.joined < job.snapshot.wanted
                    && job.probe.is_none_or(|(number, _)| number <= 1) =>
            {
                Progress::Queued { why: format!("{} of {} workers joined", job.snapshot.joined, job.snapshot.wanted) }
            }
            State::Going => {
                let last = &job.snapshot.last_second;
                Progress::Running {
                    rate: job.snapshot.elapsed.map(|_| last.achieved as f64),
                    sent: job.snapshot.sent,
                    errors: job.snapshot.errors,
                    p99_s: last.p99_ns.map(|ns| ns as f64 / 1e9),
                }
            }
            State::Over(outcome) if outcome.unsettled => Progress::Queued { why: ASKED.to_owned() },
            State::Over(outcome) => over(outcome),
        })
    }

    fn by_key(&self, key: &str) -> Option<String> {
        self.service.by_key(key)
    }

    fn stop(&self, run: &str, reason: &str) {
        // Whoever is over needs no stop.
        let _ = self.service.stop(run, reason);
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.service.changes()
    }

    fn link(&self, run: &str) -> Option<String> {
        self.link_of(run)
    }
}

fn over(outcome: &Outcome) -> Progress {
    let Some(figures) = &outcome.figures else {
        return Progress::Failed { message: outcome.message.clone(), field: None, exit_code: outcome.exit_code };
    };
    let mut summary = match figures.rate {
        Some(rate) => format!("{} at {rate:.1}/s", figures.verdict),
        None => figures.verdict.clone(),
    };
    if !outcome.warning.is_empty() {
        summary += "; ";
        summary += &outcome.warning;
    }
    Progress::Done(Done {
        verdict: figures.verdict.clone(),
        exit_code: outcome.exit_code,
        rate: figures.rate,
        p99_s: figures.p99,
        error_rate: figures.error_rate,
        started_at: figures.started.to_string(),
        completed_at: outcome.ended.to_string(),
        summary,
    })
}

/// A mistake's place in the text is a key of the resource.
fn refused(refusal: &Refusal, name: &str, text: &str) -> Refused {
    let message = refusal.message();
    let placed = message.strip_prefix(name).and_then(|rest| rest.strip_prefix(':'));
    let place = placed.and_then(|rest| {
        let mut parts = rest.splitn(3, ':');
        let (line, column) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
        Some((field_at(text, line, column), parts.next()?.trim().to_owned()))
    });
    match (place, refusal) {
        (Some((field, message)), _) => Refused { message, field },
        (None, Refusal::Target(_)) => Refused { message: message.to_owned(), field: Some("spec.requests".to_owned()) },
        (None, _) => Refused { message: placed.map_or(message, str::trim).to_owned(), field: None },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mistake_is_told_with_the_key_that_it_is_in() {
        let text = "{\n  \"spec\": {\n    \"load\": {\n      \"rate\": \"fast\"\n    }\n  }\n}";
        let refusal = Refusal::Mistake("shop/hello:4:15: 'fast' is no rate".to_owned());
        let refused = refused(&refusal, "shop/hello", text);
        assert_eq!((refused.field.as_deref(), refused.message.as_str()), (Some("spec.load.rate"), "'fast' is no rate"));
        let refusal = Refusal::Target("target a:80 is outside the allow-list".to_owned());
        assert_eq!(super::refused(&refusal, "shop/hello", text).field.as_deref(), Some("spec.requests"));
        let refusal = Refusal::Mistake("shop/hello: the test has no load".to_owned());
        assert_eq!(super::refused(&refusal, "shop/hello", text).message, "the test has no load");
    }
}
