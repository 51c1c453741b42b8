//! The way to one node: what waits for it and the connection that takes it there.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use libp2p::swarm::ConnectionId;
use tokio::time::Instant;

use super::outbox::{Depth, Outbox, Pushed};
use crate::id::Incarnation;
use crate::node::budget::Budget;
use crate::node::pressure::Flow;
use crate::node::wire::{Head, encode_probe};

/// What leads, or will lead, to one incarnation of a node.
#[derive(Debug)]
pub(crate) struct Route {
    pub(crate) peer: Incarnation,
    pub(crate) outbox: Arc<Outbox>,
    pub(crate) via: Via,
    /// When something was last sent or received.
    pub(crate) used: Instant,
    pub(crate) flow: Flow,
    pace: Pace,
}

/// How a route is served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Via {
    /// Not yet: a connection is being made, or one is wanted.
    Pending,
    /// By this connection.
    Link(ConnectionId),
}

/// Whether the peer takes what is sent to it.
#[derive(Debug)]
struct Pace {
    since: Instant,
    taken: u64,
    emptied: u64,
    slow: bool,
}

/// How a link's pace changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PaceChange {
    Slow { waiting: usize },
    CaughtUp,
}

/// How long a peer's pace is measured.
const MEASURED: Duration = Duration::from_secs(2);

impl Route {
    pub(crate) fn new(peer: Incarnation, limit: usize, budget: &Arc<Budget>) -> Self {
        let now = Instant::now();
        Self {
            peer,
            outbox: Arc::new(Outbox::new(limit, budget)),
            via: Via::Pending,
            used: now,
            flow: Flow::new(now),
            pace: Pace { since: now, taken: 0, emptied: 0, slow: false },
        }
    }

    pub(crate) fn is_linked(&self) -> bool {
        matches!(self.via, Via::Link(_))
    }

    pub(crate) fn push_control(&mut self, frame: Vec<u8>) -> Pushed {
        self.used = Instant::now();
        self.outbox.push_control(frame)
    }

    pub(crate) fn push_payload(&mut self, head: Option<Head>, body: Bytes) -> Pushed {
        self.used = Instant::now();
        let bytes = body.len();
        let pushed = self.outbox.push_payload(head, body);
        if pushed == Pushed::Queued {
            self.flow.pushed(bytes);
        }
        pushed
    }

    /// Sends a probe behind what was pushed, if one is due.
    pub(crate) fn probe(&mut self, now: Instant) {
        if self.is_linked()
            && let Some(number) = self.flow.probe(now)
        {
            self.outbox.push_probe(encode_probe(number));
        }
    }

    /// Whether the peer reads too slowly to be waited for.
    pub(crate) fn is_slow(&self) -> bool {
        self.pace.slow
    }

    /// Judges the pace: slow is who has something waiting all the time and takes less than `floor`
    /// bytes a second; caught up is who has nothing waiting, or had taken all since the last look:
    /// on a busy node something has just been said to everybody whenever it looks.
    pub(crate) fn judge(&mut self, now: Instant, floor: usize) -> Option<PaceChange> {
        let Depth { bytes: waiting, taken, emptied } = self.outbox.depth();
        if waiting == 0 || emptied != self.pace.emptied || !self.is_linked() {
            self.pace.since = now;
            self.pace.emptied = emptied;
            self.pace.taken = taken;
            return std::mem::take(&mut self.pace.slow).then_some(PaceChange::CaughtUp);
        }
        let measured = now.duration_since(self.pace.since);
        if measured < MEASURED {
            return None;
        }
        let least = (floor as f64 * measured.as_secs_f64()) as u64;
        let slow = taken - self.pace.taken < least;
        self.pace.since = now;
        self.pace.taken = taken;
        let turned = slow && !self.pace.slow;
        self.pace.slow |= slow;
        turned.then_some(PaceChange::Slow { waiting })
    }
}

#[cfg(test)]
mod tests {
    use std::task::{Context, Waker};

    use super::*;
    use crate::id::NodeId;
    use crate::node::link::outbox::Batch;

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_takes_little_while_much_waits_is_slow_until_it_caught_up() {
        let peer = Incarnation { node: NodeId::from_bytes([1; 32]), started: 1 };
        let mut route = Route::new(peer, 1 << 20, &Budget::plenty());
        route.via = Via::Link(ConnectionId::new_unchecked(1));
        let turn = route.outbox.attach();
        let mut now = Instant::now();
        let mut second = || {
            now += Duration::from_secs(1);
            now
        };
        assert_eq!(route.judge(second(), 1_000), None);
        let push = |route: &mut Route| {
            for _ in 0..4 {
                assert_eq!(
                    route.push_payload(Some(Head::any()), Bytes::from(vec![0; 16 << 10])),
                    Pushed::Queued
                );
            }
        };
        push(&mut route);
        let take = |route: &Route| {
            let mut context = Context::from_waker(Waker::noop());
            let _ = route.outbox.poll_take(turn, &mut Batch::default(), &mut context);
        };
        // A batch in two seconds is 8 KiB a second: enough for a floor of 1,000 bytes.
        assert_eq!(route.judge(second(), 1_000), None);
        take(&route);
        assert_eq!(route.judge(second(), 1_000), None);
        take(&route);
        assert_eq!(route.judge(second(), 1_000), None);
        assert_eq!(route.judge(second(), 1_000), None);
        // Nothing at all for two seconds.
        let waiting = route.outbox.depth().bytes;
        let (mut changes, mut times) = (Vec::new(), 0);
        while changes.is_empty() && times < 5 {
            changes.extend(route.judge(second(), 1_000));
            times += 1;
        }
        assert_eq!(changes, [PaceChange::Slow { waiting }]);
        assert!(route.is_slow());
        take(&route);
        take(&route);
        assert_eq!(route.judge(second(), 1_000), Some(PaceChange::CaughtUp));
        assert!(!route.is_slow());
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_takes_all_at_once_is_not_slow_though_something_waits_at_each_look() {
        let peer = Incarnation { node: NodeId::from_bytes([1; 32]), started: 1 };
        let mut route = Route::new(peer, 1 << 20, &Budget::plenty());
        route.via = Via::Link(ConnectionId::new_unchecked(1));
        let turn = route.outbox.attach();
        let now = Instant::now();
        for second in 1..20 {
            let mut context = Context::from_waker(Waker::noop());
            while route.outbox.poll_take(turn, &mut Batch::default(), &mut context).is_ready() {}
            assert_eq!(route.push_control(vec![0; 10]), Pushed::Queued);
            let change = route.judge(now + Duration::from_secs(second), 64 << 10);
            assert_eq!(change, None, "it takes little because little is said");
        }
    }
}
