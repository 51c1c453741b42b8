//! A few nodes with lanes between them, and what happens to them.

use std::time::Duration;

use murmurate::broadcast::flood;
use murmurate::channel::{Acknowledged, BestEffort, Kind, LaneLimits, Latest, Outcome, Request};
use murmurate::membership::{Time, Violation, full_mesh};
use murmurate_simulator::engine::lanes::{
    ChannelConfig, ChannelMessage, ChannelPromises, MessageEvent,
};
use murmurate_simulator::engine::strategy;
use murmurate_simulator::model::network::{Latency, LinkModel, Network};
use murmurate_simulator::{SimPeer, Simulation};

/// The kinds that come with the crate.
pub(crate) const KINDS: [&str; 4] = ["best-effort", "acknowledged", "latest", "request"];
pub(crate) const BEST_EFFORT: usize = 0;
pub(crate) const ACKNOWLEDGED: usize = 1;
pub(crate) const LATEST: usize = 2;
pub(crate) const REQUEST: usize = 3;

/// What the network does to words.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Conditions {
    /// The shortest and the longest way.
    pub(crate) latency: (Duration, Duration),
    /// The share of words that are lost: for good on a relay.
    pub(crate) loss: f64,
    /// The share that a relay brings twice.
    pub(crate) copies: f64,
    /// The share of paths that are relays.
    pub(crate) relays: f64,
}

/// What the applications do.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Habits {
    /// Frames that the receiving host leaves unread on a stream.
    pub(crate) unread: usize,
    /// Messages that an application works on at a time.
    pub(crate) at_once: usize,
    /// The longest that it works on one.
    pub(crate) work: Duration,
    /// A message that does not fit takes the place of the oldest that was not sent.
    pub(crate) sheds: bool,
}

type Sim = Simulation<strategy::Both<full_mesh::Parameters, flood::Parameters>>;

/// Nodes with a channel of each kind, and the lanes on which something is sent.
pub(crate) struct World {
    sim: Sim,
    conditions: Conditions,
    /// Between which nodes.
    lanes: Vec<(usize, usize)>,
}

fn channel(
    kind: usize,
    limits: LaneLimits,
    conditions: Conditions,
    habits: Habits,
) -> ChannelConfig {
    let (kind, promises): (std::sync::Arc<dyn Kind>, _) = match kind {
        BEST_EFFORT if conditions.relays > 0.0 => {
            (std::sync::Arc::new(BestEffort), ChannelPromises::BEST_EFFORT_RELAYED)
        }
        BEST_EFFORT => (std::sync::Arc::new(BestEffort), ChannelPromises::BEST_EFFORT),
        ACKNOWLEDGED => (std::sync::Arc::new(Acknowledged), ChannelPromises::ACKNOWLEDGED),
        LATEST => (std::sync::Arc::new(Latest), ChannelPromises::LATEST),
        _ => (std::sync::Arc::new(Request), ChannelPromises::REQUEST),
    };
    ChannelConfig {
        name: kind.name().to_owned(),
        kind,
        promises,
        limits,
        answer: 100,
        relayed: conditions.relays,
        window: habits.unread,
        work: habits.work,
        at_once: habits.at_once,
        sheds: habits.sheds,
    }
}

impl World {
    pub(crate) fn new(
        seed: u64,
        nodes: usize,
        limits: LaneLimits,
        conditions: Conditions,
        habits: Habits,
    ) -> Self {
        let (least, most) = conditions.latency;
        let network = Network::new(seed, Latency::Uniform(least, most), conditions.loss);
        let links = LinkModel { duplicate: conditions.copies, fifo: false, ..LinkModel::default() };
        let network = network.and_then(|network| network.with(&links)).expect("valid");
        let make = strategy::nodes(full_mesh::Parameters::default(), flood::Parameters::default());
        let make = make.expect("defaults");
        let mut sim = Simulation::new(seed, network, make);
        for _ in 0..nodes {
            sim.start(&[]);
        }
        let channels: Vec<_> =
            (0..KINDS.len()).map(|kind| channel(kind, limits, conditions, habits)).collect();
        sim.open_channels(&channels, &[]);
        sim.keep_channel_messages();
        Self { sim, conditions, lanes: Vec::new() }
    }

    /// Something will be sent from one node to another.
    pub(crate) fn lane(&mut self, from: usize, to: usize) {
        if !self.lanes.contains(&(from, to)) {
            self.lanes.push((from, to));
        }
    }

    pub(crate) fn lanes(&self) -> usize {
        self.lanes.len()
    }

    pub(crate) fn now(&self) -> Time {
        self.sim.now()
    }

    pub(crate) fn digest(&self) -> u64 {
        self.sim.stats().digest
    }

    fn peer(&self, node: usize) -> SimPeer {
        self.sim.peer(node).expect("it runs")
    }

    /// Pushes a message on a lane of a kind. Its name, if there was room.
    pub(crate) fn push(
        &mut self,
        kind: usize,
        lane: usize,
        bytes: usize,
    ) -> Option<ChannelMessage> {
        let (from, to) = self.lanes[lane];
        let sender = self.peer(from);
        let before = self.sim.channel_sent(kind, sender, to);
        self.sim.send_on(kind, from, to, bytes);
        let is_taken = self.sim.channel_sent(kind, sender, to) > before;
        is_taken.then_some((kind as u16, sender, to as u32, before))
    }

    /// The process of a node ends and starts again.
    pub(crate) fn restart(&mut self, node: usize) {
        self.sim.kill(node);
        self.sim.restart(node, &[]);
    }

    pub(crate) fn break_stream(&mut self, lane: usize) {
        let (from, to) = self.lanes[lane];
        self.sim.break_streams(from, to);
    }

    pub(crate) fn switch(&mut self, lane: usize) {
        let (from, to) = self.lanes[lane];
        self.sim.switch_paths(from, to);
    }

    pub(crate) fn forget(&mut self, lane: usize) {
        self.sim.forget_lanes(self.lanes[lane].1);
    }

    /// Nothing gets to a node any more, nor from it unless it is `one_way`.
    pub(crate) fn cut(&mut self, to: usize, one_way: bool) {
        let nodes = self.sim.len();
        self.sim.network_mut().cut(nodes, |index| index == to, one_way);
    }

    pub(crate) fn heal(&mut self) {
        self.sim.network_mut().heal();
    }

    pub(crate) fn set_loss(&mut self, loss: f64) {
        self.sim.network_mut().set_loss(loss).expect("a share");
    }

    /// The faults of the network end.
    pub(crate) fn calm(&mut self) {
        self.heal();
        self.sim.network_mut().calm();
    }

    pub(crate) fn stop_taking(&mut self, node: usize, stops: bool) {
        self.sim.stop_taking(node, stops);
    }

    /// Lets time pass.
    pub(crate) fn run_until(&mut self, end: Time) -> Result<(), Violation> {
        self.sim.run_until(end);
        self.sim.check_channels()
    }

    pub(crate) fn messages(
        &self,
    ) -> impl Iterator<Item = (ChannelMessage, Vec<MessageEvent>)> + use<> {
        self.sim.channel_messages().into_iter()
    }

    pub(crate) fn happened(&self, message: ChannelMessage) -> Vec<MessageEvent> {
        self.sim.channel_messages().remove(&message).unwrap_or_default()
    }

    /// What the sender of a message was told.
    pub(crate) fn outcome(&self, message: ChannelMessage) -> Option<Outcome> {
        outcome(&self.happened(message))
    }

    /// Every message of a start that still runs has an outcome.
    pub(crate) fn is_complete(&self) -> Result<(), Violation> {
        let is_current = |message: &ChannelMessage| self.peer(message.1.index()) == message.1;
        let mut all = self.messages().filter(|(message, _)| is_current(message));
        let open = all.find(|(_, happened)| outcome(happened).is_none());
        Violation::unless(open.is_none(), "every message has an outcome in the end", || {
            format!("{open:?}")
        })
    }

    /// Whether the start of the receiver that runs now took a message.
    pub(crate) fn is_taken_now(&self, message: ChannelMessage) -> bool {
        let now = self.peer(message.2 as usize);
        self.happened(message).contains(&MessageEvent::Taken(now))
    }

    pub(crate) fn retransmitted(&self, kind: usize) -> u64 {
        self.sim.channel_tallies().0[kind].retransmitted
    }

    pub(crate) fn conditions(&self) -> Conditions {
        self.conditions
    }
}

pub(crate) fn outcome(happened: &[MessageEvent]) -> Option<Outcome> {
    happened.iter().find_map(|what| match what {
        MessageEvent::Ended(outcome) => Some(outcome.clone()),
        _ => None,
    })
}

pub(crate) fn is_well(outcome: Option<&Outcome>) -> bool {
    matches!(outcome, Some(Outcome::Sent | Outcome::Delivered | Outcome::Answered(_)))
}
