//! Static overlay: the graph is given, and the strategy keeps to it. For experiments with a graph of
//! one's own, and for overlays that an operator draws by hand.
//!
//! A peer's neighbours are the contacts that its host gave it, and those whose contact it is. It
//! introduces nobody and gossips nothing, so the overlay is the graph of who was given whom, and if
//! that graph has two parts, so has the overlay. Links are agreed by both sides, as HyParView's are
//! (see the crate's `links`), and peers carry incarnations: one that restarted takes its
//! predecessor's place.
//!
//! A contact is asked until it was linked once, at a growing, bounded pause. A link that failed is
//! asked for again in the same way if `repair` is on, by whichever side has the other as a contact,
//! and by nobody otherwise.
//!
//! Contacts have their places among the neighbours, linked or not. So no number of strangers that ask
//! for a link keeps one out.

mod admit;
mod config;
pub mod marks;
mod message;
mod upkeep;

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

use rand::SeedableRng;
use rand_xoshiro::SplitMix64;
use thin_vec::ThinVec;

pub use crate::ConfigError;
pub use config::{Config, Parameters};
pub use message::Message;

use crate::links::{LinkNumber, Links};
use crate::protocol::{DownReason, Effects, Input, Membership, Notice, Violation};
use crate::redial::Redial;
use crate::{Peer, Time};

/// One peer of a static overlay.
#[derive(Debug, Clone)]
pub struct StaticOverlay<P> {
    me: P,
    config: Arc<Config>,
    rng: SplitMix64,
    links: Links<P, ()>,
    contacts: ThinVec<Contact<P>>,
    phase: Phase,
    /// Which kinds of [`Timer`] are outstanding.
    armed: [bool; 2],
}

#[cfg(feature = "serde")]
crate::snapshot! {
    impl[P: Peer + crate::snapshot::Stored] StaticOverlay<P> [] {
        rng, links, contacts, phase, armed
    } but { me, config }
}

/// A peer that the host gave: a neighbour to be.
#[derive(Debug, Clone, Copy)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
struct Contact<P> {
    peer: P,
    redial: Redial,
    /// It was a neighbour once, in whichever incarnation.
    was_linked: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
enum Phase {
    Idle,
    Running,
    Left,
}

/// The static overlay's timers. At most one of each kind is outstanding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Timer {
    /// Keep links alive, notice silent ones, ask again.
    Keepalive,
    /// A request for a link may be overdue.
    Request,
}

impl<P: Peer> StaticOverlay<P> {
    /// A peer that takes part once it is told to join. Every random choice follows from `seed`.
    #[must_use]
    pub fn new(me: P, config: Arc<Config>, seed: u64) -> Self {
        Self {
            me,
            rng: SplitMix64::seed_from_u64(seed),
            links: Links::with_capacity(0),
            contacts: ThinVec::new(),
            phase: Phase::Idle,
            armed: [false; 2],
            config,
        }
    }

    fn contact_of(&self, node: P) -> Option<usize> {
        self.contacts.iter().position(|contact| contact.peer.is_same_node(node))
    }

    /// Whether `node` may become a neighbour or a contact: it is one already, or a place is free.
    fn has_room_for(&self, node: P) -> bool {
        let capacity = self.config.neighbors_capacity;
        // The sum counts contacts that are linked twice: it is quicker told, and mostly enough.
        self.contacts.len() + self.links.active().len() < capacity
            || self.contact_of(node).is_some()
            || self.links.position_of_node(node).is_some()
            || self.neighbors() < capacity
    }

    /// Places that are taken: those of contacts, linked or not, and of others that are linked.
    fn neighbors(&self) -> usize {
        let strangers = self.links.active().iter();
        let strangers = strangers.filter(|link| self.contact_of(link.peer).is_none());
        self.contacts.len() + strangers.count()
    }

    fn arm(&mut self, after: Duration, timer: Timer, fx: &mut impl Effects<Self>) {
        debug_assert!(!self.armed[timer as usize], "{timer:?} is outstanding");
        self.armed[timer as usize] = true;
        fx.arm(after, timer);
    }

    /// Notes that `from` runs, and says whether no later incarnation does.
    fn meets(&mut self, now: Time, from: P, fx: &mut impl Effects<Self>) -> bool {
        let contact = self.contact_of(from);
        if contact.is_some_and(|at| self.contacts[at].peer.supersedes(from)) {
            fx.mark(marks::STATIC_HISTORY);
            return false;
        }
        if let Some(at) = self.links.position_of_node(from) {
            let held = self.links.active()[at].peer;
            if held > from {
                fx.mark(marks::STATIC_HISTORY);
                return false;
            }
            if held == from {
                self.links.active_mut()[at].silent = 0;
                return true;
            }
        }
        // Nothing said to an older incarnation is answered any more.
        if let Some(at) = contact.filter(|at| from.supersedes(self.contacts[*at].peer)) {
            let older = self.contacts[at].peer;
            self.links.abandon(older);
            self.contacts[at].peer = from;
            self.contacts[at].redial = Redial::at_once(now);
        }
        if let Some(at) = self.links.position_of_node(from) {
            fx.mark(marks::STATIC_RESTARTED);
            self.drop_link(at, DownReason::Restarted, fx);
        }
        true
    }

    /// Links `peer`; with `accept`, it asked for the link and hears of it before anything that
    /// being neighbours makes anybody say.
    fn add_link(
        &mut self,
        now: Time,
        peer: P,
        link: LinkNumber,
        accept: bool,
        fx: &mut impl Effects<Self>,
    ) {
        let first = self.links.active().is_empty();
        self.links.abandon(peer);
        self.links.link(peer, link);
        if let Some(at) = self.contact_of(peer) {
            self.contacts[at].redial = Redial::at_once(now);
            self.contacts[at].was_linked = true;
        }
        if accept {
            fx.send(peer, Message::Accept { link });
        }
        fx.neighbor_up(peer);
        if first {
            fx.notify(Notice::Joined);
        }
    }

    fn drop_link(&mut self, at: usize, reason: DownReason, fx: &mut impl Effects<Self>) {
        let link = self.links.unlink_at(at);
        // Who ends a link says so, and before the host is free to close the connection.
        if matches!(reason, DownReason::Silent | DownReason::Leaving) {
            let leaving = reason == DownReason::Leaving;
            fx.send(link.peer, Message::Disconnect { link: link.number, leaving });
        }
        fx.neighbor_down(link.peer, reason);
        if self.links.active().is_empty() && self.phase == Phase::Running {
            fx.notify(Notice::Isolated);
        }
    }

    fn receive(&mut self, now: Time, from: P, message: &Message, fx: &mut impl Effects<Self>) {
        match self.phase {
            Phase::Idle => return,
            // Whoever holds or hopes for a link hears that there is none.
            Phase::Left => {
                if let Some(link) = message.claims() {
                    fx.send(from, Message::Disconnect { link, leaving: true });
                }
                return;
            }
            Phase::Running => {}
        }
        if from.is_same_node(self.me) || !self.meets(now, from, fx) {
            return;
        }
        match *message {
            Message::Hello { link } => self.on_hello(now, from, link, fx),
            Message::Accept { link } => self.on_accept(now, from, link, fx),
            Message::Disconnect { link, leaving } => {
                self.on_disconnect(now, from, link, leaving, fx);
            }
            Message::Keepalive { link } => self.on_keepalive(from, link, fx),
        }
    }

    fn on_timer(&mut self, now: Time, timer: Timer, fx: &mut impl Effects<Self>) {
        let armed = core::mem::take(&mut self.armed[timer as usize]);
        if !armed || self.phase != Phase::Running {
            return;
        }
        match timer {
            Timer::Keepalive => self.on_keepalive_timer(now, fx),
            Timer::Request => self.on_request_timer(now, fx),
        }
    }
}

impl<P: Peer> Membership for StaticOverlay<P> {
    type Peer = P;
    type Message = Message;
    type Timer = Timer;

    fn handle<E: Effects<Self>>(&mut self, now: Time, input: Input<P, Message, Timer>, fx: &mut E) {
        match input {
            Input::Receive { from, message } => self.receive(now, from, &message, fx),
            Input::Expired(timer) => self.on_timer(now, timer, fx),
            Input::LinkDown(peer) => self.on_link_down(now, peer, fx),
            Input::Restarted(peer) => {
                if self.phase == Phase::Running && !peer.is_same_node(self.me) {
                    self.meets(now, peer, fx);
                    self.ask_due(now, fx);
                }
            }
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

    /// Nobody is known but neighbours and contacts, and a contact takes the place of no other.
    fn passive(&self) -> impl ExactSizeIterator<Item = P> + Clone {
        core::iter::empty()
    }

    fn each_named(_: &Message, _: impl FnMut(P)) {}

    fn lost(&self) -> impl Iterator<Item = P> + Clone {
        let contacts = self.contacts.iter().map(|contact| contact.peer);
        contacts.filter(|peer| self.links.position_of_node(*peer).is_none())
    }

    fn check(&self) -> Result<(), Violation> {
        let detail = || -> String { alloc::format!("{self:?}") };
        let rule = |holds, rule| Violation::unless(holds, rule, detail);
        let requests = self.links.requests();
        let capacity = self.config.neighbors_capacity;
        rule(self.neighbors() <= capacity, "neighbours and contacts are bounded")?;
        let each_once = |peers: &mut dyn Iterator<Item = P>| {
            let mut nodes: Vec<P::Node> = peers.chain([self.me]).map(P::node).collect();
            nodes.sort_unstable();
            nodes.windows(2).all(|pair| pair[0] < pair[1])
        };
        rule(each_once(&mut self.active()), "a node is a neighbour once, and never of itself")?;
        let mut contacts = self.contacts.iter().map(|contact| contact.peer);
        rule(each_once(&mut contacts), "a node is a contact once, and never its own")?;
        let mut taken = self.active().chain(requests.iter().map(|request| request.peer));
        rule(each_once(&mut taken), "a node is asked once, and only without a link")?;
        rule(
            self.active().all(|peer| {
                let contact = self.contact_of(peer).map(|at| self.contacts[at]);
                contact.is_none_or(|contact| contact.peer == peer && contact.was_linked)
            }),
            "a contact that is linked is the incarnation that is",
        )?;
        rule(
            requests.iter().all(|request| {
                let contact = self.contacts.iter().find(|contact| contact.peer == request.peer);
                contact.is_some_and(|contact| self.config.repair || !contact.was_linked)
            }),
            "only contacts are asked, and again only for repair",
        )?;
        let [keepalive, request] = self.armed;
        match self.phase {
            Phase::Running => rule(
                keepalive && (request || requests.is_empty()),
                "whatever must be noticed has its timer",
            ),
            Phase::Idle | Phase::Left => rule(
                self.neighbors() == 0 && requests.is_empty(),
                "no neighbours outside the overlay",
            ),
        }
    }
}
