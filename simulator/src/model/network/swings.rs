//! Links that take longer for a while, or again and again.

use std::time::Duration;

use murmurate::membership::{Time, nanos};

use super::{Placement, Side};
use crate::model::node::SimPeer;

/// By how much links get slower, and when: a trapezoid over time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Swing {
    /// When it begins.
    pub from: Time,
    /// How many times as long as otherwise messages take in between, 1 at least.
    pub times: f64,
    /// It grows for so long, and shrinks for so long in the end.
    pub over: Duration,
    /// How long it lasts, with both; without it for ever.
    pub lasting: Option<Duration>,
    /// It comes again each time that so much has passed since it began.
    pub every: Option<Duration>,
}

impl Swing {
    /// How many times as long a message takes that leaves at this time.
    fn at(&self, now: u64) -> f64 {
        let Some(since) = now.checked_sub(self.from.as_nanos()) else { return 1.0 };
        let since = match self.every {
            Some(every) => since % nanos(every).max(1),
            None => since,
        };
        let left = match self.lasting.map(nanos) {
            Some(lasting) if since >= lasting => return 1.0,
            Some(lasting) => lasting - since,
            None => u64::MAX,
        };
        let over = nanos(self.over);
        let near = since.min(left);
        let height = if near >= over { 1.0 } else { near as f64 / over as f64 };
        1.0 + (self.times.max(1.0) - 1.0) * height
    }
}

/// The links that do now.
#[derive(Debug, Clone, Default)]
pub(super) struct Swings(Vec<Swinging>);

#[derive(Debug, Clone)]
struct Swinging {
    number: u32,
    who: Side,
    to: Option<Side>,
    swing: Swing,
}

impl Swings {
    pub(super) fn add(&mut self, number: u32, who: Side, to: Option<Side>, swing: Swing) {
        self.0.push(Swinging { number, who, to, swing });
    }

    pub(super) fn end(&mut self, number: u32) {
        self.0.retain(|link| link.number != number);
    }

    /// What a latency comes to that is so long otherwise: never less.
    #[inline]
    pub(super) fn lengthen(
        &self,
        latency: u64,
        (from, to): (SimPeer, SimPeer),
        now: u64,
        placement: &Placement,
    ) -> u64 {
        self.0.iter().filter(|links| links.takes(from, to, placement)).fold(latency, |time, d| {
            let times = d.swing.at(now);
            if times > 1.0 { (time as f64 * times) as u64 } else { time }
        })
    }
}

impl Swinging {
    /// Whether a link is one of those.
    fn takes(&self, from: SimPeer, to: SimPeer, placement: &Placement) -> bool {
        let (there, back) = (self.who.has(from, placement), self.who.has(to, placement));
        match &self.to {
            None => there || back,
            Some(side) => there && side.has(to, placement) || back && side.has(from, placement),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_grows_stays_and_shrinks_and_comes_again() {
        let secs = Duration::from_secs;
        let swing = Swing {
            from: Time::ZERO.after(secs(100)),
            times: 3.0,
            over: secs(10),
            lasting: Some(secs(40)),
            every: None,
        };
        let at = |swing: &Swing, second: f64| swing.at((second * 1e9) as u64);
        for (second, times) in [
            (0.0, 1.0),
            (100.0, 1.0),
            (105.0, 2.0),
            (110.0, 3.0),
            (129.0, 3.0),
            (137.5, 1.5),
            (140.0, 1.0),
            (205.0, 1.0),
        ] {
            assert_eq!(at(&swing, second), times, "at {second} s");
        }
        let again = Swing { every: Some(secs(100)), ..swing };
        assert_eq!([205.0, 210.0, 250.0, 337.5].map(|s| at(&again, s)), [2.0, 3.0, 1.0, 1.5]);
        let for_ever = Swing { over: Duration::ZERO, lasting: None, ..swing };
        assert_eq!([99.9, 100.0, 1e6].map(|s| at(&for_ever, s)), [1.0, 3.0, 3.0]);
    }
}
