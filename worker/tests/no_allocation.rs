//! In the steady state a request costs no allocation: counted, over a real socket, against a target in this process.

#![allow(clippy::unwrap_used)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use loadgrid_worker::client::http2::frame;
use loadgrid_worker::client::request::Request;
use loadgrid_worker::client::resolve::Target;
use loadgrid_worker::client::secure::Version;
use loadgrid_worker::client::template::Names;
use loadgrid_worker::clock;
use loadgrid_worker::engine::{self, Engine, Job, LaneReport};
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

/// Answers every stream with fields alone; HTTP/2 by hand, without an allocation once a connection is open.
fn target_http2() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            thread::spawn(move || serve_http2(stream));
        }
    });
    address
}

fn serve_http2(mut stream: TcpStream) {
    let (mut buffer, mut filled) = ([0; 16_384], 0);
    let mut preface = [0; frame::PREFACE.len()];
    if stream.read_exact(&mut preface).is_err() || stream.write_all(&[0, 0, 0, frame::SETTINGS, 0, 0, 0, 0, 0]).is_err()
    {
        return;
    }
    while let Ok(received @ 1..) = stream.read(&mut buffer[filled..]) {
        filled += received;
        let mut used = 0;
        while let Some(head) = buffer[used..filled].first_chunk().map(frame::Head::parse) {
            let length = frame::HEAD_BYTES + head.length;
            if used + length > filled {
                break;
            }
            if head.kind == frame::HEADERS {
                let [a, b, c, d] = head.stream.to_be_bytes();
                let flags = frame::END_HEADERS | frame::END_STREAM;
                // 0x88: the static table's `:status: 200`.
                if stream.write_all(&[0, 0, 1, frame::HEADERS, flags, a, b, c, d, 0x88]).is_err() {
                    return;
                }
            }
            used += length;
        }
        buffer.copy_within(used..filled, 0);
        filled -= used;
    }
}

fn job(address: SocketAddr, load: Load, version: Version) -> Job {
    let request = Request {
        name: "http".into(),
        weight: 1,
        method: "GET".into(),
        host: address.ip().to_string(),
        port: address.port(),
        target: "/".into(),
        error_ranges: vec![(400, 999)],
        version,
        ..Request::default()
    };
    let target = Target {
        host: request.host.clone(),
        port: request.port,
        addresses: vec![address],
        version,
        secure: None,
        http2: version == Version::Http2,
    };
    let requests = vec![request];
    Job {
        planned: loadgrid_worker::schedule::counts(&load, 1, 0, 1, 1),
        load,
        seed: 1,
        first_lane: 0,
        lanes: 1,
        total_lanes: 1,
        prepared: engine::prepare(&requests, Names { feeds: &[], captures: &[] }, false).unwrap(),
        requests,
        feeds: vec![],
        versions: 1,
        main_offset: 0,
        targets: vec![target],
        target_of: vec![0],
        connections: 4,
        connections_fixed: true,
        streams: 5,
        requests_per_connection: 0,
        connection_age_ns: 0,
        resolve_every_ns: 0,
        timeout_ns: 5_000_000_000,
        max_wait_ns: 5_000_000_000,
        interval_ns: 1_000_000_000,
        spin: false,
        max_body_bytes: 1000,
    }
}

/// Requests and allocations between the first report of a lane and a later one.
fn steady_state(load: Load, version: Version) -> (u64, u64) {
    let start = clock::now_ns() + 20_000_000;
    let address = if version == Version::Http2 { target_http2() } else { target() };
    let mut engine = Engine::start(Arc::new(job(address, load, version)), start).unwrap();
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
    let cases = [closed, open].into_iter().flat_map(|load| [(load.clone(), Version::Http1), (load, Version::Http2)]);
    for (load, version) in cases {
        let arrivals = load.arrivals;
        let (requests, allocations) = steady_state(load, version);
        assert!(requests > 4000, "{requests} requests in two seconds");
        // Two reports of some dozens of allocations each, whatever the number of requests.
        assert!(allocations < 400, "{arrivals:?} {version:?}: {allocations} allocations for {requests} requests");
    }
}
