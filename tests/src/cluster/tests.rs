use super::*;

const KSVC: &str = "apiVersion: serving.knative.dev/v1
kind: Service
metadata: {name: hello, namespace: ksvc}
spec: {template: {spec: {containers: [{image: hello}]}}}
";

const ROLE: &str = "apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: reader, namespace: limited}
rules: [{apiGroups: [''], resources: [configmaps], verbs: [get, list]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: reader, namespace: limited}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: reader}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: Group, name: readers}]
";

const CONFIG: &str = "apiVersion: v1
kind: ConfigMap
metadata: {name: '{{ .Release.Name }}'}
data: {said: '{{ .Values.said }}'}
";

#[test]
fn a_ksvc_has_the_status_that_a_test_gives_it() {
    let Some(cluster) = Cluster::shared() else { return };
    cluster.install("knative-service");
    cluster.install("knative-service");
    cluster.namespace("ksvc");
    cluster.apply(KSVC);
    let status = r#"{"status":{"url":"http://hello","conditions":[{"type":"Ready","status":"True"}]}}"#;
    cluster.kubectl(&["patch", "ksvc", "hello", "-n", "ksvc", "--subresource=status", "--type=merge", "-p", status]);
    cluster.kubectl(&["wait", "--for=condition=Ready", "--timeout=10s", "-n", "ksvc", "ksvc/hello"]);
    let listed = cluster.kubectl(&["get", "ksvc", "-n", "ksvc", "--no-headers"]);
    assert_eq!(listed.split_whitespace().collect::<Vec<_>>(), ["hello", "http://hello", "True"]);
    // Of the main resource, a status is not taken.
    let other = status.replace("http://hello", "http://other");
    cluster.kubectl(&["patch", "ksvc", "hello", "-n", "ksvc", "--type=merge", "-p", &other]);
    assert_eq!(
        cluster.kubectl(&["get", "ksvc", "hello", "-n", "ksvc", "-o", "jsonpath={.status.url}"]),
        "http://hello"
    );
}

#[test]
fn a_user_may_do_what_a_role_says_and_nothing_else() {
    let Some(cluster) = Cluster::shared() else { return };
    cluster.namespace("limited");
    let user = cluster.user("jo", &["readers"]);
    let list: &dyn Fn(&str) -> _ = &|what| cluster.kubectl_as(&user, &["get", what, "-n", "limited", "-o", "name"]);
    let error = list("configmaps").unwrap_err();
    assert!(error.contains(r#"User "jo" cannot list resource "configmaps" in API group """#), "{error}");
    cluster.apply(ROLE);
    // The API server goes by a new rule a moment later.
    let until = Instant::now() + Duration::from_secs(30);
    while list("configmaps").is_err() {
        assert!(Instant::now() < until, "{:?}", list("configmaps"));
    }
    assert_eq!(list("configmaps").unwrap(), "");
    let error = list("secrets").unwrap_err();
    assert!(error.contains(r#"cannot list resource "secrets""#), "{error}");
}

#[test]
fn a_token_of_a_service_account_is_good() {
    let Some(cluster) = Cluster::shared() else { return };
    cluster.namespace("tokens");
    let token = cluster.kubectl(&["create", "token", "default", "-n", "tokens"]);
    let (token, url, ca) = (token.trim(), cluster.url(), cluster.ca().display().to_string());
    let args = ["auth", "whoami", "-o", "jsonpath={.status.userInfo.username}"];
    let as_token = ["--token", token, "--server", &url, "--certificate-authority", &ca];
    let whom = cluster.kubectl_as(Path::new("/dev/null"), &[&args[..], &as_token].concat()).unwrap();
    assert_eq!(whom, "system:serviceaccount:tokens:default");
}

#[test]
fn helm_installs() {
    let Some(cluster) = Cluster::shared() else { return };
    let chart = scratch("chart");
    fs::create_dir(chart.join("templates")).unwrap();
    fs::write(chart.join("Chart.yaml"), "apiVersion: v2\nname: said\nversion: 0.1.0\n").unwrap();
    fs::write(chart.join("templates/config.yaml"), CONFIG).unwrap();
    let path = chart.display().to_string();
    cluster.helm(&["install", "one", &path, "-n", "helm", "--create-namespace", "--set", "said=hello"]);
    let said = || cluster.kubectl(&["get", "configmap", "one", "-n", "helm", "-o", "jsonpath={.data.said}"]);
    assert_eq!(said(), "hello");
    cluster.helm(&["upgrade", "one", &path, "-n", "helm", "--set", "said=again"]);
    assert_eq!(said(), "again");
    let error = cluster.helm_as(&cluster.user("nobody", &[]), &["list", "-n", "helm"]).unwrap_err();
    assert!(error.contains(r#"User "nobody" cannot list resource "secrets""#), "{error}");
    fs::remove_dir_all(chart).unwrap();
}

#[test]
fn nothing_is_left_of_a_cluster_that_is_dropped() {
    let Some(cluster) = Cluster::start() else { return };
    let pids = fs::read_to_string(cluster.dir.join("pids")).unwrap();
    let pids: Vec<&str> = pids.lines().filter_map(|line| line.split(' ').nth(1)).collect();
    let alive = |pid: &&&str| Path::new("/proc").join(pid).exists();
    assert_eq!((pids.len(), pids.iter().filter(alive).count()), (2, 2), "{pids:?}");
    let dir = cluster.dir.clone();
    drop(cluster);
    assert_eq!((pids.iter().filter(alive).count(), dir.exists()), (0, false), "{pids:?}");
}
