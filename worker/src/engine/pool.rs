//! The connections to one target, and what waits for them.

use std::collections::VecDeque;
use std::net::SocketAddr;

use super::flight::Waiting;
use crate::client::resolve::Target;

pub(super) struct Pool {
    pub addresses: Vec<SocketAddr>,
    next_address: usize,
    /// Connections that can take a request, or could when they were listed. Of HTTP/1.1's the last one in is the first
    /// out, so that the fewest carry the load; HTTP/2's take turns.
    pub free: VecDeque<usize>,
    pub waiting: VecDeque<Waiting>,
    pub opening: usize,
    pub http2: bool,
}

impl Pool {
    /// `first` is where lanes begin among the addresses: each at another one.
    pub(super) fn new(target: &Target, first: usize) -> Self {
        Pool {
            addresses: target.addresses.clone(),
            next_address: first,
            free: VecDeque::new(),
            waiting: VecDeque::new(),
            opening: 0,
            http2: target.http2,
        }
    }

    /// The address for the next connection.
    pub(super) fn next_address(&mut self) -> Option<SocketAddr> {
        let address = self.addresses.get(self.next_address % self.addresses.len().max(1)).copied();
        self.next_address = self.next_address.wrapping_add(1);
        address
    }

    /// The next free connection, as far as the list knows.
    pub(super) fn take_free(&mut self) -> Option<usize> {
        if self.http2 { self.free.pop_front() } else { self.free.pop_back() }
    }

    /// When the one that has waited longest was dispatched; the end of time if none waits.
    pub(super) fn waits_since(&self) -> u64 {
        self.waiting.front().map_or(u64::MAX, |waiting| waiting.dispatched)
    }
}
