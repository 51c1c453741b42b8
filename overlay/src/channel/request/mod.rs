//! Request: each message is answered.

mod receiver;
mod sender;
#[cfg(test)]
mod tests;

use alloc::boxed::Box;

use super::{Kind, LaneLimits, Receiving, Sending};
use receiver::Receiver;
use sender::Sender;

/// A request. Its number counts what was sent.
const REQUEST: u8 = 0;
/// The answer to the request of this number.
const ANSWER: u8 = 1;
/// The request of this number was dropped without an answer.
const DROPPED: u8 = 2;

/// Over a relay a request is sent only while all that have no answer are among so many, because the
/// receiver tells no more apart.
const SPAN: u64 = 1 << 10;

/// Requests, several under way, each answered when the receiving application is done with it.
///
/// The outcome is [`Outcome::Answered`](super::Outcome::Answered), in any order. Nothing is sent
/// twice over a [`Path::Stream`](super::Path::Stream). When a path breaks, the outcome of requests under
/// way is [`Outcome::Gone`](super::Outcome::Gone), and requests that were not sent wait for the next
/// path. Over a [`Path::Relay`](super::Path::Relay) a request that is not answered in time is sent again.
/// The receiver hands it to its application only once, and repeats the answer.
///
/// The outcome of a request that the application drops without an answer is [`Outcome::Dropped`](
/// super::Outcome::Dropped).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Request;

impl Kind for Request {
    fn name(&self) -> &'static str {
        "request"
    }

    fn sending(&self, limits: LaneLimits) -> Box<dyn Sending> {
        Box::new(Sender::new(limits))
    }

    fn receiving(&self, base: u64, limits: LaneLimits) -> Box<dyn Receiving> {
        Box::new(Receiver::new(base, limits))
    }
}
