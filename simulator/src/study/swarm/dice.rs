//! What plans are drawn with.

use std::time::Duration;

use rand::{RngExt, SeedableRng};
use rand_xoshiro::SplitMix64;

use crate::experiment::scenario::Share;

/// A source of choices.
pub(super) struct Dice(SplitMix64);

impl Dice {
    pub(super) fn new(seed: u64) -> Self {
        Self(SplitMix64::seed_from_u64(seed))
    }

    pub(super) fn chance(&mut self, percent: u32) -> bool {
        self.0.random_range(0..100) < percent
    }

    pub(super) fn between<T>(&mut self, least: T, most: T) -> T
    where
        T: rand::distr::uniform::SampleUniform + PartialOrd,
    {
        self.0.random_range(least..=most)
    }

    pub(super) fn millis(&mut self, least: u64, most: u64) -> Duration {
        Duration::from_millis(self.between(least, most))
    }

    /// Whole percents, so that what is written is what was drawn.
    pub(super) fn percent(&mut self, least: u32, most: u32) -> Share {
        Share::new(f64::from(self.between(least, most)) / 100.0).unwrap_or_default()
    }

    pub(super) fn one_of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.0.random_range(0..choices.len())]
    }
}
