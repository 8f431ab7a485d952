//! The rules of RFC 9113 that a client depends on, each by its section; the server's side is written by hand.

use super::frame::*;
use super::*;
use crate::client::hpack;
use proptest::prelude::*;
use std::sync::Arc;

struct Wire {
    client: Http2<u32>,
    server: Vec<u8>,
}

fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    fields.iter().for_each(|(name, value)| hpack::encode(&mut block, name.as_bytes(), value.as_bytes()));
    block
}

impl Wire {
    fn new() -> Self {
        let mut wire = Wire::unsettled();
        settings(&mut wire.server, &[]);
        assert!(wire.run().unwrap().is_empty());
        wire.client.out.clear();
        wire
    }

    fn unsettled() -> Self {
        Wire { client: Http2::new(Config { streams_max: 10, body_bytes_max: 1 << 20 }), server: Vec::new() }
    }

    fn get(&mut self, tag: u32) -> usize {
        self.client.open(&block(&[(":method", "GET")]), Content::own(vec![], true), Reading::default(), tag)
    }

    fn grpc(&mut self, tag: u32) -> usize {
        let reading = Reading { messages: true, announce: true, ..Reading::default() };
        self.client.open(&block(&[]), Content::own(vec![], true), reading, tag)
    }

    fn frame(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) -> &mut Self {
        head(&mut self.server, payload.len(), kind, flags, stream);
        self.server.extend_from_slice(payload);
        self
    }

    fn headers(&mut self, stream: u32, fields: &[(&str, &str)], end: bool) -> &mut Self {
        self.frame(HEADERS, END_HEADERS | if end { END_STREAM } else { 0 }, stream, &block(fields))
    }

    /// Everything that the server has written so far, taken up.
    fn run(&mut self) -> Result<Vec<Event<u32>>, Broken> {
        let input = std::mem::take(&mut self.server);
        drain(&mut self.client, &input)
    }

    #[track_caller]
    fn broken(&mut self, expected: u32) {
        assert_eq!(self.run().unwrap_err(), Broken::Violation(expected));
        let goaway = &self.client.out[self.client.out.len() - 17..];
        assert_eq!((goaway[3], goaway[16]), (GOAWAY, expected as u8));
    }

    #[track_caller]
    fn ended(&mut self) -> (u32, End, Response) {
        let mut events = self.run().unwrap();
        assert_eq!(events.len(), 1, "{events:?}");
        match events.pop() {
            Some(Event::Ended { tag, end, response }) => (tag, end, response),
            other => panic!("{other:?}"),
        }
    }

    /// (kind, flags, stream, length) of what the client wrote.
    fn written(&mut self) -> Vec<(u8, u8, u32, usize)> {
        let out = std::mem::take(&mut self.client.out);
        let mut rest = &out[..];
        let mut frames = Vec::new();
        while let Some(bytes) = rest.first_chunk() {
            let head = Head::parse(bytes);
            frames.push((head.kind, head.flags, head.stream, head.length));
            rest = &rest[HEAD_BYTES + head.length..];
        }
        frames
    }
}

fn drain(client: &mut Http2<u32>, input: &[u8]) -> Result<Vec<Event<u32>>, Broken> {
    let (mut used, mut events) = (0, Vec::new());
    loop {
        match client.advance(&input[used..])? {
            (more, Some(event)) => {
                used += more;
                events.push(event);
            }
            (_, None) => return Ok(events),
        }
    }
}

const OK: &[(&str, &str)] = &[(":status", "200")];

#[test]
fn section_3_4_the_preface_comes_first_and_settings_are_acknowledged() {
    let mut wire = Wire::unsettled();
    assert!(wire.client.out.starts_with(PREFACE));
    wire.client.out.drain(..PREFACE.len());
    settings(&mut wire.server, &[(setting::MAX_CONCURRENT_STREAMS, 3)]);
    wire.run().unwrap();
    let kinds: Vec<_> = wire.written().iter().map(|frame| (frame.0, frame.1)).collect();
    assert_eq!(kinds, [(SETTINGS, 0), (WINDOW_UPDATE, 0), (SETTINGS, ACK)]);
    assert_eq!(wire.client.room(), 3);
    // A server that begins with anything else is not one.
    let mut wire = Wire::unsettled();
    wire.frame(PING, 0, 0, &[0; 8]).broken(code::PROTOCOL_ERROR);
}

#[test]
fn section_8_1_a_response_is_fields_content_and_trailers() {
    let mut wire = Wire::new();
    wire.get(7);
    wire.headers(1, &[(":status", "103")], false).headers(1, OK, false);
    wire.frame(DATA, 0, 1, b"hello").headers(1, &[("x", "y")], true);
    let (tag, end, response) = wire.ended();
    assert_eq!((tag, end, response.status), (7, End::Complete, 200));
    assert_eq!(wire.client.open_streams(), 0);
}

#[test]
fn section_8_1_1_malformed_responses_lose_their_stream_alone() {
    let cases: &[&[(&str, &str)]] = &[
        &[("x", "y")],
        &[(":status", "2xx")],
        &[(":status", "200"), (":status", "200")],
        &[("x", "y"), (":status", "200")],
        &[(":status", "200"), (":path", "/")],
        &[(":status", "200"), ("Upper", "case")],
        &[(":status", "200"), ("connection", "close")],
        &[(":status", "101")],
        &[(":status", "200"), ("content-length", "1"), ("content-length", "2")],
    ];
    for fields in cases {
        let mut wire = Wire::new();
        wire.get(1);
        wire.get(2);
        wire.headers(1, fields, false);
        let (tag, end, _) = wire.ended();
        assert_eq!((tag, end), (1, End::Lost(Lost::Malformed)), "{fields:?}");
        assert_eq!(wire.written().pop(), Some((RST_STREAM, 0, 1, 4)));
        wire.headers(3, OK, true);
        assert_eq!(wire.ended().1, End::Complete);
    }
}

#[test]
fn section_8_1_1_content_has_the_length_that_was_named() {
    for (length, content, end) in [
        ("5", "hello", End::Complete),
        ("4", "hello", End::Lost(Lost::Malformed)),
        ("6", "hello", End::Lost(Lost::Malformed)),
    ] {
        let mut wire = Wire::new();
        wire.get(1);
        wire.headers(1, &[(":status", "200"), ("content-length", length)], false);
        wire.frame(DATA, END_STREAM, 1, content.as_bytes());
        assert_eq!(wire.ended().1, end, "{length}");
    }
    // A response to HEAD names the length of what it does not bring (RFC 9110 §9.3.2).
    let mut wire = Wire::new();
    let reading = Reading { head_request: true, ..Reading::default() };
    wire.client.open(&block(&[]), Content::own(vec![], true), reading, 1);
    wire.headers(1, &[(":status", "200"), ("content-length", "5")], true);
    assert_eq!(wire.ended().1, End::Complete);
}

#[test]
fn section_4_3_blocks_in_pieces_come_together() {
    let mut wire = Wire::new();
    wire.get(1);
    let fields = block(&[(":status", "200"), ("long", &"x".repeat(300))]);
    wire.frame(HEADERS, END_STREAM, 1, &fields[..100]).frame(CONTINUATION, 0, 1, &fields[100..200]);
    wire.frame(CONTINUATION, END_HEADERS, 1, &fields[200..]);
    assert_eq!(wire.ended().2.status, 200);
    // §6.10: nothing may come in between.
    wire.get(2);
    wire.frame(HEADERS, 0, 3, &fields[..100]).frame(PING, 0, 0, &[0; 8]).broken(code::PROTOCOL_ERROR);
}

#[test]
fn section_6_1_padding_is_taken_off_and_no_longer_than_its_frame() {
    let mut wire = Wire::new();
    wire.get(1);
    wire.headers(1, &[(":status", "200"), ("content-length", "2")], false);
    wire.frame(DATA, PADDED | END_STREAM, 1, b"\x03hi\0\0\0");
    assert_eq!(wire.ended().1, End::Complete);
    wire.get(2);
    wire.headers(3, OK, false).frame(DATA, PADDED, 3, b"\x05hi").broken(code::PROTOCOL_ERROR);
}

#[test]
fn section_6_4_a_reset_is_told_from_a_refusal() {
    let mut wire = Wire::new();
    wire.get(1);
    wire.frame(RST_STREAM, 0, 1, &code::REFUSED_STREAM.to_be_bytes());
    assert_eq!(wire.ended().1, End::NotTakenUp);
    wire.get(2);
    wire.frame(RST_STREAM, 0, 3, &2u32.to_be_bytes());
    assert_eq!(wire.ended().1, End::Reset(2));
    // Of a stream that never was.
    wire.frame(RST_STREAM, 0, 5, &[0; 4]).broken(code::PROTOCOL_ERROR);
}

#[test]
fn section_6_8_going_away_gives_back_what_was_not_taken_up() {
    let mut wire = Wire::new();
    (1..=3).for_each(|tag| {
        wire.get(tag);
    });
    wire.frame(GOAWAY, 0, 0, &[0, 0, 0, 1, 0, 0, 0, 0]);
    let mut given_back: Vec<_> = wire
        .run()
        .unwrap()
        .into_iter()
        .map(|event| match event {
            Event::Ended { tag, end: End::NotTakenUp, .. } => tag,
            other => panic!("{other:?}"),
        })
        .collect();
    given_back.sort_unstable();
    assert_eq!(given_back, [2, 3]);
    assert_eq!((wire.client.room(), wire.client.is_leaving(), wire.client.open_streams()), (0, true, 1));
    wire.headers(1, OK, true);
    assert_eq!(wire.ended().1, End::Complete);
}

#[test]
fn section_6_9_content_waits_for_the_windows() {
    let mut wire = Wire::new();
    let content: Arc<[u8]> = vec![1; 100_000].into();
    wire.client.open(&block(&[]), Content::shared(content), Reading::default(), 1);
    let sent = |frames: Vec<(u8, u8, u32, usize)>| {
        let data: Vec<_> = frames.into_iter().filter(|frame| frame.0 == DATA).collect();
        (data.iter().map(|frame| frame.3).sum::<usize>(), data.last().is_some_and(|frame| frame.1 == END_STREAM))
    };
    assert_eq!(sent(wire.written()), (65_535, false));
    wire.frame(WINDOW_UPDATE, 0, 1, &50_000u32.to_be_bytes()).run().unwrap();
    assert_eq!(sent(wire.written()), (0, false), "the connection's window is used up");
    wire.frame(WINDOW_UPDATE, 0, 0, &50_000u32.to_be_bytes()).run().unwrap();
    assert_eq!(sent(wire.written()), (100_000 - 65_535, true));
    // §6.9.1: a window has a largest size; §6.9: an increment of nothing is an error.
    wire.frame(WINDOW_UPDATE, 0, 0, &0x7fff_ffffu32.to_be_bytes()).broken(code::FLOW_CONTROL_ERROR);
    let mut wire = Wire::new();
    wire.frame(WINDOW_UPDATE, 0, 0, &[0; 4]).broken(code::PROTOCOL_ERROR);
    // Of a stream it is the stream's error: the connection goes on.
    let mut wire = Wire::new();
    wire.get(1);
    wire.get(2);
    wire.frame(WINDOW_UPDATE, 0, 1, &[0; 4]);
    assert_eq!(wire.ended().1, End::Lost(Lost::Malformed));
    wire.headers(3, OK, true);
    assert_eq!(wire.ended().1, End::Complete);
}

/// RFC 7541 §4.2: a server that wants a smaller table is told at the beginning of the next block, once.
#[test]
fn a_smaller_table_is_acknowledged_in_the_next_block() {
    let mut wire = Wire::new();
    settings(&mut wire.server, &[(setting::HEADER_TABLE_SIZE, 0)]);
    wire.run().unwrap();
    wire.client.out.clear();
    wire.get(1);
    assert_eq!(wire.client.out[HEAD_BYTES], 0x20);
    wire.client.out.clear();
    wire.get(2);
    assert_eq!(wire.client.out[HEAD_BYTES], 0x82);
}

#[test]
fn grpc_status_stands_where_the_stream_ends() {
    let mut wire = Wire::new();
    wire.grpc(1);
    wire.headers(1, &[(":status", "200"), ("grpc-status", "0")], false).frame(DATA, END_STREAM, 1, &[0; 5]);
    let Some(Event::Ended { response, .. }) = wire.run().unwrap().pop() else { panic!() };
    assert_eq!(response.grpc_status, None);
}

#[test]
fn section_6_9_2_a_new_initial_window_changes_open_streams() {
    let mut wire = Wire::new();
    settings(&mut wire.server, &[(setting::INITIAL_WINDOW_SIZE, 10)]);
    wire.run().unwrap();
    wire.client.open(&block(&[]), Content::own(vec![0; 30], true), Reading::default(), 1);
    assert_eq!(wire.written().pop(), Some((DATA, 0, 1, 10)));
    settings(&mut wire.server, &[(setting::INITIAL_WINDOW_SIZE, 5)]);
    settings(&mut wire.server, &[(setting::INITIAL_WINDOW_SIZE, 25)]);
    wire.run().unwrap();
    assert_eq!(wire.written().pop(), Some((DATA, 0, 1, 15)));
}

#[test]
fn section_6_9_what_came_is_allowed_again() {
    let mut wire = Wire::new();
    wire.client.config.body_bytes_max = u64::MAX;
    wire.get(1);
    wire.headers(1, OK, false);
    for _ in 0..(CONNECTION_WINDOW / 2) as usize / PAYLOAD_BYTES_MAX {
        wire.frame(DATA, 0, 1, &[0; PAYLOAD_BYTES_MAX]);
    }
    wire.run().unwrap();
    let updates = wire.written();
    assert!(updates.contains(&(WINDOW_UPDATE, 0, 0, 4)));
    assert_eq!(
        updates.iter().filter(|frame| (frame.0, frame.2) == (WINDOW_UPDATE, 1)).count(),
        (CONNECTION_WINDOW / STREAM_WINDOW) as usize
    );
}

#[test]
fn section_8_1_an_early_answer_ends_the_upload() {
    let mut wire = Wire::new();
    wire.client.open(&block(&[]), Content::own(vec![0; 100_000], true), Reading::default(), 1);
    wire.written();
    wire.headers(1, &[(":status", "413")], true);
    assert_eq!(wire.ended().2.status, 413);
    assert_eq!(wire.written(), [(RST_STREAM, 0, 1, 4)]);
    // What the server had sent meanwhile is no violation.
    wire.frame(WINDOW_UPDATE, 0, 1, &[0, 0, 0, 9]).frame(RST_STREAM, 0, 1, &[0; 4]);
    assert!(wire.run().unwrap().is_empty());
}

#[test]
fn section_5_1_frames_of_streams_that_are_over_are_passed_by() {
    let mut wire = Wire::new();
    let slot = wire.get(1);
    assert_eq!(wire.client.cancel(slot).map(|(tag, _)| tag), Some(1));
    wire.headers(1, OK, false).frame(DATA, 0, 1, b"late").frame(DATA, END_STREAM, 1, b"");
    assert!(wire.run().unwrap().is_empty());
    wire.headers(9, OK, false).broken(code::PROTOCOL_ERROR);
}

#[test]
fn section_4_2_and_6_frames_of_a_wrong_size_or_place_break_the_connection() {
    for (kind, stream, payload, expected) in [
        (PING, 0, &[0; 7][..], code::FRAME_SIZE_ERROR),
        (PING, 1, &[0; 8], code::PROTOCOL_ERROR),
        (SETTINGS, 0, &[0; 5], code::FRAME_SIZE_ERROR),
        (SETTINGS, 1, &[], code::PROTOCOL_ERROR),
        (GOAWAY, 0, &[0; 3], code::FRAME_SIZE_ERROR),
        (RST_STREAM, 1, &[0; 3], code::FRAME_SIZE_ERROR),
        (WINDOW_UPDATE, 0, &[0; 3], code::FRAME_SIZE_ERROR),
        (PUSH_PROMISE, 1, &[0; 8], code::PROTOCOL_ERROR),
        (CONTINUATION, 1, &[], code::PROTOCOL_ERROR),
        (DATA, 0, &[], code::PROTOCOL_ERROR),
        (HEADERS, 2, &[], code::PROTOCOL_ERROR),
    ] {
        let mut wire = Wire::new();
        wire.get(1);
        wire.frame(kind, END_HEADERS, stream, payload);
        wire.broken(expected);
    }
    let mut wire = Wire::new();
    head(&mut wire.server, PAYLOAD_BYTES_MAX + 1, 0xbb, 0, 0);
    wire.broken(code::FRAME_SIZE_ERROR);
    // §4.1, §5.5: a frame of an unknown kind is passed by.
    let mut wire = Wire::new();
    assert!(wire.frame(0xbb, 0xff, 77, &[0; 9]).run().unwrap().is_empty());
}

#[test]
fn a_flood_of_pings_is_not_answered_without_end() {
    let mut wire = Wire::new();
    (0..=UNSENT_ANSWERS_MAX).for_each(|_| {
        wire.frame(PING, 0, 0, &[0; 8]);
    });
    wire.broken(code::ENHANCE_YOUR_CALM);
}

#[test]
fn bodies_have_a_bound() {
    let mut wire = Wire::new();
    wire.client.config.body_bytes_max = 9;
    wire.get(1);
    wire.headers(1, OK, false).frame(DATA, 0, 1, &[0; 10]);
    assert_eq!(wire.ended().1, End::Lost(Lost::BodyTooLarge));
}

#[test]
fn grpc_messages_are_counted_across_frames_and_announced() {
    let mut wire = Wire::new();
    wire.grpc(1);
    wire.headers(1, OK, false).frame(DATA, 0, 1, b"\0\0\0\0\x02hi\0\0\0\0\0\0\0");
    wire.frame(DATA, 0, 1, b"\0\0\x03a").frame(DATA, 0, 1, b"bc");
    wire.headers(1, &[("grpc-status", "5")], true);
    let mut events = wire.run().unwrap();
    let Some(Event::Ended { end, response, .. }) = events.pop() else { panic!("{events:?}") };
    assert_eq!((end, response.messages, response.grpc_status), (End::Complete, 3, Some(5)));
    assert!(events.len() == 3 && events.iter().all(|event| matches!(event, Event::Message { slot: 0 })));
    // A message that is cut short.
    wire.grpc(2);
    wire.headers(3, OK, false).frame(DATA, 0, 3, b"\0\0\0\0\x02h").headers(3, &[("grpc-status", "0")], true);
    assert_eq!(wire.ended().1, End::Lost(Lost::Malformed));
}

#[test]
fn streams_of_messages_are_sent_piece_by_piece() {
    let mut wire = Wire::new();
    let slot = wire.client.open(&block(&[]), Content::own(vec![1, 2], false), Reading::default(), 1);
    assert_eq!(wire.written(), [(HEADERS, END_HEADERS, 1, 0), (DATA, 0, 1, 2)]);
    wire.client.send_more(slot, &[3], false);
    wire.client.send_more(slot, &[], true);
    assert_eq!(wire.written(), [(DATA, 0, 1, 1), (DATA, END_STREAM, 1, 0)]);
}

#[test]
fn what_is_kept_is_what_came() {
    let mut wire = Wire::new();
    let reading = Reading { keep: true, ..Reading::default() };
    wire.client.open(&block(&[]), Content::own(vec![], true), reading, 1);
    wire.headers(1, &[(":status", "200"), ("x-id", "7")], false)
        .frame(DATA, 0, 1, b"he")
        .frame(DATA, END_STREAM, 1, b"y");
    let kept = wire.ended().2.kept.unwrap();
    assert_eq!((kept.header("X-Id"), &kept.body[..]), (Some(&b"7"[..]), &b"hey"[..]));
}

proptest! {
    /// However the bytes are cut, the events are the same.
    #[test]
    fn cuts_do_not_matter(cuts in prop::collection::vec(1usize..40, 1..60)) {
        let mut wire = Wire::new();
        (1..=3).for_each(|tag| { wire.grpc(tag); });
        for stream in [1, 5, 3] {
            wire.headers(stream, OK, false).frame(DATA, PADDED, stream, b"\x02\0\0\0\0\x02hi\0\0\0\0\0\0\0");
            wire.frame(PING, 0, 0, &[1; 8]).headers(stream, &[("grpc-status", "0")], true);
        }
        let input = std::mem::take(&mut wire.server);
        let (mut buffer, mut events, mut rest) = (Vec::new(), Vec::new(), &input[..]);
        for cut in cuts.iter().copied().cycle() {
            if rest.is_empty() { break; }
            let (piece, after) = rest.split_at(cut.min(rest.len()));
            buffer.extend_from_slice(piece);
            rest = after;
            loop {
                let (used, event) = wire.client.advance(&buffer).unwrap();
                buffer.drain(..used);
                match event { Some(event) => events.push(event), None => break }
            }
        }
        let ended = events.iter().filter(|e| matches!(e, Event::Ended { end: End::Complete, response, .. } if response.messages == 2)).count();
        prop_assert_eq!((ended, events.len()), (3, 9));
    }

    #[test]
    fn nothing_that_comes_makes_it_panic(frames in prop::collection::vec(
        (0u8..11, any::<u8>(), 0u32..8, prop::collection::vec(any::<u8>(), 0..40)), 0..30)) {
        let mut wire = Wire::new();
        (1..=3).for_each(|tag| { wire.grpc(tag); });
        for (kind, flags, stream, payload) in frames {
            wire.frame(kind, flags, stream, &payload);
        }
        let _ = wire.run();
    }
}
