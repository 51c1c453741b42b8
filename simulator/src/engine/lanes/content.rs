//! What messages say: their own names, so that it shows which is delivered where.

use bytes::Bytes;
use murmurate::channel::Ticket;
use murmurate::membership::Time;

/// Bytes that a message has at least.
pub const LEAST_BYTES: usize = 16;

/// Which message of its sending half it is, and when that took it by the true time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Name {
    pub(super) ticket: Ticket,
    pub(super) pushed: Time,
}

impl Name {
    /// A message of this many bytes that contains its name.
    pub(super) fn message(self, bytes: usize) -> Bytes {
        let mut message = Vec::with_capacity(bytes.max(LEAST_BYTES));
        message.extend(self.ticket.to_le_bytes());
        message.extend(self.pushed.as_nanos().to_le_bytes());
        message.resize(bytes.max(LEAST_BYTES), 0);
        message.into()
    }

    /// The name that a message says. Frames without one are not messages.
    pub(super) fn of(message: &[u8]) -> Option<Self> {
        let number =
            |at: usize| Some(u64::from_le_bytes(message.get(at..at + 8)?.try_into().ok()?));
        Some(Self { ticket: number(0)?, pushed: Time::from_nanos(number(8)?) })
    }

    /// The answer to it: no message of any half.
    pub(super) fn answer(self, bytes: usize) -> Bytes {
        let Self { ticket, pushed } = self;
        Self { ticket: !ticket, pushed: Time::from_nanos(!pushed.as_nanos()) }.message(bytes)
    }

    /// Whether this is the answer to it.
    pub(super) fn is_answered_by(self, answer: &[u8]) -> bool {
        answer.get(..LEAST_BYTES) == self.answer(LEAST_BYTES).get(..)
    }
}
