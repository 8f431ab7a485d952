//! What a run sends, when, and who of the grid sends which part: pure arithmetic over the test and the lanes.

use std::collections::BTreeSet;

use loadgrid_proto::v1;
use loadgrid_worker::client::secure::Version;
use loadgrid_worker::schedule::{Arrivals, Stripe, counts};
use loadgrid_worker::session::job::encode_load;

use crate::spec::{CONNECTIONS_AUTO, CONNECTIONS_CLOSED, LoadTest};

/// Results are reported so often, ns.
const INTERVAL_NS: u64 = 1_000_000_000;

/// The same in a run too short for its seconds to be blocks of a confidence interval.
const SHORT_INTERVAL_NS: u64 = 250_000_000;

/// Runs of less than this are short, ns.
const SHORT_RUN_NS: u64 = 20_000_000_000;

/// A worker without its coordinator goes on for so long, ns.
pub const ORPHAN_NS: u64 = 30_000_000_000;

/// A test with its seed: everything that determines what is sent.
#[derive(Clone, Debug)]
pub struct Plan {
    pub run: String,
    pub seed: u64,
    pub test: LoadTest,
}

/// What a worker can take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capacity {
    pub lanes: u32,
    pub max_connections: u64,
}

/// A worker's part of the plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    pub first_lane: u32,
    pub lanes: u32,
    pub total_lanes: u32,
    pub connections: u32,
}

impl Plan {
    pub fn is_open_loop(&self) -> bool {
        self.test.load.arrivals != Arrivals::Closed
    }

    /// Deals lanes and connections out, in order of the workers. Every lane has at least one connection: with fewer
    /// connections than lanes, lanes are left out, those of the workers with most of them first.
    ///
    /// # Errors
    /// A sentence for people: fewer connections than workers, or more than the machines allow.
    pub fn shares(&self, workers: &[Capacity]) -> Result<Vec<Share>, String> {
        let mut lanes: Vec<u32> = workers.iter().map(|worker| worker.lanes.max(1)).collect();
        let bound = self.connections(workers.len());
        if let Some(connections) = bound {
            let each = self.connections_a_lane();
            if u64::from(connections) < workers.len() as u64 * u64::from(each) {
                return Err(format!(
                    "{connections} connections can't be dealt out to {} workers: give at least {each} each (--connections)",
                    workers.len()
                ));
            }
            while lanes.iter().map(|lanes| u64::from(*lanes)).sum::<u64>() * u64::from(each) > u64::from(connections) {
                let most = lanes.iter_mut().max();
                most.into_iter().for_each(|most| *most -= 1);
            }
        }
        let total_lanes = lanes.iter().try_fold(0u32, |sum, lanes| sum.checked_add(*lanes));
        let total_lanes = total_lanes.ok_or("the workers have more lanes than can be counted")?;
        let mut first_lane = 0;
        let mut shares = Vec::with_capacity(workers.len());
        for (worker, lanes) in workers.iter().zip(lanes) {
            let allowed = u32::try_from(worker.max_connections).unwrap_or(u32::MAX);
            let connections = match bound {
                // As the lanes, striped over the grid.
                Some(total) => (first_lane..first_lane + lanes)
                    .map(|lane| Stripe { lane, lanes: total_lanes }.share(u64::from(total)) as u32)
                    .sum(),
                None => CONNECTIONS_AUTO.max(lanes).min(allowed),
            };
            if connections > allowed {
                return Err(format!(
                    "a worker would have to open {connections} connections and its machine allows {allowed}: raise \
                     `ulimit -n` there, lower --connections, or add workers"
                ));
            }
            shares.push(Share { first_lane, lanes, total_lanes, connections });
            first_lane += lanes;
        }
        Ok(shares)
    }

    /// Connections that a lane has at the least. A busy connection of HTTP/1.1 is soon free for another target; one of
    /// HTTP/2 may never be: each target has one of its own then. (In a closed loop each has all.)
    fn connections_a_lane(&self) -> u32 {
        let requests = &self.test.requests;
        if !self.is_open_loop() || requests.iter().all(|request| request.version == Version::Http1) {
            return 1;
        }
        let targets: BTreeSet<_> = requests
            .iter()
            .map(|request| (request.connects_to(), request.version.name(), request.tls.is_some(), &request.host))
            .collect();
        targets.len() as u32
    }

    /// Arrivals of a share: (warm-up, main). `None` in the main phase of a closed loop without a count. With Poisson
    /// arrivals all of them are drawn: not for a thread that others wait for.
    pub fn planned(&self, share: Share) -> (u64, Option<u64>) {
        let load = &self.test.load;
        let counts = counts(load, self.seed, share.first_lane, share.lanes, share.total_lanes);
        let (warmup, main) = counts.into_iter().fold((0, 0), |sum, part| (sum.0 + part.0, sum.1 + part.1));
        (warmup, (self.is_open_loop() || load.requests.is_some()).then_some(main))
    }

    /// Connections over the grid, if they are bounded: by the test, or because a closed loop is nothing else.
    pub fn connections(&self, workers: usize) -> Option<u32> {
        let closed = || CONNECTIONS_CLOSED.max(workers as u32);
        self.test.connections.or_else(|| (!self.is_open_loop()).then(closed))
    }

    /// How often results are reported, ns. How long a closed loop with a count takes, nobody knows beforehand.
    pub fn interval_ns(&self) -> u64 {
        let load = &self.test.load;
        let endless = !self.is_open_loop() && load.requests.is_some();
        if endless || load.main().duration_ns() < SHORT_RUN_NS { SHORT_INTERVAL_NS } else { INTERVAL_NS }
    }

    /// The message that gives a worker its share.
    pub fn assignment(&self, share: Share) -> v1::Assignment {
        v1::Assignment {
            run: self.run.clone(),
            seed: self.seed,
            first_lane: share.first_lane,
            lanes: share.lanes,
            total_lanes: share.total_lanes,
            load: Some(encode_load(&self.test.load)),
            requests: self.test.requests.iter().map(v1::Request::from).collect(),
            connections: share.connections,
            timeout_ns: self.test.timeout_ns,
            max_wait_ns: self.test.max_wait_ns,
            orphan_ns: ORPHAN_NS,
            interval_ns: self.interval_ns(),
            spin: self.test.spin,
            max_body_bytes: self.test.max_body_bytes,
            streams: self.test.streams,
            requests_per_connection: self.test.requests_per_connection,
            connection_age_ns: self.test.connection_age_ns,
            resolve_every_ns: self.test.resolve_every_ns,
            feeds: self.test.feeds.iter().map(v1::Feed::from).collect(),
            captures: self.test.captures.clone(),
            connections_fixed: self.test.connections.is_some(),
            versions: self.test.versions.len().max(1) as u32,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::{Draft, Sourced, load};
    use proptest::prelude::*;

    fn plan(change: impl Fn(&mut Draft)) -> Plan {
        let mut flags = Draft {
            requests: vec![Default::default()],
            rate: Some(Sourced::flag("--rate", "1000/s")),
            duration: Some(Sourced::flag("--duration", "3s")),
            ..Draft::default()
        };
        flags.requests[0].url = Some(Sourced::flag("--url", "http://a/"));
        change(&mut flags);
        Plan { run: "r".into(), seed: 7, test: load(None, flags).unwrap() }
    }

    fn capacities(lanes: &[u32]) -> Vec<Capacity> {
        lanes.iter().map(|lanes| Capacity { lanes: *lanes, max_connections: 100_000 }).collect()
    }

    proptest! {
        #[test]
        fn shares_add_up_to_the_plan(
            lanes in prop::collection::vec(1u32..9, 1..64), rate in 1u32..5000, ms in 1u32..5000, poisson: bool,
            connections in prop::option::of(64u32..500),
        ) {
            let plan = plan(|draft| {
                draft.rate = Some(Sourced::flag("--rate", format!("{rate}/s")));
                draft.duration = Some(Sourced::flag("--duration", format!("{ms}ms")));
                draft.arrivals = Some(Sourced::flag("--arrivals", if poisson { "poisson" } else { "uniform" }));
                draft.connections.count = connections.map(|c| Sourced::flag("--connections", c.to_string()));
            });
            let shares = plan.shares(&capacities(&lanes)).unwrap();
            let main: u64 = shares.iter().filter_map(|share| plan.planned(*share).1).sum();
            if !poisson {
                prop_assert_eq!(main, plan.test.load.main().count());
            }
            if let Some(connections) = connections {
                prop_assert_eq!(shares.iter().map(|share| share.connections).sum::<u32>(), connections);
            }
            let mut next = 0;
            for share in &shares {
                prop_assert_eq!(share.first_lane, next);
                prop_assert!(share.lanes >= 1 && share.connections >= share.lanes);
                next += share.lanes;
            }
            prop_assert_eq!(next, shares[0].total_lanes);
        }
    }

    #[test]
    fn too_few_connections_leave_lanes_out_but_never_workers() {
        let with =
            |connections: &str| plan(|d| d.connections.count = Some(Sourced::flag("--connections", connections)));
        let shares = with("3").shares(&capacities(&[4, 1])).unwrap();
        assert_eq!(shares.iter().map(|share| share.lanes).collect::<Vec<_>>(), vec![2, 1]);
        assert!(with("1").shares(&capacities(&[4, 1])).unwrap_err().contains("--connections"));
    }

    #[test]
    fn more_connections_than_a_machine_allows_are_refused() {
        let plan = plan(|d| d.connections.count = Some(Sourced::flag("--connections", "500")));
        let error = plan.shares(&[Capacity { lanes: 1, max_connections: 100 }]).unwrap_err();
        assert!(error.contains("ulimit"), "{error}");
    }

    #[test]
    fn a_closed_loop_without_count_plans_nothing() {
        let plan = plan(|d| {
            d.rate = None;
            d.closed_loop = Some(crate::spec::Place::Test);
        });
        let share = plan.shares(&capacities(&[2])).unwrap()[0];
        assert_eq!(plan.planned(share), (0, None));
    }
}
