//! Reunion: whoever fell silent is tried again, so that the parts of an overlay that were cut from each
//! other become one again, whatever restarted meanwhile.
//!
//! Full views ask nobody: two halves of an overlay that have replaced each other would stay two for
//! ever. So a neighbour that fails is remembered, also by a full view, and so is a contact that was
//! never linked. Each is tried at growing, jittered intervals by a sample of the views; whoever answers
//! with one of its own is linked by an exchange, which costs nobody a link. Who answers in a later incarnation is
//! asked in that one ([`Input::Restarted`](crate::Input::Restarted)).
//!
//! An exchange moves two links, and every peer has contacts that it did not join through. So where random
//! exchanges take place anyway, a contact whose first sample names somebody who is known here is taken to be of
//! the same part, and is forgotten; and the other contacts of a join are linked by these exchanges.

use core::time::Duration;

use rand::RngExt;
use thin_vec::ThinVec;

use super::{HyParView, Message, Purpose, marks};
use crate::protocol::Effects;
use crate::time::nanos;
use crate::{Peer, Time};

/// How long a peer is tried.
const GIVEN_UP_AFTER: Duration = Duration::from_secs(24 * 60 * 60);
/// The first interval is this share of the longest, doubled with each attempt.
const DOUBLINGS: u16 = 3;

/// A peer that fell silent, or a contact not linked yet.
#[derive(Debug, Clone, Copy)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct Lost<P> {
    pub(super) peer: P,
    tries: u16,
    when: When,
    due: Time,
}

/// When a peer that is tried and answers is linked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(super) enum When {
    /// As soon as it answers: it was a neighbour, or is of another part.
    AtOnce,
    /// As soon as it answers, unless it is of the same part: the host found it while there were neighbours.
    IfApart,
    /// By a random exchange, unless it is of the same part: a contact of a join that another one led in.
    InTurn,
    /// It is of another part and has answered: the next random exchange is with it.
    Next,
    /// It was asked for that exchange, and must answer again before it is asked once more.
    Asked,
}

impl<P: Peer> HyParView<P> {
    /// A neighbour failed: tried again soon, since it may only have restarted.
    pub(super) fn miss_neighbor(&mut self, now: Time, peer: P, fx: &mut impl Effects<Self>) {
        if let Some(interval) = self.config.reunion_interval {
            self.miss(now, peer, When::AtOnce, interval / 8, fx);
        }
    }

    /// The way in led through one of the contacts. The others may belong to another part.
    pub(super) fn miss_contacts(&mut self, now: Time, fx: &mut impl Effects<Self>) {
        if let Some(interval) = self.config.reunion_interval {
            for at in 0..self.contacts.len() {
                self.miss(now, self.contacts[at], When::InTurn, interval, fx);
            }
        }
    }

    /// Has a peer that is not linked tried, the first time `within` this time.
    pub(super) fn miss(
        &mut self,
        now: Time,
        peer: P,
        when: When,
        within: Duration,
        fx: &mut impl Effects<Self>,
    ) {
        if self.config.reunion_interval.is_none() || self.links.position_of_node(peer).is_some() {
            return;
        }
        let due = now.after(self.fraction(within));
        if let Some(lost) = self.lost.iter_mut().find(|lost| lost.peer.is_same_node(peer)) {
            let when = match (lost.when, when) {
                (When::InTurn, when) => when,
                // What was found out stays.
                (held, When::InTurn) => held,
                (When::IfApart, When::IfApart) => When::IfApart,
                _ => When::AtOnce,
            };
            *lost = Lost { peer: peer.max(lost.peer), tries: 0, when, due: due.min(lost.due) };
            return;
        }
        if self.lost.len() >= self.config.contacts_capacity {
            // A random one: neither those that fail all the time nor those of long ago may take all
            // the room.
            fx.mark(marks::LOST_REPLACED);
            let at = self.rng.random_range(0..self.lost.len());
            self.lost.swap_remove(at);
        }
        self.lost.reserve_exact(1);
        self.lost.push(Lost { peer, tries: 0, when, due });
    }

    /// `peer` is linked, or has left: nobody looks for it any more.
    pub(super) fn find(&mut self, peer: P, fx: &mut impl Effects<Self>) {
        if let Some(at) = self.lost.iter().position(|lost| lost.peer.is_same_node(peer)) {
            if self.lost[at].tries > 0 {
                fx.mark(marks::LOST_FOUND);
            }
            self.forget(at);
        }
    }

    fn forget(&mut self, at: usize) {
        self.lost.swap_remove(at);
        if self.lost.is_empty() {
            // Most peers look for nobody most of the time: keep no room for it.
            self.lost = ThinVec::new();
        }
    }

    /// A node runs as `peer`: contacts and lost peers of that name are this one now.
    pub(super) fn rename(&mut self, peer: P, fx: &mut impl Effects<Self>) {
        if let Some(contact) = self.contacts.iter_mut().find(|c| peer.supersedes(**c)) {
            *contact = peer;
            fx.mark(marks::CONTACT_RESTARTED);
        }
        if let Some(lost) = self.lost.iter_mut().find(|lost| peer.supersedes(lost.peer)) {
            // It answers: there is nothing to wait for.
            *lost = Lost { peer, due: Time::ZERO, ..*lost };
        }
    }

    /// Tries the lost peer whose turn came first, if there is one. One at a time: however many answer,
    /// a view is not turned over at once.
    pub(super) fn try_lost(&mut self, now: Time, fx: &mut impl Effects<Self>) {
        let Some(interval) = self.config.reunion_interval else { return };
        // Whoever is alone joins through its contacts.
        let joins = |peer| self.links.active().is_empty() && self.contacts.contains(&peer);
        let asks = |peer| self.links.is_asked(peer) || joins(peer);
        let due = |lost: &Lost<P>| lost.due <= now && !asks(lost.peer);
        let due = self.lost.iter().enumerate().filter(|(_, lost)| due(lost));
        let Some((at, &Lost { peer, tries, when, .. })) = due.min_by_key(|(_, lost)| lost.due)
        else {
            return;
        };
        // Pauses are three quarters of the interval on average.
        let day = nanos(GIVEN_UP_AFTER) / (nanos(interval) / 4 * 3).max(1);
        if u64::from(tries) >= day.min(u64::from(u16::MAX)) {
            return self.forget(at);
        }
        fx.mark(marks::LOST_TRIED);
        let pause = interval / (1 << DOUBLINGS.saturating_sub(tries));
        let due = now.after(pause / 2).after(self.fraction(pause / 2));
        self.lost[at] = Lost { peer, tries: tries + 1, when, due };
        // A walk of one hop. Its answer shows that words go both ways: where they go one way only, a
        // request would cost the other side a neighbour each time.
        let sample = self.sample();
        fx.send(peer, Message::Shuffle { origin: self.me, ttl: 1, sample });
    }

    /// A lost peer answers, with a sample of its view. Called before the sample gets into the views.
    pub(super) fn meet(&mut self, now: Time, from: P, sample: &[P], fx: &mut impl Effects<Self>) {
        let Some(at) = self.lost.iter().position(|lost| lost.peer == from) else { return };
        // Only the first sample tells: with it the two know each other's peers. And it may mislead: passive
        // views remember the other side of a cut. Random exchanges make up for that; where there are none,
        // a link is the only proof.
        let exchanges = self.config.promotion_interval.is_some();
        let when = match self.lost[at].when {
            When::IfApart | When::InTurn
                if exchanges && sample.iter().any(|peer| self.knows(*peer)) =>
            {
                fx.mark(marks::LOST_TOGETHER);
                return self.forget(at);
            }
            When::InTurn | When::Next | When::Asked if exchanges => When::Next,
            _ => When::AtOnce,
        };
        self.lost[at].when = when;
        let may_link = self.is_stranger(from) && !self.links.is_asked(from) && self.may_ask();
        if when == When::AtOnce && may_link {
            let spare = self.spare();
            self.ask_for_link(now, from, Purpose::Exchange { spare }, fx);
        }
    }

    /// Whether a peer is this one or in a view, in this incarnation.
    fn knows(&self, peer: P) -> bool {
        peer == self.me || self.links.holds(peer) || self.passive.peers().contains(&peer)
    }

    /// A contact that waits for a random exchange.
    pub(super) fn take_next(&mut self) -> Option<P> {
        let lost = self.lost.iter_mut().find(|lost| lost.when == When::Next)?;
        lost.when = When::Asked;
        Some(lost.peer)
    }

    /// The host found a later incarnation of a node than the one something was sent to: what that was
    /// asked, this is asked.
    pub(super) fn on_restarted(&mut self, now: Time, peer: P, fx: &mut impl Effects<Self>) {
        let older = |held: P| peer.supersedes(held);
        let is_linked = self.links.active().iter().any(|link| older(link.peer));
        let asked = self.links.requests().iter().map(|r| r.peer).find(|asked| older(*asked));
        if !self.hears(peer, fx) {
            return;
        }
        self.remember(peer);
        if is_linked {
            self.miss(now, peer, When::AtOnce, Duration::ZERO, fx);
            self.passive.retry();
        }
        if let Some(request) = asked.and_then(|asked| self.links.abandon(asked))
            && self.is_stranger(peer)
            && !self.links.is_asked(peer)
        {
            fx.mark(marks::ASKED_ANEW);
            if request.why == Purpose::Join {
                let link = self.ask(now, peer, Purpose::Join, fx);
                fx.send(peer, Message::Join { link });
            } else {
                self.ask_for_link(now, peer, request.why, fx);
            }
        }
        self.repair(now, fx);
    }
}
