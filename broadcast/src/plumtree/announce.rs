//! What is announced instead of pushed, and what waits until there is somebody to tell.

use super::*;

impl<P: Peer, I: Id, D: Payload> Plumtree<P, I, D> {
    /// Whether there was anything to announce.
    pub(super) fn announce_queued(&self, peer: P, fx: &mut impl Effects<Self>) -> bool {
        let mut batch = self
            .queue
            .iter()
            .filter(|(_, sender)| *sender != Some(peer))
            .map(|(announcement, _)| *announcement)
            .peekable();
        let any = batch.peek().is_some();
        if any {
            fx.send(peer, Message::IHave(batch.collect()));
        }
        any
    }

    /// What nobody could be told of goes to the first neighbour there is, who is eager.
    pub(super) fn push_waiting(&mut self, peer: P, fx: &mut impl Effects<Self>) {
        for (Announcement { id, round }, sender) in core::mem::take(&mut self.queue) {
            if sender != Some(peer)
                && let Some(payload) = self.cache.get(id)
            {
                fx.mark(marks::WAITING_PUSHED);
                fx.send(peer, Message::Gossip { id, round, payload: payload.clone() });
            }
        }
    }

    pub(super) fn announce_all(&mut self, fx: &mut impl Effects<Self>) {
        if self.neighbors.is_empty() {
            // What was published meanwhile waits for the next neighbour.
            return fx.mark(marks::BATCH_WITHOUT_NEIGHBORS);
        }
        for neighbor in self.neighbors.iter().filter(|neighbor| !neighbor.eager) {
            self.announce_queued(neighbor.peer, fx);
        }
        self.queue = ThinVec::new();
    }

    pub(super) fn on_ihave(
        &mut self,
        now: Time,
        from: P,
        announcements: &[Announcement<I>],
        fx: &mut impl Effects<Self>,
    ) {
        if !self.is_neighbor(from) {
            return fx.mark(marks::IHAVE_OF_STRANGER);
        }
        let wait = self.graft_timeout.wait(&self.config);
        let capacity = self.config.missing_capacity;
        let mut seen = ThinVec::new();
        for &announcement in announcements.iter().take(MAX_ANNOUNCEMENTS) {
            if self.has_seen(announcement.id) {
                seen.push(announcement);
                continue;
            }
            if !self.missing.announced(from, announcement, now, wait, capacity) {
                fx.mark(marks::MISSING_FULL);
            }
            self.arm_missing(wait, fx);
        }
        if self.eager().any(|eager| eager == from) {
            // The tree's link tells of copies that were fetched before.
            self.on_late_copies(now, from, seen.into_iter(), fx);
        }
    }
}
