//! Which link a peer had better get its payloads by.
//!
//! The tree is that of its first broadcast, or what repairs have left of it. Where one neighbour
//! announces nearly every payload before the tree brings it, its link takes the place of the link
//! that the payloads come by. That is the paper's optimisation by time instead of hops, and by many
//! broadcasts instead of one. A peer on the way between senders gets payloads by several links, and
//! keeps them all.

use thin_vec::ThinVec;

use super::*;

/// Payloads in a row, by one link, that are looked at together.
const RUN: u8 = 64;
/// Of these, so many more must have been announced first by one neighbour than by others.
const MOST: u8 = 56;

/// A link of the tree, and the one that seems better.
#[derive(Debug, Clone)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct Straighten<P> {
    /// The link that payloads come by, and the neighbour that announces them first.
    links: Option<(P, P)>,
    payloads: u8,
    /// By how many. A majority vote: Boyer, Moore 1981.
    ahead: u8,
}

impl<P: Copy + PartialEq> Straighten<P> {
    pub(super) const fn new() -> Self {
        Self { links: None, payloads: 0, ahead: 0 }
    }

    /// A payload came by the link with `parent`; `first` announced it before that. Whose link had
    /// better be in the tree instead.
    fn note(&mut self, parent: P, first: Option<P>) -> Option<P> {
        let is_rival = self.links.is_some_and(|(_, rival)| rival == parent);
        if self.is_decided() && is_rival && self.payloads < 2 * RUN {
            // As it should be. The other link's copy, the second one, is still to come.
            self.payloads += 1;
            return None;
        }
        if self.links.is_none_or(|(held, _)| held != parent) || self.payloads >= RUN {
            *self = Self { links: Some((parent, parent)), ..Self::new() };
        }
        self.payloads += 1;
        if let (Some(first), Some((_, rival))) = (first, &mut self.links) {
            match self.ahead {
                _ if first == *rival => self.ahead += 1,
                0 => (*rival, self.ahead) = (first, 1),
                _ => self.ahead -= 1,
            }
        }
        let (_, rival) = self.links?;
        self.is_decided().then_some(rival)
    }

    fn is_decided(&self) -> bool {
        self.payloads >= RUN && self.ahead >= MOST
    }

    /// A duplicate came: whether by the link whose place another has taken.
    pub(super) fn replaced(&mut self, from: P) -> bool {
        let replaced = self.is_decided() && self.links.is_some_and(|(held, _)| held == from);
        if replaced {
            *self = Self::new();
        }
        replaced
    }
}

impl<P: Peer, I: Id, D: Payload> Plumtree<P, I, D> {
    /// The link that payloads come by stays until its copy is the second one: nothing is missed.
    pub(super) fn straighten(
        &mut self,
        parent: P,
        announcers: &ThinVec<(P, u16)>,
        fx: &mut impl Effects<Self>,
    ) {
        if self.config.is_fixed() {
            return;
        }
        let first = announcers.first().map(|(peer, _)| *peer);
        if let Some(rival) = self.straighten.note(parent, first)
            && self.is_neighbor(rival)
        {
            fx.mark(marks::STRAIGHTENED);
            self.graft(rival, fx);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is decided of payloads that link 1 brings and that others announce first.
    fn decided(first: impl Fn(u32) -> Option<u32>) -> Option<u32> {
        let mut straighten = Straighten::new();
        (0..1_000).find_map(|payload| straighten.note(1, first(payload)))
    }

    #[test]
    fn only_who_is_nearly_always_first_is_better() {
        assert_eq!(decided(|_| Some(2)), Some(2));
        assert_eq!(decided(|payload| Some(if payload % 20 == 7 { 3 } else { 2 })), Some(2));
        assert_eq!(decided(|payload| Some(2 + payload % 2)), None);
        assert_eq!(decided(|payload| (payload % 2 == 0).then_some(2)), None);
        assert_eq!(decided(|_| None), None);
    }

    #[test]
    fn payloads_by_several_links_decide_nothing() {
        let mut straighten = Straighten::new();
        assert!((0..1_000u32).all(|payload| straighten.note(payload / 50, Some(99)).is_none()));
    }

    #[test]
    fn the_other_link_goes_with_its_next_copy() {
        let mut straighten = Straighten::new();
        let at = (0..).find(|_| straighten.note(1, Some(2)).is_some());
        assert_eq!(at, Some(u32::from(RUN) - 1));
        assert!(!straighten.replaced(3));
        assert_eq!(straighten.note(2, None), None);
        assert!(straighten.replaced(1) && !straighten.replaced(1), "once");
    }
}
