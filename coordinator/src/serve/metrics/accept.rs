//! Which format a scrape asks for (RFC 9110 §12.5.1).

/// A format of metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    OpenMetrics,
    Protobuf,
    Plain,
}

impl Format {
    pub(super) fn content_type(self) -> &'static str {
        match self {
            Format::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Format::Protobuf => {
                "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited"
            }
            Format::Plain => "text/plain; version=0.0.4; charset=utf-8",
        }
    }

    /// The one that is wanted most; among equals the one that is named first. Whoever names none gets plain text.
    pub(super) fn asked_for(accept: Option<&str>) -> Format {
        let mut best = (0.0, Format::Plain);
        for range in accept.unwrap_or_default().split(',') {
            if let Some((format, weight)) = read(range)
                && weight > best.0
            {
                best = (weight, format);
            }
        }
        best.1
    }
}

/// A media range and its weight, if it is one of ours.
fn read(range: &str) -> Option<(Format, f64)> {
    let mut parts = range.split(';').map(str::trim);
    let kind = parts.next()?.to_ascii_lowercase();
    let (mut weight, mut version, mut proto, mut encoding) = (1.0, None, None, None);
    for part in parts {
        let (name, value) = part.split_once('=').unwrap_or((part, ""));
        let value = value.trim().trim_matches('"');
        match name.trim().to_ascii_lowercase().as_str() {
            "q" => weight = value.parse().ok().filter(|weight| (0.0..=1.0).contains(weight))?,
            "version" => version = Some(value),
            "proto" => proto = Some(value),
            "encoding" => encoding = Some(value),
            // Such as charset and escaping: nothing of ours depends on it.
            _ => {}
        }
    }
    let format = match kind.as_str() {
        "application/openmetrics-text" if version.is_none_or(|version| version == "1.0.0") => Format::OpenMetrics,
        "application/vnd.google.protobuf"
            if proto == Some("io.prometheus.client.MetricFamily") && encoding == Some("delimited") =>
        {
            Format::Protobuf
        }
        "text/plain" if version.is_none_or(|version| version == "0.0.4") => Format::Plain,
        "text/*" | "*/*" => Format::Plain,
        _ => return None,
    };
    Some((format, weight))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wanted_most_is_given() {
        // What Prometheus sends with native histograms and without.
        let native = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.6,\
            application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,application/openmetrics-text;version=0.0.1;\
            q=0.4,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,text/plain;version=0.0.4;q=0.2,*/*;q=0.1";
        let classic = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,\
            application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;q=0.4,text/plain;version=0.0.4;q=0.3,\
            */*;q=0.2";
        for (accept, format) in [
            (native, Format::Protobuf),
            (classic, Format::OpenMetrics),
            ("", Format::Plain),
            ("*/*", Format::Plain),
            ("text/html, */*;q=0.8", Format::Plain),
            ("application/openmetrics-text", Format::OpenMetrics),
            ("application/openmetrics-text; version=\"1.0.0\"", Format::OpenMetrics),
            ("application/openmetrics-text;version=2.0.0", Format::Plain),
            ("application/openmetrics-text;q=0", Format::Plain),
            ("application/openmetrics-text;q=high", Format::Plain),
            ("text/plain;q=0.5, application/openmetrics-text;q=0.4", Format::Plain),
            ("text/plain, application/openmetrics-text", Format::Plain),
            ("APPLICATION/OpenMetrics-Text, text/plain", Format::OpenMetrics),
            ("application/vnd.google.protobuf", Format::Plain),
            ("application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=text", Format::Plain),
        ] {
            assert_eq!(Format::asked_for(Some(accept)), format, "{accept}");
        }
        assert_eq!(Format::asked_for(None), Format::Plain);
    }
}
