//! LoadTests of a real API server: the controller, as a user who has the rights of the chart's coordinator and no others,
//! over runs whose progress the test says.

#[path = "loadtests/fake.rs"]
mod fake;

use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use fake::{Fake, done, running};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use loadgrid::kube::controller::{Runs, Scope, run};
use loadgrid::kube::crd;
use loadgrid_tests::cluster::Cluster;
use tokio::sync::{oneshot, watch};

const RULES: &str = r#"
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: loadgrid-coordinator}
rules:
  - {apiGroups: [loadgrid.dev], resources: [loadtests], verbs: [get, list, watch, update, patch]}
  - {apiGroups: [loadgrid.dev], resources: [loadtests/status], verbs: [get, update, patch]}
  - {apiGroups: [loadgrid.dev], resources: [loadtests/finalizers], verbs: [update]}
  - {apiGroups: [events.k8s.io], resources: [events], verbs: [create, patch]}
  - {apiGroups: [serving.knative.dev], resources: [services, revisions], verbs: [get, list, watch]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: loadgrid-coordinator}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: loadgrid-coordinator}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: coordinator}]
"#;

const NAMESPACE: &str = "apps";
const URL: &str = "http://hello.apps.svc.cluster.local/";

/// Nothing takes longer.
const PATIENCE: Duration = Duration::from_secs(60);

/// What was logged.
#[derive(Clone, Default)]
struct Log(Arc<watch::Sender<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.send_modify(|log| log.extend(bytes));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Log {
    fn says(&self, words: &str, times: usize) {
        let mut log = self.0.subscribe();
        let enough = |log: &Vec<u8>| String::from_utf8_lossy(log).matches(words).count() >= times;
        let heard = runtime().block_on(async { tokio::time::timeout(PATIENCE, log.wait_for(enough)).await.is_ok() });
        assert!(heard, "no '{words}' in:\n{}", String::from_utf8_lossy(&self.0.borrow()));
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

/// The controller, on a thread of its own.
struct Controller {
    stop: oneshot::Sender<()>,
    thread: thread::JoinHandle<Result<(), String>>,
}

impl Controller {
    fn start(kubeconfig: &Path, scope: Scope, runs: &Arc<Fake>) -> Self {
        Controller::of("grid/loadgrid-0", kubeconfig, scope, runs)
    }

    fn of(holder: &'static str, kubeconfig: &Path, scope: Scope, runs: &Arc<Fake>) -> Self {
        let kubeconfig = Kubeconfig::read_from(kubeconfig).unwrap();
        let (stop, stopped) = oneshot::channel();
        let runs: Arc<dyn Runs> = Arc::clone(runs) as Arc<dyn Runs>;
        let thread = thread::spawn(move || {
            runtime().block_on(async {
                let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.unwrap();
                run(Client::try_from(config).unwrap(), scope, runs, holder, async { drop(stopped.await) }).await
            })
        });
        Controller { stop, thread }
    }

    fn stop(self) {
        self.stop.send(()).unwrap();
        self.thread.join().unwrap().unwrap();
    }
}

/// A cluster with a namespace, and somebody who runs its LoadTests.
struct Stage {
    cluster: Cluster,
    coordinator: std::path::PathBuf,
    log: Log,
    runs: Arc<Fake>,
}

impl Stage {
    fn kubectl(&self, arguments: &[&str]) -> String {
        self.cluster.kubectl(&[&["--namespace", NAMESPACE], arguments].concat())
    }

    fn apply(&self, name: &str, more: &str) {
        self.cluster.apply(&test(name, URL, more));
    }

    /// Comes back when a field of a LoadTest has this value.
    fn wait(&self, name: &str, path: &str, value: &str) {
        let (of, condition) = (format!("loadtest/{name}"), format!("--for=jsonpath={{{path}}}={value}"));
        self.kubectl(&["wait", &of, &condition, "--timeout=60s"]);
    }

    fn field(&self, name: &str, path: &str) -> String {
        self.kubectl(&["get", "loadtest", name, "-o", &format!("jsonpath={{{path}}}")])
    }

    /// The LoadTest's run, which is under way from now on.
    fn runs(&self, name: &str) -> String {
        self.wait(name, ".status.phase", "Queued");
        let run = self.field(name, ".status.run");
        self.runs.is(&run, running(10));
        self.wait(name, ".status.phase", "Running");
        run
    }

    /// Comes back when kubectl says these words.
    fn told(&self, arguments: &[&str], words: &str) {
        let until = Instant::now() + PATIENCE;
        loop {
            let said = self.kubectl(arguments);
            if said.contains(words) {
                return;
            }
            assert!(Instant::now() < until, "no '{words}' in {said}");
        }
    }

    /// Comes back when no coordinator holds a LoadTest.
    fn lets_go(&self, name: &str) {
        let held = "jsonpath=<{.metadata.finalizers}{.metadata.annotations.loadgrid\\.dev/coordinator}>";
        self.told(&["get", "loadtest", name, "-o", held], "<>");
    }

    /// Comes back when its coordinator, which has ended, no longer holds its deletion up. It is still that one's.
    fn waits_for(&self, name: &str, holder: &str) {
        let held = "jsonpath=<{.metadata.finalizers}>{.metadata.annotations.loadgrid\\.dev/coordinator}";
        self.told(&["get", "loadtest", name, "-o", held], &format!("<>{holder}"));
    }

    fn event(&self, name: &str, words: &str) {
        let of = format!("--field-selector=regarding.name={name}");
        let shown = "jsonpath={range .items[*]}{.reason} {.note}{\"\\n\"}{end}";
        self.told(&["get", "events.events.k8s.io", &of, "-o", shown], words);
    }

    fn orders(&self) -> usize {
        self.runs.orders.lock().unwrap().len()
    }

    fn controller(&self, runs: &Arc<Fake>) -> Controller {
        Controller::start(&self.coordinator, Scope::Namespaces(vec![NAMESPACE.to_owned()]), runs)
    }

    fn install(&self) {
        let path = std::env::temp_dir().join(format!("loadgrid-crd-{}.yaml", std::process::id()));
        std::fs::write(&path, crd::yaml().unwrap()).unwrap();
        let file = path.display().to_string();
        self.cluster.kubectl(&["apply", "--server-side", "-f", &file]);
        std::fs::remove_file(path).unwrap();
        let until = Instant::now() + PATIENCE;
        while let Err(error) = self.cluster.kubectl_as(&self.cluster.kubeconfig(), &["get", "loadtests", "-A"]) {
            assert!(Instant::now() < until, "LoadTests are not served: {error}");
        }
    }
}

fn test(name: &str, url: &str, more: &str) -> String {
    format!(
        "apiVersion: loadgrid.dev/v1alpha1\nkind: LoadTest\nmetadata: {{name: {name}, namespace: {NAMESPACE}}}\nspec:\n  \
         requests:\n    - http: {{url: \"{url}\"}}\n  load: {{rate: 500/s, duration: 30s}}\n{more}"
    )
}

#[test]
fn a_cluster_runs_its_load_tests() {
    let Some(cluster) = Cluster::start() else { return };
    let log = Log::default();
    let into = log.clone();
    let logged = tracing_subscriber::fmt().with_ansi(false).with_writer(move || into.clone()).finish();
    tracing::subscriber::set_global_default(logged).unwrap();
    cluster.namespace(NAMESPACE);
    let coordinator = cluster.user("coordinator", &[]);
    let stage = Stage { cluster, coordinator, log, runs: Fake::new() };
    let controller = Controller::start(&stage.coordinator, Scope::All, &stage.runs);
    what_is_missing_is_said_and_waited_for(&stage);
    a_test_passes(&stage);
    a_bad_spec_runs_nothing(&stage);
    a_change_runs_again_and_a_deletion_stops(&stage);
    each_ready_revision_runs(&stage);
    controller.stop();
    a_full_queue_is_waited_for(&stage);
    two_coordinators_run_a_test_once(&stage);
    a_controller_comes_back(&stage);
    a_definition_that_goes_comes_back(&stage);
}

fn what_is_missing_is_said_and_waited_for(stage: &Stage) {
    stage.log.says("coordinator may not list loadtests.loadgrid.dev: needs a rule with the verbs get, list, watch", 1);
    stage.cluster.apply(RULES);
    stage.log.says(crd::INSTALL, 1);
    stage.install();
}

fn a_test_passes(stage: &Stage) {
    stage.apply("hello", "  workers: 2\n");
    let run = stage.runs("hello");
    assert_eq!(stage.field("hello", ".metadata.finalizers"), "[\"loadgrid.dev/stop\"]");
    assert_eq!(stage.field("hello", ".status.conditions[?(@.type==\"Passed\")].status"), "Unknown");
    stage.runs.is(&run, done(0, "pass"));
    stage.kubectl(&["wait", "--for=condition=Passed", "loadtest/hello", "--timeout=60s"]);
    assert_eq!(stage.field("hello", ".status.observedGeneration"), "1");
    let table = stage.kubectl(&["get", "lt"]);
    let words: Vec<Vec<&str>> = table.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(words[0], ["NAME", "RATE", "P99", "VERDICT", "PHASE", "AGE"]);
    assert_eq!(words[1][..6], ["hello", "500/s", "12.3", "ms", "pass", "Done"]);
    let order = stage.runs.orders.lock().unwrap()[0].clone();
    assert_eq!((order.by.as_str(), order.workers), ("LoadTest apps/hello", Some(2)));
    assert!(!order.text.contains("workers") && !order.text.contains("status"), "{}", order.text);
    for words in [format!("Submitted run {run}"), format!("Started run {run}"), format!("Passed run {run}: 1 of 1")] {
        stage.event("hello", &words);
    }
    // The finalizer goes last.
    stage.lets_go("hello");
}

fn a_bad_spec_runs_nothing(stage: &Stage) {
    let before = stage.orders();
    stage.cluster.apply(&test("elsewhere", "http://elsewhere.example/", ""));
    stage.wait("elsewhere", ".status.phase", "Failed");
    let message = stage.field("elsewhere", ".status.message");
    assert!(message.starts_with("spec.requests[0].http.url: elsewhere.example is not in the list"), "{message}");
    stage.event("elsewhere", "Refused spec.requests[0].http.url: elsewhere.example");
    // A mistyped key: refused by kubectl, and by the controller where a client let it through.
    let admin = stage.cluster.kubeconfig();
    let typo = test("typo", URL, "  slo: [http/error-rate <= 1%]\n");
    let strict = stage.cluster.apply_as(&admin, &typo).unwrap_err();
    assert!(strict.contains("unknown field \"spec.slo\""), "{strict}");
    let path = std::env::temp_dir().join(format!("loadgrid-typo-{}.yaml", std::process::id()));
    std::fs::write(&path, typo).unwrap();
    let file = path.display().to_string();
    let server_side = stage.cluster.kubectl_as(&admin, &["apply", "--server-side", "-f", &file]).unwrap_err();
    assert!(server_side.contains(".spec.slo: field not declared in schema"), "{server_side}");
    stage.kubectl(&["apply", "--validate=false", "-f", &file]);
    std::fs::remove_file(path).unwrap();
    stage.wait("typo", ".status.phase", "Failed");
    let message = stage.field("typo", ".status.message");
    assert!(message.starts_with("spec.slo: there is no such key") && message.contains("slos"), "{message}");
    stage.event("typo", "Refused spec.slo: there is no such key");
    let both = test("both", URL, "").replace("duration: 30s", "duration: 30s, stages: [{rate: 5/s, duration: 1s}]");
    let refused = stage.cluster.apply_as(&admin, &both).unwrap_err();
    assert!(refused.contains("stages have their own rates"), "{refused}");
    assert_eq!(stage.orders(), before);
}

fn a_change_runs_again_and_a_deletion_stops(stage: &Stage) {
    stage.apply("gone", "");
    let first = stage.runs("gone");
    stage.apply("gone", "  rerun: now\n");
    stage.wait("gone", ".status.observedGeneration", "2");
    let second = stage.runs("gone");
    assert_ne!(first, second);
    stage.kubectl(&["delete", "loadtest", "gone", "--timeout=60s"]);
    let stopped = stage.runs.stopped.lock().unwrap().clone();
    let reason = |what: &str| format!("LoadTest apps/gone was {what}");
    assert_eq!(stopped, [(first, reason("changed")), (second, reason("deleted"))]);
}

fn each_ready_revision_runs(stage: &Stage) {
    stage.apply("auto", "  trigger: {ksvc: hello}\n");
    // Without Knative it waits, and says for what.
    stage.wait("auto", ".status.phase", "Pending");
    stage.told(&["get", "loadtest", "auto", "-o", "jsonpath={.status.message}"], "no Knative Services");
    stage.cluster.install("knative-service");
    stage.cluster.apply(
        "apiVersion: serving.knative.dev/v1\nkind: Service\nmetadata: {name: hello, namespace: apps}\nspec: {template: \
         {spec: {containers: [{image: a}]}}}\n",
    );
    for revision in ["hello-00001", "hello-00002"] {
        let patch = format!("{{\"status\": {{\"latestReadyRevisionName\": \"{revision}\"}}}}");
        let service = ["patch", "services.serving.knative.dev", "hello", "--subresource=status", "--type=merge"];
        stage.kubectl(&[&service[..], &["-p", &patch]].concat());
        stage.wait("auto", ".status.revision", revision);
        let run = stage.runs("auto");
        assert_eq!(stage.runs.run_of(revision).as_deref(), Some(run.as_str()));
        stage.runs.is(&run, done(1, "fail"));
        stage.wait("auto", ".status.phase", "Done");
    }
    assert_eq!(stage.field("auto", ".status.conditions[?(@.type==\"Passed\")].reason"), "Failed");
}

fn a_full_queue_is_waited_for(stage: &Stage) {
    let before = stage.orders();
    let controller = stage.controller(&stage.runs);
    stage.runs.is_busy(Some("100 tests wait already"));
    stage.apply("later", "");
    stage.wait("later", ".status.phase", "Pending");
    assert!(stage.field("later", ".status.message").contains("100 tests wait already"));
    stage.lets_go("later");
    assert_eq!(stage.orders(), before);
    stage.runs.is_busy(None);
    let run = stage.runs("later");
    stage.runs.is(&run, done(0, "pass"));
    stage.wait("later", ".status.phase", "Done");
    controller.stop();
}

fn two_coordinators_run_a_test_once(stage: &Stage) {
    let (here, there) = (Fake::new(), Fake::new());
    let scope = || Scope::Namespaces(vec![NAMESPACE.to_owned()]);
    let one = Controller::of("grid/loadgrid-0", &stage.coordinator, scope(), &here);
    let two = Controller::of("other/loadgrid-0", &stage.coordinator, scope(), &there);
    let names = ["twice-1", "twice-2", "twice-3", "twice-4"];
    names.iter().for_each(|name| stage.apply(name, ""));
    for name in names {
        stage.wait(name, ".status.phase", "Queued");
        let run = stage.field(name, ".status.run");
        let holder = stage.field(name, ".metadata.annotations.loadgrid\\.dev/coordinator");
        let runs = if holder == "grid/loadgrid-0" { &here } else { &there };
        runs.is(&run, running(10));
        stage.wait(name, ".status.phase", "Running");
        runs.is(&run, done(0, "pass"));
        stage.kubectl(&["wait", "--for=condition=Passed", &format!("loadtest/{name}"), "--timeout=60s"]);
        stage.lets_go(name);
    }
    // One that ends with a test under way, which the other one's restart does not take for its own.
    stage.apply("held", "");
    stage.wait("held", ".status.phase", "Queued");
    let names_of =
        |runs: &Fake| -> Vec<String> { runs.orders.lock().unwrap().iter().map(|of| of.name.clone()).collect() };
    let mut all = [names_of(&here), names_of(&there)].concat();
    all.sort();
    assert_eq!(all, ["held", "twice-1", "twice-2", "twice-3", "twice-4"], "each is run by one of them");
    let holder = stage.field("held", ".metadata.annotations.loadgrid\\.dev/coordinator");
    let ((ended, its), (other, others)) =
        if holder == "grid/loadgrid-0" { ((one, &here), (two, &there)) } else { ((two, &there), (one, &here)) };
    ended.stop();
    stage.waits_for("held", &holder);
    // The other one sees to what comes after it, and so has seen that too.
    stage.apply("after", "");
    stage.wait("after", ".status.phase", "Queued");
    assert_eq!(names_of(others).last().map(String::as_str), Some("after"));
    assert_eq!(stage.field("held", ".status.phase"), "Queued", "it begins when its coordinator is back");
    let holder: &'static str = if holder == "grid/loadgrid-0" { "grid/loadgrid-0" } else { "other/loadgrid-0" };
    let back = Controller::of(holder, &stage.coordinator, scope(), its);
    its.is(&stage.field("held", ".status.run"), done(0, "pass"));
    stage.kubectl(&["wait", "--for=condition=Passed", "loadtest/held", "--timeout=60s"]);
    stage.kubectl(&["delete", "loadtest", "--all", "--timeout=60s"]);
    back.stop();
    other.stop();
}

fn a_controller_comes_back(stage: &Stage) {
    let before = stage.orders();
    let controller = stage.controller(&stage.runs);
    stage.apply("back", "");
    stage.wait("back", ".status.phase", "Queued");
    controller.stop();
    // Nobody is there to be waited for: the resource, or its namespace, may go.
    stage.waits_for("back", "grid/loadgrid-0");
    // It went on meanwhile, and the service still knows it.
    let run = stage.field("back", ".status.run");
    stage.runs.is(&run, running(10));
    let controller = stage.controller(&stage.runs);
    stage.wait("back", ".status.phase", "Running");
    controller.stop();
    assert_eq!(stage.orders(), before + 1, "what was over is not run again");
    let other = Fake::new();
    let controller = stage.controller(&other);
    stage.wait("back", ".status.phase", "Failed");
    let message = stage.field("back", ".status.message");
    assert!(message.starts_with(&format!("run {run} was broken off")), "{message}");
    stage.kubectl(&["delete", "loadtest", "--all", "--timeout=60s"]);
    assert_eq!(other.orders.lock().unwrap().len(), 0);
    controller.stop();
}

fn a_definition_that_goes_comes_back(stage: &Stage) {
    let controller = stage.controller(&stage.runs);
    stage.apply("still", "");
    let run = stage.runs("still");
    stage.kubectl(&["delete", "crd", "loadtests.loadgrid.dev", "--timeout=60s"]);
    assert_eq!(stage.runs.stopped.lock().unwrap().last().unwrap().0, run, "with the definition go its LoadTests");
    stage.log.says(crd::INSTALL, 2);
    stage.install();
    stage.apply("again", "");
    stage.runs("again");
    controller.stop();
}
