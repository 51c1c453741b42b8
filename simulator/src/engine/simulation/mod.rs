//! The simulation: nodes, the event queue, and operations on the nodes.

mod census;
mod control;
mod figures;
mod journaling;
mod saved;
mod services;
mod testing;

pub use census::Census;

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::sync::Arc;

use murmurate::membership::{Membership as _, Time, Violation, Wire};
use murmurate::stack::Input;

use crate::engine::deliveries::{DeliveryLog, Joined};
use crate::engine::event::What;
use crate::engine::journal::{Journal, Operation};
use crate::engine::lanes::{self, Act, Audit, ChannelConfig, Lanes, Tally, TallyWindow};
use crate::engine::shard::Node;
use crate::engine::shards::Shards;
use crate::engine::stats::{self, SIZES, Stats};
use crate::engine::strategy::{
    EventOf, IdOf, InputOf, Make, MessageOfService, PayloadOf, SimPayload as _, SimStack, StackOf,
    Watched as _, WatchedBroadcast as _,
};
use crate::engine::watch::{EventKind, Events, Filter, Load, Record, in_order};
use crate::model::eclipse::Eclipse;
use crate::model::id::SimId as _;
use crate::model::machine::Machine;
use crate::model::network::Network;
use crate::model::node::SimPeer;
use crate::model::regional::Regional;

/// How wide a bucket of the queue is under this network, in nanoseconds: calls take effect at the
/// borders.
#[must_use]
pub fn bucket(network: &Network) -> u64 {
    1 << crate::engine::wheel::shift(network.least_latency())
}

/// The names of all kinds of messages that nodes say, as they are counted.
fn kinds<P: SimStack>(node: &StackOf<P>) -> Vec<&'static str> {
    let service = <MessageOfService<P> as Wire>::KINDS;
    [node.membership().kinds(), node.broadcast().kinds(), service.to_vec()].concat()
}

/// A deterministic run of any number of nodes.
///
/// Everything that happens follows from the seed and the calls made, on any number of threads. Calls take
/// effect at [`Simulation::now`], which lies on the border between two buckets of the queue. A clone is
/// independent from then on: you can build an overlay once and try several things on it.
#[derive(Clone)]
pub struct Simulation<P: SimStack> {
    seed: u64,
    now: Time,
    shards: Shards<P>,
    len: usize,
    live: usize,
    census: Vec<Census>,
    network: Arc<Network>,
    make: Make<P>,
    /// The publisher of each broadcast, and the number of broadcasts of each publisher.
    publishers: Vec<SimPeer>,
    sequences: BTreeMap<SimPeer, u32>,
    /// Events of services that were not taken yet.
    events: Vec<(Time, SimPeer, EventOf<P>)>,
    out_of_incarnations: Option<usize>,
    /// Who attacks, if anybody does.
    eclipse: Option<Arc<Eclipse>>,
    journal: Option<Journal>,
    /// The network may have changed since the last entry.
    network_touched: bool,
}

impl<P: SimStack> Simulation<P> {
    /// A simulation without nodes, on one thread.
    pub fn new(seed: u64, network: Network, make: Make<P>) -> Self {
        Self::on_threads(NonZeroUsize::MIN, seed, network, make)
    }

    /// A simulation without nodes that runs on `threads` threads, the caller's included. What
    /// happens in it is the same for any number.
    pub fn on_threads(threads: NonZeroUsize, seed: u64, network: Network, make: Make<P>) -> Self {
        let mut shards = Shards::new(threads, network.least_latency());
        shards.lay_lines(&network);
        // The names are those that any node has.
        let kinds = kinds::<P>(make(SimPeer::new(0, 0), seed).stack());
        shards.all_mut().iter_mut().for_each(|shard| shard.common.stats.name_kinds(&kinds));
        Self {
            seed,
            now: Time::ZERO,
            shards,
            len: 0,
            live: 0,
            census: Census::of(&network),
            network: Arc::new(network),
            make,
            publishers: Vec::new(),
            sequences: BTreeMap::new(),
            events: Vec::new(),
            out_of_incarnations: None,
            eclipse: None,
            journal: None,
            network_touched: false,
        }
    }

    /// From now on logs every delivery, for [`Simulation::twice_delivered`] and
    /// [`Simulation::has_delivered`]. Costs a bit for each node and broadcast.
    pub fn log_deliveries(&mut self) {
        for shard in self.shards.all_mut() {
            shard.common.deliveries = Some(DeliveryLog::default());
        }
    }

    /// A peer that delivered a broadcast twice, and the broadcast.
    pub fn twice_delivered(&self) -> Option<(SimPeer, u32)> {
        let logs = self.shards.all().iter().filter_map(|shard| shard.common.deliveries.as_ref());
        logs.filter_map(DeliveryLog::twice).min().map(|(id, peer)| (peer, id))
    }

    /// Whether node `index` delivered broadcast `id` in its present incarnation. Deliveries must be logged.
    /// A node does not deliver its own broadcasts.
    pub fn has_delivered(&self, index: usize, id: u32) -> bool {
        self.shards.of(index).has_delivered(index, id)
    }

    /// Who published each broadcast of the run.
    pub(crate) fn publishers(&self) -> &[SimPeer] {
        &self.publishers
    }

    /// From now on notes when nodes join, for [`check::agreement`](crate::observe::check::agreement).
    pub fn log_joins(&mut self) {
        for shard in self.shards.all_mut() {
            shard.common.deliveries.get_or_insert_default().log_joins();
        }
    }

    /// When node `index` had its first neighbour, in its present incarnation.
    pub(crate) fn joined(&self, index: usize) -> Option<Joined> {
        let log = self.shards.of(index).common.deliveries.as_ref()?;
        log.joined(self.peer(index)?)
    }

    /// How many broadcasts of this publisher node `index` was told it will never get, in its present
    /// incarnation, as far as deliveries are logged.
    pub(crate) fn has_missed(&self, index: usize, publisher: SimPeer) -> u64 {
        let log = self.shards.of(index).common.deliveries.as_ref();
        log.zip(self.peer(index)).map_or(0, |(log, me)| log.has_missed(me, publisher))
    }

    /// How many broadcasts were published.
    pub fn published(&self) -> usize {
        self.shards.published()
    }

    /// The present, on the border of a bucket.
    pub fn now(&self) -> Time {
        self.now
    }

    /// How many nodes ever started.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether no node ever started.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// How many nodes are running.
    pub fn live(&self) -> usize {
        self.live
    }

    /// Whether node `index` is running.
    pub fn is_live(&self, index: usize) -> bool {
        self.shards.of(index).is_up(index)
    }

    /// The indices of the running nodes.
    pub fn live_nodes(&self) -> impl Iterator<Item = usize> + Clone + '_ {
        (0..self.len).filter(|index| self.is_live(*index))
    }

    /// The stack of node `index`, to look at.
    pub fn stack(&self, index: usize) -> Option<&StackOf<P>> {
        self.node(index).map(|node| node.stack.stack())
    }

    /// The name of node `index` in its present incarnation.
    pub fn peer(&self, index: usize) -> Option<SimPeer> {
        self.node(index).map(Node::me)
    }

    fn node(&self, index: usize) -> Option<&Node<P>> {
        self.shards.of(index).node(index)
    }

    /// What was counted so far.
    pub fn stats(&self) -> &Stats {
        self.shards.stats()
    }

    /// Forgets the delivery latencies recorded so far, so that a new phase has its own.
    pub fn clear_latencies(&mut self) {
        self.shards.all_mut().iter_mut().for_each(|shard| shard.common.stats.clear_latencies());
    }

    /// The most events that were ever under way.
    pub fn peak_pending(&self) -> usize {
        self.shards.peak_pending()
    }

    /// From now on notes delivery latencies by region.
    pub fn watch_regions(&mut self, regional: &Regional) {
        for shard in self.shards.all_mut() {
            shard.common.regional = Some(Box::new(regional.clone()));
        }
    }

    /// What was noted of the regions since it was last taken, if anything is.
    pub fn take_regions(&mut self) -> Option<Regional> {
        let mut shards =
            self.shards.all_mut().iter_mut().filter_map(|shard| shard.common.regional.as_mut());
        let first = shards.next()?;
        let mut taken = first.as_ref().clone();
        first.clear();
        for regional in shards {
            taken.merge(regional);
            regional.clear();
        }
        Some(taken)
    }

    /// From now on counts each node's messages: what it has to carry.
    pub fn watch_loads(&mut self) {
        for shard in self.shards.all_mut() {
            shard.common.watch.get_or_insert_default().loads.get_or_insert_default();
        }
    }

    /// The messages of node `index` since they are counted; `None` if they are not.
    pub fn load(&self, index: usize) -> Option<Load> {
        self.shards.of(index).load(index)
    }

    /// From now on records the events that the filter lets through. They take memory until they are
    /// taken.
    pub fn watch_events(&mut self, filter: &Filter) {
        for shard in self.shards.all_mut() {
            let events = Events { filter: filter.clone(), records: Vec::new() };
            shard.common.watch.get_or_insert_default().events = Some(Box::new(events));
        }
    }

    /// The events recorded since they were last taken: by time, then node.
    pub fn take_records(&mut self) -> Vec<Record> {
        let watches =
            self.shards.all_mut().iter_mut().filter_map(|shard| shard.common.watch.as_mut());
        in_order(watches.flat_map(|watch| watch.take_records()).collect())
    }

    /// Tells the event watch what is done to a node from outside.
    fn see(&mut self, node: SimPeer, kind: EventKind, of: impl FnOnce(Record) -> Record) {
        if let Some(watch) = &mut self.shards.of_mut(node.index()).common.watch {
            watch.see(self.now, node, kind, of);
        }
    }

    /// From now on checks a node after each of its events, not only on request.
    pub fn check_every_event(&mut self) {
        for shard in self.shards.all_mut() {
            shard.strict.get_or_insert_default();
        }
    }

    /// The first violation that the checks after every event found, if they are on.
    pub fn found_wrong(&self) -> Option<Violation> {
        let found = self.shards.all().iter().filter_map(|shard| shard.strict.as_ref()?.found());
        found.min_by_key(|(at, index, _)| (*at, *index)).map(|(.., violation)| violation.clone())
    }

    /// The network.
    pub fn network(&self) -> &Network {
        &self.network
    }

    /// The network, to cut and to heal.
    pub fn network_mut(&mut self) -> &mut Network {
        self.network_touched = true;
        Arc::make_mut(&mut self.network)
    }

    /// Starts a new node that joins through `contacts` (indices of nodes); the first has none.
    /// Returns its index, or `None` when [`SimPeer::MAX_NODES`] have started.
    pub fn start(&mut self, contacts: &[usize]) -> Option<usize> {
        let index = self.len;
        if index >= SimPeer::MAX_NODES {
            return None;
        }
        self.len += 1;
        self.note(|| Operation::Start { index, contacts: contacts.to_vec() });
        self.bring_up(SimPeer::new(index, 0), contacts);
        Some(index)
    }

    /// Has node `index` join through `contacts`, in addition to those it knows.
    pub fn join(&mut self, index: usize, contacts: &[usize]) {
        self.note_of(index, || Operation::Join { index, contacts: contacts.to_vec() });
        self.tell_of(index, contacts);
    }

    fn tell_of(&mut self, index: usize, contacts: &[usize]) {
        let contacts = contacts.iter().filter_map(|&contact| self.peer(contact)).collect();
        self.tell(index, Input::Join(contacts));
    }

    /// Stops node `index` without a goodbye. Messages to it are answered with a reset.
    pub fn crash(&mut self, index: usize) {
        self.note_of(index, || Operation::Crash(index));
        self.stop(index);
    }

    fn stop(&mut self, index: usize) {
        if let Some(me) = self.peer(index).filter(|_| self.is_live(index)) {
            self.shards.of_mut(index).stop(index);
            self.count_stop(index);
            self.see(me, EventKind::Stop, |record| record);
        }
    }

    /// Ends the process of node `index`. Its host closes the connections, so that its neighbours notice at
    /// once.
    pub fn kill(&mut self, index: usize) {
        let Some(node) = self.node(index).filter(|_| self.is_live(index)) else { return };
        let dead = node.me();
        let neighbors: Vec<SimPeer> = node.stack.stack().membership().active().collect();
        self.note(|| Operation::Kill(index));
        let (now, shard) = (self.now.as_nanos(), self.shards.of_mut(index));
        shard.hang_up(&self.network, dead, now);
        self.stop(index);
        for neighbor in neighbors {
            let shard = self.shards.of_mut(index);
            shard.reset(&self.network, dead, neighbor, now, What::Reset);
        }
        self.shards.exchange();
    }

    /// Has node `index` say goodbye and stop. What it has not sent on channels is lost.
    pub fn leave(&mut self, index: usize) {
        self.note_of(index, || Operation::Leave(index));
        self.tell(index, Input::Leave);
        if let Some(dead) = self.peer(index).filter(|_| self.is_live(index)) {
            let now = self.now.as_nanos();
            self.shards.of_mut(index).hang_up(&self.network, dead, now);
            self.shards.exchange();
        }
        self.stop(index);
    }

    /// Has node `index` say goodbye but keeps its process running.
    pub fn leave_and_stay(&mut self, index: usize) {
        self.note_of(index, || Operation::LeaveAndStay(index));
        self.tell(index, Input::Leave);
    }

    /// Starts node `index` again: a new incarnation that remembers nothing. Returns whether it did:
    /// a running node does not, nor one that was started [`SimPeer::MAX_INCARNATIONS`] times, which
    /// [`Simulation::out_of_incarnations`] tells.
    pub fn restart(&mut self, index: usize, contacts: &[usize]) -> bool {
        let Some(former) = self.peer(index).filter(|_| !self.is_live(index)) else { return false };
        let Some(incarnation) = former.incarnation().checked_add(1) else {
            self.out_of_incarnations.get_or_insert(index);
            return false;
        };
        if self.network.is_dark(index) {
            self.network_mut().set_dark(index, false);
        }
        self.note(|| Operation::Start { index, contacts: contacts.to_vec() });
        self.bring_up(SimPeer::new(index, incarnation), contacts);
        true
    }

    /// The first node that was to start more often than a simulation can count.
    pub fn out_of_incarnations(&self) -> Option<usize> {
        self.out_of_incarnations
    }

    fn bring_up(&mut self, me: SimPeer, contacts: &[usize]) {
        let stack = (self.make)(me, saved::node_seed(self.seed, me));
        self.shards.of_mut(me.index()).start(&self.network, me.index(), self.now, stack);
        self.count_start(me.index());
        self.see(me, EventKind::Start, |record| record);
        self.tell_of(me.index(), contacts);
    }

    /// Has node `index` publish a broadcast of 1 KiB; returns its id, or `None` if the node is not
    /// running.
    pub fn publish(&mut self, index: usize) -> Option<u32> {
        self.publish_bytes(index, SIZES.payload as u32)
    }

    /// As [`Simulation::publish`], with content of this size.
    pub fn publish_bytes(&mut self, index: usize, payload_bytes: u32) -> Option<u32> {
        self.publish_content(index, PayloadOf::<P>::of_workload(), payload_bytes)
    }

    fn publish_content(
        &mut self,
        index: usize,
        payload: PayloadOf<P>,
        payload_bytes: u32,
    ) -> Option<u32> {
        let me = self.peer(index).filter(|_| self.is_live(index))?;
        let id = u32::try_from(self.shards.published()).ok()?;
        self.note(|| Operation::Publish { index, bytes: payload_bytes, id });
        let sequence = self.sequences.entry(me).or_default();
        let name = IdOf::<P>::new(id, me, *sequence);
        *sequence += 1;
        self.publishers.push(me);
        let (sent, eligible) = (self.now, self.live as u32);
        self.count_broadcast(index);
        for shard in self.shards.all_mut() {
            shard.publish(stats::BroadcastStats {
                origin: index,
                sent,
                payload_bytes,
                eligible,
                delivered: 0,
                payloads: 0,
                last_hop: 0,
            });
        }
        let (broadcast, bytes) = (Some(id), Some(u64::from(payload_bytes)));
        self.see(me, EventKind::Publish, |record| Record { broadcast, bytes, ..record });
        // No service hears of it.
        self.feed(index, Input::Publish { id: name, payload });
        Some(id)
    }

    /// Gives a running node an input at the present time, from outside.
    fn tell(&mut self, index: usize, input: InputOf<P>) {
        if self.is_live(index) {
            self.feed(index, input);
            self.heed();
        }
    }

    fn feed(&mut self, index: usize, input: InputOf<P>) {
        self.shards.of_mut(index).handle(&self.network, index, (self.now, 0), input);
        self.shards.exchange();
    }

    /// From now on nodes have these channels, instead of those before. Messages in a window of `watches`
    /// are also counted separately.
    pub fn open_channels(&mut self, channels: &[ChannelConfig], watches: &[TallyWindow]) {
        let channels: Arc<[ChannelConfig]> = channels.into();
        for shard in self.shards.all_mut() {
            if shard.lanes.is_none() {
                shard.common.stats.add_kinds(&lanes::KINDS);
            }
            shard.lanes = Some(Box::new(Lanes::new(Arc::clone(&channels), watches.to_vec())));
        }
    }

    /// Has a running node send a message of this many bytes, but at least [`lanes::LEAST_BYTES`], to
    /// another node on the channel with this index. Returns whether these nodes and this channel exist. The
    /// message's outcome is counted.
    pub fn send_on(&mut self, channel: usize, from: usize, to: usize, bytes: usize) -> bool {
        let lanes = self.shards.all().first().and_then(|shard| shard.lanes.as_ref());
        let is_open = lanes.is_some_and(|lanes| channel < lanes.channels());
        let is_fine = is_open && self.is_live(from) && from != to && to < self.len;
        if is_fine {
            let bytes_noted = u32::try_from(bytes).unwrap_or(u32::MAX);
            self.note(|| Operation::Send { channel, from, to, bytes: bytes_noted });
            self.act_on_lanes(from, Act::Push { channel: channel as u16, to: to as u32, bytes });
        }
        is_fine
    }

    fn act_on_lanes(&mut self, index: usize, act: Act) {
        if self.is_live(index) {
            self.shards.of_mut(index).act_on_lanes(&self.network, index, self.now, act);
            self.shards.exchange();
        }
    }

    /// The outcomes of messages on channels: by channel, and by window.
    pub fn channel_tallies(&self) -> (Vec<Tally>, Vec<Tally>) {
        let lanes = self.shards.all().iter().filter_map(|shard| shard.lanes.as_ref());
        lanes
            .map(|lanes| lanes.accounting().tallies())
            .reduce(|all, others| Tally::add_all(all, &others))
            .unwrap_or_default()
    }

    /// Checks that channels kept what their kinds promise: consistent halves, no message delivered twice or
    /// out of order, and no sender told of something that did not happen.
    ///
    /// # Errors
    /// The first promise that was broken.
    pub fn check_channels(&self) -> Result<(), Violation> {
        let lanes = self.shards.all().iter().filter_map(|shard| shard.lanes.as_ref());
        let audit = Audit(lanes.clone().map(|lanes| lanes.accounting()).collect());
        audit.broken().map_or(Ok(()), Err)?;
        lanes.clone().try_for_each(|lanes| lanes.check())?;
        audit.told_the_truth()
    }

    /// The machine of node `index`, to change it.
    pub(crate) fn machine_mut(&mut self, index: usize) -> Option<&mut Machine> {
        self.shards.of_mut(index).machine_mut(index)
    }

    /// Runs all buckets that start before `until`. Then the time is `until`, rounded up to a border.
    pub fn run_until(&mut self, until: Time) {
        self.run_watched(until, |_| {});
    }

    /// As [`Simulation::run_until`], and shows the simulation to `watch` after each bucket.
    pub fn run_watched(&mut self, until: Time, mut watch: impl FnMut(&Self)) {
        self.note_network();
        let width = self.shards.width();
        let until = until.as_nanos().div_ceil(width).saturating_mul(width);
        while let Some(end) = self.shards.run_bucket(&self.network, until) {
            self.now = Time::from_nanos(end);
            self.heed();
            watch(self);
        }
        self.now = Time::from_nanos(until.max(self.now.as_nanos()));
    }
}
