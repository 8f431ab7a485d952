//! What the service counted, for whoever wants to check a load generator's account against it.

use std::sync::atomic::{AtomicU64, Ordering};

use hyper::Version;
use serde_json::{Map, Value, json};

/// Where the service tells what it counted. Asking does not count.
pub(super) const PATH: &str = "/stats";

/// What is counted by name. A path is the client's choice: any other counts together.
const METHODS: [&str; 10] = [
    "loadgrid.demo.v1.Demo/SayHello",
    "loadgrid.demo.v1.Demo/ListFeatures",
    "loadgrid.demo.v1.Demo/RecordRoute",
    "loadgrid.demo.v1.Demo/Chat",
    "helloworld.Greeter/SayHello",
    "grpc.health.v1.Health/Check",
    "grpc.health.v1.Health/Watch",
    "grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
    "grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
    OTHER,
];
const OTHER: &str = "other";

#[derive(Default)]
pub(super) struct Stats {
    requests: AtomicU64,
    errors: AtomicU64,
    accepted: AtomicU64,
    http1: AtomicU64,
    http2: AtomicU64,
    calls: [AtomicU64; METHODS.len()],
}

impl Stats {
    pub(super) fn request(&self) {
        self.requests.fetch_add(1, Ordering::Relaxed);
    }

    /// An answer that failed because a share of them is to.
    pub(super) fn error(&self) {
        self.errors.fetch_add(1, Ordering::Relaxed);
    }

    /// A connection that came in, whatever becomes of it.
    pub(super) fn accepted(&self) {
        self.accepted.fetch_add(1, Ordering::Relaxed);
    }

    /// The same connection's first request: nothing before it tells what it speaks.
    pub(super) fn speaks(&self, version: Version) {
        let counter = if version == Version::HTTP_2 { &self.http2 } else { &self.http1 };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// A gRPC call, by its path.
    pub(super) fn call(&self, path: &str) {
        let method = path.strip_prefix('/').unwrap_or(path);
        let known = METHODS.iter().zip(&self.calls).find(|(name, _)| **name == method || **name == OTHER);
        if let Some((_, counter)) = known {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// All of it; of the methods those that were called.
    pub(super) fn json(&self) -> Value {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let calls: Map<String, Value> = METHODS
            .iter()
            .zip(&self.calls)
            .map(|(name, counter)| ((*name).to_owned(), read(counter)))
            .filter(|(_, count)| *count > 0)
            .map(|(name, count)| (name, count.into()))
            .collect();
        json!({
            "requests": read(&self.requests),
            "errors": read(&self.errors),
            "connections": {
                "accepted": read(&self.accepted),
                "http1": read(&self.http1),
                "http2": read(&self.http2),
            },
            "grpc": calls,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_count_by_name_and_strangers_together() {
        let stats = Stats::default();
        stats.call("/loadgrid.demo.v1.Demo/Chat");
        stats.call("/loadgrid.demo.v1.Demo/Chat");
        stats.call("/a.B/C");
        stats.call("");
        assert_eq!(stats.json()["grpc"], json!({ "loadgrid.demo.v1.Demo/Chat": 2, "other": 2 }));
    }
}
