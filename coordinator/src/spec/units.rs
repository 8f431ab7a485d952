//! Rates, durations, sizes and numbers as people write them.

/// Nanoseconds of a duration such as `30s`, `1m30s`, `250ms`.
///
/// # Errors
/// What to write instead.
pub fn duration_ns(text: &str) -> Result<u64, String> {
    let wrong = || format!("'{text}' is not a duration: write a number and a unit, such as 250ms, 30s, 1m30s or 2h");
    let mut rest = text.trim();
    if rest.is_empty() {
        return Err(wrong());
    }
    let mut total = 0.0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(wrong)?;
        let number: f64 = rest[..digits].parse().map_err(|_| wrong())?;
        rest = &rest[digits..];
        let letters = rest.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(rest.len());
        total += number * unit_ns(&rest[..letters]).ok_or_else(wrong)?;
        rest = &rest[letters..];
    }
    // A century; far beyond it lies the end of 64 bits.
    if total > 3.2e18 {
        return Err(format!("'{text}' is longer than a century"));
    }
    Ok(total.round() as u64)
}

/// Nanoseconds of a unit of time.
pub fn unit_ns(unit: &str) -> Option<f64> {
    Some(match unit {
        "ns" => 1.0,
        "us" | "µs" | "μs" => 1e3,
        "ms" | "msec" => 1e6,
        "s" | "sec" => 1e9,
        "m" | "min" => 60e9,
        "h" => 3600e9,
        "d" => 86_400e9,
        _ => return None,
    })
}

/// Requests per second of a rate such as `500/s`, `30/m` or `2.5k/s`.
///
/// # Errors
/// What to write instead.
pub fn rate(text: &str) -> Result<f64, String> {
    let trimmed = text.trim();
    let wrong = || format!("'{text}' is not a rate: write requests per unit of time, such as 500/s, 2.5k/s or 30/m");
    let Some((number, unit)) = trimmed.split_once('/') else {
        return Err(match trimmed.parse::<f64>() {
            Ok(_) => format!("'{text}' has no unit: write {trimmed}/s for requests per second"),
            Err(_) => wrong(),
        });
    };
    let seconds = match unit.trim() {
        "s" | "sec" => 1.0,
        "m" | "min" => 60.0,
        "h" => 3600.0,
        _ => return Err(wrong()),
    };
    let number = number.trim();
    let (digits, factor) = match number.strip_suffix('k') {
        Some(digits) => (digits, 1000.0),
        None => (number, 1.0),
    };
    let value: f64 = digits.parse().map_err(|_| wrong())?;
    if !value.is_finite() {
        return Err(wrong());
    }
    Ok(value * factor / seconds)
}

/// A whole number.
///
/// # Errors
/// What to write instead.
pub fn whole(text: &str, what: &str) -> Result<u64, String> {
    text.trim().replace('_', "").parse().map_err(|_| format!("'{text}' is not {what}: write a whole number"))
}

/// A duration for people, of at most four digits: `250ms`, `1.5s`, `90s`, `12.3µs`.
pub fn show_ns(ns: f64) -> String {
    let (value, unit) = match ns.abs() {
        x if x < 1e3 => (ns, "ns"),
        x if x < 1e6 => (ns / 1e3, "µs"),
        x if x < 1e9 => (ns / 1e6, "ms"),
        _ => (ns / 1e9, "s"),
    };
    let digits = match value.abs() {
        x if x >= 100.0 => 0,
        x if x >= 10.0 => 1,
        _ => 2,
    };
    let text = format!("{value:.digits$}");
    let text = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text };
    format!("{text}{unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        for (text, ns) in [("250ms", 250_000_000), ("1m30s", 90_000_000_000), ("1.5s", 1_500_000_000), ("7us", 7_000)] {
            assert_eq!(duration_ns(text), Ok(ns), "{text}");
        }
        for text in ["", "30", "s", "30 parsecs", "-5s", "1s2", "1..2s", "99999999999h"] {
            assert!(duration_ns(text).is_err(), "{text}");
        }
    }

    #[test]
    fn rates() {
        for (text, per_s) in [("500/s", 500.0), ("2.5k/s", 2500.0), ("30/m", 0.5), ("-5/s", -5.0)] {
            assert_eq!(rate(text), Ok(per_s), "{text}");
        }
        assert!(rate("500").unwrap_err().contains("500/s"));
        for text in ["", "/s", "x/s", "5/parsec", "inf/s", "5rps"] {
            assert!(rate(text).is_err(), "{text}");
        }
    }

    #[test]
    fn shown_as_people_write_them() {
        for (ns, text) in [(250e6, "250ms"), (1.5e9, "1.5s"), (12_345.0, "12.3µs"), (7.0, "7ns"), (100e9, "100s")] {
            assert_eq!(show_ns(ns), text);
        }
    }
}
