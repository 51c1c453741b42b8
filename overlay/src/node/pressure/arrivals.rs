//! How late the broadcasts of others come.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

use super::{Shortest, most};
use crate::id::Incarnation;

/// Origins that are looked at. More tell nothing more.
const ORIGINS: usize = 64;
/// How long a broadcast tells of its origin.
const FRESH: Duration = Duration::from_millis(300);

/// Whoever published within this keeps its place, and is somebody else beside whom one origin is not
/// believed.
const LATELY: Duration = Duration::from_secs(3);

/// What most of the origins' last broadcasts took longer than their fastest ones.
#[derive(Debug)]
pub(crate) struct Arrivals {
    start: Instant,
    origins: BTreeMap<Incarnation, Origin>,
    /// When stale ones were forgotten.
    tidied: Instant,
}

#[derive(Debug)]
struct Origin {
    last: Instant,
    /// Microseconds from its clock to this one's, with the way.
    shortest: Shortest<i64>,
    delay: Duration,
}

impl Arrivals {
    pub(crate) fn new(now: Instant) -> Self {
        Self { start: now, origins: BTreeMap::new(), tidied: now }
    }

    /// The tree brought a broadcast that was published at this time of its origin's clock, in
    /// microseconds.
    pub(crate) fn note(&mut self, now: Instant, of: Incarnation, published: u64) {
        if !self.origins.contains_key(&of) && !self.has_room(now) {
            return;
        }
        // Only differences count: neither clock has to be right.
        let here = now.duration_since(self.start).as_micros() as i64;
        let took = here.wrapping_sub_unsigned(published);
        let origin = self.origins.entry(of).or_insert_with(|| Origin {
            last: now,
            shortest: Shortest::new(now),
            delay: Duration::ZERO,
        });
        let over = took.saturating_sub(origin.shortest.note(now, took));
        origin.delay = Duration::from_micros(over.unsigned_abs());
        origin.last = now;
    }

    fn has_room(&mut self, now: Instant) -> bool {
        if self.origins.len() >= ORIGINS && now.duration_since(self.tidied) > FRESH {
            self.tidied = now;
            self.origins.retain(|_, origin| now.duration_since(origin.last) < LATELY);
        }
        self.origins.len() < ORIGINS
    }

    /// The delay of most. Of a single origin's word only if nobody else published lately.
    pub(super) fn told(&self, now: Instant) -> Duration {
        let lately = self.origins.values().filter(|o| now.duration_since(o.last) < LATELY);
        self.delay(now, lately.count().clamp(1, 2))
    }

    /// The delay of most, if at least so many origins published just now.
    pub(super) fn delay(&self, now: Instant, at_least: usize) -> Duration {
        let fresh = self.origins.values().filter(|o| now.duration_since(o.last) < FRESH);
        let enough = fresh.clone().count() >= at_least;
        most(fresh.map(|origin| origin.delay)).filter(|_| enough).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::NodeId;

    const MS: fn(u64) -> Duration = Duration::from_millis;

    fn origin(number: u8) -> Incarnation {
        Incarnation { node: NodeId::from_bytes([number; 32]), started: 1 }
    }

    #[tokio::test(start_paused = true)]
    async fn clocks_may_differ_and_jump_and_lie() {
        let start = Instant::now();
        let mut arrivals = Arrivals::new(start);
        // One clock is right, one of 1970, one of the far future.
        for (number, clock) in [(1, 1_700_000_000_000_000), (2, 0), (3, u64::MAX - 1_000_000)] {
            for (at, took) in [(0, 5), (20, 25), (60, 35)] {
                let published = clock + (at + 100 - took) * 1_000;
                arrivals.note(start + MS(at), origin(number), published);
            }
        }
        let now = start + MS(60);
        assert_eq!(arrivals.delay(now, 1), MS(30), "as long as the fastest but for 30 ms");
        arrivals.note(now, origin(1), 0);
        assert_eq!(arrivals.delay(now, 1), MS(30), "one of three does not count");
        assert_eq!(arrivals.delay(now, 4), MS(0));
        assert_eq!(arrivals.delay(now + FRESH, 1), MS(0));
        arrivals.note(now, origin(2), u64::MAX);
        arrivals.note(now, origin(2), 1 << 63);
    }

    /// More than there is room for, each rarely, and all late after a calm beginning.
    #[tokio::test(start_paused = true)]
    async fn many_who_publish_rarely_are_seen_to_be_late() {
        let start = Instant::now();
        let mut arrivals = Arrivals::new(start);
        let (mut now, mut seen) = (start, Duration::ZERO);
        for round in 0..20u64 {
            for number in 0..200u8 {
                now += MS(5);
                let late = if round < 3 { 10 } else { 5_000 };
                let at = (now - start).as_millis() as u64 + 1_000_000 - late;
                arrivals.note(now, origin(number), at * 1_000);
                seen = seen.max(arrivals.delay(now, 2));
            }
        }
        assert!(seen > Duration::from_secs(2), "{seen:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn one_who_is_late_is_not_believed_while_another_published_lately() {
        let start = Instant::now();
        let mut arrivals = Arrivals::new(start);
        arrivals.note(start, origin(1), 9_000_000);
        arrivals.note(start + MS(500), origin(2), 9_000_000);
        arrivals.note(start + MS(600), origin(1), 9_000_000);
        let now = start + MS(850);
        assert_eq!(arrivals.delay(now, 1), MS(600), "the other one is not fresh");
        assert_eq!(arrivals.told(now), MS(0));
        arrivals.note(start + 2 * LATELY, origin(1), 9_000_000);
        assert_eq!(arrivals.told(start + 2 * LATELY), 2 * LATELY, "nobody else is there");
    }

    #[tokio::test(start_paused = true)]
    async fn any_number_of_origins_takes_bounded_room() {
        let start = Instant::now();
        let mut arrivals = Arrivals::new(start);
        for number in 0..=255 {
            arrivals.note(start, origin(number), 0);
        }
        assert_eq!(arrivals.origins.len(), ORIGINS);
        arrivals.note(start + LATELY, origin(255), 0);
        assert_eq!(arrivals.origins.len(), 1, "those of long ago make room");
    }
}
