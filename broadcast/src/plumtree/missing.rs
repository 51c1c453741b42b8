//! Broadcasts announced but not arrived.

use core::time::Duration;

use murmurate_membership::{Peer, Time};
use thin_vec::ThinVec;

use super::Announcement;
use crate::{Id, thrift};

/// A broadcast that neighbours have and this peer has not.
#[derive(Debug, Clone)]
pub(crate) struct Missing<P, I> {
    id: I,
    /// When it was announced first.
    since: Time,
    /// When an announcer was asked first.
    asked_at: Time,
    /// When an announcer is asked next.
    deadline: Time,
    asked: u8,
    /// Who announced it over how many hops, in the order they did.
    announcers: ThinVec<(P, u16)>,
}

/// What was known of a broadcast when its payload came.
pub(crate) struct Arrived<P> {
    /// Who had announced it over how many hops.
    pub(crate) announcers: ThinVec<(P, u16)>,
    /// How long after its first announcement it came, or, from a peer that was asked for it, how
    /// long after that. `None` if it was not announced before.
    pub(crate) lag: Option<Duration>,
    /// Whether it came from a peer that was asked for it.
    pub(crate) was_asked: bool,
}

/// What is to be done for a broadcast that is overdue.
pub(crate) enum Turn<P, I> {
    /// To ask this announcer, not for the first time if it says so.
    Ask(P, Announcement<I>, bool),
    /// Nothing more: announcers were asked often enough.
    InVain,
    /// Nothing more: no announcer is left.
    Nobody,
}

/// All of them, by id.
#[derive(Debug, Clone)]
pub(crate) struct MissingList<P, I>(ThinVec<Missing<P, I>>);

impl<P: Peer, I: Id> MissingList<P, I> {
    pub(crate) fn new() -> Self {
        Self(ThinVec::new())
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Notes that `from` has a broadcast, and says whether it did: past `capacity`, new ones are
    /// ignored.
    pub(crate) fn announced(
        &mut self,
        from: P,
        announcement: Announcement<I>,
        now: Time,
        wait: Duration,
        capacity: usize,
    ) -> bool {
        let Announcement { id, round } = announcement;
        let missing = match self.0.binary_search_by_key(&id, |missing| missing.id) {
            Ok(at) => &mut self.0[at],
            Err(_) if self.0.len() >= capacity => return false,
            Err(at) => {
                let (deadline, announcers) = (now.after(wait), ThinVec::new());
                let new = Missing { id, since: now, asked_at: now, deadline, asked: 0, announcers };
                thrift::insert(&mut self.0, at, new);
                &mut self.0[at]
            }
        };
        match missing.announcers.iter_mut().find(|(peer, _)| *peer == from) {
            Some((_, held)) => *held = round.min(*held),
            None => thrift::push(&mut missing.announcers, (from, round)),
        }
        true
    }

    /// The payload came from this peer: what is known of it.
    pub(crate) fn arrived(&mut self, id: I, from: P, now: Time) -> Arrived<P> {
        let Ok(at) = self.0.binary_search_by_key(&id, |missing| missing.id) else {
            return Arrived { announcers: ThinVec::new(), lag: None, was_asked: false };
        };
        let Missing { since, asked_at, asked, announcers, .. } = self.0.remove(at);
        if self.0.is_empty() {
            // Most peers miss nothing most of the time: keep no room for it.
            self.0 = ThinVec::new();
        }
        let was_asked = announcers.iter().take(asked.into()).any(|(peer, _)| *peer == from);
        let lag = now.since(if was_asked { asked_at } else { since });
        Arrived { announcers, lag: Some(lag), was_asked }
    }

    /// For each broadcast that is overdue, what to do: announcers are asked in turn, `attempts` times
    /// in all. One that nobody is left to ask for is given up.
    pub(crate) fn overdue(
        &mut self,
        now: Time,
        retry: impl Fn(u8) -> Duration,
        attempts: u8,
        mut turns: impl FnMut(Turn<P, I>),
    ) {
        self.0.retain_mut(|missing| {
            if missing.deadline > now {
                return true;
            }
            if missing.asked >= attempts || missing.announcers.is_empty() {
                let nobody = missing.announcers.is_empty();
                turns(if nobody { Turn::Nobody } else { Turn::InVain });
                return false;
            }
            let turn = usize::from(missing.asked) % missing.announcers.len();
            let (peer, round) = missing.announcers[turn];
            if missing.asked == 0 {
                missing.asked_at = now;
            }
            missing.asked += 1;
            missing.deadline = now.after(retry(missing.asked));
            turns(Turn::Ask(peer, Announcement { id: missing.id, round }, missing.asked > 1));
            true
        });
    }

    pub(crate) fn deadline(&self) -> Option<Time> {
        self.0.iter().map(|missing| missing.deadline).min()
    }

    /// All that is missing is overdue.
    pub(crate) fn hasten(&mut self, now: Time) {
        for missing in &mut self.0 {
            missing.deadline = missing.deadline.min(now);
        }
    }

    /// A neighbour is gone: nobody asks it any more.
    pub(crate) fn forget(&mut self, peer: P) {
        for missing in &mut self.0 {
            missing.announcers.retain(|(announcer, _)| *announcer != peer);
        }
    }

    /// Whether every announcer satisfies `holds`.
    pub(crate) fn all_announcers(&self, holds: impl Fn(P) -> bool) -> bool {
        self.0.iter().all(|missing| missing.announcers.iter().all(|(peer, _)| holds(*peer)))
    }
}
