//! Channels between two nodes, as pure state machines.
//!
//! A channel is a name with options that all nodes declare alike. Between two nodes it consists of
//! lanes, one for each of its `parallelism`: a lane is a [`Sending`] half at one node and a
//! [`Receiving`] half at the other, which exchange [`Frame`]s over whatever [`Path`] there is at the
//! moment. A [`Kind`] makes the two halves, and with them what the channel promises.
//!
//! Like the peer, a half reads no clock and no socket: a host (the node's lane tasks, the simulator,
//! a test) stamps the time, carries the frames, and asks what is next. All numbers from the other
//! side are checked; everything kept is bounded by the [`LaneLimits`] a half was made with.
//!
//! The types of this seam are exhaustive: kinds construct them, and hosts handle every case. Only
//! [`Outcome`] may grow.

mod acknowledged;
mod best_effort;
mod latest;
mod options;
mod queue;
mod request;
mod retry;
pub mod session;

use core::fmt;
use core::time::Duration;

use alloc::boxed::Box;
use bytes::Bytes;
use dyn_clone::DynClone;
use murmurate_membership::{Time, Violation};

pub use acknowledged::Acknowledged;
pub use best_effort::BestEffort;
pub use latest::Latest;
pub use options::{ChannelOptions, MAX_MESSAGE, MAX_PARALLELISM};
pub use request::Request;

/// What two halves of a lane say to each other.
#[derive(Clone, PartialEq, Eq)]
pub struct Frame {
    /// What the frame is; each kind defines its own tags.
    pub tag: u8,
    /// Which message it is about: most kinds count their messages.
    pub number: u64,
    /// Its content, shared, not copied.
    pub body: Bytes,
}

impl fmt::Debug for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Frame {} {}: {} bytes", self.tag, self.number, self.body.len())
    }
}

/// How frames travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Path {
    /// A stream of the lane's own: in order, each once, until it breaks. Nothing needs to be sent
    /// twice while it stands.
    Stream,
    /// Hop by hop over the overlay. Each frame travels on its own, so it may get lost, come late, come
    /// twice, or be overtaken.
    Relay,
}

/// What becomes of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// It was written to a path. Kinds without acknowledgement know no more.
    Sent,
    /// The receiving application has acknowledged it.
    Delivered,
    /// The receiving application has answered.
    Answered(Bytes),
    /// The receiving application took it and dropped it without an answer. How far it got is unknown. It
    /// is not sent again.
    Dropped,
    /// The receiving process ended, or forgot the lane: it may or may not have been delivered, and
    /// is not sent again.
    Gone,
    /// No answer came in time: it may or may not have been delivered, and is not sent again.
    TimedOut,
    /// A newer message, or the queue's policy, took its place before it was sent.
    Shed,
}

/// The number of a message that a sending half took, counted from 0. Each message gets one [`Outcome`].
pub type Ticket = u64;

/// There is no room. The message was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Full;

/// A frame that no correct half sends. It was ignored, and the path should end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a frame with tag {tag} and number {number} that is not allowed here")]
pub struct Nonsense {
    /// Its tag.
    pub tag: u8,
    /// Its number.
    pub number: u64,
}

/// What waits in a half.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Depth {
    /// Messages.
    pub messages: usize,
    /// Bytes of them.
    pub bytes: usize,
}

impl Depth {
    /// Checks that it is within `limits`. One message always is.
    ///
    /// # Errors
    /// [`Violation`] if it is not.
    pub fn check(self, limits: LaneLimits) -> Result<(), Violation> {
        let Self { messages, bytes } = self;
        Violation::unless(
            messages <= 1 || (messages <= limits.messages && bytes <= limits.bytes),
            "what waits is within the limits",
            || alloc::format!("{self:?} of {limits:?}"),
        )
    }
}

/// What the halves of a lane may keep, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LaneLimits {
    /// Messages without an outcome that a sending half holds, at least 1.
    pub messages: usize,
    /// Bytes of them. One message always fits.
    pub bytes: usize,
    /// How long a message may be without an outcome.
    pub timeout: Duration,
}

/// What the receiving node said when a path was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attached {
    /// It is the same start of the same node as before, and it still knows the lane: `heard` counts.
    /// Otherwise whatever was sent before has no known outcome.
    pub resumed: bool,
    /// What its receiving half had [`heard`](Receiving::heard).
    pub heard: u64,
}

/// The half of a lane that takes messages from the application. A clone of it is what it would be in
/// another copy of the world: simulations are copied.
pub trait Sending: DynClone + Send + fmt::Debug {
    /// Takes a message, and returns its ticket: 0, 1, 2…
    ///
    /// # Errors
    /// [`Full`] if there is no room. The state did not change.
    fn push(&mut self, now: Time, message: Bytes) -> Result<Ticket, Full>;

    /// Gives up the oldest message that has not been sent yet, to make room. Its outcome is
    /// [`Outcome::Shed`]. Returns whether there was one.
    fn shed_oldest(&mut self) -> bool;

    /// The next frame to put on the path, if any; never without a path.
    fn next_frame(&mut self, now: Time) -> Option<Frame>;

    /// Whether [`Sending::next_frame`] would return one.
    fn has_frame(&self) -> bool;

    /// Takes a frame of the receiving half.
    ///
    /// # Errors
    /// [`Nonsense`] if no correct half sends it here. The state did not change.
    fn receive(&mut self, now: Time, frame: Frame) -> Result<(), Nonsense>;

    /// The first number that may still be sent: what the receiving half needs to know to start.
    fn base(&self) -> u64;

    /// A path is open, the first or another one.
    ///
    /// # Errors
    /// [`Nonsense`] if `heard` is a number that was never sent.
    fn attach(&mut self, now: Time, path: Path, attached: Attached) -> Result<(), Nonsense>;

    /// The path broke.
    fn detach(&mut self);

    /// Nothing can be sent any more. Every message without an outcome gets [`Outcome::Gone`] if it may
    /// have been sent, and [`Outcome::Shed`] if it was not.
    fn abandon(&mut self);

    /// When [`Sending::expire`] has something to do: a deadline, a retransmission.
    fn deadline(&self) -> Option<Time>;

    /// Does what is due.
    fn expire(&mut self, now: Time);

    /// The next message whose outcome is known, each once.
    fn settled(&mut self) -> Option<(Ticket, Outcome)>;

    /// Messages that have no outcome yet.
    fn depth(&self) -> Depth;

    /// Whether a broken path loses nothing, because everything without an outcome goes on over the next.
    fn resumes(&self) -> bool {
        false
    }

    /// Frames sent again so far.
    fn retransmitted(&self) -> u64 {
        0
    }

    /// The round trip in the mean, if the kind measures it and has: over relays.
    fn round_trip(&self) -> Option<Duration> {
        None
    }

    /// Checks its invariants.
    ///
    /// # Errors
    /// [`Violation`] names the first that does not hold.
    fn check(&self) -> Result<(), Violation> {
        Ok(())
    }
}

dyn_clone::clone_trait_object!(Sending);
dyn_clone::clone_trait_object!(Receiving);

/// A message for the application.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Incoming {
    /// Which: for [`Receiving::done`].
    pub number: u64,
    /// Its content.
    pub message: Bytes,
}

/// The half of a lane that gives messages to the application. It has no deadlines: only the sending half
/// depends on time.
pub trait Receiving: DynClone + Send + fmt::Debug {
    /// Takes a frame of the sending half.
    ///
    /// # Errors
    /// [`Nonsense`] if no correct half sends it here. The state did not change.
    fn receive(&mut self, now: Time, frame: Frame) -> Result<(), Nonsense>;

    /// The next message for the application, each once and in the kind's order. A frame that has to be
    /// sent back first may hold it back, so ask again after [`Receiving::next_frame`].
    fn next_delivery(&mut self) -> Option<Incoming>;

    /// Whether [`Receiving::done`] must be called in the order of deliveries. Otherwise in any.
    fn in_order(&self) -> bool {
        true
    }

    /// Whether it sends nothing back. A host need not call [`Receiving::done`] and
    /// [`Receiving::next_frame`] then.
    fn is_silent(&self) -> bool {
        false
    }

    /// The application is done with a message: its answer, empty if it only acknowledges it, or
    /// `None` if it dropped it.
    fn done(&mut self, number: u64, answer: Option<Bytes>);

    /// The next frame to send back.
    fn next_frame(&mut self, now: Time) -> Option<Frame>;

    /// Whether [`Receiving::next_frame`] may return one: a host need not ask otherwise.
    fn has_frame(&self) -> bool {
        true
    }

    /// What a sending half that reconnects has to know: all messages with smaller numbers are done, and
    /// it was told of those that were dropped.
    fn heard(&self) -> u64;

    /// A path is open, the first or another one.
    fn attach(&mut self, now: Time, path: Path);

    /// The path broke.
    fn detach(&mut self);

    /// Whether the state must outlive a broken path, so that nothing is delivered twice.
    fn remembers(&self) -> bool;

    /// Messages that the application has not taken yet.
    fn depth(&self) -> Depth {
        Depth::default()
    }

    /// Checks its invariants.
    ///
    /// # Errors
    /// [`Violation`] names the first that does not hold.
    fn check(&self) -> Result<(), Violation> {
        Ok(())
    }
}

/// A kind of channel: what it promises, as the two halves that keep the promise.
///
/// Kinds of your own implement this and are declared like those of this crate.
pub trait Kind: Send + Sync + fmt::Debug {
    /// What both ends must agree on, 1 to 32 bytes.
    fn name(&self) -> &str;

    /// Whether senders are told what became of their messages. Otherwise outcomes are not kept.
    fn acknowledges(&self) -> bool {
        true
    }

    /// The half that sends.
    fn sending(&self, limits: LaneLimits) -> Box<dyn Sending>;

    /// The half that receives from a sending half whose [`base`](Sending::base) this is.
    fn receiving(&self, base: u64, limits: LaneLimits) -> Box<dyn Receiving>;
}
