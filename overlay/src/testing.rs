//! A host for tests, the third beside nodes and simulations: one stack on a clock that a test moves.
//!
//! [`Host`] feeds a [`Stack`] inputs, hands its timers back and returns what it said. After each input
//! it holds the stack to its invariants and to the rules of the seam. [`Neighbors`] stands in for a
//! membership where only a broadcast strategy or a service is tested.
//!
//! ```
//! use murmurate::broadcast::Flood;
//! use murmurate::stack::Input;
//! use murmurate::testing::{Effect, Host, Neighbors};
//! use murmurate::Stack;
//!
//! # #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
//! # struct Bird(u8);
//! # impl murmurate::membership::Peer for Bird {
//! #     type Node = u8;
//! #     fn node(self) -> u8 {
//! #         self.0
//! #     }
//! # }
//! # type Id = murmurate::broadcast::MessageId<Bird>;
//! let flood = Flood::<Bird, Id, ()>::new(Default::default());
//! let mut host = Host::new(Stack::new(Neighbors::of(Bird(0)), flood));
//! host.feed(Input::Join(vec![Bird(1), Bird(2)]));
//!
//! let id = Id { origin: Bird(0), sequence: 0 };
//! let effects = host.feed(Input::Publish { id, payload: () });
//! let to: Vec<Bird> = effects.into_iter().filter_map(|effect| Some(effect.sent()?.0)).collect();
//! assert_eq!(to, [Bird(1), Bird(2)]);
//! ```

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use core::convert::Infallible;
use core::fmt::Debug;
use core::time::Duration;

use murmurate_broadcast::{Broadcast, Origin};
use murmurate_membership::{
    self as membership, DownReason, Mark, Membership, Notice, Peer, Time, Violation,
};

use crate::service::Service;
use crate::stack::{self, Effects, Input, Stack};

/// The messages of a stack.
pub type Message<M, B, S = ()> = stack::Message<
    <M as Membership>::Message,
    <B as Broadcast>::Message,
    <S as Service<<M as Membership>::Peer, <B as Broadcast>::Payload>>::Message,
>;

/// The timers of a stack.
pub type Timer<M, B, S = ()> = stack::Timer<
    <M as Membership>::Timer,
    <B as Broadcast>::Timer,
    <S as Service<<M as Membership>::Peer, <B as Broadcast>::Payload>>::Timer,
>;

/// What a stack said: a call of [`Effects`].
#[derive(Debug, Clone)]
pub enum Effect<M: Membership, B: Broadcast, S: Service<M::Peer, B::Payload> = ()> {
    /// [`Effects::send`].
    Send(M::Peer, Message<M, B, S>),
    /// [`Effects::arm`].
    Arm(Duration, Timer<M, B, S>),
    /// [`Effects::emit`].
    Emit(S::Event),
    /// [`Effects::broadcast`].
    Broadcast(B::Payload),
    /// [`Effects::deliver`] or [`Effects::deliver_past`].
    Deliver {
        /// Its name.
        id: B::Id,
        /// Links it has crossed.
        hops: u16,
        /// Its content.
        payload: B::Payload,
        /// Whether it was published before this peer joined.
        past: bool,
    },
    /// [`Effects::missed`].
    Missed(Origin<B>, u64),
    /// [`Effects::neighbor_up`].
    NeighborUp(M::Peer),
    /// [`Effects::neighbor_down`].
    NeighborDown(M::Peer, DownReason),
    /// [`Effects::notify`].
    Notify(Notice),
    /// [`Effects::mark`].
    Mark(Mark),
}

impl<M: Membership, B: Broadcast, S: Service<M::Peer, B::Payload>> Effect<M, B, S> {
    /// The message that is sent, and to whom.
    #[must_use]
    pub fn sent(self) -> Option<(M::Peer, Message<M, B, S>)> {
        if let Self::Send(to, message) = self { Some((to, message)) } else { None }
    }

    /// The event for the application.
    #[must_use]
    pub fn emitted(self) -> Option<S::Event> {
        if let Self::Emit(event) = self { Some(event) } else { None }
    }

    /// The name of the broadcast that is delivered, and the links it has crossed.
    #[must_use]
    pub fn delivered(&self) -> Option<(B::Id, u16)> {
        if let Self::Deliver { id, hops, .. } = self { Some((*id, *hops)) } else { None }
    }
}

/// One stack, its clock and its timers.
#[derive(Debug, Clone)]
pub struct Host<M: Membership, B: Broadcast, S: Service<M::Peer, B::Payload> = ()> {
    stack: Stack<M, B, S>,
    now: Time,
    armed: Vec<(Time, Timer<M, B, S>)>,
    neighbors: BTreeSet<M::Peer>,
    known: BTreeMap<<M::Peer as Peer>::Node, M::Peer>,
}

impl<M, B, S> Host<M, B, S>
where
    M: Membership<Timer: PartialEq>,
    B: Broadcast<Peer = M::Peer, Timer: PartialEq>,
    S: Service<M::Peer, B::Payload>,
{
    /// A host of a stack that has not seen any input yet. Its clock stands at [`Time::ZERO`].
    #[must_use]
    pub fn new(stack: Stack<M, B, S>) -> Self {
        Self {
            stack,
            now: Time::ZERO,
            armed: Vec::new(),
            neighbors: BTreeSet::new(),
            known: BTreeMap::new(),
        }
    }

    /// The stack.
    pub fn stack(&self) -> &Stack<M, B, S> {
        &self.stack
    }

    /// The time on its clock.
    pub fn now(&self) -> Time {
        self.now
    }

    /// The timers outstanding, and when each is due, in the order in which they were armed.
    pub fn armed(&self) -> &[(Time, Timer<M, B, S>)] {
        &self.armed
    }

    /// Sets what [`Effects::known`] tells of a node; `None` leaves it to the views.
    pub fn know(&mut self, node: <M::Peer as Peer>::Node, peer: Option<M::Peer>) {
        match peer {
            Some(peer) => self.known.insert(node, peer),
            None => self.known.remove(&node),
        };
    }

    /// Gives the stack one input and checks it. Returns what it said, in order. A timer that is handed back
    /// is outstanding no longer.
    ///
    /// # Panics
    /// As [`Host::handle`] and [`Host::check`].
    #[track_caller]
    pub fn feed(&mut self, input: Input<M, B, S>) -> Vec<Effect<M, B, S>> {
        let effects = self.handle(input);
        self.check();
        effects
    }

    /// The same without [`Host::check`], which takes longer than the input where there is much to check.
    ///
    /// # Panics
    /// If a rule of the seam is broken: a timer is armed that is outstanding, or a neighbour comes or goes
    /// twice.
    #[track_caller]
    pub fn handle(&mut self, input: Input<M, B, S>) -> Vec<Effect<M, B, S>> {
        if let Input::Expired(timer) = &input {
            self.armed.retain(|(_, armed)| armed != timer);
        }
        let mut recorder = Recorder { known: &self.known, effects: Vec::new() };
        self.stack.handle(self.now, input, &mut recorder);
        let effects = recorder.effects;
        for effect in &effects {
            match *effect {
                Effect::Arm(after, timer) => {
                    let outstanding = self.armed.iter().any(|(_, armed)| *armed == timer);
                    assert!(!outstanding, "{timer:?} is armed while it is outstanding");
                    self.armed.push((self.now.after(after), timer));
                }
                Effect::NeighborUp(peer) => {
                    assert!(self.neighbors.insert(peer), "{peer:?} comes and is a neighbour");
                }
                Effect::NeighborDown(peer, _) => {
                    assert!(self.neighbors.remove(&peer), "{peer:?} goes and is no neighbour");
                }
                _ => {}
            }
        }
        effects
    }

    /// Checks all invariants.
    ///
    /// # Panics
    /// If an invariant of the stack is broken, or the active view is not what the stack told of it.
    #[track_caller]
    pub fn check(&self) {
        let checked = self.stack.check();
        assert!(checked.is_ok(), "{checked:?}");
        let active: BTreeSet<_> = self.stack.membership().active().collect();
        assert_eq!(active, self.neighbors, "the active view is what was told");
    }

    /// A message arrives.
    ///
    /// # Panics
    /// As [`Host::feed`].
    #[track_caller]
    pub fn receive(&mut self, from: M::Peer, message: Message<M, B, S>) -> Vec<Effect<M, B, S>> {
        self.feed(Input::Receive { from, message })
    }

    /// Moves the clock without handing timers back: they come late.
    pub fn delay(&mut self, time: Duration) {
        self.now = self.now.after(time);
    }

    /// Moves the clock to when the next timer is due, if it is not past, and hands it back. Returns what the
    /// stack said; nothing if no timer is outstanding.
    ///
    /// # Panics
    /// As [`Host::feed`].
    #[track_caller]
    pub fn expire_next(&mut self) -> Option<Vec<Effect<M, B, S>>> {
        let (due, timer) = *self.armed.iter().min_by_key(|(due, _)| *due)?;
        self.now = self.now.max(due);
        Some(self.feed(Input::Expired(timer)))
    }

    /// Lets time pass. Timers are handed back when they are due. Returns what the stack said.
    ///
    /// # Panics
    /// As [`Host::feed`].
    #[track_caller]
    pub fn pass(&mut self, time: Duration) -> Vec<Effect<M, B, S>> {
        let end = self.now.after(time);
        let mut effects = Vec::new();
        while self.armed.iter().any(|(due, _)| *due <= end) {
            effects.extend(self.expire_next().unwrap_or_default());
        }
        self.now = end;
        effects
    }
}

struct Recorder<'a, M: Membership, B: Broadcast, S: Service<M::Peer, B::Payload>> {
    known: &'a BTreeMap<<M::Peer as Peer>::Node, M::Peer>,
    effects: Vec<Effect<M, B, S>>,
}

impl<M, B, S> Effects<M, B, S> for Recorder<'_, M, B, S>
where
    M: Membership,
    B: Broadcast<Peer = M::Peer>,
    S: Service<M::Peer, B::Payload>,
{
    fn send(&mut self, to: M::Peer, message: Message<M, B, S>) {
        self.effects.push(Effect::Send(to, message));
    }

    fn arm(&mut self, after: Duration, timer: Timer<M, B, S>) {
        self.effects.push(Effect::Arm(after, timer));
    }

    fn emit(&mut self, event: S::Event) {
        self.effects.push(Effect::Emit(event));
    }

    fn broadcast(&mut self, payload: B::Payload) {
        self.effects.push(Effect::Broadcast(payload));
    }

    fn known(&self, node: <M::Peer as Peer>::Node, viewed: Option<M::Peer>) -> Option<M::Peer> {
        self.known.get(&node).copied().or(viewed)
    }

    fn deliver(&mut self, id: B::Id, hops: u16, payload: B::Payload) {
        self.effects.push(Effect::Deliver { id, hops, payload, past: false });
    }

    fn deliver_past(&mut self, id: B::Id, hops: u16, payload: B::Payload) {
        self.effects.push(Effect::Deliver { id, hops, payload, past: true });
    }

    fn missed(&mut self, origin: Origin<B>, count: u64) {
        self.effects.push(Effect::Missed(origin, count));
    }

    fn neighbor_up(&mut self, peer: M::Peer) {
        self.effects.push(Effect::NeighborUp(peer));
    }

    fn neighbor_down(&mut self, peer: M::Peer, reason: DownReason) {
        self.effects.push(Effect::NeighborDown(peer, reason));
    }

    fn notify(&mut self, notice: Notice) {
        self.effects.push(Effect::Notify(notice));
    }

    fn mark(&mut self, mark: Mark) {
        self.effects.push(Effect::Mark(mark));
    }
}

/// A membership that does as it is told: contacts are neighbours at once, until their link is down.
#[derive(Debug, Clone)]
pub struct Neighbors<P> {
    me: P,
    active: Vec<P>,
}

impl<P: Peer> Neighbors<P> {
    /// The neighbours of `me`: nobody yet.
    #[must_use]
    pub fn of(me: P) -> Self {
        Self { me, active: Vec::new() }
    }
}

impl<P: Peer> Membership for Neighbors<P> {
    type Peer = P;
    type Message = Infallible;
    type Timer = Infallible;

    fn handle<E: membership::Effects<Self>>(
        &mut self,
        _now: Time,
        input: membership::Input<P, Infallible, Infallible>,
        fx: &mut E,
    ) {
        use membership::Input;
        match input {
            Input::Join(contacts) => {
                for peer in contacts {
                    if peer != self.me && !self.active.contains(&peer) {
                        self.active.push(peer);
                        fx.neighbor_up(peer);
                    }
                }
            }
            Input::LinkDown(peer) => {
                if let Some(at) = self.active.iter().position(|held| *held == peer) {
                    self.active.remove(at);
                    fx.neighbor_down(peer, DownReason::Failed);
                }
            }
            Input::Leave => {
                for peer in core::mem::take(&mut self.active) {
                    fx.neighbor_down(peer, DownReason::Leaving);
                }
            }
            Input::Restarted(_) => {}
            Input::Receive { message: never, .. } | Input::Expired(never) => match never {},
        }
    }

    fn me(&self) -> P {
        self.me
    }

    fn active(&self) -> impl ExactSizeIterator<Item = P> + Clone {
        self.active.iter().copied()
    }

    fn passive(&self) -> impl ExactSizeIterator<Item = P> + Clone {
        core::iter::empty()
    }

    fn each_named(message: &Infallible, _visit: impl FnMut(P)) {
        match *message {}
    }

    fn check(&self) -> Result<(), Violation> {
        Ok(())
    }
}
