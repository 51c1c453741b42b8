//! Latency models.

use std::time::Duration;

use murmurate::membership::nanos;
use rand_distr::{Distribution, LogNormal};
use rand_xoshiro::SplitMix64;
use rand_xoshiro::rand_core::SeedableRng;

use super::{MIN_LATENCY, NetworkError, share_of};
use crate::model::matrix::Matrix;

/// The longest way there is.
const MAX_LATENCY: Duration = Duration::from_secs(100);

/// How long a message travels, one way.
#[derive(Debug, Clone, PartialEq)]
pub enum Latency {
    /// Always the same.
    Constant(Duration),
    /// Anything from the first to the second, drawn for each message.
    Uniform(Duration, Duration),
    /// Log-normal around a median, drawn for each message; sigma is that of the logarithm.
    LogNormal {
        /// The median.
        median: Duration,
        /// Standard deviation of the logarithm.
        sigma: f64,
    },
    /// Half the round trip between the sites where two nodes stand.
    Matrix(Matrix),
}

impl Latency {
    /// The shortest time a message can take.
    pub(super) fn least(&self) -> Duration {
        let least = match self {
            Self::Constant(latency) => *latency,
            Self::Uniform(least, _) => *least,
            Self::LogNormal { .. } => MIN_LATENCY,
            Self::Matrix(matrix) => matrix.least(),
        };
        least.max(MIN_LATENCY)
    }

    /// Whether one message can take longer than the next between the same nodes.
    pub(super) fn varies(&self) -> bool {
        matches!(self, Self::Uniform(..) | Self::LogNormal { .. })
    }

    /// How many sites it tells apart.
    pub(super) fn sites(&self) -> usize {
        match self {
            Self::Matrix(matrix) => matrix.sites(),
            _ => 1,
        }
    }
}

/// A [`Latency`] ready to draw from, in nanoseconds.
#[derive(Debug, Clone)]
pub(super) enum Sampler {
    Constant(u64),
    Uniform { least: u64, span: u64 },
    LogNormal { distribution: LogNormal<f64>, least: u64 },
    Matrix { matrix: Matrix, least: u64 },
}

impl Sampler {
    pub(super) fn new(latency: Latency) -> Result<Self, NetworkError> {
        let in_range = |latency: Duration| {
            if (MIN_LATENCY..=MAX_LATENCY).contains(&latency) {
                Ok(nanos(latency))
            } else {
                Err(NetworkError::Latency(latency))
            }
        };
        let least = nanos(latency.least());
        Ok(match latency {
            Latency::Constant(latency) => Self::Constant(in_range(latency)?),
            Latency::Uniform(least, most) if least > most => {
                return Err(NetworkError::Uniform(least, most));
            }
            Latency::Uniform(least, most) => {
                let least = in_range(least)?;
                Self::Uniform { least, span: in_range(most)? - least }
            }
            Latency::LogNormal { median, sigma } => {
                if !(0.0..=5.0).contains(&sigma) {
                    return Err(NetworkError::Sigma(sigma));
                }
                let mu = (in_range(median)? as f64).ln();
                let distribution =
                    LogNormal::new(mu, sigma).map_err(|_| NetworkError::Sigma(sigma))?;
                Self::LogNormal { distribution, least }
            }
            Latency::Matrix(matrix) => Self::Matrix { matrix, least },
        })
    }

    /// The way between two sites, with a draw.
    #[inline]
    pub(super) fn sample(&self, draw: u64, sites: impl Fn() -> (usize, usize)) -> u64 {
        match self {
            Self::Constant(latency) => *latency,
            Self::Uniform { least, span } => least + share_of(draw, *span),
            Self::LogNormal { distribution, least } => {
                let mut rng = SplitMix64::seed_from_u64(draw);
                (distribution.sample(&mut rng) as u64).clamp(*least, nanos(MAX_LATENCY))
            }
            Self::Matrix { matrix, least } => {
                let (from, to) = sites();
                matrix.one_way(from, to).max(*least)
            }
        }
    }

    /// The shortest ways between all sites, over others if that is shorter, row by row. `None` where
    /// the way is drawn for each message.
    pub(super) fn shortest(&self) -> Option<Vec<u64>> {
        match self {
            Self::Constant(latency) => Some(vec![*latency]),
            Self::Uniform { .. } | Self::LogNormal { .. } => None,
            Self::Matrix { matrix, least } => Some(matrix.shortest(*least)),
        }
    }
}
