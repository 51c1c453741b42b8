//! The graph kept whole: keep-alives, failed links, who is asked next.

use alloc::vec::Vec;

use super::{Message, StaticOverlay, Timer, marks};
use crate::protocol::{DownReason, Effects};
use crate::{Peer, Time};

impl<P: Peer> StaticOverlay<P> {
    /// Asks the contacts whose turn it is: when contacts come, at timers, and when one restarted.
    pub(super) fn ask_due(&mut self, now: Time, fx: &mut impl Effects<Self>) {
        let due = self.contacts.iter().filter(|contact| {
            contact.redial.is_due(now)
                && (self.config.repair || !contact.was_linked)
                && !self.links.is_asked(contact.peer)
                && self.links.position_of_node(contact.peer).is_none()
        });
        let due: Vec<P> = due.map(|contact| contact.peer).collect();
        for peer in due {
            let timeout = self.config.request_timeout;
            let link = self.links.ask(self.me, peer, (), now.after(timeout));
            if !self.armed[Timer::Request as usize] {
                self.arm(timeout, Timer::Request, fx);
            }
            fx.send(peer, Message::Hello { link });
        }
    }

    /// `peer` was asked in vain, or its link was lost: if it is a contact, it is asked again after a
    /// pause.
    pub(super) fn failed(&mut self, now: Time, peer: P) {
        let (base, longest) = (self.config.request_timeout, self.config.redial_pause);
        for contact in self.contacts.iter_mut().filter(|contact| contact.peer == peer) {
            contact.redial.failed(now, base, longest, &mut self.rng);
        }
    }

    /// Drops the link to `peer`, if there is one.
    pub(super) fn lose(
        &mut self,
        now: Time,
        peer: P,
        reason: DownReason,
        fx: &mut impl Effects<Self>,
    ) {
        if let Some(at) = self.links.position(peer) {
            self.failed(now, peer);
            if !self.config.repair {
                fx.mark(marks::STATIC_GIVEN_UP);
            }
            self.drop_link(at, reason, fx);
        }
    }

    pub(super) fn on_link_down(&mut self, now: Time, peer: P, fx: &mut impl Effects<Self>) {
        if self.links.abandon(peer).is_some() {
            self.failed(now, peer);
        }
        self.lose(now, peer, DownReason::Failed, fx);
    }

    pub(super) fn on_request_timer(&mut self, now: Time, fx: &mut impl Effects<Self>) {
        while let Some(request) = self.links.overdue(now) {
            fx.mark(marks::STATIC_OVERDUE);
            self.failed(now, request.peer);
            // It may have accepted, and the answer was lost: no half link is left behind.
            let link = request.number;
            fx.send(request.peer, Message::Disconnect { link, leaving: false });
        }
        if let Some(deadline) = self.links.deadline() {
            self.arm(deadline.since(now), Timer::Request, fx);
        }
        self.ask_due(now, fx);
    }

    pub(super) fn on_keepalive_timer(&mut self, now: Time, fx: &mut impl Effects<Self>) {
        let mut at = 0;
        while let Some(link) = self.links.active_mut().get_mut(at) {
            let (peer, number) = (link.peer, link.number);
            if link.silent >= self.config.keepalive_misses {
                fx.mark(marks::STATIC_SILENT);
                self.lose(now, peer, DownReason::Silent, fx);
                continue;
            }
            link.silent = link.silent.saturating_add(1);
            fx.send(peer, Message::Keepalive { link: number });
            at += 1;
        }
        self.arm(self.config.keepalive_interval, Timer::Keepalive, fx);
        self.ask_due(now, fx);
    }
}
