//! Cyclon alone and in company: the steps of the paper, its overlay, and any input in any state.

use alloc::vec::Vec;
use core::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::testing::{Hosted, Id, World, id, ids};

fn small() -> Parameters {
    Parameters { view_capacity: 5, shuffle_length: 3, ..Parameters::default() }
}

fn started(parameters: Parameters, me: Id, seed: u64) -> Cyclon<Id> {
    let seed = seed ^ (u64::from(me.node) << 8) ^ u64::from(me.incarnation);
    Cyclon::new(me, Arc::new(parameters.check().expect("in range")), seed)
}

/// Node 0, which has joined through node 9 and knows these, the last the oldest.
fn knowing(parameters: Parameters, nodes: impl IntoIterator<Item = u16>) -> Hosted<Cyclon<Id>> {
    let mut hosted = Hosted::new(started(parameters, id(0), 1));
    hosted.feed(Time::ZERO, Input::Join(ids([9])));
    for (age, peer) in (0..).zip(ids(nodes)) {
        hosted.receive(id(9), Message::Welcome { entry: Entry { peer, age } });
    }
    hosted
}

fn sample(of: &[(Id, Message<Id>)]) -> Vec<(u16, u16)> {
    match of {
        [(_, Message::Shuffle { sample } | Message::ShuffleReply { sample })] => {
            sample.iter().map(|entry| (entry.peer.node, entry.age)).collect()
        }
        other => panic!("{other:?}"),
    }
}

fn reply(nodes: impl IntoIterator<Item = u16>) -> Message<Id> {
    let sample = ids(nodes).into_iter().map(|peer| Entry { peer, age: 7 }).collect();
    Message::ShuffleReply { sample }
}

#[test]
fn the_oldest_gets_a_sample_and_leaves_the_view() {
    let mut hosted = knowing(small(), 1..=5);
    let said = hosted.expire(Timer::Shuffle);
    assert_eq!(said[0].0, id(5), "the oldest");
    let named = sample(&said);
    assert_eq!((named[0], named.len()), ((0, 0), 3), "itself, new, and two others");
    assert!(named[1..].iter().all(|(node, age)| *age == *node && *node < 5), "older by one");
    assert_eq!(hosted.active(), [1, 2, 3, 4]);
    assert_eq!(hosted.said.downs, [(id(5), DownReason::Evicted)]);
}

#[test]
fn what_comes_in_return_takes_free_places_and_then_those_of_what_was_sent() {
    let mut hosted = knowing(small(), 1..=5);
    let named = sample(&hosted.expire(Timer::Shuffle));
    let sent: Vec<u16> = named[1..].iter().map(|(node, _)| *node).collect();
    // Itself and whom it knows are not taken. Then one place is free, and two were sent.
    hosted.receive(id(5), reply([0, 11, 12]));
    let active = hosted.active();
    assert!(active.contains(&11) && active.contains(&12) && active.len() == 5, "{active:?}");
    let kept = (1..5).filter(|node| !sent.contains(node));
    assert!(kept.clone().all(|node| active.contains(&node)), "what was not sent is kept");
    assert_eq!(sent.iter().filter(|node| active.contains(node)).count(), 1);
    // An answer counts once, and only from who was asked.
    for from in [5, 4] {
        hosted.receive(id(from), reply([13, 14]));
        assert_eq!(hosted.active(), active);
    }
    assert_eq!(hosted.said.marks, [marks::CYCLON_UNASKED; 2]);
}

#[test]
fn of_a_sample_that_is_too_long_no_more_is_taken_than_is_sent() {
    let mut hosted = knowing(small(), 1..=2);
    hosted.expire(Timer::Shuffle);
    hosted.receive(id(2), reply(20..30));
    assert_eq!(hosted.active(), [1, 20, 21, 22]);
}

#[test]
fn whoever_is_asked_answers_with_as_many_and_takes_what_it_gets() {
    let mut hosted = knowing(small(), 1..=5);
    let entries = [Entry::new(id(20)), Entry { peer: id(21), age: 3 }, Entry::new(id(2))];
    let said = hosted.receive(id(20), Message::Shuffle { sample: entries.into_iter().collect() });
    let named = sample(&said);
    assert_eq!((said[0].0, named.len()), (id(20), 3));
    assert!(named.iter().all(|(node, age)| *age + 1 == *node), "nobody got older: {named:?}");
    let (active, taken) = (hosted.active(), [20, 21]);
    assert!(taken.iter().all(|node| active.contains(node)), "{active:?}");
    let lost: Vec<u16> = (1..=5).filter(|node| !active.contains(node)).collect();
    assert!(lost.iter().all(|node| named.iter().any(|(sent, _)| sent == node)), "{lost:?}");
}

#[test]
fn a_contact_starts_walks_and_a_walk_ends_in_an_exchange_of_one_entry() {
    let mut contact = knowing(small(), 1..=4);
    let walks = contact.receive(id(30), Message::Join);
    let walk = |ttl| Message::Walk { joiner: id(30), ttl };
    assert_eq!(walks.len(), 5, "one for each place of the joiner's view");
    assert!(walks.iter().all(|(to, message)| *message == walk(5) && to.node <= 4));
    assert_eq!(contact.active(), [1, 2, 3, 4], "the contact does not take it itself");

    let mut hosted = knowing(small(), 1..=5);
    let said = hosted.receive(id(9), walk(2));
    assert!(matches!(&said[..], [(to, message)] if *message == walk(1) && to.node <= 5));
    let said = hosted.receive(id(9), walk(1));
    let [(to, Message::Welcome { entry })] = &said[..] else { panic!("{said:?}") };
    let active = hosted.active();
    assert_eq!((to, active.len()), (&id(30), 5));
    assert!(active.contains(&30) && !active.contains(&entry.peer.node), "they change places");
    // However far a liar would have it go.
    let said = hosted.receive(id(9), Message::Walk { joiner: id(31), ttl: 200 });
    assert!(matches!(said[..], [(_, Message::Walk { ttl: 4, .. })]), "{said:?}");
}

#[test]
fn who_knows_nobody_takes_the_joiner_itself() {
    let mut contact = knowing(small(), []);
    let said = contact.receive(id(1), Message::Join);
    assert_eq!(said, [(id(1), Message::Welcome { entry: Entry::new(id(0)) })]);
    assert_eq!(
        (contact.active(), &contact.said.notices[..]),
        (Vec::from([1]), &[Notice::Joined][..])
    );
}

#[test]
fn nobody_is_let_in_uncalled() {
    let mut founder = Hosted::new(started(small(), id(0), 1));
    founder.feed(Time::ZERO, Input::Join(Vec::new()));
    founder.receive(id(9), Message::Welcome { entry: Entry::new(id(1)) });
    assert_eq!(founder.active(), [0; 0]);
    // Nor more than were called.
    let hosted = knowing(small(), 1..=9);
    assert_eq!(hosted.active(), [1, 2, 3, 4, 5]);
    assert_eq!(hosted.said.marks, [marks::CYCLON_UNASKED; 4]);
}

#[test]
fn the_unreachable_stay_unless_views_are_acknowledged() {
    for (acknowledged, active) in [(false, &[1, 2, 3][..]), (true, &[1, 3])] {
        let mut hosted = knowing(Parameters { acknowledged, ..small() }, 1..=3);
        hosted.feed(Time::ZERO, Input::LinkDown(id(2)));
        hosted.feed(Time::ZERO, Input::LinkDown(Id { node: 3, incarnation: 1 }));
        assert_eq!(hosted.active(), active);
        let downs = if acknowledged { &[(id(2), DownReason::Failed)][..] } else { &[] };
        assert_eq!(hosted.said.downs, downs);
    }
}

#[test]
fn the_last_one_is_kept_until_it_does_not_answer_and_then_a_contact_is_asked() {
    let mut hosted = knowing(small(), [3]);
    let said = hosted.expire(Timer::Shuffle);
    assert_eq!((sample(&said), hosted.active()), (Vec::from([(0, 0)]), Vec::from([3])));
    hosted.receive(id(3), reply([0]));
    hosted.expire(Timer::Shuffle);
    assert_eq!(hosted.active(), [3], "it answered");
    hosted.feed(Time::ZERO, Input::Expired(Timer::Join));
    let said = hosted.expire(Timer::Shuffle);
    assert_eq!((hosted.active(), said), (Vec::new(), Vec::from([(id(9), Message::Join)])));
    assert_eq!(hosted.said.downs, [(id(3), DownReason::Silent)]);
    assert_eq!(hosted.expire(Timer::Join), [(id(9), Message::Join)], "and again");
}

#[test]
fn a_later_incarnation_takes_the_place_and_an_older_one_none() {
    let mut hosted = knowing(small(), 1..=2);
    let again = |incarnation| Id { node: 1, incarnation };
    hosted.feed(Time::ZERO, Input::Restarted(again(1)));
    assert_eq!(hosted.said.downs, [(id(1), DownReason::Restarted)]);
    hosted.receive(again(3), Message::Join);
    for older in [again(2), id(1)] {
        hosted.receive(older, Message::Join);
        hosted.feed(Time::ZERO, Input::Restarted(older));
    }
    assert!(hosted.peer.active().any(|peer| peer == again(3)));
    assert_eq!(hosted.said.downs.len(), 2);
}

#[test]
fn who_left_says_nothing_any_more() {
    let mut hosted = knowing(small(), 1..=3);
    hosted.feed(Time::ZERO, Input::Leave);
    assert_eq!((hosted.active(), hosted.said.downs.len()), (Vec::new(), 3));
    assert_eq!(hosted.receive(id(1), Message::Join), []);
    assert_eq!(hosted.expire(Timer::Shuffle), []);
    hosted.feed(Time::ZERO, Input::Join(ids([4])));
    assert_eq!((hosted.active(), &hosted.said.sent[..]), (Vec::new(), &[][..]));
}

fn world(parameters: Parameters, nodes: u16, seed: u64) -> World<Cyclon<Id>> {
    World::of(nodes, move |me| started(parameters.clone(), me, seed))
}

#[test]
fn views_fill_up_and_in_degrees_even_out() {
    for seed in 0..3 {
        let parameters =
            Parameters { view_capacity: 10, shuffle_length: 4, ..Parameters::default() };
        let mut world = world(parameters, 120, seed);
        world.run(Duration::from_secs(300));
        let full = world.peers.values().filter(|hosted| hosted.active().len() >= 9).count();
        assert!(full > 115, "{full} of 120 views are full");
        assert!((0..120).all(|node| world.reached(node) == 120));
        let in_degrees = world.in_degrees();
        // The paper's figure 5: close to the view size, for all nodes.
        let even = in_degrees.iter().filter(|degree| (5..=15).contains(*degree)).count();
        assert!(even > 112, "{in_degrees:?}");
    }
}

#[test]
fn the_dead_leave_all_views_by_shuffles_alone() {
    let mut world = world(Parameters { view_capacity: 8, ..small() }, 60, 1);
    world.run(Duration::from_secs(200));
    (0..60).step_by(3).for_each(|node| world.kill(node));
    let dead = |world: &World<Cyclon<Id>>| {
        let views = world.peers.values().flat_map(Hosted::active);
        views.filter(|node| node % 3 == 0).count()
    };
    assert!(dead(&world) > 80, "{}", dead(&world));
    // Each cycle takes the oldest out, and the dead get no younger.
    world.run(Duration::from_secs(10 * 25));
    assert_eq!(dead(&world), 0);
    assert_eq!(world.reached(1), 40);
}

#[test]
fn a_run_follows_from_its_seed() {
    let run = |seed| {
        let mut world = world(small(), 20, seed);
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
    let entry = || (any_id(), any::<u16>()).prop_map(|(peer, age)| Entry { peer, age });
    let sample = || vec(entry(), 0..8).prop_map(|all| all.into_iter().collect::<ThinVec<_>>());
    let message = prop_oneof![
        1 => Just(Message::Join),
        2 => (any_id(), any::<u8>()).prop_map(|(joiner, ttl)| Message::Walk { joiner, ttl }),
        2 => entry().prop_map(|entry| Message::Welcome { entry }),
        2 => sample().prop_map(|sample| Message::Shuffle { sample }),
        3 => sample().prop_map(|sample| Message::ShuffleReply { sample }),
    ];
    prop_oneof![
        12 => (any_id(), message).prop_map(|(from, message)| Input::Receive { from, message }),
        4 => Just(Input::Expired(Timer::Shuffle)),
        1 => Just(Input::Expired(Timer::Join)),
        2 => any_id().prop_map(Input::LinkDown),
        1 => any_id().prop_map(Input::Restarted),
        1 => vec(any_id(), 0..4).prop_map(Input::Join),
    ]
}

proptest! {
    #[test]
    fn any_input_in_any_state_keeps_the_invariants(
        inputs in vec(any_input(), 0..120),
        acknowledged: bool,
        seed: u64,
        leaves in 0..150usize,
    ) {
        let parameters = Parameters { acknowledged, contacts_capacity: 2, ..small() };
        let mut hosted = Hosted::new(started(parameters, id(0), seed));
        for (at, input) in inputs.into_iter().enumerate() {
            hosted.said.sent.clear();
            hosted.feed(Time::ZERO, if at == leaves { Input::Leave } else { input });
            prop_assert!(hosted.said.sent.len() <= 7, "a word sets off few");
        }
    }
}
