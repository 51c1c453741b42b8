//! Acknowledged: each message once and in order, and the sender knows.

mod receiver;
mod sender;
#[cfg(test)]
mod tests;

use alloc::boxed::Box;

use super::{Kind, LaneLimits, Receiving, Sending};
use receiver::Receiver;
use sender::Sender;

/// A message. Its number counts what was sent.
const DATA: u8 = 0;
/// All below the number are done with. Over a relay the body says which of the next
/// [`RELAY_WINDOW`] came, one bit each.
const ACK: u8 = 1;
/// Nothing below the number is sent any more.
const SKIP: u8 = 2;
/// As [`ACK`], and the message of the number was dropped. Said again on each path until a [`SKIP`]
/// shows that the sender knows.
const DROPPED: u8 = 3;

/// Messages under way over a relay at a time: as many as an acknowledgement has bits.
const RELAY_WINDOW: u64 = 64;

/// Messages in order, each delivered once by an incarnation of the receiver and acknowledged by its
/// application. The outcome of one that the application drops instead is [`Outcome::Dropped`](
/// super::Outcome::Dropped), and those after it go on.
///
/// Over a [`Path::Stream`](super::Path::Stream) nothing is sent twice while the stream is open. On the
/// next path every message that may not have been handled is sent again, and a receiver that has it
/// already drops it. A receiver that was restarted, or forgot the lane, gets only messages that were not
/// sent before; the outcome of the others is [`Outcome::Gone`](super::Outcome::Gone). Over a
/// [`Path::Relay`](super::Path::Relay) a message that is not acknowledged in time is sent again.
///
/// An overdue message is given up, and the receiver is told not to wait for it. The receiver drops it,
/// too, if its application has not taken it by then.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Acknowledged;

impl Kind for Acknowledged {
    fn name(&self) -> &'static str {
        "acknowledged"
    }

    fn sending(&self, limits: LaneLimits) -> Box<dyn Sending> {
        Box::new(Sender::new(limits))
    }

    fn receiving(&self, base: u64, limits: LaneLimits) -> Box<dyn Receiving> {
        Box::new(Receiver::new(base, limits))
    }
}
