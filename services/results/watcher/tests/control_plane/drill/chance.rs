//! Chance that can be repeated.

use std::time::Duration;

/// `SplitMix64`: few lines, and the same numbers for ever.
pub(super) struct Chance(u64);

impl Chance {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number from 0 to before `bound`.
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    pub(super) fn millis(&mut self, from: u64, to: u64) -> Duration {
        Duration::from_millis(from + self.below(to - from))
    }

    /// The same in any order.
    pub(super) fn shuffle<T: Copy>(&mut self, from: &[T]) -> Vec<T> {
        let mut from = from.to_vec();
        let mut to = Vec::new();
        while let Some(last) = from.len().checked_sub(1) {
            let one = usize::try_from(self.next()).unwrap_or(usize::MAX) % (last + 1);
            to.push(from.swap_remove(one));
        }
        to
    }

    /// One of its own, for what runs beside it.
    pub(super) fn fork(&mut self) -> Self {
        Self(self.next())
    }
}
