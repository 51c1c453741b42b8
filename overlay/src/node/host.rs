//! The node as the stack's host: what a stack says becomes pushes, timers, dials and
//! deliveries. Nothing here waits.

use std::collections::{BTreeMap, VecDeque};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use either::Either;
use murmurate_broadcast::{Carries as _, anti_entropy};
use murmurate_membership::{DownReason, Mark, Notice, Time};
use tokio::sync::broadcast;
use tokio::time::Instant;

use super::book::Book;
use super::budget::Budget;
use super::clock::micros_since_1970;
use super::event::Event;
use super::heard::Heards;
use super::limits::FAR;
use super::link::outbox::Pushed;
use super::link::route::Route;
use super::metrics::{Counters, Traffic};
use super::pressure::Pacer;
use super::stack::{
    Broadcast, BroadcastMessage, Input, Membership, Message, RouterMessage, Services, Timer,
};
use super::topics::Topics;
use super::wire::{
    Addresses, Contact, Head, Publication, Relayed, RouteMessage, encode_control, encode_exchange,
    encode_membership, encode_route,
};
use crate::id::{Incarnation, MessageId, NodeId};
use crate::router;
use crate::stack::Effects;

/// Broadcasts of services that wait until what came together is handled.
const OWN: usize = 64;

/// What the stack speaks to.
pub(crate) struct Host {
    pub(crate) me: Incarnation,
    /// Where others can dial this node.
    pub(crate) addresses: Addresses,
    pub(crate) book: Book,
    pub(crate) routes: BTreeMap<NodeId, Route>,
    outbox_limit: usize,
    budget: Arc<Budget>,
    /// How fast this node publishes.
    pub(crate) pacer: Pacer,
    pub(crate) timers: Vec<(Instant, Timer)>,
    pub(crate) topics: Topics,
    pub(crate) heards: Heards,
    pub(crate) metrics: Arc<Counters>,
    pub(crate) received: Traffic,
    sent: Traffic,
    pub(crate) events: broadcast::Sender<Event>,
    /// What went wrong while the stack spoke, to be fed to it once it has finished.
    pub(crate) later: VecDeque<Input>,
    /// Nodes somebody wants to speak to and no connection leads to.
    pub(crate) wanted: Vec<NodeId>,
    /// Nodes whose outbox has something new.
    pub(crate) fresh: Vec<NodeId>,
    /// Nodes that take nothing at all, or say nothing any more.
    pub(crate) stuck: Vec<NodeId>,
    /// The active view changed.
    pub(crate) view_changed: bool,
    /// Broadcasts delivered, to tell duplicates.
    pub(crate) delivered: u64,
    /// What services want broadcast.
    pub(crate) own: Vec<Publication>,
    /// Messages that services were given.
    pub(crate) served: u64,
    /// Milestones to act on.
    pub(crate) notices: Vec<Notice>,
    /// What the router came to.
    pub(crate) routed: VecDeque<router::Event<Incarnation, Bytes>>,
}

impl Host {
    pub(crate) fn new(
        me: Incarnation,
        addresses: Addresses,
        (outbox_limit, budget): (usize, Arc<Budget>),
        topics: Topics,
        metrics: Arc<Counters>,
        kinds: &[&str],
        events: broadcast::Sender<Event>,
    ) -> Self {
        let [received, sent] = metrics.traffic(kinds);
        Self {
            received,
            sent,
            me,
            addresses,
            book: Book::default(),
            routes: BTreeMap::new(),
            outbox_limit,
            budget,
            pacer: Pacer::new(Instant::now()),
            timers: Vec::new(),
            topics,
            heards: Heards::default(),
            metrics,
            events,
            later: VecDeque::new(),
            wanted: Vec::new(),
            fresh: Vec::new(),
            stuck: Vec::new(),
            view_changed: false,
            delivered: 0,
            own: Vec::new(),
            served: 0,
            notices: Vec::new(),
            routed: VecDeque::new(),
        }
    }

    /// What the application was given: broadcasts, and messages of its services.
    pub(crate) fn given(&self) -> u64 {
        self.delivered + self.served
    }

    /// The route to a node, made if there is none.
    ///
    /// `None` if the node is known to run in another incarnation: its host would refuse the message,
    /// and the peer is told which one runs.
    pub(crate) fn route(&mut self, to: Incarnation) -> Option<&mut Route> {
        if let Some(route) = self.routes.get(&to.node)
            && route.peer != to
        {
            if route.is_linked() {
                let present = route.peer;
                self.correct(to, present);
                return None;
            }
            if route.peer > to {
                self.later.push_back(Input::LinkDown(to));
                return None;
            }
            // Nobody answers for the older one any more.
            self.later.push_back(Input::LinkDown(route.peer));
            self.routes.remove(&to.node);
        }
        let wanted = &mut self.wanted;
        let (limit, budget) = (self.outbox_limit, &self.budget);
        Some(self.routes.entry(to.node).or_insert_with(|| {
            wanted.push(to.node);
            Route::new(to, limit, budget)
        }))
    }

    /// The route to a node that is connected, whatever runs there otherwise.
    pub(crate) fn direct_route(&mut self, to: Incarnation) -> &mut Route {
        let (limit, budget) = (self.outbox_limit, &self.budget);
        self.routes.entry(to.node).or_insert_with(|| Route::new(to, limit, budget))
    }

    /// The node of `stale` runs as `present`, as it says itself. If the other one is later, its clock was set
    /// back, or somebody made it up.
    pub(crate) fn correct(&mut self, stale: Incarnation, present: Incarnation) {
        if present < stale {
            self.later.push_back(Input::LinkDown(stale));
        }
        self.later.push_back(Input::Restarted(present));
    }

    /// Says something to a node that is not the protocols' business, and is not counted as theirs.
    pub(crate) fn push_control(&mut self, to: Incarnation, frame: Vec<u8>) {
        self.queue(to, Outgoing::Control(frame));
    }

    /// Says a message of this kind: it is sent, or shed and counted as that.
    fn push(&mut self, to: Incarnation, kind: usize, frame: Outgoing) {
        let bytes = frame.len();
        if self.queue(to, frame) == Some(Pushed::Queued) {
            self.sent.note(kind, bytes);
        }
    }

    fn queue(&mut self, to: Incarnation, frame: Outgoing) -> Option<Pushed> {
        let route = self.route(to)?;
        let (pushed, is_payload) = match frame {
            Outgoing::Payload(head, body) => (route.push_payload(head, body), true),
            Outgoing::Control(frame) => (route.push_control(frame), false),
        };
        match pushed {
            Pushed::Queued if self.fresh.last() == Some(&to.node) => {}
            Pushed::Queued => self.fresh.push(to.node),
            Pushed::Shed if is_payload => self.metrics.outbox_payloads_dropped.inc(),
            Pushed::Shed => {
                self.metrics.outbox_control_dropped.inc();
                self.stuck.push(to.node);
            }
        }
        Some(pushed)
    }

    /// Whether the start before had a broadcast, or did without. Notes it if not.
    fn is_past(&mut self, id: MessageId) -> bool {
        let is_past = self.heards.is_past(id);
        if is_past {
            self.metrics.stale.inc();
        } else {
            self.heards.note(id);
        }
        is_past
    }

    /// A peer with what this node knows of where it can be dialled.
    pub(crate) fn contact(&self, peer: Incarnation) -> Contact {
        let addresses = if peer.node == self.me.node {
            self.addresses.clone()
        } else {
            self.book.addresses(peer.node)
        };
        Contact { peer, addresses }
    }

    pub(crate) fn tell(&self, event: Event) {
        // Nobody listening is fine.
        let _ = self.events.send(event);
    }

    /// When the next timer is due.
    pub(crate) fn next_timer(&self) -> Option<Instant> {
        self.timers.iter().map(|(due, _)| *due).min()
    }

    /// Of the timers that are due the first, taken out.
    pub(crate) fn expired(&mut self, now: Instant) -> Option<Timer> {
        let timers = self.timers.iter().enumerate();
        let (at, _) =
            timers.min_by_key(|(_, (due, _))| *due).filter(|(_, (due, _))| *due <= now)?;
        Some(self.timers.swap_remove(at).1)
    }
}

impl Effects<Membership, Broadcast, Services> for Host {
    fn send(&mut self, to: Incarnation, message: Message) {
        let kind = message.kind();
        let frame = match message {
            Message::Broadcast(message) => Outgoing::of(message),
            Message::Membership(message) => {
                let addresses = |peer| self.contact(peer).addresses;
                encode_membership(&message, addresses).map(Outgoing::Control)
            }
            Message::Service(Either::Left(message)) => match self.without_data(message) {
                Ok(message) => Some(Outgoing::Control(encode_route(&message))),
                Err(relayed) => Some(Outgoing::Payload(None, relayed.encode().into())),
            },
            Message::Service(Either::Right(message)) => {
                Some(Outgoing::Payload(None, message.encode().into()))
            }
        };
        match frame {
            Some(frame) => self.push(to, kind, frame),
            None => {
                tracing::debug!(to = %to.node, kind, "a strategy's message cannot be written");
                self.metrics.outbox_control_dropped.inc();
            }
        }
    }

    fn arm(&mut self, after: Duration, timer: Timer) {
        self.timers.push((Instant::now() + after.min(FAR), timer));
    }

    fn emit(&mut self, event: Either<router::Event<Incarnation, Bytes>, Infallible>) {
        match event {
            Either::Left(event) => self.routed.push_back(event),
            Either::Right(never) => match never {},
        }
    }

    fn broadcast(&mut self, publication: Publication) {
        if self.own.len() < OWN {
            self.own.push(publication);
        } else {
            self.metrics.refused.inc();
        }
    }

    fn known(&self, node: NodeId, viewed: Option<Incarnation>) -> Option<Incarnation> {
        if self.book.addresses(node).is_empty() {
            return None;
        }
        let linked = self.routes.get(&node).filter(|route| route.is_linked());
        linked.map(|route| route.peer).or(viewed)
    }

    fn wall_clock(&self) -> Option<Time> {
        Some(Time::from_nanos(micros_since_1970().saturating_mul(1_000)))
    }

    fn deliver(&mut self, id: MessageId, hops: u16, publication: Publication) {
        if self.is_past(id) {
            return;
        }
        self.delivered += 1;
        self.metrics.delivered.inc();
        self.metrics.hops.observe(f64::from(hops));
        let took = micros_since_1970().saturating_sub(publication.published());
        self.metrics.latency.observe(Duration::from_micros(took).as_secs_f64());
        self.topics.deliver(id, hops, &publication);
    }

    fn deliver_past(&mut self, id: MessageId, hops: u16, publication: Publication) {
        if self.topics.catches_up(publication.topic()) && !self.is_past(id) {
            self.delivered += 1;
            self.metrics.delivered.inc();
            self.topics.deliver(id, hops, &publication);
        }
    }

    fn missed(&mut self, origin: Incarnation, count: u64) {
        self.metrics.missed.inc_by(count);
        self.topics.missed(origin, count);
    }

    fn mark(&mut self, mark: Mark) {
        if mark.is_loss() {
            self.metrics.broadcasts_dropped.with_label_values(&[mark.name()]).inc();
        }
    }

    fn neighbor_up(&mut self, peer: Incarnation) {
        self.metrics.ups.inc();
        self.view_changed = true;
        self.tell(Event::NeighborUp(peer.node));
    }

    fn neighbor_down(&mut self, peer: Incarnation, reason: DownReason) {
        self.metrics.downs[reason as usize].inc();
        self.view_changed = true;
        if reason == DownReason::Silent {
            // Whatever its connection still takes reaches nobody: the next word needs a new one.
            self.stuck.push(peer.node);
        }
        self.tell(Event::NeighborDown { node: peer.node, reason });
    }

    fn notify(&mut self, notice: Notice) {
        match notice {
            Notice::Joined => self.metrics.joins.inc(),
            Notice::Isolated => self.metrics.isolations.inc(),
        }
        self.notices.push(notice);
    }
}

impl Host {
    /// A router's message with addresses, or a datagram.
    fn without_data(&self, message: RouterMessage) -> Result<RouteMessage, Box<Relayed>> {
        use router::Message as Router;
        Ok(match message.map(|peer| self.contact(peer)) {
            Router::Relay { origin, to, number, hops_left, data } => {
                return Err(Box::new(Relayed { origin, to, number, hops_left, data }));
            }
            Router::Lookup { origin, number, target, path, hops_left } => {
                Router::Lookup { origin, number, target, path, hops_left }
            }
            Router::Found { origin, number, peer } => Router::Found { origin, number, peer },
            Router::Lost { origin, number } => Router::Lost { origin, number },
        })
    }
}

/// A frame as it goes out.
enum Outgoing {
    /// It may be shed: its head, unless the body holds it all, and its body.
    Payload(Option<Head>, Bytes),
    Control(Vec<u8>),
}

impl Outgoing {
    fn len(&self) -> usize {
        match self {
            Self::Payload(head, body) => head.as_deref().map_or(0, <[u8]>::len) + body.len(),
            Self::Control(frame) => frame.len(),
        }
    }

    /// A broadcast message; nothing if nobody would take it.
    fn of(message: BroadcastMessage) -> Option<Self> {
        use anti_entropy::Message as Exchange;
        let exchange = match message {
            Exchange::Inner(message) => {
                let (head, payload) = message.split();
                let Some(payload) = payload else {
                    return encode_control(&head?).map(Self::Control);
                };
                let head = Head::of_gossip(&head?, &payload)?;
                return Some(Self::Payload(Some(head), payload.bytes().clone()));
            }
            Exchange::Reply { id, round, age, payload } => {
                let head = Head::of_reply(id, round, age, &payload)?;
                return Some(Self::Payload(Some(head), payload.bytes().clone()));
            }
            Exchange::Compare { uptime, parts } => Exchange::Compare { uptime, parts },
            Exchange::Have { uptime, parts, origins, sure, answer } => {
                Exchange::Have { uptime, parts, origins, sure, answer }
            }
            Exchange::Want(spans) => Exchange::Want(spans),
        };
        Some(Self::Control(encode_exchange(&exchange)))
    }
}

#[cfg(test)]
mod tests {
    use murmurate_broadcast::plumtree;

    use super::*;
    use crate::Metrics;
    use crate::node::stack::kinds;
    use crate::node::wire::{self, InnerMessage};
    use crate::router::Message as Routing;

    fn peer(of: u8) -> Incarnation {
        Incarnation { node: NodeId::from_bytes([of; 32]), started: 1 }
    }

    fn host(metrics: &Metrics) -> Host {
        let counters = metrics.counters();
        let topics = Topics::new(1, Default::default(), counters.lagged.clone());
        let kinds = kinds(&wire::check::codec());
        let (me, events) = (peer(1), broadcast::Sender::new(1));
        Host::new(
            me,
            Addresses::default(),
            (1_000, Budget::plenty()),
            topics,
            counters,
            &kinds,
            events,
        )
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_shed_counts_as_shed_and_not_as_sent() {
        let metrics = Metrics::default();
        let mut host = host(&metrics);
        let say = |host: &mut Host, to| {
            let data = Bytes::from_static(&[0; 900]);
            let relay = Routing::Relay { origin: to, to, number: 1, hops_left: 1, data };
            let tree = |message| {
                let message = InnerMessage::of::<plumtree::Parameters>(message);
                Message::Broadcast(anti_entropy::Message::Inner(message))
            };
            let payload = Publication::new("t", 0, &[0; 900]).expect("a short topic");
            let id = MessageId { origin: host.me, sequence: 1 };
            let gossip = plumtree::Message::Gossip { id, round: 1, payload };
            let lost = Routing::Lost { origin: to, number: 1 };
            host.send(to, Message::Service(Either::Left(lost)));
            host.send(to, Message::Service(Either::Left(relay)));
            host.send(to, tree(plumtree::Message::Prune));
            host.send(to, tree(gossip));
        };
        let counted = || {
            let text = metrics.render();
            let of = |direction: &str| {
                let series = text.lines().filter(|line| line.contains(direction));
                let values = series.filter_map(|line| line.rsplit_once(' ')?.1.parse::<u64>().ok());
                values.sum::<u64>()
            };
            let sent = of("murmurate_messages_total{direction=\"sent\"");
            (sent, of("lane=\"control\""), of("lane=\"payload\""))
        };
        say(&mut host, peer(2));
        assert_eq!(counted(), (3, 0, 1), "of two payloads one fits");
        let outbox = &host.route(peer(3)).expect("a way").outbox;
        while outbox.push_control(vec![0; 1 << 10]) == Pushed::Queued {}
        assert_eq!(outbox.push_payload(None, Bytes::from_static(&[0; 1_000])), Pushed::Queued);
        say(&mut host, peer(3));
        assert_eq!(counted(), (3, 2, 3), "nothing more was sent");
        assert_eq!(host.stuck, [peer(3).node; 2], "the link is given up");
    }
}
