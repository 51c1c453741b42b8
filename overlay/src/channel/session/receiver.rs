//! The receiving end of a lane: whom it answers, and which path serves it.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use core::time::Duration;

use bytes::Bytes;
use murmurate_membership::{Time, Violation};

use super::{Greeting, Half, Welcome};
use crate::channel::{Depth, Frame, Incoming, Nonsense, Path, Receiving};

/// How long a lane without a path is remembered, so that nothing is delivered twice.
const MEMORY: Duration = Duration::from_secs(600);
/// So many greetings before the last one come late. Anything else is new: whoever makes up a greeting
/// far ahead keeps the true ones out no longer than this.
const LATE: u64 = 64;

/// Whether a greeting is for a receiving half.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fit {
    /// Its sending half reconnects.
    Resumes,
    /// A later lane takes the place of its own.
    Newer,
    /// It is from an earlier lane, or came late, or came twice.
    Old,
    /// It came hop by hop and does not name this half, although a stream has led its sender here. It may
    /// be forged.
    Unproven,
}

/// What [`Receiving::done`] takes.
type Answer = Option<Bytes>;

/// The receiving half of a lane; it outlives its paths.
#[derive(Debug, Clone)]
pub struct ReceiverSession {
    receiving: Box<dyn Receiving>,
    half: Half,
    epoch: u64,
    /// The last greeting that was answered.
    attempt: u64,
    path: Option<Path>,
    /// Since when it has none.
    detached: Time,
    /// A stream brought frames: the sender knows this half.
    proven: bool,
    /// Messages that the application has, in order, and the answers of those it is done with.
    handed: VecDeque<(u64, Option<Answer>)>,
}

impl ReceiverSession {
    /// One of the lane of this epoch, which nobody has greeted.
    #[must_use]
    pub fn new(receiving: Box<dyn Receiving>, half: Half, epoch: u64) -> Self {
        Self {
            receiving,
            half,
            epoch,
            attempt: 0,
            path: None,
            detached: Time::ZERO,
            proven: false,
            handed: VecDeque::new(),
        }
    }

    /// Its name.
    #[must_use]
    pub fn half(&self) -> Half {
        self.half
    }

    /// The path that serves it.
    #[must_use]
    pub fn path(&self) -> Option<Path> {
        self.path
    }

    /// Since when no path serves it.
    #[must_use]
    pub fn detached(&self) -> Option<Time> {
        self.path.is_none().then_some(self.detached)
    }

    /// Whether a greeting is for it. A greeting on a stream is authentic and arrives in order.
    #[must_use]
    pub fn fit(&self, greeting: Greeting, path: Path) -> Fit {
        let Greeting { epoch, attempt, proof, .. } = greeting;
        let relayed = path == Path::Relay;
        match epoch.cmp(&self.epoch) {
            core::cmp::Ordering::Greater => Fit::Newer,
            core::cmp::Ordering::Less => Fit::Old,
            _ if relayed && self.proven && proof != Some(self.half) => Fit::Unproven,
            _ if relayed && self.attempt.wrapping_sub(attempt) < LATE => Fit::Old,
            _ => Fit::Resumes,
        }
    }

    /// A greeting [resumes](Fit::Resumes) it, so this path serves it from now on. Returns the answer.
    pub fn greet(&mut self, now: Time, greeting: Greeting, path: Path) -> Welcome {
        if self.path.is_some() {
            self.detach(now);
        }
        self.attempt = greeting.attempt;
        self.path = Some(path);
        self.receiving.attach(now, path);
        let Self { attempt, half, .. } = *self;
        Welcome { attempt, half, heard: self.receiving.heard() }
    }

    /// Its path serves no more.
    pub fn detach(&mut self, now: Time) {
        if self.path.take().is_some() {
            self.receiving.detach();
            self.detached = now;
        }
    }

    /// Whether nothing is lost by forgetting it.
    #[must_use]
    pub fn is_forgettable(&self, now: Time) -> bool {
        let is_old = self.detached.after(MEMORY) < now;
        self.path.is_none() && (is_old || !self.receiving.remembers())
    }

    /// Takes a frame of the sending half, from the path that serves.
    ///
    /// # Errors
    /// [`Nonsense`] if no correct half sends it here. Nothing changed.
    pub fn receive(&mut self, now: Time, frame: Frame) -> Result<(), Nonsense> {
        self.proven |= self.path == Some(Path::Stream);
        self.receiving.receive(now, frame)?;
        self.hand_back();
        Ok(())
    }

    /// The next message for the application; see [`Receiving::next_delivery`].
    pub fn next_delivery(&mut self) -> Option<Incoming> {
        let delivery = self.receiving.next_delivery()?;
        if self.receiving.in_order() && !self.receiving.is_silent() {
            self.handed.push_back((delivery.number, None));
        }
        Some(delivery)
    }

    /// The application is done with a message, in any order; see [`Receiving::done`].
    pub fn done(&mut self, number: u64, answer: Option<Bytes>) {
        if !self.receiving.in_order() {
            return self.receiving.done(number, answer);
        }
        // Mostly the first.
        let at = match self.handed.front() {
            Some((first, _)) if *first == number => Ok(0),
            _ => self.handed.binary_search_by_key(&number, |(number, _)| *number),
        };
        if let Ok(at) = at {
            self.handed[at].1 = Some(answer);
        }
        self.hand_back();
    }

    /// Tells the half, in order, what the application is done with. What the sender has given up holds
    /// up nothing, however long the application keeps it.
    fn hand_back(&mut self) {
        while let Some((number, answer)) = self.handed.front_mut() {
            match answer.take() {
                Some(answer) => self.receiving.done(*number, answer),
                None if *number < self.receiving.heard() => {}
                None => return,
            }
            self.handed.pop_front();
        }
    }

    /// The next frame to send back on the path that serves.
    pub fn next_frame(&mut self, now: Time) -> Option<Frame> {
        self.path?;
        self.receiving.next_frame(now)
    }

    /// Whether there may be one.
    #[must_use]
    pub fn has_frame(&self) -> bool {
        self.path.is_some() && self.receiving.has_frame()
    }

    /// Messages that the application has not taken.
    #[must_use]
    pub fn depth(&self) -> Depth {
        self.receiving.depth()
    }

    /// Checks the invariants of its half.
    ///
    /// # Errors
    /// [`Violation`] names the first that does not hold.
    pub fn check(&self) -> Result<(), Violation> {
        self.receiving.check()
    }
}
