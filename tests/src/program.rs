//! The programs under test, as processes.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{OnceLock, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::scratch;

/// No program of a test runs longer.
const PATIENCE: Duration = Duration::from_secs(120);

/// Where cargo put the programs: beside the folder of the running test.
pub fn target_dir() -> PathBuf {
    let mut path = std::env::current_exe().expect("own path");
    path.pop();
    if path.ends_with("deps") {
        path.pop();
    }
    path
}

/// A program of this workspace.
pub fn bin(name: &str) -> PathBuf {
    let path = target_dir().join(name);
    assert!(path.exists(), "{} is not built: run `cargo build --workspace` first, or tests/run", path.display());
    path
}

/// What a program left behind.
#[derive(Debug)]
pub struct Done {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Done {
    /// Its stdout as a JSON report.
    pub fn report(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("no report ({error}): {self:#?}"))
    }

    /// Checks the exit code, and shows everything if it is another.
    pub fn expect_code(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{self:#?}");
        self
    }

    /// Checks that stderr says all of these.
    pub fn expect_words(self, words: &[&str]) -> Self {
        for word in words {
            assert!(self.stderr.contains(word), "'{word}' is missing: {self:#?}");
        }
        self
    }
}

/// A program that runs. It is killed when dropped.
pub struct Running {
    child: Child,
    stderr: mpsc::Receiver<String>,
    stderr_seen: String,
    stdout: Option<thread::JoinHandle<String>>,
    pub started: Instant,
}

impl Running {
    /// Starts a program with its stdin closed.
    pub fn start<S: AsRef<OsStr>>(name: &str, args: impl IntoIterator<Item = S>) -> Self {
        let mut command = Command::new(bin(name));
        command.args(args);
        Self::spawn(command)
    }

    /// Starts any command.
    pub fn spawn(mut command: Command) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).env("NO_COLOR", "");
        // Runs are kept; not among those of whoever runs the tests.
        for name in ["XDG_DATA_HOME", "XDG_CACHE_HOME"] {
            if !command.get_envs().any(|(own, _)| own == name) {
                command.env(name, home());
            }
        }
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let (said, stderr) = mpsc::channel();
        let lines = BufReader::new(child.stderr.take().expect("piped"));
        thread::spawn(move || {
            for line in lines.lines().map_while(Result::ok) {
                if said.send(line).is_err() {
                    return;
                }
            }
        });
        let mut pipe = child.stdout.take().expect("piped");
        let stdout = thread::spawn(move || {
            let mut text = String::new();
            let _ = pipe.read_to_string(&mut text);
            text
        });
        Running { child, stderr, stderr_seen: String::new(), stdout: Some(stdout), started: Instant::now() }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(self.child.id() as i32).expect("a process number");
        kill_process(pid, signal).expect("the process is there");
    }

    /// Waits until stderr has a line with this word, and gives the line.
    pub fn await_stderr(&mut self, word: &str) -> String {
        let until = Instant::now() + PATIENCE;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let Ok(line) = self.stderr.recv_timeout(left) else {
                panic!("'{word}' was never said; what was:\n{}", self.stderr_seen);
            };
            self.stderr_seen += &line;
            self.stderr_seen.push('\n');
            if line.contains(word) {
                return line;
            }
        }
    }

    /// Waits for its end.
    pub fn kill(&mut self) {
        self.signal(Signal::KILL);
        self.child.wait().expect("a child");
    }

    pub fn wait(mut self) -> Done {
        let status = self.wait_status();
        let stdout = self.stdout.take().expect("first wait").join().expect("reader");
        while let Ok(line) = self.stderr.recv_timeout(Duration::from_secs(1)) {
            self.stderr_seen += &line;
            self.stderr_seen.push('\n');
        }
        Done { code: status.code(), stdout, stderr: std::mem::take(&mut self.stderr_seen) }
    }

    fn wait_status(&mut self) -> ExitStatus {
        // The reader of stdout ends with the process: that is the event to wait for.
        let until = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().expect("a child") {
                return status;
            }
            assert!(Instant::now() < until, "it never ended; it said:\n{}", self.stderr_seen);
            thread::park_timeout(Duration::from_millis(5));
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Where programs of the tests keep what is kept, unless a test has a place of its own.
fn home() -> &'static Path {
    static HOME: OnceLock<PathBuf> = OnceLock::new();
    HOME.get_or_init(|| scratch("home"))
}

/// Runs `loadgrid` to its end.
pub fn loadgrid(args: &[&str]) -> Done {
    Running::start("loadgrid", args).wait()
}

/// A demo service of its own, on a free port.
pub struct Demo {
    child: Child,
    pub address: SocketAddr,
}

impl Demo {
    /// Starts it; it listens when this returns.
    pub fn start(args: &[&str]) -> Self {
        let mut command = Command::new(bin("loadgrid"));
        command.args(["demo-service", "--listen", "127.0.0.1:0"]).args(args);
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().expect("the demo service");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("piped")).read_line(&mut line).expect("its first line");
        let address = line.split("http://").nth(1).and_then(|rest| rest.split(' ').next());
        let address =
            address.and_then(|address| address.parse().ok()).unwrap_or_else(|| panic!("no address in {line}"));
        Demo { child, address }
    }

    pub fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    /// Requests that it counted itself.
    pub fn requests(&self) -> u64 {
        use std::io::Write;
        let mut stream = std::net::TcpStream::connect(self.address).expect("the demo service listens");
        stream.write_all(b"GET /stats HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").expect("asked");
        let mut text = String::new();
        stream.read_to_string(&mut text).expect("answered");
        let body = text.split("\r\n\r\n").nth(1).expect("a body");
        let stats: Value = serde_json::from_str(body).expect("JSON");
        stats["requests"].as_u64().expect("a count")
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A grid of processes: a coordinator that waits, and its workers.
pub struct Grid {
    pub coordinator: Running,
    pub workers: Vec<Running>,
    pub address: SocketAddr,
}

impl Grid {
    /// A coordinator on a free port with these flags beside `--listen`, and so many plaintext workers of one lane.
    pub fn start(args: &[&str], workers: usize) -> Self {
        let mut coordinator = Self::coordinator(args, workers);
        let address = Self::address(&mut coordinator);
        let workers = (1..=workers).map(|number| Self::worker(address, &format!("w{number}"))).collect();
        Grid { coordinator, workers, address }
    }

    pub fn coordinator(args: &[&str], workers: usize) -> Running {
        let workers = workers.to_string();
        let own = ["run", "--listen", "127.0.0.1:0", "--insecure", "--workers", &workers, "-o", "json"];
        Running::start("loadgrid", own.iter().chain(args))
    }

    /// Where a coordinator says that it listens.
    pub fn address(coordinator: &mut Running) -> SocketAddr {
        let line = coordinator.await_stderr("waiting for");
        let address = line.split("://").nth(1).and_then(|rest| rest.split(' ').next());
        address.and_then(|address| address.parse().ok()).unwrap_or_else(|| panic!("no address in {line}"))
    }

    pub fn worker(address: SocketAddr, name: &str) -> Running {
        let url = format!("http://{address}");
        Running::start(
            "loadgrid-worker",
            ["--coordinator", &url, "--insecure", "--lanes", "1", "--name", name, "--give-up", "30"],
        )
    }
}
