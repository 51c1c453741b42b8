//! Cyclon: one view, refreshed by shuffles with the oldest peer in it. A baseline, as HyParView's paper has
//! it.
//!
//! After Voulgaris, Gavidia, van Steen: *CYCLON: inexpensive membership management for unstructured P2P
//! overlays*, Journal of Network and Systems Management, 2005, with enhanced shuffling. Views are
//! directed: whoever is in one was not asked, and need not hold its holder. So the active view is the
//! peers that this one gossips to, and there is no passive view. Links change with every shuffle, so a tree
//! over them does not last; random gossip is what the paper broadcasts with.
//!
//! The dead leave views only by shuffles: the oldest entry is dropped whether or not its peer answers.
//! With `acknowledged`, which HyParView's paper calls CyclonAcked, also whoever the host cannot reach
//! does. Two things are not in the paper: whoever knows nobody asks its contacts again, and whoever
//! knows only one peer keeps it while it shuffles with it.

mod config;
mod join;
pub mod marks;
mod message;
mod shuffle;
#[cfg(test)]
mod tests;

use alloc::string::String;
use alloc::sync::Arc;

use rand::SeedableRng;
use rand_xoshiro::SplitMix64;
use thin_vec::ThinVec;

pub use crate::ConfigError;
pub use config::{Config, Parameters};
pub use message::{Entry, MAX_SAMPLE, Message};

use crate::protocol::{DownReason, Effects, Input, Membership, Notice, Violation};
use crate::{Peer, Time};

/// One peer's Cyclon.
#[derive(Debug, Clone)]
pub struct Cyclon<P> {
    me: P,
    config: Arc<Config>,
    rng: SplitMix64,
    view: ThinVec<Entry<P>>,
    contacts: ThinVec<P>,
    /// Whom the last shuffle went to, until it answers.
    partner: Option<P>,
    /// What it named, until then: what comes in return may take these places.
    sent: ThinVec<P>,
    /// Answers that may still come to the last attempt to join.
    welcomes: usize,
    phase: Phase,
    join_armed: bool,
}

#[cfg(feature = "serde")]
crate::snapshot! {
    impl[P: Peer + crate::snapshot::Stored] Cyclon<P> [] {
        rng, view, contacts, partner, sent, welcomes, phase, join_armed
    } but { me, config }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
enum Phase {
    Idle,
    Running,
    Left,
}

/// Cyclon's timers. At most one of each kind is outstanding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Timer {
    /// Shuffle with the oldest.
    Shuffle,
    /// Ask a contact again.
    Join,
}

impl<P: Peer> Cyclon<P> {
    /// A peer that takes part once it is told to join. Every random choice follows from `seed`.
    #[must_use]
    pub fn new(me: P, config: Arc<Config>, seed: u64) -> Self {
        Self {
            me,
            rng: SplitMix64::seed_from_u64(seed),
            view: ThinVec::new(),
            contacts: ThinVec::new(),
            partner: None,
            sent: ThinVec::new(),
            welcomes: 0,
            phase: Phase::Idle,
            join_armed: false,
            config,
        }
    }

    /// The view with its ages.
    #[must_use]
    pub fn view(&self) -> &[Entry<P>] {
        &self.view
    }

    fn position_of_node(&self, peer: P) -> Option<usize> {
        self.view.iter().position(|entry| entry.peer.is_same_node(peer))
    }

    fn add(&mut self, entry: Entry<P>, fx: &mut impl Effects<Self>) {
        self.view.push(entry);
        fx.neighbor_up(entry.peer);
        if self.view.len() == 1 {
            fx.notify(Notice::Joined);
        }
    }

    fn remove(&mut self, at: usize, reason: DownReason, fx: &mut impl Effects<Self>) {
        let peer = self.view.swap_remove(at).peer;
        fx.neighbor_down(peer, reason);
        if self.view.is_empty() {
            fx.notify(Notice::Isolated);
            self.seek(fx);
        }
    }

    /// Notes that `peer` runs: it takes the place of an older incarnation.
    fn meets(&mut self, peer: P, fx: &mut impl Effects<Self>) {
        if let Some(contact) = self.contacts.iter_mut().find(|held| peer.supersedes(**held)) {
            *contact = peer;
        }
        if let Some(at) = self.position_of_node(peer) {
            self.renew(at, Entry::new(peer), fx);
        }
    }

    /// What is heard of a node in the view counts if it is a later incarnation.
    fn renew(&mut self, at: usize, entry: Entry<P>, fx: &mut impl Effects<Self>) {
        let held = self.view[at].peer;
        if entry.peer.supersedes(held) {
            fx.mark(marks::CYCLON_RESTARTED);
            self.view[at] = entry;
            fx.neighbor_down(held, DownReason::Restarted);
            fx.neighbor_up(entry.peer);
        }
    }

    fn receive(&mut self, from: P, message: Message<P>, fx: &mut impl Effects<Self>) {
        if self.phase != Phase::Running || from.is_same_node(self.me) {
            return;
        }
        self.meets(from, fx);
        match message {
            Message::Join => self.on_join(from, fx),
            Message::Walk { joiner, ttl } => self.on_walk(joiner, ttl, fx),
            Message::Welcome { entry } => self.on_welcome(entry, fx),
            Message::Shuffle { sample } => self.on_shuffle(from, &sample, fx),
            Message::ShuffleReply { sample } => self.on_shuffle_reply(from, &sample, fx),
        }
    }

    fn on_link_down(&mut self, peer: P, fx: &mut impl Effects<Self>) {
        let Some(at) = self.view.iter().position(|entry| entry.peer == peer) else { return };
        if self.config.acknowledged {
            self.remove(at, DownReason::Failed, fx);
        } else {
            fx.mark(marks::CYCLON_NOT_ACKNOWLEDGED);
        }
    }
}

impl<P: Peer> Membership for Cyclon<P> {
    type Peer = P;
    type Message = Message<P>;
    type Timer = Timer;

    fn handle<E: Effects<Self>>(
        &mut self,
        _now: Time,
        input: Input<P, Message<P>, Timer>,
        fx: &mut E,
    ) {
        match input {
            Input::Join(contacts) => self.join(&contacts, fx),
            Input::Receive { from, message } => self.receive(from, message, fx),
            Input::Leave => self.leave(fx),
            // Before joining there is nothing to do, and whoever left does nothing any more.
            Input::Expired(_) | Input::LinkDown(_) | Input::Restarted(_)
                if self.phase != Phase::Running => {}
            Input::Expired(Timer::Shuffle) => self.on_shuffle_timer(fx),
            Input::Expired(Timer::Join) => self.on_join_timer(fx),
            Input::LinkDown(peer) => self.on_link_down(peer, fx),
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
        message.each_named(visit);
    }

    fn check(&self) -> Result<(), Violation> {
        let detail = || -> String { alloc::format!("{self:?}") };
        let rule = |holds, rule| Violation::unless(holds, rule, detail);
        let (view, contacts) = (&self.view, &self.contacts);
        rule(view.len() <= self.config.view_capacity, "the view is within its capacity")?;
        rule(contacts.len() <= self.config.contacts_capacity, "contacts are bounded")?;
        rule(self.sent.len() < self.config.shuffle_length, "the memory of a shuffle is bounded")?;
        rule(
            self.sent.is_empty() || self.partner.is_some(),
            "a shuffle is remembered while its answer may come",
        )?;
        for (at, entry) in view.iter().enumerate() {
            rule(!entry.peer.is_same_node(self.me), "self is in no view")?;
            let mut others = view[..at].iter();
            rule(
                others.all(|other| !other.peer.is_same_node(entry.peer)),
                "a node is in the view once",
            )?;
        }
        rule(
            contacts.iter().all(|contact| !contact.is_same_node(self.me)),
            "a peer is not its own contact",
        )?;
        match self.phase {
            Phase::Running => rule(
                self.join_armed || !view.is_empty() || contacts.is_empty(),
                "whoever knows nobody asks its contacts again",
            ),
            Phase::Idle | Phase::Left => {
                rule(view.is_empty() && self.partner.is_none(), "no view outside the overlay")
            }
        }
    }
}
