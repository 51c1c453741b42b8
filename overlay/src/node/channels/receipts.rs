//! What became of messages, for as long as somebody may ask.

use std::collections::VecDeque;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use murmurate_membership::Time;

use super::error::{SendError, Undelivered};
use crate::channel::{Outcome, Ticket};

/// Outcomes on their way to whoever holds the receipt, in the order of tickets.
#[derive(Debug)]
pub(super) struct Receipts {
    /// Kinds that do not acknowledge have none.
    pub(super) kept: bool,
    /// Whatever is given up now was not sent for this reason.
    pub(super) because: Option<SendError>,
    first: Ticket,
    slots: VecDeque<Expected>,
}

#[derive(Debug)]
struct Expected {
    since: Time,
    what: What,
}

#[derive(Debug)]
enum What {
    /// Nobody knows yet.
    Waiting(Option<Waker>),
    /// Nobody asks.
    Ignored,
    Known(Outcome),
    /// It was not sent, for this reason.
    Failed(SendError),
}

impl Receipts {
    pub(super) fn new(kept: bool) -> Self {
        Self { kept, because: None, first: 0, slots: VecDeque::new() }
    }

    /// Somebody may want to know what becomes of the next message.
    pub(super) fn add(&mut self, now: Time) {
        self.slots.push_back(Expected { since: now, what: What::Waiting(None) });
    }

    fn get(&mut self, ticket: Ticket) -> Option<&mut Expected> {
        let at = usize::try_from(ticket.checked_sub(self.first)?).ok()?;
        self.slots.get_mut(at)
    }

    /// What became of the message, once it is known: told once.
    pub(super) fn poll(
        &mut self,
        ticket: Ticket,
        context: &mut Context<'_>,
    ) -> Poll<Result<Bytes, Undelivered>> {
        let Some(expected) = self.get(ticket) else { return Poll::Ready(Ok(Bytes::new())) };
        let ended = match &mut expected.what {
            What::Waiting(waker) => {
                *waker = Some(context.waker().clone());
                return Poll::Pending;
            }
            What::Ignored => Ok(Bytes::new()),
            What::Failed(error) => Err(Undelivered::Failed(error.clone())),
            What::Known(outcome) => match outcome {
                Outcome::Answered(answer) => Ok(answer.clone()),
                Outcome::Delivered | Outcome::Sent => Ok(Bytes::new()),
                Outcome::Dropped => Err(Undelivered::Dropped),
                Outcome::Gone => Err(Undelivered::Gone),
                Outcome::TimedOut => Err(Undelivered::TimedOut),
                Outcome::Shed => Err(Undelivered::Shed),
            },
        };
        self.forget(ticket);
        Poll::Ready(ended)
    }

    /// How long it took, if it was delivered.
    pub(super) fn resolve(
        &mut self,
        ticket: Ticket,
        outcome: Outcome,
        now: impl FnOnce() -> Time,
    ) -> Option<Duration> {
        let because = self.because.clone();
        let expected = self.get(ticket)?;
        let delivered = matches!(outcome, Outcome::Delivered | Outcome::Answered(_));
        let took = delivered.then(|| now().since(expected.since));
        match &mut expected.what {
            What::Waiting(waker) => {
                let waker = waker.take();
                expected.what = match (outcome, because) {
                    (Outcome::Shed, Some(error)) => What::Failed(error),
                    (outcome, _) => What::Known(outcome),
                };
                if let Some(waker) = waker {
                    waker.wake();
                }
            }
            What::Ignored => {
                expected.what = What::Known(outcome);
                self.forget(ticket);
            }
            What::Known(_) | What::Failed(_) => {}
        }
        took
    }

    /// Nobody asks for it any more: its place is free once all before it are.
    pub(super) fn forget(&mut self, ticket: Ticket) {
        let Some(expected) = self.get(ticket) else { return };
        expected.what = match expected.what {
            What::Waiting(_) => What::Ignored,
            _ => What::Known(Outcome::Sent),
        };
        while let Some(Expected { what: What::Known(Outcome::Sent), .. }) = self.slots.front() {
            self.slots.pop_front();
            self.first += 1;
        }
    }
}
