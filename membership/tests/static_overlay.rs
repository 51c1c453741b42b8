//! The static overlay: it is the graph that was given, and no other.

#![expect(clippy::unwrap_used, reason = "clippy takes the helpers of a test for production code")]

#[path = "static_overlay/host.rs"]
mod host;
#[path = "static_overlay/hostile.rs"]
mod hostile;

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use rand::{RngExt, SeedableRng};
use rand_xoshiro::SplitMix64;

use murmurate::membership::static_overlay::{Message, Parameters, Timer, marks};
use murmurate::membership::{DownReason, Membership as _, Notice, Time};

use host::{Hosted, Input, Lost, World, again, expired, id, receive, secs};

/// Loses a share of all messages.
fn lossy(share: f64, seed: u64) -> Lost {
    let mut rng = SplitMix64::seed_from_u64(seed);
    Box::new(move |_, _, _| rng.random_bool(share))
}

/// Without repair.
fn rigid() -> Parameters {
    Parameters { repair: false, ..Parameters::default() }
}

fn running(parameters: Parameters, contacts: &[u16]) -> Hosted {
    let mut hosted = Hosted::new(id(0), &Arc::new(parameters.check().unwrap()), 1);
    hosted.feed(Time::ZERO, Input::Join(contacts.iter().map(|node| id(*node)).collect()));
    hosted
}

const LINE: [&[u16]; 4] = [&[], &[0], &[1], &[2]];
const OF_LINE: [&[u16]; 4] = [&[1], &[0, 2], &[1, 3], &[2]];

#[test]
fn the_overlay_is_the_graph_of_the_contacts() {
    World::of(&LINE, rigid(), 1).assert_links(&OF_LINE);
    // Two pieces, and one who has nobody.
    let mut world = World::of(&[&[1], &[], &[3, 4], &[4], &[], &[]], Parameters::default(), 1);
    world.assert_links(&[&[1], &[0], &[3, 4], &[2, 4], &[2, 3], &[]]);
    world.run(secs(600));
    world.assert_links(&[&[1], &[0], &[3, 4], &[2, 4], &[2, 3], &[]]);
    let silent = |node: u16| world.peers[&node].1.notices.is_empty();
    assert!(silent(5) && !silent(0));
}

#[test]
fn both_ask_at_once_and_one_link_comes_of_it() {
    for seed in 0..20 {
        let all: [&[u16]; 4] = [&[1, 2, 3], &[0, 2, 3], &[0, 1, 3], &[0, 1, 2]];
        let mut world = World::of(&all, rigid(), seed);
        world.assert_links(&all);
        assert!(
            (0..4).all(|node| world.downs(node).is_empty()),
            "crossing requests end in one link"
        );
    }
}

#[test]
fn a_contact_is_asked_until_it_was_linked_once() {
    for seed in 0..20 {
        let parameters = if seed % 2 == 0 { rigid() } else { Parameters::default() };
        let mut world = World::new(parameters, seed);
        let mut rng = SplitMix64::seed_from_u64(seed);
        world.lost = Box::new(move |_, _, message| {
            let of_request = matches!(message, Message::Hello { .. } | Message::Accept { .. });
            of_request && rng.random_bool(0.7)
        });
        // Whoever is to be found starts last.
        for node in (0..4).rev() {
            let contacts: Vec<_> = LINE[node].iter().map(|node| id(*node)).collect();
            world.join(id(node as u16), &contacts);
            world.run(secs(10));
        }
        world.lost = Box::new(|_, _, _| false);
        world.run(secs(120));
        world.assert_links(&OF_LINE);
    }
}

#[test]
fn loss_does_not_keep_a_repaired_graph_from_being_whole() {
    for seed in 0..20 {
        let mut world = World::new(Parameters::default(), seed);
        world.lost = lossy(0.5, seed);
        for (node, contacts) in (0..).zip(LINE) {
            world.join(id(node), &contacts.iter().map(|node| id(*node)).collect::<Vec<_>>());
        }
        world.run(secs(60));
        world.lost = Box::new(|_, _, _| false);
        world.run(secs(90));
        world.assert_links(&OF_LINE);
    }
}

#[test]
fn a_link_that_failed_is_asked_for_again_by_whose_contact_it_is() {
    let mut world = World::of(&LINE, Parameters::default(), 1);
    world.crash(1);
    assert_eq!(world.downs(0), [(id(1), DownReason::Failed)]);
    assert_eq!(world.peers[&0].1.notices, [Notice::Joined, Notice::Isolated]);
    world.run(secs(60));
    assert_eq!((world.neighbors(0), world.neighbors(2)), (vec![], vec![3]));
    // Back, and told of its own contact only.
    world.join(again(1, 1), &[id(0)]);
    world.run(secs(60));
    world.assert_links(&OF_LINE);
    assert_eq!(world.peers[&0].1.notices.last(), Some(&Notice::Joined));
}

#[test]
fn without_repair_nobody_asks_again() {
    let mut world = World::of(&LINE, rigid(), 1);
    let hellos = Rc::new(RefCell::new(Vec::new()));
    let heard = Rc::clone(&hellos);
    world.lost = Box::new(move |from, to, message| {
        if matches!(message, Message::Hello { .. }) {
            heard.borrow_mut().push((from.node, to.node));
        }
        false
    });
    world.crash(1);
    world.run(secs(300));
    assert_eq!(*hellos.borrow(), [], "nobody asked");
    assert!(world.peers[&2].1.marks.contains(&marks::STATIC_GIVEN_UP));
    // The new process joins as the old one did; node 2, whose contact it was, had its link.
    world.join(again(1, 1), &[id(0)]);
    world.run(secs(300));
    assert_eq!(*hellos.borrow(), [(1, 0)]);
    world.assert_links(&[&[1], &[0], &[3], &[2]]);
    // Nor does it help to be told once more.
    world.join(id(2), &[again(1, 1)]);
    world.run(secs(60));
    assert_eq!(world.neighbors(2), [3]);
}

#[test]
fn a_silent_neighbor_is_dropped_and_asked_again_when_the_cut_is_over() {
    for (repair, whole) in [(true, true), (false, false)] {
        let mut world = World::of(&LINE, Parameters { repair, ..Parameters::default() }, 1);
        world.lost = Box::new(|from, to, _| (from.node < 2) != (to.node < 2));
        // Three misses, the tick that counts them, and a phase.
        world.run(secs(11));
        assert_eq!(world.downs(1), [(id(2), DownReason::Silent)]);
        assert_eq!(world.downs(2), [(id(1), DownReason::Silent)]);
        world.run(secs(900));
        world.lost = Box::new(|_, _, _| false);
        world.run(secs(60));
        if whole {
            world.assert_links(&OF_LINE);
        } else {
            world.assert_links(&[&[1], &[0], &[3], &[2]]);
        }
    }
}

#[test]
fn redials_back_off_up_to_the_longest_pause() {
    let mut world = World::of(&[&[], &[0]], Parameters::default(), 1);
    let asked = Rc::new(RefCell::new(0));
    let count = Rc::clone(&asked);
    world.lost = Box::new(move |_, _, message| {
        *count.borrow_mut() += u32::from(matches!(message, Message::Hello { .. }));
        true
    });
    world.run(secs(3_600));
    // Each 30 s in the mean, and the time-out.
    assert!((80..160).contains(&*asked.borrow()), "{}", asked.borrow());
}

#[test]
fn a_restart_too_quick_to_be_noticed_takes_the_place() {
    let mut world = World::of(&LINE, rigid(), 1);
    world.peers.remove(&1);
    world.join(again(1, 1), &[id(0), id(2)]);
    world.run(secs(5));
    world.assert_links(&OF_LINE);
    assert_eq!(world.downs(2), [(id(1), DownReason::Restarted)]);
    let at = world.now;
    // Late words of and about the old one.
    let (_, node) = world.peers.get_mut(&2).unwrap();
    for input in [
        receive(id(1), Message::Hello { link: 40 }),
        receive(id(1), Message::Disconnect { link: 40, leaving: true }),
        Input::LinkDown(id(1)),
        Input::Restarted(id(1)),
        Input::Join(vec![id(1)]),
    ] {
        node.feed(at, input);
    }
    assert!(node.marks.contains(&marks::STATIC_HISTORY));
    world.assert_links(&OF_LINE);
}

#[test]
fn who_leaves_says_so_and_comes_back_as_another_incarnation() {
    let mut world = World::of(&LINE, Parameters::default(), 1);
    world.feed(id(1), Input::Leave);
    world.run(secs(1));
    for node in [0, 2] {
        assert_eq!(world.downs(node), [(id(1), DownReason::Left)]);
    }
    world.run(secs(60));
    assert_eq!(
        (world.neighbors(0), world.neighbors(1), world.neighbors(2)),
        (vec![], vec![], vec![3])
    );
    world.join(again(1, 1), &[id(0)]);
    world.run(secs(60));
    world.assert_links(&OF_LINE);
}

#[test]
fn after_leaving_everything_is_refused() {
    let mut peer = running(Parameters::default(), &[3]);
    peer.receive(Time::ZERO, id(2), Message::Hello { link: 4 });
    peer.sent.clear();
    peer.feed(Time::ZERO, Input::Leave);
    let goodbye = |link| Message::Disconnect { link, leaving: true };
    assert_eq!(peer.sent, [(id(3), goodbye(0)), (id(2), goodbye(4))]);
    for message in
        [Message::Hello { link: 7 }, Message::Accept { link: 7 }, Message::Keepalive { link: 7 }]
    {
        assert_eq!(peer.receive(Time::ZERO, id(4), message), [(id(4), goodbye(7))]);
    }
    assert_eq!(peer.receive(Time::ZERO, id(2), goodbye(4)), []);
    for input in [
        Input::LinkDown(id(3)),
        Input::Join(vec![id(6)]),
        Input::Restarted(again(3, 1)),
        expired(Timer::Keepalive),
    ] {
        peer.feed(Time::ZERO, input);
    }
    assert!(peer.sent.is_empty() && peer.overlay().active().len() == 0);
}

#[test]
fn strangers_take_no_place_of_a_contact() {
    let few = Parameters { neighbors_capacity: 3, ..Parameters::default() };
    let mut peer = running(few, &[1]);
    let refused = |node| [(id(node), Message::Disconnect { link: 8, leaving: false })];
    for node in [10, 11] {
        let said = peer.receive(Time::ZERO, id(node), Message::Hello { link: 8 });
        assert_eq!(said, [(id(node), Message::Accept { link: 8 })]);
    }
    assert_eq!(peer.receive(Time::ZERO, id(12), Message::Hello { link: 8 }), refused(12));
    // The contact, which is not linked yet, has its place; so has one who is linked and renews it.
    peer.receive(Time::ZERO, id(1), Message::Accept { link: 0 });
    peer.receive(Time::ZERO, id(10), Message::Hello { link: 9 });
    assert_eq!(peer.active(), [id(1), id(10), id(11)].into());
    peer.feed(Time::ZERO, Input::LinkDown(id(1)));
    assert_eq!(peer.receive(Time::ZERO, id(12), Message::Hello { link: 8 }), refused(12));
    // Nor is there one for another contact, but a neighbour may become one.
    peer.sent.clear();
    peer.feed(Time::ZERO, Input::Join(vec![id(13), id(10)]));
    assert_eq!(peer.sent.iter().filter(|(to, _)| *to == id(13)).count(), 0);
    assert!(peer.marks.contains(&marks::STATIC_CONTACT_REFUSED));
    peer.feed(Time::ZERO, Input::LinkDown(id(10)));
    assert_eq!(peer.receive(Time::ZERO, id(12), Message::Hello { link: 8 }), refused(12));
    peer.feed(Time::ZERO, Input::LinkDown(id(11)));
    let said = peer.receive(Time::ZERO, id(12), Message::Hello { link: 8 });
    assert_eq!(said, [(id(12), Message::Accept { link: 8 })], "a stranger's place is free again");
}

#[test]
fn no_half_link_is_left_of_a_lost_answer() {
    for disconnect_lost in [false, true] {
        let mut world = World::new(Parameters::default(), 1);
        world.lost = Box::new(move |_, to, message| match message {
            Message::Accept { .. } => true,
            Message::Disconnect { .. } => disconnect_lost && to == id(0),
            _ => false,
        });
        world.join(id(0), &[]);
        world.join(id(1), &[id(0)]);
        world.run(Duration::from_millis(900));
        assert_eq!(world.neighbors(0), [1], "half a link");
        if disconnect_lost {
            // Only new links are refused now, and a keep-alive brings the old one to light.
            world.lost =
                Box::new(|_, _, m| matches!(m, Message::Accept { .. } | Message::Hello { .. }));
            world.run(secs(3));
        } else {
            world.run(Duration::from_millis(200));
        }
        assert_eq!(world.neighbors(0), Vec::<u16>::new());
        assert_eq!(world.downs(0), [(id(1), DownReason::Dropped)]);
        world.lost = Box::new(|_, _, _| false);
        world.run(secs(60));
        world.assert_links(&[&[1], &[0]]);
    }
}

#[test]
fn words_of_links_that_are_not_change_nothing() {
    let mut peer = running(Parameters::default(), &[]);
    let ended = |node, link| [(id(node), Message::Disconnect { link, leaving: false })];
    assert_eq!(peer.receive(Time::ZERO, id(2), Message::Accept { link: 6 }), ended(2, 6));
    assert_eq!(peer.receive(Time::ZERO, id(3), Message::Keepalive { link: 6 }), ended(3, 6));
    peer.receive(Time::ZERO, id(2), Message::Hello { link: 2 });
    let said = peer.receive(Time::ZERO, id(2), Message::Hello { link: 4 });
    assert_eq!(said, [(id(2), Message::Accept { link: 4 })]);
    assert_eq!(peer.downs, [(id(2), DownReason::Renewed)]);
    peer.receive(Time::ZERO, id(2), Message::Disconnect { link: 2, leaving: false });
    let said = peer.receive(Time::ZERO, id(2), Message::Hello { link: 4 });
    assert_eq!(said, [(id(2), Message::Accept { link: 4 })], "delivered twice, it renews nothing");
    assert_eq!((peer.active(), peer.downs.len()), ([id(2)].into(), 1));
    assert_eq!(peer.receive(Time::ZERO, id(0), Message::Hello { link: 4 }), [], "of itself");
}

#[test]
fn an_answer_of_a_later_incarnation_leaves_no_half_link_and_it_is_asked() {
    let mut peer = running(Parameters::default(), &[3]);
    peer.sent.clear();
    let later = again(3, 1);
    let said = peer.receive(Time::ZERO, later, Message::Accept { link: 0 });
    assert_eq!(said, [(later, Message::Disconnect { link: 0, leaving: false })]);
    peer.feed(Time::ZERO, Input::Restarted(again(3, 2)));
    assert!(matches!(peer.sent[..], [(to, Message::Hello { .. })] if to == again(3, 2)));
    // A contact that is named again as who it was stays who it is.
    peer.sent.clear();
    peer.feed(Time::ZERO, Input::Join(vec![id(3)]));
    assert_eq!(peer.sent, []);
}

#[test]
fn a_run_follows_from_its_seed() {
    let run = |seed| {
        let mut world = World::new(Parameters::default(), seed);
        world.lost = lossy(0.2, 1);
        for node in 0..12 {
            world.join(id(node), &[id(0), id(6)]);
        }
        world.run(secs(30));
        format!("{:?}", world.peers)
    };
    assert_eq!(run(3), run(3));
    assert_ne!(run(3), run(4));
}
