//! The report as JSON: what a run is stored as.

use super::model::{Report, SCHEMA};

pub(super) fn render(report: &Report) -> Result<String, String> {
    let mut text = serde_json::to_string_pretty(report).map_err(|error| error.to_string())?;
    text.push('\n');
    Ok(text)
}

/// Reads a stored run.
///
/// # Errors
/// A sentence for people: not JSON, of a version that is not known here, or torn.
pub fn parse(text: &str) -> Result<Report, String> {
    #[derive(serde::Deserialize)]
    struct Versioned {
        schema: Option<String>,
    }
    let versioned: Versioned =
        serde_json::from_str(text).map_err(|error| format!("not a stored run (JSON): {error}"))?;
    match versioned.schema.as_deref() {
        Some(SCHEMA) => {}
        Some(other) => {
            return Err(format!(
                "the stored run has schema '{other}', this version reads {SCHEMA}: use the version that wrote it"
            ));
        }
        None => return Err(format!("not a stored run: it has no schema (expected {SCHEMA})")),
    }
    serde_json::from_str(text).map_err(|error| format!("the stored run does not fit {SCHEMA}: {error}"))
}

/// The JSON Schema of the report.
///
/// # Errors
/// None that a derived schema gives.
pub fn schema() -> Result<String, String> {
    let schema = schemars::schema_for!(Report);
    let mut text = serde_json::to_string_pretty(&schema).map_err(|error| error.to_string())?;
    text.push('\n');
    Ok(text)
}
