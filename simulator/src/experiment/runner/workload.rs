//! Broadcasts, and messages on channels, sent as a workload says.

use std::time::Duration;

use murmurate::membership::Time;
use rand_distr::{Distribution, Exp1};
use rand_xoshiro::SplitMix64;

use super::reach::Reach;
use crate::engine::{SimStack, Simulation};
use crate::experiment::faults::{random_running, random_such};
use crate::experiment::scenario::{Channel, Pace, Scenario, Sender, Span, To, Workload};

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
    /// The place of the channel that it sends on, if it does, and to whom.
    channel: Option<(usize, To)>,
}

impl Sending {
    pub(super) fn new(
        workload: &Workload,
        scenario: &Scenario,
        rng: SplitMix64,
        end: Span,
    ) -> Self {
        let until = Time::ZERO.after(workload.until.unwrap_or(end).0);
        let due = Time::ZERO.after(workload.from.0);
        let channel = workload.send.as_ref().and_then(|send| {
            let named = |channel: &Channel| channel.name == send.channel;
            Some((scenario.channels.iter().position(named)?, send.to.clone()))
        });
        Self { workload: workload.clone(), rng, until, sent: 0, due, sender: None, channel }
    }

    /// Sends the next broadcast or message, or of all nodes one each. When the next is due, if there is one.
    pub(super) fn send<P: SimStack>(
        &mut self,
        sim: &mut Simulation<P>,
        reach: &mut Reach,
    ) -> Option<Time> {
        if self.workload.count.is_some_and(|count| self.sent >= count) {
            return None;
        }
        for index in self.senders(sim) {
            let bytes = self.workload.payload.0;
            if let Some(channel) = self.channel.as_ref().map(|(channel, _)| *channel) {
                if let Some(to) = self.receiver(sim, index) {
                    sim.send_on(channel, index, to, bytes as usize);
                }
                continue;
            }
            reach.note(sim, index);
            sim.publish_bytes(index, bytes);
        }
        self.sent += 1;
        let more = self.workload.count.is_none_or(|count| self.sent < count);
        let next = self.next(sim.now());
        (more && next < self.until).then_some(next)
    }

    fn senders<P: SimStack>(&mut self, sim: &Simulation<P>) -> Vec<usize> {
        // Whom all messages are for sends none.
        let receiver = match &self.channel {
            Some((_, To::Node(node))) => Some(*node as usize),
            _ => None,
        };
        let other = |rng: &mut SplitMix64| match receiver {
            None => random_running(sim, rng),
            Some(receiver) => random_such(sim, rng, |index| index != receiver),
        };
        let rng = &mut self.rng;
        let one = match &self.workload.sender {
            Sender::All => {
                return sim.live_nodes().filter(|index| Some(*index) != receiver).collect();
            }
            Sender::Random => other(rng),
            Sender::One => {
                let present = self.sender.filter(|index| sim.is_live(*index));
                self.sender = present.or_else(|| other(rng));
                self.sender
            }
            Sender::Node(index) => Some(*index as usize),
            Sender::Region(name) => {
                let placement = sim.network().placement();
                let region = placement.find(name);
                random_such(sim, rng, |index| {
                    Some(placement.of(index)) == region && Some(index) != receiver
                })
            }
        };
        one.into_iter().collect()
    }

    /// Whom the next message of `from` is for.
    fn receiver<P: SimStack>(&mut self, sim: &Simulation<P>, from: usize) -> Option<usize> {
        match &self.channel.as_ref()?.1 {
            To::Node(index) => Some(*index as usize),
            To::Random => random_such(sim, &mut self.rng, |index| index != from),
            To::Region(name) => {
                let placement = sim.network().placement();
                let region = placement.find(name);
                let is_there = |index| Some(placement.of(index)) == region;
                random_such(sim, &mut self.rng, |index| index != from && is_there(index))
            }
        }
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
