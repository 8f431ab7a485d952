//! What the pages share: their templates, the badges, and the pages of capacity searches, comparisons and histories.
//!
//! A page is one file: no script, nothing fetched, readable offline, on paper and on a phone. It says the answer
//! first, then what that rests on, then the figures. It decides nothing: verdicts are the models'.

mod capacity;
mod compare;
mod trend;
pub mod versions;

use serde::Serialize;
use tera::{Context, Tera};

use super::figures;
use super::model::{RunVerdict, Validity};

pub use self::capacity::page as capacity;
pub use self::compare::page as compare;
pub use self::trend::page as trend;

/// Every template by the name that others know it by. Escaping goes by the name's end: styles are not escaped.
const TEMPLATES: [(&str, &str); 9] = [
    ("page.css", include_str!("page.css.tera")),
    ("more.css", include_str!("pages/more.css.tera")),
    ("parts.html", include_str!("pages/parts.html.tera")),
    ("page.html", include_str!("pages/page.html.tera")),
    ("report.html", include_str!("report.html.tera")),
    ("versions.html", include_str!("pages/versions.html.tera")),
    ("capacity.html", include_str!("pages/capacity.html.tera")),
    ("compare.html", include_str!("pages/compare.html.tera")),
    ("trend.html", include_str!("pages/trend.html.tera")),
];

/// Renders one of the templates.
///
/// # Errors
/// The template's, which no model causes.
pub(super) fn render(name: &str, of: &impl Serialize) -> Result<String, tera::Error> {
    let mut tera = Tera::default();
    figures::register(&mut tera);
    tera.add_raw_templates(TEMPLATES)?;
    tera.render(name, &Context::from_serialize(of)?)
}

/// A verdict or a state, told by word and symbol as well as by colour.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Badge {
    pub(super) word: &'static str,
    pub(super) symbol: &'static str,
    pub(super) class: &'static str,
}

pub(super) const INVALID: Badge = Badge::new("INVALID", "⊘", "invalid");

impl Badge {
    pub(super) const fn new(word: &'static str, symbol: &'static str, class: &'static str) -> Badge {
        Badge { word, symbol, class }
    }

    pub(super) fn verdict(verdict: RunVerdict) -> Badge {
        match verdict {
            RunVerdict::Pass => Badge::new("PASS", "✓", "good"),
            RunVerdict::Fail => Badge::new("FAIL", "✗", "bad"),
            RunVerdict::Inconclusive => Badge::new("INCONCLUSIVE", "?", "open"),
            RunVerdict::Invalid => INVALID,
        }
    }

    pub(super) fn objective(verdict: RunVerdict, invalid: bool) -> Badge {
        if invalid { Badge { class: "void", ..INVALID } } else { Badge::verdict(verdict) }
    }

    /// A state that is not known is no better than degraded.
    pub(super) fn state(state: &str) -> Badge {
        match state {
            "ok" => Badge::new("ok", "✓", "good"),
            "invalid" => Badge { word: "invalid", ..INVALID },
            _ => Badge::new("degraded", "!", "open"),
        }
    }

    pub(super) fn validity(validity: Validity) -> Badge {
        Badge::state(match validity {
            Validity::Valid => "ok",
            Validity::Degraded => "degraded",
            Validity::Invalid => "invalid",
        })
    }
}

#[cfg(test)]
mod tests;
