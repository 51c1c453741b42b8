//! Distributions as reports have them.

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

/// Quantiles in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Quantiles {
    /// The mean.
    pub mean: f64,
    /// The median.
    pub p50: f64,
    /// The 99th percentile.
    pub p99: f64,
    /// The largest.
    pub max: f64,
}

/// A cumulative distribution: pairs of a value and the share of all values up to it, both growing; the last
/// share is 1. It is empty without values. It has about two hundred pairs at most.
pub type Curve = Vec<(f64, f64)>;

impl Quantiles {
    /// Of a histogram in microseconds; all zero if it is empty.
    pub(super) fn of(histogram: &Histogram<u64>) -> Self {
        let seconds = |micros: u64| micros as f64 / 1e6;
        let quantile = |quantile| seconds(histogram.value_at_quantile(quantile));
        Self {
            mean: if histogram.is_empty() { 0.0 } else { histogram.mean() / 1e6 },
            p50: quantile(0.5),
            p99: quantile(0.99),
            max: seconds(histogram.max()),
        }
    }
}

/// A histogram as a curve, its values in terms of `unit`.
pub(super) fn curve(histogram: &Histogram<u64>, unit: f64) -> Curve {
    const STEP: f64 = 0.005;
    let all = histogram.len() as f64;
    let mut curve = Curve::new();
    let (mut count, mut given) = (0, 0.0);
    for value in histogram.iter_recorded() {
        count += value.count_since_last_iteration();
        let share = count as f64 / all;
        if curve.is_empty() || share >= given + STEP || count == histogram.len() {
            // The last bucket of the histogram may reach behind the greatest value.
            curve.push((value.value_iterated_to().min(histogram.max()) as f64 / unit, share));
            given = share;
        }
    }
    curve
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::stats;

    #[test]
    fn quantiles_are_those_of_the_values() {
        let mut histogram = stats::latency_histogram();
        (1..=1_000).for_each(|millis| histogram.saturating_record(millis * 1_000));
        // And one far out, which moves the mean.
        histogram.saturating_record(3_000_000_000);
        let Quantiles { mean, p50, p99, max } = Quantiles::of(&histogram);
        let is_near = |found: f64, expected: f64| (found / expected - 1.0).abs() < 0.001;
        assert!(is_near(mean, 500.5 * 1_000.0 / 1_001.0 / 1e3 + 3_000.0 / 1_001.0), "{mean}");
        assert!(
            is_near(p50, 0.501) && is_near(p99, 0.991) && is_near(max, 3_000.0),
            "{p50} {p99} {max}"
        );
    }
}
