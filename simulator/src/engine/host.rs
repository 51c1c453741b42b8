//! The simulator as a host: turns a node's effects into events.

use std::time::Duration;

use murmurate::Mark;
use murmurate::broadcast::{Carries as _, Origin};
use murmurate::membership::{DownReason, Membership, Notice, Time, nanos};
use murmurate::stack::{Effects, Message};

use crate::engine::connections::{Admitted, Connections};
use crate::engine::deliveries::DeliveryLog;
use crate::engine::event::{Event, What};
use crate::engine::handshake::{HANDSHAKE_BYTES, Handshake, Purpose, Step};
use crate::engine::lanes::{LaneHost, LaneMessage};
use crate::engine::lines::{Bit, Head, Lines, Note};
use crate::engine::queue::Queue;
use crate::engine::stats::Stats;
use crate::engine::strategy::{EventOf, IdOf, MessageOf, PayloadOf, SimStack, TimerOf};
use crate::engine::watch::{EventKind, Record, Watch};
use crate::engine::watched::Watched as _;
use crate::model::eclipse::Eclipse;
use crate::model::id::SimId as _;
use crate::model::machine::{Machine, Withholding};
use crate::model::network::{Nat, Network, Packet, Transmission, mix};
use crate::model::node::SimPeer;
use crate::model::regional::Regional;

/// What the nodes of a shard write to.
#[derive(Clone)]
pub(crate) struct Common<P: SimStack> {
    pub(crate) queue: Queue<P>,
    /// Timers of the present node within the bucket, latest first.
    pub(crate) soon: Vec<Event<P>>,
    /// What was counted at these nodes.
    pub(crate) stats: Stats,
    /// The lines that many nodes share, if there are any.
    pub(crate) lines: Option<Box<Lines<Event<P>>>>,
    pub(crate) regional: Option<Box<Regional>>,
    pub(crate) deliveries: Option<DeliveryLog>,
    pub(crate) watch: Option<Box<Watch>>,
    /// What the nodes' services told their host within the bucket.
    pub(crate) told: Vec<Told<P>>,
}

/// What a node's service tells its host, who acts at the bucket's end.
#[derive(Debug, Clone)]
pub(crate) struct Told<P: SimStack> {
    pub(crate) at: Time,
    pub(crate) from: SimPeer,
    pub(crate) what: Tell<P>,
}

#[derive(Debug, Clone)]
pub(crate) enum Tell<P: SimStack> {
    /// Something for the application.
    Event(EventOf<P>),
    /// A broadcast to publish.
    Broadcast(PayloadOf<P>),
}

impl<P: SimStack> Common<P> {
    pub(crate) fn new(queue: Queue<P>) -> Self {
        Self {
            queue,
            soon: Vec::new(),
            stats: Stats::new::<P>(),
            lines: None,
            regional: None,
            deliveries: None,
            watch: None,
            told: Vec::new(),
        }
    }

    /// A message of this kind did not fit a line, and comes again or not.
    pub(crate) fn shed(&mut self, kind: Option<usize>, bytes: u64, comes_again: bool) {
        self.stats.shed += 1;
        if let (Some(kind), true) = (kind, comes_again) {
            let sent = &mut self.stats.messages[kind];
            sent.count += 1;
            sent.bytes += bytes;
        }
    }

    /// A message did not fit a line as often as its stream sends it. If it is of a channel, both ends notice
    /// at this time that the stream is broken.
    pub(crate) fn give_up(&mut self, event: &Event<P>, time: u64) {
        let Event { from, to, sequence, .. } = *event;
        let What::Lane(message) = &event.what else { return };
        for (end, notice) in message.broken(from, to).into_iter().flatten() {
            let what = What::Lane(Box::new(notice));
            self.queue.push(Event { time, what, to: end, from, sequence });
        }
    }

    /// Queues what a node set itself while the bucket that ends at `end` is run: what falls into it
    /// goes among the node's own, latest first.
    #[inline]
    pub(crate) fn schedule(&mut self, event: Event<P>, end: u64) {
        if event.time >= end {
            self.queue.push_own(event);
        } else {
            let at = self.soon.partition_point(|other| other.key() > event.key());
            self.soon.insert(at, event);
        }
    }
}

/// The host of one node while it handles one input.
pub(crate) struct Host<'a, P: SimStack> {
    pub(crate) me: SimPeer,
    pub(crate) place: usize,
    pub(crate) born: u32,
    pub(crate) now: Time,
    /// End of the bucket being run: what the node arms for before it is not queued any more.
    pub(crate) end: u64,
    pub(crate) sequence: &'a mut u32,
    pub(crate) network: &'a Network,
    /// The node's own, where it is not an ideal one.
    pub(crate) machine: Option<&'a mut Machine>,
    /// The node's, where making them takes time.
    pub(crate) connections: Option<&'a mut Connections<P>>,
    pub(crate) common: &'a mut Common<P>,
}

impl<P: SimStack> Host<'_, P> {
    fn next_sequence(&mut self) -> u32 {
        *self.sequence = self.sequence.wrapping_add(1);
        *self.sequence
    }

    /// Tells the event watch that an event happens here and now.
    #[inline]
    fn see(&mut self, kind: EventKind, of: impl FnOnce(Record) -> Record) {
        if let Some(watch) = &mut self.common.watch {
            watch.see(self.now, self.me, kind, of);
        }
    }

    /// Sends a message of this kind, over a connection if those take time to make.
    #[inline(always)]
    fn post(&mut self, to: SimPeer, kind: usize, bytes: u64, what: What<P>) {
        if self.connections.is_some() {
            self.post_connected((to, Purpose::Overlay), kind, bytes, what);
        } else {
            self.transmit(to, kind, bytes, what);
        }
    }

    #[inline(never)]
    fn post_connected(
        &mut self,
        (to, purpose): (SimPeer, Purpose),
        kind: usize,
        bytes: u64,
        what: What<P>,
    ) {
        let Some(connections) = &mut self.connections else { return };
        let timeout = connections.timeout();
        match connections.admit((to, purpose), self.now.as_nanos(), (kind, bytes, what)) {
            Admitted::Goes(what) => self.carry(to, kind, bytes, what),
            Admitted::Waits => {}
            Admitted::Dials { attempt, first } => {
                self.common.stats.dials += 1;
                match self.network.nat(to.index()) {
                    None => self.shake(to, first),
                    Some(nat) => self.dial_in_vain((to, purpose), attempt, nat),
                }
                let step = Step::TimedOut { peer: to, attempt };
                self.set(timeout, What::Handshake(Handshake { purpose, step }));
            }
            Admitted::Shed => self.common.stats.shed += 1,
        }
    }

    /// Sends a message of a handshake.
    pub(crate) fn shake(&mut self, to: SimPeer, message: Handshake) {
        let sequence = self.next_sequence();
        let (from, now) = (self.me, self.departure(HANDSHAKE_BYTES));
        let before = self.last_arrival(to);
        let port = self.machine.as_mut().and_then(|machine| machine.port.as_mut());
        let packet = Packet { from, to, sequence, bytes: HANDSHAKE_BYTES, now };
        if let Some(carried) = self.network.send_on_stream(&packet, port) {
            let (time, what) = (carried.arrives, What::Handshake(message));
            let head = Head { bytes: HANDSHAKE_BYTES, kind: None, is_on_stream: true, next: None };
            self.put(Event { time, what, to, from, sequence }, head, before);
        }
    }

    /// Dials a node that nobody can dial. The node itself hears nothing of it.
    fn dial_in_vain(&mut self, (to, purpose): (SimPeer, Purpose), attempt: u32, nat: Nat) {
        let sequence = self.next_sequence();
        let (from, now) = (self.me, self.departure(HANDSHAKE_BYTES));
        let port = self.machine.as_mut().and_then(|machine| machine.port.as_mut());
        let packet = Packet { from, to, sequence, bytes: HANDSHAKE_BYTES, now };
        let there = self.network.send_on_stream(&packet, port);
        let Some(there) = there.filter(|_| nat == Nat::Reject) else { return };
        if let Some(back) = self.network.carry_reset(to, from, sequence, there.arrives) {
            let time = there.arrives.saturating_add(back);
            let step = Step::Rejected { peer: to, attempt };
            let what = What::Handshake(Handshake { purpose, step });
            self.common.schedule(Event { time, what, to: from, from, sequence }, self.end);
        }
    }

    /// There is a connection with `peer`: what waited for it goes.
    pub(crate) fn connected(&mut self, peer: SimPeer, purpose: Purpose) {
        let now = self.now.as_nanos();
        let held = self.connections.as_mut().map(|all| all.open((peer, purpose), now));
        for (kind, bytes, what) in held.unwrap_or_default() {
            self.carry(peer, kind, bytes, what);
        }
    }

    /// Sends a message over a connection.
    fn carry(&mut self, to: SimPeer, kind: usize, bytes: u64, what: What<P>) {
        match what {
            What::Lane(message) if message.is_on_stream() => {
                // If a cut lets nothing through, the sender learns it when no answer comes.
                self.post_until_it_arrives(to, kind, bytes, *message);
            }
            what => self.transmit(to, kind, bytes, what),
        }
    }

    /// There is none any more: what waited for it is lost. If the other side `refused`, a channel learns that
    /// nobody is there. Silence proves nothing: then its greeting stays without an answer.
    pub(crate) fn disconnected(&mut self, peer: SimPeer, purpose: Purpose, refused: bool) {
        let connections = self.connections.as_mut();
        let Some(waited) = connections.and_then(|all| all.close((peer, purpose))) else { return };
        self.common.stats.failed_dials += 1;
        for (_, _, what) in waited {
            self.common.stats.lost += 1;
            if let What::Lane(message) = what
                && let Some(refusal) = message.refusal().filter(|_| refused)
            {
                let (to, time) = (self.me, self.now.as_nanos());
                let (sequence, what) = (self.next_sequence(), What::Lane(Box::new(refusal)));
                self.common.schedule(Event { time, what, to, from: peer, sequence }, self.end);
            }
        }
    }

    /// `peer` runs: former incarnations of its node are not dialled any more. What is for whoever runs at
    /// the address is for it.
    pub(crate) fn superseded(&mut self, peer: SimPeer) {
        let waited = self.connections.as_mut().map(|all| all.close_former(peer));
        for (kind, bytes, what) in waited.unwrap_or_default() {
            if what.is_for_anyone() {
                self.post_connected((peer, Purpose::Channels), kind, bytes, what);
            } else {
                self.common.stats.lost += 1;
            }
        }
    }

    /// When a message leaves a node whose processor takes its time.
    #[inline(always)]
    fn departure(&mut self, bytes: u64) -> u64 {
        let now = self.now.as_nanos();
        self.machine.as_mut().map_or(now, |machine| machine.departure(now, bytes))
    }

    /// Puts a message of this kind on the network.
    #[inline(always)]
    fn transmit(&mut self, to: SimPeer, kind: usize, bytes: u64, what: What<P>) {
        let sent = &mut self.common.stats.messages[kind];
        sent.count += 1;
        sent.bytes += bytes;
        let sequence = self.next_sequence();
        let (from, now) = (self.me, self.departure(bytes));
        let before = self.last_arrival(to);
        let port = self.machine.as_mut().and_then(|machine| machine.port.as_mut());
        let transmission = self.network.send(&Packet { from, to, sequence, bytes, now }, port);
        if let Some(watch) = &mut self.common.watch {
            watch.sent(self.place, kind, bytes);
            let (arrives, detail) = match transmission {
                Transmission::Arrives(time) => (Some(time), None),
                Transmission::Resent { arrives, .. } => (Some(arrives), Some("resent")),
                Transmission::Twice(first, _) => (Some(first), Some("twice")),
                Transmission::Shared { .. } => (None, Some("shared")),
                Transmission::Lost => (None, Some("lost")),
                Transmission::Shed => (None, Some("shed")),
            };
            watch.see(self.now, from, EventKind::Send, |record| Record {
                peer: Some(to),
                message: Some(self.common.stats.messages[kind].name),
                broadcast: what.carries(),
                bytes: Some(bytes),
                sequence: Some(sequence),
                arrives: arrives.map(Time::from_nanos),
                detail,
                ..record
            });
        }
        let time = match transmission {
            Transmission::Arrives(time) => time,
            Transmission::Resent { arrives, times } => {
                self.resent(kind, bytes, times - 1);
                arrives
            }
            Transmission::Shared { arrives, copy, times } => {
                self.resent(kind, bytes, times - 1);
                let is_on_stream = self.network.resends();
                let head = Head { bytes, kind: Some(kind), is_on_stream, next: None };
                if let Some(time) = copy {
                    self.common.stats.duplicated += 1;
                    let copy = Event { time, what: what.clone(), to, from, sequence };
                    self.share(copy, Head { is_on_stream: false, ..head }, before, true);
                }
                let event = Event { time: arrives, what, to, from, sequence };
                return self.share(event, head, before, false);
            }
            Transmission::Twice(first, second) => {
                self.common.stats.duplicated += 1;
                let what = what.clone();
                self.common.queue.push(Event { time: second, what, to, from, sequence });
                first
            }
            Transmission::Lost => return self.common.stats.lost += 1,
            Transmission::Shed => return self.common.stats.shed += 1,
        };
        self.common.queue.push(Event { time, what, to, from, sequence });
    }

    /// The network lost a message so often, and it was sent again.
    fn resent(&mut self, kind: usize, bytes: u64, times: u64) {
        self.common.stats.lost += times;
        let sent = &mut self.common.stats.messages[kind];
        sent.count += times;
        sent.bytes += times * bytes;
    }

    /// When the message arrives that was sent last to this node, if shared lines are to keep that order.
    #[inline(always)]
    fn last_arrival(&self, to: SimPeer) -> u64 {
        if self.common.lines.is_none() {
            return 0;
        }
        let port = self.machine.as_ref().and_then(|machine| machine.port.as_ref());
        port.and_then(|port| port.last_arrival(to)).unwrap_or(0)
    }

    /// A message is on its way, and arrives at its time unless shared lines hold it up. The one sent `before`
    /// arrives at that time.
    fn put(&mut self, event: Event<P>, head: Head, before: u64) {
        if self.common.lines.is_some() {
            self.share(event, head, before, false);
        } else {
            self.common.queue.push(event);
        }
    }

    /// The same over the shared lines between the two nodes, if there are any.
    #[inline(never)]
    fn share(&mut self, event: Event<P>, head: Head, before: u64, is_copy: bool) {
        let (from, to) = (event.from, event.to);
        let route = self.network.route(from.index(), to.index());
        let (Some(route), Some(lines)) = (route, &mut self.common.lines) else {
            return self.common.queue.push(event);
        };
        let legs = 1 + u64::from(route.next.is_some());
        let at_line = |arrives: u64| arrives.saturating_sub(legs * self.network.leg());
        let last = at_line(event.time);
        let first = self.network.first_bit(from.index(), head.bytes, last);
        let first = first.max(at_line(before)).min(last);
        let name = ((from.bits(), to.bits()), event.sequence, is_copy);
        let bit = Bit::First(Head { next: route.next, ..head });
        lines.push(Note { line: route.first, time: first, name, bit });
        lines.push(Note { line: route.first, time: last, name, bit: Bit::Last(event) });
    }

    /// Puts a message on a stream to another node, where whatever is lost is sent again. Whether it
    /// arrives: a cut either way lets nothing through.
    fn post_until_it_arrives(
        &mut self,
        to: SimPeer,
        kind: usize,
        bytes: u64,
        message: LaneMessage,
    ) -> bool {
        let sequence = self.next_sequence();
        let (from, now) = (self.me, self.departure(bytes));
        let before = self.last_arrival(to);
        let port = self.machine.as_mut().and_then(|machine| machine.port.as_mut());
        let packet = Packet { from, to, sequence, bytes, now };
        let Some(carried) = self.network.send_on_stream(&packet, port) else { return false };
        let sent = &mut self.common.stats.messages[kind];
        sent.count += carried.times;
        sent.bytes += carried.times * bytes;
        self.common.stats.lost += carried.times - 1;
        let time = carried.arrives;
        if let Some(watch) = &mut self.common.watch {
            watch.sent(self.place, kind, bytes);
            let is_shared = self.network.is_shared(from, to);
            let resent = (carried.times > 1).then_some("resent");
            watch.see(self.now, from, EventKind::Send, |record| Record {
                peer: Some(to),
                message: Some(self.common.stats.messages[kind].name),
                bytes: Some(bytes),
                sequence: Some(sequence),
                arrives: (!is_shared).then_some(Time::from_nanos(time)),
                detail: if is_shared { Some("shared") } else { resent },
                ..record
            });
        }
        let what = What::Lane(Box::new(message));
        let head = Head { bytes, kind: Some(kind), is_on_stream: true, next: None };
        self.put(Event { time, what, to, from, sequence }, head, before);
        true
    }

    /// Schedules something by the node's own clock.
    #[inline(always)]
    fn set(&mut self, after: Duration, what: What<P>) {
        let sequence = self.next_sequence();
        let after = match &self.machine {
            None => nanos(after),
            Some(machine) => machine.clock.true_span(nanos(after)),
        };
        let time = self.now.as_nanos().saturating_add(after);
        let event = Event { time, what, to: self.me, from: self.me, sequence };
        self.common.schedule(event, self.end);
    }
}

impl<P: SimStack> Host<'_, P> {
    /// Whether a liar keeps a message to itself.
    fn withholds(&self, message: &MessageOf<P>) -> bool {
        let withholding =
            self.machine.as_ref().map(|machine| machine.withholding).unwrap_or_default();
        let (Message::Broadcast(message), true) = (message, withholding != Withholding::Nothing)
        else {
            return false;
        };
        match message.carries() {
            Some(id) => {
                let broadcast = self.common.stats.broadcasts.get(id.index() as usize);
                broadcast.is_none_or(|broadcast| broadcast.origin != self.me.index())
            }
            None => withholding == Withholding::Broadcasts,
        }
    }
}

impl<P: SimStack> Host<'_, P> {
    /// An attacker answers what it heard, or tries again and will do so later.
    pub(crate) fn attack(
        &mut self,
        eclipse: &Eclipse,
        membership: &P::Membership,
        heard: Option<(SimPeer, &<P::Membership as Membership>::Message)>,
    ) {
        let is_own_accord = heard.is_none();
        let mut attacker = eclipse.attacker(self.me, self.attack_seed());
        for (to, message) in membership.eclipse(heard, &mut attacker) {
            Effects::send(self, to, Message::Membership(message));
        }
        if is_own_accord {
            self.set(eclipse.pause(), What::Attack);
        }
    }

    /// The first attack comes within one pause.
    pub(crate) fn begin_attack(&mut self, eclipse: &Eclipse) {
        let share = self.attack_seed() as f64 / u64::MAX as f64;
        self.set(eclipse.pause().mul_f64(share), What::Attack);
    }

    fn attack_seed(&mut self) -> u64 {
        let name = u64::from(self.me.bits()) << 32 | u64::from(self.next_sequence());
        mix(self.now.as_nanos() ^ mix(name))
    }
}

impl<P: SimStack> LaneHost for Host<'_, P> {
    fn me(&self) -> SimPeer {
        self.me
    }

    fn now(&self) -> Time {
        self.now
    }

    fn can_dial(&self, node: usize) -> bool {
        self.network.nat(node).is_none()
    }

    fn local(&self) -> Time {
        self.machine.as_ref().map_or(self.now, |machine| machine.clock.local(self.now))
    }

    fn send(&mut self, to: SimPeer, message: LaneMessage, bytes: u64) -> bool {
        let kind = message.place(self.common.stats.messages.len());
        if let Some(connections) = self.connections.as_deref().filter(|_| message.opens_stream()) {
            let to = (connections.latest((to, Purpose::Channels)), Purpose::Channels);
            self.post_connected(to, kind, bytes, What::Lane(Box::new(message)));
            return true;
        }
        if message.is_on_stream() {
            return self.post_until_it_arrives(to, kind, bytes, message);
        }
        let what = What::Lane(Box::new(message));
        // Hop by hop it comes to a node that nobody can dial over the connections which that node made.
        if self.network.nat(to.index()).is_some() {
            self.transmit(to, kind, bytes, what);
        } else {
            self.post(to, kind, bytes, what);
        }
        true
    }

    fn wake(&mut self, after: Duration, message: LaneMessage) {
        self.set(after, What::Lane(Box::new(message)));
    }
}

impl<P: SimStack> Effects<P::Membership, P::Broadcast, P::Service> for Host<'_, P> {
    fn send(&mut self, to: SimPeer, message: MessageOf<P>) {
        if self.withholds(&message) {
            return;
        }
        let bytes = self.common.stats.wire_len::<P>(&message);
        self.post(to, message.kind(), bytes, What::Message(message));
    }

    fn arm(&mut self, after: Duration, timer: TimerOf<P>) {
        self.set(after, What::Timer(timer));
    }

    fn emit(&mut self, event: EventOf<P>) {
        let what = Tell::Event(event);
        self.common.told.push(Told { at: self.now, from: self.me, what });
    }

    fn broadcast(&mut self, content: PayloadOf<P>) {
        let what = Tell::Broadcast(content);
        self.common.told.push(Told { at: self.now, from: self.me, what });
    }

    fn deliver(&mut self, id: IdOf<P>, hops: u16, _content: PayloadOf<P>) {
        let id = id.index();
        if let Some(log) = &mut self.common.deliveries {
            log.note(self.place, self.me, id);
        }
        if id < self.born {
            return;
        }
        let (broadcast, hops_crossed) = (Some(id), Some(hops));
        if let Some(watch) = &mut self.common.watch {
            watch.delivered(self.place);
            let deliver = |record| Record { broadcast, hops: hops_crossed, ..record };
            watch.see(self.now, self.me, EventKind::Deliver, deliver);
        }
        let broadcast = &mut self.common.stats.broadcasts[id as usize];
        broadcast.delivered += 1;
        broadcast.last_hop = broadcast.last_hop.max(hops);
        let latency = self.now.since(broadcast.sent);
        if let Some(regional) = &mut self.common.regional {
            regional.record(broadcast.origin, self.me.index(), latency);
        }
        self.common.stats.record_latency(latency);
    }

    fn missed(&mut self, origin: Origin<P::Broadcast>, count: u64) {
        self.common.stats.missed += count;
        if let (Some(log), Some(publisher)) =
            (&mut self.common.deliveries, IdOf::<P>::publisher(origin))
        {
            log.missed(self.me, publisher, count);
        }
    }

    fn neighbor_up(&mut self, peer: SimPeer) {
        self.common.stats.neighbor_ups += 1;
        if let Some(log) = &mut self.common.deliveries {
            log.linked(self.me, self.now, self.common.stats.broadcasts.len());
        }
        self.see(EventKind::NeighborUp, |record| Record { peer: Some(peer), ..record });
    }

    fn neighbor_down(&mut self, peer: SimPeer, reason: DownReason) {
        self.common.stats.neighbor_downs[reason as usize] += 1;
        if self.connections.is_some() {
            self.disconnected(peer, Purpose::Overlay, false);
        }
        let detail = Some(Record::reason(reason));
        self.see(EventKind::NeighborDown, |record| Record { peer: Some(peer), detail, ..record });
    }

    fn notify(&mut self, _notice: Notice) {}

    fn mark(&mut self, mark: Mark) {
        self.common.stats.marks.note(mark);
    }
}
