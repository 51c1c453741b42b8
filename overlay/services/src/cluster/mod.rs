//! The service: one replica of a cluster's state, kept in step with all others.

mod actions;
mod changes;
mod exchange;

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::vec::Vec;
use core::time::Duration;

use bytes::Bytes;
use murmurate::membership::{DownReason, Sizes, Time, Violation, Wire};
use murmurate::service::{Effects, Input, Service};
use serde::{Deserialize, Serialize};

use crate::clock::{Clock, Stamp};
use crate::command::{Command, Event, Quorum, Refused};
use crate::compare::Compare;
use crate::config::Config;
use crate::delta::Delta;
use crate::dot::Dot;
use crate::key::{Key, Space};
use crate::roster::{Doubt, Links, Roster};
use crate::store::{Put, Store, Writer, owner};

use exchange::{Exchange, Fresh};

/// Verdicts wait so long for more news, and longer the more members there are to be judged.
const JUDGE: Duration = Duration::from_millis(100);
const JUDGE_BY_MEMBER: Duration = Duration::from_micros(50);
/// A node's first neighbours are told after this long.
const FIRST_LINKS: Duration = Duration::from_millis(50);
/// Further ones wait longer, and the longer the more members there are, so that all together a cluster that
/// changes says so at a rate that does not grow with it.
const MORE_LINKS: Duration = Duration::from_secs(1);
const MORE_LINKS_BY_MEMBER: Duration = Duration::from_millis(4);
/// A batch of writes is sent once it has so many bytes.
const BATCH_BYTES: usize = 64 << 10;
/// Those whom this node says the connection failed to.
const FAILED: usize = 64;

/// What nodes say to each other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(bound = "P: Serialize + serde::de::DeserializeOwned")]
pub struct Message<P>(Said<P>);

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(bound = "P: Serialize + serde::de::DeserializeOwned")]
enum Said<P> {
    Compare(Compare<P>),
    /// What its sender heard of a moment ago, and the receiver passes on if it did not know.
    News(Delta<P>),
    /// The last that its sender writes: to be broadcast.
    Farewell(Delta<P>),
}

impl<P: Ord + Copy> Wire for Message<P> {
    const KINDS: &'static [&'static str] =
        &["digest", "parts", "names", "page", "news", "farewell"];

    fn kind(&self) -> usize {
        match &self.0 {
            Said::Compare(compare) => compare.kind(),
            Said::News(_) => Compare::<P>::KINDS.len(),
            Said::Farewell(_) => Compare::<P>::KINDS.len() + 1,
        }
    }

    fn wire_len(&self, sizes: &Sizes) -> usize {
        match &self.0 {
            Said::Compare(compare) => compare.wire_len(sizes),
            Said::News(delta) | Said::Farewell(delta) => delta.wire_len(sizes),
        }
    }
}

/// The timers of the service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Timer {
    /// Broadcast what was written.
    Publish,
    /// Tell the neighbours what is new.
    Spread,
    /// Say who the neighbours are.
    Links,
    /// Compare with a neighbour.
    Compare,
    /// See whether a comparison has ended.
    Settle,
    /// Come to verdicts after connections failed.
    Judge,
    /// Come to verdicts after links came and went.
    Review,
}

/// How often things happened that should not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Counts {
    /// Values of others that found no room.
    pub refused: u64,
    /// Messages and broadcasts that no node says.
    pub nonsense: u64,
    /// Writes that lay too far ahead of this node's wall clock.
    pub drifted: u64,
    /// Own writes that were lost, because somebody took this node for gone, and were made again.
    pub rewritten: u64,
}

/// One node's part of the cluster's state. See the [crate's page](crate).
#[derive(Debug, Clone)]
pub struct Cluster<P: Writer> {
    pub(crate) config: Config,
    pub(crate) me: Option<P>,
    pub(crate) store: Store<P>,
    pub(crate) roster: Roster<P>,
    pub(crate) clock: Clock,
    pub(crate) counts: Counts,
    pub(crate) neighbors: BTreeSet<P>,
    /// Whom the connection failed to, and when.
    failed: BTreeMap<P, Time>,
    /// What this node wrote and goes with it, to be written again if somebody took the node for gone.
    pub(crate) own: BTreeMap<Dot<P>, (Key, Bytes)>,
    /// Written and not sent.
    pending: Vec<Delta<P>>,
    pending_bytes: usize,
    armed: BTreeSet<Timer>,
    /// When the next suspect has failed if nobody refutes it.
    verdict: Option<Time>,
    exchange: Exchange<P>,
    fresh: Fresh<P>,
    quorum: Option<Quorum>,
    /// Who is no more, and since when: that they were is forgotten later.
    retired: BTreeMap<P, Time>,
    /// Who failed: what goes with them is told to be gone, although it is kept.
    pub(crate) hidden: BTreeSet<P>,
    pub(crate) has_left: bool,
}

impl<P: Writer> Cluster<P> {
    /// A node that has not joined yet.
    #[must_use]
    pub fn new(config: Config) -> Self {
        Self {
            store: Store::new(config.limits.clone()),
            clock: Clock::new(config.drift),
            config,
            me: None,
            roster: Roster::default(),
            counts: Counts::default(),
            neighbors: BTreeSet::new(),
            failed: BTreeMap::new(),
            own: BTreeMap::new(),
            pending: Vec::new(),
            pending_bytes: 0,
            armed: BTreeSet::new(),
            verdict: None,
            exchange: Exchange::default(),
            fresh: Fresh::default(),
            quorum: None,
            retired: BTreeMap::new(),
            hidden: BTreeSet::new(),
            has_left: false,
        }
    }

    /// Whether what this incarnation wrote counts where it goes with its writer.
    pub(crate) fn is_here(&self, writer: P) -> bool {
        self.me == Some(writer) || self.roster.is_live(writer)
    }
}

impl<P: Writer> Service<P, Bytes> for Cluster<P> {
    type Message = Message<P>;
    type Timer = Timer;
    type Command = Command<P>;
    type Event = Event<P>;

    fn handle<E: Effects<P, Bytes, Self>>(
        &mut self,
        now: Time,
        input: Input<'_, P, Bytes, Self>,
        fx: &mut E,
    ) {
        self.me = Some(fx.me());
        let wall = fx.wall_clock().unwrap_or(now);
        self.store.take_until(Stamp::at(wall.after(self.config.drift)));
        let mut step = Step { cluster: self, now, wall, urgency: Urgency::Now, fx };
        match input {
            Input::Join => step.join(),
            Input::Leave => step.leave(),
            Input::NeighborUp(peer) => step.neighbor_up(peer),
            Input::NeighborDown(peer, reason) => step.neighbor_down(peer, reason),
            Input::Delivered { payload, .. } => step.delivered(payload),
            Input::Missed(_) => step.compare_next(),
            Input::Receive { from, message } => step.receive(from, message.0),
            Input::Expired(timer) => step.expired(timer),
            Input::Command(Command { action, reply }) => {
                let done = step.act(action);
                if let Some(reply) = reply {
                    reply(done);
                }
            }
            _ => {}
        }
    }

    fn check(&self, neighbors: &[P]) -> Result<(), Violation> {
        Violation::unless(
            self.has_left || self.neighbors.iter().eq(neighbors),
            "the cluster knows its neighbours",
            || format!("{:?} instead of {neighbors:?}", self.neighbors),
        )?;
        let foreign = self.own.keys().find(|dot| Some(dot.writer) != self.me);
        Violation::unless(foreign.is_none(), "what is one's own one wrote", || {
            format!("{foreign:?}")
        })?;
        let live = self.own.keys().find(|dot| self.store.version(**dot).is_none());
        Violation::unless(live.is_none(), "what is one's own is live", || format!("{live:?}"))?;
        let doubts = self.roster.doubt() == Doubt::None && self.verdict.is_none()
            || self.armed.contains(&Timer::Judge)
            || self.armed.contains(&Timer::Review)
            || self.has_left;
        Violation::unless(doubts, "doubts are settled some time", || "no verdict is due")?;
        self.store.check()
    }
}

/// After how long a node says who its neighbours are now, in a cluster of so many members.
fn links_after(members: usize) -> Duration {
    let members = u32::try_from(members).unwrap_or(u32::MAX);
    MORE_LINKS.saturating_add(MORE_LINKS_BY_MEMBER.saturating_mul(members))
}

/// After how long verdicts are come to in a cluster of so many members.
fn judge_after(members: usize) -> Duration {
    let members = u32::try_from(members).unwrap_or(u32::MAX);
    JUDGE.saturating_add(JUDGE_BY_MEMBER.saturating_mul(members))
}

/// How a write reaches the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Urgency {
    /// As a broadcast.
    Now,
    /// From neighbour to neighbour, together with what else is new: cheaper by far where much is.
    Soon,
}

/// One input that is handled.
struct Step<'a, P: Writer, E> {
    cluster: &'a mut Cluster<P>,
    now: Time,
    wall: Time,
    /// How what is written now reaches the others.
    urgency: Urgency,
    fx: &'a mut E,
}

impl<P: Writer, E: Effects<P, Bytes, Cluster<P>>> Step<'_, P, E> {
    fn arm(&mut self, after: Duration, timer: Timer) {
        if self.cluster.armed.insert(timer) {
            self.fx.arm(after, timer);
        }
    }

    fn join(&mut self) {
        self.cluster.has_left = false;
        self.arm(self.cluster.config.compare, Timer::Compare);
        let me = self.fx.me();
        let key = Key::new(Space::MEMBER, owner::<P>(me.node()));
        if self.cluster.store.get(&key).iter().any(|version| version.dot.writer == me) {
            return;
        }
        let record = postcard::to_allocvec(&self.cluster.config.record).unwrap_or_default();
        // Many may join at a time.
        self.urgency = Urgency::Soon;
        let _ = self.write_own(key, record.into(), &[]);
        self.arm(FIRST_LINKS, Timer::Links);
    }

    /// Says goodbye: what goes with this node goes now.
    fn leave(&mut self) {
        self.cluster.has_left = true;
        self.cluster.own.clear();
        let me = self.fx.me();
        let gone =
            self.cluster.store.written_by(me).filter(|(_, key)| key.space.goes_with_writer());
        let gone: Vec<Dot<P>> = gone.map(|(dot, _)| dot).collect();
        let (delta, joined) = self.cluster.store.remove(&gone);
        let mut parts = core::mem::take(&mut self.cluster.pending);
        self.cluster.pending_bytes = 0;
        parts.push(delta);
        // Nor is anything of before that may still be under way.
        parts.push(self.cluster.store.gone_of(me));
        let last = Delta::joined(parts.iter());
        for peer in &self.cluster.neighbors.clone() {
            self.fx.send(*peer, Message(Said::Farewell(last.clone())));
        }
        self.heed(joined);
    }

    fn neighbor_up(&mut self, peer: P) {
        let is_first = self.cluster.neighbors.is_empty();
        self.cluster.neighbors.insert(peer);
        self.cluster.failed.remove(&peer);
        if is_first {
            self.begin(peer);
        } else {
            self.compare_later(peer);
        }
        self.arm(
            if is_first { FIRST_LINKS } else { links_after(self.cluster.roster.len()) },
            Timer::Links,
        );
        self.cluster.roster.raise(Doubt::Later);
        self.doubt();
    }

    fn neighbor_down(&mut self, peer: P, reason: DownReason) {
        let cluster = &mut *self.cluster;
        cluster.neighbors.remove(&peer);
        cluster.exchange.end(peer);
        if cluster.has_left {
            return;
        }
        if matches!(reason, DownReason::Failed | DownReason::Silent) {
            if cluster.failed.len() >= FAILED {
                let oldest =
                    cluster.failed.iter().min_by_key(|(_, at)| **at).map(|(peer, _)| *peer);
                oldest.and_then(|peer| cluster.failed.remove(&peer));
            }
            cluster.failed.insert(peer, self.now);
            cluster.roster.raise(Doubt::Now);
            // At once: others wait for it.
            self.write_links(Urgency::Now);
        } else {
            cluster.roster.raise(Doubt::Later);
            self.arm(links_after(self.cluster.roster.len()), Timer::Links);
        }
        self.doubt();
    }

    fn write_links(&mut self, urgency: Urgency) {
        self.urgency = urgency;
        let me = self.fx.me();
        let key = Key::new(Space::LINKS, owner::<P>(me.node()));
        let cluster = &*self.cluster;
        // Who is no member any more needs no accuser.
        let failed = cluster.failed.keys().filter(|peer| {
            cluster.roster.get(peer.node()).is_some_and(|member| member.peer == **peer)
        });
        let links = Links {
            neighbors: cluster.neighbors.iter().copied().collect(),
            failed: failed.copied().collect(),
        };
        let value: Bytes = postcard::to_allocvec(&links).unwrap_or_default().into();
        let present = cluster.store.get(&key);
        if present.iter().any(|version| version.dot.writer == me && version.value == value) {
            return;
        }
        let replaces: Vec<Dot<P>> = present.iter().map(|version| version.dot).collect();
        let _ = self.write_own(key, value, &replaces);
    }

    /// Writes what goes with this node, in place of these live values.
    fn write_own(
        &mut self,
        key: Key,
        value: Bytes,
        replaces: &[Dot<P>],
    ) -> Result<Dot<P>, Refused<P>> {
        let put = self.put(key.clone(), value.clone(), replaces)?;
        for dot in replaces {
            self.cluster.own.remove(dot);
        }
        // Before anything comes of it, which may be its end.
        self.cluster.own.insert(put.dot, (key, value));
        Ok(self.written(put))
    }

    /// Writes something in place of these live values.
    fn write(&mut self, key: Key, value: Bytes, replaces: &[Dot<P>]) -> Result<Dot<P>, Refused<P>> {
        let put = self.put(key, value, replaces)?;
        Ok(self.written(put))
    }

    fn put(&mut self, key: Key, value: Bytes, replaces: &[Dot<P>]) -> Result<Put<P>, Refused<P>> {
        let (me, stamp) = (self.fx.me(), self.cluster.clock.tick(self.wall));
        let put = self.cluster.store.put(me, key, (stamp, value), replaces);
        put.map_err(Refused::Full)
    }

    fn written(&mut self, Put { dot, delta, joined }: Put<P>) -> Dot<P> {
        self.publish(delta);
        self.heed(joined);
        dot
    }

    /// Removes live values.
    fn erase(&mut self, dots: &[Dot<P>]) {
        for dot in dots {
            self.cluster.own.remove(dot);
        }
        let (delta, joined) = self.cluster.store.remove(dots);
        self.publish(delta);
        self.heed(joined);
    }

    fn publish(&mut self, delta: Delta<P>) {
        if self.urgency == Urgency::Soon {
            return self.pass_on(None, delta);
        }
        self.cluster.pending_bytes += delta.bytes();
        self.cluster.pending.push(delta);
        if self.cluster.pending_bytes >= BATCH_BYTES {
            self.send_pending();
        } else {
            self.arm(self.cluster.config.batch, Timer::Publish);
        }
    }

    fn send_pending(&mut self) {
        let pending = core::mem::take(&mut self.cluster.pending);
        self.cluster.pending_bytes = 0;
        if !pending.is_empty() {
            self.broadcast(&Delta::joined(pending.iter()));
        }
    }

    fn broadcast(&mut self, delta: &Delta<P>) {
        if let Ok(bytes) = postcard::to_allocvec(delta) {
            self.fx.broadcast(bytes.into());
        }
    }

    fn delivered(&mut self, payload: &Bytes) {
        match postcard::take_from_bytes::<Delta<P>>(payload) {
            Ok((delta, [])) => {
                self.take(&delta);
            }
            _ => self.cluster.counts.nonsense += 1,
        }
    }

    /// Takes in what another node says. Returns whether anything was new.
    fn take(&mut self, delta: &Delta<P>) -> bool {
        self.hear(delta);
        match self.cluster.store.join(delta) {
            Ok(joined) => {
                let is_news = joined.is_news;
                self.heed(joined);
                is_news
            }
            Err(_) => {
                self.cluster.counts.nonsense += 1;
                false
            }
        }
    }

    /// The clock hears of what others wrote.
    fn hear(&mut self, delta: &Delta<P>) {
        for (writer, stamp) in delta.stamps() {
            if let Err(drift) = self.cluster.clock.hear(stamp, self.wall) {
                self.cluster.counts.drifted += 1;
                self.fx.emit(Event::Drift { writer, ahead: drift.0 });
            }
        }
    }

    fn receive(&mut self, from: P, said: Said<P>) {
        // It was a neighbour when it said so.
        if !self.cluster.neighbors.contains(&from) {
            return;
        }
        match said {
            Said::Compare(compare) => self.compare(from, compare),
            Said::News(delta) => self.news(from, &delta),
            Said::Farewell(delta) => {
                if self.take(&delta) {
                    self.broadcast(&delta);
                }
            }
        }
    }

    fn expired(&mut self, timer: Timer) {
        self.cluster.armed.remove(&timer);
        if self.cluster.has_left {
            return;
        }
        match timer {
            Timer::Publish => self.send_pending(),
            Timer::Spread => self.spread(),
            Timer::Links => self.write_links(Urgency::Soon),
            Timer::Compare => {
                self.arm(self.cluster.config.compare, Timer::Compare);
                self.forget();
                self.compare_next();
            }
            Timer::Settle => self.settle(),
            Timer::Judge | Timer::Review => self.judge(),
        }
    }
}
