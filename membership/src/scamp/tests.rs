//! SCAMP alone and in company: the steps of the paper, its overlay, and any input in any state.

use alloc::vec::Vec;
use core::time::Duration;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use super::*;
use crate::testing::{Hosted, Id, World, id, ids};

const LEASE: Duration = Duration::from_secs(600);

fn direct() -> Parameters {
    Parameters { indirection_length: 0, ..Parameters::default() }
}

fn started(parameters: Parameters, me: Id, seed: u64) -> Scamp<Id> {
    let seed = seed ^ (u64::from(me.node) << 8) ^ u64::from(me.incarnation);
    Scamp::new(me, Arc::new(parameters.check().expect("in range")), seed)
}

/// Node 0, which has joined through node 1 and knows these.
fn knowing(parameters: Parameters, nodes: impl IntoIterator<Item = u16>) -> Hosted<Scamp<Id>> {
    let mut hosted = Hosted::new(started(parameters, id(0), 1));
    hosted.feed(Time::ZERO, Input::Join(ids([1])));
    hosted.receive(id(1), Message::Accept);
    for peer in ids(nodes) {
        // A subscription that comes by until it is kept.
        while !hosted.active().contains(&peer.node) {
            hosted.receive(id(1), Message::Forward { subscriber: peer, ttl: 9 });
        }
    }
    hosted.said.marks.clear();
    hosted
}

#[test]
fn the_view_of_a_new_peer_is_its_contact_which_hears_of_it() {
    let mut hosted = Hosted::new(started(direct(), id(0), 1));
    hosted.feed(Time::ZERO, Input::Join(ids([1])));
    assert_eq!(hosted.said.sent, [(id(1), Message::Subscribe { renewed: false })]);
    assert_eq!(hosted.receive(id(7), Message::Accept), [(id(7), Message::Kept)]);
    assert_eq!(
        (hosted.active(), &hosted.said.notices[..]),
        (Vec::from([7]), &[Notice::Joined][..])
    );
    assert_eq!(hosted.receive(id(8), Message::Accept), [], "one is enough");
    assert_eq!(
        (hosted.active(), &hosted.said.marks[..]),
        (Vec::from([7]), &[marks::SCAMP_UNASKED][..])
    );
}

#[test]
fn a_contact_sends_a_copy_to_everyone_it_knows_and_some_more() {
    let mut contact = knowing(direct(), 2..=6);
    let mut said = contact.receive(id(30), Message::Subscribe { renewed: false });
    assert_eq!(said.remove(0), (id(30), Message::Accept));
    let copy = Message::Forward { subscriber: id(30), ttl: 256 };
    assert!(said.iter().all(|(_, message)| *message == copy));
    let mut to: Vec<u16> = said[..6].iter().map(|(to, _)| to.node).collect();
    to.sort_unstable();
    assert_eq!((said.len(), to), (6 + 4, (1..=6).collect()), "c of them twice");
    // A lease that is over needs no more than there were.
    let said = contact.receive(id(30), Message::Subscribe { renewed: true });
    assert!(said.iter().all(|(_, message)| *message == copy) && said.len() == 6, "{said:?}");
    // Who knows nobody keeps it.
    let mut founder = Hosted::new(started(direct(), id(0), 1));
    founder.feed(Time::ZERO, Input::Join(Vec::new()));
    let said = founder.receive(id(30), Message::Subscribe { renewed: false });
    assert_eq!(said, [(id(30), Message::Accept), (id(30), Message::Kept)]);
    assert_eq!(founder.active(), [30]);
}

#[test]
fn the_contact_that_acts_is_some_way_off() {
    let mut contact = knowing(Parameters { indirection_length: 3, ..direct() }, 2..=6);
    let walk = |ttl, degree| Message::Indirect { subscriber: id(30), renewed: false, ttl, degree };
    let said = contact.receive(id(30), Message::Subscribe { renewed: false });
    assert!(
        matches!(&said[..], [(to, message)] if *message == walk(2, 6) && to.node <= 6),
        "{said:?}"
    );
    // However far a liar would have it go.
    let said = contact.receive(id(9), walk(200, 6));
    assert!(matches!(&said[..], [(_, message)] if *message == walk(2, 6)), "{said:?}");
    let said = contact.receive(id(9), walk(0, 6));
    assert_eq!(said[0], (id(30), Message::Accept));
}

#[test]
fn a_walk_goes_back_from_who_has_many_links() {
    let mut hosted = knowing(Parameters { indirection_length: 9, ..direct() }, 2..=6);
    ids(11..=16).into_iter().for_each(|from| drop(hosted.receive(from, Message::Kept)));
    let walk = |ttl, degree| Message::Indirect { subscriber: id(30), renewed: true, ttl, degree };
    let (mut back, mut from_in_view) = (0, 0);
    for _ in 0..4_000 {
        match &hosted.receive(id(9), walk(4, 3))[..] {
            [(to, message)] if *to == id(9) && *message == walk(4, 0) => back += 1,
            [(to, message)] if *message == walk(3, 12) => from_in_view += u32::from(to.node > 10),
            other => panic!("{other:?}"),
        }
    }
    // Three of twelve go on, and half of them to the in-view. The standard deviations are 27 and 21.
    assert!((2_890..3_110).contains(&back), "{back}");
    assert!((415..585).contains(&from_in_view), "{from_in_view}");
    let said = hosted.receive(id(9), walk(4, 0));
    assert!(matches!(&said[..], [(_, message)] if *message == walk(3, 12)), "none twice: {said:?}");
}

#[test]
fn a_subscription_is_kept_the_more_rarely_the_larger_the_view() {
    for known in [1, 4, 9] {
        let mut kept = 0;
        for seed in 0..4_000 {
            let mut hosted = Hosted::new(started(direct(), id(0), seed));
            hosted.feed(Time::ZERO, Input::Join(ids([1])));
            hosted.receive(id(1), Message::Accept);
            let view = (1..=known).map(|node| Entry { peer: id(node), expires: Time::MAX });
            hosted.peer.view = view.collect();
            hosted.said = Hosted::of(hosted.peer.clone()).said;
            let said = hosted.receive(id(1), Message::Forward { subscriber: id(30), ttl: 9 });
            match &said[..] {
                [(to, Message::Kept)] => kept += u32::from(*to == id(30)),
                [(to, Message::Forward { ttl: 8, .. })] => assert!(to.node <= known),
                other => panic!("{other:?}"),
            }
        }
        // Four standard deviations are at most 126.
        let expected = 4_000 / (1 + u32::from(known));
        assert!(kept.abs_diff(expected) < 130, "{kept} of 4,000, {known} known");
    }
}

#[test]
fn what_is_known_is_passed_on_until_it_has_gone_far_enough() {
    let mut hosted = knowing(direct(), [2]);
    for (ttl, sent) in [(2, 1), (1, 0), (0, 0)] {
        let said = hosted.receive(id(1), Message::Forward { subscriber: id(2), ttl });
        assert_eq!(said.len(), sent, "{said:?}");
        assert!(said.iter().all(|(to, _)| *to == id(1)), "not to the subscriber");
    }
    assert_eq!(hosted.said.marks, [marks::SCAMP_DROPPED; 2]);
    let said = hosted.receive(id(1), Message::Forward { subscriber: id(0), ttl: 5_000 });
    assert!(matches!(said[..], [(_, Message::Forward { ttl: 255, .. })]), "{said:?}");
    assert_eq!(hosted.active(), [1, 2], "its own comes by");
}

#[test]
fn leases_end_in_all_views_and_a_new_subscription_takes_their_place() {
    let mut hosted = knowing(direct(), [2]);
    hosted.receive(id(2), Message::Kept);
    assert_eq!(hosted.peer.in_view(), [id(2)]);
    let said = hosted.expire(Timer::Lease);
    assert!(
        matches!(said[..], [(to, Message::Subscribe { renewed: true })] if to.node <= 2),
        "{said:?}"
    );
    assert_eq!((hosted.peer.in_view(), hosted.active()), (&[][..], Vec::from([1, 2])));
    let before = Time::ZERO.after(LEASE - Duration::from_secs(1));
    hosted.feed(before, Input::Expired(Timer::Heartbeat));
    assert_eq!(hosted.active(), [1, 2]);
    let after = Time::ZERO.after(LEASE);
    let message = Message::Forward { subscriber: id(2), ttl: 9 };
    hosted.feed(after, Input::Receive { from: id(1), message });
    assert_eq!(hosted.active(), [2], "it is subscribed anew");
    hosted.feed(after, Input::Expired(Timer::Heartbeat));
    assert_eq!(hosted.active(), [2]);
    assert_eq!(hosted.said.downs, [(id(1), DownReason::Silent), (id(2), DownReason::Silent)]);
}

#[test]
fn who_hears_no_heartbeat_for_long_subscribes_anew() {
    let mut hosted = knowing(direct(), [2]);
    let heartbeats = [(id(1), Message::Heartbeat), (id(2), Message::Heartbeat)];
    for _ in 0..3 {
        assert_eq!(hosted.expire(Timer::Heartbeat), heartbeats);
    }
    hosted.receive(id(9), Message::Heartbeat);
    for _ in 0..3 {
        assert_eq!(hosted.expire(Timer::Heartbeat), heartbeats, "it was in a view");
    }
    let said = hosted.expire(Timer::Heartbeat);
    assert!(
        matches!(said[2..], [(to, Message::Subscribe { renewed: false })] if to.node <= 2),
        "{said:?}"
    );
    assert_eq!(hosted.said.marks, [marks::SCAMP_ISOLATED]);
}

#[test]
fn who_unsubscribes_has_its_neighbors_take_its_place_but_for_some() {
    let mut hosted = knowing(Parameters { copies: 1, ..direct() }, [2]);
    ids(11..=15).into_iter().for_each(|from| drop(hosted.receive(from, Message::Kept)));
    hosted.said.sent.clear();
    hosted.feed(Time::ZERO, Input::Leave);
    let gone = |instead: Option<u16>| Message::Unsubscribe { instead: instead.map(id) };
    let view = [Some(1), Some(2), Some(1), None, None];
    let expected: Vec<_> = ids(11..=15).into_iter().zip(view.map(gone)).collect();
    assert_eq!((&hosted.said.sent, hosted.active()), (&expected, Vec::new()));
    for input in [Input::Join(ids([4])), Input::Expired(Timer::Lease)] {
        hosted.said.sent.clear();
        hosted.feed(Time::ZERO, input);
        assert_eq!(hosted.said.sent, []);
    }
    assert_eq!(hosted.receive(id(9), Message::Subscribe { renewed: false }), []);
}

#[test]
fn the_place_of_one_that_unsubscribes_is_another_ones() {
    let mut hosted = knowing(direct(), [2, 3]);
    let gone = |instead: Option<u16>| Message::Unsubscribe { instead: instead.map(id) };
    let message = gone(Some(8));
    hosted.said.sent.clear();
    hosted.feed(Time::ZERO.after(LEASE / 2), Input::Receive { from: id(2), message });
    assert_eq!(hosted.said.sent, [(id(8), Message::Kept)]);
    let leases = hosted.peer.view.iter().map(|entry| entry.expires);
    assert_eq!(leases.max(), Some(Time::ZERO.after(LEASE)), "no longer than the other's");
    assert_eq!(hosted.receive(id(3), gone(None)), []);
    // Those whom it does not know have no place, and it is none of its own neighbours.
    assert_eq!(hosted.receive(id(4), gone(Some(9))), []);
    assert_eq!(hosted.active(), [1, 8]);
    assert_eq!(hosted.receive(id(8), gone(Some(0))), []);
    assert_eq!(hosted.active(), [1]);
    assert!(hosted.said.downs.iter().all(|(_, reason)| *reason == DownReason::Left));
}

#[test]
fn views_are_bounded() {
    let mut hosted = knowing(Parameters { view_capacity: 3, ..direct() }, [2, 3]);
    for node in 10..40 {
        hosted.receive(id(1), Message::Forward { subscriber: id(node), ttl: 9 });
        hosted.receive(id(node), Message::Kept);
    }
    assert_eq!((hosted.active(), hosted.peer.in_view().len()), (Vec::from([1, 2, 3]), 3));
    assert!(hosted.said.marks.contains(&marks::SCAMP_FULL));
    // The place of one that unsubscribes is free.
    hosted.receive(id(2), Message::Unsubscribe { instead: Some(id(8)) });
    assert_eq!(hosted.active(), [1, 3, 8]);
}

#[test]
fn who_knows_nobody_asks_again() {
    let mut hosted = Hosted::new(started(direct(), id(0), 1));
    hosted.feed(Time::ZERO, Input::Join(ids([1])));
    for _ in 0..3 {
        assert_eq!(hosted.expire(Timer::Join), [(id(1), Message::Subscribe { renewed: false })]);
    }
    hosted.receive(id(1), Message::Accept);
    assert_eq!(hosted.expire(Timer::Join), []);
    let said = hosted.receive(id(1), Message::Unsubscribe { instead: None });
    assert_eq!(said, [(id(1), Message::Subscribe { renewed: false })]);
}

#[test]
fn a_later_incarnation_takes_the_place_and_an_older_one_none() {
    let mut hosted = knowing(direct(), [2]);
    let again = |incarnation| Id { node: 2, incarnation };
    hosted.receive(id(2), Message::Kept);
    hosted.feed(Time::ZERO, Input::Restarted(again(1)));
    assert_eq!(hosted.said.downs, [(id(2), DownReason::Restarted)]);
    assert_eq!(hosted.peer.in_view(), [], "the new one has nobody in its view");
    hosted.receive(id(2), Message::Heartbeat);
    hosted.feed(Time::ZERO, Input::Restarted(id(2)));
    hosted.feed(Time::ZERO, Input::LinkDown(again(1)));
    assert!(hosted.peer.active().any(|peer| peer == again(1)));
    assert_eq!(hosted.said.downs.len(), 1);
}

fn world(parameters: Parameters, nodes: u16, seed: u64) -> World<Scamp<Id>> {
    World::of(nodes, move |me| started(parameters.clone(), me, seed))
}

fn mean_view(world: &World<Scamp<Id>>) -> f64 {
    let views = world.peers.values().map(|hosted| hosted.active().len() as f64);
    views.sum::<f64>() / world.peers.len() as f64
}

#[test]
fn views_grow_with_the_logarithm_of_the_overlay() {
    for (copies, nodes) in [(0, 100), (2, 50), (2, 200)] {
        let parameters = Parameters { copies, walk_length: 1_000, ..Parameters::default() };
        // The paper: (c + 1) ln n.
        let expected = f64::from(copies + 1) * f64::from(nodes).ln();
        let means = (0..4).map(|seed| mean_view(&world(parameters.clone(), nodes, seed)));
        let mean = means.sum::<f64>() / 4.0;
        let off = mean / expected;
        assert!((0.6..1.4).contains(&off), "{mean:.1}, and {expected:.1} were expected");
    }
}

#[test]
fn views_stay_as_large_however_often_leases_end() {
    let mut world = world(Parameters { copies: 2, ..Parameters::default() }, 100, 1);
    let before = mean_view(&world);
    for leases in 1..=5 {
        world.run(LEASE);
        let mean = mean_view(&world);
        assert!((0.6..1.7).contains(&(mean / before)), "{before:.1}, {mean:.1} after {leases}");
        let reached = (0..100).filter(|node| world.reached(*node) >= 99).count();
        assert!(reached >= 98, "{reached}");
    }
}

#[test]
fn the_dead_leave_all_views_when_their_leases_are_over() {
    let mut world = world(Parameters { copies: 2, ..Parameters::default() }, 60, 1);
    world.run(Duration::from_secs(100));
    assert!((0..60).all(|node| world.reached(node) == 60));
    // Walks end at the dead: after many deaths few subscriptions would be kept.
    (5..60).step_by(10).for_each(|node| world.kill(node));
    let dead = |world: &World<Scamp<Id>>| {
        let views = world.peers.values().flat_map(Hosted::active);
        views.filter(|node| node % 10 == 5).count()
    };
    assert!(dead(&world) > 30, "{}", dead(&world));
    world.run(LEASE + Duration::from_secs(10));
    assert_eq!(dead(&world), 0);
    world.run(LEASE);
    let reached: Vec<usize> = world.peers.keys().map(|node| world.reached(*node)).collect();
    assert!(reached.iter().filter(|reached| **reached >= 53).count() >= 53, "{reached:?}");
}

#[test]
fn a_run_follows_from_its_seed() {
    let run = |seed| {
        let mut world = world(Parameters::default(), 20, seed);
        world.run(Duration::from_secs(60));
        alloc::format!("{:?}", world.peers)
    };
    assert_eq!(run(3), run(3));
    assert_ne!(run(3), run(4));
}

fn any_id() -> impl Strategy<Value = Id> {
    (0..12u16, 0..3u8).prop_map(|(node, incarnation)| Id { node, incarnation })
}

fn any_input() -> impl Strategy<Value = Input<Id, Message<Id>, Timer>> {
    let message = prop_oneof![
        1 => any::<bool>().prop_map(|renewed| Message::Subscribe { renewed }),
        2 => (any_id(), any::<bool>(), any::<u8>(), any::<u16>()).prop_map(
            |(subscriber, renewed, ttl, degree)| Message::Indirect {
                subscriber, renewed, ttl, degree,
            },
        ),
        1 => Just(Message::Accept),
        4 => (any_id(), any::<u16>())
            .prop_map(|(subscriber, ttl)| Message::Forward { subscriber, ttl }),
        2 => Just(Message::Kept),
        1 => option::of(any_id()).prop_map(|instead| Message::Unsubscribe { instead }),
        1 => Just(Message::Heartbeat),
    ];
    let timer = prop_oneof![
        3 => Just(Timer::Heartbeat),
        1 => Just(Timer::Lease),
        1 => Just(Timer::Join),
    ];
    prop_oneof![
        12 => (any_id(), message).prop_map(|(from, message)| Input::Receive { from, message }),
        4 => timer.prop_map(Input::Expired),
        1 => any_id().prop_map(Input::LinkDown),
        1 => any_id().prop_map(Input::Restarted),
        1 => vec(any_id(), 0..4).prop_map(Input::Join),
    ]
}

proptest! {
    #[test]
    fn any_input_in_any_state_keeps_the_invariants(
        inputs in vec((any_input(), 0..100u64), 0..120),
        seed: u64,
        leaves in 0..150usize,
    ) {
        let parameters = Parameters { view_capacity: 5, contacts_capacity: 2, ..direct() };
        let mut hosted = Hosted::new(started(parameters, id(0), seed));
        let mut now = Time::ZERO;
        for (at, (input, pause)) in inputs.into_iter().enumerate() {
            now = now.after(Duration::from_secs(pause));
            hosted.said.sent.clear();
            hosted.feed(now, if at == leaves { Input::Leave } else { input });
            prop_assert!(hosted.said.sent.len() <= 11, "a word sets off few");
        }
    }
}
