//! Plumtree: payloads along a tree, announcements on all other links.
//!
//! After Leitão, Pereira, Rodrigues: *Epidemic broadcast trees*, SRDS 2007. Links start eager; a
//! duplicate prunes the link it came on, an announced payload that does not come grafts one back.
//! Three traps of the printed algorithm are avoided: a payload is not echoed to its sender,
//! optimisation moves the local links too, and a timer that finds nobody left to ask gives up.
//! Two things are not in the paper: of many broadcasts at once only some may change the tree, see
//! `pace`, and each peer finds out how long to wait for an announced payload, see `patience`.

mod config;
mod message;
mod missing;
mod pace;
mod patience;

use alloc::sync::Arc;

use murmurate_membership::{Peer, Time, Violation};
use thin_vec::ThinVec;

pub use config::{Config, ConfigError, Parameters};
pub use message::{Announcement, Announcements, MAX_ANNOUNCEMENTS, Message};

use crate::protocol::{Broadcast, Effects, Id, Input, Payload};
use crate::thrift;
use crate::window::{Bounds, Window, hash};
use missing::MissingList;
use pace::Pace;
use patience::Patience;

/// One peer's Plumtree.
#[derive(Debug, Clone)]
pub struct Plumtree<P, I, D> {
    config: Arc<Config>,
    neighbors: ThinVec<Neighbor<P>>,
    window: Window<I, D>,
    missing: MissingList<P, I>,
    /// Announcements to come with the next batch, each with the peer that need not hear it.
    queue: ThinVec<(Announcement<I>, Option<P>)>,
    pace: Pace,
    patience: Patience,
    batch_armed: bool,
    missing_armed: bool,
}

#[derive(Debug, Clone, Copy)]
struct Neighbor<P> {
    peer: P,
    /// In the tree: gets payloads. Otherwise lazy: gets announcements.
    eager: bool,
}

/// What Plumtree asks to be woken for. At most one of each kind is outstanding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Timer {
    /// Send the gathered announcements.
    Batch,
    /// An announced payload may be overdue.
    Missing,
}

impl<P: Peer, I: Id, D: Payload> Plumtree<P, I, D> {
    /// A peer without neighbours.
    #[must_use]
    pub fn new(config: Arc<Config>) -> Self {
        Self {
            config,
            neighbors: ThinVec::new(),
            window: Window::new(),
            missing: MissingList::new(),
            queue: ThinVec::new(),
            pace: Pace::new(),
            patience: Patience::default(),
            batch_armed: false,
            missing_armed: false,
        }
    }

    fn bounds(&self) -> Bounds {
        Bounds {
            seen: self.config.seen_capacity,
            payloads: self.config.payload_capacity,
            payload_bytes: self.config.payload_bytes,
        }
    }

    fn on_gossip(
        &mut self,
        now: Time,
        from: P,
        (id, round, payload): (I, u16, D),
        fx: &mut impl Effects<Self>,
    ) {
        if self.window.contains(id) {
            // A duplicate proves a cycle, and prunes the link it came on (Algorithm 1).
            if self.pace.picks(hash(id)) || !self.is_neighbor(from) {
                self.make_lazy(from);
                fx.send(from, Message::Prune);
            }
            return;
        }
        self.remember(now, id, &payload);
        let missed = self.missing.arrived(id, from, now);
        if self.is_neighbor(from) && self.eager().next().is_none() {
            self.make_eager(from, fx);
            fx.send(from, Message::Graft { missing: None });
        }
        self.push(id, round.saturating_add(1), &payload, Some(from), fx);
        if self.pace.picks(hash(id)) {
            self.optimize(from, round, &missed.announcers, fx);
        }
        if let Some(lag) = missed.lag {
            self.patience.saw(lag, &self.config);
        } else if self.pace.picks_rarely(hash(id)) {
            self.patience.ease();
        }
        fx.deliver(id, round, payload);
    }

    fn remember(&mut self, now: Time, id: I, payload: &D) {
        self.pace.note(now, self.config.graft_timeout);
        self.window.insert(id, payload.clone(), self.bounds());
    }

    fn is_neighbor(&self, peer: P) -> bool {
        self.neighbors.iter().any(|neighbor| neighbor.peer == peer)
    }

    /// Eager push and lazy push (Algorithm 1), sparing whoever it came from.
    fn push(
        &mut self,
        id: I,
        round: u16,
        payload: &D,
        sender: Option<P>,
        fx: &mut impl Effects<Self>,
    ) {
        let at_once = self.config.ihave_interval.is_zero();
        let mut announce = false;
        let mut told = false;
        for neighbor in self.neighbors.iter().filter(|n| Some(n.peer) != sender) {
            told = true;
            if neighbor.eager {
                fx.send(neighbor.peer, Message::Gossip { id, round, payload: payload.clone() });
            } else if at_once {
                let one = Announcements::One(Announcement { id, round });
                fx.send(neighbor.peer, Message::IHave(one));
            } else {
                announce = true;
            }
        }
        if announce || !told {
            thrift::push(&mut self.queue, (Announcement { id, round }, sender));
        }
        if !told {
            // Nobody to tell: it waits for the next neighbour instead of vanishing.
            if self.queue.len() > MAX_ANNOUNCEMENTS {
                self.queue.remove(0);
            }
        } else if announce {
            if self.queue.len() >= MAX_ANNOUNCEMENTS {
                self.announce_all(fx);
            } else if !self.batch_armed {
                self.batch_armed = true;
                fx.arm(self.config.ihave_interval, Timer::Batch);
            }
        }
    }

    /// The paper's Optimize: the tree switches to an announcer whose way was shorter by the threshold
    /// or more.
    fn optimize(
        &mut self,
        parent: P,
        round: u16,
        announcers: &[(P, u16)],
        fx: &mut impl Effects<Self>,
    ) {
        let Some(threshold) = self.config.optimization_threshold else { return };
        let nearest = announcers.iter().min_by_key(|(_, hops)| *hops).copied();
        if let Some((announcer, hops)) = nearest
            && announcer != parent
            && round.saturating_sub(hops) >= threshold
        {
            self.make_eager(announcer, fx);
            fx.send(announcer, Message::Graft { missing: None });
            self.make_lazy(parent);
            fx.send(parent, Message::Prune);
        }
    }

    fn on_ihave(
        &mut self,
        now: Time,
        from: P,
        announcements: &[Announcement<I>],
        fx: &mut impl Effects<Self>,
    ) {
        if !self.is_neighbor(from) {
            return;
        }
        let wait = self.patience.wait(&self.config);
        for &announcement in announcements.iter().take(self.config.seen_capacity) {
            if !self.window.contains(announcement.id) {
                self.missing.announced(from, announcement, now, wait, self.config.missing_capacity);
                if !self.missing_armed {
                    self.missing_armed = true;
                    fx.arm(wait, Timer::Missing);
                }
            }
        }
    }

    fn on_missing_timer(&mut self, now: Time, fx: &mut impl Effects<Self>) {
        self.ask_overdue(now, fx);
        self.missing_armed = self.missing.deadline().is_some_and(|deadline| {
            fx.arm(deadline.since(now), Timer::Missing);
            true
        });
    }

    fn ask_overdue(&mut self, now: Time, fx: &mut impl Effects<Self>) {
        let mut missing = core::mem::replace(&mut self.missing, MissingList::new());
        let (patience, config) = (self.patience, Arc::clone(&self.config));
        let retry = |asked| patience.retry(asked, &config);
        missing.overdue(now, retry, config.graft_attempts, |peer, announcement| {
            self.make_eager(peer, fx);
            fx.send(peer, Message::Graft { missing: Some(announcement) });
        });
        self.missing = missing;
    }

    /// A link of the tree is gone, and maybe half of the tree behind it: another link takes its place
    /// until a duplicate proves it superfluous, and what was announced is asked for now.
    fn mend(&mut self, now: Time, fx: &mut impl Effects<Self>) {
        self.missing.hasten(now);
        self.ask_overdue(now, fx);
        let spare = self.lazy().next();
        if let Some(peer) = spare {
            self.make_eager(peer, fx);
            fx.send(peer, Message::Graft { missing: None });
        }
    }

    fn on_graft(&mut self, from: P, missing: Option<Announcement<I>>, fx: &mut impl Effects<Self>) {
        self.make_eager(from, fx);
        if let Some(Announcement { id, round }) = missing
            && let Some(payload) = self.window.payload(id)
        {
            fx.send(from, Message::Gossip { id, round, payload: payload.clone() });
        }
    }

    fn make_eager(&mut self, peer: P, fx: &mut impl Effects<Self>) {
        if let Some(at) = self.neighbors.iter().position(|n| n.peer == peer && !n.eager) {
            // It was lazy when these came: it still has to hear of them.
            self.announce_queued(peer, fx);
            self.neighbors[at].eager = true;
        }
    }

    fn make_lazy(&mut self, peer: P) {
        if let Some(neighbor) = self.neighbors.iter_mut().find(|n| n.peer == peer) {
            neighbor.eager = false;
        }
    }

    fn announce_queued(&self, peer: P, fx: &mut impl Effects<Self>) {
        let mut batch = self
            .queue
            .iter()
            .filter(|(_, sender)| *sender != Some(peer))
            .map(|(announcement, _)| *announcement)
            .peekable();
        if batch.peek().is_some() {
            fx.send(peer, Message::IHave(batch.collect()));
        }
    }

    /// What nobody could be told of goes to the first neighbour there is, who is eager.
    fn push_waiting(&mut self, peer: P, fx: &mut impl Effects<Self>) {
        for (Announcement { id, round }, sender) in core::mem::take(&mut self.queue) {
            if sender != Some(peer)
                && let Some(payload) = self.window.payload(id)
            {
                fx.send(peer, Message::Gossip { id, round, payload: payload.clone() });
            }
        }
    }

    fn announce_all(&mut self, fx: &mut impl Effects<Self>) {
        if self.neighbors.is_empty() {
            // What was published meanwhile waits for the next neighbour.
            return;
        }
        for neighbor in self.neighbors.iter().filter(|neighbor| !neighbor.eager) {
            self.announce_queued(neighbor.peer, fx);
        }
        self.queue = ThinVec::new();
    }

    fn receive(&mut self, now: Time, from: P, message: Message<I, D>, fx: &mut impl Effects<Self>) {
        match message {
            Message::Gossip { id, round, payload } => {
                self.on_gossip(now, from, (id, round, payload), fx);
            }
            Message::IHave(batch) => self.on_ihave(now, from, batch.as_slice(), fx),
            Message::Graft { missing } => self.on_graft(from, missing, fx),
            Message::Prune => self.make_lazy(from),
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
            Input::Expired(Timer::Batch) => {
                self.batch_armed = false;
                self.announce_all(fx);
            }
            Input::Expired(Timer::Missing) => self.on_missing_timer(now, fx),
            Input::Publish { id, payload } => {
                self.remember(now, id, &payload);
                self.push(id, 1, &payload, None, fx);
            }
            Input::NeighborUp(peer) => {
                // Algorithm 3: a new link is eager until a duplicate proves it superfluous. The
                // others stay as they are: a new member must not wipe the tree.
                if !self.is_neighbor(peer) {
                    thrift::push(&mut self.neighbors, Neighbor { peer, eager: true });
                    if self.batch_armed && self.neighbors.len() > 1 {
                        self.announce_queued(peer, fx);
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

    fn check(&self) -> Result<(), Violation> {
        let detail = || alloc::format!("{self:?}");
        Violation::unless(
            self.window.is_within(self.bounds()),
            "the seen window and the payload cache are bounded",
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
        )
    }
}
