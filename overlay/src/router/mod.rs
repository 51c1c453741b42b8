//! From any node to any other, neighbour or not.
//!
//! A [`Router`] is one peer's part in it: a state machine without I/O, clock or randomness, beside
//! membership and broadcast ([`Routed`](crate::Routed) composes them). It offers two things.
//!
//! *Lookup.* [`Input::Seek`] asks the neighbours for a node, and they ask theirs, in rings that
//! widen until somebody answers. Anybody who knows the node may answer, so that the host can dial
//! it. The answer travels back on the way the lookup came.
//!
//! *Relay.* When the node cannot be dialled, a lookup with `path` lets only the node itself answer;
//! on its way back the answer lays a way to the node, and one back. [`Input::Relay`] sends datagrams
//! along it, hop by hop. A hop that knows no way on says so, back to the sender.
//!
//! # What it promises
//! - Every lookup has one outcome, `found` or `not_found`, within [`Config::seek_wait`].
//! - A datagram goes at most [`Config::most_hops`] hops. Ways that form a circle, by a race or a lie,
//!   end it at the first hop it meets again, and word of the loss undoes the circle.
//! - A datagram that is `lost` was not delivered. One that is not may have been: links lose what is
//!   under way when they break, and nobody acknowledges. The sender's own timer decides.
//! - Only neighbours are listened to, and only to what they were asked: an answer must come on the
//!   way back of its lookup, word of a loss from the hop the datagram went to. But hops may lie:
//!   what is relayed is neither secret nor authentic beyond the last hop.

mod config;
mod memory;
mod message;
mod protocol;
mod seeks;
mod ways;

use alloc::sync::Arc;
use alloc::vec::Vec;
use murmurate_membership::{Peer, Time, Violation};

pub use config::{Config, ConfigError, Parameters, RINGS};
pub use message::Message;
pub use protocol::{Data, Effects, Input, MessageOf, Timer};

use memory::Memory;
use seeks::{Ring, Seeks};
use ways::Ways;

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
    seeks: Seeks<P>,
    seen: Memory<P, Seen<P>>,
    ways: Ways<P>,
    passed: Memory<P, Passed<P>>,
    seek_armed: bool,
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
            seeks: Seeks::new(),
            seen: Memory::new(),
            ways: Ways::new(),
            passed: Memory::new(),
            seek_armed: false,
            forget_armed: false,
            data: core::marker::PhantomData,
        }
    }

    /// A peer entered the active view.
    pub fn neighbor_up(&mut self, peer: P) {
        if !self.is_neighbor(peer) && peer != self.me {
            self.neighbors.push(peer);
        }
    }

    /// A peer left the active view, and with it go all ways over it.
    pub fn neighbor_down(&mut self, peer: P) {
        self.neighbors.retain(|neighbor| *neighbor != peer);
        self.ways.lose(peer);
    }

    /// The neighbours, as told.
    pub fn neighbors(&self) -> impl ExactSizeIterator<Item = P> + Clone {
        self.neighbors.iter().copied()
    }

    /// The neighbour a datagram to this peer would go to, if there is a way.
    #[must_use]
    pub fn next_hop(&self, to: P) -> Option<P> {
        if self.is_neighbor(to) { Some(to) } else { self.ways.next(to) }
    }

    /// Takes one input: changes state first, then speaks to `fx`.
    pub fn handle<E: Effects<P, D>>(&mut self, now: Time, input: Input<P, D>, fx: &mut E) {
        match input {
            Input::Receive { from, message, known } => self.receive(now, from, message, known, fx),
            Input::Expired(Timer::Seek) => self.on_seek_timer(now, fx),
            Input::Expired(Timer::Forget) => {
                self.forget_armed = false;
                self.forget(now);
            }
            Input::Seek { target, path } => self.seek(now, target, path, fx),
            Input::Relay { to, number, data } => self.relay(now, to, number, data, fx),
        }
        self.arm_forget(fx);
    }

    fn receive(
        &mut self,
        now: Time,
        from: P,
        message: MessageOf<P, D>,
        known: Option<P>,
        fx: &mut impl Effects<P, D>,
    ) {
        if !self.is_neighbor(from) {
            return;
        }
        match message {
            Message::Seek { origin, number, target, path, hops_left } => {
                let hops_left = self.config.clamp(hops_left);
                let asked = Asked { origin, number, target, path, hops_left };
                self.on_seek(now, from, &asked, known, fx);
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

    fn is_neighbor(&self, peer: P) -> bool {
        self.neighbors.contains(&peer)
    }

    fn is_me(&self, node: P::Node) -> bool {
        self.me.node() == node
    }

    fn neighbor_of(&self, node: P::Node) -> Option<P> {
        self.neighbors().find(|neighbor| neighbor.node() == node)
    }

    fn seek(&mut self, now: Time, target: P::Node, path: bool, fx: &mut impl Effects<P, D>) {
        let known = if self.is_me(target) { Some(self.me) } else { self.neighbor_of(target) };
        if let Some(peer) = known {
            self.seeks.end(target);
            return fx.found(peer, path);
        }
        if self.seeks.covers(target, path) {
            return;
        }
        let Some(ring) = self.seeks.start(now, target, path, &self.config) else {
            return fx.not_found(target);
        };
        let arm = !core::mem::replace(&mut self.seek_armed, true);
        self.ask(ring, fx);
        if arm {
            fx.arm(self.config.hop_wait, Timer::Seek);
        }
    }

    fn ask(&self, ring: Ring<P::Node>, fx: &mut impl Effects<P, D>) {
        let Ring { target, path, number, hops } = ring;
        let hops_left = hops - 1;
        for &neighbor in &self.neighbors {
            fx.send(neighbor, Message::Seek { origin: self.me, number, target, path, hops_left });
        }
    }

    fn on_seek_timer(&mut self, now: Time, fx: &mut impl Effects<P, D>) {
        // Who has become a neighbour meanwhile is found, and the way to it is short.
        let met = self.seeks.met(&self.neighbors);
        let due = self.seeks.due(now, &self.config);
        self.seek_armed = self.seeks.len() > 0;
        for (peer, path) in met {
            fx.found(peer, path);
        }
        for ring in due.wider {
            self.ask(ring, fx);
        }
        for target in due.in_vain {
            fx.not_found(target);
        }
        if self.seek_armed {
            fx.arm(self.config.hop_wait, Timer::Seek);
        }
    }

    /// Somebody asks for a node: the answer, or whom to ask on.
    fn on_seek(
        &mut self,
        now: Time,
        from: P,
        asked: &Asked<P>,
        known: Option<P>,
        fx: &mut impl Effects<P, D>,
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
            neighbor.or(known.filter(|known| known.node() == target))
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
        let on = Message::Seek { origin, number, target, path, hops_left };
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
    fn on_found(
        &mut self,
        now: Time,
        from: P,
        (origin, number): (P, u64),
        peer: P,
        fx: &mut impl Effects<P, D>,
    ) {
        if origin == self.me {
            if let Some(seek) = self.seeks.answered(number, peer) {
                if seek.path {
                    self.learn(now, peer, from);
                }
                fx.found(peer, seek.path);
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
            self.ways.learn(now, to, next, self.config.routes_capacity);
        }
    }

    fn relay(&mut self, now: Time, to: P, number: u64, data: D, fx: &mut impl Effects<P, D>) {
        let (origin, hops_left) = (self.me, self.config.most_hops());
        if to == self.me {
            return fx.deliver(origin, origin, data);
        }
        let carried = Carried { origin, to, number, hops_left, data };
        if self.pass(now, None, carried, fx).is_err() {
            fx.lost(to, number);
        }
    }

    fn on_relay(
        &mut self,
        now: Time,
        from: P,
        carried: Carried<P, D>,
        fx: &mut impl Effects<P, D>,
    ) {
        let (origin, to, number) = (carried.origin, carried.to, carried.number);
        if to == self.me {
            let new = !self.passed.contains((origin, number));
            if new && origin != self.me && self.config.fits(&carried.data) {
                self.remember(now, (origin, number), Passed { from: Some(from), to, next: None });
                self.ways.used(now, origin, from);
                fx.deliver(origin, from, carried.data);
            }
        } else if self.pass(now, Some(from), carried, fx).is_err() {
            fx.send(from, Message::Lost { origin, number });
        }
    }

    /// Passes a datagram on, or says that there is no way.
    fn pass(
        &mut self,
        now: Time,
        from: Option<P>,
        carried: Carried<P, D>,
        fx: &mut impl Effects<P, D>,
    ) -> Result<(), NoWay> {
        let Carried { origin, to, number, hops_left, data } = carried;
        let came_round =
            self.passed.contains((origin, number)) || from.is_some() && self.is_me(origin.node());
        let next = self.next_hop(to).ok_or(NoWay)?;
        if came_round || from == Some(next) {
            // The ways form a circle. It ends here, and word of the loss undoes it hop by hop.
            return Err(NoWay);
        }
        let hops_left = hops_left.checked_sub(1).ok_or(NoWay)?;
        if !self.config.fits(&data) {
            return Err(NoWay);
        }
        self.remember(now, (origin, number), Passed { from, to, next: Some(next) });
        self.ways.used(now, to, next);
        if let Some(from) = from {
            self.ways.used(now, origin, from);
        }
        fx.send(next, Message::Relay { origin, to, number, hops_left, data });
        Ok(())
    }

    fn remember(&mut self, now: Time, name: (P, u64), passed: Passed<P>) {
        self.passed.trim(self.config.relays_capacity);
        self.passed.insert(now, name, passed);
    }

    /// A datagram went no further: back to its sender. Each hop says so once.
    fn on_lost(&mut self, from: P, (origin, number): (P, u64), fx: &mut impl Effects<P, D>) {
        let Some(passed) = self.passed.get_mut((origin, number)) else { return };
        if passed.next != Some(from) {
            return;
        }
        passed.next = None;
        let (back, to) = (passed.from, passed.to);
        self.ways.unlearn(to, from);
        match back {
            None => fx.lost(to, number),
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
        self.ways.forget(now, self.config.route_wait);
    }

    fn remembers(&self) -> bool {
        self.seen.len() + self.passed.len() + self.ways.len() > 0
    }

    fn arm_forget(&mut self, fx: &mut impl Effects<P, D>) {
        if !self.forget_armed && self.remembers() {
            self.forget_armed = true;
            fx.arm(self.config.memory(), Timer::Forget);
        }
    }

    /// The first invariant that does not hold, if any.
    ///
    /// # Errors
    /// Names the invariant and shows the state.
    pub fn check(&self) -> Result<(), Violation> {
        let detail = || alloc::format!("{self:?}");
        let config = &self.config;
        for (holds, rule) in [
            (
                self.seen.is_within(config.seen_capacity)
                    && self.passed.is_within(config.relays_capacity)
                    && self.ways.len() <= config.routes_capacity
                    && self.seeks.len() <= config.seeks_capacity,
                "what a router remembers is bounded",
            ),
            (
                self.ways.all(|to, next| to.node() != self.me.node() && self.is_neighbor(next)),
                "a way starts with a neighbour and leads to somebody else",
            ),
            (
                self.neighbors.iter().all(|peer| {
                    *peer != self.me && self.neighbors.iter().filter(|p| *p == peer).count() == 1
                }),
                "a router has each neighbour once",
            ),
            (self.seeks.len() == 0 || self.seek_armed, "a lookup has a timer"),
            (!self.remembers() || self.forget_armed, "what is remembered will be forgotten"),
        ] {
            Violation::unless(holds, rule, detail)?;
        }
        Ok(())
    }
}

/// A datagram goes no further.
struct NoWay;
