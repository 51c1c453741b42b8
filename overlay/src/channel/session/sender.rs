//! The sending end of a lane: which path it has, and what it does without one.

use core::time::Duration;

use alloc::boxed::Box;
use bytes::Bytes;
use murmurate_membership::Time;

use super::{Greeting, Half, Timeouts, Welcome};
use crate::channel::{Attached, Frame, Full, Nonsense, Path, Sending, Ticket};

/// How long the answer to a first greeting that may get lost is waited for, and how often it is asked
/// for. Each one is waited for so much longer than the one before: only the last one's answer counts,
/// and it may take longer than the first wait.
const ANSWER: Duration = Duration::from_secs(1);
const ATTEMPTS: u32 = 5;
/// Nothing goes on for so long although something must: the path is doubted. What is relayed is sent
/// again by then, three times at least.
const STREAM_SILENCE: Duration = Duration::from_secs(3);
const RELAY_SILENCE: Duration = Duration::from_secs(15);
/// Pauses between paths.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// Attempts refused one after the other that prove that the process has ended. One may have met it
/// between two addresses.
const PROOF: u32 = 2;
/// How long what was not sent waits for the next start of a process that has ended.
const REVIVAL: Duration = Duration::from_secs(3);

/// Why a path ends, or there is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// It was unused for a while.
    Idle,
    /// It was open, and broke.
    Broken,
    /// No answer came, and no reason.
    Silent,
    /// The connection was refused: nobody is there.
    Nobody,
    /// The other end refuses the lane, or leaves.
    Refused,
}

/// What a session does after the end of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// It asks for another one when there is something to send, after a pause.
    Retries,
    /// It gives up: every message without an outcome has one now.
    GaveUp,
}

/// What a session without a path wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Want {
    /// Nothing: there is nothing to send, or it has a path.
    Nothing,
    /// A path, at this time.
    Later(Time),
    /// A path. The host opens one, and says [`SenderSession::opened`] or [`SenderSession::end`].
    Path,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Route {
    None { until: Time },
    Opening,
    Greeting { path: Path, asked: u32, said: bool, until: Time },
    Stands(Path),
}

/// The sending half of a lane, and how it gets to the receiving one.
#[derive(Debug, Clone)]
pub struct SenderSession {
    half: Box<dyn Sending>,
    timeouts: Timeouts,
    epoch: u64,
    route: Route,
    /// Greetings so far.
    attempt: u64,
    /// Paths so far that ended.
    ended_paths: u64,
    /// The receiving half that it was attached to last.
    attached: Option<Half>,
    /// The one that a stream led to last: whatever comes hop by hop any hop may have made up.
    proof: Option<Half>,
    /// Since it gave up last, somebody was there: whoever it was may come back.
    knows: bool,
    /// That half's process has ended, as far as refusals tell.
    process_ended: bool,
    pause: Duration,
    refusals: u32,
    /// When it was not said last that nobody is there.
    heard_of: Time,
    used: Time,
    moved: Time,
    /// Since when something has waited without progress. That it is given up is none.
    waits_since: Option<Time>,
}

impl SenderSession {
    /// One without a path. `epoch` is larger than those of all lanes in this place before.
    #[must_use]
    pub fn new(half: Box<dyn Sending>, timeouts: Timeouts, epoch: u64) -> Self {
        Self {
            half,
            timeouts,
            epoch,
            route: Route::None { until: Time::ZERO },
            attempt: 0,
            ended_paths: 0,
            attached: None,
            proof: None,
            knows: false,
            process_ended: false,
            pause: FIRST_PAUSE,
            refusals: 0,
            heard_of: Time::ZERO,
            used: Time::ZERO,
            moved: Time::ZERO,
            waits_since: None,
        }
    }

    /// The half itself, for what needs no path: see [`Sending`].
    #[must_use]
    pub fn half(&self) -> &dyn Sending {
        &*self.half
    }

    /// The half, to settle and shed messages.
    pub fn half_mut(&mut self) -> &mut dyn Sending {
        &mut *self.half
    }

    /// Which lane of its place it is.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// The receiving half that the path leads to, while it stands.
    #[must_use]
    pub fn attached(&self) -> Option<Half> {
        self.attached.filter(|_| matches!(self.route, Route::Stands(_)))
    }

    /// The last greeting.
    #[must_use]
    pub fn attempt(&self) -> u64 {
        self.attempt
    }

    /// Whether an answer to this greeting is still waited for.
    #[must_use]
    pub fn awaits(&self, attempt: u64) -> bool {
        matches!(self.route, Route::Greeting { .. }) && attempt == self.attempt
    }

    /// The path that is greeted on, or stands.
    #[must_use]
    pub fn path(&self) -> Option<Path> {
        match self.route {
            Route::Greeting { path, .. } | Route::Stands(path) => Some(path),
            Route::None { .. } | Route::Opening => None,
        }
    }

    /// Whether the other end is there, as far as it knows: on a path, or before one that broke.
    #[must_use]
    pub fn knows(&self) -> bool {
        self.knows
    }

    /// How many paths have ended. A host that serves one sees by this that the session has given it up.
    #[must_use]
    pub fn ended_paths(&self) -> u64 {
        self.ended_paths
    }

    /// Takes a message; see [`Sending::push`].
    ///
    /// # Errors
    /// [`Full`] if there is no room. Nothing changed.
    pub fn push(&mut self, now: Time, message: Bytes) -> Result<Ticket, Full> {
        let pushed = self.half.push(now, message)?;
        self.used = now;
        self.waits_since.get_or_insert(now);
        Ok(pushed)
    }

    /// Whether the host should open a path. `wanted` says that somebody waits to know whether there is
    /// one, although there is nothing to send yet.
    pub fn wants_path(&mut self, now: Time, wanted: bool) -> Want {
        let Route::None { until } = self.route else { return Want::Nothing };
        if self.half.depth().messages == 0 && !wanted {
            return Want::Nothing;
        }
        if now < until {
            return Want::Later(until);
        }
        if self.refusals == 0 {
            self.heard_of = now;
        }
        self.route = Route::Opening;
        Want::Path
    }

    /// The host opened a path that [`SenderSession::wants_path`] asked for.
    pub fn opened(&mut self, now: Time, path: Path) {
        if self.route == Route::Opening {
            self.ask(now, path, 1);
        }
    }

    fn ask(&mut self, now: Time, path: Path, asked: u32) {
        self.attempt += 1;
        let wait = match path {
            Path::Stream => self.timeouts.handshake,
            Path::Relay => ANSWER * asked,
        };
        self.route = Route::Greeting { path, asked, said: false, until: now.after(wait) };
    }

    /// The greeting to say next on the path, if it is time for one.
    pub fn greeting(&mut self) -> Option<Greeting> {
        let Route::Greeting { said, .. } = &mut self.route else { return None };
        if core::mem::replace(said, true) {
            return None;
        }
        let Self { epoch, attempt, proof, .. } = *self;
        Some(Greeting { epoch, attempt, base: self.half.base(), proof })
    }

    /// The other end answers. Returns whether the path is open now: late answers change nothing.
    ///
    /// # Errors
    /// [`Nonsense`] if it claims to have heard what was never sent. Nothing changed.
    pub fn welcome(&mut self, now: Time, welcome: Welcome) -> Result<bool, Nonsense> {
        let Some(path) = self.path().filter(|_| self.awaits(welcome.attempt)) else {
            return Ok(false);
        };
        let resumed = self.attached == Some(welcome.half) && !self.process_ended;
        self.half.attach(now, path, Attached { resumed, heard: welcome.heard })?;
        self.route = Route::Stands(path);
        self.attached = Some(welcome.half);
        if path == Path::Stream {
            self.proof = self.attached;
        }
        (self.knows, self.process_ended, self.refusals) = (true, false, 0);
        (self.pause, self.used) = (FIRST_PAUSE, now);
        self.progress(now);
        Ok(true)
    }

    /// Whether there is a greeting or a frame to send.
    #[must_use]
    pub fn has_something_to_say(&self) -> bool {
        matches!(self.route, Route::Greeting { said: false, .. }) || self.half.has_frame()
    }

    /// The next frame for [`SenderSession::attached`].
    pub fn next_frame(&mut self, now: Time) -> Option<Frame> {
        let frame = self.half.next_frame(now)?;
        // What a stream takes was carried on, and waits for a word now. A relay takes everything.
        if self.route == Route::Stands(Path::Stream) {
            (self.moved, self.waits_since) = (now, Some(now));
        }
        Some(frame)
    }

    /// Takes a frame of the receiving half that the path leads to.
    ///
    /// # Errors
    /// [`Nonsense`] if no correct half sends it here. Nothing changed.
    pub fn receive(&mut self, now: Time, frame: Frame) -> Result<(), Nonsense> {
        self.half.receive(now, frame)?;
        self.progress(now);
        Ok(())
    }

    fn progress(&mut self, now: Time) {
        self.moved = now;
        self.waits_since = (self.half.depth().messages > 0).then_some(now);
    }

    /// The path that was asked for, greeted on or used has ended, for this reason.
    pub fn end(&mut self, now: Time, why: End) -> Next {
        if matches!(self.route, Route::None { .. }) {
            return Next::Retries;
        }
        self.ended_paths += 1;
        if matches!(self.route, Route::Stands(_)) {
            self.half.detach();
        }
        self.route = Route::None { until: now };
        match why {
            End::Nobody => self.refusals += 1,
            _ => (self.refusals, self.heard_of) = (0, now),
        }
        let gone_for_long = why == End::Nobody && self.heard_of.after(REVIVAL) < now;
        match why {
            End::Idle => {}
            End::Broken => self.rest(now),
            End::Silent | End::Nobody if self.knows && !gone_for_long => {
                if self.refusals == PROOF {
                    self.note_process_ended(now);
                }
                self.rest(now);
            }
            End::Silent | End::Nobody | End::Refused => {
                self.give_up();
                return Next::GaveUp;
            }
        }
        Next::Retries
    }

    /// Gives up all messages without an outcome.
    pub fn give_up(&mut self) {
        self.half.abandon();
        self.knows = false;
        self.pause = FIRST_PAUSE;
    }

    /// What was sent has no known outcome. What was not waits, as if the next start had come and gone.
    fn note_process_ended(&mut self, now: Time) {
        let attached = Attached { resumed: false, heard: 0 };
        if self.half.attach(now, Path::Stream, attached).is_ok() {
            self.half.detach();
        }
        self.process_ended = true;
    }

    /// Waits from half of the pause on: not all at once after a failure that many lanes saw.
    fn rest(&mut self, now: Time) {
        let draw = (mix(self.epoch ^ mix(self.ended_paths)) >> 32) as u32;
        let half = self.pause / 2;
        self.route = Route::None { until: now.after(half + half * draw / u32::MAX) };
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
    }

    /// When [`SenderSession::expire`] or [`SenderSession::wants_path`] has something to do.
    #[must_use]
    pub fn deadline(&self) -> Option<Time> {
        let waits = self.half.depth().messages > 0;
        let of_route = match self.route {
            Route::None { until } => waits.then_some(until),
            Route::Opening => None,
            Route::Greeting { until, .. } => Some(until),
            Route::Stands(path) => Some(self.doubts(path)),
        };
        [self.half.deadline(), of_route].into_iter().flatten().min()
    }

    /// When a path that stands is looked at.
    fn doubts(&self, path: Path) -> Time {
        let silence = match path {
            Path::Stream => STREAM_SILENCE,
            Path::Relay => RELAY_SILENCE,
        };
        if self.half.depth().messages > 0 {
            return self.waits_since.unwrap_or(self.used).after(silence);
        }
        let idle = self.used.max(self.moved).after(self.timeouts.idle);
        // The last message was given up, and nothing came since.
        let suspected = self.waits_since.filter(|_| self.half.resumes());
        suspected.map_or(idle, |since| since.after(silence).min(idle))
    }

    /// Does what is due. If that ended the path, returns why, and what comes next.
    pub fn expire(&mut self, now: Time) -> Option<(End, Next)> {
        if self.half.deadline().is_some_and(|due| due <= now) {
            self.half.expire(now);
        }
        let why = match self.route {
            Route::None { .. } | Route::Opening => return None,
            Route::Greeting { until, .. } if now < until => return None,
            Route::Greeting { path: Path::Relay, asked, .. } if asked < ATTEMPTS => {
                self.ask(now, Path::Relay, asked + 1);
                return None;
            }
            Route::Greeting { .. } => End::Silent,
            Route::Stands(path) if now < self.doubts(path) => return None,
            Route::Stands(_) if self.half.depth().messages == 0 => End::Idle,
            Route::Stands(_) if self.half.resumes() => End::Broken,
            Route::Stands(_) => {
                // It would lose what is under way by that.
                self.waits_since = Some(now);
                return None;
            }
        };
        Some((why, self.end(now, why)))
    }
}

/// Mixes bits (the finalizer of SplitMix64).
fn mix(bits: u64) -> u64 {
    let bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}
