//! Broadcasts, sent as a workload says.

use std::time::Duration;

use murmurate::membership::Time;
use rand_distr::{Distribution, Exp1};
use rand_xoshiro::SplitMix64;

use super::sides::Sides;
use crate::engine::{SimBroadcast, SimMembership, Simulation};
use crate::faults::{random_running, random_such};
use crate::scenario::{Pace, Sender, Span, Workload};

/// A workload, as far as it got.
#[derive(Debug)]
pub(super) struct Sending {
    workload: Workload,
    rng: SplitMix64,
    until: Time,
    sent: u32,
    /// When a Poisson process is due next.
    due: Time,
    /// The one who sends, where it is always the same.
    sender: Option<usize>,
}

impl Sending {
    pub(super) fn new(workload: &Workload, rng: SplitMix64, end: Span) -> Self {
        let until = Time::ZERO.after(workload.until.unwrap_or(end).0);
        let due = Time::ZERO.after(workload.from.0);
        Self { workload: workload.clone(), rng, until, sent: 0, due, sender: None }
    }

    /// Sends the next broadcast, or of all nodes one each. When the next is due, if there is one.
    pub(super) fn send<M: SimMembership, B: SimBroadcast>(
        &mut self,
        sim: &mut Simulation<M, B>,
        sides: &mut Sides,
    ) -> Option<Time> {
        if self.workload.count.is_some_and(|count| self.sent >= count) {
            return None;
        }
        for index in self.senders(sim) {
            sides.note(sim, index);
            sim.publish_bytes(index, self.workload.payload.0);
        }
        self.sent += 1;
        let more = self.workload.count.is_none_or(|count| self.sent < count);
        let next = self.next(sim.now());
        (more && next < self.until).then_some(next)
    }

    fn senders<M: SimMembership, B: SimBroadcast>(&mut self, sim: &Simulation<M, B>) -> Vec<usize> {
        let rng = &mut self.rng;
        let one = match &self.workload.sender {
            Sender::All => return sim.live_nodes().collect(),
            Sender::Random => random_running(sim, rng),
            Sender::One => {
                let present = self.sender.filter(|index| sim.is_live(*index));
                self.sender = present.or_else(|| random_running(sim, rng));
                self.sender
            }
            Sender::Node(index) => Some(*index as usize),
            Sender::Region(name) => {
                let placement = sim.network().placement();
                let region = placement.find(name);
                random_such(sim, rng, |index| Some(placement.of(index)) == region)
            }
        };
        one.into_iter().collect()
    }

    fn next(&mut self, now: Time) -> Time {
        match self.workload.pace {
            Pace::Pause(pause) => now.after(pause.0),
            Pace::Rate(rate) => {
                // From the beginning on, so that the borders of buckets do not add up.
                let passed = Duration::from_secs_f64(f64::from(self.sent) / rate);
                Time::ZERO.after(self.workload.from.0.saturating_add(passed))
            }
            Pace::Poisson(rate) => {
                let unit: f64 = Exp1.sample(&mut self.rng);
                self.due = self.due.after(Duration::from_secs_f64(unit / rate));
                self.due
            }
        }
    }
}
