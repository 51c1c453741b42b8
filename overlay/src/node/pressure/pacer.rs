//! How fast a node publishes.

use std::time::Duration;

use tokio::time::Instant;

use super::{Arrivals, Links, cost};

/// How often the rate is adjusted: less often than most broadcasts take to spread.
const STEP: Duration = Duration::from_millis(50);
/// Below this nothing queues, above that too much does.
const CALM: Duration = Duration::from_millis(30);
const CONGESTED: Duration = Duration::from_millis(200);
/// What is cut is seen once the queue is gone; it is not waited for longer than this.
const DRAINED: Duration = Duration::from_millis(500);
/// Cost a second to begin with, at least, and at most.
const FIRST: f64 = 16.0 * 1_024.0;
const LEAST: f64 = 256.0;
const MOST: f64 = 1e12;
/// What a step adds for each root of the rate, and the rate's share that it adds or takes.
const SHARE: f64 = 10.0;
const GAIN: f64 = 0.05;
/// Cost that may be published at once.
const BURST: f64 = 4.0 * 1_024.0;
/// Seconds of the rate that may be published at once, and that a large broadcast takes at most.
const AHEAD: f64 = 0.01;
const BEHIND: f64 = 1.0;
/// A queue may be so many links away, and its word comes back over all of them: meanwhile nothing
/// doubles.
const HOPS: u32 = 4;
/// Outboxes that are full, if they are few, are waited for so long: most have room again by then.
const FULL: Duration = Duration::from_secs(1);
/// Whoever did not publish for so long begins anew.
const IDLE: Duration = Duration::from_secs(10);

/// It begins slowly and doubles until a first queue shows, as TCP does. From then on it grows by the
/// root of the rate and shrinks by a share of it (binomial: Bansal, Balakrishnan 2001), the more of
/// this and the less of that the longer the queue.
#[derive(Debug)]
pub(crate) struct Pacer {
    arrivals: Arrivals,
    /// Cost a second.
    rate: f64,
    /// What may be published now: nothing below zero.
    credit: f64,
    credited: Instant,
    starting: bool,
    /// How long broadcasts queue, when it was last asked for room.
    delay: Duration,
    /// A broadcast waited since the last step.
    limited: bool,
    stepped: Instant,
    used: Instant,
    /// Since when some outbox has been full.
    full_since: Option<Instant>,
}

impl Pacer {
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            arrivals: Arrivals::new(now),
            rate: FIRST,
            credit: BURST,
            credited: now,
            starting: true,
            delay: Duration::ZERO,
            limited: false,
            stepped: now,
            used: now,
            full_since: None,
        }
    }

    pub(crate) fn arrivals(&mut self) -> &mut Arrivals {
        &mut self.arrivals
    }

    /// The delay to tell a neighbour: of most links, or of what comes from others.
    pub(crate) fn told(&self, now: Instant, links: Links) -> Duration {
        links.delay.max(self.arrivals.told(now))
    }

    /// Whether a broadcast may be published now, when links show this.
    pub(crate) fn has_room(&mut self, now: Instant, links: Links) -> bool {
        // If only one other publishes, and is late, that may be its own fault.
        let delay = links.delay.max(self.arrivals.delay(now, 2));
        self.delay = delay;
        if now.duration_since(self.used) > IDLE {
            self.used = now;
            (self.rate, self.starting) = (self.rate.min(FIRST), true);
        }
        let since = now.duration_since(self.credited).as_secs_f64();
        self.credited = now;
        // Between two steps a queue slows it down at once.
        let slowed = (CONGESTED.as_secs_f64() / delay.as_secs_f64().max(1e-9)).min(1.0).powi(2);
        let pace = (self.rate * slowed).max(LEAST);
        // What was published faster than now is not held against whoever goes slowly.
        self.credit = self.credit.max(-pace * BEHIND);
        self.credit = (self.credit + since * pace).min(BURST.max(self.rate * AHEAD));
        let room = self.credit > 0.0;
        self.limited |= !room;
        if now.checked_duration_since(self.stepped).is_some_and(|since| since >= STEP) {
            self.step(now, delay, links.round_trip);
        }
        room
    }

    /// Whether a broadcast fits the outboxes, so many of which are full. As of delays, the word of most
    /// counts; a few are waited for a while, and then lose what does not fit.
    pub(crate) fn fits(&mut self, now: Instant, links: usize, full: usize) -> bool {
        if full == 0 {
            self.full_since = None;
            return true;
        }
        let since = *self.full_since.get_or_insert(now);
        full * 2 <= links && now.duration_since(since) >= FULL
    }

    /// How long broadcasts queue on their way, when it was last asked for room.
    pub(crate) fn delay(&self) -> Duration {
        self.delay
    }

    /// When to ask again whether there is room.
    pub(crate) fn next(&self) -> Instant {
        let wait = ((1.0 - self.credit) / self.rate).clamp(0.001, STEP.as_secs_f64());
        self.credited + Duration::from_secs_f64(wait)
    }

    /// A broadcast of so many bytes is published.
    pub(crate) fn publish(&mut self, now: Instant, bytes: usize) {
        self.used = now;
        self.credit -= cost(bytes) as f64;
    }

    fn step(&mut self, now: Instant, delay: Duration, round_trip: Duration) {
        self.stepped = now;
        let limited = std::mem::take(&mut self.limited);
        if self.starting && delay >= CALM {
            // It doubled once or twice more before the queue showed.
            self.starting = false;
            self.rate /= 4.0;
        } else if delay > CONGESTED {
            self.rate *= 0.7;
            self.stepped += delay.min(DRAINED);
        } else if limited && self.starting {
            self.rate *= 2.0;
            self.stepped += round_trip * HOPS;
        } else if limited {
            // The smaller rate grows faster, and all shrink alike: so they become equal.
            let full = delay.as_secs_f64() / CONGESTED.as_secs_f64();
            let more = SHARE * self.rate.sqrt() * (1.0 - full);
            let calm = if delay < CALM { GAIN * self.rate } else { 0.0 };
            self.rate += more + calm - GAIN * self.rate * full;
        }
        self.rate = self.rate.clamp(LEAST, MOST);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: usize = 1_024;
    const MS: Duration = Duration::from_millis(1);

    fn late(delay: Duration) -> Links {
        Links { delay, round_trip: Duration::ZERO }
    }

    /// Publishers that never stop, in front of one queue. How much it takes changes.
    struct Overlay {
        now: Instant,
        pacers: Vec<(Pacer, u64)>,
        /// Broadcasts a millisecond.
        takes: f64,
        queued: f64,
        taken: f64,
        /// The queue as it was, a step ago: nobody sees it at once.
        seen: std::collections::VecDeque<Duration>,
        round_trip: Duration,
        longest: Duration,
    }

    impl Overlay {
        fn new(publishers: usize, takes: f64) -> Self {
            Self::with_lag(publishers, takes, 50)
        }

        /// What queues is known so many milliseconds later.
        fn with_lag(publishers: usize, takes: f64, lag: usize) -> Self {
            let now = Instant::now();
            let pacers = (0..publishers).map(|_| (Pacer::new(now), 0)).collect();
            let seen = std::iter::repeat_n(Duration::ZERO, lag).collect();
            let round_trip = MS * lag as u32 / HOPS;
            let (queued, taken, longest) = (0.0, 0.0, Duration::ZERO);
            Self { now, pacers, takes, queued, taken, seen, round_trip, longest }
        }

        fn run(&mut self, millis: u32) {
            (self.taken, self.longest) = (0.0, Duration::ZERO);
            for _ in 0..millis {
                self.now += MS;
                let delay = self.seen.pop_front().unwrap_or_default();
                let links = Links { delay, round_trip: self.round_trip };
                for (pacer, published) in &mut self.pacers {
                    while pacer.has_room(self.now, links) {
                        pacer.publish(self.now, SIZE);
                        *published += 1;
                        self.queued += 1.0;
                    }
                }
                let taken = self.queued.min(self.takes);
                self.queued -= taken;
                self.taken += taken;
                let delay = MS.mul_f64(self.queued / self.takes);
                self.longest = self.longest.max(delay);
                self.seen.push_back(delay);
            }
        }

        /// Of what it could take.
        fn share(&self, millis: u32) -> f64 {
            self.taken / (self.takes * f64::from(millis))
        }
    }

    #[tokio::test(start_paused = true)]
    async fn publishers_find_what_the_overlay_takes() {
        for publishers in [1, 2, 8, 64] {
            for takes in [1.0, 10.0, 100.0] {
                let mut overlay = Overlay::new(publishers, takes);
                overlay.run(30_000);
                let first = overlay.longest;
                overlay.run(30_000);
                let share = overlay.share(30_000);
                let said = format!(
                    "{publishers} publishers, {takes}/ms: {share:.2}, at first {first:?}, then {:?}",
                    overlay.longest
                );
                assert!(share > 0.8, "{said}");
                assert!(first < Duration::from_secs(3), "{said}");
                assert!(overlay.longest < Duration::from_millis(800), "{said}");
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn where_a_word_takes_long_it_doubles_more_rarely() {
        for lag in [200, 500, 1_000] {
            let mut overlay = Overlay::with_lag(1, 10.0, lag);
            overlay.run(30_000);
            assert!(overlay.longest < Duration::from_secs(6), "{lag}: {:?}", overlay.longest);
            overlay.run(30_000);
            assert!(overlay.share(30_000) > 0.6, "{lag}: {}", overlay.share(30_000));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_comes_later_gets_a_share() {
        let mut overlay = Overlay::new(4, 10.0);
        overlay.run(20_000);
        overlay.pacers.push((Pacer::new(overlay.now), 0));
        overlay.run(60_000);
        overlay.pacers.iter_mut().for_each(|(_, published)| *published = 0);
        overlay.run(20_000);
        let published: Vec<_> = overlay.pacers.iter().map(|(_, published)| *published).collect();
        let fair = published.iter().sum::<u64>() / 5;
        assert!(published.iter().all(|of| *of > fair / 4), "{published:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn an_overlay_that_takes_less_is_left_alone() {
        let mut overlay = Overlay::new(8, 20.0);
        overlay.run(20_000);
        overlay.takes = 1.0;
        overlay.run(10_000);
        assert!(overlay.longest < Duration::from_secs(15), "{:?}", overlay.longest);
        overlay.run(20_000);
        assert!(overlay.longest < Duration::from_secs(1), "{:?}", overlay.longest);
        overlay.takes = 20.0;
        overlay.run(20_000);
        overlay.run(10_000);
        assert!(overlay.share(10_000) > 0.8, "{}", overlay.share(10_000));
    }

    #[tokio::test(start_paused = true)]
    async fn few_full_outboxes_hold_nobody_up_for_long_and_most_do() {
        let now = Instant::now();
        let mut pacer = Pacer::new(now);
        assert!(pacer.fits(now, 0, 0) && pacer.fits(now, 3, 0));
        assert!(!pacer.fits(now, 4, 2) && !pacer.fits(now + FULL / 2, 4, 1));
        assert!(pacer.fits(now + FULL, 4, 2) && pacer.fits(now + 9 * FULL, 4, 1));
        assert!(!pacer.fits(now + 9 * FULL, 4, 3) && !pacer.fits(now + 9 * FULL, 1, 1));
        assert!(pacer.fits(now + 9 * FULL, 4, 0));
        assert!(!pacer.fits(now + 9 * FULL, 4, 1), "it was empty in between");
    }

    #[tokio::test(start_paused = true)]
    async fn a_little_may_always_be_said() {
        let mut now = Instant::now();
        let mut pacer = Pacer::new(now);
        let mut published = 0;
        for _ in 0..100_000 {
            now += MS;
            while pacer.has_room(now, late(Duration::from_secs(60))) {
                pacer.publish(now, SIZE);
                published += cost(SIZE);
            }
        }
        let second = published as f64 / 100.0;
        let one = cost(SIZE) as f64;
        assert!(one > LEAST && second > one * 0.9 && second < one * 1.1, "{second} a second");
    }

    #[tokio::test(start_paused = true)]
    async fn a_large_broadcast_holds_up_the_next_one_for_two_seconds_at_most() {
        for delay in [Duration::ZERO, CALM, Duration::from_secs(60)] {
            let mut now = Instant::now();
            let mut pacer = Pacer::new(now);
            // As fast as it can, and then something large while a queue shows.
            for _ in 0..1_000 {
                now += MS;
                while pacer.has_room(now, Links::default()) {
                    pacer.publish(now, SIZE);
                }
            }
            pacer.publish(now, 16 << 20);
            let since = now;
            while !pacer.has_room(now, late(delay)) {
                now = pacer.next();
            }
            let waited = now - since;
            // A second, and what is left of it is longer each time the rate is cut.
            assert!(waited <= Duration::from_secs(2), "{delay:?}: {waited:?}");
        }
    }
}
