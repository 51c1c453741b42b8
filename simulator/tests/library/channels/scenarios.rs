//! Fates with a name.

use std::time::Duration;

use murmurate::channel::{LaneLimits, Outcome};
use murmurate::membership::Time;
use murmurate_simulator::engine::lanes::{ChannelMessage, MessageEvent};

use super::world::{
    ACKNOWLEDGED, BEST_EFFORT, Conditions, Habits, KINDS, LATEST, REQUEST, World, is_well,
};

const LIMITS: LaneLimits =
    LaneLimits { messages: 200, bytes: 20_000, timeout: Duration::from_secs(10) };
const STREAMS: Conditions = Conditions {
    latency: (Duration::from_millis(10), Duration::from_millis(20)),
    loss: 0.0,
    copies: 0.0,
    relays: 0.0,
};
const RELAYS: Conditions = Conditions { loss: 0.3, copies: 0.1, relays: 1.0, ..STREAMS };
const HABITS: Habits =
    Habits { unread: 20, at_once: 1, work: Duration::from_millis(2), sheds: false };

fn at(millis: u64) -> Time {
    Time::ZERO.after(Duration::from_millis(millis))
}

/// Two nodes and a lane from the first to the second, of one kind, on which the path stands.
struct Lane {
    world: World,
    kind: usize,
}

fn lane(kind: usize, conditions: Conditions) -> Lane {
    let mut world = World::new(7, 2, LIMITS, conditions, HABITS);
    world.lane(0, 1);
    let mut lane = Lane { world, kind };
    lane.push(1);
    lane.run(500);
    lane
}

impl Lane {
    fn run(&mut self, until: u64) {
        self.world.run_until(at(until)).expect("every promise is kept");
    }

    fn push(&mut self, count: usize) -> Vec<ChannelMessage> {
        (0..count).map(|_| self.try_push().expect("room")).collect()
    }

    fn try_push(&mut self) -> Option<ChannelMessage> {
        self.world.push(self.kind, 0, 20)
    }

    /// How many of them had a good end, and how many have which other.
    fn well(&self, names: &[ChannelMessage]) -> usize {
        names.iter().filter(|name| is_well(self.world.outcome(**name).as_ref())).count()
    }

    fn with(&self, names: &[ChannelMessage], outcome: &Outcome) -> usize {
        names.iter().filter(|name| self.world.outcome(**name).as_ref() == Some(outcome)).count()
    }

    fn taken(&self, names: &[ChannelMessage]) -> usize {
        let is_taken = |what: &MessageEvent| matches!(what, MessageEvent::Taken(_));
        names.iter().filter(|name| self.world.happened(**name).iter().any(is_taken)).count()
    }

    fn retransmitted(&self) -> u64 {
        self.world.retransmitted(self.kind)
    }
}

#[test]
fn a_connection_that_is_killed_costs_an_acknowledged_lane_nothing() {
    let mut lane = lane(ACKNOWLEDGED, STREAMS);
    let names = lane.push(100);
    lane.run(540);
    lane.world.break_stream(0);
    lane.run(9_000);
    assert_eq!((lane.well(&names), lane.taken(&names)), (100, 100));
    assert!(lane.retransmitted() > 0, "some were in flight");
}

#[test]
fn a_connection_that_is_killed_takes_what_it_carries() {
    let mut best_effort = lane(BEST_EFFORT, STREAMS);
    let names = best_effort.push(100);
    best_effort.run(540);
    best_effort.world.break_stream(0);
    best_effort.run(9_000);
    assert_eq!(best_effort.well(&names), 100);
    let lost = 100 - best_effort.taken(&names);
    assert!((1..=2 * HABITS.unread).contains(&lost), "{lost} were lost");

    let mut request = lane(REQUEST, STREAMS);
    let names = request.push(100);
    request.run(540);
    request.world.break_stream(0);
    request.run(9_000);
    let gone = request.with(&names, &Outcome::Gone);
    assert_eq!(request.well(&names) + gone, 100);
    assert!((1..=2 * HABITS.unread).contains(&gone), "{gone} are gone");
}

#[test]
fn a_receiver_that_is_killed_takes_what_was_under_way_and_gets_the_rest() {
    let mut lane = lane(ACKNOWLEDGED, STREAMS);
    let names = lane.push(100);
    lane.run(540);
    lane.world.restart(1);
    lane.run(9_000);
    let gone = lane.with(&names, &Outcome::Gone);
    assert!((1..=2 * HABITS.unread).contains(&gone), "{gone} are gone");
    assert_eq!(lane.well(&names) + gone, 100);
    assert_eq!(lane.retransmitted(), 0, "the new one may not get what the old one had");
}

#[test]
fn the_newest_gets_through_to_a_receiver_that_started_anew() {
    let mut lane = lane(LATEST, STREAMS);
    let names = lane.push(1);
    lane.world.restart(1);
    lane.run(9_000);
    assert_eq!((lane.well(&names), lane.taken(&names)), (1, 1));
}

#[test]
fn a_relay_that_loses_a_third_loses_nothing_in_the_end() {
    let mut acknowledged = lane(ACKNOWLEDGED, RELAYS);
    acknowledged.run(3_000);
    let names = acknowledged.push(200);
    acknowledged.run(13_000);
    assert_eq!((acknowledged.well(&names), acknowledged.taken(&names)), (200, 200));
    let again = acknowledged.retransmitted();
    assert!((1..400).contains(&again), "{again} sent again");

    // A request is tried five times in its ten seconds, and half of the attempts fail.
    let mut request = lane(REQUEST, RELAYS);
    request.run(3_000);
    let names = request.push(200);
    request.run(13_100);
    let (well_so_far, late) = (request.well(&names), request.with(&names, &Outcome::TimedOut));
    assert!(well_so_far >= 180 && well_so_far + late == 200, "{well_so_far} and {late}");

    let mut lane = lane(LATEST, RELAYS);
    lane.run(3_000);
    let names = lane.push(200);
    lane.run(13_000);
    assert_eq!(lane.well(&names[199..]), 1);
    assert_eq!(lane.well(&names) + lane.with(&names, &Outcome::Shed), 200);
}

#[test]
fn a_one_way_cut_in_either_direction_ends() {
    for to in [1, 0] {
        for conditions in [STREAMS, RELAYS] {
            let mut lane = lane(ACKNOWLEDGED, conditions);
            lane.run(3_000);
            let mut names = lane.push(50);
            lane.world.cut(to, true);
            lane.run(5_000);
            names.extend(lane.push(50));
            assert!(lane.well(&names) < 100, "nobody could say that all were taken");
            lane.world.heal();
            lane.run(12_900);
            assert_eq!((lane.well(&names), lane.taken(&names)), (100, 100), "to {to}");
        }
    }
}

#[test]
fn a_partition_that_lasts_longer_than_the_timeout_costs_what_is_older() {
    for kind in [ACKNOWLEDGED, REQUEST] {
        let mut lane = lane(kind, STREAMS);
        lane.world.cut(1, false);
        lane.run(5_000);
        let old = lane.push(50);
        lane.run(14_000);
        let young = lane.push(50);
        lane.run(16_000);
        // One request finds out that the stream is broken.
        let (old_gone, of) = (lane.with(&old, &Outcome::Gone), KINDS[kind]);
        assert_eq!(lane.with(&old, &Outcome::TimedOut) + old_gone, 50, "{of}");
        assert_eq!(old_gone, usize::from(kind == REQUEST), "{of}");
        lane.world.heal();
        lane.run(22_000);
        assert_eq!((lane.well(&young), lane.taken(&young)), (50, 50), "{}", KINDS[kind]);
        assert_eq!(lane.taken(&old), 0, "{}", KINDS[kind]);
    }
}

#[test]
fn what_a_relay_could_not_bring_in_time_does_not_block_what_follows() {
    let mut lane = lane(ACKNOWLEDGED, RELAYS);
    lane.run(3_000);
    lane.world.cut(1, true);
    let old = lane.push(10);
    lane.run(12_000);
    let young = lane.push(10);
    lane.run(14_000);
    assert_eq!(lane.with(&old, &Outcome::TimedOut), 10);
    lane.world.heal();
    lane.run(21_900);
    assert_eq!((lane.well(&young), lane.taken(&young)), (10, 10));
}

#[test]
fn a_receiver_that_stops_taking_fills_the_lane_and_no_more() {
    for conditions in [STREAMS, Conditions { loss: 0.0, ..RELAYS }] {
        for kind in [BEST_EFFORT, ACKNOWLEDGED, REQUEST] {
            let mut lane = lane(kind, conditions);
            lane.world.stop_taking(1, true);
            let mut names = Vec::new();
            for round in 1..100 {
                while names.len() < 2_000
                    && let Some(name) = lane.try_push()
                {
                    names.push(name);
                }
                lane.run(500 + round * 20);
            }
            // Over a relay, best effort finds out from nobody that nobody takes it.
            let relayed = conditions.relays > 0.0 && kind == BEST_EFFORT;
            assert_eq!(names.len() > 300, relayed, "{} took {}", KINDS[kind], names.len());
            lane.world.stop_taking(1, false);
            lane.run(9_000);
            assert_eq!(lane.well(&names), names.len(), "{}", KINDS[kind]);
            if !relayed {
                assert_eq!(lane.taken(&names), names.len(), "{}", KINDS[kind]);
            }
        }
    }
}

#[test]
fn a_receiver_that_stops_taking_gets_the_newest_when_it_goes_on() {
    let mut lane = lane(LATEST, STREAMS);
    let mut names = lane.push(1);
    lane.run(600);
    lane.world.stop_taking(1, true);
    for round in 0..20 {
        names.extend(lane.push(1));
        lane.run(700 + round * 100);
    }
    lane.world.stop_taking(1, false);
    lane.run(4_000);
    assert_eq!(lane.well(&names[20..]), 1, "the newest");
    assert_eq!(lane.taken(&names), 3, "and the one that was under way");
    assert_eq!(lane.with(&names, &Outcome::Shed), 18);
}

#[test]
fn a_sender_that_starts_anew_is_a_new_lane() {
    for kind in 0..KINDS.len() {
        let mut lane = lane(kind, STREAMS);
        lane.push(20);
        lane.run(520);
        lane.world.restart(0);
        let names = lane.push(20);
        lane.run(9_000);
        assert_eq!((lane.well(&names[19..]), lane.taken(&names[19..])), (1, 1));
        lane.world.is_complete().expect("all have an outcome");
    }
}

#[test]
fn a_receiver_that_never_comes_leaves_nothing_behind() {
    for (kind, name) in KINDS.iter().enumerate() {
        let mut world = World::new(7, 2, LIMITS, STREAMS, HABITS);
        world.cut(1, true);
        world.lane(0, 1);
        let mut lane = Lane { world, kind };
        let names = lane.push(100);
        lane.run(10_000);
        let shed = lane.with(&names, &Outcome::Shed);
        assert_eq!(lane.with(&names, &Outcome::TimedOut) + shed, 100, "{name}");
    }
}
