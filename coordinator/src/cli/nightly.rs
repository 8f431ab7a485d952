//! `loadgrid nightly`: what a CronJob runs. A test or a search on the grid, its trend, and a notice when the level changed.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use serde_json::json;

use super::documents::Document;
use super::reach::ReachFlags;
use super::{Failure, Outcome, exit, output, remote, run, runtime, trend};
use crate::kube;
use crate::kube::resource::{Capacity, Written};
use crate::outside::notify::{self, Notice};
use crate::report::Format;
use crate::serve::Search;
use crate::trend::model::{Trend, TrendVerdict};

#[derive(Args)]
pub(super) struct Arguments {
    /// The test's file.
    #[arg(value_name = "TEST.yaml", required_unless_present = "load_test", conflicts_with = "load_test")]
    file: Option<PathBuf>,
    /// The test is that of this LoadTest resource.
    #[arg(long, value_name = "NAMESPACE/NAME")]
    load_test: Option<String>,
    /// Search for the capacity instead of one run.
    #[arg(long)]
    capacity: bool,
    /// Of the search: no probe above this rate.
    #[arg(long, value_name = "RATE", requires = "capacity")]
    max: Option<String>,
    /// Of the search: how narrow the answer is to be [default: 3%].
    #[arg(long, value_name = "SHARE", requires = "capacity")]
    precision: Option<String>,
    /// Of the search: for all of it [default: 10m].
    #[arg(long, value_name = "TIME", requires = "capacity")]
    budget: Option<String>,
    /// How many workers of the pool [default: all that are free].
    #[arg(long, value_name = "N")]
    workers: Option<usize>,
    /// Tell also when nothing changed.
    #[arg(long, help_heading = "Notices")]
    always: bool,
    /// A file with the URL of an incoming webhook of Slack.
    #[arg(long, value_name = "FILE", help_heading = "Notices")]
    slack_url_file: Option<PathBuf>,
    /// Dispatch the event `loadgrid` in this repository.
    #[arg(long, value_name = "OWNER/REPO", requires = "github_token_file", help_heading = "Notices")]
    github: Option<String>,
    /// A file with a token that may do so.
    #[arg(long, value_name = "FILE", requires = "github", help_heading = "Notices")]
    github_token_file: Option<PathBuf>,
    /// Of a GitHub that is one's own.
    #[arg(long, value_name = "URL", default_value = "https://api.github.com", help_heading = "Notices")]
    github_api: String,
    /// Post the notice to this URL.
    #[arg(long, value_name = "URL", help_heading = "Notices")]
    webhook: Option<String>,
    /// A file with the token that it is to be sent with (Authorization: Bearer).
    #[arg(long, value_name = "FILE", requires = "webhook", help_heading = "Notices")]
    webhook_token_file: Option<PathBuf>,
    #[command(flatten)]
    grid: ReachFlags,
    /// No progress on stderr.
    #[arg(short, long)]
    quiet: bool,
}

/// A notice is tried so often.
const TRIES: u32 = 3;

/// Between two attempts, times their number.
const PAUSE: Duration = Duration::from_secs(5);

/// What is run.
struct Test {
    /// For messages; files are looked up beside it.
    name: String,
    text: String,
    workers: Option<usize>,
    search: Option<Search>,
    /// Of a resource: it takes what is below this folder, and nothing else of this machine.
    mounted: Option<PathBuf>,
}

/// What is told.
struct News {
    test: String,
    run: String,
    code: u8,
    /// What became of the run, in a line.
    result: String,
    /// Why there is something to tell; nothing where the level is as it was.
    change: Option<String>,
}

pub(super) fn main(arguments: &Arguments) -> Outcome {
    if !arguments.grid.place().is_asked() {
        return Err(Failure::usage("a nightly runs on a served grid: add --grid URL or --kube"));
    }
    // Notices that can't be sent are found before the load.
    let notices = arguments.notices()?;
    let test = match arguments.test() {
        Ok(test) => test,
        Err(failure) => {
            // A night without a test is news as well.
            if let Err(untold) = tell(&missed(arguments.named(), &failure), &notices) {
                output::complain(&untold.message);
            }
            return Err(failure);
        }
    };
    let flags = arguments.capacity.then(|| Search {
        max: arguments.max.clone(),
        precision: arguments.precision.clone(),
        budget: arguments.budget.clone(),
        ..Search::default()
    });
    let errand = remote::Nightly {
        name: &test.name,
        text: &test.text,
        workers: arguments.workers.or(test.workers),
        search: flags.or(test.search.clone()),
        quiet: arguments.quiet,
        mounted: test.mounted.as_deref(),
    };
    let done = errand.carry_out(&arguments.grid);
    let news = match &done {
        Ok(done) => {
            let document = Document::parse(&done.document).map_err(Failure::not_carried_out)?;
            show(&document)?;
            let trend = trend::of(&arguments.grid, &done.test).and_then(|trend| {
                show(&Document::Trend(Box::new(trend.clone())))?;
                Ok(trend)
            });
            news(done, &document, &trend)
        }
        // A night without a result is news as well.
        Err(failure) => missed(test.shown(), failure),
    };
    let told = if news.change.is_some() || arguments.always { tell(&news, &notices) } else { Ok(()) };
    done?;
    // What the run ended with comes before who could not be told of it.
    match told {
        Err(untold) if news.code == exit::PASS => Err(untold),
        Err(untold) => {
            output::complain(&untold.message);
            Ok(news.code)
        }
        Ok(()) => Ok(news.code),
    }
}

fn show(document: &Document) -> Result<(), Failure> {
    output::print(&document.render(Format::Text, false).map_err(Failure::not_carried_out)?)
}

impl Test {
    /// Its own name, as the store has it, where its text says one.
    fn shown(&self) -> String {
        crate::spec::name_of(&self.text).unwrap_or_else(|| self.name.clone())
    }
}

fn missed(test: String, failure: &Failure) -> News {
    News {
        test,
        run: String::new(),
        code: failure.code,
        result: failure.message.clone(),
        change: Some("it was not carried out".to_owned()),
    }
}

fn news(done: &remote::Done, document: &Document, trend: &Result<Trend, Failure>) -> News {
    let verdict = trend.as_ref().ok().map(|trend| trend.verdict);
    let worse = verdict == Some(TrendVerdict::Worse);
    let mut why: Vec<String> = Vec::new();
    match trend {
        Ok(trend) if worse || verdict == Some(TrendVerdict::Better) => why.extend(trend.reasons.iter().cloned()),
        Ok(_) => {}
        Err(failure) => why.push(format!("its trend can't be told: {}", failure.message)),
    }
    if done.code != exit::PASS {
        why.push(format!("the run ended with exit code {}", done.code));
    }
    News {
        test: done.test.clone(),
        run: done.run.clone(),
        // A worse level fails the night, as a failed objective does; of a level that is not known nothing is proved.
        code: match trend {
            _ if done.code != exit::PASS => done.code,
            Err(failure) => failure.code,
            Ok(_) if worse => exit::SLO_FAILED,
            Ok(_) => exit::PASS,
        },
        result: document.sentence(),
        change: (!why.is_empty()).then(|| why.join("; ")),
    }
}

impl News {
    fn text(&self) -> String {
        let change = self.change.as_deref().unwrap_or("nothing changed");
        let run = if self.run.is_empty() { String::new() } else { format!(" (run {})", self.run) };
        format!("loadgrid {}: {change}. {}{run}", self.test, self.result)
    }

    fn json(&self) -> serde_json::Value {
        json!({
            "test": self.test,
            "run": self.run,
            "exit_code": self.code,
            "result": self.result,
            "changed": self.change.is_some(),
            "change": self.change,
        })
    }
}

/// Who is told, and in which shape.
struct Told {
    who: &'static str,
    url: String,
    headers: Vec<(String, String)>,
    shape: Shape,
}

enum Shape {
    Slack,
    GitHub,
    Plain,
}

impl Arguments {
    fn notices(&self) -> Result<Vec<Told>, Failure> {
        let mut all = Vec::new();
        let json = || ("Content-Type".to_owned(), "application/json".to_owned());
        let bearer = |token: String| ("Authorization".to_owned(), format!("Bearer {token}"));
        if let Some(file) = &self.slack_url_file {
            let url = secret("--slack-url-file", file)?;
            all.push(Told { who: "Slack", url, headers: vec![json()], shape: Shape::Slack });
        }
        if let (Some(repository), Some(file)) = (&self.github, &self.github_token_file) {
            let whole = repository.split('/').count() == 2 && repository.split('/').all(|part| !part.is_empty());
            if !whole {
                return Err(Failure::usage(format!("--github: '{repository}' is no repository: write OWNER/REPO")));
            }
            let url = format!("{}/repos/{repository}/dispatches", self.github_api.trim_end_matches('/'));
            let accept = ("Accept".to_owned(), "application/vnd.github+json".to_owned());
            let headers = vec![json(), accept, bearer(secret("--github-token-file", file)?)];
            all.push(Told { who: "GitHub", url, headers, shape: Shape::GitHub });
        }
        if let Some(url) = &self.webhook {
            let mut headers = vec![json()];
            if let Some(file) = &self.webhook_token_file {
                headers.push(bearer(secret("--webhook-token-file", file)?));
            }
            all.push(Told { who: "the webhook", url: url.clone(), headers, shape: Shape::Plain });
        }
        for told in &all {
            crate::outside::fetch::parsed(&told.url)
                .map_err(|error| Failure::usage(format!("{} can't be told: {error}", told.who)))?;
        }
        Ok(all)
    }

    /// What was asked for, as it was written.
    fn named(&self) -> String {
        let file = || self.file.as_ref().map(|file| file.display().to_string());
        self.load_test.clone().or_else(file).unwrap_or_default()
    }

    fn test(&self) -> Result<Test, Failure> {
        match (&self.load_test, &self.file) {
            (Some(name), _) => resource(name),
            (None, Some(path)) => {
                let read = run::read_file(Some(path.as_path()))?;
                let (name, text) = read.ok_or_else(|| Failure::usage(format!("{} can't be read", path.display())))?;
                Ok(Test { name, text, workers: None, search: None, mounted: None })
            }
            (None, None) => Err(Failure::usage("name a test: TEST.yaml or --load-test NAMESPACE/NAME")),
        }
    }
}

fn secret(flag: &str, file: &Path) -> Result<String, Failure> {
    let text = std::fs::read_to_string(file)
        .map_err(|error| Failure::usage(format!("{flag}: {} can't be read: {error}", file.display())))?;
    match text.trim() {
        "" => Err(Failure::usage(format!("{flag}: {} is empty", file.display()))),
        text => Ok(text.to_owned()),
    }
}

fn resource(name: &str) -> Result<Test, Failure> {
    let Some((namespace, own)) = name.split_once('/') else {
        return Err(Failure::usage(format!("--load-test {name}: write NAMESPACE/NAME")));
    };
    runtime()?.block_on(async {
        let cluster = kube::client::cluster(None).await.map_err(Failure::not_carried_out)?;
        let written = kube::resource::written(&cluster.client, namespace, own).await;
        let Written { text, workers, capacity } = written.map_err(Failure::not_carried_out)?;
        let search =
            capacity.map(|Capacity { max, precision, budget }| Search { max, precision, budget, ..Search::default() });
        // Its files are NAME/KEY from here, not from a folder of its namespace.
        let mounted = Some(PathBuf::from("."));
        Ok(Test { name: own.to_owned(), text, workers: workers.map(|workers| workers as usize), search, mounted })
    })
}

/// Sends a notice. By night nobody tries again: what may pass is tried three times.
async fn send(notice: &Notice) -> Result<(), String> {
    let mut tries = 1;
    loop {
        match notify::send(notice).await {
            // What it was told it does not take now either.
            Err(why) if tries < TRIES && (!why.contains("status 4") || why.contains("status 429")) => {
                output::complain(&format!("{why}: trying again"));
                tokio::time::sleep(PAUSE * tries).await;
                tries += 1;
            }
            told => return told,
        }
    }
}

/// Tells everybody, and says afterwards who could not be told.
fn tell(news: &News, notices: &[Told]) -> Result<(), Failure> {
    let mut failed = Vec::new();
    for told in notices {
        let body = match told.shape {
            Shape::Slack => json!({"text": news.text()}),
            Shape::GitHub => json!({"event_type": "loadgrid", "client_payload": news.json()}),
            Shape::Plain => news.json(),
        };
        let notice = Notice {
            url: told.url.clone(),
            method: "POST".to_owned(),
            headers: told.headers.clone(),
            params: Vec::new(),
            body: Some(body.to_string()),
        };
        match runtime()?.block_on(send(&notice)) {
            Ok(()) => output::complain(&format!("{} was told", told.who)),
            Err(why) => failed.push(format!("{} was not told: {why}", told.who)),
        }
    }
    if failed.is_empty() { Ok(()) } else { Err(Failure::not_carried_out(failed.join("; "))) }
}
