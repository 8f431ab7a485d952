//! Tells who wants to know how a run ended.

use serde_json::json;

use super::{Failure, output, runtime};
use crate::outside::notify::{self, Notice};
use crate::report::model::RunVerdict;
use crate::report::{self, Format, Report};
use crate::spec::{self, When};

/// Sends the notices that are due. One that can't be delivered is said; it is a failure only if the test says so.
pub(super) fn tell(notices: &[spec::Notice], report: &Report) -> Result<(), Failure> {
    let mut failed = None;
    for notice in notices {
        if notice.when == When::Failure && report.verdict == RunVerdict::Pass {
            continue;
        }
        let sent = compose(notice, report)
            .and_then(|notice| runtime().map_err(|failure| failure.message)?.block_on(notify::send(&notice)));
        match sent {
            Ok(()) => {}
            Err(why) if notice.soft_failure => output::complain(&format!("warning: a notice was not delivered: {why}")),
            // The others are told all the same.
            Err(why) => failed = Some(Failure::not_carried_out(format!("a notice was not delivered: {why}"))),
        }
    }
    failed.map_or(Ok(()), Err)
}

fn compose(notice: &spec::Notice, report: &Report) -> Result<Notice, String> {
    let text = report::render(report, Format::Json, false)?;
    let whole: serde_json::Value = serde_json::from_str(&text).map_err(|error| error.to_string())?;
    let body = match &notice.template {
        Some(template) => notify::own_body(template, &whole)?,
        None => summary(report),
    };
    let mut headers = notice.headers.clone();
    if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type")) {
        headers.push(("Content-Type".to_owned(), "application/json".to_owned()));
    }
    Ok(Notice { url: notice.url.clone(), method: notice.method.clone(), headers, params: vec![], body: Some(body) })
}

/// What a notice says without a template: the few things that a pipeline branches on.
fn summary(report: &Report) -> String {
    let slos: Vec<_> = report
        .slos
        .iter()
        .map(|slo| json!({"expr": slo.expr, "verdict": slo.verdict, "observed": slo.shown.observed}))
        .collect();
    json!({
        "test": report.test,
        "run": report.run,
        "verdict": report.verdict,
        "reasons": report.reasons,
        "exit_code": report.exit_code,
        "slos": slos,
        "sent": report.load.sent,
        "errors": report.load.errors,
    })
    .to_string()
}
