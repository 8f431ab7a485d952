//! A real Kubernetes API server with real kubectl and helm, as `tests/cluster/up` starts it. It does not know what is
//! asked of it.
//!
//! No controller and no node runs: what a controller would make (endpoints, pods of a Deployment), tests make or do
//! without. Where its programs weren't made, the test fails, unless LOADGRID_TESTS_MAY_SKIP is set: then it is said
//! loudly, and start returns None.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::program::{Done, Running};
use crate::scratch;

/// What a script exits with where something can't be had.
const ABSENT: i32 = 3;
/// No new kind takes longer to be served.
const SERVED: Duration = Duration::from_secs(60);

/// An API server with its etcd, on ports of loopback. Dropping it ends both and removes their folder; they end with
/// this process too, however it ends.
pub struct Cluster {
    /// `up --hold`, which ends with its stdin.
    holder: Child,
    dir: PathBuf,
    programs: PathBuf,
    files: AtomicU64,
}

impl Cluster {
    /// One that is ready.
    pub fn start() -> Option<Self> {
        static STARTED: AtomicU64 = AtomicU64::new(0);
        let programs = programs()?;
        let dir = scratch(&format!("cluster-{}", STARTED.fetch_add(1, Ordering::SeqCst)));
        // Beside the folder, which must be empty.
        let stderr = dir.with_extension("stderr");
        let mut command = Command::new(script("up"));
        command.arg(&dir).arg("--hold").stdin(Stdio::piped()).stdout(Stdio::piped());
        command.stderr(File::create(&stderr).expect("a file for its stderr"));
        let mut holder = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let mut line = String::new();
        BufReader::new(holder.stdout.take().expect("piped")).read_line(&mut line).expect("its first line");
        let said = fs::read_to_string(&stderr).expect("its stderr");
        let _ = fs::remove_file(stderr);
        // From here on, dropping ends it.
        let cluster = Cluster { holder, dir, programs, files: AtomicU64::new(0) };
        assert!(line.starts_with("KUBECONFIG="), "no cluster: {said}");
        Some(cluster)
    }

    /// One for all tests of a program. Each test should use a namespace of its own.
    pub fn shared() -> Option<&'static Self> {
        static SHARED: OnceLock<Option<Cluster>> = OnceLock::new();
        SHARED.get_or_init(Cluster::start).as_ref()
    }

    /// Of a user who may do everything.
    pub fn kubeconfig(&self) -> PathBuf {
        self.dir.join("admin.kubeconfig")
    }

    /// PEM file of the CA that signed the server's certificate.
    pub fn ca(&self) -> PathBuf {
        self.dir.join("ca.crt")
    }

    /// `https://address:port`.
    pub fn url(&self) -> String {
        let text = fs::read_to_string(self.kubeconfig()).expect("the kubeconfig");
        let url = text.lines().find_map(|line| line.trim().strip_prefix("server: "));
        url.unwrap_or_else(|| panic!("no server in {text}")).to_owned()
    }

    /// The kubeconfig of a user who is known by a client certificate and may do nothing yet.
    pub fn user(&self, name: &str, groups: &[&str]) -> PathBuf {
        let mut command = Command::new(script("user"));
        command.arg(&self.dir).arg(name).args(groups);
        let stdout = ended(command).unwrap_or_else(|error| panic!("{error}"));
        let path = stdout.trim().strip_prefix("KUBECONFIG=").unwrap_or_else(|| panic!("no kubeconfig in {stdout}"));
        PathBuf::from(path)
    }

    /// A new namespace with its ServiceAccount `default`, which a controller would make.
    pub fn namespace(&self, name: &str) {
        self.kubectl(&["create", "namespace", name]);
        self.kubectl(&["create", "serviceaccount", "default", "-n", name]);
    }

    /// Runs kubectl as the user who may do everything. Its stdout.
    pub fn kubectl(&self, args: &[&str]) -> String {
        self.kubectl_as(&self.kubeconfig(), args).unwrap_or_else(|error| panic!("kubectl {args:?}: {error}"))
    }

    /// Runs kubectl as anyone: its stdout, or its stderr where it failed.
    pub fn kubectl_as(&self, kubeconfig: &Path, args: &[&str]) -> Result<String, String> {
        ended(self.command("kubectl", kubeconfig, args))
    }

    /// Runs helm as the user who may do everything. Its stdout.
    pub fn helm(&self, args: &[&str]) -> String {
        self.helm_as(&self.kubeconfig(), args).unwrap_or_else(|error| panic!("helm {args:?}: {error}"))
    }

    /// Runs helm as anyone: its stdout, or its stderr where it failed.
    pub fn helm_as(&self, kubeconfig: &Path, args: &[&str]) -> Result<String, String> {
        ended(self.command("helm", kubeconfig, args))
    }

    /// Applies objects.
    pub fn apply(&self, yaml: &str) -> String {
        self.apply_as(&self.kubeconfig(), yaml).unwrap_or_else(|error| panic!("{error}, in:\n{yaml}"))
    }

    /// Applies objects as anyone: what kubectl said, or its stderr where it failed.
    pub fn apply_as(&self, kubeconfig: &Path, yaml: &str) -> Result<String, String> {
        let path = self.dir.join(format!("applied-{}.yaml", self.files.fetch_add(1, Ordering::SeqCst)));
        fs::write(&path, yaml).expect("written");
        self.kubectl_as(kubeconfig, &["apply", "-f", &path.display().to_string()])
    }

    /// Installs a CustomResourceDefinition of `tests/cluster`, such as `knative-service`, which is served when this
    /// returns. A second time changes nothing.
    pub fn install(&self, name: &str) {
        let path = script(&format!("{name}-crd.yaml"));
        let path = path.display().to_string();
        self.kubectl(&["apply", "--server-side", "-f", &path]);
        self.kubectl(&["wait", "--for=condition=Established", "--timeout=60s", "-f", &path]);
        let kind = self.kubectl(&["get", "-f", &path, "-o", "jsonpath={.metadata.name}"]);
        // The condition is set a moment before discovery names the kind and objects are taken.
        let until = Instant::now() + SERVED;
        while let Err(error) = self.kubectl_as(&self.kubeconfig(), &["get", &kind, "-A"]) {
            assert!(Instant::now() < until, "{kind} is not served: {error}");
        }
    }

    /// kubectl or helm, which finds nothing of whoever runs the tests.
    pub fn command<S: AsRef<OsStr>>(&self, program: &str, kubeconfig: &Path, args: &[S]) -> Command {
        let mut command = Command::new(self.programs.join(program));
        command.args(args).env("KUBECONFIG", kubeconfig).env("HOME", &self.dir);
        for name in ["XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME"] {
            command.env(name, self.dir.join("home"));
        }
        command
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        drop(self.holder.stdin.take());
        let _ = self.holder.wait();
        let _ = fs::remove_dir_all(&self.dir);
    }
}

/// A file of `tests/cluster`.
fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("cluster").join(name)
}

/// The folder of the programs.
fn programs() -> Option<PathBuf> {
    let mut command = Command::new(script("tools"));
    command.arg("--have");
    // Not as `ended` does: it is the cache of whoever runs the tests.
    let made = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let said = String::from_utf8_lossy(&made.stderr);
    if made.status.code() == Some(ABSENT) {
        let may_skip = std::env::var_os("LOADGRID_TESTS_MAY_SKIP").is_some_and(|value| !value.is_empty());
        assert!(may_skip, "{said}or set LOADGRID_TESTS_MAY_SKIP=1 to do without these tests");
        // Past the capture of the test's output: a test that was left out must be seen.
        let _ = writeln!(std::io::stderr(), "\n== SKIPPED, NOT TESTED: {said}");
        return None;
    }
    assert!(made.status.success(), "{made:?}");
    Some(PathBuf::from(String::from_utf8_lossy(&made.stdout).trim()))
}

/// Stdout of a command, or stderr where it failed.
fn ended(command: Command) -> Result<String, String> {
    match Running::spawn(command).wait() {
        Done { code: Some(0), stdout, .. } => Ok(stdout),
        Done { stderr, .. } => Err(stderr),
    }
}

#[cfg(test)]
mod tests;
