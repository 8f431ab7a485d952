//! Names of leases: a DNS label for each target. What a target is is not known here.

const PREFIX: &str = "loadgrid-";
const LABEL_MAX: usize = 63;
const HASH_DIGITS: usize = 12;

/// The name of a target's lease: readable as far as a label allows, and told apart by a hash where it does not.
pub(super) fn of(target: &str) -> String {
    let target = target.to_ascii_lowercase();
    let mut slug = String::new();
    for byte in target.bytes() {
        match byte {
            b'a'..=b'z' | b'0'..=b'9' => slug.push(char::from(byte)),
            _ if slug.ends_with('-') || slug.is_empty() => {}
            _ => slug.push('-'),
        }
    }
    slug.truncate(LABEL_MAX - PREFIX.len() - HASH_DIGITS - 1);
    let slug = slug.trim_end_matches('-');
    let dash = if slug.is_empty() { "" } else { "-" };
    let hash = format!("{:016x}", fnv(target.as_bytes()));
    format!("{PREFIX}{slug}{dash}{}", hash.get(..HASH_DIGITS).unwrap_or(&hash))
}

/// FNV-1a of 64 bits. Its upper digits hang on all bytes.
fn fnv(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}
