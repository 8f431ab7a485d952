//! Servers that others wrote: nginx, nghttpd and a gRPC server in Python as targets, an S3 in Python for stores. It
//! does not know what is asked of them.
//!
//! Each answers when its start returns, and ends when it is dropped, with its folder. What isn't installed fails the
//! test, unless LOADGRID_TESTS_MAY_SKIP is set: then it is said loudly, and start returns None.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::program::bin;
use crate::scratch;

/// No server takes longer to answer, or to end.
const PATIENCE: Duration = Duration::from_secs(20);
/// Another process can take a port between its choice and its use.
const TRIES: u32 = 3;
/// The body of the file `/large`, bytes.
pub const LARGE: usize = 1 << 20;

/// Certificate and key of a server, and whose clients it serves.
#[derive(Clone, Debug)]
pub struct Certificates {
    pub certificate: PathBuf,
    pub key: PathBuf,
    /// Clients must show a certificate of this CA.
    pub client_ca: Option<PathBuf>,
}

impl Certificates {
    /// Those that `loadgrid certs` makes: `ca.pem` for clients to trust, `worker.pem` and `worker.key` for them to
    /// show.
    pub fn make(dir: &Path) -> Self {
        let made = Command::new(bin("loadgrid")).arg("certs").arg(dir).output().expect("loadgrid certs");
        assert!(made.status.success(), "{made:?}");
        Certificates { certificate: dir.join("coordinator.pem"), key: dir.join("coordinator.key"), client_ca: None }
    }

    pub fn with_client_ca(self, ca: PathBuf) -> Self {
        Certificates { client_ca: Some(ca), ..self }
    }
}

/// How nginx serves.
#[derive(Clone, Debug, Default)]
pub struct NginxOptions {
    /// Without them there is no TLS port.
    pub certificates: Option<Certificates>,
    /// Requests after which it closes a connection, over HTTP/2 with GOAWAY.
    pub keepalive_requests: Option<u32>,
    /// Open streams of an HTTP/2 connection that it allows. Its default is 128.
    pub streams: Option<u32>,
}

/// nginx, on a port for each protocol. `/` answers `hello world`, `/echo` with what it understood, `/404`, `/500` and
/// `/503` with that status, `/moved` with a redirect to `/`, `/large` with a file of [`LARGE`] bytes.
pub struct Nginx {
    pub http1: SocketAddr,
    /// HTTP/2 without TLS and without upgrade; nothing else is spoken here.
    pub h2c: SocketAddr,
    /// HTTP/2 and HTTP/1.1, as ALPN agrees. A client without the certificate that is asked for gets status 400.
    pub tls: Option<SocketAddr>,
    status: SocketAddr,
    status_queries: AtomicU64,
    process: Process,
}

impl Nginx {
    pub fn start(options: &NginxOptions) -> Option<Self> {
        let program = program("nginx", "apt-get install nginx-light")?;
        let certificates = options.certificates.as_ref();
        Some(retried(|| {
            let [http1, h2c, tls, status] = free();
            let dir = folder("nginx");
            fs::write(dir.join("nginx.conf"), configuration(options, &dir, [http1, h2c, tls, status]))
                .expect("written");
            let mut command = Command::new(&program);
            command.arg("-p").arg(&dir).arg("-c").arg(dir.join("nginx.conf"));
            let process = Process::spawn(command, dir);
            let tls = certificates.map(|_| tls);
            let mut nginx = Nginx { http1, h2c, tls, status, status_queries: AtomicU64::new(0), process };
            // Its path has this instance's name: an answer to it is no other server's.
            nginx.process.await_event(|dir| get(status, &nginx_status_path(dir)).ok())?;
            nginx.status_queries.store(1, Ordering::SeqCst);
            Ok(nginx)
        }))
    }

    /// Connections that it accepted, on all ports.
    pub fn connections(&self) -> u64 {
        self.counted(0)
    }

    /// Requests that it began to read, on all ports.
    pub fn requests(&self) -> u64 {
        self.counted(2)
    }

    /// A line for each request that is answered: protocol, method, path, status, number of the connection, and number
    /// of the request on it from 1.
    pub fn log(&self) -> Vec<String> {
        // It is one loop: after an answer to this, what was answered before is written.
        self.counted(0);
        let text = fs::read_to_string(self.process.dir.join("access.log")).expect("the log");
        text.lines().map(str::to_owned).collect()
    }

    /// One of the totals that the status page lists (accepted, handled, requests), without those of such queries.
    fn counted(&self, which: usize) -> u64 {
        let own = self.status_queries.fetch_add(1, Ordering::SeqCst) + 1;
        let page = get(self.status, &nginx_status_path(&self.process.dir)).expect("the status page");
        let totals = page.lines().find(|line| line.starts_with(' ')).unwrap_or_else(|| panic!("no totals in {page}"));
        let total: u64 = totals.split_whitespace().nth(which).and_then(|word| word.parse().ok()).expect("a total");
        total - own
    }
}

fn nginx_status_path(dir: &Path) -> String {
    format!("/{}", dir.file_name().expect("a name").to_string_lossy())
}

fn configuration(options: &NginxOptions, dir: &Path, [http1, h2c, tls, status]: [SocketAddr; 4]) -> String {
    let keepalive = options.keepalive_requests.unwrap_or(1_000_000_000);
    let streams = options.streams.unwrap_or(128);
    let path = nginx_status_path(dir);
    let dir = dir.display();
    fs::write(format!("{dir}/large"), vec![b'x'; LARGE]).expect("written");
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .iter()
        .map(|what| format!("{what}_temp_path {dir}/{what};\n"))
        .collect();
    let locations = format!(
        "root {dir};\nlocation / {{ return 200 'hello world'; }}\nlocation = /large {{ }}\n\
         location = /echo {{ return 200 '$server_protocol $request_method $request_uri host=$host \
         agent=$http_user_agent client=$ssl_client_s_dn'; }}\nlocation = /moved {{ return 302 /; }}\n\
         location = /404 {{ return 404; }}\nlocation = /500 {{ return 500; }}\nlocation = /503 {{ return 503; }}\n"
    );
    let secure = options.certificates.as_ref().map_or(String::new(), |files| {
        let (certificate, key) = (files.certificate.display(), files.key.display());
        let verify = files
            .client_ca
            .as_ref()
            .map_or(String::new(), |ca| format!("ssl_verify_client on; ssl_client_certificate {};\n", ca.display()));
        format!(
            "server {{ listen {tls} ssl http2 backlog=4096; ssl_certificate {certificate}; ssl_certificate_key {key};\n\
             ssl_protocols TLSv1.2 TLSv1.3;\n{verify}{locations} }}\n"
        )
    });
    // `listen … http2` is understood by all versions; `http2 on` only from 1.25.1. One process: a signal ends all of it.
    format!(
        "daemon off; master_process off; pid {dir}/nginx.pid; error_log stderr error;\n\
         events {{ worker_connections 4096; }}\n\
         http {{\nlog_format short '$server_protocol $request_method $request_uri $status $connection \
         $connection_requests';\naccess_log {dir}/access.log short;\n{temporary}\
         keepalive_requests {keepalive}; keepalive_timeout 600; client_body_buffer_size 1m;\n\
         http2_max_concurrent_streams {streams};\n\
         server {{ listen {http1} backlog=4096;\n{locations} }}\n\
         server {{ listen {h2c} http2 backlog=4096;\n{locations} }}\n{secure}\
         server {{ listen {status}; access_log off; location = {path} {{ stub_status; }} }}\n}}\n"
    )
}

/// nghttpd: HTTP/2 without TLS. `/` answers `hello world`, `/large` with a file of [`LARGE`] bytes, a POST with its
/// body.
pub struct Nghttpd {
    pub address: SocketAddr,
    _process: Process,
}

impl Nghttpd {
    /// It allows so many open streams of a connection.
    pub fn start(streams: u32) -> Option<Self> {
        let program = program("nghttpd", "apt-get install nghttp2-server")?;
        Some(retried(|| {
            let [address] = free();
            let dir = folder("nghttpd");
            fs::write(dir.join("index.html"), "hello world").expect("written");
            fs::write(dir.join("large"), vec![b'x'; LARGE]).expect("written");
            let mut command = Command::new(&program);
            command.args(["--no-tls", "--echo-upload", "-a", "127.0.0.1", "-m", &streams.to_string(), "-d"]);
            command.arg(&dir).arg(address.port().to_string());
            let mut process = Process::spawn(command, dir);
            process.await_event(|_| TcpStream::connect(address).ok())?;
            Ok(Nghttpd { address, _process: process })
        }))
    }
}

/// How the gRPC server serves.
#[derive(Clone, Debug)]
pub struct RouteGuideOptions {
    pub certificates: Option<Certificates>,
    /// `both`, `v1`, `v1alpha` or `none`: the versions of reflection.
    pub reflection: &'static str,
}

impl Default for RouteGuideOptions {
    fn default() -> Self {
        RouteGuideOptions { certificates: None, reflection: "both" }
    }
}

/// The server of `tests/targets/route_guide.py`.
pub struct RouteGuide {
    pub address: SocketAddr,
    stdout: BufReader<ChildStdout>,
    process: Process,
}

impl RouteGuide {
    pub fn start(options: &RouteGuideOptions) -> Option<Self> {
        let mut command = Command::new(python()?);
        command.arg(targets().join("route_guide.py")).args(["--port", "0", "--reflection", options.reflection]);
        if let Some(files) = &options.certificates {
            command.arg("--tls").arg(&files.certificate).arg(&files.key);
            if let Some(ca) = &files.client_ca {
                command.arg("--client-ca").arg(ca);
            }
        }
        let mut process = Process::spawn(command, folder("route-guide"));
        let mut stdout = BufReader::new(process.child.stdout.take().expect("piped"));
        let mut line = String::new();
        stdout.read_line(&mut line).expect("its first line");
        let port: u16 = line.trim().parse().unwrap_or_else(|_| panic!("no port in '{line}': {}", process.said()));
        Some(RouteGuide { address: SocketAddr::from(([127, 0, 0, 1], port)), stdout, process })
    }

    /// Ends it. What it counted, by method: `calls`, `received`, `sent` (messages) and `cancelled`.
    pub fn stop(mut self) -> Value {
        let pid = Pid::from_raw(self.process.child.id() as i32).expect("a process number");
        kill_process(pid, Signal::TERM).expect("the process is there");
        let mut text = String::new();
        self.stdout.read_to_string(&mut text).expect("what it counted");
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("no counts ({error}) in '{text}'"))
    }
}

/// The server of `tests/targets/s3.py`: an S3 in memory, which takes any credentials.
pub struct S3 {
    pub address: SocketAddr,
    _process: Process,
}

impl S3 {
    pub fn start() -> Option<Self> {
        let mut command = Command::new(python()?);
        command.arg(targets().join("s3.py"));
        let mut process = Process::spawn_held(command, folder("s3"));
        let mut line = String::new();
        BufReader::new(process.child.stdout.take().expect("piped")).read_line(&mut line).expect("its first line");
        let port: u16 = line.trim().parse().unwrap_or_else(|_| panic!("no port in '{line}': {}", process.said()));
        Some(S3 { address: SocketAddr::from(([127, 0, 0, 1], port)), _process: process })
    }

    /// Puts an object (`bucket/key`), or makes a bucket where there is no key.
    pub fn put(&self, path: &str, body: &str) {
        let mut stream = TcpStream::connect(self.address).expect("it listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        let length = body.len();
        // Whoever signs nothing is somebody else to it: the bucket is not theirs.
        let signed = "Authorization: AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/s3/aws4_request, \
                      SignedHeaders=host, Signature=0\r\n";
        let head =
            format!("PUT /{path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{signed}Content-Length: {length}\r\n\r\n");
        stream.write_all((head + body).as_bytes()).expect("sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        assert!(answer.contains(" 200 OK"), "{answer}");
    }
}

/// Where the protos and scripts of the targets are.
pub fn targets() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("targets")
}

/// The Python that has what `tests/targets/requirements.txt` names: that of LOADGRID_TESTS_PYTHON, or what tests/run
/// made.
fn python() -> Option<PathBuf> {
    let made = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/test-venv/bin/python");
    let path = std::env::var_os("LOADGRID_TESTS_PYTHON").map_or(made, PathBuf::from);
    if path.exists() { Some(path) } else { missing(&path.display().to_string(), "tests/run, which makes it") }
}

/// A program of the system, also where only root looks.
pub(crate) fn program(name: &str, how: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let dirs = std::env::split_paths(&path).chain(["/usr/sbin", "/usr/local/sbin"].map(PathBuf::from));
    dirs.map(|dir| dir.join(name)).find(|path| path.is_file()).or_else(|| missing(name, how))
}

fn missing<T>(name: &str, how: &str) -> Option<T> {
    let may_skip = std::env::var_os("LOADGRID_TESTS_MAY_SKIP").is_some_and(|value| !value.is_empty());
    assert!(may_skip, "{name} is not installed: {how}; or set LOADGRID_TESTS_MAY_SKIP=1 to do without these tests");
    // Past the capture of the test's output: a test that was left out must be seen.
    let _ = writeln!(std::io::stderr(), "\n== SKIPPED, NOT TESTED: {name} is not installed; get it with: {how}\n");
    None
}

/// Ports of loopback that are free, all different.
fn free<const N: usize>() -> [SocketAddr; N] {
    let held = [(); N].map(|()| TcpListener::bind("127.0.0.1:0").expect("a free port"));
    held.map(|listener| listener.local_addr().expect("bound"))
}

/// A folder that no other server of this process has.
pub(crate) fn folder(name: &str) -> PathBuf {
    static STARTED: AtomicU64 = AtomicU64::new(0);
    scratch(&format!("{name}-{}", STARTED.fetch_add(1, Ordering::SeqCst)))
}

/// Starts a server on other ports if it does not come up on these.
fn retried<T>(mut start: impl FnMut() -> Result<T, String>) -> T {
    let mut said = String::new();
    for _ in 0..TRIES {
        match start() {
            Ok(server) => return server,
            Err(error) => said = error,
        }
    }
    panic!("{said}")
}

/// Body of a page over HTTP/1.1, on a connection of its own.
fn get(address: SocketAddr, path: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").as_bytes())?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    match text.split_once("\r\n\r\n") {
        Some((head, body)) if head.starts_with("HTTP/1.1 200") => Ok(body.to_owned()),
        _ => Err(std::io::Error::other(text)),
    }
}

/// A server's process and its folder. Dropping it ends the one and removes the other.
struct Process {
    child: Child,
    dir: PathBuf,
}

impl Process {
    fn spawn(mut command: Command, dir: PathBuf) -> Self {
        command.stdin(Stdio::null());
        Process::with_stdin(command, dir)
    }

    /// One that ends with its stdin, so that it outlives this process in no case.
    fn spawn_held(mut command: Command, dir: PathBuf) -> Self {
        command.stdin(Stdio::piped());
        Process::with_stdin(command, dir)
    }

    fn with_stdin(mut command: Command, dir: PathBuf) -> Self {
        let stderr = File::create(dir.join("stderr")).expect("a file for its stderr");
        command.stdout(Stdio::piped()).stderr(stderr);
        let child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        Process { child, dir }
    }

    /// Waits until this gives something. An error is what the process said: it ended, or took too long.
    fn await_event<T>(&mut self, mut event: impl FnMut(&Path) -> Option<T>) -> Result<T, String> {
        let until = Instant::now() + PATIENCE;
        while Instant::now() < until {
            let found = event(&self.dir);
            if let Some(status) = self.child.try_wait().expect("a child") {
                return Err(format!("it ended ({status}): {}", self.said()));
            }
            if let Some(found) = found {
                return Ok(found);
            }
            thread::park_timeout(Duration::from_millis(5));
        }
        Err(format!("it never answered: {}", self.said()))
    }

    fn said(&self) -> String {
        fs::read_to_string(self.dir.join("stderr")).unwrap_or_default()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.dir);
    }
}

#[cfg(test)]
mod tests;
