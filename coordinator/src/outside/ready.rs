//! Waiting until a target is there: conditions that are polled before a load starts. What starts after them, and what
//! the target does under load, is not known here.

mod health;

use std::fmt;
use std::time::Duration;

use loadgrid_worker::client::secure::Tls;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use super::fetch::{self, Fetch, off_thread, shown};
use crate::spec::units::show_ns;

const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// One try takes no longer.
const TRY_MAX: Duration = Duration::from_secs(2);

/// A try gets so much even where the condition's time is over before.
const TRY_MIN: Duration = Duration::from_millis(250);

/// Pieces of news that have not been told yet.
const NEWS_MAX: usize = 64;

/// What has to hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    /// A GET answers with a status in these bounds, both included. Redirects are answers.
    Http { url: String, status: (u16, u16), tls: Tls },
    /// A connection can be opened.
    Tcp { host: String, port: u16 },
    /// `grpc.health.v1` says SERVING; `""` asks for the server as a whole.
    GrpcHealth { host: String, port: u16, service: String, tls: Option<Tls> },
}

/// A condition and how long it may take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ready {
    pub condition: Condition,
    pub timeout_ns: u64,
}

/// A condition that has come to hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waited {
    /// For people.
    pub condition: String,
    pub waited_ns: u64,
    /// Tries, the successful one included.
    pub attempts: u32,
}

impl fmt::Display for Condition {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Condition::Http { url, .. } => out.write_str(&shown(url)),
            Condition::Tcp { host, port } => write!(out, "tcp {}", authority(host, *port)),
            Condition::GrpcHealth { host, port, service, .. } if service.is_empty() => {
                write!(out, "grpc {}", authority(host, *port))
            }
            Condition::GrpcHealth { host, port, service, .. } => {
                write!(out, "grpc {} service {service}", authority(host, *port))
            }
        }
    }
}

impl fmt::Display for Ready {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} within {}", self.condition, show_ns(self.timeout_ns as f64))
    }
}

/// `host:port`, with the brackets that an IPv6 address needs.
fn authority(host: &str, port: u16) -> String {
    let bare = bare(host);
    if bare.contains(':') { format!("[{bare}]:{port}") } else { format!("{bare}:{port}") }
}

/// A host without the brackets of an IPv6 address.
fn bare(host: &str) -> &str {
    host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host)
}

/// Polls all conditions at the same time until each has held once; answers in their order. `progress` hears what is
/// not ready yet whenever the reason changes, and what has become ready.
///
/// # Errors
/// A sentence: the first condition whose time is over, and the reason of its last try.
pub async fn wait(ready: &[Ready], mut progress: impl FnMut(&str)) -> Result<Vec<Waited>, String> {
    let (news, mut heard) = mpsc::channel(NEWS_MAX);
    let mut polls = JoinSet::new();
    for (place, ready) in ready.iter().cloned().enumerate() {
        let news = news.clone();
        polls.spawn(async move { (place, poll(&ready, &news).await) });
    }
    drop(news);
    let mut waited: Vec<Option<Waited>> = vec![None; ready.len()];
    loop {
        tokio::select! {
            biased;
            Some(line) = heard.recv() => progress(&line),
            done = polls.join_next() => match done {
                None => break,
                Some(Err(_)) => return Err("the program is ending".to_owned()),
                Some(Ok((place, done))) => {
                    if let Some(slot) = waited.get_mut(place) {
                        *slot = Some(done?);
                    }
                }
            },
        }
    }
    // The last task may have told its news and ended between two looks.
    while let Ok(line) = heard.try_recv() {
        progress(&line);
    }
    Ok(waited.into_iter().flatten().collect())
}

async fn poll(ready: &Ready, news: &mpsc::Sender<String>) -> Result<Waited, String> {
    let start = Instant::now();
    let allowed = Duration::from_nanos(ready.timeout_ns);
    let (mut attempts, mut pause, mut last) = (0, FIRST_PAUSE, String::new());
    loop {
        attempts += 1;
        // The first try has its time even where hardly any is allowed, and the last one at the end of it.
        let left = allowed.saturating_sub(start.elapsed());
        let bound = if attempts == 1 { TRY_MAX } else { left.clamp(TRY_MIN, TRY_MAX) };
        let why = match attempt(&ready.condition, bound).await {
            Ok(()) => {
                let waited_ns = u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX);
                tell(news, format!("{} is ready after {}", ready.condition, show_ns(waited_ns as f64))).await;
                return Ok(Waited { condition: ready.condition.to_string(), waited_ns, attempts });
            }
            Err(why) => why,
        };
        // A last try that was cut short tells less than the one before.
        let cut_short = bound < TRY_MAX && why == no_answer(bound) && !last.is_empty();
        if why != last && !cut_short {
            tell(news, format!("{} is not ready yet: {why}", ready.condition)).await;
            last = why;
        }
        let left = allowed.saturating_sub(start.elapsed());
        if left.is_zero() {
            let allowed = show_ns(ready.timeout_ns as f64);
            return Err(format!("{} was not ready in {allowed}: {last}", ready.condition));
        }
        sleep(pause.min(left)).await;
        pause = (pause * 3 / 2).min(LONGEST_PAUSE);
    }
}

async fn tell(news: &mpsc::Sender<String>, line: String) {
    // Nobody listens any more once another condition has failed.
    let _ = news.send(line).await;
}

/// One try, and why it failed.
async fn attempt(condition: &Condition, bound: Duration) -> Result<(), String> {
    match condition {
        Condition::Http { url, status, tls } => http(url, *status, tls.clone(), bound).await,
        Condition::Tcp { host, port } => match timeout(bound, TcpStream::connect((bare(host), *port))).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(io_reason(&error)),
            Err(_) => Err(no_answer(bound)),
        },
        Condition::GrpcHealth { host, port, service, tls } => {
            let asked = health::check(bare(host), *port, service, tls.as_ref());
            timeout(bound, asked).await.unwrap_or_else(|_| Err(no_answer(bound)))
        }
    }
}

async fn http(url: &str, wanted: (u16, u16), tls: Tls, bound: Duration) -> Result<(), String> {
    // Loads use no proxy, and a proxy that answers in the target's stead would prove nothing.
    let fetch = Fetch { timeout: bound, proxies: false, tls, ..Fetch::get(url) };
    let answer = off_thread(move || fetch::status(&fetch)).await?;
    if (wanted.0..=wanted.1).contains(&answer.status) {
        return Ok(());
    }
    let wanted = if wanted.0 == wanted.1 { wanted.0.to_string() } else { format!("{} to {}", wanted.0, wanted.1) };
    Err(format!("{}, wanted {wanted}", answer.status_text()))
}

fn no_answer(bound: Duration) -> String {
    format!("no answer within {}", show_ns(bound.as_nanos() as f64))
}

fn io_reason(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::ConnectionRefused => "connection refused".to_owned(),
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests;
