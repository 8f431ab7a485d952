//! What a lane has to send next: the arrivals of its shard, or in a closed loop whatever a free place asks for.

use super::Job;
use crate::mix::Mix;
use crate::schedule::{Arrival, Arrivals, Shard, Stripe};

/// The source of a lane's arrivals. Instants are ns of the monotonic clock.
pub(super) enum Feed {
    Open { shard: Shard, next: Option<Arrival>, start_ns: u64, taken: [u64; 2], planned: [u64; 2], main_offset: u64 },
    Closed(Closed),
}

pub(super) struct Closed {
    mix: Mix,
    stripe: Stripe,
    next: u64,
    /// How far the mix is, in the main phase and in the warm-up.
    places: [u64; 2],
    /// What is left of the lane's share, if the test has a count.
    quota: Option<u64>,
    main_ns: u64,
    end_ns: u64,
}

/// An arrival with its intended start as an instant.
#[derive(Clone, Copy, Debug)]
pub(super) struct Due {
    pub intended: u64,
    pub request: u32,
    pub warmup: bool,
    /// Of the arrival in the whole grid; steps that follow have it too.
    pub number: u64,
}

impl Feed {
    pub(super) fn new(job: &Job, index: u32, start_ns: u64) -> Self {
        let (load, stripe) = (&job.load, job.stripe(index));
        if load.arrivals == Arrivals::Closed {
            let main_ns = start_ns + load.warmup_ns;
            let quota = load.requests.map(|total| stripe.share(total));
            let end_ns = if quota.is_some() { u64::MAX } else { start_ns + load.duration_ns() };
            return Feed::Closed(Closed { mix: job.mix(), stripe, next: 0, places: [0, 0], quota, main_ns, end_ns });
        }
        let mut shard = Shard::of_mix(load, job.mix(), job.seed, stripe);
        // Counted before the start: here it would make the lane late.
        let (warmup, main) = job.planned.get(index as usize).copied().unwrap_or((0, 0));
        let next = shard.next();
        Feed::Open { shard, next, start_ns, taken: [0, 0], planned: [main, warmup], main_offset: job.main_offset }
    }

    pub(super) fn is_closed(&self) -> bool {
        matches!(self, Feed::Closed(_))
    }

    /// When the next arrival is due; `None` if there is none, or if only a free place brings one.
    pub(super) fn next_due(&self) -> Option<u64> {
        match self {
            Feed::Open { next, start_ns, .. } => next.map(|arrival| start_ns + arrival.due_ns),
            Feed::Closed(_) => None,
        }
    }

    /// The next arrival, if it is due by now.
    pub(super) fn take(&mut self, now: u64) -> Option<Due> {
        match self {
            Feed::Open { shard, next, start_ns, taken, main_offset, .. } => {
                let arrival = (*next)?;
                let intended = *start_ns + arrival.due_ns;
                if intended > now {
                    return None;
                }
                *next = shard.next();
                taken[usize::from(arrival.warmup)] += 1;
                let number = arrival.number + if arrival.warmup { 0 } else { *main_offset };
                Some(Due { intended, request: arrival.request, warmup: arrival.warmup, number })
            }
            Feed::Closed(closed) => closed.take(now),
        }
    }

    /// Whether nothing more will come.
    pub(super) fn exhausted(&self, now: u64) -> bool {
        match self {
            Feed::Open { next, .. } => next.is_none(),
            Feed::Closed(closed) => closed.quota == Some(0) || now >= closed.end_ns,
        }
    }

    /// Arrivals that were not taken: (warm-up, main). In a closed loop without a count none was planned.
    pub(super) fn left(&self) -> (u64, u64) {
        match self {
            Feed::Open { taken, planned, .. } => {
                (planned[1].saturating_sub(taken[1]), planned[0].saturating_sub(taken[0]))
            }
            Feed::Closed(closed) => (0, closed.quota.unwrap_or(0)),
        }
    }
}

impl Closed {
    fn take(&mut self, now: u64) -> Option<Due> {
        if now >= self.end_ns {
            return None;
        }
        let warmup = now < self.main_ns;
        if !warmup && let Some(quota) = &mut self.quota {
            *quota = quota.checked_sub(1)?;
        }
        let number = self.stripe.number(self.next);
        // Each phase has blocks of its own: the shares of the main one are exact whatever came before.
        let place = &mut self.places[usize::from(warmup)];
        let request = self.mix.pick(u32::from(warmup), self.stripe.number(*place));
        *place += 1;
        self.next += 1;
        Some(Due { intended: now, request, warmup, number })
    }
}
