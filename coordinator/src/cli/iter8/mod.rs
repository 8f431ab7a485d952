//! `loadgrid iter8 …`: Iter8's commands, run on loadgrid's grid.

mod run;
mod store;
mod tasks;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, Subcommand};

use self::store::Store;
use super::run::GridFlags;
use super::{Failure, Outcome, exit, output, runtime};
use crate::iter8::set::{self, Sources};
use crate::iter8::{Experiment, assertion, html, text, values};
use crate::spec::units;

/// How often `assert` looks again, as Iter8.
const ASSERT_EVERY: Duration = Duration::from_secs(3);

#[derive(Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    cluster: Cluster,
}

/// Iter8's flags that have no meaning without its cluster, its charts and its log: taken, and said to have none.
#[derive(Args)]
struct Cluster {
    #[arg(short, long, global = true, hide = true)]
    namespace: Option<String>,
    #[arg(long, global = true, hide = true)]
    kubeconfig: Option<String>,
    #[arg(long, global = true, hide = true)]
    kube_context: Option<String>,
    #[arg(short = 'l', long = "loglevel", global = true, hide = true)]
    log_level: Option<String>,
    #[arg(long = "chartName", global = true, hide = true)]
    chart_name: Option<String>,
    #[arg(long = "localChart", global = true, hide = true)]
    local_chart: bool,
    #[arg(long = "chartsParentDir", global = true, hide = true)]
    charts_parent_dir: Option<String>,
    #[arg(long = "remoteFolderURL", global = true, hide = true)]
    remote_folder_url: Option<String>,
}

impl Cluster {
    fn say_what_has_no_meaning(&self) {
        let given = [
            ("--namespace", self.namespace.is_some()),
            ("--kubeconfig", self.kubeconfig.is_some()),
            ("--kube-context", self.kube_context.is_some()),
            ("--chartName", self.chart_name.as_ref().is_some_and(|name| name != "iter8")),
            ("--localChart", self.local_chart),
            ("--chartsParentDir", self.charts_parent_dir.is_some()),
            ("--remoteFolderURL", self.remote_folder_url.is_some()),
        ];
        for (flag, _) in given.into_iter().filter(|(_, given)| *given) {
            output::complain(&format!("warning: {flag} has no meaning here: no cluster is asked and no chart is read"));
        }
    }
}

#[derive(Subcommand)]
enum Command {
    #[command(flatten)]
    Plain(Plain),
    /// As in `iter8 k launch`: the same commands.
    #[command(subcommand)]
    K(Plain),
}

#[derive(Subcommand)]
enum Plain {
    /// Translate values to load tests and run them.
    Launch(Box<Launch>),
    /// Run the experiment of a file, ./experiment.yaml by default, and write its result there.
    Run(Box<Run>),
    /// Whether conditions hold; exits with 1 if they do not.
    Assert(Assert),
    /// The report of an experiment, in Iter8's layout.
    Report(Report),
    /// Forget the result of a group.
    Delete(Group),
}

/// Which result.
#[derive(Args)]
struct Group {
    /// Results are kept by group.
    #[arg(short, long, default_value = "default")]
    group: String,
}

#[derive(Args)]
struct Launch {
    /// KEY=VALUE, as Helm's (repeatable).
    #[arg(long, value_name = "KEY=VALUE", allow_hyphen_values = true)]
    set: Vec<String>,
    /// The same, the value always a text.
    #[arg(long, value_name = "KEY=VALUE", allow_hyphen_values = true)]
    set_string: Vec<String>,
    /// The same, the value a file's content.
    #[arg(long, value_name = "KEY=PATH")]
    set_file: Vec<String>,
    /// A file of values (repeatable).
    #[arg(short = 'f', long, value_name = "FILE")]
    values: Vec<PathBuf>,
    /// Print the load tests, run nothing.
    #[arg(long)]
    dry: bool,
    #[command(flatten)]
    group: Group,
    #[command(flatten)]
    how: How,
    /// Taken and needless: there is no chart to download.
    #[arg(long = "noDownload", hide = true)]
    _no_download: bool,
}

#[derive(Args)]
struct Run {
    /// The experiment's file; its result is written into it.
    #[arg(short, long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// The folder of experiment.yaml.
    #[arg(long = "runDir", alias = "run-dir", value_name = "DIR", default_value = ".")]
    run_dir: PathBuf,
    /// Go on with the result that is there: one more loop.
    #[arg(long = "reuseResult", alias = "reuse-result")]
    reuse_result: bool,
    #[command(flatten)]
    how: How,
}

/// What loads and scripts may do.
#[derive(Args)]
pub(super) struct How {
    /// Let `run:` items execute their scripts.
    #[arg(long)]
    allow_run: bool,
    /// No progress and no log on stderr.
    #[arg(short, long)]
    quiet: bool,
    #[command(flatten)]
    grid: GridFlags,
}

#[derive(Args)]
struct Assert {
    /// completed, nofailure or slos (repeatable, or with commas).
    #[arg(short, long, required = true, value_delimiter = ',')]
    condition: Vec<String>,
    /// How long to look again and again; 0 for once.
    #[arg(long, value_name = "TIME", default_value = "0")]
    timeout: String,
    #[command(flatten)]
    group: Group,
    /// The experiment's file, instead of a group.
    #[arg(short, long, value_name = "FILE")]
    file: Option<PathBuf>,
}

#[derive(Args)]
struct Report {
    /// text or html.
    #[arg(short = 'o', long = "outputFormat", alias = "output-format", default_value = "text")]
    output: String,
    #[command(flatten)]
    group: Group,
    /// The experiment's file, instead of a group.
    #[arg(short, long, value_name = "FILE")]
    file: Option<PathBuf>,
}

pub(super) fn main(arguments: &Arguments) -> Outcome {
    let (Command::Plain(command) | Command::K(command)) = &arguments.command;
    arguments.cluster.say_what_has_no_meaning();
    let outcome = outcome(command);
    // Iter8 knows no other code, and scripts that branch on it neither.
    let plain = |code: u8| if matches!(code, exit::PASS | exit::INTERRUPTED) { code } else { exit::SLO_FAILED };
    outcome.map(plain).map_err(|failure| Failure { code: plain(failure.code), ..failure })
}

fn outcome(command: &Plain) -> Outcome {
    match command {
        Plain::Launch(launch) => self::launch(launch),
        Plain::Run(run) => self::run(run),
        Plain::Assert(assert) => self::assert(assert),
        Plain::Report(report) => self::report(report),
        Plain::Delete(group) => Store::of(&group.group)?.delete().map(|()| exit::PASS),
    }
}

fn launch(launch: &Launch) -> Outcome {
    let read = |path: &str| fs::read_to_string(path).map_err(|error| format!("{path} can't be read: {error}"));
    let file = |path: &PathBuf| {
        let name = path.display().to_string();
        read(&name).map(|text| (name, text)).map_err(Failure::usage)
    };
    let sources = Sources {
        files: launch.values.iter().map(file).collect::<Result<_, _>>()?,
        set: launch.set.clone(),
        set_string: launch.set_string.clone(),
        set_file: launch.set_file.clone(),
    };
    let chart = set::merge(&sources, &read).and_then(|merged| values::read(&merged)).map_err(Failure::usage)?;
    chart.warnings.iter().for_each(|warning| output::complain(&format!("warning: {warning}")));
    if launch.dry {
        return dry(&chart.experiment);
    }
    let store = Store::of(&launch.group.group)?;
    run::Runner::new(chart.experiment, store, &launch.how).run(false)
}

/// The load tests that an experiment comes to, as YAML documents.
fn dry(experiment: &Experiment) -> Outcome {
    let mut out = String::new();
    for index in 0..experiment.spec.len() {
        let task = experiment.task(index).map_err(Failure::usage)?;
        let loads = match &task {
            crate::iter8::Task::Http(load) | crate::iter8::Task::Grpc(load) => &load.loads[..],
            _ => {
                out += &format!("# task {}: {}\n", index + 1, experiment.spec[index].name());
                continue;
            }
        };
        for plan in loads {
            out += &format!("---\n# task {}: {}\n", index + 1, plan.prefix);
            plan.warnings.iter().for_each(|warning| out += &format!("# {warning}\n"));
            out += &tasks::yaml(plan)?;
        }
    }
    output::print(&out)?;
    Ok(exit::PASS)
}

fn run(run: &Run) -> Outcome {
    let path = run.file.clone().unwrap_or_else(|| run.run_dir.join("experiment.yaml"));
    let store = Store::file(path);
    let experiment = store.read()?;
    run::Runner::new(experiment, store, &run.how).run(run.reuse_result)
}

/// Where an experiment is.
fn stored(group: &Group, file: Option<&Path>) -> Result<Store, Failure> {
    match file {
        Some(path) => Ok(Store::file(path.to_owned())),
        None => Store::of(&group.group),
    }
}

fn assert(assert: &Assert) -> Outcome {
    let conditions = assertion::conditions(&assert.condition).map_err(|error| iter8_failure(&error))?;
    let timeout = match assert.timeout.trim() {
        "0" => Duration::ZERO,
        text => Duration::from_nanos(
            units::duration_ns(text).map_err(|error| iter8_failure(&format!("--timeout: {error}")))?,
        ),
    };
    let store = stored(&assert.group, assert.file.as_deref())?;
    runtime()?.block_on(async {
        let mut spent = Duration::ZERO;
        loop {
            let experiment = match store.read() {
                Ok(experiment) => experiment,
                // It may be about to be launched.
                Err(_) if spent < timeout => {
                    tokio::time::sleep(ASSERT_EVERY).await;
                    spent += ASSERT_EVERY;
                    continue;
                }
                Err(failure) => return Err(failure),
            };
            let outcome = assertion::check(&experiment, &conditions);
            outcome.log.iter().for_each(|line| run::log("info", line));
            if outcome.holds() {
                return Ok(exit::PASS);
            }
            // One that is over does not change any more.
            if spent >= timeout || experiment.completed() {
                return Err(iter8_failure(&assertion::FAILED));
            }
            tokio::time::sleep(ASSERT_EVERY).await;
            spent += ASSERT_EVERY;
        }
    })
}

fn report(report: &Report) -> Outcome {
    let store = stored(&report.group, report.file.as_deref())?;
    let experiment = store.read()?;
    let rendered = match report.output.as_str() {
        "text" => text::render(&experiment) + &store.intervals(),
        "html" => html::render(&experiment).map_err(|error| iter8_failure(&error))?,
        other => return Err(iter8_failure(&format!("unsupported report format {other}"))),
    };
    output::print(&rendered)?;
    Ok(exit::PASS)
}

/// Whatever goes wrong in Iter8 ends with 1.
fn iter8_failure(message: &dyn std::fmt::Display) -> Failure {
    Failure { code: exit::SLO_FAILED, message: message.to_string() }
}
