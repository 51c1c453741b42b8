//! What one link carries, and how long that takes.

use std::time::Duration;

use tokio::time::Instant;

use super::{Shortest, cost};

/// A probe follows so much cost: on a quiet link hardly ever.
const PROBED: u64 = 8 << 10;
/// On a link where nothing queues, so much time lies between two probes, as an echo costs a packet:
/// less if it carried much.
const APART: Duration = Duration::from_millis(500);
const APART_MUCH: Duration = Duration::from_millis(100);
const MUCH: u64 = 32 << 10;
/// Below this nothing queues.
const CALM: Duration = Duration::from_millis(5);
/// How long a measured delay counts, and how long the first probe of a link may take.
const FRESH: Duration = Duration::from_secs(1);

/// One link's probes. One is under way at a time.
#[derive(Debug)]
pub(crate) struct Flow {
    /// Cost of the payloads since the last probe.
    pushed: u64,
    number: u32,
    /// When the probe under way was sent.
    sent: Option<Instant>,
    shortest: Shortest<Duration>,
    /// The last delay, and since when it is known.
    measured: Option<(Instant, Duration)>,
    /// What the peer said.
    told: Duration,
}

impl Flow {
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            pushed: 0,
            number: 0,
            sent: None,
            shortest: Shortest::new(now),
            measured: None,
            told: Duration::ZERO,
        }
    }

    /// Another connection takes over: no echo comes of what the last one carried.
    pub(crate) fn restart(&mut self, now: Instant) {
        *self = Self { number: self.number, ..Self::new(now) };
    }

    /// A payload of so many bytes was pushed.
    pub(crate) fn pushed(&mut self, bytes: usize) {
        self.pushed = self.pushed.saturating_add(cost(bytes));
    }

    /// The number of the probe to send now, if one is due.
    pub(crate) fn probe(&mut self, now: Instant) -> Option<u32> {
        let apart = if self.pushed < MUCH { APART } else { APART_MUCH };
        let is_early = |(since, delay): (Instant, Duration)| {
            delay.max(self.told) < CALM && now.duration_since(since) < apart
        };
        if self.sent.is_some() || self.pushed < PROBED || self.measured.is_some_and(is_early) {
            return None;
        }
        self.pushed = 0;
        self.number = self.number.wrapping_add(1);
        self.sent = Some(now);
        Some(self.number)
    }

    /// The peer echoes a probe, and says what delay it sees.
    pub(crate) fn echoed(&mut self, now: Instant, number: u32, told: Duration) {
        if number != self.number {
            return;
        }
        let Some(sent) = self.sent.take() else { return };
        let took = now.duration_since(sent);
        let shortest = self.shortest.note(now, took);
        self.measured = Some((now, took.saturating_sub(shortest)));
        self.told = told;
    }

    /// How long a probe and its echo take when nothing queues.
    pub(super) fn round_trip(&self) -> Option<Duration> {
        self.shortest.get()
    }

    /// How long payloads queue on this link, or behind it, if it carried any of late.
    pub(super) fn delay(&self, now: Instant) -> Option<Duration> {
        let fresh = self.measured.filter(|(since, _)| now.duration_since(*since) < FRESH);
        // Of what was told a little is forgotten at each link, or it would go round for ever.
        let measured = fresh.map(|(_, delay)| delay.max(self.told / 10 * 9));
        let shortest = self.shortest.get().unwrap_or(FRESH);
        let under_way = self.sent.map(|sent| now.duration_since(sent).saturating_sub(shortest));
        measured.max(under_way)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: fn(u64) -> Duration = Duration::from_millis;

    /// A link whose probes take so long.
    fn probed(flow: &mut Flow, now: &mut Instant, took: Duration, told: Duration) {
        flow.pushed(PROBED as usize);
        *now += APART;
        let number = flow.probe(*now).expect("it is due");
        *now += took;
        flow.echoed(*now, number, told);
    }

    #[tokio::test(start_paused = true)]
    async fn what_takes_longer_than_the_shortest_time_is_queueing() {
        let mut now = Instant::now();
        let mut flow = Flow::new(now);
        assert_eq!(flow.delay(now), None, "it carried nothing");
        probed(&mut flow, &mut now, MS(300), MS(0));
        assert_eq!(flow.delay(now), Some(MS(0)), "the path is as long as that");
        probed(&mut flow, &mut now, MS(340), MS(0));
        assert_eq!(flow.delay(now), Some(MS(40)));
        probed(&mut flow, &mut now, MS(310), MS(100));
        assert_eq!(flow.delay(now), Some(MS(90)), "it queues behind the peer");
        assert_eq!(flow.delay(now + FRESH), None, "that was long ago");
    }

    #[tokio::test(start_paused = true)]
    async fn a_probe_follows_much_and_shows_that_it_does_not_come_back() {
        let start = Instant::now();
        let mut flow = Flow::new(start);
        flow.pushed(PROBED as usize - 1_000);
        assert_eq!(flow.probe(start), None);
        flow.pushed(1_000);
        assert_eq!(flow.probe(start), Some(1));
        flow.pushed(1 << 20);
        assert_eq!(flow.probe(start), None, "one is under way");
        assert_eq!(flow.delay(start + FRESH), Some(MS(0)), "nobody knows how long the path is");
        assert_eq!(flow.delay(start + FRESH + MS(50)), Some(MS(50)));
        flow.echoed(start + MS(10), 2, MS(0));
        assert_eq!(flow.probe(start), None, "another number is no echo");
        flow.echoed(start + MS(10), 1, MS(0));
        assert_eq!(flow.probe(start + MS(109)), None, "nothing queues: there is time");
        assert_eq!(flow.probe(start + MS(110)), Some(2));
        flow.echoed(start + MS(120), 2, MS(0));
        flow.pushed(PROBED as usize);
        assert_eq!(flow.probe(start + MS(619)), None, "that was not much");
        assert_eq!(flow.probe(start + MS(620)), Some(3));
        flow.echoed(start + MS(630), 3, MS(0));
        let start = start + MS(620);
        flow.pushed(MUCH as usize);
        assert_eq!(flow.probe(start + MS(110)), Some(4));
        flow.echoed(start + MS(150), 3, MS(0));
        assert_eq!(flow.delay(start + MS(150)), Some(MS(30)), "the last one is still under way");
        flow.echoed(start + MS(150), 4, MS(0));
        flow.pushed(1 << 20);
        assert_eq!(flow.probe(start + MS(150)), Some(5), "something queues");
        flow.restart(start);
        assert_eq!(flow.delay(start + 9 * FRESH), None, "the connection it went by is gone");
        flow.pushed(1 << 20);
        assert_eq!(flow.probe(start), Some(6));
    }
}
