//! The host of a sending half: performs what its session decides, and is the application.

use std::collections::BTreeMap;
use std::time::Duration;

use murmurate::channel::session::{End, Next, SenderSession, Timeouts, Want, Welcome};
use murmurate::channel::{Depth, Frame, Outcome, Path, Ticket};
use murmurate::membership::{Time, Violation};

use super::content::{LEAST_BYTES, Name};
use super::message::{Body, LaneMessage, Via};
use super::stream::Stream;
use super::{ChannelConfig, Context, DOUBT, honest};
use crate::model::network::mix;
use crate::model::node::SimPeer;

#[derive(Debug, Clone)]
pub(super) struct Sender {
    session: SenderSession,
    to: u32,
    /// The peer that answered last.
    peer: Option<SimPeer>,
    /// The path, if it is a stream.
    stream: Option<Stream<Heard>>,
    /// Frames on the stream that the other end has not read.
    unread: usize,
    /// The window is full, and the reader will be probed.
    doubts: bool,
    /// The deadline that was set last, and when it is.
    turn: u64,
    armed: Option<Time>,
    retransmitted: u64,
    pushed: u64,
    /// What waited was just given up.
    given_up: bool,
    /// Messages without outcome.
    open: BTreeMap<Ticket, Open>,
}

/// What comes from the other end over a stream.
#[derive(Debug, Clone)]
pub(super) enum Heard {
    Welcome(SimPeer, Welcome),
    Frame(Frame),
}

#[derive(Debug, Clone)]
struct Open {
    name: Name,
    /// By the node's clock.
    pushed: Time,
    sent: u32,
    /// The receiving half that it was sent to last.
    to: Option<(SimPeer, u64)>,
}

impl Sender {
    pub(super) fn new(channel: &ChannelConfig, timeouts: Timeouts, to: u32) -> Self {
        Self {
            session: SenderSession::new(channel.kind.sending(channel.limits), timeouts, 0),
            to,
            peer: None,
            stream: None,
            unread: 0,
            doubts: false,
            turn: 0,
            armed: None,
            retransmitted: 0,
            pushed: 0,
            given_up: false,
            open: BTreeMap::new(),
        }
    }

    /// The present path, and its other end.
    pub(super) fn path(&self) -> Option<(Via, SimPeer)> {
        let half = self.session.attached()?;
        let via = match &self.stream {
            Some(stream) => Via::Stream { attempt: stream.attempt, place: 0 },
            None => Via::Relay { half: half.number },
        };
        Some((via, self.peer?))
    }

    /// What has no outcome yet, and the round trip in the mean, if it was measured.
    pub(super) fn depth(&self) -> (Depth, Option<Duration>) {
        let half = self.session.half();
        (half.depth(), half.round_trip())
    }

    pub(super) fn check(&self) -> Result<(), Violation> {
        self.session.half().check()
    }

    pub(super) fn push(
        &mut self,
        context: &mut Context<'_>,
        bytes: usize,
    ) -> Result<(), Violation> {
        let name = Name { ticket: self.pushed, pushed: context.host.now() };
        let pushed = context.host.local();
        let mut taken = self.session.push(pushed, name.message(bytes));
        while taken.is_err() && context.channel.sheds && self.session.half_mut().shed_oldest() {
            taken = self.session.push(pushed, name.message(bytes));
        }
        context.accounting.offered(context.number, name.pushed, taken.is_ok());
        if let Ok(ticket) = taken {
            Violation::unless(ticket == self.pushed, "tickets count messages", || {
                format!("{ticket} for message {}", self.pushed)
            })?;
            self.open.insert(ticket, Open { name, pushed, sent: 0, to: None });
            self.pushed += 1;
            context.accounting.sent((context.number, context.host.me(), self.to), ticket);
        }
        self.go_on(context)
    }

    /// A deadline passed, unless another one was set since.
    pub(super) fn wake(&mut self, context: &mut Context<'_>, turn: u64) -> Result<(), Violation> {
        if turn != self.turn {
            return Ok(());
        }
        self.armed = None;
        let now = context.host.local();
        let ended = self.session.expire(now);
        if let Some((_, next)) = ended {
            self.ended(next);
        }
        let half = self.session.half().deadline();
        Violation::unless(half.is_none_or(|due| due > now), "what was due is done", || {
            format!("{half:?} at {now:?}")
        })?;
        self.go_on(context)
    }

    fn ended(&mut self, next: Next) {
        (self.stream, self.unread, self.doubts) = (None, 0, false);
        self.given_up |= next == Next::GaveUp;
    }

    fn end(&mut self, context: &mut Context<'_>, why: End) -> Result<(), Violation> {
        let next = self.session.end(context.host.local(), why);
        self.ended(next);
        self.go_on(context)
    }

    pub(super) fn welcome(
        &mut self,
        context: &mut Context<'_>,
        from: SimPeer,
        welcome: Welcome,
        via: Via,
    ) -> Result<(), Violation> {
        match via {
            Via::Stream { attempt, place } => {
                self.heard(context, attempt, place, Heard::Welcome(from, welcome))
            }
            Via::Relay { .. } if self.stream.is_none() => {
                self.welcomed(context, from, welcome)?;
                self.go_on(context)
            }
            Via::Relay { .. } => Ok(()),
        }
    }

    fn welcomed(
        &mut self,
        context: &Context<'_>,
        from: SimPeer,
        welcome: Welcome,
    ) -> Result<(), Violation> {
        let mut stands = false;
        honest(
            self.session.welcome(context.host.local(), welcome).map(|welcome| stands = welcome),
        )?;
        if stands {
            self.peer = Some(from);
        }
        Ok(())
    }

    pub(super) fn hear(
        &mut self,
        context: &mut Context<'_>,
        from: SimPeer,
        via: Via,
        frame: Frame,
    ) -> Result<(), Violation> {
        match via {
            Via::Stream { attempt, place } => {
                self.heard(context, attempt, place, Heard::Frame(frame))
            }
            Via::Relay { .. } if self.path() == Some((via, from)) => {
                honest(self.session.receive(context.host.local(), frame))?;
                self.go_on(context)
            }
            Via::Relay { .. } => Ok(()),
        }
    }

    /// Something came over a stream.
    fn heard(
        &mut self,
        context: &mut Context<'_>,
        attempt: u64,
        place: u64,
        what: Heard,
    ) -> Result<(), Violation> {
        let Some(stream) = self.stream.as_mut().filter(|stream| stream.attempt == attempt) else {
            return Ok(());
        };
        stream.hear(place, what);
        while let Some(what) = self.stream.as_mut().and_then(Stream::next) {
            match what {
                Heard::Welcome(from, welcome) => self.welcomed(context, from, welcome)?,
                Heard::Frame(frame) => honest(self.session.receive(context.host.local(), frame))?,
            }
        }
        self.go_on(context)
    }

    /// The other end has read from a stream.
    pub(super) fn read(
        &mut self,
        context: &mut Context<'_>,
        attempt: u64,
        frames: usize,
    ) -> Result<(), Violation> {
        if self.is_on(attempt) {
            self.unread = self.unread.saturating_sub(frames);
            self.go_on(context)?;
        }
        Ok(())
    }

    fn is_on(&self, attempt: u64) -> bool {
        self.stream.as_ref().is_some_and(|stream| stream.attempt == attempt)
    }

    /// A greeting stays without an answer.
    pub(super) fn nobody(
        &mut self,
        context: &mut Context<'_>,
        attempt: u64,
    ) -> Result<(), Violation> {
        if self.session.attempt() == attempt && self.session.attached().is_none() {
            self.end(context, End::Nobody)?;
        }
        Ok(())
    }

    /// The path is no more.
    pub(super) fn gone(&mut self, context: &mut Context<'_>, via: Via) -> Result<(), Violation> {
        match (via, self.path()) {
            (Via::Stream { attempt, .. }, _) if self.is_on(attempt) => {
                self.end(context, End::Broken)
            }
            (Via::Relay { .. }, Some((stands, _))) if stands == via => {
                self.end(context, End::Broken)
            }
            _ => Ok(()),
        }
    }

    /// The stream carries nothing any more; what is under way is lost. It is noticed later.
    pub(super) fn break_stream(&mut self, context: &mut Context<'_>) {
        if let Some(stream) = &mut self.stream {
            stream.break_off();
            context.notice(self.to, stream.attempt, true);
        }
    }

    /// Another path is wanted, whatever this one is.
    pub(super) fn switch(&mut self, context: &mut Context<'_>) -> Result<(), Violation> {
        self.end(context, End::Broken)
    }

    /// Sends all that the session has to send, takes the outcomes of messages, and handles deadlines.
    pub(super) fn go_on(&mut self, context: &mut Context<'_>) -> Result<(), Violation> {
        self.open_path(context);
        self.speak(context)?;
        self.note_outcomes(context)?;
        let depth = self.session.half().depth();
        if depth.messages > context.channel.promises.least_room {
            depth.check(context.channel.limits)?;
        }
        debug_assert_eq!(self.check(), Ok(()));
        let frames = self.session.half().retransmitted();
        context.accounting.retransmitted(context.number, frames - self.retransmitted);
        self.retransmitted = frames;
        if let Some(deadline) = self.session.deadline()
            && self.armed.is_none_or(|armed| deadline < armed)
        {
            self.turn += 1;
            self.armed = Some(deadline);
            let after = deadline.since(context.host.local());
            let body = Body::Wake { to: self.to, turn: self.turn };
            context.host.wake(after, LaneMessage { channel: context.number, body });
        }
        Ok(())
    }

    fn open_path(&mut self, context: &mut Context<'_>) {
        let now = context.host.local();
        if self.session.wants_path(now, false) == Want::Path {
            let lane = u64::from(context.host.me().bits()) << 32 | u64::from(self.to);
            let draw = mix(mix(lane) ^ self.session.ended_paths());
            let relayed = (draw as f64) < context.channel.relayed * u64::MAX as f64
                || !context.host.can_dial(self.to as usize);
            let path = if relayed { Path::Relay } else { Path::Stream };
            self.session.opened(now, path);
        }
        let Some(greeting) = self.session.greeting() else { return };
        let path = self.session.path().unwrap_or(Path::Relay);
        self.stream = (path == Path::Stream).then(|| Stream::new(greeting.attempt));
        (self.unread, self.doubts) = (0, false);
        // Whoever runs at the address now.
        let address = self.peer.unwrap_or_else(|| SimPeer::new(self.to as usize, 0));
        context.send(address, Body::Hello { greeting, path });
    }

    fn speak(&mut self, context: &mut Context<'_>) -> Result<(), Violation> {
        while let Some((via, peer)) = self.path() {
            if let Some(stream) = &self.stream
                && (stream.is_broken || self.unread >= context.channel.window)
            {
                self.wait(context);
                break;
            }
            let had = self.session.half().has_frame();
            let frame = self.session.next_frame(context.host.local());
            Violation::unless(had == frame.is_some(), "a half has the frame it says", || {
                format!("{had}, {frame:?}")
            })?;
            let Some(frame) = frame else { break };
            if frame.body.len() >= LEAST_BYTES {
                let half = self.session.attached().map_or(0, |half| half.number);
                self.note_sent(&frame, (peer, half), context.channel.promises.one_half)?;
            }
            let Some(stream) = &mut self.stream else {
                context.send(peer, Body::Forth { via, frame });
                continue;
            };
            self.unread += 1;
            let via = Via::Stream { attempt: stream.attempt, place: stream.place() };
            if !context.send(peer, Body::Forth { via, frame }) {
                self.break_stream(context);
            }
        }
        Ok(())
    }

    /// The window is full: has the reader probed after a while, if it has read nothing by then.
    fn wait(&mut self, context: &mut Context<'_>) {
        if let Some(stream) = self.stream.as_ref().filter(|stream| !stream.is_broken)
            && !std::mem::replace(&mut self.doubts, true)
        {
            let body = Body::Doubt { to: self.to, attempt: stream.attempt };
            context.host.wake(DOUBT, LaneMessage { channel: context.number, body });
        }
    }

    /// Asks the reader of this stream whether it is there, if it has read nothing since.
    pub(super) fn doubt(&mut self, context: &mut Context<'_>, attempt: u64) {
        if !self.is_on(attempt) {
            return;
        }
        self.doubts = false;
        if self.unread < context.channel.window {
            return;
        }
        match self.peer {
            Some(peer) if !context.send(peer, Body::Probe { attempt }) => {
                self.break_stream(context);
            }
            _ => self.wait(context),
        }
    }

    fn note_sent(
        &mut self,
        frame: &Frame,
        half: (SimPeer, u64),
        one_half: bool,
    ) -> Result<(), Violation> {
        let open = Name::of(&frame.body).and_then(|name| self.open.get_mut(&name.ticket));
        let Some(open) = open else {
            let (rule, detail) = ("what has an outcome is not sent", format!("{frame:?}"));
            return Err(Violation { rule, detail });
        };
        let same = open.to.is_none_or(|to| to == half);
        Violation::unless(
            same || !one_half,
            "what one half may have is not sent to another",
            || format!("{open:?} to {half:?}"),
        )?;
        open.sent += 1;
        open.to = Some(half);
        Ok(())
    }

    fn note_outcomes(&mut self, context: &mut Context<'_>) -> Result<(), Violation> {
        while let Some((ticket, outcome)) = self.session.half_mut().settled() {
            let open = self.open.remove(&ticket).ok_or_else(|| Violation {
                rule: "a message has one outcome",
                detail: format!("message {ticket}, and now {outcome:?}"),
            })?;
            self.is_true(context, &open, &outcome)?;
            let who = (context.number, context.host.me(), self.to);
            context.accounting.ended(context.host.now(), who, open.name, outcome, self.given_up);
        }
        self.given_up = false;
        Ok(())
    }

    /// Checks that the outcome that the sender is told is true, as far as this end knows.
    fn is_true(
        &self,
        context: &Context<'_>,
        open: &Open,
        outcome: &Outcome,
    ) -> Result<(), Violation> {
        let now = context.host.local();
        let promises = context.channel.promises;
        let half = self.session.attached().and_then(|half| Some((self.peer?, half.number)));
        let is_attached = || open.to.is_some() && open.to == half;
        let holds = match outcome {
            Outcome::Sent => open.sent == 1,
            Outcome::Delivered => open.sent > 0,
            Outcome::Answered(answer) => open.sent > 0 && open.name.is_answered_by(answer),
            // What survives is gone only with the half that it was sent to.
            Outcome::Gone => open.sent > 0 && (!promises.survives || !is_attached()),
            Outcome::TimedOut => open.pushed.after(context.channel.limits.timeout) <= now,
            Outcome::Shed => open.sent == 0,
            _ => true,
        };
        Violation::unless(holds, "what the sender is told is what happened", || {
            format!("{open:?} at {now:?}: {outcome:?}, half {half:?}")
        })
    }
}
