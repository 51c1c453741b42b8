//! Rates and latencies.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeVal;
use tokio::time::{interval, sleep};

use crate::{Error, Figures};

/// What is not measured at the start.
pub(crate) const WARM_UP: Duration = Duration::from_millis(300);

/// How fast a counter grows, a second, and the nanoseconds of processor time that each of it takes.
/// The latter says more on a machine that others use too.
pub(crate) async fn rate(count: &AtomicU64, seconds: f64) -> Result<Figures, Error> {
    sleep(WARM_UP).await;
    let (before, start, cpu) = (count.load(Ordering::Relaxed), Instant::now(), cpu()?);
    sleep(Duration::from_secs_f64(seconds)).await;
    let counted = (count.load(Ordering::Relaxed) - before) as f64;
    let used = self::cpu()? - cpu;
    Ok(Figures::from([
        ("rate".into(), counted / start.elapsed().as_secs_f64()),
        ("cpu".into(), used * 1e9 / counted),
        ("cores".into(), used / start.elapsed().as_secs_f64()),
    ]))
}

/// Seconds of processor time that this process has used.
fn cpu() -> Result<f64, Error> {
    let usage = getrusage(UsageWho::RUSAGE_SELF)?;
    let seconds = |time: TimeVal| time.tv_sec() as f64 + time.tv_usec() as f64 / 1e6;
    Ok(seconds(usage.user_time()) + seconds(usage.system_time()))
}

/// Microseconds that something took, many times.
#[derive(Debug, Default)]
pub(crate) struct Latencies(Vec<f64>);

impl Latencies {
    pub(crate) fn add(&mut self, took: Duration) {
        self.0.push(took.as_secs_f64() * 1e6);
    }

    /// Puts the middle and the last percentile among the figures.
    pub(crate) fn note(mut self, figures: &mut Figures, of: &str) {
        self.0.sort_by(f64::total_cmp);
        let at = |share: f64| self.0.get((self.0.len() as f64 * share) as usize).copied();
        for (name, share) in [("p50", 0.5), ("p99", 0.99)] {
            figures.insert(format!("{of}{name}"), at(share).unwrap_or(f64::NAN));
        }
    }
}

/// Does something again and again: as soon as it is done, or once a millisecond.
pub(crate) async fn repeat<F>(
    seconds: f64,
    paced: bool,
    mut once: impl FnMut() -> F,
) -> Result<Latencies, Error>
where
    F: Future<Output = Result<(), Error>>,
{
    let mut ticks = interval(Duration::from_millis(1));
    let mut latencies = Latencies::default();
    let begin = Instant::now();
    while begin.elapsed() < WARM_UP + Duration::from_secs_f64(seconds) {
        if paced {
            ticks.tick().await;
        }
        let start = Instant::now();
        once().await?;
        if begin.elapsed() > WARM_UP {
            latencies.add(start.elapsed());
        }
    }
    Ok(latencies)
}
