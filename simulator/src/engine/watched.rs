//! What checkers know of each membership strategy: what an input must not do to it, and must bring about.

use murmurate::membership::hyparview::Message;
use murmurate::membership::{FullMesh, HyParView, Membership, Peer as _};

use crate::model::node::Peer;

/// What checkers look at beside [`Membership::check`]. Of a strategy of one's own they know nothing, unless
/// it says more than `impl Watched for Own {}`.
pub trait Watched: Membership {
    /// Whether a message that is about to be handled is none of the business of the link that is held
    /// with its sender, so that the link must still be there afterwards.
    fn spares_link(&self, _from: Self::Peer, _message: &Self::Message) -> bool {
        false
    }

    /// Whether a neighbour that has just failed is being replaced: by somebody known, if anybody is.
    fn replaces_failed(&self) -> bool {
        true
    }

    /// Whether this peer, which was told of a restart, goes on looking for `peer` in an incarnation that
    /// runs no more.
    fn looks_for_former(&self, _peer: Self::Peer) -> bool {
        false
    }
}

impl Watched for FullMesh<Peer> {}

impl Watched for HyParView<Peer> {
    fn spares_link(&self, from: Peer, message: &Message<Peer>) -> bool {
        // It ends another link, one that these two had before.
        matches!(*message, Message::Disconnect { link, leaving: false, .. }
            if self.link_number(from).is_some_and(|held| held != link))
    }

    fn replaces_failed(&self) -> bool {
        self.is_full() || self.asked().next().is_some() || self.passive().len() == 0
    }

    fn looks_for_former(&self, peer: Peer) -> bool {
        self.contacts().iter().copied().chain(self.lost()).any(|held| peer.supersedes(held))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use murmurate::membership::hyparview::{Parameters, Timer};
    use murmurate::membership::{DownReason, Effects, Input, Notice, Time};

    use super::*;

    fn id(index: usize) -> Peer {
        Peer::new(index, 0)
    }

    /// Whoever is asked for a link, and its number.
    #[derive(Default)]
    struct Asked(Vec<(Peer, u16)>);

    impl Effects<HyParView<Peer>> for Asked {
        fn send(&mut self, to: Peer, message: Message<Peer>) {
            if let Message::Neighbor { link, .. } = message {
                self.0.push((to, link));
            }
        }
        fn arm(&mut self, _: Duration, _: Timer) {}
        fn neighbor_up(&mut self, _: Peer) {}
        fn neighbor_down(&mut self, _: Peer, _: DownReason) {}
        fn notify(&mut self, _: Notice) {}
    }

    fn handle(
        view: &mut HyParView<Peer>,
        input: Input<Peer, Message<Peer>, Timer>,
    ) -> Vec<(Peer, u16)> {
        let mut asked = Asked::default();
        view.handle(Time::ZERO, input, &mut asked);
        asked.0
    }

    fn receive(view: &mut HyParView<Peer>, from: Peer, message: Message<Peer>) -> Vec<(Peer, u16)> {
        handle(view, Input::Receive { from, message })
    }

    /// Linked with 1 by link 7.
    fn linked() -> HyParView<Peer> {
        let config = Parameters::default().check().expect("the defaults are fine");
        let mut view = HyParView::new(id(0), Arc::new(config), 1);
        handle(&mut view, Input::Join(vec![]));
        receive(&mut view, id(1), Message::Join { link: 7 });
        assert_eq!(view.active().collect::<Vec<_>>(), [id(1)]);
        view
    }

    fn disconnect(link: u16, leaving: bool) -> Message<Peer> {
        Message::Disconnect { link, leaving, instead: None }
    }

    #[test]
    fn a_link_is_spared_by_the_end_of_another() {
        let mut view = linked();
        assert!(!view.spares_link(id(1), &disconnect(7, false)), "it is that link");
        assert!(!view.spares_link(id(1), &disconnect(5, true)), "who leaves ends them all");
        assert!(!view.spares_link(id(2), &disconnect(5, false)), "there is none");
        assert!(view.spares_link(id(1), &disconnect(5, false)));
        receive(&mut view, id(1), disconnect(5, false));
        assert_eq!(view.active().collect::<Vec<_>>(), [id(1)], "as it said");
        receive(&mut view, id(1), disconnect(7, false));
        assert_eq!(view.active().len(), 0);
    }

    #[test]
    fn a_failed_neighbour_is_replaced_if_anybody_is_known() {
        let mut view = linked();
        assert!(view.replaces_failed(), "nobody is known");
        let sample = [id(3)].into_iter().collect();
        let shuffle = Message::Shuffle { origin: id(2), ttl: 0, sample };
        let mut asked = receive(&mut view, id(1), shuffle);
        while let Some((peer, link)) = asked.pop() {
            asked.extend(receive(&mut view, peer, Message::Reject { link }));
        }
        assert!(view.passive().len() > 0, "some have refused");
        assert!(!view.replaces_failed(), "nobody is asked, and nobody has failed");
        handle(&mut view, Input::LinkDown(id(1)));
        assert!(view.replaces_failed());
    }

    #[test]
    fn who_restarted_is_looked_for_as_who_it_is_now() {
        let mut view = linked();
        let again = Peer::new(4, 1);
        handle(&mut view, Input::Join(vec![id(4)]));
        assert!(view.looks_for_former(again), "it was not told");
        assert!(!view.looks_for_former(id(4)));
        handle(&mut view, Input::Restarted(again));
        assert!(!view.looks_for_former(again));
    }
}
