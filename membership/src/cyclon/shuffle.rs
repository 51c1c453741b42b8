//! Enhanced shuffling (§2.2).

use thin_vec::ThinVec;

use super::{Cyclon, Entry, Message, Timer, marks};
use crate::Peer;
use crate::protocol::{DownReason, Effects};
use crate::sample::sample_into;

impl<P: Peer> Cyclon<P> {
    /// §2.2, steps 1 to 4: everybody gets older, and the oldest gets a sample.
    pub(super) fn on_shuffle_timer(&mut self, fx: &mut impl Effects<Self>) {
        fx.arm(self.config.shuffle_interval, Timer::Shuffle);
        self.give_up_partner(fx);
        for entry in &mut self.view {
            entry.age = entry.age.saturating_add(1);
        }
        let Some(at) = self.oldest() else { return self.seek(fx) };
        let partner = self.view[at].peer;
        let others = self.view.len() - 1;
        let mut sample = ThinVec::with_capacity(self.config.shuffle_length);
        sample.push(Entry::new(self.me));
        // All but the oldest, which is the last of these.
        self.view.swap(at, others);
        let entries = self.view[..others].iter().copied();
        sample_into(&mut sample, entries, self.config.shuffle_length - 1, &mut self.rng);
        self.sent = sample[1..].iter().map(|entry| entry.peer).collect();
        self.partner = Some(partner);
        fx.send(partner, Message::Shuffle { sample });
        // Step 3: its place is free for what comes in return, and stays so if it is dead. A peer that
        // knows nobody else keeps it for now, or it would have nobody at all.
        if others > 0 {
            self.remove(others, DownReason::Evicted, fx);
        }
    }

    /// The last shuffle was not answered. Its partner has left the view already, unless it is the last.
    fn give_up_partner(&mut self, fx: &mut impl Effects<Self>) {
        self.sent.clear();
        let Some(partner) = self.partner.take() else { return };
        fx.mark(marks::CYCLON_UNANSWERED);
        if self.view.len() == 1 && self.view[0].peer == partner {
            fx.mark(marks::CYCLON_LAST_SILENT);
            self.remove(0, DownReason::Silent, fx);
        }
    }

    /// The first of those with the highest age.
    fn oldest(&self) -> Option<usize> {
        let ages = self.view.iter().enumerate().map(|(at, entry)| (entry.age, at));
        ages.max_by_key(|(age, at)| (*age, core::cmp::Reverse(*at))).map(|(_, at)| at)
    }

    /// The passive side: as many entries in return, and steps 6 and 7. Nobody gets older.
    pub(super) fn on_shuffle(&mut self, from: P, sample: &[Entry<P>], fx: &mut impl Effects<Self>) {
        let mut reply = ThinVec::with_capacity(self.config.shuffle_length);
        let entries = self.view.iter().copied();
        sample_into(&mut reply, entries, self.config.shuffle_length, &mut self.rng);
        let mut sent = reply.iter().map(|entry: &Entry<P>| entry.peer).collect();
        fx.send(from, Message::ShuffleReply { sample: reply });
        self.merge(sample, &mut sent, fx);
    }

    /// §2.2, steps 5 to 7.
    pub(super) fn on_shuffle_reply(
        &mut self,
        from: P,
        sample: &[Entry<P>],
        fx: &mut impl Effects<Self>,
    ) {
        if self.partner != Some(from) {
            return fx.mark(marks::CYCLON_UNASKED);
        }
        self.partner = None;
        let mut sent = core::mem::take(&mut self.sent);
        self.merge(sample, &mut sent, fx);
    }

    /// §2.2, steps 6 and 7: who is known already is not taken again. The others take free places, and
    /// then those of entries that were `sent`.
    pub(super) fn merge(
        &mut self,
        sample: &[Entry<P>],
        sent: &mut ThinVec<P>,
        fx: &mut impl Effects<Self>,
    ) {
        for &entry in sample.iter().take(self.config.shuffle_length) {
            if entry.peer.is_same_node(self.me) {
                continue;
            }
            if let Some(at) = self.position_of_node(entry.peer) {
                self.renew(at, entry, fx);
                continue;
            }
            if self.view.len() >= self.config.view_capacity {
                let Some(at) = self.pop_held(sent) else { return };
                self.remove(at, DownReason::Evicted, fx);
            }
            self.add(entry, fx);
        }
    }

    /// The place of a peer of this list that is still in the view. It is taken off the list.
    fn pop_held(&self, sent: &mut ThinVec<P>) -> Option<usize> {
        while let Some(peer) = sent.pop() {
            if let Some(at) = self.view.iter().position(|entry| entry.peer == peer) {
                return Some(at);
            }
        }
        None
    }
}
