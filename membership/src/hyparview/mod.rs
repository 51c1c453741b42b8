//! HyParView: a small symmetric active view that carries the traffic and a larger passive view to
//! repair it from.
//!
//! After Leitão, Pereira, Rodrigues: *HyParView: a membership protocol for reliable gossip-based
//! broadcast*, DSN 2007. Where the paper leans on TCP and on a simulator without latency, this
//! says it explicitly: links are agreed by both sides (see the crate's `links`), peers carry
//! incarnations, requests time out, an isolated peer goes back to its contacts. Three things are not
//! in the paper: whoever is evicted is introduced to a peer with a free slot, whoever fell silent is
//! tried again, so that overlays that a partition split merge, and a rare random exchange keeps the
//! overlay random.
//!
//! | room | what |
//! |---|---|
//! | `admit` | links asked for, accepted, refused, ended |
//! | `join` | the way in: join, forward join, contacts, leave |
//! | `repair` | failed peers, candidates from the passive view, keep-alives, promotion |
//! | `shuffle` | passive views kept fresh |
//! | `passive` | the passive view |
//! | `reunion` | whoever fell silent, tried again |

mod admit;
mod config;
mod figures;
mod join;
pub mod marks;
mod message;
mod passive;
mod repair;
mod reunion;
mod shuffle;

use alloc::string::String;
use alloc::sync::Arc;

use rand::SeedableRng;
use rand_xoshiro::SplitMix64;
use thin_vec::ThinVec;

pub use crate::ConfigError;
pub use config::{Config, Parameters};
pub use message::{MAX_SAMPLE, Message, Priority};

use crate::links::{LinkNumber, Links};
use crate::protocol::{DownReason, Effects, Input, Membership, Notice, Violation};
use crate::{NodeFigure, Peer, Time};
use passive::Passive;
use reunion::Lost;

/// One peer's HyParView.
///
/// At 32-bit peers and the paper's capacities a value and its heap take about 350 bytes.
#[derive(Debug, Clone)]
pub struct HyParView<P> {
    me: P,
    config: Arc<Config>,
    rng: SplitMix64,
    links: Links<P, Purpose<P>>,
    passive: Passive<P>,
    contacts: ThinVec<P>,
    /// Peers that fell silent and contacts that have not been linked yet, to be tried again.
    lost: ThinVec<Lost<P>>,
    /// What the last shuffle sent, until its reply comes: evicted first when the reply needs room.
    sent: ThinVec<P>,
    /// The next random promotion, once a keep-alive tick has passed it.
    promotion_due: Time,
    /// Contacts asked in vain since the last neighbour.
    join_attempts: u16,
    phase: Phase,
    rejoin_armed: bool,
}

#[cfg(feature = "serde")]
crate::snapshot! {
    impl[P: Peer + crate::snapshot::Stored] HyParView<P> [] {
        rng, links, passive, contacts, lost, sent, promotion_due, join_attempts, phase, rejoin_armed
    } but { me, config }
}

/// Why a link was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
enum Purpose<P> {
    /// To enter the overlay through a contact.
    Join,
    /// To admit a joiner whose forward join ended here.
    Admit,
    /// To fill a free slot.
    Repair,
    /// To swap the neighbour named for the peer asked.
    Exchange { spare: P },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
enum Phase {
    Idle,
    Running,
    Left,
}

/// HyParView's timers. At most one of each kind is outstanding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Timer {
    /// Exchange a sample of the views.
    Shuffle,
    /// Keep links alive, notice silent ones, fill free slots.
    Keepalive,
    /// A request for a link may be overdue.
    Request,
    /// Ask the contacts again.
    Rejoin,
}

impl<P: Peer> HyParView<P> {
    /// A peer that takes part once it is told to join. Every random choice follows from `seed`.
    #[must_use]
    pub fn new(me: P, config: Arc<Config>, seed: u64) -> Self {
        Self {
            me,
            rng: SplitMix64::seed_from_u64(seed),
            links: Links::with_capacity(config.active_capacity),
            passive: Passive::with_capacity(config.passive_capacity),
            contacts: ThinVec::new(),
            lost: ThinVec::new(),
            sent: ThinVec::new(),
            promotion_due: Time::MAX,
            join_attempts: 0,
            phase: Phase::Idle,
            rejoin_armed: false,
            config,
        }
    }

    /// Whether the active view holds as many as it may.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.links.active().len() >= self.config.active_capacity
    }

    /// The number of the link with a peer, if there is one.
    #[must_use]
    pub fn link_number(&self, peer: P) -> Option<u16> {
        self.links.position(peer).map(|at| self.links.active()[at].number)
    }

    /// Peers that were asked for a link and have not answered.
    pub fn asked(&self) -> impl Iterator<Item = P> {
        self.links.requests().iter().map(|request| request.peer)
    }

    /// Peers to join through.
    #[must_use]
    pub fn contacts(&self) -> &[P] {
        &self.contacts
    }

    /// Neither me nor linked: a peer the passive view may hold.
    fn is_stranger(&self, peer: P) -> bool {
        !peer.is_same_node(self.me) && self.links.position_of_node(peer).is_none()
    }

    fn remember(&mut self, peer: P) {
        if self.is_stranger(peer) {
            let capacity = self.config.passive_capacity;
            self.passive.add(peer, capacity, &mut ThinVec::new(), &mut self.rng);
        }
    }

    /// A word from `from`: notes a new incarnation of a node, and says whether the word counts.
    fn hears(&mut self, from: P, fx: &mut impl Effects<Self>) -> bool {
        if from.is_same_node(self.me) {
            return false;
        }
        self.rename(from, fx);
        if let Some(at) = self.links.position_of_node(from) {
            let held = self.links.active()[at].peer;
            if held > from {
                fx.mark(marks::OLD_INCARNATION);
                return false;
            }
            if held < from {
                fx.mark(marks::NEIGHBOR_RESTARTED);
                self.drop_link(at, DownReason::Restarted, fx);
            } else {
                self.links.active_mut()[at].silent = 0;
            }
        }
        true
    }

    fn add_link(&mut self, now: Time, peer: P, link: LinkNumber, fx: &mut impl Effects<Self>) {
        let first = self.links.active().is_empty();
        self.passive.forget_node(peer);
        self.links.link(peer, link);
        self.join_attempts = 0;
        self.find(peer, fx);
        fx.neighbor_up(peer);
        if first {
            self.miss_contacts(now, fx);
            fx.notify(Notice::Joined);
        }
    }

    /// Takes a peer out of the active view; whether it is remembered is the caller's choice.
    fn drop_link(&mut self, at: usize, reason: DownReason, fx: &mut impl Effects<Self>) -> P {
        let peer = self.links.unlink_at(at).peer;
        fx.neighbor_down(peer, reason);
        if self.links.active().is_empty() && self.phase == Phase::Running {
            fx.mark(marks::ISOLATED);
            fx.notify(Notice::Isolated);
        }
        peer
    }

    fn receive(&mut self, now: Time, from: P, message: Message<P>, fx: &mut impl Effects<Self>) {
        if self.phase == Phase::Left {
            return self.refuse_after_leaving(from, &message, fx);
        }
        if self.phase == Phase::Idle || !self.hears(from, fx) {
            return;
        }
        match message {
            Message::Join { link } => self.on_join(now, from, link, fx),
            Message::ForwardJoin { joiner, ttl } => {
                self.on_forward_join(now, from, joiner, ttl, fx);
            }
            Message::Neighbor { link, priority } => {
                self.on_neighbor(now, from, link, priority, fx);
            }
            Message::Accept { link, evicted } => self.on_accept(now, from, link, evicted, fx),
            Message::Reject { link } => self.on_reject(now, from, link, fx),
            Message::Disconnect { link, leaving, instead } => {
                self.on_disconnect(now, from, link, leaving, instead, fx);
            }
            Message::Shuffle { origin, ttl, sample } => {
                self.on_shuffle(now, from, (origin, ttl, sample), fx);
            }
            Message::ShuffleReply { sample } => self.on_shuffle_reply(now, from, &sample, fx),
            Message::Keepalive { link } => self.on_keepalive(from, link, fx),
        }
    }
}

impl<P: Peer> Membership for HyParView<P> {
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
            Input::Receive { from, message } => self.receive(now, from, message, fx),
            // Before joining there is nothing to repair, and whoever left asks nobody any more.
            Input::Expired(_) | Input::LinkDown(_) | Input::Restarted(_)
                if self.phase != Phase::Running => {}
            Input::Expired(Timer::Shuffle) => self.on_shuffle_timer(now, fx),
            Input::Expired(Timer::Keepalive) => self.on_keepalive_timer(now, fx),
            Input::Expired(Timer::Request) => self.on_request_timer(now, fx),
            Input::Expired(Timer::Rejoin) => {
                self.rejoin_armed = false;
                self.repair(now, fx);
            }
            Input::LinkDown(peer) => self.on_link_down(now, peer, fx),
            Input::Restarted(peer) => self.on_restarted(now, peer, fx),
            Input::Join(contacts) => self.join(now, &contacts, fx),
            Input::Leave => self.leave(fx),
        }
    }

    fn me(&self) -> P {
        self.me
    }

    fn active(&self) -> impl ExactSizeIterator<Item = P> + Clone {
        self.links.active().iter().map(|link| link.peer)
    }

    fn passive(&self) -> impl ExactSizeIterator<Item = P> + Clone {
        self.passive.peers().iter().copied()
    }

    fn each_named(message: &Message<P>, visit: impl FnMut(P)) {
        message.each_named(visit);
    }

    fn lost(&self) -> impl Iterator<Item = P> + Clone {
        self.lost.iter().map(|lost| lost.peer)
    }

    fn each_figure(&self, visit: &mut dyn FnMut(NodeFigure, f64)) {
        visit(figures::REQUESTS, self.links.requests().len() as f64);
        visit(figures::CONTACTS, self.contacts.len() as f64);
    }

    fn check(&self) -> Result<(), Violation> {
        let active = self.links.active();
        let passive = self.passive.peers();
        let me = self.me;
        let detail = || -> String { alloc::format!("{self:?}") };
        let rule = |holds, rule| Violation::unless(holds, rule, detail);
        rule(active.len() <= self.config.active_capacity, "active view within its capacity")?;
        rule(passive.len() <= self.config.passive_capacity, "passive view within its capacity")?;
        rule(
            self.links.requests().len() <= self.config.active_capacity + 2,
            "requests under way are bounded",
        )?;
        rule(self.contacts.len() <= self.config.contacts_capacity, "contacts are bounded")?;
        rule(self.lost.len() <= self.config.contacts_capacity, "lost peers are bounded")?;
        rule(
            self.sent.len() <= self.config.shuffle_active + self.config.shuffle_passive,
            "the memory of a shuffle is bounded",
        )?;
        for (at, lost) in self.lost.iter().enumerate() {
            let mut others = self.lost[..at].iter().map(|other| other.peer).chain(self.active());
            rule(
                !lost.peer.is_same_node(me) && others.all(|peer| !peer.is_same_node(lost.peer)),
                "a lost peer is another node, no neighbour, and remembered once",
            )?;
        }
        for (at, link) in active.iter().enumerate() {
            rule(!link.peer.is_same_node(me), "self is in no view")?;
            rule(
                active[..at].iter().all(|other| !other.peer.is_same_node(link.peer)),
                "a node is in the active view once",
            )?;
            rule(
                passive.iter().all(|other| !other.is_same_node(link.peer)),
                "active and passive view are disjoint",
            )?;
        }
        for (at, peer) in passive.iter().enumerate() {
            rule(!peer.is_same_node(me), "self is in no view")?;
            rule(
                passive[..at].iter().all(|other| !other.is_same_node(*peer)),
                "a node is in the passive view once",
            )?;
        }
        Ok(())
    }
}
