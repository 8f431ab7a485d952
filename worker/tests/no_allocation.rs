//! In the steady state a request costs no allocation: counted, over a real socket, against a target in this process.

#![allow(clippy::unwrap_used)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use loadgrid_worker::client::request::Request;
use loadgrid_worker::client::resolve::Target;
use loadgrid_worker::clock;
use loadgrid_worker::engine::{Engine, Job, LaneReport};
use loadgrid_worker::interval::Key;
use loadgrid_worker::schedule::{Arrivals, Load, Stage};

struct Counting;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

// A test's allocator has to be unsafe; it only counts and hands on.
#[allow(unsafe_code)]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller's promise is handed on as it came.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Answers every read with one response; allocates nothing once a connection is open.
fn target() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            thread::spawn(move || {
                let mut stream = stream;
                let mut buffer = [0; 1024];
                while let Ok(1..) = stream.read(&mut buffer) {
                    if stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello").is_err() {
                        return;
                    }
                }
            });
        }
    });
    address
}

fn job(address: SocketAddr, load: Load) -> Job {
    let request = Request {
        name: "http".into(),
        weight: 1,
        method: "GET".into(),
        host: address.ip().to_string(),
        port: address.port(),
        target: "/".into(),
        headers: vec![],
        body: vec![],
        error_ranges: vec![(400, 999)],
    };
    let target = Target { host: request.host.clone(), port: request.port, addresses: vec![address] };
    Job {
        planned: loadgrid_worker::schedule::counts(&load, 1, 0, 1, 1),
        load,
        seed: 1,
        first_lane: 0,
        lanes: 1,
        total_lanes: 1,
        requests: vec![request],
        targets: vec![target],
        target_of: vec![0],
        connections: 4,
        timeout_ns: 5_000_000_000,
        max_wait_ns: 5_000_000_000,
        interval_ns: 1_000_000_000,
        spin: false,
        max_body_bytes: 1000,
    }
}

/// Requests and allocations between the first report of a lane and a later one.
fn steady_state(load: Load) -> (u64, u64) {
    let start = clock::now_ns() + 20_000_000;
    let mut engine = Engine::start(Arc::new(job(target(), load)), start).unwrap();
    let key = Key { warmup: false, request: 0 };
    let mut seen: Vec<(u64, u64)> = Vec::with_capacity(8);
    let mut ended = 0;
    while seen.len() < 3 {
        let Some(report) = engine.reports.blocking_recv() else { break };
        if let LaneReport::Interval { interval, .. } = report {
            ended += interval.series.get(&key).map_or(0, |series| series.ended());
            seen.push((ended, ALLOCATIONS.load(Ordering::Relaxed)));
        }
    }
    let (first, last) = (seen[0], seen[seen.len() - 1]);
    (last.0 - first.0, last.1 - first.1)
}

#[test]
fn a_request_allocates_nothing() {
    let for_4_s = |rate: f64| vec![Stage { from: rate, to: rate, duration_ns: 4_000_000_000 }];
    let closed = Load { arrivals: Arrivals::Closed, stages: for_4_s(0.0), warmup_ns: 0, requests: None };
    let open = Load { arrivals: Arrivals::Poisson, stages: for_4_s(3000.0), warmup_ns: 0, requests: None };
    for load in [closed, open] {
        let arrivals = load.arrivals;
        let (requests, allocations) = steady_state(load);
        assert!(requests > 4000, "{requests} requests in two seconds");
        // Two reports of some dozens of allocations each, whatever the number of requests.
        assert!(allocations < 400, "{arrivals:?}: {allocations} allocations for {requests} requests");
    }
}
