//! Every example runs against the demo service and passes: what is shown has been tried.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use loadgrid_tests::program::{Done, Running, bin};
use loadgrid_tests::{alone, scratch};

/// Tests of a reader's own service: they are planned, and nothing is sent.
const OF_OWN_SERVICES: [&str; 1] = ["start.yaml"];

/// The addresses that examples speak to, as far as they are replaced.
const PLAIN: &str = ":8080";
const SECURE: &str = ":8443";

/// The folder in which an example looks for the demo service's authority.
const CERTIFICATES: &str = "certs-demo";

#[test]
fn every_example_runs_against_the_demo_service_and_passes() {
    let _alone = alone();
    let dir = scratch("examples");
    let target = Target::start(&dir.join(CERTIFICATES));
    copy(&originals(), &dir, &target);
    let mut tried = 0;
    let mut wrong = Vec::new();
    // Whatever stands at the top is tried, listed or not; folders hold what the examples read.
    for file in files(&dir).into_iter().filter(|file| file.extension().is_some_and(|end| end == "yaml")) {
        tried += 1;
        if let Err(why) = attempt(&file) {
            wrong.push(format!("{}: {why}", name(&file)));
        }
    }
    assert!(wrong.is_empty(), "{} of {tried} examples:\n{}", wrong.len(), wrong.join("\n"));
    assert!(tried > OF_OWN_SERVICES.len(), "there are examples");
}

/// How an example is run is seen from what it is.
fn attempt(file: &Path) -> Result<(), String> {
    let text = fs::read_to_string(file).map_err(|error| error.to_string())?;
    let has = |start: &str| text.lines().any(|line| line.starts_with(start));
    if has("kind: LoadTest") {
        return if OF_OWN_SERVICES.contains(&name(file).as_str()) { planned(file) } else { load_test(file) };
    }
    if has("tasks:") {
        return iter8(file, "launch", &[]);
    }
    if has("spec:") {
        // The result goes into the file, which is a copy.
        return iter8(file, "run", &["-f".to_owned(), path(file)]);
    }
    Err("neither a LoadTest, nor values or an experiment of Iter8: what an example reads belongs into a folder".into())
}

fn planned(file: &Path) -> Result<(), String> {
    let done = loadgrid(file, &["run".to_owned(), path(file), "--dry-run".to_owned()]);
    ended(&done, "its plan")?;
    if done.stdout.contains("Nothing was sent") { Ok(()) } else { Err(format!("no plan: {done:#?}")) }
}

fn load_test(file: &Path) -> Result<(), String> {
    let done = loadgrid(file, &["run".to_owned(), path(file), "-q".to_owned(), "-o".to_owned(), "json".to_owned()]);
    ended(&done, "its run")?;
    let report = done.report();
    let counts = |field: &str| report["load"][field].as_u64();
    let account = (counts("errors"), counts("dropped"), counts("lost"));
    if report["verdict"] != "pass" || account != (Some(0), Some(0), Some(0)) {
        let (verdict, reasons) = (&report["verdict"], &report["reasons"]);
        return Err(format!("verdict {verdict}, (errors, dropped, lost) {account:?}, {reasons}"));
    }
    match report["slos"].as_array() {
        Some(slos) if !slos.is_empty() => Ok(()),
        _ => Err("an example without objectives says nothing of its target: give it some".into()),
    }
}

/// Runs what is Iter8's, and asserts what its result says. `place` is where that is; none: in its group.
fn iter8(file: &Path, command: &str, place: &[String]) -> Result<(), String> {
    let group = ["-g".to_owned(), "example".to_owned()];
    let words = |command: &str, more: &[String]| [&["iter8".to_owned(), command.to_owned()][..], more].concat();
    let (run, place) = match place {
        [] => ([&["-f".to_owned(), path(file)][..], &group].concat(), &group[..]),
        place => (place.to_vec(), place),
    };
    ended(&loadgrid(file, &words(command, &run)), command)?;
    let conditions = ["-c".to_owned(), "completed,nofailure,slos".to_owned()];
    ended(&loadgrid(file, &words("assert", &[place, &conditions].concat())), "assert")?;
    let report = loadgrid(file, &words("report", place));
    ended(&report, "report")?;
    if report.stdout.contains("| true") { Ok(()) } else { Err(format!("no objective in its report: {report:#?}")) }
}

/// Runs `loadgrid` beside the example, and keeps what it stores there too.
fn loadgrid(file: &Path, args: &[String]) -> Done {
    let dir = file.parent().expect("a folder");
    let mut command = Command::new(bin("loadgrid"));
    command.current_dir(dir).env("XDG_STATE_HOME", dir.join("state")).args(args);
    Running::spawn(command).wait()
}

fn ended(done: &Done, what: &str) -> Result<(), String> {
    if done.code == Some(0) { Ok(()) } else { Err(format!("{what} ended with {:?}: {done:#?}", done.code)) }
}

fn originals() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples")
}

/// Copies a folder with all that is in it; what is text speaks to the target.
fn copy(from: &Path, to: &Path, target: &Target) {
    fs::create_dir_all(to).expect("a folder");
    for path in files(from) {
        let copied = to.join(name(&path));
        if path.is_dir() {
            // What a demo service made beside the originals is not this one's.
            if !path.ends_with(CERTIFICATES) {
                copy(&path, &copied, target);
            }
            continue;
        }
        let bytes = fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let bytes = match String::from_utf8(bytes) {
            Ok(text) => text.replace(PLAIN, &port(target.plain)).replace(SECURE, &port(target.secure)).into_bytes(),
            Err(binary) => binary.into_bytes(),
        };
        fs::write(&copied, bytes).expect("written");
    }
}

fn port(address: SocketAddr) -> String {
    format!(":{}", address.port())
}

/// What is in a folder, in the order of names.
fn files(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).unwrap_or_else(|error| panic!("{}: {error}", dir.display()));
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    paths.sort();
    paths
}

fn name(path: &Path) -> String {
    path.file_name().expect("a name").to_string_lossy().into_owned()
}

fn path(path: &Path) -> String {
    path.display().to_string()
}

/// The demo service as the examples' readers start it, on free ports.
struct Target {
    child: Child,
    plain: SocketAddr,
    secure: SocketAddr,
}

impl Target {
    /// Starts it; it listens when this returns, and its authority is in the folder.
    fn start(certificates: &Path) -> Self {
        let mut command = Command::new(bin("loadgrid"));
        command.args(["demo-service", "--listen", "127.0.0.1:0", "--tls", "127.0.0.1:0", "--tls-dir"]);
        let mut child =
            command.arg(certificates).stdin(Stdio::null()).stdout(Stdio::piped()).spawn().expect("the demo service");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("piped")).read_line(&mut line).expect("its first line");
        let address = |scheme: &str| -> SocketAddr {
            let address = line.split(scheme).nth(1).and_then(|rest| rest.split_whitespace().next());
            address.and_then(|address| address.parse().ok()).unwrap_or_else(|| panic!("no {scheme} in {line}"))
        };
        let (plain, secure) = (address("http://"), address("https://"));
        Target { child, plain, secure }
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
