//! SCAMP: directed views that grow to (c + 1) ln n by themselves. A baseline, as HyParView's paper has it.
//!
//! After Ganesh, Kermarrec, Massoulié: *Peer-to-peer membership management for gossip-based protocols*,
//! IEEE Transactions on Computers, 2003. A peer subscribes through a contact, copies of the
//! subscription wander over the views, and each is kept with a probability of 1 / (1 + view). Whoever
//! keeps it tells the subscriber, which knows by its in-view who gossips to it. The view is the active
//! view; its peers were not asked. There is no passive view. Random gossip is what the paper
//! broadcasts with.
//!
//! Nobody looks for the dead: they leave views when their leases are over. Where this differs from the
//! paper: hops are counted in the message, not at each peer; the walk to the one that acts as contact
//! (indirection) needs no weights of links; views have a bound; whoever knows nobody asks its contacts again.
//!
//! | room | what |
//! |---|---|
//! | `subscribe` | contacts, indirection, copies, who keeps them |
//! | `upkeep` | leases, heartbeats, unsubscription |

mod config;
mod figures;
pub mod marks;
mod message;
mod subscribe;
#[cfg(test)]
mod tests;
mod upkeep;

use alloc::string::String;
use alloc::sync::Arc;

use rand::SeedableRng;
use rand_xoshiro::SplitMix64;
use thin_vec::ThinVec;

pub use crate::ConfigError;
pub use config::{Config, Parameters};
pub use message::Message;

use crate::protocol::{DownReason, Effects, Input, Membership, Notice, Violation};
use crate::{NodeFigure, Peer, Time};

/// One peer's SCAMP.
#[derive(Debug, Clone)]
pub struct Scamp<P> {
    me: P,
    config: Arc<Config>,
    rng: SplitMix64,
    /// The paper's PartialView.
    view: ThinVec<Entry<P>>,
    /// The paper's InView: whoever said since the last lease that this peer is in its view.
    in_view: ThinVec<P>,
    contacts: ThinVec<P>,
    /// Heartbeat intervals since somebody was heard that has this peer in its view.
    silent: u8,
    /// A contact was asked and has not answered.
    waits: bool,
    phase: Phase,
    join_armed: bool,
}

#[cfg(feature = "serde")]
crate::snapshot! {
    impl[P: Peer + crate::snapshot::Stored] Scamp<P> [] {
        rng, view, in_view, contacts, silent, waits, phase, join_armed
    } but { me, config }
}

/// A peer in the view.
#[derive(Debug, Clone, Copy)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
struct Entry<P> {
    peer: P,
    /// When its lease is over.
    expires: Time,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
enum Phase {
    Idle,
    Running,
    Left,
}

/// SCAMP's timers. At most one of each kind is outstanding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Timer {
    /// Tell the peers in the view, drop those whose leases are over.
    Heartbeat,
    /// This peer's own lease is over.
    Lease,
    /// Ask a contact again.
    Join,
}

impl<P: Peer> Scamp<P> {
    /// A peer that takes part once it is told to join. Every random choice follows from `seed`.
    #[must_use]
    pub fn new(me: P, config: Arc<Config>, seed: u64) -> Self {
        Self {
            me,
            rng: SplitMix64::seed_from_u64(seed),
            view: ThinVec::new(),
            in_view: ThinVec::new(),
            contacts: ThinVec::new(),
            silent: 0,
            waits: false,
            phase: Phase::Idle,
            join_armed: false,
            config,
        }
    }

    /// Peers that have said that this one is in their views.
    #[must_use]
    pub fn in_view(&self) -> &[P] {
        &self.in_view
    }

    /// Takes a peer into the view, or notes that its lease lasts longer. Says whether it is in the view
    /// now and was not before.
    fn add(&mut self, peer: P, expires: Time, fx: &mut impl Effects<Self>) -> bool {
        if peer.is_same_node(self.me) {
            return false;
        }
        if let Some(at) = self.view.iter().position(|entry| entry.peer.is_same_node(peer)) {
            self.renew(at, peer, fx);
            let entry = &mut self.view[at];
            entry.expires = entry.expires.max(expires);
            return entry.peer == peer;
        }
        if self.view.len() >= self.config.view_capacity {
            fx.mark(marks::SCAMP_FULL);
            return false;
        }
        self.view.push(Entry { peer, expires });
        fx.neighbor_up(peer);
        if self.view.len() == 1 {
            fx.notify(Notice::Joined);
        }
        true
    }

    fn remove(&mut self, at: usize, reason: DownReason, fx: &mut impl Effects<Self>) {
        let peer = self.view.swap_remove(at).peer;
        fx.neighbor_down(peer, reason);
        if self.view.is_empty() {
            fx.notify(Notice::Isolated);
            self.seek(fx);
        }
    }

    /// A later incarnation takes the place of a peer in the view.
    fn renew(&mut self, at: usize, peer: P, fx: &mut impl Effects<Self>) {
        let held = self.view[at].peer;
        if peer.supersedes(held) {
            fx.mark(marks::SCAMP_RESTARTED);
            self.view[at].peer = peer;
            fx.neighbor_down(held, DownReason::Restarted);
            fx.neighbor_up(peer);
        }
    }

    /// Notes that `peer` runs: it takes the places of an older incarnation.
    fn meets(&mut self, peer: P, fx: &mut impl Effects<Self>) {
        if let Some(contact) = self.contacts.iter_mut().find(|held| peer.supersedes(**held)) {
            *contact = peer;
        }
        // A new incarnation has nobody in its view yet.
        self.in_view.retain(|held| !peer.supersedes(*held));
        if let Some(at) = self.view.iter().position(|entry| entry.peer.is_same_node(peer)) {
            self.renew(at, peer, fx);
        }
    }

    /// §2.1: the in-view is those that gossip to this peer.
    fn on_kept(&mut self, from: P, fx: &mut impl Effects<Self>) {
        self.silent = 0;
        if self.in_view.iter().any(|held| held.is_same_node(from)) {
            return;
        }
        if self.in_view.len() >= self.config.view_capacity {
            return fx.mark(marks::SCAMP_FULL);
        }
        self.in_view.push(from);
    }

    fn receive(&mut self, now: Time, from: P, message: &Message<P>, fx: &mut impl Effects<Self>) {
        if self.phase != Phase::Running || from.is_same_node(self.me) {
            return;
        }
        self.meets(from, fx);
        match *message {
            Message::Subscribe { renewed } => {
                let ttl = self.config.indirection_length;
                self.on_indirect(now, from, (from, renewed, ttl, 0), fx);
            }
            Message::Indirect { subscriber, renewed, ttl, degree } => {
                self.on_indirect(now, from, (subscriber, renewed, ttl, degree), fx);
            }
            Message::Accept => self.on_accept(now, from, fx),
            Message::Forward { subscriber, ttl } => self.on_forward(now, subscriber, ttl, fx),
            Message::Kept => self.on_kept(from, fx),
            Message::Unsubscribe { instead } => self.on_unsubscribe(now, from, instead, fx),
            Message::Heartbeat => self.silent = 0,
        }
    }
}

impl<P: Peer> Membership for Scamp<P> {
    type Peer = P;
    type Message = Message<P>;
    type Timer = Timer;

    fn handle<E: Effects<Self>>(
        &mut self,
        now: Time,
        input: Input<P, Message<P>, Timer>,
        fx: &mut E,
    ) {
        match input {
            Input::Join(contacts) => self.join(&contacts, fx),
            Input::Receive { from, message } => self.receive(now, from, &message, fx),
            Input::Leave => self.leave(fx),
            // Before joining there is nothing to do, and whoever left does nothing any more.
            Input::Expired(_) | Input::LinkDown(_) | Input::Restarted(_)
                if self.phase != Phase::Running => {}
            Input::Expired(Timer::Heartbeat) => self.on_heartbeat_timer(now, fx),
            Input::Expired(Timer::Lease) => self.on_lease_timer(fx),
            Input::Expired(Timer::Join) => self.on_join_timer(fx),
            Input::LinkDown(peer) => {
                if self.view.iter().any(|entry| entry.peer == peer) {
                    fx.mark(marks::SCAMP_UNREACHABLE);
                }
            }
            Input::Restarted(peer) => {
                if !peer.is_same_node(self.me) {
                    self.meets(peer, fx);
                }
            }
        }
    }

    fn me(&self) -> P {
        self.me
    }

    fn active(&self) -> impl ExactSizeIterator<Item = P> + Clone {
        self.view.iter().map(|entry| entry.peer)
    }

    fn passive(&self) -> impl ExactSizeIterator<Item = P> + Clone {
        core::iter::empty()
    }

    fn each_named(message: &Message<P>, visit: impl FnMut(P)) {
        message.named().into_iter().for_each(visit);
    }

    fn each_figure(&self, visit: &mut dyn FnMut(NodeFigure, f64)) {
        visit(figures::IN_VIEW, self.in_view.len() as f64);
    }

    fn check(&self) -> Result<(), Violation> {
        let detail = || -> String { alloc::format!("{self:?}") };
        let rule = |holds, rule| Violation::unless(holds, rule, detail);
        let capacity = self.config.view_capacity;
        rule(self.view.len() <= capacity, "the view is within its capacity")?;
        rule(self.in_view.len() <= capacity, "the in-view is within its capacity")?;
        rule(self.contacts.len() <= self.config.contacts_capacity, "contacts are bounded")?;
        let each_once = |peers: &[P]| {
            peers.iter().enumerate().all(|(at, peer)| {
                let others = peers[..at].iter().chain([&self.me]);
                others.into_iter().all(|other| !other.is_same_node(*peer))
            })
        };
        let view: ThinVec<P> = self.active().collect();
        rule(each_once(&view), "a node is in the view once, and never in its own")?;
        rule(each_once(&self.in_view), "a node is in the in-view once, and never in its own")?;
        rule(each_once(&self.contacts), "a node is a contact once, and never its own")?;
        match self.phase {
            Phase::Running => rule(
                self.join_armed || !view.is_empty() || self.contacts.is_empty(),
                "whoever knows nobody asks its contacts again",
            ),
            Phase::Idle | Phase::Left => {
                rule(view.is_empty() && self.in_view.is_empty(), "no view outside the overlay")
            }
        }
    }
}
