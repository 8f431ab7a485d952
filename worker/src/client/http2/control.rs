//! The frames that speak of the connection as a whole: SETTINGS, PING, GOAWAY, WINDOW_UPDATE (RFC 9113 §6).

use super::frame::{self, Head, code, setting};
use super::{Broken, Event, Http2, Lost, Shrink, UNSENT_ANSWERS_MAX};
use crate::client::hpack::TABLE_BYTES_MAX;

impl<T> Http2<T> {
    pub(super) fn control(&mut self, head: &Head, payload: &[u8]) -> Result<Option<Event<T>>, Broken> {
        if matches!(head.kind, frame::SETTINGS | frame::PING) {
            self.answers = if self.out.is_empty() { 1 } else { self.answers + 1 };
            if self.answers > UNSENT_ANSWERS_MAX {
                return Err(Broken::Violation(code::ENHANCE_YOUR_CALM));
            }
        }
        match head.kind {
            frame::SETTINGS => self.settings(head, payload).map(|()| None),
            frame::PING => {
                let ping: [u8; 8] = payload.try_into().map_err(|_| Broken::Violation(code::FRAME_SIZE_ERROR))?;
                if head.stream != 0 {
                    return Err(Broken::Violation(code::PROTOCOL_ERROR));
                }
                if !head.has(frame::ACK) {
                    frame::head(&mut self.out, 8, frame::PING, frame::ACK, 0);
                    self.out.extend_from_slice(&ping);
                }
                Ok(None)
            }
            frame::GOAWAY => self.go_away(head, payload).map(|()| None),
            frame::WINDOW_UPDATE => self.window_update(head, payload),
            // RFC 9113 §8.4: pushes were switched off.
            frame::PUSH_PROMISE => Err(Broken::Violation(code::PROTOCOL_ERROR)),
            // PRIORITY has no meaning left (§5.3.2), and frames that we do not know have none (§4.1).
            _ => Ok(None),
        }
    }

    fn settings(&mut self, head: &Head, payload: &[u8]) -> Result<(), Broken> {
        if head.stream != 0 {
            return Err(Broken::Violation(code::PROTOCOL_ERROR));
        }
        if !payload.len().is_multiple_of(6) || (head.has(frame::ACK) && !payload.is_empty()) {
            return Err(Broken::Violation(code::FRAME_SIZE_ERROR));
        }
        if head.has(frame::ACK) {
            return Ok(());
        }
        // RFC 9113 §6.5.3: once the first has come without a word on streams, there is no limit.
        if !self.settled {
            self.settled = true;
            self.peer.streams_max = u32::MAX;
        }
        for entry in payload.chunks_exact(6) {
            let [a, b, c, d, e, f] = *entry else { continue };
            let value = u32::from_be_bytes([c, d, e, f]);
            match u16::from_be_bytes([a, b]) {
                setting::MAX_CONCURRENT_STREAMS => self.peer.streams_max = value,
                setting::INITIAL_WINDOW_SIZE => self.initial_window(value)?,
                setting::MAX_FRAME_SIZE => {
                    if !(16_384..=16_777_215).contains(&value) {
                        return Err(Broken::Violation(code::PROTOCOL_ERROR));
                    }
                    // Larger frames gain nothing: they keep their stream's others waiting.
                    self.peer.frame_bytes_max = frame::PAYLOAD_BYTES_MAX;
                }
                setting::ENABLE_PUSH if value != 0 => return Err(Broken::Violation(code::PROTOCOL_ERROR)),
                setting::HEADER_TABLE_SIZE if (value as usize) < TABLE_BYTES_MAX && self.shrink == Shrink::NotAsked => {
                    self.shrink = Shrink::Due;
                }
                _ => {}
            }
        }
        frame::head(&mut self.out, 0, frame::SETTINGS, frame::ACK, 0);
        self.pump_all();
        Ok(())
    }

    /// RFC 9113 §6.9.2: a change applies to the windows of open streams as well, which may become negative.
    fn initial_window(&mut self, value: u32) -> Result<(), Broken> {
        if value > 0x7fff_ffff {
            return Err(Broken::Violation(code::FLOW_CONTROL_ERROR));
        }
        let change = i64::from(value) - i64::from(self.peer.stream_window);
        self.peer.stream_window = value;
        for stream in self.streams.iter_mut().flatten() {
            stream.send_window += change;
            if stream.send_window > 0x7fff_ffff {
                return Err(Broken::Violation(code::FLOW_CONTROL_ERROR));
            }
        }
        Ok(())
    }

    /// RFC 9113 §6.8: streams above the last one were not taken up and may be sent again elsewhere.
    fn go_away(&mut self, head: &Head, payload: &[u8]) -> Result<(), Broken> {
        let Some(last) = payload.first_chunk::<4>() else { return Err(Broken::Violation(code::FRAME_SIZE_ERROR)) };
        let last = u32::from_be_bytes(*last) & 0x7fff_ffff;
        if head.stream != 0 || self.going_away.is_some_and(|before| last > before) {
            return Err(Broken::Violation(code::PROTOCOL_ERROR));
        }
        self.going_away = Some(last);
        self.orphans = (0..self.ids.len()).filter(|slot| self.ids[*slot] > last).collect();
        Ok(())
    }

    fn window_update(&mut self, head: &Head, payload: &[u8]) -> Result<Option<Event<T>>, Broken> {
        let bytes: [u8; 4] = payload.try_into().map_err(|_| Broken::Violation(code::FRAME_SIZE_ERROR))?;
        let increment = i64::from(u32::from_be_bytes(bytes) & 0x7fff_ffff);
        if head.stream == 0 && increment == 0 {
            return Err(Broken::Violation(code::PROTOCOL_ERROR));
        }
        if head.stream == 0 {
            self.send_window += increment;
            if self.send_window > 0x7fff_ffff {
                return Err(Broken::Violation(code::FLOW_CONTROL_ERROR));
            }
            self.pump_all();
        } else if let Some(slot) = self.slot(head.stream)? {
            let window = self.streams[slot].as_mut().map(|stream| {
                stream.send_window += increment;
                stream.send_window
            });
            // §6.9, §6.9.1: of a stream such an increment is its error alone.
            if increment == 0 || window.is_some_and(|window| window > 0x7fff_ffff) {
                return Ok(self.settle(slot, Some(Lost::Malformed), false));
            }
            self.pump(slot);
        }
        Ok(None)
    }
}
