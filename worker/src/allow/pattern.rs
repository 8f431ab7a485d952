//! One pattern of an allow-list: read, shown, and held against a target.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

use super::is_loopback;

/// A name in the DNS, characters, and one of its labels (RFC 1035 §2.3.4).
const NAME_MAX: usize = 253;
const LABEL_MAX: usize = 63;

/// What may be written for a target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    host: Host,
    /// `None`: every port.
    port: Option<u16>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Host {
    Any,
    Name(Labels),
    /// An address is the network of its own.
    Network(Network),
}

/// A name, from left to right; `None` is a `*`.
type Labels = Vec<Option<String>>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Network {
    address: IpAddr,
    prefix: u8,
}

/// A target's host, as far as it can be held against a pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Written {
    /// In lower case, without a dot at the end.
    Name(String),
    Address(IpAddr),
    /// What resolvers may take for something else than it looks like, and why it is that.
    Odd(&'static str),
}

impl Written {
    pub(super) fn read(host: &str) -> Self {
        if let Some(inner) = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
            return match inner.parse::<Ipv6Addr>() {
                Ok(address) => Written::Address(IpAddr::V6(address).to_canonical()),
                Err(_) => Written::Odd("there is no IPv6 address in the brackets"),
            };
        }
        // Such as ::ffff:10.0.0.1 goes to the IPv4 address.
        if let Ok(address) = host.parse::<IpAddr>() {
            return Written::Address(address.to_canonical());
        }
        let name = host.strip_suffix('.').unwrap_or(host);
        if name.len() > NAME_MAX || !name.split('.').all(is_label) {
            return Written::Odd("this is neither a name nor an address");
        }
        if ends_in_number(name) {
            return Written::Odd("this is an address in another than its full decimal form");
        }
        Written::Name(name.to_ascii_lowercase())
    }
}

fn is_label(label: &str) -> bool {
    let fits = (1..=LABEL_MAX).contains(&label.len());
    fits && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
}

/// Whether resolvers read it as an IPv4 address, whatever its form: 127.1, 0x7f.1, 2130706433, 0177.0.0.1.
fn ends_in_number(name: &str) -> bool {
    let last = name.rsplit('.').next().unwrap_or(name);
    let hexadecimal = last.strip_prefix("0x").or_else(|| last.strip_prefix("0X"));
    last.bytes().all(|byte| byte.is_ascii_digit())
        || hexadecimal.is_some_and(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

impl Pattern {
    pub(super) fn everything() -> Self {
        Pattern { host: Host::Any, port: None }
    }

    pub(super) fn below(labels: &[&str]) -> Self {
        let below = labels.iter().map(|label| Some((*label).to_owned()));
        Pattern { host: Host::Name(std::iter::once(None).chain(below).collect()), port: None }
    }

    pub(super) fn allows(&self, written: &Written, port: u16) -> bool {
        if self.port.is_some_and(|only| only != port) {
            return false;
        }
        match (&self.host, written) {
            (Host::Any, _) => true,
            (Host::Name(labels), Written::Name(name)) => matches(labels, name),
            (Host::Name(labels), Written::Address(address)) => is_localhost(labels) && is_loopback(*address),
            (Host::Network(network), Written::Address(address)) => network.contains(*address),
            (Host::Network(_), Written::Name(_)) | (_, Written::Odd(_)) => false,
        }
    }
}

fn is_localhost(labels: &Labels) -> bool {
    matches!(labels.as_slice(), [Some(label)] if label == "localhost")
}

/// From the right, where both are fixed. A `*` at the left end is one label or more.
fn matches(labels: &Labels, name: &str) -> bool {
    let parts: Vec<&str> = name.split('.').collect();
    let fits = match labels.first() {
        Some(None) => parts.len() >= labels.len(),
        _ => parts.len() == labels.len(),
    };
    let mut pairs = labels.iter().rev().zip(parts.iter().rev());
    fits && pairs.all(|(label, part)| label.as_ref().is_none_or(|label| label == part))
}

impl Network {
    fn contains(self, address: IpAddr) -> bool {
        match (self.address, address) {
            (IpAddr::V4(mine), IpAddr::V4(other)) => {
                same_bits(mine.to_bits().into(), other.to_bits().into(), 32, self.prefix)
            }
            (IpAddr::V6(mine), IpAddr::V6(other)) => same_bits(mine.to_bits(), other.to_bits(), 128, self.prefix),
            _ => false,
        }
    }

    /// The same with zeros behind the prefix.
    fn first(self) -> Self {
        let keep = |bits: u128, width: u8| match width.saturating_sub(self.prefix) {
            128 => 0,
            rest => bits >> rest << rest,
        };
        let address = match self.address {
            IpAddr::V4(address) => IpAddr::V4((keep(address.to_bits().into(), 32) as u32).into()),
            IpAddr::V6(address) => IpAddr::V6(keep(address.to_bits(), 128).into()),
        };
        Network { address, prefix: self.prefix }
    }

    fn is_single(self) -> bool {
        self.prefix == width(self.address)
    }
}

fn same_bits(a: u128, b: u128, width: u8, prefix: u8) -> bool {
    match width - prefix {
        128 => true,
        rest => a >> rest == b >> rest,
    }
}

fn width(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

impl FromStr for Pattern {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = |why: String| format!("'{}' is no pattern of targets: {why}", text.escape_debug());
        let (host, port) = split(text).map_err(&wrong)?;
        Ok(Pattern { host: self::host(host).map_err(&wrong)?, port })
    }
}

/// Host and port. An IPv6 address has its brackets only for the port's sake.
fn split(text: &str) -> Result<(&str, Option<u16>), String> {
    if text.contains("://") {
        return Err("write the host alone, without scheme and path".to_owned());
    }
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (host, rest) = rest.split_once(']').ok_or("a ] is missing")?;
            if !host.contains(':') {
                return Err("brackets are for IPv6 addresses".to_owned());
            }
            match (rest, rest.strip_prefix(':')) {
                ("", _) => (host, None),
                (_, Some(port)) => (host, Some(port)),
                _ => return Err("after the ] comes :PORT or nothing; a network is written [fd00::/8]:80".to_owned()),
            }
        }
        None => match text.split_once(':') {
            // Two colons and no brackets: an IPv6 address.
            Some((host, port)) if !port.contains(':') => (host, Some(port)),
            _ => (text, None),
        },
    };
    let number = |port: &str| match port.parse::<u16>() {
        Ok(port) if port > 0 => Ok(port),
        _ => Err(format!("'{}' is no port: write 1 to 65535, or leave it out for all", port.escape_debug())),
    };
    Ok((host, port.map(number).transpose()?))
}

fn host(text: &str) -> Result<Host, String> {
    if text == "*" {
        return Ok(Host::Any);
    }
    if let Ok(address) = text.parse::<IpAddr>() {
        let address = address.to_canonical();
        return Ok(Host::Network(Network { address, prefix: width(address) }));
    }
    if let Some((address, prefix)) = text.split_once('/') {
        return network(address, prefix).map(Host::Network);
    }
    name(text).map(Host::Name)
}

fn network(address: &str, prefix: &str) -> Result<Network, String> {
    let address: IpAddr = address.parse().map_err(|_| {
        "a / is for networks such as 10.0.0.0/8 or fd00::/8; a name is written without a path".to_owned()
    })?;
    let digits = prefix.bytes().all(|byte| byte.is_ascii_digit());
    let prefix = prefix.parse().ok().filter(|prefix| digits && *prefix <= width(address));
    let prefix: u8 = prefix.ok_or_else(|| format!("after the / comes a number of bits, 0 to {}", width(address)))?;
    let network = match address.to_canonical() {
        // ::ffff:10.0.0.0/104 is 10.0.0.0/8: targets are compared by where they go.
        short @ IpAddr::V4(_) if address.is_ipv6() && prefix >= 96 => Network { address: short, prefix: prefix - 96 },
        _ => Network { address, prefix },
    };
    let first = network.first();
    if first != network {
        return Err(format!("the network of {prefix} bits is {}/{}", first.address, first.prefix));
    }
    Ok(network)
}

fn name(text: &str) -> Result<Labels, String> {
    let text = text.strip_suffix('.').unwrap_or(text);
    if text.is_empty() {
        return Err("write a host, an address, a network such as 10.0.0.0/8, or '*' for everything".to_owned());
    }
    if !text.is_ascii() {
        return Err("write the name as the DNS has it, with xn--".to_owned());
    }
    if text.len() > NAME_MAX {
        return Err(format!("a name has {NAME_MAX} characters at the most"));
    }
    let label = |label: &str| match label {
        "*" => Ok(None),
        label if is_label(label) => Ok(Some(label.to_ascii_lowercase())),
        label if label.contains('*') => Err("a * stands for whole labels, such as *.example.com".to_owned()),
        "" => Err("there are two dots in a row, or one in front".to_owned()),
        label if label.len() > LABEL_MAX => Err(format!("a label has {LABEL_MAX} characters at the most")),
        label => Err(format!("'{}' is no label of a name: it has letters, digits, - and _", label.escape_debug())),
    };
    let labels: Labels = text.split('.').map(label).collect::<Result<_, _>>()?;
    if labels.iter().all(Option::is_none) || labels.last().is_some_and(Option::is_none) {
        return Err("a * stands to the left of a name, such as *.example.com".to_owned());
    }
    if ends_in_number(text) {
        return Err("write an address in full, such as 127.0.0.1".to_owned());
    }
    Ok(labels)
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let host = match &self.host {
            Host::Any => "*".to_owned(),
            Host::Name(labels) => {
                let labels: Vec<&str> = labels.iter().map(|label| label.as_deref().unwrap_or("*")).collect();
                labels.join(".")
            }
            Host::Network(network) if network.is_single() => network.address.to_string(),
            Host::Network(Network { address, prefix }) => format!("{address}/{prefix}"),
        };
        match self.port {
            Some(port) if host.contains(':') => write!(f, "[{host}]:{port}"),
            Some(port) => write!(f, "{host}:{port}"),
            None => f.write_str(&host),
        }
    }
}
