//! Runs a workload: broadcasts, messages on channels, and lookups.

use std::time::Duration;

use murmurate::membership::Time;
use rand_distr::{Distribution, Exp1};
use rand_xoshiro::SplitMix64;
use serde::{Deserialize, Serialize};

use super::reach_log::ReachLog;
use super::routing::Routing;
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
    /// The sender, if it is always the same.
    sender: Option<usize>,
    /// The place of the channel that it sends on, if it does.
    channel: Option<usize>,
    /// The receiver of what it sends, or the node that it looks for.
    to: Option<To>,
}

/// How far a workload got.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Progress {
    rng: SplitMix64,
    sent: u32,
    due: Time,
    sender: Option<usize>,
}

impl Sending {
    /// How far it got.
    pub(super) fn progress(&self) -> Progress {
        let Self { rng, sent, due, sender, .. } = self;
        Progress { rng: rng.clone(), sent: *sent, due: *due, sender: *sender }
    }

    /// Goes on from there.
    pub(super) fn resume(&mut self, progress: Progress) {
        let Progress { rng, sent, due, sender } = progress;
        (self.rng, self.sent, self.due, self.sender) = (rng, sent, due, sender);
    }

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
            scenario.channels.iter().position(named)
        });
        let to = workload.send.as_ref().map(|send| send.to.clone());
        let to = to.or_else(|| workload.look_up.as_ref().map(|look_up| look_up.to.clone()));
        Self { workload: workload.clone(), rng, until, sent: 0, due, sender: None, channel, to }
    }

    /// Sends the next broadcast or message, or starts the next lookup, at `now`; the simulation may have
    /// gone past that a little. Returns when the next one is due, if there is one.
    pub(super) fn send<P: SimStack>(
        &mut self,
        now: Time,
        sim: &mut Simulation<P>,
        reach: &mut ReachLog,
        routing: &mut Routing<P>,
    ) -> Option<Time> {
        if self.workload.count.is_some_and(|count| self.sent >= count) {
            return None;
        }
        for index in self.senders(sim) {
            let bytes = self.workload.payload.0;
            if self.to.is_some() {
                let Some(to) = self.receiver(sim, index) else { continue };
                match (self.channel, &self.workload.look_up) {
                    (Some(channel), _) => drop(sim.send_on(channel, index, to, bytes as usize)),
                    (None, Some(look_up)) => {
                        routing.look_up(sim, index, to, look_up.relay.then_some(bytes));
                    }
                    (None, None) => {}
                }
                continue;
            }
            reach.note(sim, index);
            sim.publish_bytes(index, bytes);
        }
        self.sent += 1;
        let more = self.workload.count.is_none_or(|count| self.sent < count);
        let next = self.next(now);
        (more && next < self.until).then_some(next)
    }

    fn senders<P: SimStack>(&mut self, sim: &Simulation<P>) -> Vec<usize> {
        // Whom all messages are for sends none.
        let receiver = match &self.to {
            Some(To::Node(node)) => Some(*node as usize),
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

    /// The receiver of the next message of `from`.
    fn receiver<P: SimStack>(&mut self, sim: &Simulation<P>, from: usize) -> Option<usize> {
        match self.to.as_ref()? {
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
