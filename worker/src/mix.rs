//! Which request of a mix an arrival is: exact shares in every block, shuffled inside the block.
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
}

impl Mix {
    /// A mix of requests with these weights. A block has as many places as the weights add up to, in lowest terms.
    pub fn new(weights: &[u32], seed: u64) -> Self {
        let divisor = weights.iter().copied().fold(0, gcd).max(1);
        let pattern: Box<[u32]> = weights
            .iter()
            .enumerate()
            .flat_map(|(request, weight)| std::iter::repeat_n(request as u32, (*weight / divisor) as usize))
            .collect();
        Mix { block: Vec::with_capacity(pattern.len()), pattern, seed, current: None }
    }

    /// Which request arrival `number` of a stream is.
    pub fn pick(&mut self, stream: u32, number: u64) -> u32 {
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

    /// Fisher–Yates; written out because a shard must stay the same whatever version of a library draws it.
    fn shuffle(&mut self, (stream, block): (u32, u64)) {
        self.block.clear();
        self.block.extend_from_slice(&self.pattern);
        let mut state = split_mix(self.seed ^ split_mix(block ^ split_mix(u64::from(stream))));
        for last in (1..self.block.len()).rev() {
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            // The high half of the product is uniform on 0 ..= last but for a bias under 2⁻⁵⁰ (Lemire 2019).
            let place = (u128::from(split_mix(state)) * (last as u128 + 1)) >> 64;
            self.block.swap(last, place as usize);
        }
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

    #[test]
    fn striping_does_not_line_up_with_the_mix() {
        let mut mix = Mix::new(&[1, 1], 7);
        let first_of_two: u32 = (0..1000).step_by(2).map(|number| mix.pick(0, number)).sum();
        assert!((200..300).contains(&first_of_two), "lane 0 of 2 sends {first_of_two} of 500 to the second request");
    }
}
