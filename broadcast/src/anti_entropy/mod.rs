//! Anti-entropy: neighbours compare what they have, and fetch what they missed.
//!
//! It wraps any strategy, which stays the way that broadcasts go. What that way lost, in a cut, an
//! overload, a crash, is found by comparing: on a new link at once, then with one neighbour after
//! the other. A digest comes first, so two that have the same say little; where digests differ, parts
//! are compared (Merkle's idea), so the cost follows the difference; payloads come last. A gap within
//! an origin's consecutive numbers needs no comparison: a peer knows its own.
//!
//! | room | what |
//! |---|---|
//! | here | the strategy inside, the exchange |
//! | `gaps` | what is missed, asked for, given up |
//! | `retention` | what is kept for others |
//! | `layer` | what the strategy inside speaks to |

mod config;
mod figures;
mod gaps;
mod layer;
pub mod marks;
mod message;
mod retention;

use alloc::sync::Arc;
use core::time::Duration;

#[cfg(feature = "serde")]
use murmurate_membership::snapshot::Stored;
use murmurate_membership::{NodeFigure, Time, Violation, nanos};
use thin_vec::ThinVec;

pub use config::{Config, Parameters};
pub use message::{MAX_ORIGINS, MAX_PARTS, Message, Part, Span, Summary};
pub use murmurate_membership::ConfigError;

use crate::protocol::{Broadcast, Effects, Input, Origin, Payload};
use crate::{Id, Seen, SeenBounds, compact, shared};
use gaps::Gaps;
use layer::Layer;
use retention::{Retention, digest};

/// Up to so many origins of a part are listed; more are split further.
const LISTED: usize = 16;
/// What came so long before a peer did counts as of its time: nobody knows how long its word was under
/// way.
const WAY: Duration = Duration::from_secs(1);
/// Messages of a neighbour that are answered between two comparisons: an honest one says less.
const ANSWERED: u8 = 64;

/// A broadcast strategy that wraps another one and finds out what that has missed.
#[derive(Debug, Clone)]
pub struct AntiEntropy<B: Broadcast> {
    inner: B,
    config: Arc<Config>,
    /// When this peer's time began: at its first input.
    began: Option<Time>,
    retained: Retention<B::Id, B::Payload>,
    gaps: Gaps<Origin<B>>,
    links: ThinVec<Link<B::Peer>>,
    /// Whose turn to be compared with comes next.
    turn: usize,
    armed: bool,
    /// Origins of which something was just delivered.
    delivered: ThinVec<Origin<B>>,
}

#[cfg(feature = "serde")]
murmurate_membership::snapshot! {
    impl[B] AntiEntropy<B> [
        B: Broadcast<Peer: Stored, Id: Id<Origin: Stored> + Stored, Payload: Default>
    ] {
        began, retained, gaps, links, turn, armed, delivered
    } but { inner, config }
}

/// A neighbour, and what it may still cause.
#[derive(Debug, Clone, Copy)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
struct Link<P> {
    peer: P,
    since: Time,
    /// Messages that are still answered.
    answers: u8,
    /// Bytes of broadcasts that are still sent.
    bytes: u32,
    /// Broadcasts asked for that have not come. As long as there are some, it is asked for more only when
    /// its turn comes: what it says it has keeps nobody from asking others.
    awaited: u32,
}

/// Anti-entropy's timers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Timer<T> {
    /// The timer of the strategy inside.
    Inner(T),
    /// Compare with the next neighbour. At most one is outstanding.
    Exchange,
}

/// The message of anti-entropy around a strategy.
pub type MessageOf<B> =
    Message<<B as Broadcast>::Message, Origin<B>, <B as Broadcast>::Id, <B as Broadcast>::Payload>;

impl<B: Broadcast> AntiEntropy<B> {
    /// Wraps a strategy that has not seen any input yet.
    #[must_use]
    pub fn new(inner: B, config: Arc<Config>) -> Self {
        Self {
            inner,
            config,
            began: None,
            retained: Retention::new(),
            gaps: Gaps::new(),
            links: ThinVec::new(),
            turn: 0,
            armed: false,
            delivered: ThinVec::new(),
        }
    }

    /// The strategy inside.
    pub fn inner(&self) -> &B {
        &self.inner
    }

    /// The same to change, for a host that puts it in a state of before.
    #[cfg(feature = "serde")]
    pub fn inner_mut(&mut self) -> &mut B {
        &mut self.inner
    }

    fn link(&mut self, peer: B::Peer) -> Option<&mut Link<B::Peer>> {
        self.links.iter_mut().find(|link| link.peer == peer)
    }

    /// Feeds the strategy inside, and notes what became of it.
    fn feed(&mut self, now: Time, input: Input<B>, fx: &mut impl Effects<Self>) {
        self.feed_since(now, now, input, fx);
    }

    /// The same when what is delivered was published at `since`.
    fn feed_since(&mut self, now: Time, since: Time, input: Input<B>, fx: &mut impl Effects<Self>) {
        let is_past = matches!(input, Input::Recover { is_past: true, .. });
        let Self { inner, config, retained, delivered, .. } = self;
        let mut layer = Layer { since, is_past, config, retained, delivered, host: fx };
        inner.handle(now, input, &mut layer);
        while let Some(origin) = self.delivered.pop() {
            self.gaps.note(now, origin, self.inner.seen());
        }
    }

    fn neighbor_up(&mut self, now: Time, peer: B::Peer, fx: &mut impl Effects<Self>) {
        self.feed(now, Input::NeighborUp(peer), fx);
        if self.link(peer).is_some() {
            return;
        }
        let bytes = self.config.reply_bytes as u32;
        let link = Link { peer, since: now, answers: ANSWERED, bytes, awaited: 0 };
        compact::push(&mut self.links, link);
        self.compare(now, peer, fx);
        if !self.armed {
            self.armed = true;
            fx.arm(self.config.exchange_interval, Timer::Exchange);
        }
    }

    fn neighbor_down(&mut self, now: Time, peer: B::Peer, fx: &mut impl Effects<Self>) {
        self.links.retain(|link| link.peer != peer);
        self.feed(now, Input::NeighborDown(peer), fx);
    }

    fn on_exchange_timer(&mut self, now: Time, fx: &mut impl Effects<Self>) {
        fx.arm(self.config.exchange_interval, Timer::Exchange);
        self.retained.expire(now, &self.config);
        self.give_up(now, fx);
        let bytes = self.config.reply_bytes as u32;
        for link in &mut self.links {
            *link = Link { answers: ANSWERED, bytes, ..*link };
        }
        self.turn = if self.turn + 1 < self.links.len() { self.turn + 1 } else { 0 };
        let Some(link) = self.links.get_mut(self.turn) else { return };
        link.awaited = 0;
        let peer = link.peer;
        self.compare(now, peer, fx);
        self.ask(now, peer, None, fx);
    }

    /// What was asked for long enough will not come any more.
    fn give_up(&mut self, now: Time, fx: &mut impl Effects<Self>) {
        let (seen, _) = self.inner.seen_mut();
        for (origin, count) in self.gaps.give_up(now, seen, &self.config) {
            fx.mark(marks::GAP_GIVEN_UP);
            fx.missed(origin, count);
        }
    }

    /// How long this peer has been there, as it tells others.
    fn uptime(&self, now: Time) -> u32 {
        if self.config.catch_up {
            return u32::MAX;
        }
        self.began.map_or(0, |began| millis(now.since(began)))
    }

    /// Until when what was published is told to a neighbour. Over a new link all is: a broadcast that is
    /// older than it never comes that way.
    fn told_until(&self, now: Time, peer: B::Peer) -> Time {
        let link = self.links.iter().find(|link| link.peer == peer);
        match link.filter(|link| now.since(link.since) > self.config.fetch_after()) {
            Some(_) => self.retained.settled(now, &self.config),
            None => now,
        }
    }

    fn compare(&mut self, now: Time, peer: B::Peer, fx: &mut impl Effects<Self>) {
        self.retained.expire(now, &self.config);
        let (seen, until) = (self.inner.seen(), self.told_until(now, peer));
        let all = self.retained.summaries(seen, core::iter::once(Part::ALL), until);
        let parts = all.into_iter().map(|(_, summary)| summary).collect();
        fx.send(peer, Message::Compare { uptime: self.uptime(now), parts });
    }

    fn on_compare(
        &mut self,
        now: Time,
        from: B::Peer,
        (uptime, theirs): (u32, ThinVec<Summary>),
        fx: &mut impl Effects<Self>,
    ) {
        self.retained.expire(now, &self.config);
        let theirs = &theirs[..theirs.len().min(MAX_PARTS)];
        let until = self.told_until(now, from);
        let parts = theirs.iter().map(|summary| summary.part);
        let ours = self.retained.summaries(self.inner.seen(), parts, until);
        let (mut listed, mut split) = (ThinVec::new(), ThinVec::new());
        for ((count, ours), theirs) in ours.iter().zip(theirs) {
            if ours.digest == theirs.digest {
                continue;
            }
            match ours.part.split() {
                Some(parts) if *count > LISTED => split.extend(parts),
                _ => listed.push(ours.part),
            }
        }
        if !listed.is_empty() {
            fx.mark(marks::EXCHANGE_LISTED);
            let since = came(now, uptime);
            let origins = self.retained.spans(&listed, since, until);
            self.list(now, (from, since), (listed, origins, false), fx);
        }
        if !split.is_empty() {
            fx.mark(marks::EXCHANGE_SPLIT);
            // What does not fit is compared another time.
            split.truncate(MAX_PARTS);
            let parts = self.retained.summaries(self.inner.seen(), split.into_iter(), until);
            let parts = parts.into_iter().map(|(_, summary)| summary).collect();
            fx.send(from, Message::Compare { uptime: self.uptime(now), parts });
        }
    }

    /// Those of which this peer is sure where they begin for one that came at that time go first:
    /// whoever misses something itself cannot tell, nor can one that came later.
    fn list(
        &self,
        now: Time,
        (to, since): (B::Peer, Time),
        (parts, origins, answer): (ThinVec<Part>, ThinVec<Span<Origin<B>>>, bool),
        fx: &mut impl Effects<Self>,
    ) {
        let seen = self.inner.seen();
        let was_there = self.began.is_some_and(|began| began <= since);
        let is_sure = |&Span { origin, from, .. }: &Span<Origin<B>>| {
            (was_there || from == 0) && seen.is_sure(origin) && !seen.has_gaps(origin)
        };
        let (mut origins, unsure): (ThinVec<_>, ThinVec<_>) =
            origins.into_iter().partition(is_sure);
        let sure = origins.len() as u16;
        origins.extend(unsure);
        fx.send(to, Message::Have { uptime: self.uptime(now), parts, origins, sure, answer });
    }

    fn on_have(
        &mut self,
        now: Time,
        from: B::Peer,
        (parts, theirs, sure): (&[Part], &[Span<Origin<B>>], u16),
        fx: &mut impl Effects<Self>,
    ) {
        let parts = &parts[..parts.len().min(MAX_PARTS)];
        for (at, span) in theirs.iter().take(MAX_ORIGINS).enumerate() {
            // Of what they must list they may list nothing else.
            let place = digest(&span.origin);
            if !parts.iter().any(|part| part.holds(place)) || span.from > span.to {
                fx.mark(marks::EXCHANGE_NONSENSE);
                continue;
            }
            let (seen, bounds) = self.inner.seen_mut();
            if !self.gaps.told(now, (*span, at < sure.into()), seen, bounds) {
                fx.mark(shared::ORIGINS_FULL);
            }
        }
        if self.link(from).is_some_and(|link| link.awaited == 0) {
            let told = &theirs[..theirs.len().min(MAX_ORIGINS)];
            self.ask(now, from, Some(told), fx);
        }
    }

    /// What this peer has in the parts and the other lacks.
    fn answer(
        &mut self,
        now: Time,
        from: B::Peer,
        (uptime, parts, theirs): (u32, ThinVec<Part>, &[Span<Origin<B>>]),
        fx: &mut impl Effects<Self>,
    ) {
        let since = came(now, uptime);
        let mut origins = self.retained.spans(&parts, since, self.told_until(now, from));
        origins.retain(|ours| {
            let held = theirs.iter().find(|theirs| theirs.origin == ours.origin);
            ours.from < ours.to && held.is_none_or(|theirs| theirs.to < ours.to)
        });
        if !origins.is_empty() {
            self.list(now, (from, since), (parts, origins, true), fx);
        }
    }

    /// Asks a neighbour for what is missed and nobody else was asked for, of all origins or of those that
    /// it told.
    fn ask(
        &mut self,
        now: Time,
        peer: B::Peer,
        told: Option<&[Span<Origin<B>>]>,
        fx: &mut impl Effects<Self>,
    ) {
        let spans = self.gaps.ask(now, told, self.inner.seen(), &self.config);
        if spans.is_empty() {
            return;
        }
        let asked: u64 = spans.iter().map(|span| span.to - span.from).sum();
        if let Some(link) = self.link(peer) {
            link.awaited = asked as u32;
        }
        fx.mark(marks::GAP_ASKED);
        fx.send(peer, Message::Want(spans));
    }

    fn on_want(
        &mut self,
        now: Time,
        from: B::Peer,
        spans: &[Span<Origin<B>>],
        fx: &mut impl Effects<Self>,
    ) {
        let Self { retained, links, config, .. } = self;
        let Some(link) = links.iter_mut().find(|link| link.peer == from) else { return };
        let kept = spans.iter().take(MAX_ORIGINS).flat_map(|span| retained.within(*span));
        for kept in kept.take(config.batch) {
            let bytes = u32::try_from(kept.payload.size()).unwrap_or(u32::MAX);
            // One always fits, however small the budget.
            if bytes > link.bytes && link.bytes < config.reply_bytes as u32 {
                return fx.mark(marks::REPLY_BUDGET_SPENT);
            }
            link.bytes = link.bytes.saturating_sub(bytes.max(1));
            let round = kept.round.saturating_add(1);
            let (id, age, payload) = (kept.id, millis(now.since(kept.since)), kept.payload.clone());
            fx.send(from, Message::Reply { id, round, age, payload });
        }
    }

    fn on_reply(
        &mut self,
        now: Time,
        from: B::Peer,
        (id, round, age, payload): (B::Id, u16, u32, B::Payload),
        fx: &mut impl Effects<Self>,
    ) {
        let since = before(now, Duration::from_millis(age.into()));
        // Without catching up, whatever was asked for is of this peer's time.
        let is_past =
            self.config.catch_up && self.began.is_some_and(|began| since.after(WAY) < began);
        self.feed_since(now, since, Input::Recover { from, id, round, payload, is_past }, fx);
        self.gaps.note(now, id.origin(), self.inner.seen());
        // All of a batch is there: the next one need not wait for the timer.
        let Some(link) = self.link(from).filter(|link| link.awaited > 0) else { return };
        link.awaited -= 1;
        if link.awaited == 0 {
            self.gaps.ask_again(now);
            self.ask(now, from, None, fx);
        }
    }

    fn receive(
        &mut self,
        now: Time,
        from: B::Peer,
        message: MessageOf<B>,
        fx: &mut impl Effects<Self>,
    ) {
        match message {
            Message::Inner(message) => {
                return self.feed(now, Input::Receive { from, message }, fx);
            }
            Message::Reply { id, round, age, payload } => {
                return self.on_reply(now, from, (id, round, age, payload), fx);
            }
            _ => {}
        }
        let Some(link) = self.link(from) else { return fx.mark(marks::EXCHANGE_OF_STRANGER) };
        if link.answers == 0 {
            return fx.mark(marks::EXCHANGE_FLOOD);
        }
        link.answers -= 1;
        match message {
            Message::Compare { uptime, parts } => self.on_compare(now, from, (uptime, parts), fx),
            Message::Have { uptime, parts, origins, sure, answer } => {
                self.on_have(now, from, (&parts, &origins, sure), fx);
                if !answer {
                    self.answer(now, from, (uptime, parts, &origins), fx);
                }
            }
            Message::Want(spans) => self.on_want(now, from, &spans, fx),
            Message::Inner(_) | Message::Reply { .. } => {}
        }
    }
}

/// When a peer came that says it has been there so long: rather too early than too late, or it would
/// never be told of what was published right after it came.
fn came(now: Time, uptime: u32) -> Time {
    before(now, Duration::from_millis(uptime.into()) + WAY)
}

fn before(now: Time, ago: Duration) -> Time {
    Time::from_nanos(now.as_nanos().saturating_sub(nanos(ago)))
}

fn millis(duration: Duration) -> u32 {
    u32::try_from(duration.as_millis()).unwrap_or(u32::MAX)
}

impl<B: Broadcast> Broadcast for AntiEntropy<B> {
    type Peer = B::Peer;
    type Id = B::Id;
    type Payload = B::Payload;
    type Message = MessageOf<B>;
    type Timer = Timer<B::Timer>;

    fn handle<E: Effects<Self>>(&mut self, now: Time, input: Input<Self>, fx: &mut E) {
        self.began.get_or_insert(now);
        match input {
            Input::Receive { from, message } => self.receive(now, from, message, fx),
            Input::Recover { from, id, round, payload, is_past } => {
                self.feed(now, Input::Recover { from, id, round, payload, is_past }, fx);
            }
            Input::Expired(Timer::Inner(timer)) => self.feed(now, Input::Expired(timer), fx),
            Input::Expired(Timer::Exchange) => self.on_exchange_timer(now, fx),
            Input::Publish { id, payload } => {
                self.retained.keep(now, id, 0, payload.clone(), &self.config);
                self.feed(now, Input::Publish { id, payload }, fx);
            }
            Input::NeighborUp(peer) => self.neighbor_up(now, peer, fx),
            Input::NeighborDown(peer) => self.neighbor_down(now, peer, fx),
        }
    }

    fn eager(&self) -> impl Iterator<Item = B::Peer> {
        self.inner.eager()
    }

    fn lazy(&self) -> impl Iterator<Item = B::Peer> {
        self.inner.lazy()
    }

    fn seen(&self) -> &Seen<B::Id> {
        self.inner.seen()
    }

    fn seen_mut(&mut self) -> (&mut Seen<B::Id>, SeenBounds) {
        self.inner.seen_mut()
    }

    fn each_figure(&self, visit: &mut dyn FnMut(NodeFigure, f64)) {
        self.inner.each_figure(visit);
        visit(figures::RETAINED, self.retained.len() as f64);
        let awaited = self.links.iter().map(|link| f64::from(link.awaited)).sum();
        visit(figures::AWAITED, awaited);
    }

    fn check(&self) -> Result<(), Violation> {
        self.inner.check()?;
        let detail = || alloc::format!("{:?} {:?} {:?}", self.retained, self.gaps, self.links);
        let rule = |holds, rule| Violation::unless(holds, rule, detail);
        rule(self.retained.is_within(&self.config), "what is kept for others is bounded")?;
        rule(self.gaps.is_within(), "the origins of which something is missed are bounded")?;
        rule(self.links.is_empty() || self.armed, "neighbours are compared with in turn")?;
        let neighbors = self.inner.eager().chain(self.inner.lazy());
        rule(
            neighbors.count() == self.links.len(),
            "the neighbours are those of the strategy inside",
        )
    }
}
