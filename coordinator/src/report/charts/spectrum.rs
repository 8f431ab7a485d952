//! How long requests took, from the quickest to the slowest: of one run, or of two over each other.

use std::fmt::Write;

use super::frame::{Frame, LAST_NINE, Line, NARROW, Scale, WIDE, empty, nines, sane};
use crate::compare::model::Comparison;
use crate::report::figures::{show_percentile, show_time};

/// One line: its name in read-outs, its name at its end, its class, and (share at or below, seconds).
struct Spectrum {
    told: String,
    name: String,
    class: &'static str,
    points: Vec<(f64, f64)>,
}

impl Spectrum {
    fn new(told: &str, name: &str, class: &'static str, points: &[(f64, f64)]) -> Spectrum {
        let drawn = |(share, s): &(f64, f64)| (share.is_finite()).then_some((share.clamp(0.0, 1.0), sane(*s)?));
        let mut points: Vec<(f64, f64)> = points.iter().filter_map(drawn).collect();
        points.sort_by(|one, other| one.0.total_cmp(&other.0));
        Spectrum { told: told.to_owned(), name: name.to_owned(), class, points }
    }

    /// The value of the least point at or above a share.
    fn at(&self, share: f64) -> Option<f64> {
        let place = self.points.partition_point(|(own, _)| *own < share - LAST_NINE);
        self.points.get(place).or(self.points.last()).map(|(_, seconds)| *seconds)
    }
}

/// Latency and service time by percentile: (share at or below, seconds).
pub fn spectrum(latency: &[(f64, f64)], service_time: &[(f64, f64)]) -> String {
    let spectra = [
        Spectrum::new("latency", "latency", "latency", latency),
        Spectrum::new("service time", "service time", "service", service_time),
    ];
    drawn(&spectra, "Latency and service time by percentile", true)
}

/// Latency of both sides over each other, and their service times, thinner.
pub fn spectra(of: &Comparison) -> String {
    let (a, b, spectra) = (&of.a.label, &of.b.label, &of.spectra);
    let service = |label: &str| format!("{label} service");
    let told = |label: &str, what: &str| format!("{label} {what}");
    let spectra = [
        Spectrum::new(&told(b, "latency"), b, "side-b", &spectra.latency_b),
        Spectrum::new(&told(a, "latency"), a, "side-a", &spectra.latency_a),
        Spectrum::new(&told(b, "service time"), &service(b), "side-b thin", &spectra.service_time_b),
        Spectrum::new(&told(a, "service time"), &service(a), "side-a thin", &spectra.service_time_a),
    ];
    drawn(&spectra, "Latency and service time of both sides by percentile", false)
}

fn drawn(spectra: &[Spectrum], what: &str, gap: bool) -> String {
    if spectra.iter().all(|spectrum| spectrum.points.is_empty()) {
        return empty("No request was answered in the main phase: there is nothing to show.");
    }
    let mut said = Vec::new();
    for spectrum in spectra {
        for (what, share) in [("median", 0.5), ("p99", 0.99), ("maximum", 1.0)] {
            said.extend(spectrum.at(share).map(|s| format!("{} {what} {}", spectrum.told, show_time(s))));
        }
    }
    let label = format!("{what}: {}.", said.join(", "));
    [WIDE, NARROW].iter().map(|frame| frame.svg(&label, &body(frame, spectra, gap))).collect()
}

/// `gap`: the ground between the first two is shaded.
fn body(frame: &Frame, spectra: &[Spectrum], gap: bool) -> String {
    let all = || spectra.iter().flat_map(|spectrum| &spectrum.points);
    let scale = Scale::of_times(all().map(|(_, seconds)| *seconds));
    // The maximum stands a third of a nine right of the last percentile that was seen.
    let seen = all().filter_map(|(share, _)| nines(*share)).fold(1.0, f64::max);
    let end = seen + 0.35;
    let place = |share: f64| nines(share).unwrap_or(end) / end;
    let line = |spectrum: &'_ Spectrum| -> Vec<(f64, Option<f64>)> {
        spectrum.points.iter().map(|(share, s)| (place(*share), Some(scale.position(*s)))).collect()
    };
    let lines: Vec<Line> = spectra
        .iter()
        .map(|spectrum| Line { name: &spectrum.name, class: spectrum.class, points: line(spectrum) })
        .collect();

    let mut ticks = vec![(0.0, "0%".to_owned()), (place(0.5), "50%".to_owned())];
    for nine in 1..=seen.floor() as i32 {
        ticks.push((f64::from(nine) / end, show_percentile(1.0 - 10f64.powi(-nine))));
    }
    ticks.push((1.0, "max".to_owned()));

    let mut body = frame.y_axis(&scale, show_time);
    if let (true, [one, other, ..]) = (gap, lines.as_slice())
        && !one.points.is_empty()
        && !other.points.is_empty()
    {
        let corners = one.points.iter().chain(other.points.iter().rev());
        let outline = corners.filter_map(|(x, y)| Some(format!("{:.1} {:.1}", frame.x(*x), frame.y((*y)?))));
        let _ = write!(body, "<path class=\"gap\" d=\"M{}Z\"/>", outline.collect::<Vec<_>>().join("L"));
    }
    body += &frame.x_axis(&ticks, "percentile of requests");
    lines.iter().rev().for_each(|line| body += &frame.line(line.class, &line.points));
    body += &frame.names(&lines);
    for column in 0..frame.columns {
        let (from, to) = (column as f64 / frame.columns as f64, (column + 1) as f64 / frame.columns as f64);
        let share = if column + 1 == frame.columns { 1.0 } else { 1.0 - 10f64.powf(-end * (from + to) / 2.0) };
        let value = |spectrum: &Spectrum| spectrum.at(share).map_or("–".to_owned(), show_time);
        let told: Vec<_> = spectra.iter().map(|spectrum| format!("{} {}", spectrum.told, value(spectrum))).collect();
        let name = if share >= 1.0 { "max".to_owned() } else { show_percentile(share) };
        body += &frame.hit(from, to, &format!("{name}: {}", told.join(", ")));
    }
    body
}
