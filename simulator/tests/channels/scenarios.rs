//! Fates with a name.

use std::time::Duration;

use murmurate::channel::{Acknowledged, BestEffort, Kind, Latest, Limits, Outcome, Request};
use murmurate::membership::Time;
use murmurate_simulator::engine::channels::{Conditions, Habits, Name, World};

use crate::run::promises;

const LIMITS: Limits = Limits { messages: 200, bytes: 20_000, timeout: Duration::from_secs(10) };
const STREAMS: Conditions = Conditions {
    least: Duration::from_millis(10),
    most: Duration::from_millis(20),
    loss: 0.0,
    copies: 0.0,
    relays: 0.0,
};
const RELAYS: Conditions = Conditions { loss: 0.3, copies: 0.1, relays: 1.0, ..STREAMS };
const HABITS: Habits =
    Habits { unread: 20, in_hand: 1, work: Duration::from_millis(2), shed: false };

fn at(millis: u64) -> Time {
    Time::ZERO.after(Duration::from_millis(millis))
}

/// Two nodes and a lane from the first to the second.
fn world(kind: &dyn Kind, conditions: Conditions) -> World<'_> {
    let promises = promises(kind, conditions);
    let mut world = World::new(7, 2, (kind, promises), LIMITS, (conditions, HABITS));
    world.lane(0, 1);
    run(&mut world, 500);
    world
}

fn run(world: &mut World<'_>, until: u64) {
    world.run_until(at(until)).expect("every promise is kept");
}

fn push(world: &mut World<'_>, count: usize) -> Vec<Name> {
    (0..count).map(|_| world.push(0, 20).expect("kept").expect("room")).collect()
}

/// How many of them had a good end, and how many have which other.
fn well(world: &World<'_>, names: &[Name]) -> usize {
    let is_well = |name: &&Name| {
        let outcome = world.outcome(**name);
        matches!(outcome, Some(Outcome::Sent | Outcome::Delivered | Outcome::Answered(_)))
    };
    names.iter().filter(is_well).count()
}

fn with(world: &World<'_>, names: &[Name], outcome: &Outcome) -> usize {
    names.iter().filter(|name| world.outcome(**name) == Some(outcome)).count()
}

fn taken(world: &World<'_>, names: &[Name]) -> usize {
    names.iter().filter(|name| !world.records()[name].taken.is_empty()).count()
}

#[test]
fn a_connection_that_is_killed_costs_an_acknowledged_lane_nothing() {
    let mut world = world(&Acknowledged, STREAMS);
    let names = push(&mut world, 100);
    run(&mut world, 540);
    world.break_stream(0);
    run(&mut world, 9_000);
    assert_eq!((well(&world, &names), taken(&world, &names)), (100, 100));
    assert!(world.retransmitted() > 0, "some were in flight");
}

#[test]
fn a_connection_that_is_killed_takes_what_it_carries() {
    let mut best_effort = world(&BestEffort, STREAMS);
    let names = push(&mut best_effort, 100);
    run(&mut best_effort, 540);
    best_effort.break_stream(0);
    run(&mut best_effort, 9_000);
    assert_eq!(well(&best_effort, &names), 100);
    let lost = 100 - taken(&best_effort, &names);
    assert!((1..=2 * HABITS.unread).contains(&lost), "{lost} were lost");

    let mut request = world(&Request, STREAMS);
    let names = push(&mut request, 100);
    run(&mut request, 540);
    request.break_stream(0);
    run(&mut request, 9_000);
    let gone = with(&request, &names, &Outcome::Gone);
    assert_eq!(well(&request, &names) + gone, 100);
    assert!((1..=2 * HABITS.unread).contains(&gone), "{gone} are gone");
}

#[test]
fn a_receiver_that_is_killed_takes_what_was_under_way_and_gets_the_rest() {
    let mut world = world(&Acknowledged, STREAMS);
    let names = push(&mut world, 100);
    run(&mut world, 540);
    world.restart(1).expect("kept");
    run(&mut world, 9_000);
    let gone = with(&world, &names, &Outcome::Gone);
    assert!((1..=2 * HABITS.unread).contains(&gone), "{gone} are gone");
    assert_eq!(well(&world, &names) + gone, 100);
    assert_eq!(world.retransmitted(), 0, "the new one may not get what the old one had");
}

#[test]
fn the_newest_gets_through_to_a_receiver_that_started_anew() {
    let mut world = world(&Latest, STREAMS);
    let names = push(&mut world, 1);
    world.restart(1).expect("kept");
    run(&mut world, 9_000);
    assert_eq!((well(&world, &names), taken(&world, &names)), (1, 1));
}

#[test]
fn a_relay_that_loses_a_third_loses_nothing_in_the_end() {
    let mut acknowledged = world(&Acknowledged, RELAYS);
    run(&mut acknowledged, 3_000);
    let names = push(&mut acknowledged, 200);
    run(&mut acknowledged, 13_000);
    assert_eq!((well(&acknowledged, &names), taken(&acknowledged, &names)), (200, 200));
    let again = acknowledged.retransmitted();
    assert!((1..400).contains(&again), "{again} sent again");

    // A request is tried five times in its ten seconds, and half of the attempts fail.
    let mut request = world(&Request, RELAYS);
    run(&mut request, 3_000);
    let names = push(&mut request, 200);
    run(&mut request, 13_000);
    let (well_so_far, late) = (well(&request, &names), with(&request, &names, &Outcome::TimedOut));
    assert!(well_so_far >= 180 && well_so_far + late == 200, "{well_so_far} and {late}");

    let mut world = world(&Latest, RELAYS);
    run(&mut world, 3_000);
    let names = push(&mut world, 200);
    run(&mut world, 13_000);
    assert_eq!(well(&world, &names[199..]), 1);
    assert_eq!(well(&world, &names) + with(&world, &names, &Outcome::Shed), 200);
}

#[test]
fn a_one_way_cut_in_either_direction_ends() {
    for (from, to) in [(0, 1), (1, 0)] {
        for conditions in [STREAMS, RELAYS] {
            let mut world = world(&Acknowledged, conditions);
            run(&mut world, 3_000);
            let mut names = push(&mut world, 50);
            world.cut(from, to);
            run(&mut world, 5_000);
            names.extend(push(&mut world, 50));
            assert!(well(&world, &names) < 100, "nobody could say that all were taken");
            world.heal();
            run(&mut world, 12_900);
            assert_eq!((well(&world, &names), taken(&world, &names)), (100, 100), "{from} to {to}");
        }
    }
}

#[test]
fn a_partition_that_lasts_longer_than_the_timeout_costs_what_is_older() {
    for kind in [&Acknowledged as &dyn Kind, &Request] {
        let mut world = world(kind, STREAMS);
        world.cut(0, 1);
        world.cut(1, 0);
        run(&mut world, 5_000);
        let old = push(&mut world, 50);
        run(&mut world, 14_000);
        let young = push(&mut world, 50);
        run(&mut world, 16_000);
        assert_eq!(with(&world, &old, &Outcome::TimedOut), 50, "{}", kind.name());
        world.heal();
        run(&mut world, 22_000);
        assert_eq!((well(&world, &young), taken(&world, &young)), (50, 50), "{}", kind.name());
        assert_eq!(taken(&world, &old), 0, "{}", kind.name());
    }
}

#[test]
fn what_a_relay_could_not_bring_in_time_does_not_block_what_follows() {
    let mut world = world(&Acknowledged, RELAYS);
    run(&mut world, 3_000);
    world.cut(0, 1);
    let old = push(&mut world, 10);
    run(&mut world, 12_000);
    let young = push(&mut world, 10);
    run(&mut world, 14_000);
    assert_eq!(with(&world, &old, &Outcome::TimedOut), 10);
    world.heal();
    run(&mut world, 21_900);
    assert_eq!((well(&world, &young), taken(&world, &young)), (10, 10));
}

#[test]
fn a_receiver_that_stops_taking_fills_the_lane_and_no_more() {
    for conditions in [STREAMS, Conditions { loss: 0.0, ..RELAYS }] {
        for kind in [&BestEffort as &dyn Kind, &Acknowledged, &Request] {
            let mut world = world(kind, conditions);
            world.consume(1, false).expect("kept");
            let mut names = Vec::new();
            for round in 1..100 {
                while names.len() < 2_000
                    && let Some(name) = world.push(0, 20).expect("kept")
                {
                    names.push(name);
                }
                run(&mut world, 500 + round * 20);
            }
            // Over a relay, best effort finds out from nobody that nobody takes it.
            let relayed = conditions.relays > 0.0 && kind.name() == "best-effort";
            assert_eq!(names.len() > 300, relayed, "{} took {}", kind.name(), names.len());
            world.consume(1, true).expect("kept");
            run(&mut world, 9_000);
            assert_eq!(well(&world, &names), names.len(), "{}", kind.name());
            if !relayed {
                assert_eq!(taken(&world, &names), names.len(), "{}", kind.name());
            }
        }
    }
}

#[test]
fn a_receiver_that_stops_taking_gets_the_newest_when_it_goes_on() {
    let mut world = world(&Latest, STREAMS);
    let mut names = push(&mut world, 1);
    run(&mut world, 600);
    world.consume(1, false).expect("kept");
    for round in 0..20 {
        names.extend(push(&mut world, 1));
        run(&mut world, 700 + round * 100);
    }
    world.consume(1, true).expect("kept");
    run(&mut world, 4_000);
    assert_eq!(well(&world, &names[20..]), 1, "the newest");
    assert_eq!(taken(&world, &names), 3, "and the one that was under way");
    assert_eq!(with(&world, &names, &Outcome::Shed), 18);
}

#[test]
fn a_sender_that_starts_anew_is_a_new_lane() {
    for kind in [&BestEffort as &dyn Kind, &Acknowledged, &Latest, &Request] {
        let mut world = world(kind, STREAMS);
        push(&mut world, 20);
        run(&mut world, 520);
        world.restart(0).expect("kept");
        let names = push(&mut world, 20);
        run(&mut world, 9_000);
        assert_eq!((well(&world, &names[19..]), taken(&world, &names[19..])), (1, 1));
        world.is_complete().expect("all have an outcome");
    }
}

#[test]
fn a_receiver_that_never_comes_leaves_nothing_behind() {
    for kind in [&BestEffort as &dyn Kind, &Acknowledged, &Latest, &Request] {
        let promises = promises(kind, STREAMS);
        let mut world = World::new(7, 2, (kind, promises), LIMITS, (STREAMS, HABITS));
        world.cut(0, 1);
        world.lane(0, 1);
        let names = push(&mut world, 100);
        run(&mut world, 10_000);
        let shed = with(&world, &names, &Outcome::Shed);
        assert_eq!(with(&world, &names, &Outcome::TimedOut) + shed, 100, "{}", kind.name());
    }
}
