//! The active view kept full: failed peers, candidates, keep-alives, promotion.

use rand::RngExt;

use super::{HyParView, Message, Purpose, Timer, marks};
use crate::protocol::{DownReason, Effects};
use crate::sample::{choose, choose_where};
use crate::{Peer, Time};

/// One random promotion in this many tries a contact instead of a passive peer, so that sides of a
/// split whose passive views have forgotten each other find together again.
const PROMOTIONS_PER_CONTACT: u32 = 4;

impl<P: Peer> HyParView<P> {
    /// Asks a candidate for each free slot (§4.3); with none left to ask and no neighbour, a contact.
    pub(super) fn repair(&mut self, now: Time, fx: &mut impl Effects<Self>) {
        while self.links.active().len() + self.links.requests().len() < self.config.active_capacity
        {
            match self.passive.try_next(&mut self.rng) {
                Some(peer) if self.links.is_asked(peer) => {}
                Some(peer) => self.ask_for_link(now, peer, Purpose::Repair, fx),
                None if self.passive.lost
                    && self.passive.refills < self.config.reactive_shuffles
                    && !self.links.active().is_empty() =>
                {
                    // Too many were dead: fresh candidates now, not at the next cycle.
                    fx.mark(marks::SHUFFLED_FOR_CANDIDATES);
                    self.passive.refills += 1;
                    return self.shuffle(fx);
                }
                None => break,
            }
        }
        if self.links.active().is_empty() && self.links.requests().is_empty() {
            self.ask_contact(now, fx);
        }
    }

    pub(super) fn on_link_down(&mut self, now: Time, peer: P, fx: &mut impl Effects<Self>) {
        self.passive.lost |= self.passive.remove(peer);
        if self.links.abandon(peer).is_some() {
            fx.mark(marks::REQUEST_FAILED);
        }
        if let Some(at) = self.links.position(peer) {
            self.drop_link(at, DownReason::Failed, fx);
            self.miss_neighbor(now, peer, fx);
            self.passive.retry();
        }
        self.repair(now, fx);
    }

    pub(super) fn on_request_timer(&mut self, now: Time, fx: &mut impl Effects<Self>) {
        self.links.watched = false;
        while let Some(request) = self.links.overdue(now) {
            // It may have accepted, and the answer was lost: no half link is left behind.
            fx.mark(marks::REQUEST_OVERDUE);
            let link = request.number;
            fx.send(request.peer, Message::Disconnect { link, leaving: false, instead: None });
            self.passive.lost |= self.passive.remove(request.peer);
        }
        if let Some(deadline) = self.links.deadline() {
            self.links.watched = true;
            fx.arm(deadline.since(now), Timer::Request);
        }
        self.repair(now, fx);
    }

    pub(super) fn on_keepalive_timer(&mut self, now: Time, fx: &mut impl Effects<Self>) {
        self.links.probed = false;
        let mut at = 0;
        while let Some(link) = self.links.active_mut().get_mut(at) {
            let (peer, number) = (link.peer, link.number);
            if link.silent >= self.config.keepalive_misses {
                fx.mark(marks::NEIGHBOR_SILENT);
                let bye = Message::Disconnect { link: number, leaving: false, instead: None };
                fx.send(peer, bye);
                self.drop_link(at, DownReason::Silent, fx);
                self.miss_neighbor(now, peer, fx);
                self.passive.retry();
                continue;
            }
            link.silent = link.silent.saturating_add(1);
            fx.send(peer, Message::Keepalive { link: number });
            at += 1;
        }
        if now >= self.promotion_due {
            self.plan_promotion(now);
            self.promote(now, fx);
        }
        self.try_lost(now, fx);
        self.repair(now, fx);
        fx.arm(self.config.keepalive_interval, Timer::Keepalive);
    }

    /// Makes dead neighbours show themselves when a full view is asked for a link. After a mass
    /// failure everyone is full of the dead: they would refuse the living on their account, and
    /// those whom nobody writes to would never notice. Once between two keep-alives is enough.
    pub(super) fn probe(&mut self, fx: &mut impl Effects<Self>) {
        if self.links.probed {
            return;
        }
        self.links.probed = true;
        fx.mark(marks::FULL_VIEW_PROBED);
        for link in self.links.active() {
            fx.send(link.peer, Message::Keepalive { link: link.number });
        }
    }

    pub(super) fn plan_promotion(&mut self, now: Time) {
        self.promotion_due = match self.config.promotion_interval {
            Some(mean) => now.after(mean / 2).after(self.fraction(mean)),
            None => Time::MAX,
        };
    }

    /// Random promotion into a full view: a random stranger is swapped in for a random neighbour.
    fn promote(&mut self, now: Time, fx: &mut impl Effects<Self>) {
        let spare = self.spare();
        if spare != self.me {
            fx.mark(marks::PROMOTED);
        }
        self.exchange(now, spare, fx);
    }

    /// Whom an exchange frees: a random neighbour of a full view, or this peer, which has room.
    pub(super) fn spare(&mut self) -> P {
        let peers = self.links.active().iter().map(|link| link.peer);
        let any = if self.is_full() { choose_where(peers, |_| true, &mut self.rng) } else { None };
        any.unwrap_or(self.me)
    }

    /// Two free slots or more that no passive peer would fill: an exchange splices this peer in
    /// between two others, and nobody ends with fewer links than before.
    pub(super) fn splice_in(&mut self, now: Time, fx: &mut impl Effects<Self>) {
        let links = self.links.active().len() + self.links.requests().len();
        if links > 0 && links + 2 <= self.config.active_capacity {
            fx.mark(marks::SPLICED_IN);
            self.exchange(now, self.me, fx);
        }
    }

    fn exchange(&mut self, now: Time, spare: P, fx: &mut impl Effects<Self>) {
        let to_contact = self.rng.random_range(0..PROMOTIONS_PER_CONTACT) == 0;
        let contact = choose(&self.contacts, &mut self.rng).copied();
        let passive = self.passive.any(&mut self.rng);
        let random = if to_contact { contact.or(passive) } else { passive.or(contact) };
        if let Some(target) = self.take_next().or(random)
            && self.is_stranger(target)
            && !self.links.is_asked(target)
            && self.may_ask()
        {
            if to_contact && contact.is_some() {
                fx.mark(marks::EXCHANGE_BY_CONTACT);
            }
            self.ask_for_link(now, target, Purpose::Exchange { spare }, fx);
        }
    }
}
