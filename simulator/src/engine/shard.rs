//! A shard: some of the nodes, and everything that it takes to run them. Each thread has its own.
//!
//! A run is the same for any distribution of its nodes. Within a bucket no node can reach another, so each
//! node's events and their order do not depend on when other nodes are run. What nodes have in common only
//! adds up: counters and the digest are sums, the last hop is a maximum, deliveries are a set. Draws of the
//! network depend on the message alone, all others on the node alone.

mod attack;
mod saved;

use std::cmp::Reverse;
use std::sync::Arc;
use std::time::Duration;

use murmurate::channel::Depth;
use murmurate::membership::{Membership as _, Time};
use murmurate::stack::{Input, Timer};

use crate::engine::connections::{Connections, Dialling};
use crate::engine::event::{Event, What};
use crate::engine::handshake::{Handshake, Purpose, Step};
use crate::engine::host::{Common, Host};
use crate::engine::lanes::{Act, LaneHost, LaneMessage, Lanes};
use crate::engine::lines::Out;
use crate::engine::queue::{Queue, Sharding};
use crate::engine::stats::BroadcastStats;
use crate::engine::strategy::{InputOf, SimStack, StackOf};
use crate::engine::strict::{Expected, Strict};
use crate::engine::watch::Load;
use crate::engine::workers::Work;
use crate::model::eclipse::Eclipse;
use crate::model::id::SimId as _;
use crate::model::machine::{Admission, Machine, ProcessorModel};
use crate::model::network::Network;
use crate::model::node::SimPeer;

pub(crate) use saved::in_order;

#[derive(Clone)]
pub(crate) struct Node<P> {
    pub(crate) stack: P,
    sequence: u32,
    /// Broadcasts published before this incarnation started.
    born: u32,
}

impl<P: SimStack> Node<P> {
    pub(crate) fn me(&self) -> SimPeer {
        self.stack.stack().membership().me()
    }
}

/// Some of the nodes. Outside they go by their indices; [`Sharding`] tells each one's place here.
#[derive(Clone)]
pub(crate) struct Shard<P: SimStack> {
    sharding: Sharding,
    shard: usize,
    nodes: Vec<Node<P>>,
    /// Which of them run.
    up: Vec<bool>,
    /// How their machines differ from ideal ones, up to the last one that does.
    machines: Vec<Option<Box<Machine>>>,
    /// The processor of each machine, if work takes time.
    processor: Option<ProcessorModel>,
    /// The same by class, where some have others.
    processors: Vec<Option<ProcessorModel>>,
    /// How long connecting takes, if it takes time, and the nodes' connections.
    dialling: Option<Dialling>,
    connections: Vec<Connections<P>>,
    /// Those of all nodes that want to be the only neighbours of the others, if there are any.
    eclipse: Option<Arc<Eclipse>>,
    pub(crate) common: Common<P>,
    /// Checks after every event, if that is asked for.
    pub(crate) strict: Option<Box<Strict>>,
    /// The nodes' channels, if there are any.
    pub(crate) lanes: Option<Box<Lanes>>,
    batch: Vec<Event<P>>,
    last_bucket: usize,
}

/// A bucket to run.
#[derive(Debug, Clone)]
pub(crate) struct Bucket {
    pub(crate) network: Arc<Network>,
    /// It takes in what comes before this time, and not before the bucket run last.
    pub(crate) end: u64,
}

impl<P: SimStack> Work for Shard<P> {
    type Order = Bucket;

    fn work(&mut self, bucket: &Bucket) {
        self.run_bucket(&bucket.network, bucket.end);
    }
}

impl<P: SimStack> Shard<P> {
    /// Shard number `shard` of `sharding`, without nodes.
    pub(crate) fn new(sharding: Sharding, shard: usize, lookahead: u64) -> Self {
        Self {
            sharding,
            shard,
            nodes: Vec::new(),
            up: Vec::new(),
            machines: Vec::new(),
            processor: None,
            processors: Vec::new(),
            dialling: None,
            connections: Vec::new(),
            eclipse: None,
            common: Common::new(Queue::new(sharding, shard, lookahead)),
            strict: None,
            lanes: None,
            batch: Vec::new(),
            last_bucket: 0,
        }
    }

    pub(crate) fn node(&self, index: usize) -> Option<&Node<P>> {
        self.nodes.get(self.sharding.place(index))
    }

    pub(crate) fn is_up(&self, index: usize) -> bool {
        self.up.get(self.sharding.place(index)).copied().unwrap_or(false)
    }

    /// Whether the node delivered broadcast `id`, as far as deliveries are logged.
    pub(crate) fn has_delivered(&self, index: usize, id: u32) -> bool {
        self.common.deliveries.as_ref().is_some_and(|log| log.has(self.sharding.place(index), id))
    }

    /// What the node sent and handled, if that is counted.
    pub(crate) fn load(&self, index: usize) -> Option<Load> {
        self.common.watch.as_ref()?.load_of(self.sharding.place(index))
    }

    /// What was counted of the node in this column, if anything is.
    pub(crate) fn count(&self, index: usize, column: usize) -> Option<u64> {
        let counts = self.common.watch.as_ref()?.counts.as_ref()?;
        Some(counts.get(self.sharding.place(index), column))
    }

    /// The machine of node `index`, unless it is an ideal one.
    pub(crate) fn machine(&self, index: usize) -> Option<&Machine> {
        self.machines.get(self.sharding.place(index))?.as_deref()
    }

    /// What waits on the lanes of node `index`, and their round trip in the mean, if they measure it.
    pub(crate) fn on_lanes(&self, index: usize) -> Option<(Depth, Option<Duration>)> {
        Some(self.lanes.as_ref()?.depth(self.sharding.place(index)))
    }

    /// How many events the bucket run last had.
    pub(crate) fn last_bucket(&self) -> usize {
        self.last_bucket
    }

    /// Starts node `index` with this stack: a new one, or one that is down. It finds the
    /// machine it had.
    pub(crate) fn start(&mut self, network: &Network, index: usize, now: Time, stack: P) {
        let place = self.sharding.place(index);
        let born = self.common.stats.broadcasts.len() as u32;
        if place == self.nodes.len() {
            self.nodes.push(Node { stack, sequence: 0, born });
            self.up.push(true);
            let (port, processor) = (network.port(), self.processor(network, index));
            if port.is_some() || processor.is_some() {
                self.machines.resize_with(place, || None);
                let machine = Machine::with(port, processor.unwrap_or_default());
                self.machines.push(Some(Box::new(machine)));
            }
            self.connections.extend(self.dialling.map(Connections::new));
        } else {
            let node = &mut self.nodes[place];
            (node.stack, node.born) = (stack, born);
            if let Some(Some(machine)) = self.machines.get_mut(place) {
                machine.reboot(now.as_nanos());
            }
            if let Some(connections) = self.connections.get_mut(place) {
                connections.clear();
            }
            self.up[place] = true;
            if let Some(log) = &mut self.common.deliveries {
                log.forget(place);
            }
        }
    }

    /// What the machine of a node has, if it takes its time.
    fn processor(&self, network: &Network, index: usize) -> Option<ProcessorModel> {
        let of = |class: usize| self.processors.get(class).copied().flatten();
        network.placement().class(index).and_then(of).or(self.processor)
    }

    /// Sets how the machines of classes work. Call it before any node starts.
    pub(crate) fn equip_classes(&mut self, processors: &[Option<ProcessorModel>]) {
        self.processors = processors.to_vec();
    }

    /// Sets how machines and connections work. Call it before any node starts.
    pub(crate) fn equip(&mut self, processor: Option<ProcessorModel>, dialling: Option<Dialling>) {
        (self.processor, self.dialling) = (processor, dialling);
    }

    /// Stops node `index` without a word.
    pub(crate) fn stop(&mut self, index: usize) {
        let place = self.sharding.place(index);
        self.up[place] = false;
        if let Some(lanes) = &mut self.lanes {
            lanes.hang_up(place);
        }
    }

    /// The host of node `index` tells those at the other ends of its lanes that there are none.
    pub(crate) fn hang_up(&mut self, network: &Network, dead: SimPeer, time: u64) {
        let place = self.sharding.place(dead.index());
        for (to, message) in self.lanes.as_mut().map_or_else(Vec::new, |lanes| lanes.hang_up(place))
        {
            self.reset(network, dead, to, time, What::Lane(Box::new(message)));
        }
    }

    /// Keeps count of a new broadcast. Its publisher has it, and is the shard's or another's.
    pub(crate) fn publish(&mut self, broadcast: BroadcastStats) {
        let delivered = u32::from(self.sharding.shard(broadcast.origin) == self.shard);
        self.common.stats.broadcasts.push(BroadcastStats { delivered, ..broadcast });
    }

    /// Gives node `index` an input; what it arms for before `end` comes in this bucket.
    pub(crate) fn handle(
        &mut self,
        network: &Network,
        index: usize,
        when: (Time, u64),
        input: InputOf<P>,
    ) {
        self.give(network, self.sharding.place(index), when, input);
    }

    /// Checks the node afterwards, if that is asked for.
    #[inline(always)]
    fn give(&mut self, network: &Network, place: usize, when: (Time, u64), input: InputOf<P>) {
        if self.strict.is_some() {
            self.give_and_look(network, place, when, input);
        } else {
            self.give_node(network, place, when, input);
        }
    }

    #[inline(never)]
    fn give_and_look(
        &mut self,
        network: &Network,
        place: usize,
        when: (Time, u64),
        input: InputOf<P>,
    ) {
        // By the node's own clock, as it will handle it.
        let local = self.host(network, place, when.0, when.1).2.local();
        let expected = Expected::of(local, &self.nodes[place].stack, &input);
        self.give_node(network, place, when, input);
        if let Some(strict) = &mut self.strict {
            strict.look(when.0, &self.nodes[place].stack, expected);
        }
    }

    #[inline(always)]
    fn give_node(
        &mut self,
        network: &Network,
        place: usize,
        (now, end): (Time, u64),
        input: InputOf<P>,
    ) {
        let (node, _, mut host) = self.host(network, place, now, end);
        let local = host.local();
        node.handle(local, input, &mut host);
    }

    /// Something happens to the lanes of node `index`.
    pub(crate) fn act_on_lanes(&mut self, network: &Network, index: usize, now: Time, act: Act) {
        let place = self.sharding.place(index);
        if let (_, Some(lanes), mut host) = self.host(network, place, now, 0) {
            lanes.act(place, &mut host, act);
        }
    }

    /// A node, the lanes of its shard, and what both speak to.
    #[inline(always)]
    fn host<'a>(
        &'a mut self,
        network: &'a Network,
        place: usize,
        now: Time,
        end: u64,
    ) -> (&'a mut StackOf<P>, Option<&'a mut Lanes>, Host<'a, P>) {
        let Node { stack, sequence, born } = &mut self.nodes[place];
        let stack = stack.stack_mut();
        let host = Host {
            me: stack.membership().me(),
            place,
            born: *born,
            now,
            end,
            sequence,
            network,
            machine: self.machines.get_mut(place).and_then(Option::as_deref_mut),
            connections: self.connections.get_mut(place),
            common: &mut self.common,
        };
        (stack, self.lanes.as_deref_mut(), host)
    }

    /// A dead process's host answers with a reset, as TCP does; `what` is it.
    pub(crate) fn reset(
        &mut self,
        network: &Network,
        dead: SimPeer,
        to: SimPeer,
        time: u64,
        what: What<P>,
    ) {
        let node = &mut self.nodes[self.sharding.place(dead.index())];
        node.sequence = node.sequence.wrapping_add(1);
        let sequence = node.sequence;
        if let Some(latency) = network.carry_reset(dead, to, sequence, time) {
            let time = time.saturating_add(latency);
            self.common.queue.push(Event { time, from: dead, to, sequence, what });
        }
    }

    /// A message for a former incarnation is not delivered. A later incarnation that runs says so itself,
    /// as it does when its address is dialled.
    #[inline(never)]
    fn refuse(&mut self, network: &Network, place: usize, event: &Event<P>, what: What<P>) {
        let present = self.nodes[place].me();
        match what {
            What::Reset if self.up[place] && present > event.to => {
                self.reset(network, present, event.from, event.time, What::Restarted);
            }
            what => self.reset(network, event.to, event.from, event.time, what),
        }
    }

    /// The machine of node `index`, to change it.
    pub(crate) fn machine_mut(&mut self, index: usize) -> Option<&mut Machine> {
        let place = self.sharding.place(index);
        if place >= self.nodes.len() {
            return None;
        }
        if place >= self.machines.len() {
            self.machines.resize_with(place + 1, || None);
        }
        Some(self.machines[place].get_or_insert_default())
    }

    /// Runs the next bucket that starts before `end`, node by node.
    pub(crate) fn run_bucket(&mut self, network: &Network, end: u64) {
        let mut batch = std::mem::take(&mut self.batch);
        self.common.queue.drain(end, &mut batch);
        self.last_bucket = batch.len();
        // Latest first, as what nodes arm for themselves within the bucket, which comes in its turn.
        batch.sort_unstable_by_key(|event| Reverse(event.key()));
        loop {
            let own = match (self.common.soon.last(), batch.last()) {
                (Some(own), Some(next)) => own.key() < next.key(),
                (own, _) => own.is_some(),
            };
            let next = if own { self.common.soon.pop() } else { batch.pop() };
            let Some(event) = next else { break };
            self.run_event(network, event, end);
        }
        self.batch = batch;
        if self.common.lines.is_some() {
            self.run_lines(end);
        }
    }

    /// The shard's own of the lines that many nodes share go through the bucket, too.
    #[inline(never)]
    fn run_lines(&mut self, end: u64) {
        let Some(lines) = &mut self.common.lines else { return };
        for out in lines.run(end) {
            match out {
                Out::Arrives(time, event) => self.common.queue.push(Event { time, ..event }),
                Out::Shed(head, again) => self.common.shed(head.kind, head.bytes, again),
                Out::Lost(time, event) => self.common.give_up(&event, time),
                Out::Note(_) => {}
            }
        }
    }

    fn run_event(&mut self, network: &Network, mut event: Event<P>, end: u64) {
        let place = self.sharding.place(event.to.index());
        if !self.up[place] || self.nodes[place].me() != event.to {
            if !self.up[place] || !event.what.is_for_anyone() {
                if let Some(refusal) = event.what.refusal() {
                    self.refuse(network, place, &event, refusal);
                }
                return;
            }
            // From here on it is for the present start of the node, also if it waits now.
            event.to = self.nodes[place].me();
        }
        if !self.machines.is_empty() && !self.admit(network, place, &mut event, end) {
            return;
        }
        let Event { time, from, to, sequence, what } = event;
        self.common.stats.events += 1;
        if let Some(watch) = &mut self.common.watch {
            watch.handled(&self.common.stats, place, time, (from, to), event.sequence, &what);
        }
        let when = (Time::from_nanos(time), end);
        if !self.connections.is_empty() {
            self.connect(network, place, when, from, &what);
        }
        let about = (from, to, sequence);
        let Some(what) = self.unless_attacker(network, place, when, about, what) else { return };
        let stats = &mut self.common.stats;
        match what {
            What::Message(message) => {
                stats.note(time, from, to, sequence, message.kind() as u64);
                if let Some(id) = message.carries() {
                    stats.broadcasts[id.index() as usize].payloads += 1;
                }
                self.give(network, place, when, Input::Receive { from, message });
            }
            What::Timer(timer) => {
                let kind = match timer {
                    Timer::Membership(_) => 0x100,
                    Timer::Broadcast(_) => 0x101,
                    Timer::Service(_) => 0x102,
                };
                stats.note(time, from, to, sequence, kind);
                stats.timers += 1;
                self.give(network, place, when, Input::Expired(timer));
            }
            What::Reset => {
                stats.note(time, from, to, sequence, 0x200);
                stats.resets += 1;
                self.give(network, place, when, Input::LinkDown(from));
            }
            What::Restarted => {
                stats.note(time, from, to, sequence, 0x201);
                stats.resets += 1;
                self.give(network, place, when, Input::Restarted(from));
            }
            What::Lane(message) => {
                stats.note(time, from, to, sequence, 0x300 + message.kind() as u64);
                self.hear(network, place, when, from, *message);
            }
            What::Handshake(message) => {
                stats.note(time, from, to, sequence, 0x400 + message.code());
                self.shake(network, place, when, from, message);
            }
            // It was taken out of its box when it was admitted.
            What::Late(_) | What::Attack => {}
        }
    }

    /// What comes tells that there is a connection, or that there is none.
    #[inline(never)]
    fn connect(
        &mut self,
        network: &Network,
        place: usize,
        (now, end): (Time, u64),
        from: SimPeer,
        what: &What<P>,
    ) {
        let (_, _, mut host) = self.host(network, place, now, end);
        match what {
            What::Message(_) => host.connected(from, Purpose::Overlay),
            What::Lane(message) if message.is_on_stream() => {
                host.connected(from, Purpose::Channels);
            }
            // The process is gone.
            What::Reset => {
                host.disconnected(from, Purpose::Overlay, true);
                host.disconnected(from, Purpose::Channels, true);
            }
            What::Restarted => host.superseded(from),
            What::Timer(_) | What::Lane(_) | What::Handshake(_) | What::Attack | What::Late(_) => {}
        }
    }

    #[inline(never)]
    fn shake(
        &mut self,
        network: &Network,
        place: usize,
        (now, end): (Time, u64),
        from: SimPeer,
        message: Handshake,
    ) {
        let (_, _, mut host) = self.host(network, place, now, end);
        let Handshake { purpose, step } = message;
        let dials = |host: &Host<'_, P>, peer, attempt| {
            let connections = host.connections.as_ref();
            connections.is_some_and(|all| all.is_dialling((peer, purpose), attempt))
        };
        let on = |step| Handshake { purpose, step };
        match step {
            Step::Dial(left) => {
                host.shake(from, on(Step::Answer(left)));
                if left <= 1 {
                    host.connected(from, purpose);
                }
            }
            Step::Answer(left) if dials(&host, from, None) => match left {
                0 | 1 => host.connected(from, purpose),
                left => host.shake(from, on(Step::Dial(left - 1))),
            },
            Step::TimedOut { peer, attempt } | Step::Rejected { peer, attempt }
                if dials(&host, peer, Some(attempt)) =>
            {
                host.disconnected(peer, purpose, matches!(step, Step::Rejected { .. }));
                if purpose == Purpose::Overlay {
                    self.give(network, place, (now, end), Input::LinkDown(peer));
                }
            }
            Step::Answer(_) | Step::TimedOut { .. } | Step::Rejected { .. } => {}
        }
    }

    #[inline(never)]
    fn hear(
        &mut self,
        network: &Network,
        place: usize,
        (now, end): (Time, u64),
        from: SimPeer,
        message: LaneMessage,
    ) {
        if let (_, Some(lanes), mut host) = self.host(network, place, now, end) {
            lanes.hear(place, &mut host, from, message);
        }
    }

    /// Whether a node's machine lets it handle an event now. What it gets to later comes again then.
    #[inline(never)]
    fn admit(&mut self, network: &Network, place: usize, event: &mut Event<P>, end: u64) -> bool {
        let Some(Some(machine)) = self.machines.get_mut(place) else { return true };
        let what = match std::mem::replace(&mut event.what, What::Reset) {
            What::Late(what) => {
                machine.resume();
                event.what = *what;
                return true;
            }
            what => what,
        };
        let travels = what.travels(&self.common.stats);
        let way = || network.way(event.from.index(), event.to.index());
        let is_on_stream = network.resends() || what.is_on_stream();
        let name = (event.from, event.sequence);
        let behind = (is_on_stream && network.keeps_order()).then(|| machine.waits_for(name));
        if let (Some(_), Some(time)) = (travels, behind.flatten().filter(|t| *t > event.time)) {
            self.common.schedule(Event { time, what, ..*event }, end);
            return false;
        }
        let time = match machine.admit(event.time, travels.map(|(_, bytes)| (bytes, way()))) {
            Admission::Now => {
                machine.accept(name);
                event.what = what;
                return true;
            }
            Admission::At(time) => {
                machine.accept(name);
                let what = What::Late(Box::new(what));
                self.common.schedule(Event { time, what, ..*event }, end);
                return false;
            }
            Admission::Shed => is_on_stream.then(|| machine.refuse(name, event.time)).flatten(),
        };
        let (kind, bytes) = travels.unwrap_or_default();
        self.common.shed(kind, bytes, time.is_some());
        let event = Event { what, ..*event };
        match time {
            Some(time) => self.common.schedule(Event { time, ..event }, end),
            None if is_on_stream => {
                let time = event.time.saturating_add(network.least_latency());
                self.common.give_up(&event, time);
            }
            None => {}
        }
        false
    }
}
