//! A coordinator in service beside a real API server, with the rights, the certificates and the names of an installed
//! chart: tests as resources, readiness, leases, and `--kube` through the API server.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use loadgrid_tests::cluster::Cluster;
use loadgrid_tests::program::{Demo, Running, bin};
use loadgrid_tests::scratch;
use serde_json::Value;

use crate::kubelet;

const NAMESPACE: &str = "e2e";
const CHART: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../charts/loadgrid");

/// The chart, installed, and a coordinator and a worker that run in its stead on this machine.
struct Installed {
    cluster: &'static Cluster,
    dir: PathBuf,
    coordinator: Running,
    _worker: Running,
    address: SocketAddr,
}

impl Installed {
    fn new() -> Option<Self> {
        let cluster = Cluster::shared()?;
        let dir = scratch("installed");
        cluster.install("knative-service");
        cluster.namespace(NAMESPACE);
        let names = "tls.extraNames={127.0.0.1,localhost}";
        cluster.helm(&[
            "install",
            "grid",
            CHART,
            "-n",
            NAMESPACE,
            "--set",
            names,
            "--set",
            "persistence.enabled=false",
        ]);
        for role in ["coordinator", "worker", "operator"] {
            certificates(cluster, role, &dir.join(role));
        }
        let kubeconfig = account(cluster, &dir);
        let path = |name: &str| dir.join(name).display().to_string();
        let mut command = Command::new(bin("loadgrid"));
        command.args([
            "serve",
            "--listen",
            "127.0.0.1:0",
            "--http",
            "127.0.0.1:0",
            "--controller",
            "--namespace",
            NAMESPACE,
        ]);
        command.args([
            "--lease-namespace",
            NAMESPACE,
            "--link",
            "http://grid.example",
            "--tls-dir",
            &path("coordinator"),
        ]);
        command.args(["--store", &path("store"), "--allow", "127.0.0.1,*.svc.cluster.local"]);
        command.env("KUBECONFIG", &kubeconfig).env("POD_NAME", "grid-loadgrid-coordinator-0");
        let mut coordinator = Running::spawn(command);
        let line = coordinator.await_stderr("waiting for workers and submissions");
        let address: SocketAddr = line.split("://").nth(1).unwrap().trim().parse().unwrap();
        let url = format!("https://{address}");
        let own = ["--coordinator", &url, "--tls-dir", &path("worker"), "--lanes", "1", "--name", "w1"];
        let mut worker = Running::start("loadgrid-worker", own);
        worker.await_stderr("joined the coordinator");
        Some(Installed { cluster, dir, coordinator, _worker: worker, address })
    }

    /// A LoadTest's own field.
    fn field(&self, name: &str, path: &str) -> String {
        let path = format!("jsonpath={path}");
        self.cluster.kubectl(&["get", "loadtest", name, "-n", NAMESPACE, "-o", &path])
    }

    fn wait(&self, name: &str, condition: &str) {
        let condition = format!("--for=condition={condition}");
        let resource = format!("loadtest/{name}");
        self.cluster.kubectl(&["wait", &condition, &resource, "-n", NAMESPACE, "--timeout=60s"]);
    }

    fn events(&self) -> String {
        self.cluster.kubectl(&["get", "events.events.k8s.io", "-n", NAMESPACE])
    }
}

/// Lays a role's Secret down as a volume would.
fn certificates(cluster: &Cluster, role: &str, dir: &Path) {
    fs::create_dir_all(dir).unwrap();
    let name = format!("grid-loadgrid-{role}-tls");
    for key in ["ca.crt", "tls.crt", "tls.key"] {
        let template = format!("go-template={{{{index .data \"{key}\" | base64decode}}}}");
        fs::write(dir.join(key), cluster.kubectl(&["get", "secret", &name, "-n", NAMESPACE, "-o", &template])).unwrap();
    }
}

/// A kubeconfig of the coordinator's ServiceAccount, which has the chart's rules and no others.
fn account(cluster: &Cluster, dir: &Path) -> PathBuf {
    let token = cluster.kubectl(&["create", "token", "grid-loadgrid-coordinator", "-n", NAMESPACE]);
    let path = dir.join("kubeconfig");
    let text = format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: own\nclusters: [{{name: c, cluster: {{server: '{}', \
         certificate-authority: '{}'}}}}]\nusers: [{{name: u, user: {{token: {}}}}}]\ncontexts: [{{name: own, context: \
         {{cluster: c, user: u, namespace: {NAMESPACE}}}}}]\n",
        cluster.url(),
        cluster.ca().display(),
        token.trim()
    );
    fs::write(&path, text).unwrap();
    path
}

fn test(name: &str, spec: &str) -> String {
    format!(
        "apiVersion: loadgrid.dev/v1alpha1\nkind: LoadTest\nmetadata: {{name: {name}, namespace: {NAMESPACE}}}\nspec:\n{spec}"
    )
}

/// A Knative service that is at this URL, as Knative would say it.
fn knative(cluster: &Cluster, url: &str) {
    cluster.apply(&format!(
        "apiVersion: serving.knative.dev/v1\nkind: Service\nmetadata: {{name: hello, namespace: {NAMESPACE}}}\nspec: {{}}\n"
    ));
    let status = format!(
        "{{\"status\": {{\"observedGeneration\": 1, \"url\": \"{url}\", \"address\": {{\"url\": \"{url}\"}}, \
         \"conditions\": [{{\"type\": \"Ready\", \"status\": \"True\"}}]}}}}"
    );
    let patch = ["patch", "services.serving.knative.dev", "hello", "-n", NAMESPACE, "--subresource=status"];
    cluster.kubectl(&[&patch[..], &["--type=merge", "-p", &status]].concat());
}

#[test]
fn a_test_is_a_resource_and_a_laptop_reaches_the_grid_through_the_api_server() {
    let Some(mut grid) = Installed::new() else { return };
    let demo = Demo::start(&[]);

    // It waits for the Knative service, takes its URL from it, and passes.
    let load = "  load: {rate: 50/s, duration: 2s}\n  slos: ['http/latency-p90 <= 1s', 'http/error-rate <= 1%']\n";
    let spec =
        format!("  ready: [{{ksvc: hello, timeout: 60s}}]\n  requests: [{{http: {{url: '/items?q=1'}}}}]\n{load}");
    grid.cluster.apply(&test("hello", &spec));
    grid.coordinator.await_stderr("LoadTests of e2e");
    knative(grid.cluster, demo.url().trim_end_matches('/'));
    grid.wait("hello", "Passed");
    assert_eq!(demo.requests(), 100);
    let columns = grid.cluster.kubectl(&["get", "loadtests", "-n", NAMESPACE]);
    for word in ["RATE", "P99", "VERDICT", "hello", "50", "pass"] {
        assert!(columns.contains(word), "{word} is missing: {columns}");
    }
    let run = grid.field("hello", "{.status.run}");
    assert_eq!(grid.field("hello", "{.status.report}"), format!("http://grid.example/runs/{run}"));
    // The lease of the target went back.
    assert_eq!(grid.cluster.kubectl(&["get", "leases", "-n", NAMESPACE, "-o", "name"]).trim(), "");

    // What can't be run says so, and where.
    let wrong = "  requests: [{http: {url: 'http://127.0.0.1:1/'}}]\n  load: {rate: fast, duration: 2s}\n";
    grid.cluster.apply(&test("wrong", wrong));
    grid.wait("wrong", "Complete");
    assert!(
        grid.field("wrong", "{.status.message}").contains("spec.load.rate"),
        "{}",
        grid.field("wrong", "{.status}")
    );
    let outside = format!("  requests: [{{http: {{url: 'http://example.com/'}}}}]\n{load}");
    grid.cluster.apply(&test("outside", &outside));
    grid.wait("outside", "Complete");
    assert!(grid.field("outside", "{.status.message}").contains("outside the allow-list"));
    let events = grid.events();
    assert!(events.contains("spec.load.rate") && events.contains("allow-list"), "{events}");

    laptop(&grid, &demo);
}

/// `--kube`, as somebody who may forward ports and read the operator's Secret.
fn laptop(grid: &Installed, demo: &Demo) {
    // Its tasks need a thread that lives on beside this one.
    let (port, kubelet) = std::sync::mpsc::channel();
    let address = grid.address;
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            port.send(kubelet::start(address).await).unwrap();
            std::future::pending::<()>().await;
        });
    });
    let kubelet = kubelet.recv().unwrap();
    let before = demo.requests();
    let cluster = grid.cluster;
    let labels = "{app.kubernetes.io/name: loadgrid, app.kubernetes.io/instance: grid, app.kubernetes.io/component: coordinator}";
    cluster.apply("apiVersion: v1\nkind: Node\nmetadata: {name: here}\n");
    let node = format!(
        "{{\"status\": {{\"addresses\": [{{\"type\": \"InternalIP\", \"address\": \"127.0.0.1\"}}], \
         \"daemonEndpoints\": {{\"kubeletEndpoint\": {{\"Port\": {kubelet}}}}}}}}}"
    );
    cluster.kubectl(&["patch", "node", "here", "--subresource=status", "--type=merge", "-p", &node]);
    let pod = "grid-loadgrid-coordinator-0";
    cluster.apply(&format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: {pod}, namespace: {NAMESPACE}, labels: {labels}}}\nspec: {{nodeName: here, \
         containers: [{{name: c, image: i}}]}}\n"
    ));
    let ready = "{\"status\": {\"phase\": \"Running\", \"conditions\": [{\"type\": \"Ready\", \"status\": \"True\"}]}}";
    cluster.kubectl(&["patch", "pod", pod, "-n", NAMESPACE, "--subresource=status", "--type=merge", "-p", ready]);
    // A person with the chart's Role.
    let jo = cluster.user("jo", &[]);
    let name = "grid-loadgrid-operator";
    cluster.kubectl(&["create", "rolebinding", "jo", "-n", NAMESPACE, &format!("--role={name}"), "--user=jo"]);
    let may = ["auth", "can-i", "list", "statefulsets.apps", "-n", NAMESPACE, "--as", "jo"];
    let until = Instant::now() + Duration::from_secs(30);
    // The API server learns of a new rule a moment later.
    while cluster.kubectl_as(&cluster.kubeconfig(), &may).is_err() {
        assert!(Instant::now() < until, "jo never may list statefulsets");
    }
    let begin = |kubeconfig: &Path, args: &[&str]| {
        let mut command = Command::new(bin("loadgrid"));
        command.args(args).args(["--kube", "e2e/grid"]).env("KUBECONFIG", kubeconfig);
        command.env("XDG_DATA_HOME", &grid.dir);
        Running::spawn(command)
    };
    let url = demo.url();
    let args = ["run", "--url", &url, "--rate", "50/s", "--duration", "2s", "--name", "laptop", "-o", "json"];
    let done = begin(&jo, &args).wait().expect_code(0);
    let report: Value = serde_json::from_str(&done.stdout).unwrap();
    assert_eq!(report["load"]["sent"], 100);
    assert_eq!(demo.requests() - before, 100);
    assert!(done.stderr.contains("release e2e/grid"), "{}", done.stderr);
    let runs = begin(&jo, &["runs"]).wait().expect_code(0).stdout;
    assert!(runs.contains("hello") && runs.contains("laptop"), "{runs}");
    let nobody = cluster.user("nobody", &[]);
    begin(&nobody, &["runs"]).wait().expect_code(4).expect_words(&["may not list statefulsets.apps"]);
}

#[test]
fn two_coordinators_do_not_test_one_target_at_once() {
    let Some(cluster) = Cluster::shared() else { return };
    let demo = Demo::start(&[]);
    cluster.namespace("leases");
    let coordinator = |name: &str| {
        let dir = scratch(&format!("leases-{name}"));
        let mut command = Command::new(bin("loadgrid"));
        command.args([
            "serve",
            "--insecure",
            "--listen",
            "127.0.0.1:0",
            "--http",
            "127.0.0.1:0",
            "--allow",
            "127.0.0.1",
        ]);
        command.args(["--lease-namespace", "leases", "--store", &dir.display().to_string()]);
        command.env("KUBECONFIG", cluster.kubeconfig()).env("POD_NAME", name);
        let mut coordinator = Running::spawn(command);
        let line = coordinator.await_stderr("waiting for workers and submissions");
        let url = format!("http://{}", line.split("://").nth(1).unwrap().trim());
        let worker = Running::start("loadgrid-worker", ["--coordinator", &url, "--insecure", "--lanes", "1"]);
        (coordinator, worker, url)
    };
    let (one, other) = (coordinator("one"), coordinator("other"));
    let begin = |at: &str, name: &str, duration: &str| {
        let url = demo.url();
        let args = ["run", "--url", &url, "--rate", "20/s", "--duration", duration, "--name", name, "-o", "json"];
        Running::start("loadgrid", args.into_iter().chain(["--grid", at, "--insecure"]))
    };
    let mut first = begin(&one.2, "first", "6s");
    first.await_stderr("left:");
    let mut second = begin(&other.2, "second", "1s");
    let waits = second.await_stderr("waiting for 127.0.0.1");
    assert!(waits.contains("of default/one since"), "{waits}");
    let began = |done: &str| {
        let report = serde_json::from_str::<Value>(done).unwrap();
        report["started_at"].as_str().unwrap().parse::<jiff::Timestamp>().unwrap().as_second()
    };
    let (first, second) = (first.wait().expect_code(0), second.wait().expect_code(0));
    // Whole seconds: their difference is never less than the load's length if it was over.
    assert!(began(&second.stdout) >= began(&first.stdout) + 6, "{} {}", first.stdout, second.stdout);
    let first: Value = serde_json::from_str(&first.stdout).unwrap();
    assert_eq!(first["load"]["sent"], 120, "nobody else was served meanwhile");
}
