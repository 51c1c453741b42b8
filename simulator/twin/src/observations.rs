//! What real nodes reported, and the figures that follow from it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use murmurate::membership::Time;
use murmurate_simulator::engine::lanes::{Tally, TallyWindow};
use murmurate_simulator::engine::stats::BroadcastStats;
use murmurate_simulator::experiment::runner::{Observed, ObservedReport};
use murmurate_simulator::experiment::scenario::{ChannelKind, Scenario};
use murmurate_simulator::observe::graph::Graph;

use crate::protocol::{MessageEnd, NodeMessage};

/// Microseconds between two moments for which counters are summed up: nodes report them as often.
const TICK: u64 = 250_000;

/// All that was observed. Times are microseconds since the run began.
#[derive(Debug, Default)]
pub(crate) struct Observations {
    incarnations: Vec<Incarnation>,
    /// By identity: which node has it.
    nodes: BTreeMap<String, usize>,
    sent: BTreeMap<u32, Sent>,
    deliveries: Vec<Delivery>,
    /// What was sent on channels, by number.
    messages: Vec<ChannelMessage>,
    /// What went wrong, and for which node.
    pub(crate) failures: Vec<String>,
}

/// One start of a node.
#[derive(Debug)]
struct Incarnation {
    index: usize,
    from: u64,
    until: u64,
    views: Vec<(u64, Vec<String>)>,
    counts: Vec<Counts>,
}

#[derive(Debug)]
struct Counts {
    at: u64,
    sent: BTreeMap<String, u64>,
    payloads: u64,
}

/// A broadcast.
#[derive(Debug)]
struct Sent {
    incarnation: usize,
    at: u64,
    bytes: u32,
    /// Incarnations that ran when it was published.
    eligible: BTreeSet<usize>,
}

#[derive(Debug)]
struct Delivery {
    id: u32,
    incarnation: usize,
    at: u64,
    took: u64,
    hops: u16,
}

/// A message on a channel.
#[derive(Debug)]
struct ChannelMessage {
    channel: usize,
    at: u64,
    /// The incarnations that took it, each time, and how long it took.
    taken: Vec<(usize, u64)>,
    /// What its sender learned, and when.
    end: Option<(MessageEnd, u64)>,
}

fn time(micros: u64) -> Time {
    Time::ZERO.after(Duration::from_micros(micros))
}

fn end(scenario: &Scenario) -> u64 {
    u64::try_from(scenario.duration.0.as_micros()).unwrap_or(u64::MAX)
}

fn micros(time: Time) -> u64 {
    time.as_nanos() / 1_000
}

impl Incarnation {
    fn goes_on(&self, at: u64) -> bool {
        self.from <= at && at < self.until
    }

    /// What it had counted by then.
    fn counts(&self, by: u64) -> Option<&Counts> {
        let reported = self.counts.partition_point(|counts| counts.at <= by);
        self.counts.get(reported.checked_sub(1)?)
    }

    /// Since when its view has held this node without a break.
    fn held_since(&self, other: &String, at: u64) -> u64 {
        let reported = self.views.partition_point(|(when, _)| *when <= at);
        let holds = |(_, view): &&(u64, Vec<String>)| view.contains(other);
        self.views[..reported].iter().rev().take_while(holds).last().map_or(at, |(when, _)| *when)
    }

    fn view(&self, at: u64) -> &[String] {
        let reported = self.views.partition_point(|(when, _)| *when <= at);
        reported.checked_sub(1).map_or(&[], |last| &self.views[last].1)
    }
}

impl Observations {
    /// A node starts. Returns the number of this incarnation.
    pub(crate) fn started(&mut self, index: usize, at: u64) -> usize {
        let (views, counts) = (Vec::new(), Vec::new());
        // A node that starts again has ended before, whatever its process did.
        for incarnation in
            self.incarnations.iter_mut().filter(|incarnation| incarnation.index == index)
        {
            incarnation.until = incarnation.until.min(at);
        }
        self.incarnations.push(Incarnation { index, from: at, until: u64::MAX, views, counts });
        self.incarnations.len() - 1
    }

    /// It ends.
    pub(crate) fn ended(&mut self, incarnation: usize, at: u64) {
        self.incarnations[incarnation].until = at;
    }

    /// It is told to broadcast.
    pub(crate) fn publishes(&mut self, incarnation: usize, id: u32, bytes: u32, at: u64) {
        let incarnations = self.incarnations.iter().enumerate();
        let eligible = incarnations
            .filter(|(_, incarnation)| incarnation.goes_on(at))
            .map(|(number, _)| number)
            .collect();
        self.sent.insert(id, Sent { incarnation, at, bytes, eligible });
    }

    /// A node is told to send a message on the channel in this place. Returns the number of the message.
    pub(crate) fn sends(&mut self, channel: usize, at: u64) -> u32 {
        self.messages.push(ChannelMessage { channel, at, taken: Vec::new(), end: None });
        (self.messages.len() - 1) as u32
    }

    /// It reports something.
    pub(crate) fn heard(&mut self, incarnation: usize, message: NodeMessage) {
        let index = self.incarnations[incarnation].index;
        match message {
            NodeMessage::Ready | NodeMessage::Flushed => {}
            NodeMessage::Started(id) => drop(self.nodes.insert(id, index)),
            NodeMessage::View { at, active } => {
                self.incarnations[incarnation].views.push((at, active));
            }
            NodeMessage::Published { id, at } => {
                self.sent.get_mut(&id).into_iter().for_each(|sent| sent.at = at);
            }
            NodeMessage::Delivered { id, at, took, hops } => {
                self.deliveries.push(Delivery { id, incarnation, at, took, hops });
            }
            NodeMessage::Taken { id, at: _, took } => {
                let message = self.messages.get_mut(id as usize);
                message.into_iter().for_each(|message| message.taken.push((incarnation, took)));
            }
            NodeMessage::Ended { id, at, end } => {
                let message = self.messages.get_mut(id as usize);
                message.into_iter().for_each(|message| message.end = Some((end, at)));
            }
            NodeMessage::Counted { at, sent, payloads } => {
                self.incarnations[incarnation].counts.push(Counts { at, sent, payloads });
            }
            NodeMessage::Failed(why) => self.failures.push(format!("node {index}: {why}")),
        }
    }

    /// Messages that all nodes sent, by kind.
    pub(crate) fn messages(&self, scenario: &Scenario) -> BTreeMap<String, u64> {
        let mut all = BTreeMap::new();
        for counts in
            self.incarnations.iter().filter_map(|incarnation| incarnation.counts(end(scenario)))
        {
            for (kind, count) in &counts.sent {
                *all.entry(kind.clone()).or_default() += count;
            }
        }
        all
    }

    pub(crate) fn report(&self, scenario: &Scenario) -> ObservedReport {
        let end = end(scenario);
        let ticks: Vec<u64> = (0..=end.div_ceil(TICK)).map(|tick| tick * TICK).collect();
        let sum = |at: u64, of: &dyn Fn(&Counts) -> u64| -> u64 {
            self.incarnations.iter().filter_map(|incarnation| incarnation.counts(at)).map(of).sum()
        };
        let sent = |counts: &Counts| counts.sent.values().sum();
        let messages = ticks.iter().map(|at| (time(*at), sum(*at, &sent))).collect();
        let payloads: Vec<u64> = ticks.iter().map(|at| sum(*at, &|c| c.payloads)).collect();
        let deliveries = self.deliveries(end);
        let taken = deliveries.iter().map(|d| (time(d.at), Duration::from_micros(d.took)));
        let observed = Observed {
            broadcasts: self.broadcasts(&deliveries, &payloads),
            deliveries: taken.collect(),
            messages,
            overlay: &|at| self.overlay(micros(at)),
            channels: &|window| self.tally(scenario, window),
        };
        observed.report(scenario)
    }

    /// What became of the messages on channels that this window sees.
    fn tally(&self, scenario: &Scenario, window: &TallyWindow) -> Tally {
        let mut tally = Tally::default();
        let is_seen =
            |message: &&ChannelMessage| window.sees(message.channel as u16, time(message.at));
        for message in self.messages.iter().filter(is_seen) {
            message.count(&mut tally, scenario.channels[message.channel].kind);
        }
        tally
    }

    /// The first delivery of each broadcast to each eligible node, before the end of the run.
    fn deliveries(&self, end: u64) -> Vec<&Delivery> {
        let mut counted = BTreeSet::new();
        let mut all: Vec<&Delivery> = self.deliveries.iter().filter(|d| d.at < end).collect();
        all.sort_by_key(|delivery| delivery.at);
        all.retain(|Delivery { id, incarnation, .. }| {
            let is_for = self.sent.get(id).is_some_and(|sent| sent.eligible.contains(incarnation));
            is_for && counted.insert((*id, *incarnation))
        });
        all
    }

    /// The figures of the broadcasts. Nodes count payloads, but not by broadcast. Payloads of a tick are
    /// attributed to the broadcasts published in the tick that began half a tick before, because payloads
    /// take a while and are reported later. If there are none, they are attributed to the previous ones.
    fn broadcasts(&self, deliveries: &[&Delivery], payloads: &[u64]) -> Vec<BroadcastStats> {
        let mut all: Vec<(u32, BroadcastStats)> =
            self.sent.iter().map(|(id, sent)| (*id, sent.broadcast())).collect();
        all.sort_by_key(|(_, broadcast)| broadcast.sent);
        let places: BTreeMap<u32, usize> =
            all.iter().enumerate().map(|(place, (id, _))| (*id, place)).collect();
        for Delivery { id, hops, .. } in deliveries {
            let Some(place) = places.get(id) else { continue };
            let broadcast = &mut all[*place].1;
            broadcast.delivered += 1;
            broadcast.last_hop = broadcast.last_hop.max(*hops);
        }
        let mut all: Vec<BroadcastStats> =
            all.into_iter().map(|(_, broadcast)| broadcast).collect();
        let mut shares = Vec::new();
        for (tick, pair) in payloads.windows(2).enumerate() {
            let before = |tick: u64| time((tick * TICK).saturating_sub(TICK / 2));
            let (from, until) = (before(tick as u64), before(tick as u64 + 1));
            let first = all.partition_point(|broadcast| broadcast.sent < from);
            let end = all.partition_point(|broadcast| broadcast.sent < until);
            let came = pair[1].saturating_sub(pair[0]);
            match shares.last_mut() {
                Some((_, share)) if first == end => *share += came,
                _ => shares.push((first..end, came)),
            }
        }
        for (group, came) in shares {
            share_out(&mut all[group], came);
        }
        all
    }

    /// The overlay of the running nodes at a moment, and the number of view entries that do not run.
    fn overlay(&self, at: u64) -> (Graph, usize) {
        let running: Vec<&Incarnation> =
            self.incarnations.iter().filter(|incarnation| incarnation.goes_on(at)).collect();
        let numbers: BTreeMap<usize, u32> = running
            .iter()
            .zip(0..)
            .map(|(incarnation, number)| (incarnation.index, number))
            .collect();
        let (mut arcs, mut dead) = (Vec::new(), 0);
        for incarnation in &running {
            for other in incarnation.view(at) {
                let number = self.nodes.get(other).and_then(|index| numbers.get(index));
                // It holds an earlier start of a node since before the present one.
                let is_stale =
                    |number: u32| running[number as usize].from > incarnation.held_since(other, at);
                match number.filter(|number| !is_stale(**number)) {
                    Some(number) => arcs.push((numbers[&incarnation.index], *number)),
                    None => dead += 1,
                }
            }
        }
        (Graph::from_arcs(running.len(), arcs.iter().copied()), dead)
    }
}

impl ChannelMessage {
    fn count(&self, tally: &mut Tally, kind: ChannelKind) {
        tally.messages += 1;
        for (place, (incarnation, took)) in self.taken.iter().enumerate() {
            let before = &self.taken[..place];
            match before.iter().any(|(other, _)| other == incarnation) {
                true => tally.duplicates += 1,
                false if place > 0 => tally.delivered_again += 1,
                false => {
                    tally.delivered += 1;
                    tally.latencies.saturating_record(*took);
                }
            }
        }
        let Some((end, at)) = self.end else { return };
        let known = match (end, kind) {
            (MessageEnd::Refused, _) => &mut tally.refused,
            (MessageEnd::Done, ChannelKind::Acknowledged) => &mut tally.acknowledged,
            (MessageEnd::Done, ChannelKind::Request) => &mut tally.answered,
            (MessageEnd::Done, ChannelKind::BestEffort | ChannelKind::Latest) => &mut tally.sent,
            (MessageEnd::Gone, _) => &mut tally.gone,
            (MessageEnd::TimedOut, _) => &mut tally.timed_out,
            (MessageEnd::Shed, _) => &mut tally.shed,
            (MessageEnd::Unreachable, _) => &mut tally.unreachable,
        };
        *known += 1;
        let is_told = matches!(kind, ChannelKind::Acknowledged | ChannelKind::Request);
        if end == MessageEnd::Done && is_told {
            tally.round_trips.saturating_record(at.saturating_sub(self.at));
        }
    }
}

impl Sent {
    /// As published: only the publisher has it.
    fn broadcast(&self) -> BroadcastStats {
        BroadcastStats {
            origin: self.incarnation,
            sent: time(self.at),
            payload_bytes: self.bytes,
            eligible: self.eligible.len() as u32,
            delivered: 1,
            payloads: 0,
            last_hop: 0,
        }
    }
}

/// Distributes payloads over broadcasts in proportion to their deliveries, so that the sum stays the same.
fn share_out(broadcasts: &mut [BroadcastStats], came: u64) {
    let all: u64 = broadcasts.iter().map(|b| u64::from(b.delivered) - 1).sum();
    let (mut taken, mut given) = (0, 0);
    for broadcast in broadcasts {
        taken += u64::from(broadcast.delivered) - 1;
        let until_here = (came * taken).checked_div(all).unwrap_or(0);
        broadcast.payloads = (until_here - given) as u32;
        given = until_here;
    }
}

#[cfg(test)]
mod tests {
    use murmurate_simulator::experiment::scenario::{Document, Span};

    use super::*;

    fn view(at: u64, active: &[&str]) -> NodeMessage {
        NodeMessage::View { at, active: active.iter().map(|id| (*id).to_owned()).collect() }
    }

    /// Three nodes in a line; the last one dies, and comes back without neighbours.
    fn observations() -> Observations {
        let mut observations = Observations::default();
        for (index, id) in ["a", "b", "c"].into_iter().enumerate() {
            let incarnation = observations.started(index, 0);
            observations.heard(incarnation, NodeMessage::Started(id.to_owned()));
        }
        observations.heard(0, view(10, &["b"]));
        observations.heard(1, view(10, &["a"]));
        observations.heard(1, view(20, &["a", "c"]));
        observations.heard(2, view(20, &["b"]));
        observations.ended(2, 1_000_000);
        observations.started(2, 2_000_000);
        observations
    }

    #[test]
    fn the_overlay_is_that_of_the_moment() {
        let observations = observations();
        let at = |at| {
            let (graph, dead) = observations.overlay(at);
            (graph.nodes(), graph.edges(), graph.asymmetric, dead)
        };
        assert_eq!(at(0), (3, 0, 0, 0));
        assert_eq!(at(15), (3, 1, 0, 0));
        assert_eq!(at(20), (3, 2, 0, 0));
        assert_eq!(at(1_500_000), (2, 1, 0, 1), "its neighbour holds it still");
        assert_eq!(at(2_500_000), (3, 1, 0, 1), "it is back, and who is held is its former start");
        let mut observations = observations;
        observations.heard(1, view(2_600_000, &["a"]));
        observations.heard(1, view(2_700_000, &["a", "c"]));
        let (graph, dead) = observations.overlay(2_800_000);
        assert_eq!((graph.edges(), graph.asymmetric, dead), (2, 1, 0), "held anew");
    }

    #[test]
    fn broadcasts_are_for_those_who_run() {
        let mut observations = observations();
        observations.publishes(0, 7, 100, 500_000);
        observations.publishes(0, 8, 100, 1_500_000);
        let delivered = |id, took| NodeMessage::Delivered { id, at: 1_600_000, took, hops: 2 };
        observations.heard(1, delivered(7, 10));
        observations.heard(1, delivered(8, 20));
        observations.heard(3, delivered(8, 30));
        let counts = |at, payloads| NodeMessage::Counted {
            at,
            sent: BTreeMap::from([("gossip".into(), 3)]),
            payloads,
        };
        observations.heard(1, counts(700_000, 1));
        observations.heard(1, counts(1_700_000, 4));
        let scenario = Scenario { duration: Span(Duration::from_secs(3)), ..Scenario::default() };
        let phases = observations.report(&scenario).phases;
        assert_eq!(phases[0].broadcasts, 2);
        // Two of three, and two of two: whoever came later does not count.
        let reliability = phases[0].reliability.expect("broadcasts");
        assert!((reliability - 5.0 / 6.0).abs() < 1e-9, "{reliability}");
        assert_eq!(phases[0].rmr, Some(1.0), "one payload for one delivery, and three for one");
        assert_eq!(observations.messages(&scenario), BTreeMap::from([("gossip".to_owned(), 3)]));
    }

    #[test]
    fn messages_on_channels_have_one_outcome_each() {
        let mut observations = observations();
        let ids: Vec<u32> = (0..5).map(|n| observations.sends(0, n * 100_000)).collect();
        let taken = |id: usize, took| NodeMessage::Taken { id: ids[id], at: 900_000, took };
        let ended = |id: usize, end| NodeMessage::Ended { id: ids[id], at: 900_000, end };
        for (incarnation, message) in [
            (1, taken(0, 10)),
            (0, ended(0, MessageEnd::Done)),
            (1, taken(1, 20)),
            (1, taken(1, 30)),
            (3, taken(1, 40)),
            (0, ended(1, MessageEnd::TimedOut)),
            (0, ended(2, MessageEnd::Refused)),
            (0, ended(3, MessageEnd::Gone)),
        ] {
            observations.heard(incarnation, message);
        }
        let channel = "channels = [{ name = 'a', kind = 'acknowledged' }]";
        let scenario = Document::parse("test", channel).expect("TOML").scenario().expect("right");
        let all = TallyWindow { channel: Some(0), from: Time::ZERO, until: time(1_000_000) };
        let tally = observations.tally(&scenario, &all);
        assert_eq!((tally.messages, tally.delivered, tally.open()), (5, 2, 1));
        assert_eq!((tally.duplicates, tally.delivered_again), (1, 1));
        assert_eq!((tally.acknowledged, tally.refused, tally.gone, tally.timed_out), (1, 1, 1, 1));
        assert_eq!(
            (tally.latencies.max(), tally.latencies.len(), tally.round_trips.len()),
            (20, 2, 1)
        );
        let few = TallyWindow { until: time(200_000), ..all };
        assert_eq!(observations.tally(&scenario, &few).messages, 2);
        assert_eq!(
            observations.tally(&scenario, &TallyWindow { channel: Some(1), ..all }).messages,
            0
        );
    }

    #[test]
    fn all_payloads_are_shared_out() {
        let broadcast = |delivered| BroadcastStats {
            delivered,
            ..Sent { incarnation: 0, at: 0, bytes: 0, eligible: BTreeSet::new() }.broadcast()
        };
        let mut three = [broadcast(4), broadcast(1), broadcast(5)];
        share_out(&mut three, 8);
        assert_eq!(three.map(|b| b.payloads), [3, 0, 5]);
    }
}
