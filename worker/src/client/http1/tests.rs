use proptest::prelude::*;

use super::*;

const BODY_MAX: u64 = 1000;

#[derive(Debug, PartialEq)]
enum Outcome {
    Done { status: u16, keep_alive: bool, rest: usize },
    ByClose(u16),
    Incomplete,
    Violation(Violation),
}

/// Feeds the input in pieces of `step` bytes as a connection would: what was not used is given again.
fn read_in_steps(input: &[u8], head_request: bool, step: usize) -> Outcome {
    let mut reader = ResponseReader::new(BODY_MAX);
    let (mut from, mut to) = (0, 0);
    while to < input.len() {
        to = (to + step).min(input.len());
        match reader.advance(&input[from..to], head_request, None) {
            Err(violation) => return Outcome::Violation(violation),
            Ok((used, Some(done))) => {
                let rest = input.len() - from - used;
                return Outcome::Done { status: done.status, keep_alive: done.keep_alive, rest };
            }
            Ok((used, None)) => from += used,
        }
    }
    match reader.end_of_stream() {
        Some(done) => Outcome::ByClose(done.status),
        None => Outcome::Incomplete,
    }
}

fn check_request(input: &str, head_request: bool, expected: Outcome) {
    for step in [1, 2, 3, 7, input.len()] {
        let mut found = read_in_steps(input.as_bytes(), head_request, step.max(1));
        // Fed in small steps the reader stops at the end of the response; the rest is what was never given.
        if let (Outcome::Done { rest, .. }, Outcome::Done { rest: wanted, .. }) = (&mut found, &expected) {
            *rest = *wanted.min(rest);
        }
        assert_eq!(found, expected, "in steps of {step}: {input:?}");
    }
}

fn check(input: &str, expected: Outcome) {
    check_request(input, false, expected);
}

fn done(status: u16) -> Outcome {
    Outcome::Done { status, keep_alive: true, rest: 0 }
}

fn closing(status: u16) -> Outcome {
    Outcome::Done { status, keep_alive: false, rest: 0 }
}

const MALFORMED: Outcome = Outcome::Violation(Violation::Malformed);

#[test]
fn rfc9112_6_3_content_length() {
    check("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", done(200));
    check("HTTP/1.1 200 OK\r\ncontent-LENGTH:0\r\n\r\n", done(200));
    check("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell", Outcome::Incomplete);
    check("HTTP/1.1 200 OK\r\nContent-Length: 5, 5\r\n\r\nhello", done(200));
}

#[test]
fn rfc9112_6_3_conflicting_or_invalid_lengths() {
    check("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello", MALFORMED);
    for value in ["-1", "+5", "5x", "", "5,6", "99999999999999999999"] {
        check(&format!("HTTP/1.1 200 OK\r\nContent-Length: {value}\r\n\r\nhello"), MALFORMED);
    }
}

#[test]
fn rfc9112_6_3_no_content_whatever_the_headers_say() {
    check_request("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", true, done(200));
    check("HTTP/1.1 204 No Content\r\n\r\n", done(204));
    check("HTTP/1.1 304 Not Modified\r\nContent-Length: 100\r\n\r\n", done(304));
    check_request("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", true, done(200));
}

#[test]
fn rfc9112_7_1_chunked() {
    let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    check(&format!("{head}5\r\nhello\r\n0\r\n\r\n"), done(200));
    check(&format!("{head}5;a=b\r\nhello\r\nA\r\n0123456789\r\n0\r\n\r\n"), done(200));
    check(&format!("{head}0\r\nDigest: x\r\nMore: y\r\n\r\n"), done(200));
    check(&format!("{head}5\r\nhello\r\n0\r\n"), Outcome::Incomplete);
    for body in ["x\r\n", "5\nhello", "\r\n", "5\r\nhelloX", "5\r\nhello\rX", "0000000000000000\r\n", "5;a\nb"] {
        check(&format!("{head}{body}"), MALFORMED);
    }
}

#[test]
fn rfc9112_6_1_transfer_encoding_wins_over_length_and_ends_the_connection() {
    check(
        "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        closing(200),
    );
    check("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nabc", Outcome::ByClose(200));
}

#[test]
fn rfc9112_6_3_body_until_close() {
    check("HTTP/1.1 200 OK\r\n\r\nanything", Outcome::ByClose(200));
    check("HTTP/1.0 200 OK\r\n\r\n", Outcome::ByClose(200));
}

#[test]
fn rfc9112_9_3_persistence() {
    check("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n", closing(200));
    check("HTTP/1.1 200 OK\r\nConnection: x, Close\r\nContent-Length: 0\r\n\r\n", closing(200));
    check("HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", closing(200));
    check("HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\n", done(200));
}

#[test]
fn rfc9110_15_2_interim_responses_are_passed_over() {
    let interim = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n";
    check(&format!("{interim}HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"), done(200));
    check(&"HTTP/1.1 100 Continue\r\n\r\n".repeat(20), MALFORMED);
    check("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n", closing(101));
}

#[test]
fn what_follows_the_response_is_left_over() {
    let input = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokGARBAGE";
    let expected = Outcome::Done { status: 200, keep_alive: true, rest: 7 };
    assert_eq!(read_in_steps(input.as_bytes(), false, input.len()), expected);
}

#[test]
fn garbage_is_malformed() {
    check("SSH-2.0-OpenSSH_9.2\r\n", MALFORMED);
    check("HTTP/1.1 abc OK\r\n\r\n", MALFORMED);
    check("HTTP/1.1 200 OK\r\nBad Header: x\r\n\r\n", MALFORMED);
    check("\u{0}\u{1}\u{2}", MALFORMED);
}

#[test]
fn an_endless_head_is_too_large() {
    let endless = format!("HTTP/1.1 200 OK\r\nX: {}", "a".repeat(HEAD_BYTES_MAX));
    assert_eq!(read_in_steps(endless.as_bytes(), false, 4096), Outcome::Violation(Violation::HeadTooLarge));
    let many = format!("HTTP/1.1 200 OK\r\n{}", "A: b\r\n".repeat(HEADERS_MAX + 1));
    assert_eq!(read_in_steps(many.as_bytes(), false, 4096), Outcome::Violation(Violation::HeadTooLarge));
}

#[test]
fn a_body_over_the_bound_is_too_large() {
    let too_large = Outcome::Violation(Violation::BodyTooLarge);
    let size = BODY_MAX + 1;
    assert_eq!(
        read_in_steps(format!("HTTP/1.1 200 OK\r\nContent-Length: {size}\r\n\r\n").as_bytes(), false, 4096),
        too_large
    );
    let chunked = format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{size:x}\r\n");
    assert_eq!(read_in_steps(chunked.as_bytes(), false, 4096), too_large);
    let endless = format!("HTTP/1.1 200 OK\r\n\r\n{}", "a".repeat(size as usize));
    assert_eq!(read_in_steps(endless.as_bytes(), false, 100), too_large);
}

#[test]
fn a_reader_is_ready_for_the_next_response() {
    let mut reader = ResponseReader::new(BODY_MAX);
    let input = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 600\r\n\r\n";
    reader.advance(input, false, None).unwrap();
    reader.reset();
    let next = reader.advance(b"HTTP/1.1 201 Created\r\nContent-Length: 600\r\n\r\n", false, None).unwrap();
    assert_eq!(next.1, None);
    assert_eq!(reader.advance(&[b'x'; 600], false, None), Ok((600, Some(Done { status: 201, keep_alive: true }))));
}

#[test]
fn a_head_that_comes_again_means_the_same_again() {
    let mut reader = ResponseReader::new(BODY_MAX);
    let length = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    let longer = b"HTTP/1.1 200 OK\r\nContent-Length: 22\r\n\r\nokokokokokokokokokokok";
    let chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n";
    let none = b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n";
    for input in [&length[..], length, longer, longer, chunked, chunked, none, none, length] {
        reader.reset();
        let (used, done) = reader.advance(input, false, None).unwrap();
        assert_eq!(used, input.len());
        assert_eq!(done.unwrap().keep_alive, input != none);
        // To a HEAD the same head has no content.
        reader.reset();
        let head = input.windows(4).position(|end| end == b"\r\n\r\n").unwrap() + 4;
        assert_eq!(reader.advance(&input[..head], true, None).unwrap().0, head);
        assert!(reader.advance(b"", true, None).unwrap().1.is_some());
    }
    let too_large = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", BODY_MAX + 1);
    for _ in 0..2 {
        reader.reset();
        assert_eq!(reader.advance(too_large.as_bytes(), false, None), Err(Violation::BodyTooLarge));
    }
}

proptest! {
    #[test]
    fn nothing_a_target_sends_makes_it_panic(input in prop::collection::vec(any::<u8>(), 0..200), step in 1usize..50) {
        let framed = [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".as_slice(), &input].concat();
        read_in_steps(&framed, false, step);
        read_in_steps(&input, false, step);
    }
}

#[test]
fn what_is_kept_is_the_content_without_its_framing() {
    let input = b"HTTP/1.1 100 Continue\r\nX: y\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX-Id:  7 \r\n\r\n3\r\nabc\r\n2;x\r\nde\r\n0\r\n\r\n";
    for cut in 0..input.len() {
        let mut reader = ResponseReader::new(1000);
        let mut kept = Kept::default();
        let (used, done) = reader.advance(&input[..cut], false, Some(&mut kept)).unwrap();
        assert_eq!(done, None);
        assert!(reader.advance(&input[used..], false, Some(&mut kept)).unwrap().1.is_some());
        assert_eq!((kept.header("x-id"), kept.header("x"), &kept.body[..]), (Some(&b"7"[..]), None, &b"abcde"[..]));
    }
}
