//! How a served coordinator carries out what was submitted: as the command line would, with lent workers.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use loadgrid_worker::allow::AllowList;
use tokio::runtime::Handle;

use super::hold::Guards;
use crate::cli::capacity::{self, SearchFlags, Settled};
use crate::cli::carry::{self, Prepared, Workers};
use crate::cli::documents::Document;
use crate::cli::store::Keeper;
use crate::cli::{Failure, exit, notify};
use crate::grid::{Options, Policy};
use crate::kube::lease::Leases;
use crate::outside::ready::Condition;
use crate::plan::Plan;
use crate::report;
use crate::serve::{Attendance, Checked, Execute, Failed, Finished, Refusal, Source, Submission};
use crate::spec::{LoadTest, Place, SpecError, bundle, units};
use crate::store::{Entry, Kind, Stored};

/// Workers that one test may ask for.
const WORKERS_MAX: usize = 10_000;

/// Carries tests out.
pub(super) struct Executor {
    pub allow: AllowList,
    /// Where files of resources are looked up.
    pub mounted: PathBuf,
    /// Where files of submissions lie while they are read.
    pub scratch: PathBuf,
    pub keeper: Keeper,
    /// Of the kubeconfig, where there is one.
    pub context: Option<String>,
    /// Where objects are that a test waits for without saying where.
    pub namespace: Option<String>,
    /// Of the cluster, where there is one: no two coordinators test the same target.
    pub leases: Option<Leases>,
    /// Where leases are renewed.
    pub runtime: Handle,
}

impl Executor {
    fn test(&self, submission: &Submission) -> Result<LoadTest, Refusal> {
        let read = match &submission.test {
            Source::Bundle(bundle) => {
                let folder = self.scratch.join(format!("loadgrid-{}", ulid::Ulid::generate()));
                let bundle = bundle.as_ref().clone();
                let bundle = match &self.namespace {
                    Some(namespace) => bundle.at_home_in(namespace),
                    None => bundle,
                };
                bundle.unpack(&folder)
            }
            Source::Resource { name, text } => bundle::of_resource(name, text, &self.mounted),
        };
        let test = read.map_err(|error| Refusal::Mistake(error.to_string()))?;
        self.allowed(&test)?;
        Ok(test)
    }

    /// Everything that a test would send to, or wait for, is within the allow-list.
    fn allowed(&self, test: &LoadTest) -> Result<(), Refusal> {
        for ((host, port), place) in targets(test).into_iter().zip(&test.places) {
            let outside = |refusal: loadgrid_worker::allow::Refusal| {
                let error = SpecError { file: test.file.clone(), ..SpecError::new(place.clone(), refusal.to_string()) };
                // A test of flags alone has no place that says more.
                let placed = matches!(place, Place::File { .. });
                Refusal::Target(if placed { error.to_string() } else { refusal.to_string() })
            };
            self.allow.check(&host, port).map_err(outside)?;
        }
        let mut reached: Vec<(String, u16)> = Vec::new();
        for ready in &test.ready {
            match &ready.condition {
                Condition::Http { url, .. } => {
                    let parsed = crate::outside::fetch::parsed(url).map_err(Refusal::Mistake)?;
                    let host = parsed.host_str().unwrap_or_default().to_owned();
                    reached.push((host, parsed.port_or_known_default().unwrap_or(80)));
                }
                Condition::Tcp { host, port } | Condition::GrpcHealth { host, port, .. } => {
                    reached.push((host.clone(), *port));
                }
            }
        }
        for (host, port) in reached {
            self.allow.check(&host, port).map_err(|refusal| Refusal::Target(refusal.to_string()))?;
        }
        Ok(())
    }

    fn prepare(
        &self,
        submission: &Submission,
        attendance: &Arc<Attendance>,
    ) -> Result<(Prepared, Option<Settled>), Failure> {
        let refused = |refusal: Refusal| Failure { code: exit::USAGE, message: refusal.message().to_owned() };
        let mut test = self.test(submission).map_err(refused)?;
        let flags = submission.search.clone().map(SearchFlags::from);
        let settled = flags.map(|flags| flags.settle(&mut test)).transpose()?;
        let how = &submission.how;
        let time = |flag: &str, text: &str| match units::duration_ns(text) {
            Ok(ns) => Ok(Duration::from_nanos(ns)),
            Err(error) => Err(Failure::usage(format!("{flag}: {error}"))),
        };
        let prepared = Prepared {
            plan: Plan {
                run: attendance.run().to_owned(),
                seed: test.seed.unwrap_or_else(|| u64::from(ulid::Ulid::generate().random() as u32)),
                test,
            },
            options: Options {
                workers: attendance.workers(),
                join_timeout: time("--join-timeout", &how.join_timeout)?,
                on_worker_loss: if how.fail_on_worker_loss { Policy::Fail } else { Policy::Continue },
                rejoin: time("--rejoin", &how.rejoin)?,
                abort_on_fail: how.abort_on_fail,
            },
            workers: Workers::Lent(Arc::clone(attendance)),
            context: self.context.clone(),
            confidence: how.confidence,
            quiet: false,
        };
        Ok((prepared, settled))
    }

    fn run(&self, prepared: Prepared, attendance: &Attendance) -> Result<Finished, Failure> {
        let notices = prepared.plan.test.notices.clone();
        let report = carry::carry_out(prepared)?.report;
        let entry = report::entry::of_run(&report).map_err(Failure::not_carried_out)?;
        let document = serde_json::to_string(&report).map_err(Failure::not_carried_out)?;
        let mut warning = self.kept(&entry, &document);
        let (exit_code, unkept) = (passed(report.exit_code, warning.as_ref()), warning.is_some());
        if let Err(failure) = notify::tell(&notices, &report) {
            attendance.say(&format!("warning: {}", failure.message));
            warning.get_or_insert(failure.message);
        }
        Ok(Finished { entry, document, exit_code, warning, unkept })
    }

    fn search(&self, prepared: Prepared, settled: Settled, attendance: &Attendance) -> Result<Finished, Failure> {
        let report = capacity::carry_out(prepared, settled)?;
        let entry = capacity::entry(&report)?;
        let document = serde_json::to_string(&report).map_err(Failure::not_carried_out)?;
        let warning = self.kept(&entry, &document);
        let broken_off = report.exit_code == exit::INTERRUPTED && attendance.is_broken_off();
        let exit_code = if broken_off { exit::NOT_CARRIED_OUT } else { passed(report.exit_code, warning.as_ref()) };
        let unkept = warning.is_some();
        Ok(Finished { entry, document, exit_code, warning, unkept })
    }

    fn kept(&self, entry: &Entry, document: &str) -> Option<String> {
        // Whoever reads it may be elsewhere.
        self.keeper.put(entry, document).err().map(|failure| format!("on the coordinator: {}", failure.message))
    }
}

/// A pass that is not kept is no pass, as it is where a store was named.
fn passed(code: u8, warning: Option<&String>) -> u8 {
    if code == exit::PASS && warning.is_some() { exit::NOT_CARRIED_OUT } else { code }
}

/// Where connections go: host and port.
fn targets(test: &LoadTest) -> Vec<(String, u16)> {
    let target = |request: &loadgrid_worker::client::request::Request| {
        request.connect_to.clone().unwrap_or_else(|| (request.host.clone(), request.port))
    };
    test.requests.iter().map(target).collect()
}

impl Execute for Executor {
    fn check(&self, submission: &Submission) -> Result<Checked, Refusal> {
        let mut test = self.test(submission)?;
        if let Some(wanted) = submission.workers.filter(|wanted| *wanted == 0 || *wanted > WORKERS_MAX) {
            return Err(Refusal::Mistake(format!("--workers {wanted}: at least 1 and at most {WORKERS_MAX}")));
        }
        let mut kind = Kind::Run;
        if let Some(search) = &submission.search {
            kind = Kind::Capacity;
            let settled = SearchFlags::from(search.clone()).settle(&mut test);
            settled.map_err(|failure| Refusal::Mistake(failure.message))?;
        }
        let targets: BTreeSet<String> =
            targets(&test).into_iter().map(|(host, port)| format!("{}:{port}", host.to_ascii_lowercase())).collect();
        Ok(Checked { test: test.name, kind, targets: targets.into_iter().collect() })
    }

    fn execute(&self, submission: Submission, attendance: Arc<Attendance>) -> Result<Finished, Failed> {
        let failed = |message: String| Failed { exit_code: exit::NOT_CARRIED_OUT, message };
        let held = self.runtime.block_on(self.hold(&submission, &attendance)).map_err(failed)?;
        let done = self.carry_out(submission, attendance);
        self.runtime.block_on(held.release());
        done
    }

    fn allowed(&self, host: &str, port: u16) -> Result<(), String> {
        self.allow.check(host, port).map_err(|refusal| refusal.to_string())
    }

    fn keep(&self, entry: &Entry, document: &str) -> Result<(), String> {
        self.keeper.put_again(entry, document).map_err(|failure| failure.message)
    }

    fn kept(&self, run: &str) -> Result<Option<Finished>, String> {
        let Some(Stored { entry, document }) = self.keeper.get(run).map_err(|failure| failure.message)? else {
            return Ok(None);
        };
        let exit_code = Document::parse(&document)?.exit_code();
        Ok(Some(Finished { entry, document, exit_code, warning: None, unkept: false }))
    }
}

impl Executor {
    fn carry_out(&self, submission: Submission, attendance: Arc<Attendance>) -> Result<Finished, Failed> {
        let done = self.prepare(&submission, &attendance).and_then(|(prepared, settled)| match settled {
            Some(settled) => self.search(prepared, settled, &attendance),
            None => self.run(prepared, &attendance),
        });
        done.map_err(|failure| Failed { exit_code: failure.code, message: failure.message })
    }

    /// The leases of all targets, where there are any.
    async fn hold(&self, submission: &Submission, attendance: &Arc<Attendance>) -> Result<Guards, String> {
        let Some(leases) = &self.leases else { return Ok(Guards::default()) };
        let targets = self.check(submission).map_err(|refusal| refusal.message().to_owned())?.targets;
        Guards::hold(leases, targets, attendance, &self.runtime).await
    }
}
