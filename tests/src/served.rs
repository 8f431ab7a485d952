//! A coordinator in service, its workers, and those who ask it.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::program::{Done, Running, loadgrid};
use crate::scratch;

/// Nothing of a grid takes longer.
const PATIENCE: Duration = Duration::from_secs(30);

/// A served grid with mutual TLS.
pub struct Served {
    pub coordinator: Running,
    pub workers: Vec<Running>,
    pub address: SocketAddr,
    pub http: SocketAddr,
    /// Certificates, store and state.
    pub dir: PathBuf,
    flags: Vec<String>,
}

impl Served {
    /// Certificates and a coordinator on free ports that allows loopback, and so many workers of one lane, which have
    /// joined when this returns.
    pub fn start(name: &str, flags: &[&str], workers: usize) -> Self {
        let dir = scratch(name);
        let certs = dir.join("certs").display().to_string();
        loadgrid(&["certs", &certs, "--name", "localhost", "--name", "127.0.0.1"]).expect_code(0);
        let flags: Vec<String> = flags.iter().map(|flag| (*flag).to_owned()).collect();
        let (coordinator, address, http) = begin(&dir, &flags, "127.0.0.1:0");
        let mut served = Served { coordinator, workers: Vec::new(), address, http, dir, flags };
        for number in 1..=workers {
            served.join(&format!("w{number}"));
        }
        served.await_state("all workers are idle", |state| idle(state) == workers);
        served
    }

    /// One more worker.
    pub fn join(&mut self, name: &str) {
        let url = self.url();
        let certs = self.dir.join("certs").display().to_string();
        let own = ["--coordinator", &url, "--tls-dir", &certs, "--lanes", "1", "--name", name];
        self.workers.push(Running::start("loadgrid-worker", own));
    }

    /// Ends the coordinator at once, as a crash does, and starts another on the same folders and port.
    pub fn crash(&mut self) {
        self.coordinator.kill();
        let (coordinator, address, http) = begin(&self.dir, &self.flags, &self.address.to_string());
        (self.coordinator, self.address, self.http) = (coordinator, address, http);
    }

    pub fn url(&self) -> String {
        format!("https://{}", self.address)
    }

    /// Flags that lead there.
    pub fn flags(&self) -> [String; 4] {
        let certs = self.dir.join("certs").display().to_string();
        ["--grid".to_owned(), self.url(), "--tls-dir".to_owned(), certs]
    }

    /// Starts a command against this grid.
    pub fn begin(&self, args: &[&str]) -> Running {
        let args: Vec<String> = args.iter().map(|arg| (*arg).to_owned()).chain(self.flags()).collect();
        Running::start("loadgrid", args)
    }

    /// Runs one to its end.
    pub fn run(&self, args: &[&str]) -> Done {
        self.begin(args).wait()
    }

    /// A page of the HTTP side: head and body.
    pub fn get(&self, path: &str) -> (String, String) {
        get(self.http, path)
    }

    pub fn state(&self) -> Value {
        serde_json::from_str(&self.get("/api/state").1).expect("JSON")
    }

    /// Waits until the state is as it should be, by the events of the live page.
    pub fn await_state(&self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let mut stream = TcpStream::connect(self.http).expect("the HTTP side listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
        stream.write_all(b"GET /api/events HTTP/1.1\r\nHost: x\r\n\r\n").expect("asked");
        let (until, mut text, mut last) = (Instant::now() + PATIENCE, String::new(), Value::Null);
        let mut bytes = [0; 65536];
        while Instant::now() < until {
            let count = stream.read(&mut bytes).expect("events");
            assert!(count > 0, "the events ended");
            text += &String::from_utf8_lossy(&bytes[..count]);
            while let Some(end) = text.find("\n\n") {
                let event: String = text.drain(..end + 2).collect();
                let Some(data) = event.split("data: ").nth(1) else { continue };
                // A chunk's length stands between events, never within one.
                let Ok(state) = serde_json::from_str(data.trim()) else { continue };
                if wanted(&state) {
                    return state;
                }
                last = state;
            }
        }
        panic!("{what}: never; at last {last:#}");
    }
}

/// Workers that are free.
pub fn idle(state: &Value) -> usize {
    let workers = state["workers"].as_array().expect("workers");
    workers.iter().filter(|worker| worker["state"] == "idle").count()
}

/// A page of a server: head and body.
pub fn get(address: SocketAddr, path: &str) -> (String, String) {
    let mut stream = TcpStream::connect(address).expect("it listens");
    let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).expect("asked");
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("answered");
    let (head, body) = text.split_once("\r\n\r\n").expect("a head and a body");
    (head.to_owned(), body.to_owned())
}

fn begin(dir: &std::path::Path, flags: &[String], listen: &str) -> (Running, SocketAddr, SocketAddr) {
    let path = |name: &str| dir.join(name).display().to_string();
    let (certs, store) = (path("certs"), path("store"));
    let own = ["serve", "--listen", listen, "--http", "127.0.0.1:0", "--tls-dir", &certs, "--store", &store];
    let mut args: Vec<String> = own.iter().map(|arg| (*arg).to_owned()).chain(flags.iter().cloned()).collect();
    if !flags.iter().any(|flag| flag == "--allow") {
        args.extend(["--allow".to_owned(), "127.0.0.1,localhost".to_owned()]);
    }
    let mut coordinator = Running::start("loadgrid", args);
    let address = |line: String| {
        let address = line.split("://").nth(1).and_then(|rest| rest.split_whitespace().next()?.parse().ok());
        address.unwrap_or_else(|| panic!("no address in {line}"))
    };
    let http = address(coordinator.await_stderr("live page"));
    let listen = address(coordinator.await_stderr("waiting for workers and submissions"));
    (coordinator, listen, http)
}
