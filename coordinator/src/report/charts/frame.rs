//! What every chart is drawn on: a frame, its axes and scales. It knows shares of axes, and nothing of figures.

use std::fmt::Write;

/// Above this the program's own figures do not go; what does is not a figure.
pub(super) const LARGEST: f64 = 1e12;
/// A logarithmic scale where the largest value is more than this many times the smallest.
pub(super) const LOG_FROM: f64 = 100.0;
/// Shares closer to 1 are the maximum: farther nines are rounding.
pub(super) const LAST_NINE: f64 = 1e-9;

/// The picture's geometry, in its own units.
#[derive(Clone, Copy, Debug)]
pub(super) struct Frame {
    pub(super) class: &'static str,
    pub(super) width: f64,
    pub(super) height: f64,
    pub(super) left: f64,
    pub(super) right: f64,
    /// Ticks of the time axis at most.
    pub(super) ticks: usize,
    /// Points a line is thinned to, and read-outs, at most.
    pub(super) columns: usize,
    /// Whether lines are named at their ends.
    pub(super) names: bool,
}

pub(super) const WIDE: Frame = Frame {
    class: "wide",
    width: 1080.0,
    height: 330.0,
    left: 64.0,
    right: 112.0,
    ticks: 12,
    columns: 240,
    names: true,
};
pub(super) const NARROW: Frame = Frame {
    class: "narrow",
    width: 400.0,
    height: 270.0,
    left: 52.0,
    right: 14.0,
    ticks: 6,
    columns: 80,
    names: false,
};
/// Letters of a name at the end of a line: what the room on the right holds.
const NAME_MAX: usize = 15;
pub(super) const TOP: f64 = 14.0;
pub(super) const BOTTOM: f64 = 40.0;

impl Frame {
    pub(super) fn x(&self, share: f64) -> f64 {
        self.left + share.clamp(0.0, 1.0) * (self.width - self.left - self.right)
    }

    pub(super) fn y(&self, share: f64) -> f64 {
        self.floor() - share.clamp(0.0, 1.0) * (self.floor() - TOP)
    }

    pub(super) fn floor(&self) -> f64 {
        self.height - BOTTOM
    }

    /// Axes, whatever lies between, and the end.
    pub(super) fn svg(&self, label: &str, body: &str) -> String {
        let Frame { class, width, height, .. } = self;
        format!(
            "<svg class=\"chart {class}\" viewBox=\"0 0 {width:.0} {height:.0}\" role=\"img\" aria-label=\"{}\">\
             {body}</svg>\n",
            escape(label)
        )
    }

    pub(super) fn y_axis(&self, scale: &Scale, show: impl Fn(f64) -> String) -> String {
        let mut out = String::new();
        for tick in scale.ticks() {
            let (y, text) = (self.y(scale.position(tick)), show(tick));
            let (from, to) = (self.left, self.width - self.right);
            let _ = write!(out, "<path class=\"grid\" d=\"M{from:.1} {y:.1}H{to:.1}\"/>");
            let _ = write!(out, "<text class=\"end\" x=\"{:.1}\" y=\"{:.1}\">{text}</text>", from - 8.0, y + 4.0);
        }
        out
    }

    /// Labels under the axis; those that would touch one before them are left out, the last one never.
    pub(super) fn x_axis(&self, ticks: &[(f64, String)], title: &str) -> String {
        let (mut out, floor) = (String::new(), self.floor());
        let room = |text: &str| text.chars().count() as f64 * 7.0 + 8.0;
        let last = ticks.last().map_or(f64::INFINITY, |(share, text)| self.x(*share) - room(text) / 2.0);
        let mut free = f64::NEG_INFINITY;
        for (place, (share, text)) in ticks.iter().enumerate() {
            let (x, half) = (self.x(*share), room(text) / 2.0);
            let _ = write!(out, "<path class=\"tick\" d=\"M{x:.1} {floor:.1}v5\"/>");
            if place + 1 < ticks.len() && (x - half < free || x + half > last) {
                continue;
            }
            free = x + half;
            let _ = write!(out, "<text class=\"mid\" x=\"{x:.1}\" y=\"{:.1}\">{text}</text>", floor + 18.0);
        }
        let (from, to, under) = (self.left, self.width - self.right, self.height - 5.0);
        let _ = write!(out, "<path class=\"axis\" d=\"M{from:.1} {floor:.1}H{to:.1}\"/>");
        let _ = write!(out, "<text class=\"mid axis-title\" x=\"{:.1}\" y=\"{under:.1}\">{title}</text>", self.x(0.5));
        out
    }

    /// A line through what there is, with gaps where there is nothing. Points are shares of the two axes.
    pub(super) fn line(&self, class: &str, points: &[(f64, Option<f64>)]) -> String {
        let (mut path, mut dots) = (String::new(), String::new());
        let at = |place: usize| points.get(place).and_then(|(x, y)| Some((self.x(*x), self.y((*y)?))));
        for place in 0..points.len() {
            let Some((x, y)) = at(place) else { continue };
            let before = place.checked_sub(1).and_then(at).is_some();
            if !before && at(place + 1).is_none() {
                // A line of one point would not be seen.
                let _ = write!(dots, "<circle class=\"dot {class}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3\"/>");
            } else {
                let _ = write!(path, "{}{x:.1} {y:.1}", if before { "L" } else { "M" });
            }
        }
        if path.is_empty() { dots } else { format!("<path class=\"line {class}\" d=\"{path}\"/>{dots}") }
    }

    /// The lines' names at their right ends, pushed apart.
    pub(super) fn names(&self, lines: &[Line]) -> String {
        if !self.names {
            return String::new();
        }
        let end = |line: &Line| line.points.iter().rev().find_map(|(_, y)| *y).map(|y| self.y(y));
        let mut ends: Vec<(f64, &Line)> = lines.iter().filter_map(|line| Some((end(line)?, line))).collect();
        ends.sort_by(|one, other| one.0.total_cmp(&other.0));
        let (mut out, mut free) = (String::new(), TOP);
        // As many as follow must still find room above the axis.
        let mut left = ends.len() as f64;
        for (y, line) in ends {
            let y = y.min(self.floor() - (left - 1.0) * 15.0).max(free);
            (free, left) = (y + 15.0, left - 1.0);
            let (x, class, name) = (self.width - self.right + 8.0, line.class, escape(&shorten(line.name, NAME_MAX)));
            let _ = write!(out, "<text class=\"name {class}\" x=\"{x:.1}\" y=\"{:.1}\">{name}</text>", y + 4.0);
        }
        out
    }

    /// An unseen strip that tells its figures when pointed at.
    pub(super) fn hit(&self, from: f64, to: f64, told: &str) -> String {
        let (x, width, height) = (self.x(from), self.x(to) - self.x(from), self.floor() - TOP);
        format!(
            "<rect class=\"hit\" x=\"{x:.1}\" y=\"{TOP}\" width=\"{width:.1}\" height=\"{height:.1}\">\
             <title>{}</title></rect>",
            escape(told)
        )
    }
}

/// A line to draw: x as a share of the axis, y as well.
pub(super) struct Line<'a> {
    pub(super) name: &'a str,
    pub(super) class: &'static str,
    pub(super) points: Vec<(f64, Option<f64>)>,
}

/// A value's way to a place on an axis.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Scale {
    Linear {
        top: f64,
        step: f64,
    },
    Log {
        low: f64,
        top: f64,
    },
    /// Not from zero: where changes are looked at, not sizes.
    Range {
        low: f64,
        top: f64,
        step: f64,
    },
}

impl Scale {
    /// From zero to the largest value; logarithmic where that would flatten the small ones.
    pub(super) fn of_times(values: impl Iterator<Item = f64>) -> Scale {
        let (mut low, mut top) = (f64::INFINITY, 0.0_f64);
        values.filter_map(sane).filter(|value| *value > 0.0).for_each(|value| {
            low = low.min(value);
            top = top.max(value);
        });
        if top > low * LOG_FROM {
            return Scale::Log { low: round(low, f64::floor), top: round(top, f64::ceil) };
        }
        Scale::linear(if top > 0.0 { top } else { 1e-3 })
    }

    /// From the least to the most value, with a little room on both sides. `None` without a value.
    pub(super) fn around(values: impl Iterator<Item = f64>, ticks: f64) -> Option<Scale> {
        let drawn = values.filter(|value| value.is_finite() && value.abs() <= LARGEST);
        let (low, top) =
            drawn.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, top), value| (low.min(value), top.max(value)));
        let size = low.abs().max(top.abs());
        if low > top {
            return None;
        }
        // A series that does not move still needs an axis of some length.
        let room = ((top - low) * 0.06).max(size * 0.005).max(1e-9);
        let step = round((top - low + 2.0 * room) / ticks, f64::ceil);
        let low = if low >= 0.0 { (low - room).max(0.0) } else { low - room };
        Some(Scale::Range { low: (low / step).floor() * step, top: ((top + room) / step).ceil() * step, step })
    }

    /// By powers of ten, whatever the values.
    pub(super) fn decades(values: impl Iterator<Item = f64>) -> Scale {
        let drawn = values.filter_map(sane).filter(|value| *value > 0.0);
        let (low, top) = drawn.fold((f64::INFINITY, 0.0_f64), |(low, top), value| (low.min(value), top.max(value)));
        match low < top {
            true => Scale::Log { low: round(low, f64::floor), top: round(top, f64::ceil) },
            false => Scale::linear(if top > 0.0 { top } else { 1.0 }),
        }
    }

    pub(super) fn of_rates(values: impl Iterator<Item = f64>) -> Scale {
        let top = values.filter_map(sane).fold(0.0, f64::max);
        Scale::linear(if top > 0.0 { top } else { 1.0 })
    }

    pub(super) fn linear(top: f64) -> Scale {
        let step = round(top / 5.0, f64::ceil);
        Scale::Linear { top: (top / step - 1e-9).ceil().max(1.0) * step, step }
    }

    pub(super) fn position(&self, value: f64) -> f64 {
        match *self {
            Scale::Linear { top, .. } => value / top,
            Scale::Log { low, top } => (value.max(low) / low).log10() / (top / low).log10(),
            Scale::Range { low, top, .. } => (value - low) / (top - low),
        }
    }

    /// Whether a value lies on the axis.
    pub(super) fn holds(&self, value: f64) -> bool {
        (0.0..=1.0).contains(&self.position(value)) && !matches!(self, Scale::Log { low, .. } if value < *low)
    }

    pub(super) fn ticks(&self) -> Vec<f64> {
        match *self {
            Scale::Linear { top, step } => (0..=(top / step).round() as usize).map(|n| n as f64 * step).collect(),
            Scale::Range { low, top, step } => {
                (0..=((top - low) / step).round() as usize).map(|n| low + n as f64 * step).collect()
            }
            Scale::Log { low, top } => {
                let (first, last) = (low.log10().floor() as i32, top.log10().ceil() as i32);
                // 1, 2 and 5 of each power of ten where there is room, else the powers alone.
                let within: &[f64] = if top / low <= 2e3 { &[1.0, 2.0, 5.0] } else { &[1.0] };
                let all = (first..=last).flat_map(|power| within.iter().map(move |n| n * 10f64.powi(power)));
                all.filter(|tick| *tick >= low * 0.999 && *tick <= top * 1.001).collect()
            }
        }
    }
}

/// What can be drawn.
pub(super) fn sane(value: f64) -> Option<f64> {
    (value.is_finite() && (0.0..=LARGEST).contains(&value)).then_some(value)
}

/// To 1, 2 or 5 times a power of ten, in the direction that `whole` rounds to.
pub(super) fn round(value: f64, whole: fn(f64) -> f64) -> f64 {
    let (up, value) = (whole(0.5) > 0.5, value.max(1e-12));
    let power = 10f64.powf(value.log10().floor());
    let digit = value / power;
    let steps = [1.0, 2.0, 5.0, 10.0];
    let found = match up {
        true => steps.iter().find(|step| **step >= digit - 1e-9),
        false => steps.iter().rev().find(|step| **step <= digit + 1e-9),
    };
    found.copied().unwrap_or(1.0) * power
}

/// Where a share lies on a log-percentile axis, in nines: 0.9 is 1, 0.99 is 2. The maximum has no place there.
pub(super) fn nines(share: f64) -> Option<f64> {
    let rest = 1.0 - share.clamp(0.0, 1.0);
    // max() spares the axis a negative zero.
    (rest > LAST_NINE).then(|| (-rest.log10()).max(0.0))
}

pub(super) fn empty(why: &str) -> String {
    format!("<p class=\"empty\">{why}</p>\n")
}

/// Others' words as text of a picture.
pub(super) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            // What no XML may hold.
            letter if letter.is_control() && letter != '\n' => out.push(' '),
            letter => out.push(letter),
        }
    }
    out
}

/// At most so many letters, with a mark where some are missing.
pub(super) fn shorten(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    let kept: String = text.chars().take(most.saturating_sub(1)).collect();
    format!("{}…", kept.trim_end())
}

/// A mark's form: told from another without colours too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Disc,
    Cross,
    Diamond,
    Square,
}

/// A mark around a place. Its class says colour, and whether it is filled.
pub(super) fn mark(form: Form, class: &str, x: f64, y: f64, r: f64) -> String {
    let d = match form {
        Form::Disc => {
            format!("M{:.1} {y:.1}a{r:.1} {r:.1} 0 1 0 {:.1} 0a{r:.1} {r:.1} 0 1 0 {:.1} 0Z", x - r, 2.0 * r, -2.0 * r)
        }
        Form::Cross => {
            format!("M{:.1} {:.1}l{w:.1} {w:.1}m0 {:.1}l{:.1} {w:.1}", x - r, y - r, -2.0 * r, -2.0 * r, w = 2.0 * r)
        }
        Form::Diamond => {
            let r = r * 1.25;
            format!("M{x:.1} {:.1}l{r:.1} {r:.1}l{:.1} {r:.1}l{:.1} {:.1}Z", y - r, -r, -r, -r)
        }
        Form::Square => format!("M{:.1} {:.1}h{w:.1}v{w:.1}h{:.1}Z", x - r, y - r, -2.0 * r, w = 2.0 * r),
    };
    format!("<path class=\"mark {class}\" d=\"{d}\"/>")
}
