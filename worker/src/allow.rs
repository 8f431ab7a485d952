//! The allow-list of targets: what a test may be aimed at. It looks at hosts and ports as they are written in a test and
//! deliberately knows no names' addresses.
//!
//! A pattern is one of
//!
//! - `*`: everything.
//! - `shop.example.com`: that name. `localhost` also stands for the loopback addresses, which it always means.
//! - `*.svc.cluster.local`: every name below, at any depth. Further to the right a `*` is exactly one label
//!   (`shop.*.svc`).
//! - `10.0.0.7`, `fd00::7`: that address.
//! - `10.0.0.0/8`, `fd00::/8`: addresses of that network that are written as addresses.
//! - any of these with `:PORT`; IPv6 is in brackets then (`[fd00::7]:80`, `[fd00::/8]:80`).
//!
//! A name that a pattern allows is allowed wherever it resolves to; networks do not speak about names. Cases and a dot
//! at the end make no difference.

mod pattern;
#[cfg(test)]
mod tests;

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

pub use self::pattern::Pattern;
use self::pattern::Written;

/// Patterns that a refusal shows.
const SHOWN_MAX: usize = 6;

/// What a test may be aimed at: whatever one of the patterns allows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AllowList {
    patterns: Vec<Pattern>,
}

/// Why a test is not run: a sentence for people.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Refusal(String);

impl AllowList {
    /// Allows what any of the patterns allows.
    pub fn new(patterns: Vec<Pattern>) -> Self {
        AllowList { patterns }
    }

    /// Allows everything.
    pub fn everything() -> Self {
        AllowList { patterns: vec![Pattern::everything()] }
    }

    /// Allows the services of the cluster that this runs in: `*.svc.cluster.local` and `*.svc`.
    pub fn cluster() -> Self {
        AllowList { patterns: vec![Pattern::below(&["svc", "cluster", "local"]), Pattern::below(&["svc"])] }
    }

    /// Reads patterns; each text may hold several with commas in between.
    ///
    /// # Errors
    /// A sentence for people: which pattern is none and what to write, or that there is not one.
    pub fn parse<T: AsRef<str>>(texts: impl IntoIterator<Item = T>) -> Result<Self, String> {
        let mut patterns = Vec::new();
        for text in texts {
            let several = text.as_ref().split(',').map(str::trim).filter(|text| !text.is_empty());
            patterns.extend(several.map(str::parse).collect::<Result<Vec<Pattern>, _>>()?);
        }
        if patterns.is_empty() {
            return Err("the allow-list is empty, so no test could run: name targets, or write '*' for all".to_owned());
        }
        Ok(AllowList { patterns })
    }

    /// Whether a test may be aimed at this. `host` is a name or an address; IPv6 with or without brackets.
    pub fn allows(&self, host: &str, port: u16) -> bool {
        let written = Written::read(host);
        self.patterns.iter().any(|pattern| pattern.allows(&written, port))
    }

    /// As [`AllowList::allows`], in words.
    ///
    /// # Errors
    /// The target is outside the list; with what would put it in.
    pub fn check(&self, host: &str, port: u16) -> Result<(), Refusal> {
        let written = Written::read(host);
        if self.patterns.iter().any(|pattern| pattern.allows(&written, port)) {
            return Ok(());
        }
        let (shown, mend) = match &written {
            Written::Name(_) => {
                let name = host.strip_suffix('.').unwrap_or(host);
                (name.to_owned(), format!("add it with --allow {name}, or targets.allow in the chart"))
            }
            Written::Address(address) => {
                let target = bracketed(host);
                (target, format!("add it with --allow {address}, or targets.allow in the chart"))
            }
            Written::Odd(why) => (host.escape_debug().to_string(), format!("{why}, which no pattern but '*' allows")),
        };
        Err(Refusal(format!("target {shown}:{port} is outside the allow-list ({self}): {mend}")))
    }

    /// Whether it allows everything.
    pub fn is_everything(&self) -> bool {
        self.patterns.contains(&Pattern::everything())
    }
}

/// An IPv6 address in brackets, so that a port can follow.
fn bracketed(host: &str) -> String {
    match host.parse::<Ipv6Addr>() {
        Ok(address) => format!("[{address}]"),
        Err(_) => host.to_owned(),
    }
}

/// The patterns in words; the first few of them if there are many.
impl fmt::Display for AllowList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, pattern) in self.patterns.iter().take(SHOWN_MAX).enumerate() {
            let comma = if number == 0 { "" } else { ", " };
            write!(f, "{comma}{pattern}")?;
        }
        match self.patterns.len().saturating_sub(SHOWN_MAX) {
            0 => Ok(()),
            more => write!(f, " and {more} more"),
        }
    }
}

/// Loopback addresses: what `localhost` means wherever it is asked for (RFC 6761 §6.3).
fn is_loopback(address: std::net::IpAddr) -> bool {
    match address {
        std::net::IpAddr::V4(address) => Ipv4Addr::is_loopback(&address),
        std::net::IpAddr::V6(address) => Ipv6Addr::is_loopback(&address),
    }
}
