//! `--grid` and `--kube`: a test that a served coordinator runs. It is submitted, followed and reported as one that runs
//! here; who is cut off picks it up again.

use std::path::Path;
use std::time::Duration;

use clap::Args;
use loadgrid_proto::v1;
use loadgrid_proto::v1::watched::Kind;
use loadgrid_worker::limits;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tonic::{Code, Status};

use super::connection::{Client, Where};
use super::documents::Document;
use super::reach::ReachFlags;
use super::run::read_file;
use super::store::KeepFlags;
use super::submit::{Submitted, submit};
use super::{Failure, Outcome, capacity, exit, output, progress, run, runtime};
use crate::grid::Snapshot;
use crate::report::Format;
use crate::serve::{About, How, Source, Submission, control};
use crate::spec::{Draft, bundle};

/// A coordinator that is away for longer is given up; the run itself goes on.
const RECONNECT_FOR: Duration = Duration::from_secs(60);

/// Between two attempts.
const PAUSE: Duration = Duration::from_millis(500);

/// A grid that is served elsewhere.
#[derive(Args, Clone, Debug, Default)]
pub(super) struct RemoteFlags {
    #[command(flatten)]
    at: Where,
    /// Submit, say the run's name, and do not wait for it.
    #[arg(long)]
    detach: bool,
    /// Follow a run that was submitted before, instead of submitting one.
    #[arg(long, value_name = "RUN")]
    attach: Option<String>,
}

impl RemoteFlags {
    /// Whether it is a run that was submitted before.
    pub(super) fn is_attached(&self) -> bool {
        self.attach.is_some()
    }

    pub(super) fn is_asked(&self) -> bool {
        self.at.is_asked() || self.detach || self.attach.is_some()
    }
}

/// What is asked of a grid, whatever is to be run.
struct Errand<'a> {
    grid: &'a run::GridFlags,
    file: Option<&'a std::path::Path>,
    flags: Draft,
    search: Option<crate::serve::Search>,
    how: How,
    quiet: bool,
    formats: (Format, &'a [(Format, std::path::PathBuf)]),
}

/// `loadgrid run --grid`.
pub(super) fn run(arguments: &run::Arguments) -> Outcome {
    let (grid, report) = (arguments.grid(), arguments.report());
    fits(grid, arguments.keep(), arguments.file())?;
    run::check_paths(report.formats().1)?;
    if grid.remote.attach.is_none() {
        // Mistakes are found here, before anybody else is asked.
        run::read_test(arguments.file(), arguments.flags()?)?;
    }
    let errand = Errand {
        grid,
        file: arguments.file(),
        flags: arguments.flags()?,
        search: None,
        how: grid.how(report),
        quiet: report.is_quiet(),
        formats: report.formats(),
    };
    errand.carry_out()
}

/// Flags that are for runs of this process alone.
///
/// # Errors
/// The first of them.
fn fits(grid: &run::GridFlags, keep: &KeepFlags, file: Option<&Path>) -> Result<(), Failure> {
    if let Some(flag) = grid.of_own_workers() {
        return Err(Failure::usage(format!("{flag} is for workers of this command: a served grid has its own")));
    }
    if let Some(flag) = keep.given() {
        return Err(Failure::usage(format!("{flag} is for runs of this command: a served grid keeps results itself")));
    }
    match (&grid.remote.attach, file) {
        (Some(run), Some(file)) => {
            let file = file.display();
            Err(Failure::usage(format!("--attach {run} follows a run that has its test already: leave {file} out")))
        }
        _ => Ok(()),
    }
}

/// `loadgrid capacity --grid`.
pub(super) fn capacity(arguments: &capacity::Arguments, flags: Draft) -> Outcome {
    let (grid, quiet) = (arguments.grid(), arguments.is_quiet());
    fits(grid, arguments.keep(), arguments.file())?;
    let errand = Errand {
        grid,
        file: arguments.file(),
        flags,
        search: Some(arguments.search()),
        how: grid.how(&run::ReportFlags::quiet(quiet)),
        quiet,
        formats: arguments.formats(),
    };
    errand.carry_out()
}

impl Errand<'_> {
    fn carry_out(self) -> Outcome {
        let remote = &self.grid.remote;
        if !remote.at.is_asked() {
            return Err(Failure::usage("--attach and --detach are for a served grid: add --grid URL or --kube"));
        }
        let runtime = runtime()?;
        let client = runtime.block_on(Client::new(&remote.at, &self.grid.tls_dir, self.grid.insecure))?;
        let submitted = match &remote.attach {
            Some(run) => Submitted { run: run.clone(), stopped: false },
            None => runtime.block_on(self.submit(&client))?,
        };
        if remote.detach {
            output::print(&format!("{}\n", submitted.run))?;
            return Ok(if submitted.stopped { exit::INTERRUPTED } else { exit::PASS });
        }
        let done = runtime.block_on(to_its_end(&client, &submitted, self.quiet))?;
        deliver(&done.document, self.formats, done.code)
    }

    async fn submit(&self, client: &Client) -> Result<Submitted, Failure> {
        let file = read_file(self.file)?;
        let named = file.as_ref().map(|(name, text)| (name.as_str(), text.as_str()));
        let bundle = bundle::pack(named, self.flags.clone()).map_err(Failure::usage)?;
        let submission = Submission {
            test: Source::Bundle(Box::new(bundle)),
            search: self.search.clone(),
            workers: self.grid.workers(),
            how: self.how.clone(),
            key: ulid::Ulid::generate().to_string(),
            by: limits::default_name(),
        };
        submit(client, &submission, self.quiet).await
    }
}

/// A run that has a result.
pub(super) struct Done {
    pub run: String,
    /// The test's name.
    pub test: String,
    pub code: u8,
    pub document: String,
}

/// Follows a run and fetches its result.
///
/// # Errors
/// It was not carried out, with its exit code.
async fn to_its_end(client: &Client, submitted: &Submitted, quiet: bool) -> Result<Done, Failure> {
    let run = &submitted.run;
    let ended = follow(client, submitted, quiet).await?;
    if !ended.warning.is_empty() {
        output::complain(&format!("warning: {}", ended.warning));
    }
    let code = u8::try_from(ended.exit_code).unwrap_or(exit::NOT_CARRIED_OUT);
    if !ended.message.is_empty() {
        return Err(Failure { code, message: ended.message });
    }
    #[derive(serde::Deserialize)]
    struct Named {
        test: String,
    }
    let document = client.report(run).await?;
    let named: Named = serde_json::from_str(&document).map_err(Failure::not_carried_out)?;
    Ok(Done { run: run.to_owned(), test: named.test, code, document })
}

/// A test for `loadgrid nightly`.
pub(super) struct Nightly<'a> {
    pub name: &'a str,
    pub text: &'a str,
    pub workers: Option<usize>,
    pub search: Option<crate::serve::Search>,
    pub quiet: bool,
    /// Of a resource: it takes what is below this folder, and nothing else of this machine.
    pub mounted: Option<&'a std::path::Path>,
}

impl Nightly<'_> {
    /// Submits it and follows it to its end.
    pub(super) fn carry_out(self, grid: &ReachFlags) -> Result<Done, Failure> {
        let bundle = match self.mounted {
            Some(folder) => bundle::pack_resource(self.name, self.text, folder),
            None => bundle::pack(Some((self.name, self.text)), Draft::default()),
        };
        let bundle = bundle.map_err(Failure::usage)?;
        let submission = Submission {
            test: Source::Bundle(Box::new(bundle)),
            search: self.search,
            workers: self.workers,
            how: How::default(),
            key: ulid::Ulid::generate().to_string(),
            by: format!("nightly {}", limits::default_name()),
        };
        runtime()?.block_on(async {
            // By night nobody tries again: a coordinator that is being restarted is waited for.
            let client = reached(grid).await?;
            let submitted = submit(&client, &submission, self.quiet).await?;
            to_its_end(&client, &submitted, self.quiet).await
        })
    }
}

/// A coordinator that answers, within a minute.
async fn reached(grid: &ReachFlags) -> Result<Client, Failure> {
    let since = tokio::time::Instant::now();
    let mut said = false;
    loop {
        let answered = async {
            let client = grid.client().await?;
            client.status().await.map(|_| client)
        };
        let failure = tokio::select! {
            answered = answered => match answered {
                Ok(client) => return Ok(client),
                Err(failure) => failure,
            },
            () = limits::asked_to_end() => return Err(interrupted()),
        };
        if failure.code != exit::NOT_CARRIED_OUT || since.elapsed() > RECONNECT_FOR {
            return Err(failure);
        }
        if !std::mem::replace(&mut said, true) {
            output::complain(&format!("{}: trying again for {} s", failure.message, RECONNECT_FOR.as_secs()));
        }
        tokio::select! {
            () = tokio::time::sleep(PAUSE) => {}
            () = limits::asked_to_end() => return Err(interrupted()),
        }
    }
}

fn interrupted() -> Failure {
    Failure { code: exit::INTERRUPTED, message: "interrupted before the test was submitted".to_owned() }
}

/// Renders a document of the grid as one of our own. A format that it does not have is said after what it has.
fn deliver(document: &str, formats: (Format, &[(Format, std::path::PathBuf)]), code: u8) -> Outcome {
    let document = Document::parse(document).map_err(Failure::not_carried_out)?;
    document.deliver(formats.0, formats.1, code)
}

/// How far a run was followed.
struct Follower {
    quiet: bool,
    heard: u64,
    queued: Option<String>,
    showing: Option<Showing>,
}

/// Progress on the terminal, for one load.
struct Showing {
    snapshots: watch::Sender<Snapshot>,
    task: JoinHandle<()>,
}

impl Showing {
    fn of(about: About) -> Self {
        let (snapshots, watched) = watch::channel(Snapshot::default());
        Showing { snapshots, task: tokio::spawn(progress::show(about.into(), watched)) }
    }

    async fn end(self) {
        drop(self.snapshots);
        // It ends with its snapshots; a panel that can't be drawn is no reason to lose the result.
        let _ = self.task.await;
    }
}

/// Follows a run to its end, through whatever happens to the connection. Ctrl-C stops the run; a second one leaves it.
async fn follow(client: &Client, submitted: &Submitted, quiet: bool) -> Result<v1::Ended, Failure> {
    let run = &submitted.run;
    let mut follower = Follower { quiet, heard: 0, queued: None, showing: None };
    let mut lost: Option<tokio::time::Instant> = None;
    let mut asked = Box::pin(limits::asked_to_end());
    let mut stopping = submitted.stopped;
    loop {
        let why = tokio::select! {
            heard = follower.hear(client, run, &mut lost) => match heard {
                Ok(ended) => {
                    follower.end().await;
                    let exit_code = if stopping { u32::from(exit::INTERRUPTED) } else { ended.exit_code };
                    return Ok(v1::Ended { exit_code, ..ended });
                }
                Err(status) => status,
            },
            () = &mut asked => {
                asked = Box::pin(limits::asked_to_end());
                if stopping {
                    return Err(left(client, run, true));
                }
                stopping = true;
                output::complain("stopping the run; once more to leave it to the grid");
                let told = client.stop(run, "interrupted at the command line").await;
                // One that is over by now has its end to tell.
                if told.as_ref().is_err_and(|failure| failure.code == exit::USAGE) {
                    stopping = false;
                } else if let Err(failure) = told {
                    output::complain(&format!("the run could not be told to stop: {}", failure.message));
                    return Err(left(client, run, false));
                }
                continue;
            }
        };
        if matches!(why.code(), Code::NotFound | Code::PermissionDenied | Code::Unauthenticated | Code::Unimplemented) {
            return Err(client.refused(&why));
        }
        let since = *lost.get_or_insert_with(|| {
            output::complain(&format!("the grid is away ({}): trying again", why.message()));
            tokio::time::Instant::now()
        });
        if since.elapsed() > RECONNECT_FOR {
            let seconds = RECONNECT_FOR.as_secs();
            return Err(Failure::not_carried_out(format!(
                "the grid has not answered for {seconds} s ({}): `loadgrid run {} --attach {run}` picks the run up again if it \
                 goes on there",
                why.message(),
                client.flags()
            )));
        }
        tokio::select! {
            () = tokio::time::sleep(PAUSE) => {}
            () = &mut asked => return Err(left(client, run, stopping)),
        }
    }
}

fn left(client: &Client, run: &str, stopped: bool) -> Failure {
    let command = format!("`loadgrid run {} --attach {run}`", client.flags());
    let message = match stopped {
        true => format!("the run was told to stop: {command} has its report"),
        false => format!("the run goes on without this command: {command} picks it up again"),
    };
    Failure { code: exit::INTERRUPTED, message }
}

impl Follower {
    /// One stream of news: the end of the run, or why the stream ended before it.
    async fn hear(
        &mut self,
        client: &Client,
        run: &str,
        lost: &mut Option<tokio::time::Instant>,
    ) -> Result<v1::Ended, Status> {
        let mut news = client.watch(run, self.heard).await?;
        while let Some(watched) = news.message().await? {
            if lost.take().is_some() {
                output::complain("the grid is back");
            }
            match watched.kind {
                Some(Kind::Ended(ended)) => return Ok(ended),
                Some(kind) => self.take(kind).await,
                None => {}
            }
        }
        Err(Status::unavailable("the connection ended"))
    }

    async fn take(&mut self, kind: Kind) {
        match kind {
            Kind::Queued(why) => {
                if !self.quiet && !why.is_empty() && self.queued.as_ref() != Some(&why) {
                    output::complain(&format!("waiting: {why}"));
                }
                self.queued = Some(why);
            }
            Kind::Line(line) => {
                self.heard = line.number;
                if !self.quiet {
                    output::complain(&line.text);
                }
            }
            Kind::Begun(begun) => {
                self.end().await;
                let length = Some(begun.length_ns).filter(|ns| *ns > 0).map(Duration::from_nanos);
                let about = About { test: begun.test, warmup: Duration::from_nanos(begun.warmup_ns), length };
                self.showing = (!self.quiet).then(|| Showing::of(about));
            }
            Kind::Progress(progress) => {
                if let Some(showing) = &self.showing {
                    showing.snapshots.send_replace(control::snapshot(progress));
                }
            }
            Kind::Ended(_) => {}
        }
    }

    async fn end(&mut self) {
        if let Some(showing) = self.showing.take() {
            showing.end().await;
        }
    }
}
