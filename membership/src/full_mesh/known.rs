//! Members known but not linked, and when to ask them again.

use core::time::Duration;

use thin_vec::ThinVec;

use super::Config;
use crate::redial::Redial;
use crate::{Peer, Time};

/// A member without a link.
#[derive(Debug, Clone, Copy)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct Member<P> {
    pub(super) peer: P,
    /// It spoke itself; otherwise it is a hint that nothing vouches for.
    heard: bool,
    /// When its link was lost, or when it was first heard of.
    since: Time,
    redial: Redial,
}

/// A set of members, one incarnation a node, sorted by node. The caller bounds it with
/// [`Known::evict`].
#[derive(Debug, Clone)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct Known<P> {
    members: ThinVec<Member<P>>,
}

impl<P: Peer> Known<P> {
    pub(super) fn new() -> Self {
        Self { members: ThinVec::new() }
    }

    pub(super) fn members(&self) -> &[Member<P>] {
        &self.members
    }

    fn find(&self, peer: P) -> Result<usize, usize> {
        self.members.binary_search_by_key(&peer.node(), |member| member.peer.node())
    }

    /// Whether some incarnation of `peer`'s node is held.
    pub(super) fn has_node(&self, peer: P) -> bool {
        self.find(peer).is_ok()
    }

    /// Whether a later incarnation of `peer`'s node spoke itself, so that `peer` is history.
    pub(super) fn heard_later_than(&self, peer: P) -> bool {
        self.find(peer).is_ok_and(|at| self.members[at].heard && self.members[at].peer > peer)
    }

    /// `peer` spoke. Whom to ask when does not change by it: a peer that answers each request with
    /// a refusal would be asked without pause.
    pub(super) fn hear(&mut self, peer: P, now: Time) {
        match self.find(peer) {
            Ok(at) if self.members[at].peer == peer => self.members[at].heard = true,
            found => self.put(found, Member::new(peer, true, now)),
        }
    }

    /// Somebody claims that `peer` is a member.
    pub(super) fn hint(&mut self, peer: P, now: Time) {
        match self.find(peer) {
            Ok(at) if self.members[at].peer >= peer => {}
            found => self.put(found, Member::new(peer, false, now)),
        }
    }

    fn put(&mut self, found: Result<usize, usize>, member: Member<P>) {
        match found {
            Ok(at) => self.members[at] = member,
            Err(at) => self.members.insert(at, member),
        }
    }

    /// Removes whatever incarnation of `peer`'s node is held.
    pub(super) fn forget_node(&mut self, peer: P) {
        if let Ok(at) = self.find(peer) {
            self.members.remove(at);
        }
    }

    /// `peer` was asked in vain, or its link was lost: it is asked again after a pause.
    pub(super) fn failed(&mut self, peer: P, now: Time, config: &Config, rng: &mut impl rand::Rng) {
        if let Ok(at) = self.find(peer)
            && self.members[at].peer == peer
        {
            let (base, longest) = (config.request_timeout, config.redial_pause);
            self.members[at].redial.failed(now, base, longest, rng);
        }
    }

    /// Makes room for one more and says whether there is. A mere hint makes room only where
    /// another hint has failed, so that made-up names never push out members that were here; who
    /// speaks itself takes the place of the least hopeful.
    pub(super) fn evict(&mut self, for_hint: bool) -> bool {
        let hopeless = |member: &Member<P>| {
            (!member.heard, member.redial.failures(), core::cmp::Reverse(member.since))
        };
        let worst = (0..self.members.len()).max_by_key(|&at| hopeless(&self.members[at]));
        let Some(at) = worst else { return false };
        let member = self.members[at];
        if for_hint && (member.heard || member.redial.failures() == 0) {
            return false;
        }
        self.members.remove(at);
        true
    }

    /// Those whose turn it is to be asked, in order of node from the `start`th on and around.
    pub(super) fn due(&self, start: usize, now: Time) -> impl Iterator<Item = P> {
        let (before, after) = self.members.split_at(start.min(self.members.len()));
        let due = move |member: &&Member<P>| member.redial.is_due(now);
        after.iter().chain(before).filter(due).map(|member| member.peer)
    }

    /// Forgets those without a link for `forget_after`, and says whether there were any.
    pub(super) fn reap(&mut self, now: Time, forget_after: Duration) -> bool {
        let members = self.members.len();
        self.members.retain(|member| now.since(member.since) < forget_after);
        self.members.len() < members
    }

    pub(super) fn clear(&mut self) {
        self.members = ThinVec::new();
    }
}

impl<P> Member<P> {
    fn new(peer: P, heard: bool, now: Time) -> Self {
        Self { peer, heard, since: now, redial: Redial::at_once(now) }
    }
}
