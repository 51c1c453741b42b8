//! What checkers ask of a view, and what it answers.

use alloc::sync::Arc;
use alloc::vec;
use core::time::Duration;

use super::{HyParView, Message, Parameters, Timer};
use crate::{DownReason, Effects, Input, Membership, Notice, Peer, Time};

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Id(u16);

impl Peer for Id {
    type Node = u16;
    fn node(self) -> u16 {
        self.0
    }
}

/// Nobody hears what is said.
struct Nobody;

impl Effects<HyParView<Id>> for Nobody {
    fn send(&mut self, _: Id, _: Message<Id>) {}
    fn arm(&mut self, _: Duration, _: Timer) {}
    fn neighbor_up(&mut self, _: Id) {}
    fn neighbor_down(&mut self, _: Id, _: DownReason) {}
    fn notify(&mut self, _: Notice) {}
}

fn handle(view: &mut HyParView<Id>, input: Input<Id, Message<Id>, Timer>) {
    view.handle(Time::ZERO, input, &mut Nobody);
}

/// Linked with 1 by link 7.
fn linked() -> HyParView<Id> {
    let config = Parameters::default().check().expect("the defaults are fine");
    let mut view = HyParView::new(Id(0), Arc::new(config), 1);
    handle(&mut view, Input::Join(vec![]));
    handle(&mut view, Input::Receive { from: Id(1), message: Message::Join { link: 7 } });
    assert_eq!(view.active().collect::<Vec<_>>(), [Id(1)]);
    view
}

fn disconnect(link: u16, leaving: bool) -> Message<Id> {
    Message::Disconnect { link, leaving, instead: None }
}

#[test]
fn a_link_is_spared_by_the_end_of_another() {
    let mut view = linked();
    assert!(!view.spares_link(Id(1), &disconnect(7, false)), "it is that link");
    assert!(!view.spares_link(Id(1), &disconnect(5, true)), "who leaves ends them all");
    assert!(!view.spares_link(Id(2), &disconnect(5, false)), "there is none");
    assert!(view.spares_link(Id(1), &disconnect(5, false)));
    handle(&mut view, Input::Receive { from: Id(1), message: disconnect(5, false) });
    assert_eq!(view.active().collect::<Vec<_>>(), [Id(1)], "as it said");
    handle(&mut view, Input::Receive { from: Id(1), message: disconnect(7, false) });
    assert_eq!(view.active().len(), 0);
}

#[test]
fn a_failed_neighbour_is_replaced_if_anybody_is_known() {
    let mut view = linked();
    assert!(view.replaces_failed(), "nobody is known");
    let shuffle = Message::Shuffle { origin: Id(2), ttl: 0, sample: [Id(3)].into_iter().collect() };
    handle(&mut view, Input::Receive { from: Id(1), message: shuffle });
    while let Some(request) = view.links.requests().first().copied() {
        let refused = Message::Reject { link: request.number };
        handle(&mut view, Input::Receive { from: request.peer, message: refused });
    }
    assert!(view.passive().len() > 0, "some have refused");
    assert!(!view.replaces_failed(), "nobody is asked, and nobody has failed");
    handle(&mut view, Input::LinkDown(Id(1)));
    assert!(view.replaces_failed());
}
