//! The history as JSON.

use super::model::{SCHEMA, Trend};

pub(super) fn render(trend: &Trend) -> Result<String, String> {
    let mut text = serde_json::to_string_pretty(trend).map_err(|error| error.to_string())?;
    text.push('\n');
    Ok(text)
}

/// Reads what [`super::render`] wrote.
///
/// # Errors
/// A sentence for people: not JSON, of a version that is not known here, or torn.
pub fn parse(text: &str) -> Result<Trend, String> {
    #[derive(serde::Deserialize)]
    struct Versioned {
        schema: Option<String>,
    }
    let versioned: Versioned = serde_json::from_str(text).map_err(|error| format!("not a trend (JSON): {error}"))?;
    match versioned.schema.as_deref() {
        Some(SCHEMA) => {}
        Some(other) => {
            return Err(format!(
                "the trend has schema '{other}', this version reads {SCHEMA}: use the version that wrote it"
            ));
        }
        None => return Err(format!("not a trend: it has no schema (expected {SCHEMA})")),
    }
    serde_json::from_str(text).map_err(|error| format!("the trend does not fit {SCHEMA}: {error}"))
}

/// The JSON Schema of a trend.
///
/// # Errors
/// None that a derived schema gives.
pub fn schema() -> Result<String, String> {
    let mut text = serde_json::to_string_pretty(&schemars::schema_for!(Trend)).map_err(|error| error.to_string())?;
    text.push('\n');
    Ok(text)
}
