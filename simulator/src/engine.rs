//! The simulation: nodes, the queue between them, and what one can do to them.

use std::cmp::Ordering;
use std::sync::Arc;

use murmurate::broadcast::Broadcast;
use murmurate::membership::{Membership, Sizes, Time};
use murmurate::{Input, Message, Timer};

use crate::host::{Event, Host, What};
use crate::machine::{Admission, Machine};
use crate::network::Network;
use crate::node::Peer;
use crate::regional::Regional;
use crate::stats::{self, Stats};
use crate::wheel::Wheel;

/// A strategy the simulator can run as membership.
pub trait SimMembership: Membership<Peer = Peer, Message: Clone> + Clone {}
impl<M: Membership<Peer = Peer, Message: Clone> + Clone> SimMembership for M {}

/// A strategy the simulator can run as broadcast: broadcasts are numbered, and their content is
/// only counted.
pub trait SimBroadcast:
    Broadcast<Peer = Peer, Id = u32, Payload = (), Message: Clone> + Clone
{
}
impl<B> SimBroadcast for B where
    B: Broadcast<Peer = Peer, Id = u32, Payload = (), Message: Clone> + Clone
{
}

/// Makes a node's protocols, given the peer and a seed of its own.
pub type Make<M, B> = Arc<dyn Fn(Peer, u64) -> murmurate::Peer<M, B> + Send + Sync>;

/// Encoded sizes for the byte counts: a peer is a 32-byte key, an 8-byte incarnation and an
/// address hint, a message id a peer's key and incarnation and a sequence number.
pub const SIZES: Sizes = Sizes { peer: 48, id: 48, payload: 1024 };

/// How wide a bucket of the queue is under this network, in nanoseconds: calls take effect at the
/// borders.
#[must_use]
pub fn bucket(network: &Network) -> u64 {
    1 << crate::wheel::shift(network.least_latency())
}

/// A deterministic run of any number of nodes.
///
/// Everything that happens follows from the seed and the calls made. Calls act at
/// [`Simulation::now`], which lies on the border between two buckets of the queue. A clone goes its
/// own way from here: build an overlay once, then try several fates on it.
#[derive(Clone)]
pub struct Simulation<M: SimMembership, B: SimBroadcast> {
    seed: u64,
    now: Time,
    nodes: Vec<Node<M, B>>,
    /// Which of them run.
    up: Vec<bool>,
    live: usize,
    wheel: Wheel<Event<M, B>>,
    network: Network,
    stats: Stats,
    make: Make<M, B>,
    batch: Vec<Event<M, B>>,
    soon: Vec<Event<M, B>>,
    deliveries: Option<DeliveryLog>,
}

#[derive(Clone)]
struct Node<M, B> {
    protocols: murmurate::Peer<M, B>,
    sequence: u32,
    /// Broadcasts published before this incarnation started.
    born: u32,
    /// What is peculiar about its machine; nothing, of most.
    machine: Option<Box<Machine>>,
}

impl<M: SimMembership, B: SimBroadcast> Node<M, B> {
    fn me(&self) -> Peer {
        self.protocols.membership().me()
    }
}

/// Which node delivered which broadcast, for the check that none does so twice.
#[derive(Debug, Clone, Default)]
pub(crate) struct DeliveryLog {
    delivered: Vec<Vec<Peer>>,
    pub(crate) twice: Option<(Peer, u32)>,
}

impl DeliveryLog {
    pub(crate) fn note(&mut self, peer: Peer, id: u32) {
        let id_at = id as usize;
        if self.delivered.len() <= id_at {
            self.delivered.resize(id_at + 1, Vec::new());
        }
        let peers = &mut self.delivered[id_at];
        match peers.binary_search(&peer) {
            Ok(_) => self.twice = Some((peer, id)),
            Err(at) => peers.insert(at, peer),
        }
    }
}

impl<M: SimMembership, B: SimBroadcast> Simulation<M, B> {
    /// A simulation without nodes.
    pub fn new(seed: u64, network: Network, make: Make<M, B>) -> Self {
        Self {
            seed,
            now: Time::ZERO,
            nodes: Vec::new(),
            up: Vec::new(),
            live: 0,
            wheel: Wheel::new(network.least_latency()),
            network,
            stats: Stats::new::<M::Message, B::Message>(),
            make,
            batch: Vec::new(),
            soon: Vec::new(),
            deliveries: None,
        }
    }

    /// From now on notes every delivery, so that [`Simulation::twice_delivered`] finds one made
    /// twice. Costs memory for each.
    pub fn log_deliveries(&mut self) {
        self.deliveries = Some(DeliveryLog::default());
    }

    /// A peer that delivered a broadcast twice, and the broadcast.
    pub fn twice_delivered(&self) -> Option<(Peer, u32)> {
        self.deliveries.as_ref().and_then(|log| log.twice)
    }

    /// Whether node `index` delivered broadcast `id` in its present incarnation, as far as
    /// deliveries are logged. Nobody delivers what it published itself.
    pub fn has_delivered(&self, index: usize, id: u32) -> bool {
        let log = self.deliveries.as_ref().and_then(|log| log.delivered.get(id as usize));
        self.peer(index).is_some_and(|peer| log.is_some_and(|l| l.binary_search(&peer).is_ok()))
    }

    /// The present, on the border of a bucket.
    pub fn now(&self) -> Time {
        self.now
    }

    /// How many nodes ever started.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether no node ever started.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// How many nodes are running.
    pub fn live(&self) -> usize {
        self.live
    }

    /// Whether node `index` is running.
    pub fn is_live(&self, index: usize) -> bool {
        self.up.get(index).copied().unwrap_or(false)
    }

    /// The indices of the running nodes.
    pub fn live_nodes(&self) -> impl Iterator<Item = usize> + Clone + '_ {
        self.up.iter().enumerate().filter(|(_, up)| **up).map(|(index, _)| index)
    }

    /// The protocols of node `index`, to look at.
    pub fn protocols(&self, index: usize) -> Option<&murmurate::Peer<M, B>> {
        self.nodes.get(index).map(|node| &node.protocols)
    }

    /// The name of node `index` in its present incarnation.
    pub fn peer(&self, index: usize) -> Option<Peer> {
        self.nodes.get(index).map(Node::me)
    }

    /// What was counted so far.
    pub fn stats(&self) -> &Stats {
        &self.stats
    }

    /// Forgets the delivery latencies recorded so far, so that a new phase has its own.
    pub fn clear_latencies(&mut self) {
        self.stats.clear_latencies();
    }

    /// The most events that were ever under way.
    pub fn peak_pending(&self) -> usize {
        self.wheel.peak()
    }

    /// From now on notes delivery latencies by region.
    pub fn watch_regions(&mut self, regional: Regional) {
        self.stats.regional = Some(Box::new(regional));
    }

    /// What was noted of the regions since it was last taken, if anything is.
    pub fn take_regions(&mut self) -> Option<Regional> {
        let regional = self.stats.regional.as_mut()?;
        let taken = regional.as_ref().clone();
        regional.clear();
        Some(taken)
    }

    /// The network.
    pub fn network(&self) -> &Network {
        &self.network
    }

    /// The network, to cut and to heal.
    pub fn network_mut(&mut self) -> &mut Network {
        &mut self.network
    }

    /// Starts a new node that joins through `contacts` (indices of nodes); the first has none.
    /// Returns its index, or `None` when [`Peer::MAX_NODES`] have started.
    pub fn start(&mut self, contacts: &[usize]) -> Option<usize> {
        let index = self.nodes.len();
        if index >= Peer::MAX_NODES {
            return None;
        }
        let me = Peer::new(index, 0);
        let protocols = (self.make)(me, self.node_seed(me));
        let born = self.stats.broadcasts.len() as u32;
        let machine = self.network.port().map(|port| Box::new(Machine::with(port)));
        self.nodes.push(Node { protocols, sequence: 0, born, machine });
        self.up.push(true);
        self.live += 1;
        self.join(index, contacts);
        Some(index)
    }

    /// Has node `index` join through `contacts`, in addition to those it knows.
    pub fn join(&mut self, index: usize, contacts: &[usize]) {
        let contacts = contacts.iter().filter_map(|&contact| self.peer(contact)).collect();
        self.tell(index, Input::Join(contacts));
    }

    /// Stops node `index` without a word. Whoever writes to it gets a reset.
    pub fn crash(&mut self, index: usize) {
        if self.is_live(index) {
            self.up[index] = false;
            self.live -= 1;
        }
    }

    /// Ends the process of node `index`: its host closes the connections, so that its neighbours
    /// hear of it although they have nothing to say.
    pub fn kill(&mut self, index: usize) {
        if !self.is_live(index) {
            return;
        }
        self.crash(index);
        let node = &self.nodes[index];
        let dead = node.me();
        let neighbors: Vec<Peer> = node.protocols.membership().active().collect();
        for neighbor in neighbors {
            self.reset(dead, neighbor, self.now.as_nanos());
        }
    }

    /// Has node `index` say goodbye and stop.
    pub fn leave(&mut self, index: usize) {
        self.tell(index, Input::Leave);
        self.crash(index);
    }

    /// Has node `index` say goodbye but keeps its process running.
    pub fn leave_and_stay(&mut self, index: usize) {
        self.tell(index, Input::Leave);
    }

    /// Starts node `index` again: a new incarnation that remembers nothing. Returns whether it did:
    /// a running node does not, nor one that was started [`Peer::MAX_INCARNATIONS`] times.
    pub fn restart(&mut self, index: usize, contacts: &[usize]) -> bool {
        if self.is_live(index) {
            return false;
        }
        let Some(node) = self.nodes.get(index) else { return false };
        let Some(incarnation) = node.me().incarnation().checked_add(1) else { return false };
        let me = Peer::new(index, incarnation);
        let protocols = (self.make)(me, self.node_seed(me));
        let born = self.stats.broadcasts.len() as u32;
        let node = &mut self.nodes[index];
        let (sequence, mut machine) = (node.sequence, node.machine.take());
        if let Some(machine) = &mut machine {
            machine.reboot(self.now.as_nanos());
        }
        *node = Node { protocols, sequence, born, machine };
        self.network.set_dark(index, false);
        self.up[index] = true;
        self.live += 1;
        self.join(index, contacts);
        true
    }

    /// Has node `index` publish a broadcast of 1 KiB; returns its id, or `None` if the node is not
    /// running.
    pub fn publish(&mut self, index: usize) -> Option<u32> {
        self.publish_bytes(index, SIZES.payload as u32)
    }

    /// As [`Simulation::publish`], with content of this size.
    pub fn publish_bytes(&mut self, index: usize, payload_bytes: u32) -> Option<u32> {
        if !self.is_live(index) {
            return None;
        }
        let id = u32::try_from(self.stats.broadcasts.len()).ok()?;
        self.stats.broadcasts.push(stats::Broadcast {
            origin: index,
            sent: self.now,
            payload_bytes,
            eligible: self.live as u32,
            delivered: 1,
            payloads: 0,
            last_hop: 0,
        });
        self.tell(index, Input::Publish { id, payload: () });
        Some(id)
    }

    /// Runs all buckets that start before `until`; then it is `until`, rounded up to a border.
    pub fn run_until(&mut self, until: Time) {
        self.run_watched(until, |_| {});
    }

    /// As [`Simulation::run_until`], and shows the simulation to `watch` after each bucket.
    pub fn run_watched(&mut self, until: Time, mut watch: impl FnMut(&Self)) {
        let width = self.wheel.width();
        let until = until.as_nanos().div_ceil(width).saturating_mul(width);
        let mut batch = std::mem::take(&mut self.batch);
        while let Some(start) = self.wheel.drain(until, &mut batch, |event| event.time) {
            self.run_bucket(&mut batch, start + width);
            self.now = Time::from_nanos(start + width);
            watch(self);
        }
        self.batch = batch;
        self.now = Time::from_nanos(until.max(self.now.as_nanos()));
    }

    /// Runs one bucket node by node: within a bucket no node can reach another.
    fn run_bucket(&mut self, batch: &mut Vec<Event<M, B>>, end: u64) {
        batch.sort_unstable_by_key(Event::key);
        let mut events = batch.drain(..).peekable();
        while let Some(mut event) = events.next() {
            let index = event.to.index();
            loop {
                self.run_event(event, end);
                let next = events.peek().filter(|next| next.to.index() == index);
                // What the node armed for itself within the bucket comes in its turn.
                let own = self.soon.last().is_some_and(|own| {
                    next.is_none_or(|next| own.key().cmp(&next.key()) == Ordering::Less)
                });
                event = match if own {
                    self.soon.pop()
                } else {
                    events.next_if(|e| e.to.index() == index)
                } {
                    Some(event) => event,
                    None => break,
                };
            }
        }
    }

    fn run_event(&mut self, event: Event<M, B>, end: u64) {
        let Event { time, from, to, what, .. } = event;
        if !self.up[to.index()] || self.nodes[to.index()].me() != to {
            if what.is_message() {
                self.reset(to, from, time);
            }
            return;
        }
        let Some(what) = self.admit(time, from, to, event.sequence, what, end) else { return };
        self.stats.events += 1;
        let (kind, input) = match what {
            What::Message(message) => {
                let kind = message.kind() as u64;
                if let Some(id) = message.carries() {
                    self.stats.broadcasts[id as usize].payloads += 1;
                }
                (kind, Input::Receive { from, message })
            }
            What::Timer(timer) => {
                self.stats.timers += 1;
                (0x100 + u64::from(matches!(timer, Timer::Broadcast(_))), Input::Expired(timer))
            }
            What::Reset => {
                self.stats.resets += 1;
                (0x200, Input::LinkDown(from))
            }
            // It was taken out of its box when it was admitted.
            What::Late(_) => return,
        };
        self.stats.note(time, from, to, event.sequence, kind);
        self.handle(to.index(), Time::from_nanos(time), end, input);
    }

    /// What a node's machine lets it handle now. What it gets to later comes again then.
    #[inline]
    fn admit(
        &mut self,
        time: u64,
        from: Peer,
        to: Peer,
        sequence: u32,
        what: What<M, B>,
        end: u64,
    ) -> Option<What<M, B>> {
        let Some(machine) = &mut self.nodes[to.index()].machine else { return Some(what) };
        let message = match what {
            What::Late(what) => {
                machine.resume();
                return Some(*what);
            }
            What::Message(ref message) => {
                Some((self.stats.wire_len(message) as u64, self.network.bandwidth()))
            }
            What::Timer(_) | What::Reset => None,
        };
        match machine.admit(time, message) {
            Admission::Now => return Some(what),
            Admission::Shed => self.stats.shed += 1,
            Admission::At(later) => {
                let what = What::Late(Box::new(what));
                let event = Event { time: later, from, to, sequence, what };
                event.queue(end, &mut self.wheel, &mut self.soon);
            }
        }
        None
    }

    /// A dead process's host answers with a reset, as TCP does.
    fn reset(&mut self, dead: Peer, to: Peer, time: u64) {
        let node = &mut self.nodes[dead.index()];
        node.sequence = node.sequence.wrapping_add(1);
        let sequence = node.sequence;
        if let Some(latency) = self.network.carry_reset(dead, to, sequence, time) {
            let time = time.saturating_add(latency);
            let event = Event { time, from: dead, to, sequence, what: What::Reset };
            self.wheel.push(time, event);
        }
    }

    /// Gives a running node an input at the present time, from outside.
    fn tell(&mut self, index: usize, input: Input<M, B>) {
        if self.is_live(index) {
            self.handle(index, self.now, 0, input);
        }
    }

    fn handle(&mut self, index: usize, now: Time, end: u64, input: Input<M, B>) {
        let node = &mut self.nodes[index];
        let machine = node.machine.as_deref_mut();
        let local = machine.as_ref().map_or(now, |machine| machine.clock.local(now));
        let mut host = Host {
            me: node.protocols.membership().me(),
            born: node.born,
            now,
            end,
            sequence: &mut node.sequence,
            wheel: &mut self.wheel,
            soon: &mut self.soon,
            network: &self.network,
            machine,
            stats: &mut self.stats,
            deliveries: self.deliveries.as_mut(),
        };
        node.protocols.handle(local, input, &mut host);
    }

    /// The machine of node `index`, to change it.
    pub(crate) fn machine_mut(&mut self, index: usize) -> Option<&mut Machine> {
        Some(self.nodes.get_mut(index)?.machine.get_or_insert_default())
    }

    /// Sets the timers of the nodes for which `is_struck` holds to other times: `retimed` says by
    /// how much later than now one goes off, given how much later it would.
    pub(crate) fn retime(
        &mut self,
        is_struck: impl Fn(usize) -> bool,
        retimed: impl Fn(usize, u64) -> u64,
    ) {
        let now = self.now.as_nanos();
        let is_timer = |event: &Event<M, B>| {
            matches!(event.what, What::Timer(_)) && is_struck(event.to.index())
        };
        for mut event in self.wheel.extract(is_timer) {
            let left = event.time.saturating_sub(now);
            event.time = now.saturating_add(retimed(event.to.index(), left));
            self.wheel.push(event.time, event);
        }
    }

    fn node_seed(&self, me: Peer) -> u64 {
        crate::network::mix(self.seed ^ u64::from(me.bits()).wrapping_mul(0xd134_2543_de82_ef95))
    }
}

/// A message between two simulated nodes.
pub(crate) type SimMessage<M, B> = Message<<M as Membership>::Message, <B as Broadcast>::Message>;
/// A timer of a simulated node.
pub(crate) type SimTimer<M, B> = Timer<<M as Membership>::Timer, <B as Broadcast>::Timer>;
