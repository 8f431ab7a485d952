use serde_json::json;

use super::super::server::{Server, answer};
use super::*;

fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

fn notice(url: String) -> Notice {
    Notice {
        url,
        method: "POST".into(),
        headers: vec![("Authorization".into(), "Bearer hidden".into())],
        params: vec![("a b".into(), "c&d".into())],
        body: Some("{\"text\": \"done\"}".into()),
    }
}

#[test]
fn a_notice_is_sent_once_with_all_that_it_holds() {
    let server = Server::start(vec![answer("204 No Content", "", "")]);
    assert_eq!(run(send(&notice(format!("{}/hook/secret?x=1", server.url)))), Ok(()));
    let asked = server.asked();
    assert!(asked.starts_with("POST /hook/secret?x=1&a+b=c%26d HTTP/1.1\r\n"), "{asked}");
    assert!(asked.to_lowercase().contains("\r\nauthorization: bearer hidden\r\n"), "{asked}");
    assert!(asked.to_lowercase().contains("\r\ncontent-type: application/json\r\n"), "{asked}");
    assert!(asked.ends_with("\r\n\r\n{\"text\": \"done\"}"), "{asked}");
}

#[test]
fn failures_are_told_without_the_hooks_secret() {
    let to = "Location: http://127.0.0.1:1/secret\r\n";
    let server = Server::start(vec![answer("403 Forbidden", "", "no"), answer("307 Temporary Redirect", to, "")]);
    let url = format!("{}/hook/secret?token=secret", server.url);
    let away = format!("{}/…: ", server.url);
    for expected in ["status 403", "status 307, a redirect, which is not followed", ""] {
        let error = run(send(&notice(url.clone()))).unwrap_err();
        assert!(error.starts_with(&away) && error.contains(expected), "{error}");
        assert!(!error.contains("secret") && !error.contains("hidden"), "{error}");
    }
    for url in ["gopher://hook/secret", "secret"] {
        let error = run(send(&notice(url.into()))).unwrap_err();
        assert!(!error.contains("secret"), "{error}");
    }
}

#[test]
fn own_templates_are_teras_over_the_report() {
    let report = json!({"test": "a \"b\" <c>", "exit_code": 1, "slos": [{"text": "x"}, {"text": "y"}]});
    let template = "{\"text\": {{ test | json_encode }}, \"n\": {{ exit_code }}, \
                    \"slos\": [{% for slo in slos %}{{ slo | json_encode }}{% if not loop.last %},{% endif %}{% endfor %}]}";
    let made = own_body(template, &report).unwrap();
    let made: Value = serde_json::from_str(&made).unwrap();
    assert_eq!(made, json!({"text": "a \"b\" <c>", "n": 1, "slos": [{"text": "x"}, {"text": "y"}]}));
    assert_eq!(own_body("{{ test }}", &report).unwrap(), "a \"b\" <c>");
    for (template, expected) in
        [("a\n {{ nope }}", "2:5: "), ("{{ test", "1:"), ("{{ get_env(name=\"HOME\") }}", "1:4: ")]
    {
        let error = own_body(template, &report).unwrap_err();
        assert!(error.starts_with(expected) && !error.contains('\n'), "{template}: {error}");
    }
    assert!(own_body("x", &json!([1])).is_err());
}

#[test]
fn iter8s_templates_see_the_report() {
    let report = json!({"timeStamp": "2023", "numTasks": 4, "completed": true});
    let slack = r#"{"text": "Your Iter8 report is ready: {{ regexReplaceAll "\"" (regexReplaceAll "\n" (.Report | toPrettyJson) "\\n") "\\\""}}"}"#;
    let made: Value = serde_json::from_str(&iter8_body(slack, &report).unwrap()).unwrap();
    assert_eq!(made["text"], format!("Your Iter8 report is ready: {report:#}"));
    let own = "{{ if .Report.Completed }}{{ .Report.NumTasks }} tasks at {{ .Report.timeStamp }}{{ end }}";
    assert_eq!(iter8_body(own, &report).unwrap(), "4 tasks at 2023");
    assert!(iter8_body("{{ .Report.Nope }}", &report).unwrap_err().starts_with("1:4: "));
}
