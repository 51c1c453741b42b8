//! Broadcasts announced but not arrived.

use core::time::Duration;

use murmurate_membership::{Peer, Time};
use thin_vec::ThinVec;

use super::Announcement;
use crate::{Id, compact};

/// A broadcast that neighbours have and this peer has not.
#[derive(Debug, Clone)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct Missing<P, I> {
    id: I,
    /// When it was announced first.
    since: Time,
    /// When an announcer was asked first.
    asked_at: Time,
    /// When an announcer is asked next, or, once it is here, the tree's own copy is given up.
    deadline: Time,
    asked: u8,
    /// Whether it was fetched, by this peer or one before it, and only the tree's own copy is missing.
    here: bool,
    /// Who announced it over how many hops, in the order they did. Once it is here: who answered.
    announcers: ThinVec<(P, u16)>,
}

/// What was known of a broadcast when its payload came.
pub(crate) struct Arrived<P> {
    /// Who had announced it over how many hops.
    pub(crate) announcers: ThinVec<(P, u16)>,
    /// How long after its first announcement it came; nothing if it was not announced before.
    pub(crate) lag: Duration,
}

impl<P> Default for Arrived<P> {
    fn default() -> Self {
        Self { announcers: ThinVec::new(), lag: Duration::ZERO }
    }
}

/// What is to be done for a broadcast that is overdue.
pub(crate) enum Turn<P, I> {
    /// To ask this announcer, not for the first time if it says so.
    Ask(P, Announcement<I>, bool),
    /// To take this one into the tree, which did not bring what it had to send.
    Broken(P),
    /// Nothing more: somebody else was sent what the tree did not bring.
    Left,
    /// Nothing more: announcers were asked often enough.
    InVain,
    /// Nothing more: no announcer is left.
    Nobody,
}

/// All of them, by id.
#[derive(Debug, Clone)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
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
        let Some(missing) = self.entry(id, now, wait, capacity) else { return false };
        match missing.announcers.iter_mut().find(|(peer, _)| *peer == from) {
            Some((_, held)) => *held = round.min(*held),
            None => compact::push(&mut missing.announcers, (from, round)),
        }
        true
    }

    fn entry(
        &mut self,
        id: I,
        now: Time,
        wait: Duration,
        capacity: usize,
    ) -> Option<&mut Missing<P, I>> {
        let at = match self.0.binary_search_by_key(&id, |missing| missing.id) {
            Ok(at) => at,
            Err(_) if self.0.len() >= capacity => return None,
            Err(at) => {
                let (deadline, announcers) = (now.after(wait), ThinVec::new());
                let (asked, here) = (0, false);
                let new =
                    Missing { id, since: now, asked_at: now, deadline, asked, here, announcers };
                compact::insert(&mut self.0, at, new);
                at
            }
        };
        self.0.get_mut(at)
    }

    /// The tree brought the payload: what is known of it. `None` if nothing is.
    pub(crate) fn arrived(&mut self, id: I, now: Time) -> Option<Arrived<P>> {
        let at = self.0.binary_search_by_key(&id, |missing| missing.id).ok()?;
        let Missing { since, announcers, .. } = self.0.remove(at);
        if self.0.is_empty() {
            // Most peers miss nothing most of the time: keep no room for it.
            self.0 = ThinVec::new();
        }
        Some(Arrived { announcers, lag: now.since(since) })
    }

    /// The payload was fetched, and came from this peer: for `wait` the tree's own copy may come. How
    /// long the peer took to answer, if it was asked, and once.
    pub(crate) fn fetched(
        &mut self,
        id: I,
        from: P,
        now: Time,
        wait: Duration,
        capacity: usize,
    ) -> Option<Duration> {
        let missing = self.entry(id, now, wait, capacity)?;
        let asked = usize::from(missing.asked);
        let once = asked <= missing.announcers.len();
        let turn = missing.announcers.iter().take(asked).position(|(peer, _)| *peer == from);
        missing.announcers.retain(|(peer, _)| turn.is_some() && *peer == from);
        (missing.here, missing.deadline) = (true, now.after(wait));
        (turn == Some(0) && once).then(|| now.since(missing.asked_at))
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
            if missing.here {
                let answered = missing.announcers.first();
                turns(answered.map_or(Turn::Left, |(peer, _)| Turn::Broken(*peer)));
                return false;
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

    /// Whether it was fetched, and the tree's own copy is waited for.
    pub(crate) fn is_here(&self, id: I) -> bool {
        let at = self.0.binary_search_by_key(&id, |missing| missing.id);
        at.is_ok_and(|at| self.0[at].here)
    }

    /// Who sent what the tree is not waited for any longer.
    pub(crate) fn broken(&self, now: Time) -> Option<P> {
        let due = self.0.iter().find(|missing| {
            missing.here && missing.deadline <= now && !missing.announcers.is_empty()
        });
        due.and_then(|missing| missing.announcers.first().map(|(peer, _)| *peer))
    }

    /// Whether every one that did not come at all satisfies `holds`.
    pub(crate) fn all_absent(&self, holds: impl Fn(I) -> bool) -> bool {
        self.0.iter().all(|missing| missing.here || holds(missing.id))
    }

    /// Whether the tree may turn out to be broken.
    pub(crate) fn any_answered(&self) -> bool {
        self.0.iter().any(|missing| missing.here && !missing.announcers.is_empty())
    }

    /// When something is to be done next.
    pub(crate) fn deadline(&self) -> Option<Time> {
        self.0.iter().map(|missing| missing.deadline).min()
    }

    /// All that is missing is overdue.
    pub(crate) fn hasten(&mut self, now: Time) {
        for missing in self.0.iter_mut().filter(|missing| !missing.here) {
            missing.deadline = missing.deadline.min(now);
        }
    }

    /// What was given up meanwhile is not asked for.
    pub(crate) fn forget_decided(&mut self, is_decided: impl Fn(I) -> bool) {
        self.0.retain(|missing| missing.here || !is_decided(missing.id));
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
