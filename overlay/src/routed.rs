//! A composed peer with a router beside it.

use core::time::Duration;

use alloc::vec::Vec;
use murmurate_broadcast::Broadcast;
use murmurate_membership::{DownReason, Membership, Notice, Time, Violation};

use crate::router::{self, Data, Router};
use crate::{Effects, Input, Mark, Message, Peer, Timer};

/// A peer of the overlay that can speak to nodes that are not its neighbours.
///
/// Membership events reach the router inside the membership's own call, as they reach the broadcast
/// layer. A host that has no use for a router keeps a [`Peer`] and pays nothing.
#[derive(Debug, Clone)]
pub struct Routed<M: Membership, B, D> {
    peer: Peer<M, B>,
    router: Router<M::Peer, D>,
}

impl<M, B, D> Routed<M, B, D>
where
    M: Membership,
    B: Broadcast<Peer = M::Peer>,
    D: Data,
{
    /// Composes a peer and a router that have not seen any input yet.
    #[must_use]
    pub fn new(peer: Peer<M, B>, router: Router<M::Peer, D>) -> Self {
        Self { peer, router }
    }

    /// Membership and broadcast, to look at.
    pub fn peer(&self) -> &Peer<M, B> {
        &self.peer
    }

    /// The router, to look at.
    pub fn router(&self) -> &Router<M::Peer, D> {
        &self.router
    }

    /// Takes one input about membership or broadcast.
    pub fn handle<E: Effects<M, B>>(&mut self, now: Time, input: Input<M, B>, fx: &mut E) {
        let mut layer = Layer { router: &mut self.router, host: fx };
        self.peer.handle(now, input, &mut layer);
    }

    /// Takes one input about nodes that are not neighbours.
    pub fn route<E>(&mut self, now: Time, input: router::Input<M::Peer, D>, fx: &mut E)
    where
        E: router::Effects<M::Peer, D>,
    {
        self.router.handle(now, input, fx);
    }

    /// The first invariant of any layer or between them that does not hold, if any.
    ///
    /// # Errors
    /// Names the invariant and shows the state.
    pub fn check(&self) -> Result<(), Violation> {
        self.peer.check()?;
        self.router.check()?;
        let mut active: Vec<_> = self.peer.membership().active().collect();
        let mut routed: Vec<_> = self.router.neighbors().collect();
        active.sort_unstable();
        routed.sort_unstable();
        Violation::unless(active == routed, "the router's neighbours are the active view", || {
            alloc::format!("active {active:?}, the router's {routed:?}")
        })
    }
}

/// What the peer speaks to: neighbour events go to the router first.
struct Layer<'a, R, E> {
    router: &'a mut R,
    host: &'a mut E,
}

impl<M, B, D, E> Effects<M, B> for Layer<'_, Router<M::Peer, D>, E>
where
    M: Membership,
    B: Broadcast<Peer = M::Peer>,
    D: Data,
    E: Effects<M, B>,
{
    fn send(&mut self, to: M::Peer, message: Message<M::Message, B::Message>) {
        self.host.send(to, message);
    }

    fn arm(&mut self, after: Duration, timer: Timer<M::Timer, B::Timer>) {
        self.host.arm(after, timer);
    }

    fn deliver(&mut self, id: B::Id, hops: u16, payload: B::Payload) {
        self.host.deliver(id, hops, payload);
    }

    fn deliver_past(&mut self, id: B::Id, hops: u16, payload: B::Payload) {
        self.host.deliver_past(id, hops, payload);
    }

    fn missed(&mut self, origin: murmurate_broadcast::Origin<B>, count: u64) {
        self.host.missed(origin, count);
    }

    fn neighbor_up(&mut self, peer: M::Peer) {
        self.router.neighbor_up(peer);
        self.host.neighbor_up(peer);
    }

    fn neighbor_down(&mut self, peer: M::Peer, reason: DownReason) {
        self.router.neighbor_down(peer);
        self.host.neighbor_down(peer, reason);
    }

    fn notify(&mut self, notice: Notice) {
        self.host.notify(notice);
    }

    #[inline]
    fn mark(&mut self, mark: Mark) {
        self.host.mark(mark);
    }
}
