//! What operators ask over gRPC: submit, watch, stop, list, report.

use std::pin::Pin;
use std::sync::Arc;

use loadgrid_proto::v1;
use loadgrid_proto::v1::control_server::Control;
use loadgrid_proto::v1::watched::Kind;
use tokio::sync::mpsc;
use tokio_stream::Stream;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

use super::job::{Job, State};
use super::recovery::ASKED;
use super::service::Service;
use super::{Refusal, Submission, Unstopped};
use crate::grid::certs::{Role, require_role};
use crate::grid::{LastSecond, Snapshot};
use crate::store::{Filter, Store};

/// News that may wait for one who watches. Who is slower sees fewer snapshots, and every line.
const NEWS_MAX: usize = 64;

/// The API.
#[derive(Clone)]
pub struct Api {
    pub service: Service,
    pub store: Arc<Store>,
    /// Who asks must show an operator's certificate.
    pub roles: bool,
    /// How people reach the live page.
    pub link: Option<String>,
}

type News = Result<v1::Watched, Status>;

impl Api {
    fn operator<T>(&self, request: &Request<T>) -> Result<(), Status> {
        match self.roles {
            true => require_role(request.peer_certs().as_deref().map(Vec::as_slice), Role::Operator),
            false => Ok(()),
        }
    }

    /// Where people see a run.
    pub fn link_of(&self, run: &str) -> Option<String> {
        self.link.as_ref().map(|link| format!("{}/runs/{run}", link.trim_end_matches('/')))
    }

    /// A result as it was kept.
    pub async fn document(&self, run: &str) -> Result<String, Status> {
        if let Some(document) = self.service.document(run) {
            return Ok(document);
        }
        let stored = async {
            let id = self.store.resolve(run, None).await?;
            self.store.get(&id).await
        };
        Ok(stored.await.map_err(|error| Status::not_found(error.to_string()))?.document)
    }
}

fn refused(refusal: Refusal) -> Status {
    match refusal {
        Refusal::Mistake(message) => Status::invalid_argument(message),
        Refusal::Target(message) => Status::failed_precondition(message),
        Refusal::Busy(message) => Status::resource_exhausted(message),
    }
}

fn store_failed(error: crate::store::Error) -> Status {
    Status::unavailable(error.to_string())
}

#[tonic::async_trait]
impl Control for Api {
    type WatchStream = Pin<Box<dyn Stream<Item = News> + Send>>;

    async fn status(&self, request: Request<v1::StatusRequest>) -> Result<Response<v1::StatusReply>, Status> {
        self.operator(&request)?;
        let view = self.service.view(&[]);
        let workers = view.workers.len() as u32;
        let reply = match view.running.first() {
            Some(running) => v1::StatusReply {
                run: running.run.clone(),
                phase: running.phase.to_owned(),
                workers,
                planned: running.planned.unwrap_or(0),
                sent: running.sent,
                errors: running.errors,
            },
            None => v1::StatusReply { phase: "idle".to_owned(), workers, ..v1::StatusReply::default() },
        };
        Ok(Response::new(reply))
    }

    async fn stop(&self, request: Request<v1::StopRequest>) -> Result<Response<v1::StopReply>, Status> {
        self.operator(&request)?;
        let asked = request.get_ref();
        let run = self.service.stop(&asked.run, &asked.reason).map_err(|why| match why {
            Unstopped::Unknown(_) => Status::not_found(why.to_string()),
            _ => Status::failed_precondition(why.to_string()),
        })?;
        Ok(Response::new(v1::StopReply { run }))
    }

    async fn submit(&self, request: Request<v1::SubmitRequest>) -> Result<Response<v1::SubmitReply>, Status> {
        self.operator(&request)?;
        let submission: Submission = serde_json::from_slice(&request.get_ref().submission).map_err(|error| {
            Status::invalid_argument(format!(
                "the submission is not understood ({error}): this coordinator is version {}, use the CLI of that version",
                env!("CARGO_PKG_VERSION")
            ))
        })?;
        if matches!(submission.test, super::Source::Resource { .. }) {
            return Err(Status::invalid_argument("a resource is not submitted: apply it to the cluster"));
        }
        let service = self.service.clone();
        let submitted = tokio::task::spawn_blocking(move || service.submit(submission)).await;
        let submitted = submitted.map_err(|_| Status::unavailable("the coordinator is ending"))?.map_err(refused)?;
        let link = self.link_of(&submitted.run).unwrap_or_default();
        Ok(Response::new(v1::SubmitReply { run: submitted.run, link, known: submitted.known }))
    }

    async fn watch(&self, request: Request<v1::WatchRequest>) -> Result<Response<Self::WatchStream>, Status> {
        self.operator(&request)?;
        let v1::WatchRequest { run, lines } = request.into_inner();
        if !self.service.jobs().contains_key(&run) {
            return Err(Status::not_found(format!(
                "no run {run} is known here: `loadgrid runs --grid …` lists those that are kept"
            )));
        }
        let (news, heard) = mpsc::channel(NEWS_MAX);
        tokio::spawn(tell(self.service.clone(), run, lines, news));
        Ok(Response::new(Box::pin(ReceiverStream::new(heard))))
    }

    async fn list(&self, request: Request<v1::ListRequest>) -> Result<Response<v1::ListReply>, Status> {
        self.operator(&request)?;
        let test = Some(request.into_inner().test).filter(|test| !test.is_empty());
        let listing = self.store.list(&Filter { test, kind: None }).await.map_err(store_failed)?;
        let json = |error: serde_json::Error| Status::internal(error.to_string());
        Ok(Response::new(v1::ListReply {
            active: serde_json::to_vec(&self.service.view(&[])).map_err(json)?,
            kept: serde_json::to_vec(&listing.entries).map_err(json)?,
            warnings: crate::store::skipped_lines(&listing.skipped),
        }))
    }

    async fn report(&self, request: Request<v1::ReportRequest>) -> Result<Response<v1::ReportReply>, Status> {
        self.operator(&request)?;
        let document = self.document(&request.get_ref().run).await?;
        Ok(Response::new(v1::ReportReply { document: document.into_bytes() }))
    }

    async fn files(&self, request: Request<v1::FilesRequest>) -> Result<Response<v1::FilesReply>, Status> {
        self.operator(&request)?;
        let ask = serde_json::from_slice(&request.get_ref().ask)
            .map_err(|error| Status::invalid_argument(format!("the question is not understood: {error}")))?;
        let answer = self.store.answer(ask).await.map_err(store_failed)?;
        let answer = serde_json::to_vec(&answer).map_err(|error| Status::internal(error.to_string()))?;
        Ok(Response::new(v1::FilesReply { answer }))
    }
}

/// Tells one who watches, from now to the end. Ends when nobody listens.
async fn tell(service: Service, run: String, mut heard: u64, news: mpsc::Sender<News>) {
    let mut changes = service.changes();
    let mut said = Said::default();
    loop {
        let (batch, over) = {
            let jobs = service.jobs();
            // It was let go of long after its end.
            let Some(job) = jobs.get(&run) else { return };
            said.news(job, &mut heard)
        };
        for kind in batch {
            if news.send(Ok(v1::Watched { kind: Some(kind) })).await.is_err() {
                return;
            }
        }
        if over {
            return;
        }
        tokio::select! {
            changed = changes.changed() => if changed.is_err() { return },
            () = news.closed() => return,
        }
    }
}

/// What was told, so that it is told once.
#[derive(Default)]
struct Said {
    queued: Option<String>,
    begun: Option<v1::Begun>,
    progress: Option<v1::Progress>,
}

impl Said {
    /// What is new, and whether that was the end.
    fn news(&mut self, job: &Job, heard: &mut u64) -> (Vec<Kind>, bool) {
        let mut news = Vec::new();
        for (number, text) in job.lines_after(*heard) {
            *heard = number;
            news.push(Kind::Line(v1::Line { number, text }));
        }
        let asked = State::Queued { why: ASKED.to_owned() };
        let state = match &job.state {
            State::Over(outcome) if outcome.unsettled => &asked,
            state => state,
        };
        match state {
            State::Queued { why } => {
                if self.queued.as_ref() != Some(why) {
                    self.queued = Some(why.clone());
                    news.push(Kind::Queued(why.clone()));
                }
                (news, false)
            }
            State::Going => {
                self.going(job, &mut news);
                (news, false)
            }
            State::Over(outcome) => {
                news.push(Kind::Ended(v1::Ended {
                    exit_code: u32::from(outcome.exit_code),
                    message: outcome.message.clone(),
                    warning: outcome.warning.clone(),
                }));
                (news, true)
            }
        }
    }

    fn going(&mut self, job: &Job, news: &mut Vec<Kind>) {
        let ns = |time: std::time::Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        let begun = job.about.as_ref().map(|about| v1::Begun {
            test: about.test.clone(),
            warmup_ns: ns(about.warmup),
            length_ns: about.length.map_or(0, ns),
        });
        if let Some(begun) = begun.filter(|begun| self.begun.as_ref() != Some(begun)) {
            self.begun = Some(begun.clone());
            news.push(Kind::Begun(begun));
        }
        let progress = progress(&job.snapshot);
        // Before the first snapshot there is nothing to tell.
        if self.begun.is_some() && job.snapshot.wanted > 0 && self.progress.as_ref() != Some(&progress) {
            self.progress = Some(progress.clone());
            news.push(Kind::Progress(progress));
        }
    }
}

fn progress(snapshot: &Snapshot) -> v1::Progress {
    let last = &snapshot.last_second;
    v1::Progress {
        phase: snapshot.phase.name().to_owned(),
        joined: snapshot.joined as u32,
        wanted: snapshot.wanted as u32,
        elapsed_ns: snapshot.elapsed.map(|elapsed| u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX)),
        planned_rate: snapshot.planned_rate,
        planned: snapshot.planned,
        sent: snapshot.sent,
        errors: snapshot.errors,
        achieved: last.achieved,
        last_errors: last.errors,
        in_flight: last.in_flight,
        waiting: last.waiting,
        p50_ns: last.p50_ns,
        p99_ns: last.p99_ns,
        away: snapshot.away.clone(),
    }
}

/// The snapshot that a message says.
pub fn snapshot(progress: v1::Progress) -> Snapshot {
    Snapshot {
        phase: crate::grid::PhaseName::of(&progress.phase),
        joined: progress.joined as usize,
        wanted: progress.wanted as usize,
        elapsed: progress.elapsed_ns.map(std::time::Duration::from_nanos),
        planned_rate: progress.planned_rate,
        planned: progress.planned,
        sent: progress.sent,
        errors: progress.errors,
        last_second: LastSecond {
            achieved: progress.achieved,
            errors: progress.last_errors,
            in_flight: progress.in_flight,
            waiting: progress.waiting,
            p50_ns: progress.p50_ns,
            p99_ns: progress.p99_ns,
        },
        away: progress.away,
    }
}
