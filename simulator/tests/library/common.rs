//! What the defect scenarios share: simulations with the defaults, and one peer on a host for tests.
//! The scenario feeds it inputs by hand, late or out of order if it likes, and reads what it said.

use std::sync::Arc;
use std::time::Duration;

use murmurate::Stack;
use murmurate::broadcast::{Flood, Plumtree, plumtree};
use murmurate::membership::{DownReason, HyParView, Membership, hyparview};
use murmurate::stack::{Input, Message, Timer};
use murmurate::testing::{Effect, Host, Neighbors};
use murmurate_simulator::engine::stats::Stats;
use murmurate_simulator::engine::strategy::{self, Both};
use murmurate_simulator::model::network::{Latency, Network};
use murmurate_simulator::observe::{check, overlay};
use murmurate_simulator::{SimPeer, Simulation};

pub(crate) type Sim = Simulation<Both<hyparview::Parameters, plumtree::Parameters>>;
pub(crate) type ViewMessage = hyparview::Message<SimPeer>;
pub(crate) type TreeMessage = plumtree::Message<u32, ()>;

pub(crate) const CONTACTS: [usize; 3] = [0, 1, 2];

pub(crate) fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// The delivery latency that this share of all deliveries does not exceed.
pub(crate) fn latency_quantile(stats: &Stats, quantile: f64) -> Duration {
    Duration::from_micros(stats.latencies().value_at_quantile(quantile))
}

/// Node `index` in its first incarnation.
pub(crate) fn peer(index: usize) -> SimPeer {
    SimPeer::new(index, 0)
}

/// A simulation with default parameters, messages under way for 10 to 50 ms.
pub(crate) fn simulation(seed: u64, loss: f64) -> Sim {
    let latency = Latency::Uniform(Duration::from_millis(10), Duration::from_millis(50));
    simulation_of(seed, latency, loss, hyparview::Parameters::default())
}

pub(crate) fn simulation_of(
    seed: u64,
    latency: Latency,
    loss: f64,
    membership: hyparview::Parameters,
) -> Sim {
    let network = Network::new(seed, latency, loss).expect("valid network");
    let make = strategy::nodes(membership, plumtree::Parameters::default());
    let mut sim = Simulation::new(seed, network, make.expect("valid parameters"));
    sim.log_deliveries();
    sim
}

/// An overlay of `nodes` that joined one after the other and had half a minute to settle.
pub(crate) fn grown(nodes: usize, seed: u64) -> Sim {
    grown_of(nodes, simulation(seed, 0.0))
}

pub(crate) fn grown_of(nodes: usize, mut sim: Sim) -> Sim {
    for index in 0..nodes {
        sim.start(&CONTACTS[..index.min(CONTACTS.len())]);
        run(&mut sim, Duration::from_millis(20));
    }
    run(&mut sim, secs(30));
    quiet_within(&mut sim, secs(60), "a grown overlay");
    sim
}

pub(crate) fn run(sim: &mut Sim, time: Duration) {
    sim.run_until(sim.now().after(time));
    check::safety(sim).expect("safe at any time");
}

/// Runs until the overlay is whole, symmetric and free of the dead; panics if `limit` passes first.
pub(crate) fn quiet_within(sim: &mut Sim, limit: Duration, what: &str) {
    let end = sim.now().after(limit);
    loop {
        match check::quiescence(sim) {
            Ok(()) => return,
            Err(violation) if sim.now() >= end => panic!("{what}, {limit:?} on: {violation}"),
            Err(_) => run(sim, Duration::from_millis(100)),
        }
    }
}

pub(crate) fn components(sim: &Sim) -> usize {
    overlay::graph(sim).components().count
}

pub(crate) fn active(sim: &Sim, index: usize) -> Vec<SimPeer> {
    sorted(sim.stack(index).expect("a node").membership().active())
}

pub(crate) fn passive(sim: &Sim, index: usize) -> Vec<SimPeer> {
    sorted(sim.stack(index).expect("a node").membership().passive())
}

pub(crate) fn sorted(peers: impl Iterator<Item = SimPeer>) -> Vec<SimPeer> {
    let mut peers: Vec<SimPeer> = peers.collect();
    peers.sort_unstable();
    peers
}

/// Neighbours lost so far for this reason, over all nodes.
pub(crate) fn downs(sim: &Sim, reason: DownReason) -> u64 {
    sim.stats().neighbor_downs[reason as usize]
}

/// One HyParView and its host.
pub(crate) struct Member {
    pub(crate) host: Host<HyParView<SimPeer>, Flood<SimPeer, u32, ()>>,
    pub(crate) ups: Vec<SimPeer>,
    pub(crate) downs: Vec<(SimPeer, DownReason)>,
}

impl Member {
    /// Node `me`, joined through `contacts`; what it said to them is not kept.
    pub(crate) fn new(me: SimPeer, contacts: &[SimPeer]) -> Self {
        let config = Arc::new(hyparview::Config::default());
        let view = HyParView::new(me, config, 7 + me.index() as u64);
        let host = Host::new(Stack::new(view, Flood::new(Arc::default())));
        let mut member = Self { host, ups: Vec::new(), downs: Vec::new() };
        member.feed(Input::Join(contacts.to_vec()));
        member
    }

    /// Node 0 with nodes `1..=links` as neighbours, by link numbers 2, 4, 6…
    pub(crate) fn with_neighbors(links: usize) -> Self {
        let mut member = Self::new(peer(0), &[]);
        for index in 1..=links {
            let (link, priority) = (2 * index as u16, hyparview::Priority::High);
            member.hear(peer(index), ViewMessage::Neighbor { link, priority });
        }
        assert_eq!(member.view().active().len(), links);
        member
    }

    /// Takes one input and returns what was sent.
    pub(crate) fn feed(
        &mut self,
        input: Input<HyParView<SimPeer>, Flood<SimPeer, u32, ()>>,
    ) -> Vec<(SimPeer, ViewMessage)> {
        let mut sent = Vec::new();
        for effect in self.host.feed(input) {
            match effect {
                Effect::Send(to, Message::Membership(message)) => sent.push((to, message)),
                Effect::NeighborUp(peer) => self.ups.push(peer),
                Effect::NeighborDown(peer, reason) => self.downs.push((peer, reason)),
                _ => {}
            }
        }
        sent
    }

    pub(crate) fn view(&self) -> &HyParView<SimPeer> {
        self.host.stack().membership()
    }

    pub(crate) fn hear(
        &mut self,
        from: SimPeer,
        message: ViewMessage,
    ) -> Vec<(SimPeer, ViewMessage)> {
        self.feed(Input::Receive { from, message: Message::Membership(message) })
    }

    /// `after` passes, then `timer` is due.
    pub(crate) fn expire(
        &mut self,
        after: Duration,
        timer: hyparview::Timer,
    ) -> Vec<(SimPeer, ViewMessage)> {
        self.host.delay(after);
        self.feed(Input::Expired(Timer::Membership(timer)))
    }

    /// Tells of `peers` in the way gossip does; they end in the passive view.
    pub(crate) fn hear_of(
        &mut self,
        peers: impl Iterator<Item = SimPeer>,
    ) -> Vec<(SimPeer, ViewMessage)> {
        let from = self.view().active().next().expect("a neighbour");
        self.hear(from, ViewMessage::ShuffleReply { sample: peers.collect() })
    }

    pub(crate) fn holds(&self, peer: SimPeer) -> bool {
        self.view().active().any(|held| held == peer)
    }

    pub(crate) fn remembers(&self, peer: SimPeer) -> bool {
        self.view().passive().any(|held| held == peer)
    }
}

/// One Plumtree and its host.
pub(crate) struct Branch {
    pub(crate) host: Host<Neighbors<SimPeer>, Plumtree<SimPeer, u32, ()>>,
    pub(crate) delivered: Vec<(u32, u16)>,
}

impl Branch {
    /// With nodes 1 to `eager` as eager neighbours, and as many lazy ones after them as `lazy`.
    pub(crate) fn new(eager: usize, lazy: usize) -> Self {
        let optimising =
            plumtree::Parameters { optimization_threshold: Some(7), ..Default::default() };
        let config = Arc::new(optimising.check().expect("valid"));
        let stack = Stack::new(Neighbors::of(peer(0)), Plumtree::new(config));
        let mut branch = Self { host: Host::new(stack), delivered: Vec::new() };
        for index in 1..=eager + lazy {
            branch.up(peer(index));
            if index > eager {
                branch.hear(peer(index), TreeMessage::Prune);
            }
        }
        branch
    }

    pub(crate) fn tree(&self) -> &Plumtree<SimPeer, u32, ()> {
        self.host.stack().broadcast()
    }

    pub(crate) fn up(&mut self, neighbor: SimPeer) -> Vec<(SimPeer, TreeMessage)> {
        let effects = self.host.feed(Input::Join(vec![neighbor]));
        self.sent(effects)
    }

    pub(crate) fn down(&mut self, neighbor: SimPeer) -> Vec<(SimPeer, TreeMessage)> {
        let effects = self.host.feed(Input::LinkDown(neighbor));
        self.sent(effects)
    }

    pub(crate) fn publish(&mut self, id: u32) -> Vec<(SimPeer, TreeMessage)> {
        let effects = self.host.feed(Input::Publish { id, payload: () });
        self.sent(effects)
    }

    pub(crate) fn hear(
        &mut self,
        from: SimPeer,
        message: TreeMessage,
    ) -> Vec<(SimPeer, TreeMessage)> {
        let effects = self.host.receive(from, Message::Broadcast(message));
        self.sent(effects)
    }

    /// Lets the next armed timer expire; `None` if none is.
    pub(crate) fn expire_next(&mut self) -> Option<Vec<(SimPeer, TreeMessage)>> {
        let effects = self.host.expire_next()?;
        Some(self.sent(effects))
    }

    /// Lets time pass; what was sent meanwhile.
    pub(crate) fn pass(&mut self, time: Duration) -> Vec<(SimPeer, TreeMessage)> {
        let effects = self.host.pass(time);
        self.sent(effects)
    }

    fn sent(
        &mut self,
        effects: Vec<Effect<Neighbors<SimPeer>, Plumtree<SimPeer, u32, ()>>>,
    ) -> Vec<(SimPeer, TreeMessage)> {
        self.delivered.extend(effects.iter().filter_map(Effect::delivered));
        let sent = effects.into_iter().filter_map(Effect::sent);
        sent.filter_map(|(to, message)| match message {
            Message::Broadcast(message) => Some((to, message)),
            _ => None,
        })
        .collect()
    }
}

/// `id`, arrived over `round` links.
pub(crate) fn gossip(id: u32, round: u16) -> TreeMessage {
    TreeMessage::Gossip { id, round, payload: () }
}

/// `id`, fetched over `round` links.
pub(crate) fn repair(id: u32, round: u16) -> TreeMessage {
    TreeMessage::Repair { id, round, payload: () }
}

/// Announcements of `ids`, all `round` links away.
pub(crate) fn ihave(ids: impl Iterator<Item = u32>, round: u16) -> TreeMessage {
    TreeMessage::IHave(ids.map(|id| plumtree::Announcement { id, round }).collect())
}

/// The published schema, as another implementation of JSON Schema than ours reads it.
pub(crate) struct Published {
    schemas: boon::Schemas,
    index: boon::SchemaIndex,
}

impl Published {
    pub(crate) fn schema() -> Self {
        let (mut schemas, mut compiler) = (boon::Schemas::new(), boon::Compiler::new());
        let schema = murmurate_simulator::experiment::scenario::schema();
        compiler.add_resource("scenario.json", schema).expect("a resource");
        let index = compiler.compile("scenario.json", &mut schemas).expect("a schema");
        Self { schemas, index }
    }

    /// What is wrong with a scenario. Nothing if it is valid.
    pub(crate) fn errors_of(&self, scenario: &toml::Table) -> String {
        let json = serde_json::to_value(scenario).expect("JSON");
        let valid = self.schemas.validate(&json, self.index);
        valid.err().map(|errors| format!("{errors:#}")).unwrap_or_default()
    }
}
