//! Full mesh: everyone is linked with everyone. The baseline to measure partial views against, and
//! the right choice below some 50 nodes.
//!
//! Links are agreed by both sides, as HyParView's are (see the crate's `links`), and peers carry
//! incarnations. Who is a member is gossip, and gossip is only a hint: a name heard of is asked for
//! a link, and only the names of linked neighbours are passed on. So the names of the dead die out
//! once their neighbours have noticed, and those of the living reach everyone whatever was lost.
//!
//! | room | what |
//! |---|---|
//! | `admit` | links asked for, accepted, refused, ended; join and leave |
//! | `upkeep` | gossip, keep-alives, failed peers, who is asked next |
//! | `known` | members without a link |
//! | `departed` | members that left |

mod admit;
mod config;
mod departed;
mod figures;
mod known;
pub mod marks;
mod message;
mod upkeep;

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

use rand::{RngExt, SeedableRng};
use rand_xoshiro::SplitMix64;
use thin_vec::ThinVec;

pub use crate::ConfigError;
pub use config::{Config, MAX_GOSSIP_LENGTH, Parameters};
pub use message::Message;

use crate::links::{LinkNumber, Links};
use crate::protocol::{DownReason, Effects, Input, Membership, Notice, Violation};
use crate::redial::Redial;
use crate::{NodeFigure, Peer, Time};
use departed::Departed;
use known::Known;

/// One peer's full mesh.
#[derive(Debug, Clone)]
pub struct FullMesh<P> {
    me: P,
    config: Arc<Config>,
    rng: SplitMix64,
    links: Links<P, ()>,
    known: Known<P>,
    departed: Departed<P>,
    contacts: ThinVec<Contact<P>>,
    phase: Phase,
    /// Which kinds of [`Timer`] are outstanding.
    armed: [bool; 3],
}

#[cfg(feature = "serde")]
crate::snapshot! {
    impl[P: Peer + crate::snapshot::Stored] FullMesh<P> [] {
        rng, links, known, departed, contacts, phase, armed
    } but { me, config }
}

/// A peer to enter the overlay through, never forgotten and asked for as long as it is not linked.
#[derive(Debug, Clone, Copy)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
struct Contact<P> {
    peer: P,
    redial: Redial,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
enum Phase {
    Idle,
    Running,
    Left,
}

/// The full mesh's timers. At most one of each kind is outstanding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Timer {
    /// Tell a random neighbour of others.
    Gossip,
    /// Keep links alive, notice silent ones, dial again, forget.
    Keepalive,
    /// A request for a link may be overdue.
    Request,
}

impl<P: Peer> FullMesh<P> {
    /// A peer that takes part once it is told to join. Every random choice follows from `seed`.
    #[must_use]
    pub fn new(me: P, config: Arc<Config>, seed: u64) -> Self {
        Self {
            me,
            rng: SplitMix64::seed_from_u64(seed),
            links: Links::with_capacity(0),
            known: Known::new(),
            departed: Departed::new(),
            contacts: ThinVec::new(),
            phase: Phase::Idle,
            armed: [false; 3],
            config,
        }
    }

    fn is_full(&self) -> bool {
        self.links.active().len() >= self.config.members_capacity
    }

    /// A uniform share of `interval`.
    fn fraction(&mut self, interval: Duration) -> Duration {
        interval.mul_f64(self.rng.random())
    }

    fn arm(&mut self, after: Duration, timer: Timer, fx: &mut impl Effects<Self>) {
        debug_assert!(!self.armed[timer as usize], "{timer:?} is outstanding");
        self.armed[timer as usize] = true;
        fx.arm(after, timer);
    }

    /// Makes room for one more member and says whether there is.
    fn has_room(&mut self, for_hint: bool) -> bool {
        let members = self.links.active().len() + self.known.members().len();
        members < self.config.members_capacity || self.known.evict(for_hint)
    }

    /// A word from `from`: notes that it lives or that its node restarted, and says whether the
    /// word counts.
    fn hears(
        &mut self,
        now: Time,
        from: P,
        message: &Message<P>,
        fx: &mut impl Effects<Self>,
    ) -> bool {
        if from.is_same_node(self.me) {
            return false;
        }
        if self.departed.covers(from) {
            fx.mark(marks::MESH_GHOST);
            self.refuse(from, message, fx);
            return false;
        }
        self.meets(now, from, fx)
    }

    /// Notes that `from` runs, and says whether no later incarnation does.
    fn meets(&mut self, now: Time, from: P, fx: &mut impl Effects<Self>) -> bool {
        if let Some(at) = self.links.position_of_node(from) {
            let held = self.links.active()[at].peer;
            if held > from {
                fx.mark(marks::MESH_HISTORY);
                return false;
            }
            if held == from {
                self.links.active_mut()[at].silent = 0;
                return true;
            }
            fx.mark(marks::MESH_RESTARTED);
            self.drop_link(now, at, DownReason::Restarted, fx);
        }
        if self.known.heard_later_than(from) {
            fx.mark(marks::MESH_HISTORY);
            return false;
        }
        self.drop_requests_to_node(from, |peer| peer != from);
        for contact in self.contacts.iter_mut().filter(|c| from.supersedes(c.peer)) {
            *contact = Contact { peer: from, redial: Redial::at_once(now) };
        }
        if self.known.has_node(from) || self.has_room(false) {
            self.known.hear(from, now);
        }
        true
    }

    fn drop_requests_to_node(&mut self, node: P, which: impl Fn(P) -> bool) {
        let requests = |links: &Links<P, ()>| {
            let mut peers = links.requests().iter().map(|request| request.peer);
            peers.find(|peer| peer.is_same_node(node) && which(*peer))
        };
        while let Some(peer) = requests(&self.links) {
            self.links.abandon(peer);
        }
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
        self.known.forget_node(peer);
        self.drop_requests_to_node(peer, |_| true);
        let room = self.has_room(false);
        debug_assert!(room, "a peer that is full accepts nobody");
        self.links.link(peer, link);
        for contact in self.contacts.iter_mut().filter(|c| c.peer.is_same_node(peer)) {
            contact.redial = Redial::at_once(now);
        }
        if accept {
            fx.send(peer, Message::Accept { link });
        }
        fx.neighbor_up(peer);
        if first {
            fx.notify(Notice::Joined);
        }
        self.tell_members(peer, fx);
    }

    /// Takes a peer out of the active view; whether it is remembered is the caller's choice.
    fn drop_link(
        &mut self,
        now: Time,
        at: usize,
        reason: DownReason,
        fx: &mut impl Effects<Self>,
    ) -> P {
        let link = self.links.unlink_at(at);
        let isolated = self.links.active().is_empty() && self.phase == Phase::Running;
        if isolated {
            for contact in &mut self.contacts {
                contact.redial = Redial::at_once(now);
            }
        }
        // Who ends a link says so, and before the host is free to close the connection.
        if matches!(reason, DownReason::Silent | DownReason::Leaving) {
            let leaving = reason == DownReason::Leaving;
            fx.send(link.peer, Message::Disconnect { link: link.number, leaving });
        }
        fx.neighbor_down(link.peer, reason);
        if isolated {
            fx.notify(Notice::Isolated);
        }
        link.peer
    }

    fn receive(&mut self, now: Time, from: P, message: &Message<P>, fx: &mut impl Effects<Self>) {
        if self.phase == Phase::Left {
            return self.refuse(from, message, fx);
        }
        if self.phase == Phase::Idle || !self.hears(now, from, message, fx) {
            return;
        }
        match message {
            Message::Hello { link } => self.on_hello(now, from, *link, fx),
            Message::Accept { link } => self.on_accept(now, from, *link, fx),
            Message::Members(members) => self.on_members(now, from, members, fx),
            Message::Disconnect { link, leaving } => {
                self.on_disconnect(now, from, *link, *leaving, fx);
            }
            Message::Keepalive { link } => self.on_keepalive(from, *link, fx),
        }
    }

    fn on_timer(&mut self, now: Time, timer: Timer, fx: &mut impl Effects<Self>) {
        let armed = core::mem::take(&mut self.armed[timer as usize]);
        if !armed || self.phase != Phase::Running {
            return;
        }
        match timer {
            Timer::Gossip => self.on_gossip_timer(fx),
            Timer::Keepalive => self.on_keepalive_timer(now, fx),
            Timer::Request => self.on_request_timer(now, fx),
        }
    }
}

impl<P: Peer> Membership for FullMesh<P> {
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
            Input::Receive { from, message } => self.receive(now, from, &message, fx),
            Input::Expired(timer) => self.on_timer(now, timer, fx),
            Input::LinkDown(peer) => self.on_link_down(now, peer, fx),
            Input::Restarted(peer) => self.on_restarted(now, peer, fx),
            Input::Join(contacts) => self.join(now, &contacts, fx),
            Input::Leave => self.leave(now, fx),
        }
        // Whatever happened may have freed a request, brought a name or let a pause pass.
        if self.phase == Phase::Running {
            self.ask_due(now, fx);
        }
    }

    fn me(&self) -> P {
        self.me
    }

    fn active(&self) -> impl ExactSizeIterator<Item = P> + Clone {
        self.links.active().iter().map(|link| link.peer)
    }

    fn passive(&self) -> impl ExactSizeIterator<Item = P> + Clone {
        self.known.members().iter().map(|member| member.peer)
    }

    fn each_named(message: &Message<P>, visit: impl FnMut(P)) {
        message.each_named(visit);
    }

    fn each_figure(&self, visit: &mut dyn FnMut(NodeFigure, f64)) {
        visit(figures::REQUESTS, self.links.requests().len() as f64);
        visit(figures::DEPARTED, self.departed.stones().len() as f64);
    }

    fn check(&self) -> Result<(), Violation> {
        let detail = || -> String { alloc::format!("{self:?}") };
        let rule = |holds, rule| Violation::unless(holds, rule, detail);
        let requests = self.links.requests();
        let stones = self.departed.stones();
        let capacity = self.config.members_capacity;
        rule(self.active().len() + self.passive().len() <= capacity, "members are bounded")?;
        rule(stones.len() <= capacity, "tombstones are bounded")?;
        rule(requests.len() <= self.config.requests_capacity, "requests under way are bounded")?;
        rule(self.contacts.len() <= self.config.contacts_capacity, "contacts are bounded")?;
        let mut nodes: Vec<P::Node> = self.active().chain(self.passive()).map(P::node).collect();
        nodes.sort_unstable();
        let rises = |nodes: &[P::Node]| nodes.windows(2).all(|pair| pair[0] < pair[1]);
        rule(rises(&nodes), "a node is in one view, once")?;
        rule(nodes.binary_search(&self.me.node()).is_err(), "self is in no view")?;
        let known: Vec<P::Node> = self.passive().map(P::node).collect();
        rule(rises(&known), "the passive view is sorted")?;
        let buried: Vec<P::Node> = stones.iter().map(|stone| stone.peer.node()).collect();
        rule(rises(&buried), "tombstones are sorted")?;
        let mut members = self.active().chain(self.passive());
        rule(members.all(|peer| !self.departed.covers(peer)), "who left is in no view")?;
        for (at, request) in requests.iter().enumerate() {
            let others = requests[..at].iter().map(|other| other.peer);
            let mut taken = others.chain(self.active()).chain([self.me]);
            rule(
                taken.all(|peer| !peer.is_same_node(request.peer)),
                "a node is asked once, and only without a link",
            )?;
        }
        let [gossip, keepalive, request] = self.armed;
        match self.phase {
            Phase::Running => rule(
                gossip && keepalive && (request || requests.is_empty()),
                "whatever must be noticed has its timer",
            ),
            Phase::Idle | Phase::Left => {
                rule(nodes.is_empty() && requests.is_empty(), "no views outside the overlay")
            }
        }
    }
}
