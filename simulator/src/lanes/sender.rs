//! The host of a sending half: dials, carries its words, and keeps its deadlines.

use std::collections::BTreeMap;
use std::time::Duration;

use murmurate::channel::{Frame, Outcome, Path, Sending, Ticket, Welcome};
use murmurate::membership::{Time, Violation};

use super::content::{LEAST_BYTES, Name};
use super::word::{Say, Word};
use super::{Channel, Scene, honest};
use crate::network::mix;
use crate::node::Peer;

/// How long an answer to a dial is waited for, and how often it is asked for before there is a pause.
const PATIENCE: Duration = Duration::from_secs(1);
const ATTEMPTS: u32 = 5;
/// Pauses between dials.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

#[derive(Debug)]
pub(super) struct Sender {
    half: Box<dyn Sending>,
    to: u32,
    route: Route,
    /// The receiving half that it was attached to last: whose it is, and its number.
    known: Option<(Peer, u64)>,
    /// Attempts to reach the other so far.
    ways: u64,
    attempts: u32,
    pause: Duration,
    /// By the node's clock: when it dials, or gives a dial up.
    dial_at: Option<Time>,
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

#[derive(Debug, Clone, Copy, PartialEq)]
enum Route {
    None,
    Dialled(u64),
    Stands(u64, Peer),
}

#[derive(Debug)]
struct Open {
    name: Name,
    /// By the node's clock.
    pushed: Time,
    sent: u32,
    /// The receiving half that it was sent to last.
    to: Option<(Peer, u64)>,
}

impl Sender {
    /// `first` is above all ways of the simulation that this one is a clone of.
    pub(super) fn new(channel: &Channel, to: u32, first: u64) -> Self {
        Self {
            half: channel.kind.sending(channel.limits),
            to,
            route: Route::None,
            known: None,
            ways: first,
            attempts: 0,
            pause: FIRST_PAUSE,
            dial_at: None,
            turn: first,
            armed: None,
            retransmitted: 0,
            pushed: 0,
            given_up: false,
            open: BTreeMap::new(),
        }
    }

    /// The way that stands, and to whom.
    pub(super) fn way(&self) -> Option<(u64, Peer)> {
        match self.route {
            Route::Stands(way, peer) => Some((way, peer)),
            _ => None,
        }
    }

    pub(super) fn check(&self) -> Result<(), Violation> {
        self.half.check()
    }

    pub(super) fn push(&mut self, mut scene: Scene<'_>, bytes: usize) -> Result<(), Violation> {
        let name = Name { ticket: self.pushed, pushed: scene.line.now() };
        let pushed = scene.line.local();
        let taken = self.half.push(pushed, name.message(bytes));
        scene.ledger.offered(scene.number, name.pushed, taken.is_ok());
        if let Ok(ticket) = taken {
            Violation::unless(ticket == self.pushed, "tickets count messages", || {
                format!("{ticket} for message {}", self.pushed)
            })?;
            self.open.insert(ticket, Open { name, pushed, sent: 0, to: None });
            self.pushed += 1;
        }
        if self.route == Route::None && self.dial_at.is_none() {
            self.dial(&mut scene);
        }
        self.go_on(scene)
    }

    /// A deadline passed, unless another one was set since.
    pub(super) fn wake(&mut self, mut scene: Scene<'_>, turn: u64) -> Result<(), Violation> {
        if turn != self.turn {
            return Ok(());
        }
        self.armed = None;
        let now = scene.line.local();
        let is_due = |deadline: Option<Time>| deadline.is_some_and(|deadline| deadline <= now);
        if is_due(self.half.deadline()) {
            self.half.expire(now);
            let deadline = self.half.deadline();
            Violation::unless(!is_due(deadline), "what was due is done", || {
                format!("{deadline:?} at {now:?}")
            })?;
        }
        if is_due(self.dial_at) {
            self.dial_at = None;
            match self.route {
                Route::Dialled(_) if self.attempts >= ATTEMPTS => self.rest(&scene),
                _ if self.half.depth().messages > 0 => self.dial(&mut scene),
                _ => self.route = Route::None,
            }
        }
        self.go_on(scene)
    }

    /// Asks for the receiving half at the address of its node, whoever runs there now.
    fn dial(&mut self, scene: &mut Scene<'_>) {
        self.ways += 1;
        self.attempts += 1;
        self.route = Route::Dialled(self.ways);
        self.dial_at = Some(scene.line.local().after(PATIENCE));
        let address = self.known.map_or_else(|| Peer::new(self.to as usize, 0), |(peer, _)| peer);
        scene.say(address, self.ways, Say::Hello { base: self.half.base() });
    }

    /// Nobody is there. Whom it has met may come back; of others nothing is expected.
    fn rest(&mut self, scene: &Scene<'_>) {
        self.route = Route::None;
        self.attempts = 0;
        if self.known.is_none() {
            self.half.abandon();
            self.given_up = true;
            return;
        }
        let draw = mix(mix(u64::from(scene.line.me().bits()) ^ self.ways) ^ u64::from(self.to));
        // From half of it on: not all at once after what many saw.
        let share = 0.5 + (draw >> 11) as f64 / (1u64 << 54) as f64;
        self.dial_at = Some(scene.line.local().after(self.pause.mul_f64(share)));
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
    }

    pub(super) fn welcome(
        &mut self,
        scene: Scene<'_>,
        half: (Peer, u64),
        way: u64,
        heard: u64,
    ) -> Result<(), Violation> {
        if self.route != Route::Dialled(way) {
            return Ok(());
        }
        let welcome = Welcome { resumed: self.known == Some(half), heard };
        honest(self.half.attach(scene.line.local(), Path::Relay, welcome))?;
        self.route = Route::Stands(way, half.0);
        self.known = Some(half);
        (self.dial_at, self.attempts, self.pause) = (None, 0, FIRST_PAUSE);
        self.go_on(scene)
    }

    pub(super) fn hear(
        &mut self,
        scene: Scene<'_>,
        half: (Peer, u64),
        way: u64,
        frame: Frame,
    ) -> Result<(), Violation> {
        if self.route != Route::Stands(way, half.0) || self.known != Some(half) {
            return Ok(());
        }
        honest(self.half.receive(scene.line.local(), frame))?;
        self.go_on(scene)
    }

    /// The way is no more, or there is none.
    pub(super) fn end(&mut self, scene: Scene<'_>, way: u64) -> Result<(), Violation> {
        match self.route {
            Route::Dialled(dialled) if dialled == way => self.rest(&scene),
            Route::Stands(stood, _) if stood == way => {
                self.half.detach();
                self.rest(&scene);
            }
            _ => return Ok(()),
        }
        self.go_on(scene)
    }

    /// Says all that the half has to say, hears what became of messages, and sees to deadlines.
    fn go_on(&mut self, mut scene: Scene<'_>) -> Result<(), Violation> {
        self.speak(&mut scene)?;
        self.settle(&mut scene)?;
        let depth = self.half.depth();
        if depth.messages > scene.channel.promises.least_room {
            depth.check(scene.channel.limits)?;
        }
        debug_assert_eq!(self.half.check(), Ok(()));
        let frames = self.half.retransmitted();
        scene.ledger.retransmitted(scene.number, frames - self.retransmitted);
        self.retransmitted = frames;
        if depth.messages == 0 && self.route == Route::None {
            self.dial_at = None;
        }
        let deadline = [self.half.deadline(), self.dial_at].into_iter().flatten().min();
        if let Some(deadline) = deadline
            && self.armed.is_none_or(|armed| deadline < armed)
        {
            self.turn += 1;
            self.armed = Some(deadline);
            let after = deadline.since(scene.line.local());
            let say = Say::Wake { to: self.to };
            scene.line.wake(after, Word { channel: scene.number, way: self.turn, say });
        }
        Ok(())
    }

    fn speak(&mut self, scene: &mut Scene<'_>) -> Result<(), Violation> {
        while let (Route::Stands(way, peer), Some(half)) = (self.route, self.known) {
            let had = self.half.has_frame();
            let frame = self.half.next_frame(scene.line.local());
            Violation::unless(had == frame.is_some(), "a half has the frame it says", || {
                format!("{had}, {frame:?}")
            })?;
            let Some(frame) = frame else { break };
            if frame.body.len() >= LEAST_BYTES {
                let one_half = scene.channel.promises.one_half;
                self.note_sent(&frame, half, one_half)?;
            }
            scene.say(peer, way, Say::Forth { half: half.1, frame });
        }
        Ok(())
    }

    fn note_sent(
        &mut self,
        frame: &Frame,
        half: (Peer, u64),
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

    fn settle(&mut self, scene: &mut Scene<'_>) -> Result<(), Violation> {
        while let Some((ticket, outcome)) = self.half.settled() {
            let open = self.open.remove(&ticket).ok_or_else(|| Violation {
                rule: "a message has one outcome",
                detail: format!("message {ticket}, and now {outcome:?}"),
            })?;
            self.is_true(scene, &open, &outcome)?;
            let who = (scene.number, scene.line.me(), self.to);
            scene.ledger.settled(scene.line.now(), who, open.name, &outcome, self.given_up);
        }
        self.given_up = false;
        Ok(())
    }

    /// What the sender is told is what happened, as far as this end knows.
    fn is_true(&self, scene: &Scene<'_>, open: &Open, outcome: &Outcome) -> Result<(), Violation> {
        let now = scene.line.local();
        let promises = scene.channel.promises;
        let holds = match outcome {
            Outcome::Sent => open.sent == 1,
            Outcome::Delivered => open.sent > 0,
            Outcome::Answered(answer) => open.sent > 0 && open.name.is_answered_by(answer),
            // What survives is gone only with the half that it was sent to.
            Outcome::Gone => open.sent > 0 && (!promises.survives || open.to != self.known),
            Outcome::TimedOut => open.pushed.after(scene.channel.limits.timeout) <= now,
            Outcome::Shed => open.sent == 0,
            _ => true,
        };
        Violation::unless(holds, "what the sender is told is what happened", || {
            format!("{open:?} at {now:?}: {outcome:?}, half {:?}", self.known)
        })
    }
}
