use std::io;

use kube::core::Status;

use super::refusal::{Ask, Unreachable, explain, last, one_line};
use super::*;

fn api(code: u16, message: &str) -> kube::Error {
    kube::Error::Api(Box::new(Status::failure(message, "").with_code(code)))
}

fn watching() -> Ask {
    Ask::new(&["get", "list", "watch"], "serving.knative.dev", "services", Some("x"))
}

#[test]
fn a_missing_rule_is_named() {
    let message = "services.serving.knative.dev is forbidden: User \"system:serviceaccount:a:b\" cannot watch resource \
                   \"services\" in API group \"serving.knative.dev\" in the namespace \"x\"";
    let expected = "system:serviceaccount:a:b may not watch services.serving.knative.dev in namespace x: needs a rule \
                    with the verbs get, list, watch";
    assert_eq!(explain(&api(403, message), &watching()), expected);
    let ask = Ask::new(&["get"], "", "secrets", None).hint("the chart's Role r has it");
    let message = "secrets \"s\" is forbidden: User \"jo\" cannot get resource \"secrets\" in API group \"\"";
    let expected = "jo may not get secrets: needs a rule with the verb get; the chart's Role r has it";
    assert_eq!(explain(&api(403, message), &ask), expected);
}

#[test]
fn nobody_is_told_to_be_somebody() {
    let message = "pods is forbidden: User \"system:anonymous\" cannot list resource \"pods\" in API group \"\"";
    let told = explain(&api(403, message), &watching().hint("the chart's Role r has it"));
    assert!(told.ends_with("; the context gives no credentials that the API server takes"), "{told}");
}

#[test]
fn other_refusals_are_told_as_the_server_does() {
    let quota = api(403, "pods \"p\" is forbidden: exceeded quota: q");
    let expected =
        "the API server refuses services.serving.knative.dev: pods \"p\" is forbidden: exceeded quota: q (403)";
    assert_eq!(explain(&quota, &watching()), expected);
    assert!(explain(&api(401, "Unauthorized"), &watching()).contains("sign in again"));
    let broken = explain(&api(500, "etcd\n  is away"), &watching());
    assert_eq!(broken, "the API server refuses services.serving.knative.dev: etcd is away (500)");
}

#[test]
fn a_server_that_is_away_is_named_with_its_address() {
    let refused = io::Error::new(io::ErrorKind::ConnectionRefused, "tcp");
    let cause = Unreachable::new("https://a:6443", Box::new(refused));
    let error = kube::Error::Service(Box::new(cause));
    let expected = "the API server https://a:6443 can't be reached: connection refused (is the cluster up, and this the \
                    right context?)";
    assert_eq!(explain(&error, &watching()), expected);
}

#[test]
fn the_innermost_cause_is_told() {
    let inner = io::Error::other("invalid peer certificate: UnknownIssuer");
    assert_eq!(last(&io::Error::other(inner)), "invalid peer certificate: UnknownIssuer");
    assert_eq!(one_line(&"word ".repeat(200)).chars().count(), 401);
}

#[test]
fn kubeconfigs_that_do_not_fit_say_what_there_is() {
    let contexts = || vec!["prod".to_owned(), "dev".to_owned()];
    let missing = unusable(&KubeconfigError::LoadContext("deb".to_owned()), contexts());
    assert_eq!(missing, "the kubeconfig has no context 'deb'; there are: dev, prod");
    let unset = unusable(&KubeconfigError::CurrentContextNotSet, contexts());
    assert_eq!(unset, "the kubeconfig has no current context: choose one with --context; there are: dev, prod");
    assert!(none(Some("dev")).starts_with("there is no kubeconfig for the context 'dev': set KUBECONFIG"));
}

#[test]
fn a_kubeconfig_is_not_shown_where_it_is_wrong() {
    let error = Kubeconfig::from_yaml("users:\n- name: a\n  user: {token: s3cret\n").expect_err("not YAML");
    let told = unusable(&error, Vec::new());
    assert!(!told.contains("s3cret"), "{told}");
    assert!(told.starts_with("the kubeconfig is not one, line "), "{told}");
}

#[test]
fn a_command_for_credentials_shows_what_it_complains_of_alone() {
    let out = std::process::Output {
        status: std::os::unix::process::ExitStatusExt::from_raw(256),
        stdout: b"s3cret".to_vec(),
        stderr: b"not logged in\n".to_vec(),
    };
    let error = kube::client::AuthError::AuthExecRun { cmd: "plugin s3cret".to_owned(), out: Box::new(out) };
    let expected = "the command that the kubeconfig names for credentials failed (exit status: 1): not logged in";
    assert_eq!(unbuilt(&kube::Error::Auth(error)), expected);
}

#[tokio::test]
async fn nothing_listens() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = free.local_addr().expect("its address").port();
    drop(free);
    let server = format!("http://127.0.0.1:{port}");
    let cluster = made(Config::new(server.parse().expect("a URL")), false).expect("a client");
    let error = cluster.client.apiserver_version().await.expect_err("nobody is there");
    let expected = format!("the API server {server} can't be reached: connection refused");
    let told = explain(&error, &watching());
    assert!(told.starts_with(&expected), "{told}");
}
