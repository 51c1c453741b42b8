//! The network between the nodes: latency, loss and cuts.
//!
//! Every draw is a hash of (seed, source, destination, sequence): adding one fault shifts no other
//! draw, and the order in which nodes are run does not matter.

use std::time::Duration;

use murmurate::membership::nanos;
use rand_distr::{Distribution, LogNormal};
use rand_xoshiro::SplitMix64;
use rand_xoshiro::rand_core::SeedableRng;

use crate::matrix::Matrix;
use crate::node::Peer;

/// No link is faster than this; whatever a model draws below it takes this long.
pub const MIN_LATENCY: Duration = Duration::from_micros(20);

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
    /// Half the measured round trip between two sites; node i stands at site i modulo sites.
    Matrix(Matrix),
}

impl Latency {
    /// The shortest time a message can take.
    fn least(&self) -> Duration {
        let least = match self {
            Self::Constant(latency) => *latency,
            Self::Uniform(least, _) => *least,
            Self::LogNormal { .. } => MIN_LATENCY,
            Self::Matrix(matrix) => matrix.least(),
        };
        least.max(MIN_LATENCY)
    }
}

/// Latency, loss and cuts between nodes.
#[derive(Debug, Clone)]
pub struct Network {
    seed: u64,
    latency: Sampler,
    least: u64,
    /// A message is lost if its draw is below this share of 2⁶⁴.
    loss: u64,
    cuts: Vec<Cut>,
    /// Mean time added to the way of a connection reset.
    reset_delay: u64,
}

/// A [`Latency`] ready to draw from, in nanoseconds.
#[derive(Debug, Clone)]
enum Sampler {
    Constant(u64),
    Uniform { least: u64, span: u64 },
    LogNormal(LogNormal<f64>),
    Matrix(Matrix),
}

/// A partition of the nodes into two sides.
#[derive(Debug, Clone)]
struct Cut {
    far: Vec<bool>,
    /// Only messages from the near to the far side are lost.
    one_way: bool,
}

/// Why a network cannot be built; nothing was changed.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum NetworkError {
    /// Not a probability.
    #[error("loss {0} is out of range: 0 to 1")]
    Loss(f64),
    /// The second is smaller than the first.
    #[error("uniform latency {0:?},{1:?}: the second must be at least the first")]
    Uniform(Duration, Duration),
    /// A latency outside the model.
    #[error("latency {0:?} is out of range: {MIN_LATENCY:?} to 100s")]
    Latency(Duration),
    /// A spread outside the model.
    #[error("log-normal sigma {0} is out of range: 0 to 5")]
    Sigma(f64),
}

impl Network {
    /// A network with this latency that loses `loss` of all messages, at random.
    ///
    /// # Errors
    /// If a value is out of its range.
    pub fn new(seed: u64, latency: Latency, loss: f64) -> Result<Self, NetworkError> {
        if !(0.0..=1.0).contains(&loss) {
            return Err(NetworkError::Loss(loss));
        }
        let in_range = |latency: Duration| {
            if (MIN_LATENCY..=Duration::from_secs(100)).contains(&latency) {
                Ok(nanos(latency))
            } else {
                Err(NetworkError::Latency(latency))
            }
        };
        let least = nanos(latency.least());
        let latency = match latency {
            Latency::Constant(latency) => Sampler::Constant(in_range(latency)?),
            Latency::Uniform(least, most) if least > most => {
                return Err(NetworkError::Uniform(least, most));
            }
            Latency::Uniform(least, most) => {
                let least = in_range(least)?;
                Sampler::Uniform { least, span: in_range(most)? - least }
            }
            Latency::LogNormal { median, sigma } => {
                if !(0.0..=5.0).contains(&sigma) {
                    return Err(NetworkError::Sigma(sigma));
                }
                let mu = (in_range(median)? as f64).ln();
                Sampler::LogNormal(
                    LogNormal::new(mu, sigma).map_err(|_| NetworkError::Sigma(sigma))?,
                )
            }
            Latency::Matrix(matrix) => Sampler::Matrix(matrix),
        };
        Ok(Self {
            seed,
            latency,
            least,
            loss: (loss * u64::MAX as f64) as u64,
            cuts: Vec::new(),
            reset_delay: 0,
        })
    }

    /// From now on loses `loss` of all messages.
    ///
    /// # Errors
    /// If `loss` is no probability.
    pub fn set_loss(&mut self, loss: f64) -> Result<(), NetworkError> {
        if !(0.0..=1.0).contains(&loss) {
            return Err(NetworkError::Loss(loss));
        }
        self.loss = (loss * u64::MAX as f64) as u64;
        Ok(())
    }

    /// From now on hosts take this long to notice a dead peer, give or take half of it, in addition
    /// to the latency.
    pub fn set_reset_delay(&mut self, mean: Duration) {
        self.reset_delay = nanos(mean);
    }

    /// Cuts the nodes for which `is_far` holds off from the others: silently, as a network does.
    /// One way, only messages towards them are lost.
    pub fn cut(&mut self, nodes: usize, is_far: impl Fn(usize) -> bool, one_way: bool) {
        self.cuts.push(Cut { far: (0..nodes).map(is_far).collect(), one_way });
    }

    /// Ends all cuts.
    pub fn heal(&mut self) {
        self.cuts.clear();
    }

    /// No message takes less than this many nanoseconds.
    pub(crate) fn least_latency(&self) -> u64 {
        self.least
    }

    /// How many nanoseconds the `sequence`-th word of `from` takes to `to`; `None` if it is lost.
    #[inline]
    pub(crate) fn carry(&self, from: Peer, to: Peer, sequence: u32) -> Option<u64> {
        if !self.cuts.is_empty() && self.is_cut(from, to) {
            return None;
        }
        let draw = self.draw(from, to, sequence);
        if self.loss > 0 && mix(draw ^ 0x6c6f_7373) < self.loss {
            return None;
        }
        Some(self.latency(from, to, draw))
    }

    /// As [`Network::carry`], for the connection resets that a host sends for a dead process.
    pub(crate) fn carry_reset(&self, from: Peer, to: Peer, sequence: u32) -> Option<u64> {
        if self.is_cut(from, to) {
            return None;
        }
        let draw = self.draw(from, to, sequence);
        let spread = share_of(mix(draw ^ 0x7265_7365), self.reset_delay);
        let delay = (self.reset_delay / 2).saturating_add(spread);
        Some(self.latency(from, to, draw).saturating_add(delay))
    }

    fn is_cut(&self, from: Peer, to: Peer) -> bool {
        self.cuts.iter().any(|cut| {
            let far = |peer: Peer| cut.far.get(peer.index()).copied().unwrap_or(false);
            far(from) != far(to) && (!cut.one_way || far(to))
        })
    }

    #[inline]
    fn draw(&self, from: Peer, to: Peer, sequence: u32) -> u64 {
        let pair = u64::from(from.bits()) << 32 | u64::from(to.bits());
        mix(mix(self.seed ^ pair) ^ u64::from(sequence))
    }

    #[inline]
    fn latency(&self, from: Peer, to: Peer, draw: u64) -> u64 {
        match &self.latency {
            Sampler::Constant(latency) => *latency,
            Sampler::Uniform { least, span } => least + share_of(draw, *span),
            Sampler::LogNormal(distribution) => {
                let mut rng = SplitMix64::seed_from_u64(draw);
                (distribution.sample(&mut rng) as u64).clamp(self.least, 100_000_000_000)
            }
            Sampler::Matrix(matrix) => matrix.one_way(from.index(), to.index()).max(self.least),
        }
    }
}

/// A draw from 0 to `span`, uniform: the high half of draw × (span + 1).
#[inline]
fn share_of(draw: u64, span: u64) -> u64 {
    ((u128::from(draw) * (u128::from(span) + 1)) >> 64) as u64
}

/// SplitMix64's finaliser: every bit of the result depends on every bit of `x`.
#[inline]
pub(crate) fn mix(x: u64) -> u64 {
    let x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draws(latency: Latency, loss: f64) -> (Network, Vec<Option<u64>>) {
        let network = Network::new(7, latency, loss).expect("valid");
        let (a, b) = (Peer::new(1, 0), Peer::new(2, 0));
        let draws = (0..20_000).map(|sequence| network.carry(a, b, sequence)).collect();
        (network, draws)
    }

    #[test]
    fn latencies_follow_their_model() {
        let ms = Duration::from_millis;
        let (network, uniform) = draws(Latency::Uniform(ms(10), ms(100)), 0.0);
        let uniform: Vec<u64> = uniform.into_iter().flatten().collect();
        let mean = uniform.iter().sum::<u64>() as f64 / uniform.len() as f64 / 1e6;
        assert!((54.0..56.0).contains(&mean), "mean {mean} ms");
        assert!(uniform.iter().all(|l| (network.least_latency()..=100_000_000).contains(l)));

        let (_, normal) = draws(Latency::LogNormal { median: ms(50), sigma: 0.5 }, 0.0);
        let mut normal: Vec<u64> = normal.into_iter().flatten().collect();
        normal.sort_unstable();
        let quantile = |q: f64| normal[(normal.len() as f64 * q) as usize] as f64 / 1e6;
        assert!((49.0..51.0).contains(&quantile(0.5)), "median {}", quantile(0.5));
        // One sigma up: 50 × e^0.5 = 82.4 ms.
        assert!((80.0..85.0).contains(&quantile(0.8413)), "{}", quantile(0.8413));
    }

    #[test]
    fn loss_is_a_share_and_shifts_no_latency() {
        let uniform = Latency::Uniform(Duration::from_millis(10), Duration::from_millis(100));
        let (_, all) = draws(uniform.clone(), 0.0);
        let (_, lossy) = draws(uniform, 0.3);
        let lost = lossy.iter().filter(|draw| draw.is_none()).count();
        assert!((5_700..6_300).contains(&lost), "{lost} of 20,000 at 30 %");
        assert!(lossy.iter().zip(&all).all(|(lossy, all)| lossy.is_none() || lossy == all));
    }

    #[test]
    fn a_one_way_cut_lets_the_other_way_pass() {
        let latency = Latency::Constant(Duration::from_millis(1));
        let mut network = Network::new(7, latency, 0.0).expect("valid");
        let (near, far) = (Peer::new(0, 0), Peer::new(9, 0));
        network.cut(10, |index| index >= 5, true);
        assert_eq!(network.carry(near, far, 0), None);
        assert!(network.carry(far, near, 0).is_some());
        network.cut(10, |index| index >= 5, false);
        assert_eq!(network.carry(far, near, 0), None);
        assert!(network.carry(far, Peer::new(8, 0), 0).is_some());
        network.heal();
        assert!(network.carry(near, far, 0).is_some());
    }

    #[test]
    fn wrong_values_are_refused() {
        let ms = Duration::from_millis;
        let new = |latency, loss| Network::new(0, latency, loss).expect_err("wrong").to_string();
        assert_eq!(new(Latency::Constant(ms(1)), 1.5), "loss 1.5 is out of range: 0 to 1");
        assert!(new(Latency::Constant(ms(0)), 0.0).starts_with("latency 0ns is out of range"));
        assert!(new(Latency::Uniform(ms(9), ms(3)), 0.0).contains("9ms,3ms"));
    }
}
