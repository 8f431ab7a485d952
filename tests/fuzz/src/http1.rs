//! HTTP/1.1 responses: what is read does not depend on how the bytes were cut, nor on what the reader saw before.

use loadgrid_worker::client::http1::{Done, ResponseReader, Violation};
use loadgrid_worker::client::kept::Kept;

use super::pieces::{Cut, pieces};

/// All that a connection came to.
#[derive(Debug, PartialEq)]
struct Outcome {
    complete: Vec<(Done, Kept)>,
    /// The error, or what is open: bytes not used, what closing would make of it, what was kept so far.
    rest: Result<(usize, Option<Done>, Kept), Violation>,
}

fn read(data: &[u8], cut: Cut, head_request: bool, body_bytes_max: u64) -> Outcome {
    let mut reader = ResponseReader::new(body_bytes_max);
    let (mut pending, mut kept, mut complete) = (Vec::new(), Kept::default(), Vec::new());
    // Where the response began whose end is looked for, among all bytes.
    let (mut begun, mut at) = (0, 0);
    for piece in pieces(data, cut) {
        pending.extend_from_slice(piece);
        loop {
            let (used, done) = match reader.advance(&pending, head_request, Some(&mut kept)) {
                Ok(progress) => progress,
                Err(violation) => return Outcome { complete, rest: Err(violation) },
            };
            assert!(used <= pending.len(), "used {used} of {}", pending.len());
            pending.drain(..used);
            at += used;
            let Some(done) = done else { break };
            let kept = std::mem::take(&mut kept);
            assert_same_alone(&data[begun..at], head_request, body_bytes_max, &done, &kept);
            complete.push((done, kept));
            reader.reset();
            begun = at;
            if used == 0 || pending.is_empty() {
                break;
            }
        }
    }
    Outcome { complete, rest: Ok((pending.len(), reader.end_of_stream(), kept)) }
}

/// A reader that saw nothing before finds the same response in the same bytes, and uses all of them.
fn assert_same_alone(response: &[u8], head_request: bool, body_bytes_max: u64, done: &Done, kept: &Kept) {
    let mut fresh = Kept::default();
    let alone = ResponseReader::new(body_bytes_max).advance(response, head_request, Some(&mut fresh));
    assert_eq!(alone, Ok((response.len(), Some(*done))));
    assert_eq!(&fresh, kept);
}

fn assert_cuts_are_all_one(data: &[u8]) {
    for (head_request, body_bytes_max) in [(false, 1 << 20), (false, 9), (true, 1 << 20)] {
        let whole = read(data, Cut::Whole, head_request, body_bytes_max);
        assert_eq!(read(data, Cut::Drawn, head_request, body_bytes_max), whole);
        if body_bytes_max > 9 && !head_request {
            assert_eq!(read(data, Cut::Bytes, head_request, body_bytes_max), whole);
        }
    }
}

/// Responses one after the other.
pub fn response_head(data: &[u8]) {
    assert_cuts_are_all_one(data);
}

const HEAD: &[u8] = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";

/// A chunked body, and once more the same bytes as content that is sent in chunks.
pub fn chunked_body(data: &[u8]) {
    assert_cuts_are_all_one(&[HEAD, data].concat());
    let mut response = HEAD.to_vec();
    for piece in pieces(data, Cut::Drawn) {
        response.extend_from_slice(format!("{:X};of=\"what\"\r\n", piece.len()).as_bytes());
        response.extend_from_slice(piece);
        response.extend_from_slice(b"\r\n");
    }
    response.extend_from_slice(b"0\r\nDigest: none\r\n\r\n");
    let mut outcome = read(&response, Cut::Drawn, false, 1 << 20);
    assert_eq!(outcome.rest, Ok((0, None, Kept::default())));
    let (done, kept) = outcome.complete.pop().expect("a response");
    assert_eq!((done, outcome.complete.len()), (Done { status: 200, keep_alive: true }, 0));
    assert_eq!(kept.body, data);
}
