//! A response kept for those who look into it: checks and captures. Other responses are counted and thrown away.

/// What is kept of a body at the most, bytes.
pub const KEPT_BODY_BYTES_MAX: usize = 4 * 1024 * 1024;

/// A response's fields and body.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Kept {
    /// Lines `name: value` as they came.
    head: Vec<u8>,
    pub body: Vec<u8>,
}

impl Kept {
    /// Takes up a field.
    pub fn field(&mut self, name: &[u8], value: &[u8]) {
        self.head.extend_from_slice(name);
        self.head.extend_from_slice(b": ");
        self.head.extend_from_slice(value);
        self.head.push(b'\n');
    }

    /// Takes up a piece of the body, as far as there is room.
    pub fn content(&mut self, piece: &[u8]) {
        let room = KEPT_BODY_BYTES_MAX - self.body.len();
        self.body.extend_from_slice(&piece[..piece.len().min(room)]);
    }

    /// The first field of this name; case does not matter (RFC 9110 §5.1).
    pub fn header(&self, name: &str) -> Option<&[u8]> {
        self.head.split(|byte| *byte == b'\n').find_map(|line| {
            let colon = line.iter().skip(1).position(|byte| *byte == b':')? + 1;
            let (own, value) = line.split_at(colon);
            own.eq_ignore_ascii_case(name.as_bytes()).then(|| value[1..].trim_ascii())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_whatever_their_case() {
        let mut kept = Kept::default();
        kept.field(b":status", b"200");
        kept.field(b"Content-Type", b"text/html");
        kept.field(b"content-type", b"second");
        assert_eq!(kept.header("content-type"), Some(&b"text/html"[..]));
        assert_eq!(kept.header(":status"), Some(&b"200"[..]));
        assert_eq!(kept.header("content"), None);
    }

    #[test]
    fn a_body_is_kept_up_to_its_bound() {
        let mut kept = Kept::default();
        kept.content(&vec![1; KEPT_BODY_BYTES_MAX - 1]);
        kept.content(&[2, 3]);
        assert_eq!((kept.body.len(), kept.body.last()), (KEPT_BODY_BYTES_MAX, Some(&2)));
    }
}
