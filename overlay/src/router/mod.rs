//! From any node to any other, neighbour or not.
//!
//! A [`Router`] is one peer's part in it: a [`Service`]. It offers two things.
//!
//! *Lookup.* [`Command::Lookup`] asks the neighbours for a node, and they ask theirs, in rings that
//! widen until somebody answers. Anybody who knows the node may answer, so that the host can dial
//! it. The answer travels back on the way the lookup came.
//!
//! *Relay.* When the node cannot be dialled, a lookup with `path` lets only the node itself answer;
//! on its way back the answer lays a way to the node, and one back. [`Command::Relay`] sends datagrams
//! along it, hop by hop. A hop that knows no way on says so, back to the sender.
//!
//! # What it promises
//! - Every lookup has one outcome, [`Event::Found`] or [`Event::NotFound`], within [`Config::lookup_wait`].
//! - A datagram goes at most [`Parameters::max_hops`] hops. Routes that form a circle, by a race or a lie,
//!   end it at the first hop it meets again, and word of the loss undoes the circle.
//! - A datagram that is `lost` was not delivered. One that is not may have been: links lose what is
//!   under way when they break, and nobody acknowledges. The sender's own timer decides.
//! - Only neighbours are listened to, and only to what they were asked: an answer must come on the
//!   way back of its lookup, word of a loss from the hop the datagram went to. But hops may lie:
//!   what is relayed is neither secret nor authentic beyond the last hop.

mod config;
mod lookups;
mod memory;
mod message;
mod protocol;
mod routing_table;

use alloc::sync::Arc;
use alloc::vec::Vec;
use murmurate_membership::{Peer, Time, Violation};

pub use config::{Config, Parameters};
pub use message::{Data, Message};
pub use protocol::{Command, Event, MessageOf, Timer};

use crate::service::{Effects, Input, Service};
use lookups::{Lookups, Ring};
use memory::Memory;
use routing_table::RoutingTable;

/// A lookup of somebody else's that passed.
#[derive(Debug, Clone)]
struct Seen<P: Peer> {
    /// Which neighbour it came from first: the way back.
    from: P,
    target: P::Node,
    path: bool,
    answered: bool,
}

/// A datagram that passed.
#[derive(Debug, Clone)]
struct Passed<P> {
    /// Which neighbour it came from; `None` if it is this peer's own.
    from: Option<P>,
    to: P,
    /// Which neighbour it went to, and may be called lost by.
    next: Option<P>,
}

/// One peer's router.
#[derive(Debug, Clone)]
pub struct Router<P: Peer, D> {
    me: P,
    config: Arc<Config>,
    neighbors: Vec<P>,
    lookups: Lookups<P>,
    seen: Memory<P, Seen<P>>,
    routes: RoutingTable<P>,
    passed: Memory<P, Passed<P>>,
    lookup_armed: bool,
    forget_armed: bool,
    data: core::marker::PhantomData<D>,
}

/// A lookup as it came.
struct Asked<P: Peer> {
    origin: P,
    number: u64,
    target: P::Node,
    path: bool,
    hops_left: u8,
}

/// A datagram as it came.
struct Carried<P, D> {
    origin: P,
    to: P,
    number: u64,
    hops_left: u8,
    data: D,
}

impl<P: Peer, D: Data> Router<P, D> {
    /// A router without neighbours.
    #[must_use]
    pub fn new(me: P, config: Arc<Config>) -> Self {
        Self {
            me,
            config,
            neighbors: Vec::new(),
            lookups: Lookups::new(),
            seen: Memory::new(),
            routes: RoutingTable::new(),
            passed: Memory::new(),
            lookup_armed: false,
            forget_armed: false,
            data: core::marker::PhantomData,
        }
    }

    fn neighbor_up(&mut self, peer: P) {
        if !self.is_neighbor(peer) && peer != self.me {
            self.neighbors.push(peer);
        }
    }

    /// With a neighbour go all routes over it.
    fn neighbor_down(&mut self, peer: P) {
        self.neighbors.retain(|neighbor| *neighbor != peer);
        self.routes.lose(peer);
    }

    /// The neighbours it was told of.
    pub fn neighbors(&self) -> impl ExactSizeIterator<Item = P> + Clone {
        self.neighbors.iter().copied()
    }

    /// The neighbour to which a datagram for this peer would go, if there is a route.
    #[must_use]
    pub fn next_hop(&self, to: P) -> Option<P> {
        if self.is_neighbor(to) { Some(to) } else { self.routes.next(to) }
    }

    fn receive<T>(
        &mut self,
        now: Time,
        from: P,
        message: MessageOf<P, D>,
        fx: &mut impl Effects<P, T, Self>,
    ) {
        if !self.is_neighbor(from) {
            return;
        }
        match message {
            Message::Lookup { origin, number, target, path, hops_left } => {
                let hops_left = self.config.clamp(hops_left);
                let asked = Asked { origin, number, target, path, hops_left };
                self.on_lookup(now, from, &asked, fx);
            }
            Message::Found { origin, number, peer } => {
                self.on_found(now, from, (origin, number), peer, fx);
            }
            Message::Relay { origin, to, number, hops_left, data } => {
                let hops_left = self.config.clamp(hops_left);
                self.on_relay(now, from, Carried { origin, to, number, hops_left, data }, fx);
            }
            Message::Lost { origin, number } => self.on_lost(from, (origin, number), fx),
        }
    }

    /// Whether these, in order, are all its neighbours.
    fn has_neighbors(&self, all: &[P]) -> bool {
        let mut mine = self.neighbors.clone();
        mine.sort_unstable();
        mine == all
    }

    fn is_neighbor(&self, peer: P) -> bool {
        self.neighbors.contains(&peer)
    }

    fn is_me(&self, node: P::Node) -> bool {
        self.me.node() == node
    }

    fn neighbor_of(&self, node: P::Node) -> Option<P> {
        self.neighbors().find(|neighbor| neighbor.node() == node)
    }

    fn look_up<T>(
        &mut self,
        now: Time,
        target: P::Node,
        path: bool,
        fx: &mut impl Effects<P, T, Self>,
    ) {
        let known = if self.is_me(target) { Some(self.me) } else { self.neighbor_of(target) };
        if let Some(peer) = known {
            self.lookups.end(target);
            return fx.emit(Event::Found { peer, path });
        }
        if self.lookups.covers(target, path) {
            return;
        }
        let Some(ring) = self.lookups.start(now, target, path, &self.config) else {
            return fx.emit(Event::NotFound(target));
        };
        let arm = !core::mem::replace(&mut self.lookup_armed, true);
        self.ask(ring, fx);
        if arm {
            fx.arm(self.config.hop_wait, Timer::Lookup);
        }
    }

    fn ask<T>(&self, ring: Ring<P::Node>, fx: &mut impl Effects<P, T, Self>) {
        let Ring { target, path, number, hops } = ring;
        let hops_left = hops - 1;
        for &neighbor in &self.neighbors {
            fx.send(neighbor, Message::Lookup { origin: self.me, number, target, path, hops_left });
        }
    }

    fn on_lookup_timer<T>(&mut self, now: Time, fx: &mut impl Effects<P, T, Self>) {
        // Who has become a neighbour meanwhile is found, and the way to it is short.
        let reached = self.lookups.reached(&self.neighbors);
        let due = self.lookups.due(now, &self.config);
        self.lookup_armed = self.lookups.len() > 0;
        for (peer, path) in reached {
            fx.emit(Event::Found { peer, path });
        }
        for ring in due.wider {
            self.ask(ring, fx);
        }
        for target in due.in_vain {
            fx.emit(Event::NotFound(target));
        }
        if self.lookup_armed {
            fx.arm(self.config.hop_wait, Timer::Lookup);
        }
    }

    /// Somebody asks for a node: the answer, or whom to ask on.
    fn on_lookup<T>(
        &mut self,
        now: Time,
        from: P,
        asked: &Asked<P>,
        fx: &mut impl Effects<P, T, Self>,
    ) {
        let &Asked { origin, number, target, path, hops_left } = asked;
        if self.is_me(origin.node()) || self.seen.contains((origin, number)) {
            return;
        }
        if self.seen.len() >= self.config.seen_capacity {
            self.forget(now);
        }
        if self.seen.len() >= self.config.seen_capacity {
            return;
        }
        let neighbor = self.neighbor_of(target);
        let answer = if self.is_me(target) {
            Some(self.me)
        } else if path {
            None
        } else {
            neighbor.or_else(|| fx.known(target).filter(|known| known.node() == target))
        };
        let answered = answer.is_some();
        self.seen.insert(now, (origin, number), Seen { from, target, path, answered });
        if let Some(peer) = answer {
            if path {
                self.learn(now, origin, from);
            }
            return fx.send(from, Message::Found { origin, number, peer });
        }
        let Some(hops_left) = hops_left.checked_sub(1) else { return };
        let on = Message::Lookup { origin, number, target, path, hops_left };
        if let Some(neighbor) = neighbor {
            // Nobody else need be asked.
            if neighbor != from {
                fx.send(neighbor, on);
            }
            return;
        }
        for &neighbor in self.neighbors.iter().filter(|neighbor| **neighbor != from) {
            fx.send(neighbor, on.clone());
        }
    }

    /// An answer, to this peer or on its way to who asked. The first one counts.
    fn on_found<T>(
        &mut self,
        now: Time,
        from: P,
        (origin, number): (P, u64),
        peer: P,
        fx: &mut impl Effects<P, T, Self>,
    ) {
        if origin == self.me {
            if let Some(lookup) = self.lookups.answered(number, peer) {
                if lookup.path {
                    self.learn(now, peer, from);
                }
                fx.emit(Event::Found { peer, path: lookup.path });
            }
            return;
        }
        let Some(seen) = self.seen.get_mut((origin, number)) else { return };
        if seen.answered || seen.from == from || seen.target != peer.node() {
            return;
        }
        seen.answered = true;
        let (back, path) = (seen.from, seen.path);
        if !self.is_neighbor(back) {
            return;
        }
        if path {
            self.learn(now, peer, from);
            self.learn(now, origin, back);
        }
        fx.send(back, Message::Found { origin, number, peer });
    }

    fn learn(&mut self, now: Time, to: P, next: P) {
        // To a neighbour there is no need of one.
        if !self.is_me(to.node()) && !self.is_neighbor(to) {
            self.routes.learn(now, to, next, self.config.routes_capacity);
        }
    }

    fn relay<T>(
        &mut self,
        now: Time,
        to: P,
        number: u64,
        data: D,
        fx: &mut impl Effects<P, T, Self>,
    ) {
        let (origin, hops_left) = (self.me, self.config.max_hops);
        if to == self.me {
            return fx.emit(Event::Received { from: origin, by: origin, data });
        }
        let carried = Carried { origin, to, number, hops_left, data };
        if self.pass(now, None, carried, fx).is_err() {
            fx.emit(Event::Lost { to, number });
        }
    }

    fn on_relay<T>(
        &mut self,
        now: Time,
        from: P,
        carried: Carried<P, D>,
        fx: &mut impl Effects<P, T, Self>,
    ) {
        let (origin, to, number) = (carried.origin, carried.to, carried.number);
        if to == self.me {
            let new = !self.passed.contains((origin, number));
            if new && origin != self.me && self.config.fits(&carried.data) {
                self.remember(now, (origin, number), Passed { from: Some(from), to, next: None });
                self.routes.used(now, origin, from);
                fx.emit(Event::Received { from: origin, by: from, data: carried.data });
            }
        } else if self.pass(now, Some(from), carried, fx).is_err() {
            fx.send(from, Message::Lost { origin, number });
        }
    }

    /// Passes a datagram on, or says that there is no way.
    fn pass<T>(
        &mut self,
        now: Time,
        from: Option<P>,
        carried: Carried<P, D>,
        fx: &mut impl Effects<P, T, Self>,
    ) -> Result<(), NoRoute> {
        let Carried { origin, to, number, hops_left, data } = carried;
        let came_round =
            self.passed.contains((origin, number)) || from.is_some() && self.is_me(origin.node());
        let next = self.next_hop(to).ok_or(NoRoute)?;
        if came_round || from == Some(next) {
            // The ways form a circle. It ends here, and word of the loss undoes it hop by hop.
            return Err(NoRoute);
        }
        let hops_left = hops_left.checked_sub(1).ok_or(NoRoute)?;
        if !self.config.fits(&data) {
            return Err(NoRoute);
        }
        self.remember(now, (origin, number), Passed { from, to, next: Some(next) });
        self.routes.used(now, to, next);
        if let Some(from) = from {
            self.routes.used(now, origin, from);
        }
        fx.send(next, Message::Relay { origin, to, number, hops_left, data });
        Ok(())
    }

    fn remember(&mut self, now: Time, name: (P, u64), passed: Passed<P>) {
        self.passed.trim(self.config.relays_capacity);
        self.passed.insert(now, name, passed);
    }

    /// A datagram went no further: back to its sender. Each hop says so once.
    fn on_lost<T>(
        &mut self,
        from: P,
        (origin, number): (P, u64),
        fx: &mut impl Effects<P, T, Self>,
    ) {
        let Some(passed) = self.passed.get_mut((origin, number)) else { return };
        if passed.next != Some(from) {
            return;
        }
        passed.next = None;
        let (back, to) = (passed.from, passed.to);
        self.routes.unlearn(to, from);
        match back {
            None => fx.emit(Event::Lost { to, number }),
            Some(back) if self.is_neighbor(back) => {
                fx.send(back, Message::Lost { origin, number });
            }
            Some(_) => {}
        }
    }

    fn forget(&mut self, now: Time) {
        let memory = self.config.memory();
        self.seen.forget(now, memory);
        self.passed.forget(now, memory);
        self.routes.forget(now, self.config.route_wait);
    }

    fn remembers(&self) -> bool {
        self.seen.len() + self.passed.len() + self.routes.len() > 0
    }

    fn arm_forget<T>(&mut self, fx: &mut impl Effects<P, T, Self>) {
        if !self.forget_armed && self.remembers() {
            self.forget_armed = true;
            fx.arm(self.config.memory(), Timer::Forget);
        }
    }
}

impl<P: Peer, D: Data, T> Service<P, T> for Router<P, D> {
    type Message = MessageOf<P, D>;
    type Timer = Timer;
    type Command = Command<P, D>;
    type Event = Event<P, D>;

    fn handle<E: Effects<P, T, Self>>(
        &mut self,
        now: Time,
        input: Input<'_, P, T, Self>,
        fx: &mut E,
    ) {
        match input {
            Input::NeighborUp(peer) => self.neighbor_up(peer),
            Input::NeighborDown(peer, _) => self.neighbor_down(peer),
            Input::Receive { from, message } => self.receive(now, from, message, fx),
            Input::Expired(Timer::Lookup) => self.on_lookup_timer(now, fx),
            Input::Expired(Timer::Forget) => {
                self.forget_armed = false;
                self.forget(now);
            }
            Input::Command(Command::Lookup { target, path }) => {
                self.look_up(now, target, path, fx);
            }
            Input::Command(Command::Relay { to, number, data }) => {
                self.relay(now, to, number, data, fx);
            }
            _ => {}
        }
        self.arm_forget(fx);
    }

    fn check(&self, neighbors: &[P]) -> Result<(), Violation> {
        let detail = || alloc::format!("{self:?}");
        let config = &self.config;
        for (holds, rule) in [
            (
                self.seen.is_within(config.seen_capacity)
                    && self.passed.is_within(config.relays_capacity)
                    && self.routes.len() <= config.routes_capacity
                    && self.lookups.len() <= config.lookups_capacity,
                "what a router remembers is bounded",
            ),
            (
                self.routes.all(|to, next| to.node() != self.me.node() && self.is_neighbor(next)),
                "a way starts with a neighbour and leads to somebody else",
            ),
            (self.has_neighbors(neighbors), "the router's neighbours are the active view"),
            (self.lookups.len() == 0 || self.lookup_armed, "a lookup has a timer"),
            (!self.remembers() || self.forget_armed, "what is remembered will be forgotten"),
        ] {
            Violation::unless(holds, rule, detail)?;
        }
        Ok(())
    }
}

/// A datagram goes no further.
struct NoRoute;
