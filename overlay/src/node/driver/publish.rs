//! Broadcasts of this node's own, until there is a neighbour and room for them.

use murmurate_broadcast::Payload as _;
use murmurate_membership::Membership as _;
use tokio::time::Instant;

use super::{AT_ONCE, Driver, Publish};
use crate::BroadcastError;
use crate::node::host::Input;

impl Driver {
    pub(super) fn more_publishes(&mut self) {
        while self.held.len() < AT_ONCE
            && let Ok(publish) = self.publishes.try_recv()
        {
            self.held.push_back(publish);
        }
    }

    /// Publishes what waits, as long as there is a neighbour and room for it.
    pub(super) fn publish_held(&mut self) {
        while let Some(publish) = self.held.front() {
            if self.left {
                let publish = self.held.pop_front();
                let _ = publish.map(|publish| publish.reply.send(Err(BroadcastError::Ended)));
                continue;
            }
            let bytes = publish.publication.size();
            if let Some(why) = self.must_wait(bytes) {
                if publish.deadline > Instant::now() && !publish.reply.is_closed() {
                    return;
                }
                let publish = self.held.pop_front();
                let _ = publish.map(|publish| publish.reply.send(Err(why)));
                continue;
            }
            let Some(Publish { publication, reply, .. }) = self.held.pop_front() else { return };
            // Whoever gave up waiting did not publish.
            if reply.is_closed() {
                continue;
            }
            let Some(id) = self.ids.next() else {
                let _ = reply.send(Err(BroadcastError::Ended));
                continue;
            };
            self.host.metrics.published.inc();
            self.feed(Input::Publish { id, payload: publication });
            let _ = reply.send(Ok(id));
        }
    }

    /// Why a broadcast of so many bytes cannot be published now.
    ///
    /// Neighbours that read too slowly are not waited for: they lose what does not fit.
    fn must_wait(&self, bytes: usize) -> Option<BroadcastError> {
        let mut alone = true;
        for peer in self.peer.peer().membership().active() {
            alone = false;
            let Some(route) = self.host.routes.get(&peer.node) else { continue };
            let waiting = route.outbox.depth().bytes;
            if !route.is_slow() && waiting > 0 && waiting + bytes > self.limits.outbox_bytes / 2 {
                return Some(BroadcastError::Congested);
            }
        }
        alone.then_some(BroadcastError::NoNeighbor)
    }
}
