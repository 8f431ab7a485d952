//! What notifications say: the report as data, in Iter8's payloads or in a template of one's own. Who is notified, and
//! when, is not known here.

use serde_json::{Value, json};

use super::Iter8Error;
use super::experiment::Experiment;
use super::task::Payload;
use crate::outside::notify::iter8_body;

/// The report as templates see it, under `.Report`.
///
/// # Errors
/// The writer's, which no experiment causes.
pub fn report(experiment: &Experiment, now: jiff::Timestamp) -> Result<Value, Iter8Error> {
    let result = experiment.result.clone().unwrap_or_default();
    // The spec may hold secrets in headers; what a notification is about is the result.
    let experiment_data = json!({"result": serde_json::to_value(&result)
        .map_err(|error| Iter8Error::new("the report", error.to_string()))?});
    Ok(json!({
        "timeStamp": now.to_string(),
        "completed": experiment.completed(),
        "noTaskFailures": experiment.no_failure(),
        "numTasks": experiment.spec.len(),
        "numCompletedTasks": result.num_completed_tasks,
        "numLoops": result.num_loops,
        "experiment": experiment_data,
    }))
}

/// The body of a notification; `template` is the text behind [`Payload::Template`]'s URL. `None`: there is no body.
///
/// # Errors
/// The template asks for what there is not.
pub fn body(payload: &Payload, template: &str, report: &Value) -> Result<Option<String>, Iter8Error> {
    Ok(match payload {
        Payload::None => None,
        Payload::Github => Some(json!({"event_type": "iter8", "client_payload": report}).to_string()),
        Payload::Slack => Some(json!({"text": format!("Your Iter8 report is ready: ```{report:#}```")}).to_string()),
        Payload::Template(_) => {
            Some(iter8_body(template, report).map_err(|error| Iter8Error::new("payloadTemplateURL", error))?)
        }
    })
}

#[cfg(test)]
mod tests {
    use super::super::experiment::tests::experiment;
    use super::*;

    fn of(payload: &Payload, template: &str) -> Result<Option<String>, Iter8Error> {
        let now = "2023-01-01T00:00:00Z".parse().unwrap();
        body(payload, template, &report(&experiment(), now).unwrap())
    }

    #[test]
    fn payloads_are_json_whatever_the_report_holds() {
        let github: Value = serde_json::from_str(&of(&Payload::Github, "").unwrap().unwrap()).unwrap();
        assert_eq!(github["event_type"], "iter8");
        assert_eq!(
            (&github["client_payload"]["numTasks"], &github["client_payload"]["completed"]),
            (&json!(4), &json!(true))
        );
        assert_eq!(github["client_payload"]["experiment"]["result"]["insights"]["numVersions"], 1);
        let slack: Value = serde_json::from_str(&of(&Payload::Slack, "").unwrap().unwrap()).unwrap();
        assert!(slack["text"].as_str().unwrap().starts_with("Your Iter8 report is ready: ```{"));
        assert_eq!(of(&Payload::None, ""), Ok(None));
    }

    #[test]
    fn templates_are_filled_in_or_refused() {
        let own = Payload::Template("u".into());
        let template = "{\"n\": {{ .Report.numTasks }}, \"at\": {{- .Report.timeStamp | toJson -}}}";
        assert_eq!(of(&own, template).unwrap().unwrap(), "{\"n\": 4, \"at\":\"2023-01-01T00:00:00Z\"}");
        for template in [
            "{{ if .Report }}",
            "{{ .Report.nope }}",
            "{{ .Report | upper }}",
            "{{ .Report",
            "{{ .Report | toJson | x }}",
        ] {
            assert!(of(&own, template).is_err(), "{template}");
        }
    }
}
