//! The host of a receiving half: performs what its session decides, and is the application.

use murmurate::channel::session::{Fit, Greeting, Half, ReceiverSession};
use murmurate::channel::{Frame, Path};
use murmurate::membership::{Violation, nanos};

use super::content::Name;
use super::message::{Body, LaneMessage, Via};
use super::stream::Stream;
use super::{Context, honest};
use crate::model::network::mix;
use crate::model::node::SimPeer;

#[derive(Debug, Clone)]
pub(super) struct Receiver {
    /// The start of the sending node that it belongs to.
    of: SimPeer,
    session: Option<ReceiverSession>,
    /// The path, if it is a stream.
    stream: Option<Stream<Frame>>,
    /// Messages that the application works on.
    at_work: usize,
}

impl Receiver {
    pub(super) fn new(of: SimPeer) -> Self {
        Self { of, session: None, stream: None, at_work: 0 }
    }

    /// The present path, and its other end.
    pub(super) fn path(&self) -> Option<(Via, SimPeer)> {
        let session = self.session.as_ref().filter(|session| session.path().is_some())?;
        let via = match &self.stream {
            Some(stream) => Via::Stream { attempt: stream.attempt, place: 0 },
            None => Via::Relay { half: session.half().number },
        };
        Some((via, self.of))
    }

    /// Whether it reads this stream.
    pub(super) fn is_on(&self, from: SimPeer, attempt: u64) -> bool {
        self.of == from && self.stream.as_ref().is_some_and(|stream| stream.attempt == attempt)
    }

    pub(super) fn check(&self) -> Result<(), Violation> {
        self.session.as_ref().map_or(Ok(()), ReceiverSession::check)
    }

    /// A sending half introduces itself. `halves` counts the node's receiving halves.
    pub(super) fn greet(
        &mut self,
        context: &mut Context<'_>,
        from: SimPeer,
        (greeting, path): (Greeting, Path),
        halves: &mut u64,
    ) -> Result<(), Violation> {
        if from < self.of {
            return Ok(());
        }
        let now = context.host.local();
        let session =
            self.session.take().filter(|session| from == self.of && !session.is_forgettable(now));
        let session = match session.as_ref().map(|session| session.fit(greeting, path)) {
            Some(Fit::Resumes) => session,
            Some(Fit::Old | Fit::Unproven) => {
                self.session = session;
                return Ok(());
            }
            Some(Fit::Newer) | None => None,
        };
        if session.is_none() {
            *self = Self::new(from);
        }
        let channel = context.channel;
        let started = u64::from(context.host.me().incarnation());
        let session = self.session.insert(session.unwrap_or_else(|| {
            *halves += 1;
            let half = Half { started, number: *halves };
            let receiving = channel.kind.receiving(greeting.base, channel.limits);
            ReceiverSession::new(receiving, half, greeting.epoch)
        }));
        let welcome = session.greet(now, greeting, path);
        self.stream = (path == Path::Stream).then(|| Stream::new(greeting.attempt));
        let via = match &mut self.stream {
            Some(stream) => Via::Stream { attempt: stream.attempt, place: stream.place() },
            None => Via::Relay { half: welcome.half.number },
        };
        if !context.send(from, Body::Welcome { welcome, via }) {
            self.break_stream(context);
        }
        self.go_on(context)
    }

    pub(super) fn hear(
        &mut self,
        context: &mut Context<'_>,
        from: SimPeer,
        via: Via,
        frame: Frame,
    ) -> Result<(), Violation> {
        let is_current = from == self.of && self.path().is_some();
        match (via, &mut self.stream) {
            (Via::Stream { attempt, place }, Some(stream))
                if is_current && attempt == stream.attempt =>
            {
                stream.hear(place, frame);
            }
            (Via::Relay { half }, None)
                if is_current && self.session.as_ref().is_some_and(|s| s.half().number == half) =>
            {
                if let Some(session) = &mut self.session {
                    honest(session.receive(context.host.local(), frame))?;
                }
            }
            // Of a half that was forgotten, or a stream that is closed.
            _ => {
                context.unknown(from, via);
                return Ok(());
            }
        }
        self.go_on(context)
    }

    /// The application is done with a message.
    pub(super) fn done(
        &mut self,
        context: &mut Context<'_>,
        from: SimPeer,
        half: u64,
        (number, name): (u64, Name),
    ) -> Result<(), Violation> {
        if let Some(session) = &mut self.session
            && from == self.of
            && session.half().number == half
        {
            self.at_work -= 1;
            session.done(number, Some(name.answer(context.channel.answer)));
        }
        self.go_on(context)
    }

    /// The sender's process is gone, or its stream.
    pub(super) fn gone(&mut self, context: &Context<'_>, from: SimPeer, via: Via) {
        let is_this = match (via, self.path()) {
            (Via::Stream { attempt, .. }, Some((Via::Stream { attempt: stands, .. }, of))) => {
                attempt == stands && of == from
            }
            (_, stands) => stands == Some((via, from)),
        };
        if is_this {
            self.detach(context);
        }
    }

    /// It notices that its stream is broken. The other end is told as soon as a message gets through.
    pub(super) fn notice(&mut self, context: &mut Context<'_>, attempt: u64) {
        if self.stream.as_ref().is_some_and(|stream| stream.attempt == attempt) {
            self.detach(context);
        }
        let via = Via::Stream { attempt, place: 0 };
        if !context.send(self.of, Body::Gone { via, to_sender: true }) {
            context.notice(self.of.index() as u32, attempt, false);
        }
    }

    fn detach(&mut self, context: &Context<'_>) {
        let now = context.host.local();
        self.stream = None;
        if let Some(session) = &mut self.session {
            session.detach(now);
            if session.is_forgettable(now) {
                self.forget();
            }
        }
    }

    /// Forgets the half.
    pub(super) fn forget(&mut self) {
        *self = Self::new(self.of);
    }

    /// The stream carries nothing any more; what is under way is lost. It is noticed later.
    pub(super) fn break_stream(&mut self, context: &mut Context<'_>) {
        if let Some(stream) = &mut self.stream {
            stream.break_off();
            context.notice(self.of.index() as u32, stream.attempt, false);
        }
    }

    /// Reads on as far as the application takes messages, and sends what the half has to send.
    pub(super) fn go_on(&mut self, context: &mut Context<'_>) -> Result<(), Violation> {
        let mut read = 0;
        loop {
            let taken = self.take(context)?;
            let said = self.speak(context);
            let Some(session) = &mut self.session else { break };
            // A stream is not read further than the application takes.
            let next = self.stream.as_mut().filter(|_| session.depth().messages == 0);
            match next.and_then(Stream::next) {
                Some(frame) => {
                    honest(session.receive(context.host.local(), frame))?;
                    read += 1;
                }
                None if !taken && !said => break,
                None => {}
            }
        }
        if let (Some(stream), true) = (&self.stream, read > 0) {
            context.send(self.of, Body::Read { attempt: stream.attempt, frames: read });
        }
        let Some(session) = &self.session else { return Ok(()) };
        debug_assert_eq!(session.check(), Ok(()));
        session.depth().check(context.channel.limits)
    }

    /// The application takes what it has time for. Returns whether it took anything.
    fn take(&mut self, context: &mut Context<'_>) -> Result<bool, Violation> {
        let from = self.of;
        let Some(session) = &mut self.session else { return Ok(false) };
        let mut any = false;
        while !context.is_stopped
            && self.at_work < context.channel.at_once
            && let Some(delivery) = session.next_delivery()
        {
            any = true;
            let name = Name::of(&delivery.message).ok_or_else(|| Violation {
                rule: "what is delivered was sent",
                detail: format!("{} bytes from {from:?}", delivery.message.len()),
            })?;
            let (pair, promises) =
                ((context.number, from, context.host.me()), context.channel.promises);
            let half = session.half().number;
            context.accounting.taken(context.host.now(), pair, (half, name), promises)?;
            let number = delivery.number;
            if context.channel.work.is_zero() {
                session.done(number, Some(name.answer(context.channel.answer)));
                continue;
            }
            self.at_work += 1;
            let draw = mix(mix(u64::from(from.bits()) ^ name.ticket) ^ name.pushed.as_nanos());
            let work = (u128::from(draw) * u128::from(nanos(context.channel.work))) >> 64;
            let body = Body::Done { from, half, number, name };
            let after = std::time::Duration::from_nanos(work as u64);
            context.host.wake(after, LaneMessage { channel: context.number, body });
        }
        Ok(any)
    }

    /// Sends all that the half has to send. Returns whether it sent anything.
    fn speak(&mut self, context: &mut Context<'_>) -> bool {
        let mut any = false;
        while let Some((via, of)) = self.path() {
            let Some(session) = &mut self.session else { break };
            if self.stream.as_ref().is_some_and(|stream| stream.is_broken) {
                break;
            }
            let Some(frame) = session.next_frame(context.host.local()) else { break };
            any = true;
            let Some(stream) = &mut self.stream else {
                context.send(of, Body::Back { via, frame });
                continue;
            };
            let via = Via::Stream { attempt: stream.attempt, place: stream.place() };
            if !context.send(of, Body::Back { via, frame }) {
                self.break_stream(context);
            }
        }
        any
    }
}
