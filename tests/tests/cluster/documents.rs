//! What the manual and the examples of a cluster show has been tried: the API server takes their objects, the program
//! their tests and command lines, the chart their values.

use std::fs;
use std::path::{Path, PathBuf};

use loadgrid_tests::cluster::Cluster;
use loadgrid_tests::program::loadgrid;
use loadgrid_tests::scratch;
use serde_json::Value;

const SHOP: &str = "shop";
/// What stands in an example for a test that its reader has.
const OWN_TESTS: [&str; 2] = ["load/shop.yaml", "$(params.test)"];

#[test]
fn what_the_manual_and_the_examples_show_is_taken() {
    // Its own server: it installs a kind that others' charts bring.
    let Some(cluster) = Cluster::start() else { return };
    cluster.namespace(SHOP);
    cluster.kubectl(&["label", "namespace", SHOP, "pod-security.kubernetes.io/enforce=restricted"]);
    cluster.kubectl(&["label", "namespace", SHOP, "pod-security.kubernetes.io/warn=restricted"]);
    let kinds = root("charts/loadgrid/crds").display().to_string();
    cluster.kubectl(&["apply", "--server-side", "-f", &kinds]);
    cluster.kubectl(&["wait", "--for=condition=Established", "--timeout=60s", "-f", &kinds]);
    let dir = scratch("documents");
    manual(&cluster, &dir);
    argo_cd(&cluster, &dir);
    tekton(&dir);
    github_actions(&dir);
}

fn manual(cluster: &Cluster, dir: &Path) {
    let text = fs::read_to_string(root("docs/kubernetes.md")).expect("the manual");
    let blocks: Vec<&str> =
        text.split("\n```yaml\n").skip(1).filter_map(|rest| rest.split_once("\n```").map(|(block, _)| block)).collect();
    let (mut tests, mut values) = (Vec::new(), Vec::new());
    for block in blocks {
        if block.contains("kind: LoadTest") {
            tests.push(block.to_owned());
        } else if block.starts_with("metadata:") {
            // A part of a test, without what all have.
            tests.push(format!(
                "apiVersion: loadgrid.dev/v1alpha1\nkind: LoadTest\n{block}\n  load: {{rate: 10/s, duration: 1s}}"
            ));
        } else {
            values.push(block);
        }
    }
    assert_eq!((tests.len(), values.len()), (2, 3), "the blocks of the manual");
    for (index, test) in tests.iter().enumerate() {
        let path = written(dir, &format!("manual-{index}.yaml"), test);
        server_takes(cluster, &path);
    }
    planned(&["run", &dir.join("manual-0.yaml").display().to_string(), "--kube", "grid/loadgrid"]);
    // The reader adds to one file step by step.
    let mut files = Vec::new();
    for (index, block) in values.iter().enumerate() {
        // What is left out of it at first is there to be taken in.
        let whole = block.replace("\n    # ", "\n    ");
        files.extend(["-f".to_owned(), written(dir, &format!("values-{index}.yaml"), &whole)]);
    }
    let chart = root("charts/loadgrid").display().to_string();
    let mut args = vec!["install", "loadgrid", &chart, "-n", SHOP, "--dry-run=server"];
    args.extend(files.iter().map(String::as_str));
    cluster.helm(&args);
}

fn argo_cd(cluster: &Cluster, dir: &Path) {
    let path = root("examples/cluster/argocd-hook.yaml");
    server_takes(cluster, &path.display().to_string());
    let objects = documents(&path);
    let test = objects.iter().find_map(|object| object["data"]["test.yaml"].as_str()).expect("a test in a ConfigMap");
    let test = written(dir, "argo.yaml", test);
    let job = objects.iter().find(|object| object["kind"] == "Job").expect("a Job");
    let container = &job["spec"]["template"]["spec"]["containers"][0];
    let mount = format!("{}/test.yaml", container["volumeMounts"][0]["mountPath"].as_str().expect("a path"));
    let words = words(&container["command"]);
    program_takes(words.iter().map(|word| if *word == mount { test.clone() } else { word.clone() }));
}

fn tekton(dir: &Path) {
    let task = documents(&root("examples/cluster/tekton-task.yaml")).remove(0);
    let step = &task["spec"]["steps"][0];
    let own = own_test(dir);
    let mut line = words(&step["command"]);
    line.extend(words(&step["args"]));
    let params = task["spec"]["params"].as_array().expect("parameters");
    program_takes(line.into_iter().map(|word| {
        if OWN_TESTS.contains(&word.as_str()) {
            return own.clone();
        }
        let Some(name) = word.strip_prefix("$(params.").and_then(|rest| rest.strip_suffix(')')) else { return word };
        let param = params.iter().find(|param| param["name"] == name).unwrap_or_else(|| panic!("no parameter {name}"));
        param["default"].as_str().unwrap_or_else(|| panic!("{name} has no default")).to_owned()
    }));
}

fn github_actions(dir: &Path) {
    let workflow = documents(&root("examples/cluster/github-actions.yaml")).remove(0);
    let steps = workflow["jobs"]["load"]["steps"].as_array().expect("steps");
    let runs = steps.iter().filter_map(|step| step["run"].as_str());
    let own = own_test(dir);
    let lines: Vec<&str> = runs.filter(|run| run.starts_with("loadgrid ")).collect();
    assert_eq!(lines.len(), 1, "one step runs the program: {lines:?}");
    program_takes(
        lines[0].split_whitespace().map(|word| if OWN_TESTS.contains(&word) { own.clone() } else { word.to_owned() }),
    );
}

/// By the API server's own schemas, and without a warning of Pod Security or of unknown keys.
fn server_takes(cluster: &Cluster, path: &str) {
    cluster.kubectl(&["apply", "--dry-run=server", "--validate=strict", "--warnings-as-errors", "-f", path]);
}

/// A command line of `loadgrid`, by planning it.
fn program_takes(line: impl Iterator<Item = String>) {
    let line: Vec<String> = line.collect();
    assert_eq!(line[0], "loadgrid", "{line:?}");
    let args: Vec<&str> = line[1..].iter().map(String::as_str).collect();
    assert!(args.contains(&"--kube"), "on the grid: {line:?}");
    planned(&args);
}

fn planned(args: &[&str]) {
    let mut args = args.to_vec();
    args.push("--dry-run");
    let done = loadgrid(&args).expect_code(0);
    assert!(done.stdout.contains("Nothing was sent"), "{done:?}");
}

fn own_test(dir: &Path) -> String {
    let text = fs::read_to_string(root("examples/start.yaml")).expect("an example");
    written(dir, "own.yaml", &text)
}

fn words(list: &Value) -> Vec<String> {
    let list = list.as_array().unwrap_or_else(|| panic!("no list: {list}"));
    list.iter().map(|word| word.as_str().expect("a word").to_owned()).collect()
}

fn documents(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_saphyr::from_multiple(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn written(dir: &Path, name: &str, text: &str) -> String {
    let path = dir.join(name);
    fs::write(&path, text).expect("written");
    path.display().to_string()
}

fn root(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}
