//! Which request of a mix an arrival is: exact shares in every block, shuffled inside the block. Where several versions
//! of a target are measured side by side, neighbouring arrivals are the same request, one for each version, in an order
//! drawn for each such pair.
//!
//! The choice is a pure function of (seed, stream, number). Without the shuffle, striping lines up with the mix: of
//! two lanes under weights 1:1 one would send nothing but the first request.

/// The mix of a test, with the block last used kept: lanes walk through their numbers upwards.
#[derive(Clone, Debug)]
pub struct Mix {
    /// One entry a place of the block, in order of the requests.
    pattern: Box<[u32]>,
    seed: u64,
    block: Vec<u32>,
    current: Option<(u32, u64)>,
    versions: u32,
    /// How many requests each version has.
    requests: u32,
}

/// Versions that one test may have.
pub const VERSIONS_MAX: usize = 8;

impl Mix {
    /// A mix of requests with these weights. A block has as many places as the weights add up to, in lowest terms.
    pub fn new(weights: &[u32], seed: u64) -> Self {
        let divisor = weights.iter().copied().fold(0, gcd).max(1);
        let pattern: Box<[u32]> = weights
            .iter()
            .enumerate()
            .flat_map(|(request, weight)| std::iter::repeat_n(request as u32, (*weight / divisor) as usize))
            .collect();
        let requests = weights.len() as u32;
        Mix { block: Vec::with_capacity(pattern.len()), pattern, seed, current: None, versions: 1, requests }
    }

    /// The mix of a test with several versions: `weights` has the requests of the first, then those of the second, and
    /// so on, each as many. More than [`VERSIONS_MAX`] count as so many.
    pub fn side_by_side(weights: &[u32], versions: u32, seed: u64) -> Self {
        let versions = versions.clamp(1, VERSIONS_MAX as u32);
        let each = weights.len() / versions as usize;
        Mix { versions, ..Mix::new(weights.get(..each).unwrap_or(weights), seed) }
    }

    /// How many neighbouring arrivals are the same request.
    pub fn versions(&self) -> u32 {
        self.versions
    }

    /// Which request arrival `number` of a stream is.
    pub fn pick(&mut self, stream: u32, number: u64) -> u32 {
        let versions = u64::from(self.versions);
        let request = self.pick_one(stream, number / versions);
        if versions == 1 {
            return request;
        }
        request + self.requests * self.version(stream, number / versions, (number % versions) as usize)
    }

    /// The version that is at a place of a pair.
    fn version(&self, stream: u32, pair: u64, place: usize) -> u32 {
        let mut order: [u32; VERSIONS_MAX] = std::array::from_fn(|version| version as u32);
        let order = &mut order[..self.versions as usize];
        // Apart from the shuffle of the blocks, which the same numbers seed.
        let seed = split_mix(self.seed ^ 0x5bd1_e995_7b3d_4f21);
        shuffle(order, split_mix(seed ^ split_mix(pair ^ split_mix(u64::from(stream)))));
        order[place]
    }

    fn pick_one(&mut self, stream: u32, number: u64) -> u32 {
        let size = self.pattern.len() as u64;
        if size <= 1 {
            return self.pattern.first().copied().unwrap_or(0);
        }
        let wanted = (stream, number / size);
        if self.current != Some(wanted) {
            self.current = Some(wanted);
            self.shuffle(wanted);
        }
        self.block[(number % size) as usize]
    }

    fn shuffle(&mut self, (stream, block): (u32, u64)) {
        self.block.clear();
        self.block.extend_from_slice(&self.pattern);
        shuffle(&mut self.block, split_mix(self.seed ^ split_mix(block ^ split_mix(u64::from(stream)))));
    }
}

/// Fisher–Yates; written out because a shard must stay the same whatever version of a library draws it.
fn shuffle(items: &mut [u32], mut state: u64) {
    for last in (1..items.len()).rev() {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        // The high half of the product is uniform on 0 ..= last but for a bias under 2⁻⁵⁰ (Lemire 2019).
        let place = (u128::from(split_mix(state)) * (last as u128 + 1)) >> 64;
        items.swap(last, place as usize);
    }
}

fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// SplitMix64's output function (Steele, Lea, Flood 2014).
pub(crate) fn split_mix(x: u64) -> u64 {
    let x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_block_has_the_exact_shares(weights in prop::collection::vec(1u32..20, 1..6), seed: u64, block in 0u64..1000) {
            let mut mix = Mix::new(&weights, seed);
            let divisor = weights.iter().copied().fold(0, gcd);
            let size = u64::from(weights.iter().sum::<u32>() / divisor);
            let mut counts = vec![0; weights.len()];
            for number in block * size..(block + 1) * size {
                counts[mix.pick(0, number) as usize] += divisor;
            }
            prop_assert_eq!(counts, weights);
        }

        #[test]
        fn a_choice_does_not_depend_on_what_was_asked_before(seed: u64, numbers in prop::collection::vec(0u64..5000, 1..50)) {
            let mut walked = Mix::new(&[3, 1, 2], seed);
            for number in numbers {
                prop_assert_eq!(walked.pick(1, number), Mix::new(&[3, 1, 2], seed).pick(1, number));
            }
        }
    }

    proptest! {
        #[test]
        fn each_pair_is_one_request_of_every_version(
            weights in prop::collection::vec(1u32..5, 1..4), versions in 2u32..=8, seed: u64, pair in 0u64..1000,
        ) {
            let each = weights.len() as u32;
            let all: Vec<u32> = weights.iter().copied().cycle().take(weights.len() * versions as usize).collect();
            let mut mix = Mix::side_by_side(&all, versions, seed);
            let first = pair * u64::from(versions);
            let picked: Vec<u32> = (first..first + u64::from(versions)).map(|number| mix.pick(0, number)).collect();
            let alone = Mix::new(&weights, seed).pick(0, pair);
            prop_assert!(picked.iter().all(|request| request % each == alone), "{:?}", picked);
            let mut of: Vec<u32> = picked.iter().map(|request| request / each).collect();
            of.sort_unstable();
            prop_assert_eq!(of, (0..versions).collect::<Vec<_>>());
        }
    }

    #[test]
    fn either_version_comes_first_as_often() {
        let mut mix = Mix::side_by_side(&[1, 1], 2, 11);
        let second_first: u32 = (0..2000).step_by(2).map(|number| mix.pick(0, number)).sum();
        assert!((450..550).contains(&second_first), "{second_first} of 1000");
    }

    #[test]
    fn striping_does_not_line_up_with_the_mix() {
        let mut mix = Mix::new(&[1, 1], 7);
        let first_of_two: u32 = (0..1000).step_by(2).map(|number| mix.pick(0, number)).sum();
        assert!((200..300).contains(&first_of_two), "lane 0 of 2 sends {first_of_two} of 500 to the second request");
    }
}
