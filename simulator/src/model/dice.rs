//! Random choices.

use std::time::Duration;

use rand::{RngExt, SeedableRng};
use rand_xoshiro::SplitMix64;

/// A source of choices.
pub struct Dice(SplitMix64);

impl Dice {
    /// All of them follow from the seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(SplitMix64::seed_from_u64(seed))
    }

    /// Whether something with a chance of this many percent happens.
    pub fn chance(&mut self, percent: u32) -> bool {
        self.0.random_range(0..100) < percent
    }

    /// A number in this range, both ends included.
    pub fn between<T>(&mut self, least: T, most: T) -> T
    where
        T: rand::distr::uniform::SampleUniform + PartialOrd,
    {
        self.0.random_range(least..=most)
    }

    /// A time in this range of milliseconds.
    pub fn millis(&mut self, least: u64, most: u64) -> Duration {
        Duration::from_millis(self.between(least, most))
    }

    /// Whole percents, as a share.
    pub fn percent(&mut self, least: u32, most: u32) -> f64 {
        f64::from(self.between(least, most)) / 100.0
    }

    /// One of these.
    pub fn one_of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.0.random_range(0..choices.len())]
    }
}
