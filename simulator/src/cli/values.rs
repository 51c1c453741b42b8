//! Values of options that several commands have.

use std::num::NonZeroUsize;
use std::ops::RangeInclusive;

pub(crate) fn whole(text: &str, range: RangeInclusive<u64>) -> Result<u64, String> {
    text.parse().ok().filter(|number| range.contains(number)).ok_or_else(|| {
        format!("allowed is a whole number from {} to {}", range.start(), range.end())
    })
}

pub(crate) fn threads(text: &str) -> Result<NonZeroUsize, String> {
    let threads = whole(text, 1..=256)?;
    NonZeroUsize::new(threads as usize).ok_or_else(|| "allowed is at least 1".to_owned())
}

/// Warns if there are more threads than cores. The result is the same, but it takes longer.
pub(crate) fn warn_of_more_threads_than_cores(option: &str, threads: usize) {
    let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    if threads > cores {
        eprintln!("{option}: there are {cores} cores, and with more threads a run is slower");
    }
}
