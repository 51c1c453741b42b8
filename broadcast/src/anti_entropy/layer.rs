//! What the strategy inside speaks to.

use core::time::Duration;

use murmurate_membership::{Mark, Time};
use thin_vec::ThinVec;

use super::retention::Retention;
use super::{AntiEntropy, Config, Message, Timer};
use crate::Id;
use crate::protocol::{Broadcast, Effects, Origin};

/// What the strategy inside speaks to.
pub(super) struct Layer<'a, B: Broadcast, E> {
    /// When what is delivered was published, as far as is known.
    pub(super) since: Time,
    pub(super) is_past: bool,
    pub(super) config: &'a Config,
    pub(super) retained: &'a mut Retention<B::Id, B::Payload>,
    pub(super) delivered: &'a mut ThinVec<Origin<B>>,
    pub(super) host: &'a mut E,
}

impl<B: Broadcast, E: Effects<AntiEntropy<B>>> Effects<B> for Layer<'_, B, E> {
    fn send(&mut self, to: B::Peer, message: B::Message) {
        self.host.send(to, Message::Inner(message));
    }

    fn arm(&mut self, after: Duration, timer: B::Timer) {
        self.host.arm(after, Timer::Inner(timer));
    }

    fn deliver(&mut self, id: B::Id, hops: u16, payload: B::Payload) {
        self.retained.keep(self.since, id, hops, payload.clone(), self.config);
        self.delivered.push(id.origin());
        if self.is_past {
            self.host.deliver_past(id, hops, payload);
        } else {
            self.host.deliver(id, hops, payload);
        }
    }

    fn missed(&mut self, origin: Origin<B>, count: u64) {
        self.host.missed(origin, count);
    }

    #[inline]
    fn mark(&mut self, mark: Mark) {
        self.host.mark(mark);
    }
}
