//! Checks a node after each of its events. So it also finds what is wrong only for a moment.

use murmurate::broadcast::{self, Broadcast as _};
use murmurate::membership::{Membership as _, Time, Violation};
use murmurate::stack::{Input, Message, Timer};

use crate::engine::strategy::{InputOf, SimStack};
use crate::engine::watched::{Watched as _, WatchedBroadcast as _};
use crate::model::node::SimPeer;

/// The first thing found wrong: in time, and of those at one time at the lowest node.
#[derive(Debug, Clone, Default)]
pub(crate) struct Strict {
    found: Option<Found>,
}

/// What is wrong, when and where.
pub(crate) type Found = (Time, usize, Violation);

/// What an input must not do, and what it must do.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Expected {
    /// It must not touch the link with this peer.
    spared: Option<SimPeer>,
    /// A neighbour has failed, and must be replaced.
    lost: bool,
    /// The node of this peer runs in this incarnation.
    runs: Option<SimPeer>,
    /// The links of the tree: it must not change any.
    tree: Option<u64>,
    /// The link with this peer must be one of them.
    grafted: Option<SimPeer>,
}

/// A sum over the eager links: equal for equal links, in any order.
fn tree_of<P: SimStack>(node: &P) -> u64 {
    node.stack().broadcast().eager().map(|peer| 1 << 40 | u64::from(peer.bits())).sum()
}

impl Expected {
    /// What is expected of a node that is about to handle an input.
    #[inline(never)]
    pub(crate) fn of<P: SimStack>(now: Time, node: &P, input: &InputOf<P>) -> Self {
        let membership = node.stack().membership();
        match input {
            Input::Receive { from, message: Message::Membership(message) } => {
                let spared = membership.spares_link(*from, message).then_some(*from);
                Self { spared, ..Self::default() }
            }
            Input::LinkDown(peer) => {
                let lost = membership.active().any(|active| active == *peer);
                Self { lost, ..Self::default() }
            }
            Input::Restarted(peer) => Self { runs: Some(*peer), ..Self::default() },
            Input::Receive { from, message: Message::Broadcast(message) } => {
                let input = broadcast::Input::Receive { from: *from, message: message.clone() };
                Self::of_broadcast(now, node, &input)
            }
            Input::Expired(Timer::Broadcast(timer)) => {
                Self::of_broadcast(now, node, &broadcast::Input::Expired(*timer))
            }
            _ => Self::default(),
        }
    }

    fn of_broadcast<P: SimStack>(
        now: Time,
        node: &P,
        input: &broadcast::Input<P::Broadcast>,
    ) -> Self {
        let tree = node.stack().broadcast().spares_links(input).then(|| tree_of(node));
        let grafted = node.stack().broadcast().must_graft(now, input);
        Self { tree, grafted, ..Self::default() }
    }

    fn check<P: SimStack>(self, node: &P) -> Result<(), Violation> {
        let membership = node.stack().membership();
        let kept = self.spared.is_none_or(|peer| membership.active().any(|held| held == peer));
        Violation::unless(kept, "a disconnect ends the link it names and no other", || {
            format!("the link with {:?} was ended by the word on another", self.spared)
        })?;
        let replaced = !self.lost || membership.replaces_failed();
        Violation::unless(replaced, "a failed neighbour is replaced by one that is known", || {
            let passive: Vec<_> = membership.passive().collect();
            format!("nobody is asked of {passive:?}")
        })?;
        let former = self.runs.is_some_and(|peer| membership.looks_for_former(peer));
        Violation::unless(!former, "nobody looks for an incarnation that was followed", || {
            format!("{:?} runs", self.runs)
        })?;
        let same = self.tree.is_none_or(|tree| tree == tree_of(node));
        Violation::unless(same, "what is only late moves no link of the tree", || {
            format!("{:?}", node.stack().broadcast().eager().collect::<Vec<_>>())
        })?;
        let grafted =
            self.grafted.is_none_or(|peer| node.stack().broadcast().eager().any(|e| e == peer));
        Violation::unless(grafted, "a link that is grafted is in the tree", || {
            format!("the link with {:?} is not in it", self.grafted)
        })
    }
}

impl Strict {
    /// Looks at a node that has just handled an input of which this was expected.
    #[inline(never)]
    pub(crate) fn look<P: SimStack>(&mut self, now: Time, node: &P, expected: Expected) {
        let index = node.stack().membership().me().index();
        if self.found.as_ref().is_some_and(|(at, lower, _)| (*at, *lower) <= (now, index)) {
            return;
        }
        if let Err(Violation { rule, detail }) =
            node.stack().check().and_then(|()| expected.check(node))
        {
            let detail = format!("node {index}: {detail}");
            self.found = Some((now, index, Violation { rule, detail }));
        }
    }

    pub(crate) fn found(&self) -> Option<&Found> {
        self.found.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use murmurate::broadcast::flood;
    use murmurate::membership::hyparview;

    use super::*;
    use crate::engine::strategy;

    #[test]
    fn what_was_wrong_first_is_kept() {
        let (view, flood) = (hyparview::Parameters::default(), flood::Parameters::default());
        let make = strategy::nodes(view, flood).expect("defaults");
        let node = |index| make(SimPeer::new(index, 0), 1);
        let wrong = Expected { spared: Some(SimPeer::new(9, 0)), ..Expected::default() };
        let mut strict = Strict::default();
        let at = |nanos| Time::from_nanos(nanos);
        strict.look(at(5), &node(4), Expected::default());
        assert!(strict.found().is_none(), "all is well");
        let mut first = |time, index, expected| {
            strict.look(at(time), &node(index), expected);
            strict.found().map(|(time, index, _)| (*time, *index))
        };
        assert_eq!(first(7, 4, wrong), Some((at(7), 4)));
        assert_eq!(first(8, 1, wrong), Some((at(7), 4)), "later");
        assert_eq!(first(7, 5, wrong), Some((at(7), 4)), "a higher one");
        assert_eq!(first(7, 3, wrong), Some((at(7), 3)), "a lower one");
        assert_eq!(first(6, 5, wrong), Some((at(6), 5)), "earlier");
    }
}
