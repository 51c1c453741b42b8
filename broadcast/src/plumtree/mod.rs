//! Plumtree: payloads along a tree, announcements on all other links.
//!
//! After Leitão, Pereira, Rodrigues: *Epidemic broadcast trees*, SRDS 2007. Links start eager; a
//! duplicate prunes the link it came on, an announced payload that does not come grafts one back.
//! Three traps of the printed algorithm are avoided: a payload is not echoed to its sender,
//! optimisation moves the local links too, and a timer that finds nobody left to ask gives up.
//! Four things are not in the paper: of many broadcasts at once only some may prune, see
//! `prune_sampling`; those of one origin shape the tree, see `root`; links that are new in it may go
//! with their first duplicate; and each peer finds out how long to wait for an announced payload, see
//! `graft_timeout`.

mod announce;
mod config;
mod figures;
mod graft_timeout;
pub mod marks;
mod message;
mod missing;
mod prune_sampling;
mod repair;
mod root;

use alloc::sync::Arc;

#[cfg(feature = "serde")]
use murmurate_membership::snapshot::Stored;
use murmurate_membership::{NodeFigure, Peer, Time, Violation};
use thin_vec::ThinVec;

pub use config::{Config, Parameters};
pub use message::{Announcement, Announcements, MAX_ANNOUNCEMENTS, Message};
pub use murmurate_membership::ConfigError;

use crate::cache::{Cache, CacheBounds};
use crate::protocol::{Broadcast, Effects, Input, Payload};
use crate::{Id, Seen, SeenBounds, Sight, compact, shared};
use graft_timeout::GraftTimeout;
use missing::MissingList;
use prune_sampling::{PruneSampling, hash};
use root::Root;

/// One peer's Plumtree.
#[derive(Debug, Clone)]
pub struct Plumtree<P, I: Id, D> {
    config: Arc<Config>,
    neighbors: ThinVec<Neighbor<P>>,
    seen: Seen<I>,
    cache: Cache<I, D>,
    missing: MissingList<P, I>,
    /// Announcements to come with the next batch, each with the peer that need not hear it.
    queue: ThinVec<(Announcement<I>, Option<P>)>,
    sampling: PruneSampling,
    root: Root,
    graft_timeout: GraftTimeout,
    batch_armed: bool,
    missing_armed: bool,
    /// Waits have become shorter since.
    missing_sooner: bool,
    sooner_armed: bool,
}

#[cfg(feature = "serde")]
murmurate_membership::snapshot! {
    impl[P: Peer + Stored, I: Id<Origin: Stored> + Stored, D: Payload + Default] Plumtree<P, I, D> [] {
        neighbors, seen, cache, missing, queue, sampling, root, graft_timeout, batch_armed,
        missing_armed, missing_sooner, sooner_armed
    } but { config }
}

#[derive(Debug, Clone, Copy)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
struct Neighbor<P> {
    peer: P,
    /// In the tree: gets payloads. Otherwise lazy: gets announcements.
    eager: bool,
    /// Whether it brought something, or its other end asked for it. Otherwise it is in the tree for
    /// trial, and goes with its first duplicate.
    proven: bool,
}

/// Plumtree's timers. At most one of each kind is outstanding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Timer {
    /// Send the gathered announcements.
    Batch,
    /// An announced payload may be overdue.
    Missing,
    /// One that was announced after waits had become shorter may be overdue.
    Sooner,
}

impl<P: Peer, I: Id, D: Payload> Plumtree<P, I, D> {
    /// A peer without neighbours.
    #[must_use]
    pub fn new(config: Arc<Config>) -> Self {
        Self {
            graft_timeout: GraftTimeout::new(&config),
            config,
            neighbors: ThinVec::new(),
            seen: Seen::default(),
            cache: Cache::new(),
            missing: MissingList::new(),
            queue: ThinVec::new(),
            sampling: PruneSampling::new(),
            root: Root::new(),
            batch_armed: false,
            missing_armed: false,
            missing_sooner: false,
            sooner_armed: false,
        }
    }

    fn cache_bounds(&self) -> CacheBounds {
        CacheBounds { payloads: self.config.payload_capacity, bytes: self.config.payload_bytes }
    }

    fn on_gossip(
        &mut self,
        now: Time,
        from: P,
        (id, round, payload): (I, u16, D),
        fx: &mut impl Effects<Self>,
    ) {
        if round > self.config.hop_limit {
            return fx.mark(shared::TOO_MANY_HOPS);
        }
        if self.has_seen(id) {
            let copy = core::iter::once(Announcement { id, round });
            if self.on_late_copies(now, from, copy, fx) {
                return;
            }
            if let Some(lag) = self.sampling.since_only(now) {
                let config = Arc::clone(&self.config);
                self.learn(|timeout| timeout.saw_copy(lag, &config), fx);
            }
            // A duplicate proves a cycle, and prunes the link it came on (Algorithm 1).
            if self.cuts(id, from) || !self.is_neighbor(from) {
                if !self.is_neighbor(from) {
                    fx.mark(marks::DUPLICATE_OF_STRANGER);
                }
                self.make_lazy(from);
                fx.send(from, Message::Prune);
            } else {
                fx.mark(marks::DUPLICATE_SPARED);
            }
            return;
        }
        let Some(given_up) = self.remember(now, id, &payload, fx) else { return };
        let missed = self.missing.arrived(id, now).unwrap_or_default();
        self.graft_last(from, fx);
        self.relay(from, (id, round, &payload), false, fx);
        self.prove(from);
        if self.shapes(now, id) {
            self.optimize(from, round, &missed.announcers, fx);
        }
        self.learn(|timeout| timeout.saw(missed.lag), fx);
        self.deliver(id, round, payload, given_up, fx);
    }

    /// Whether a broadcast that is new here shapes the tree: with a threshold each that may prune, as in
    /// the paper, otherwise the root's.
    fn shapes(&mut self, now: Time, id: I) -> bool {
        // Origins that take no room do not tell publishers apart: there is no root.
        let has_origin = size_of::<I::Origin>() > 0;
        let period = self.config.graft_timeout;
        let (hashes, is_long) = ((hash(id.origin()), hash(id)), self.is_long());
        let of_root = has_origin && self.root.shapes(now, hashes, period, is_long);
        match self.config.optimization_threshold {
            Some(_) => self.picks(id),
            None => of_root,
        }
    }

    /// Whether a duplicate of this broadcast prunes the link that it came on.
    fn cuts(&self, id: I, from: P) -> bool {
        let is_fixed = self.config.is_fixed() || self.config.optimization_threshold.is_some();
        let (hashes, on_trial) = ((hash(id.origin()), hash(id)), self.is_on_trial(from));
        match self.root.cuts(hashes, on_trial).filter(|_| !is_fixed) {
            Some(cuts) => cuts,
            None => on_trial || self.picks(id),
        }
    }

    /// Whether this broadcast is one of those that are picked to prune.
    fn picks(&self, id: I) -> bool {
        self.sampling.picks(hash(id), self.is_long())
    }

    /// Whether broadcasts are under way for much of a period.
    fn is_long(&self) -> bool {
        let period = self.config.graft_timeout;
        self.graft_timeout.wait(&self.config).saturating_mul(8) > period
    }

    fn has_seen(&self, id: I) -> bool {
        self.seen.contains(id)
    }

    /// Sees a new broadcast: how many older ones are given up for it, or `None` if there is no room to
    /// remember it. Then it is not passed on either: it might come round.
    fn remember(
        &mut self,
        now: Time,
        id: I,
        payload: &D,
        fx: &mut impl Effects<Self>,
    ) -> Option<u64> {
        let given_up = match self.seen.insert(now, id, self.config.seen()) {
            Sight::New { given_up } => given_up,
            Sight::Decided => 0,
            Sight::Full => {
                fx.mark(shared::ORIGINS_FULL);
                return None;
            }
        };
        self.sampling.note(now, self.config.graft_timeout);
        if self.cache.keep(id, payload.clone(), self.cache_bounds()) {
            fx.mark(marks::PAYLOAD_FORGOTTEN);
        }
        Some(given_up)
    }

    /// What came by another way says nothing of the tree, and changes nothing in it: nor does the tree's
    /// own copy, if that is still to come.
    fn on_recovered(
        &mut self,
        now: Time,
        from: P,
        (id, round, payload): (I, u16, D),
        is_past: bool,
        fx: &mut impl Effects<Self>,
    ) {
        if round > self.config.hop_limit {
            return fx.mark(shared::TOO_MANY_HOPS);
        }
        if self.has_seen(id) {
            return;
        }
        let Some(given_up) = self.remember(now, id, &payload, fx) else { return };
        if is_past {
            self.missing.arrived(id, now);
        } else {
            self.await_own_copy(now, id, from, fx);
            self.relay(from, (id, round, &payload), true, fx);
        }
        self.deliver(id, round, payload, given_up, fx);
    }

    fn deliver(&self, id: I, round: u16, payload: D, given_up: u64, fx: &mut impl Effects<Self>) {
        if given_up > 0 {
            fx.mark(marks::GIVEN_UP);
            fx.missed(id.origin(), given_up);
        }
        fx.deliver(id, round, payload);
    }

    fn is_neighbor(&self, peer: P) -> bool {
        self.neighbors.iter().any(|neighbor| neighbor.peer == peer)
    }

    /// A peer without eager links gets nothing: whoever sent it something is its link to the tree.
    fn graft_last(&mut self, from: P, fx: &mut impl Effects<Self>) {
        if self.is_neighbor(from) && self.eager().next().is_none() {
            fx.mark(marks::LAST_EAGER_GRAFTED);
            self.graft(from, fx);
            self.prove(from);
        }
    }

    /// This side's links, then the other's.
    fn graft(&mut self, peer: P, fx: &mut impl Effects<Self>) {
        self.make_eager(peer, fx);
        fx.send(peer, Message::Graft { missing: None });
    }

    fn relay(
        &mut self,
        from: P,
        (id, round, payload): (I, u16, &D),
        fetched: bool,
        fx: &mut impl Effects<Self>,
    ) {
        self.push((id, round.saturating_add(1), payload), Some(from), fetched, fx);
    }

    /// Eager push and lazy push (Algorithm 1), sparing whoever it came from.
    fn push(
        &mut self,
        (id, round, payload): (I, u16, &D),
        sender: Option<P>,
        fetched: bool,
        fx: &mut impl Effects<Self>,
    ) {
        let payload = || payload.clone();
        let at_once = self.config.ihave_interval.is_zero();
        let mut announce = false;
        let mut told = false;
        for neighbor in self.neighbors.iter().filter(|n| Some(n.peer) != sender) {
            told = true;
            if neighbor.eager && fetched {
                fx.send(neighbor.peer, Message::Repair { id, round, payload: payload() });
            } else if neighbor.eager {
                fx.send(neighbor.peer, Message::Gossip { id, round, payload: payload() });
            } else if at_once {
                let one = Announcements::One(Announcement { id, round });
                fx.send(neighbor.peer, Message::IHave(one));
            } else {
                announce = true;
            }
        }
        if announce || !told {
            compact::push(&mut self.queue, (Announcement { id, round }, sender));
        }
        if !told {
            // Nobody to tell: it waits for the next neighbour instead of vanishing.
            fx.mark(marks::NOBODY_TO_TELL);
            if self.queue.len() > MAX_ANNOUNCEMENTS {
                fx.mark(marks::WAITED_TOO_LONG);
                self.queue.remove(0);
            }
        } else if announce {
            if self.queue.len() >= MAX_ANNOUNCEMENTS {
                fx.mark(marks::BATCH_FULL);
                self.announce_all(fx);
            } else if !self.batch_armed {
                self.batch_armed = true;
                fx.arm(self.config.ihave_interval, Timer::Batch);
            }
        }
    }

    /// The paper's Optimize: the tree switches to an announcer whose way was shorter by the threshold
    /// or more. Without a threshold it counts who was first: hops say little of time.
    fn optimize(
        &mut self,
        parent: P,
        round: u16,
        announcers: &[(P, u16)],
        fx: &mut impl Effects<Self>,
    ) {
        let nearer = match self.config.optimization_threshold {
            Some(threshold) => announcers
                .iter()
                .min_by_key(|(_, hops)| *hops)
                .filter(|(_, hops)| round.saturating_sub(*hops) >= threshold),
            None if self.config.is_fixed() || !self.root.is_settled() => None,
            None => announcers.first(),
        };
        if let Some((announcer, _)) = nearer.copied()
            && announcer != parent
        {
            fx.mark(marks::OPTIMISED);
            self.graft(announcer, fx);
            self.prove(announcer);
            self.make_lazy(parent);
            fx.send(parent, Message::Prune);
        }
    }

    fn on_graft(&mut self, from: P, missing: Option<Announcement<I>>, fx: &mut impl Effects<Self>) {
        self.make_eager(from, fx);
        self.prove(from);
        let Some(Announcement { id, round }) = missing else { return };
        if !self.is_neighbor(from) {
            fx.mark(marks::ASKED_BY_STRANGER);
        }
        match self.cache.get(id) {
            Some(payload) => {
                fx.send(from, Message::Gossip { id, round, payload: payload.clone() });
            }
            None => fx.mark(marks::ASKED_TOO_LATE),
        }
    }

    fn make_eager(&mut self, peer: P, fx: &mut impl Effects<Self>) {
        if let Some(at) = self.neighbors.iter().position(|n| n.peer == peer && !n.eager) {
            // It was lazy when these came: it still has to hear of them.
            if self.announce_queued(peer, fx) {
                fx.mark(marks::LAZY_TOLD_FIRST);
            }
            self.neighbors[at].eager = true;
            self.neighbors[at].proven = false;
        }
    }

    /// Whether a duplicate proves that this link is superfluous, whoever's broadcast it is. The links
    /// that were there before are a tree, which no duplicate on others says anything of.
    fn is_on_trial(&self, peer: P) -> bool {
        let is_new = |neighbor: &Neighbor<P>| neighbor.eager && !neighbor.proven;
        !self.config.is_fixed()
            && self.root.is_settled()
            && self.neighbors.iter().any(|neighbor| neighbor.peer == peer && is_new(neighbor))
    }

    fn prove(&mut self, peer: P) {
        if let Some(neighbor) = self.neighbors.iter_mut().find(|n| n.peer == peer) {
            neighbor.proven = true;
        }
    }

    fn make_lazy(&mut self, peer: P) {
        if let Some(neighbor) = self.neighbors.iter_mut().find(|n| n.peer == peer) {
            neighbor.eager = false;
        }
    }

    fn receive(&mut self, now: Time, from: P, message: Message<I, D>, fx: &mut impl Effects<Self>) {
        match message {
            Message::Gossip { id, round, payload } => {
                self.on_gossip(now, from, (id, round, payload), fx);
            }
            Message::IHave(batch) => self.on_ihave(now, from, batch.as_slice(), fx),
            Message::Graft { missing } => self.on_graft(from, missing, fx),
            Message::Fetch(missing) => self.on_fetch(from, missing, fx),
            Message::Repair { id, round, payload } => {
                self.on_repair(now, from, (id, round, payload), fx);
            }
            Message::Prune => {
                if !self.is_neighbor(from) {
                    fx.mark(marks::PRUNE_OF_STRANGER);
                } else if self.lazy().any(|lazy| lazy == from) {
                    fx.mark(marks::PRUNES_CROSSED);
                }
                self.make_lazy(from);
            }
        }
    }
}

impl<P: Peer, I: Id, D: Payload> Broadcast for Plumtree<P, I, D> {
    type Peer = P;
    type Id = I;
    type Payload = D;
    type Message = Message<I, D>;
    type Timer = Timer;

    fn handle<E: Effects<Self>>(&mut self, now: Time, input: Input<Self>, fx: &mut E) {
        match input {
            Input::Receive { from, message } => self.receive(now, from, message, fx),
            Input::Recover { from, id, round, payload, is_past } => {
                self.on_recovered(now, from, (id, round, payload), is_past, fx);
            }
            Input::Expired(Timer::Batch) => {
                self.batch_armed = false;
                self.announce_all(fx);
            }
            Input::Expired(Timer::Missing) => self.on_missing_timer(now, fx),
            Input::Expired(Timer::Sooner) => self.on_sooner_timer(now, fx),
            Input::Publish { id, payload } => {
                // A neighbour may have made it up before. Its own it always passes on: nobody else can.
                self.missing.arrived(id, now);
                self.shapes(now, id);
                self.seen.insert(now, id, self.config.seen().for_own());
                self.remember(now, id, &payload, fx);
                self.push((id, 1, &payload), None, false, fx);
            }
            Input::NeighborUp(peer) => {
                // Algorithm 3: a new link is eager until a duplicate proves it superfluous. The
                // others stay as they are: a new member must not wipe the tree.
                if !self.is_neighbor(peer) {
                    compact::push(
                        &mut self.neighbors,
                        Neighbor { peer, eager: true, proven: false },
                    );
                    if self.batch_armed && self.neighbors.len() > 1 {
                        if self.announce_queued(peer, fx) {
                            fx.mark(marks::NEW_LINK_TOLD_FIRST);
                        }
                    } else {
                        self.push_waiting(peer, fx);
                    }
                }
            }
            Input::NeighborDown(peer) => {
                let was_eager = self.eager().any(|eager| eager == peer);
                self.neighbors.retain(|neighbor| neighbor.peer != peer);
                self.missing.forget(peer);
                if was_eager && self.config.mend_at_once {
                    self.mend(now, fx);
                }
            }
        }
    }

    fn eager(&self) -> impl Iterator<Item = P> {
        self.neighbors.iter().filter(|neighbor| neighbor.eager).map(|neighbor| neighbor.peer)
    }

    fn lazy(&self) -> impl Iterator<Item = P> {
        self.neighbors.iter().filter(|neighbor| !neighbor.eager).map(|neighbor| neighbor.peer)
    }

    fn seen(&self) -> &Seen<I> {
        &self.seen
    }

    fn seen_mut(&mut self) -> (&mut Seen<I>, SeenBounds) {
        (&mut self.seen, self.config.seen())
    }

    fn each_figure(&self, visit: &mut dyn FnMut(NodeFigure, f64)) {
        visit(figures::MISSING, self.missing.len() as f64);
        visit(figures::QUEUED, self.queue.len() as f64);
        visit(figures::CACHED, self.cache.len() as f64);
        visit(figures::CACHED_BYTES, self.cache.bytes() as f64);
        visit(figures::GRAFT_WAIT, self.graft_timeout.wait(&self.config).as_secs_f64());
    }

    fn check(&self) -> Result<(), Violation> {
        let detail = || alloc::format!("{self:?}");
        Violation::unless(
            self.cache.is_within(self.cache_bounds()),
            "the payload cache is bounded",
            detail,
        )?;
        Violation::unless(
            self.seen.is_within(self.config.seen()),
            "what was seen is bounded",
            detail,
        )?;
        Violation::unless(
            self.missing.len() <= self.config.missing_capacity,
            "the list of missing broadcasts is bounded",
            detail,
        )?;
        Violation::unless(
            self.queue.len() <= MAX_ANNOUNCEMENTS,
            "the announcements that wait are bounded",
            detail,
        )?;
        Violation::unless(
            self.missing.len() == 0 || self.missing_armed,
            "a missing broadcast has a timer",
            detail,
        )?;
        Violation::unless(
            self.missing.all_announcers(|peer| self.is_neighbor(peer)),
            "only neighbours are asked for missing broadcasts",
            detail,
        )?;
        Violation::unless(
            self.missing.all_absent(|id| self.cache.get(id).is_none()),
            "nothing is asked for that has come",
            detail,
        )
    }
}
