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
