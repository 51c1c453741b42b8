//! The rules of the kind, one test each.

use alloc::vec::Vec;
use core::time::Duration;

use bytes::Bytes;
use murmurate_membership::Time;

use super::super::{Attached, Depth, Frame, Full, Incoming, Outcome, Path};
use super::*;

const LIMITS: LaneLimits =
    LaneLimits { messages: 100, bytes: 1_000, timeout: Duration::from_secs(9) };

fn at(millis: u64) -> Time {
    Time::ZERO.after(Duration::from_millis(millis))
}

fn body(number: u64) -> Bytes {
    Bytes::from(alloc::vec![number as u8])
}

/// The two halves of a lane, and what the application took.
struct Lane {
    sending: Box<dyn Sending>,
    receiving: Box<dyn Receiving>,
    taken: Vec<u8>,
}

impl Lane {
    fn new(path: Path, messages: u64) -> Self {
        let (sending, receiving) =
            (Acknowledged.sending(LIMITS), Acknowledged.receiving(0, LIMITS));
        let mut lane = Self { sending, receiving, taken: Vec::new() };
        lane.push(at(0), 0..messages);
        lane.connect(path, false);
        lane
    }

    fn push(&mut self, now: Time, numbers: core::ops::Range<u64>) {
        for number in numbers {
            self.sending.push(now, body(number)).expect("room");
        }
    }

    fn connect(&mut self, path: Path, resumed: bool) {
        self.receiving.attach(at(0), path);
        let attached = Attached { resumed, heard: self.receiving.heard() };
        self.sending.attach(at(0), path, attached).expect("honest");
    }

    fn sent(&mut self, now: Time) -> Vec<Frame> {
        let frames = core::iter::from_fn(|| {
            let had = self.sending.has_frame();
            let frame = self.sending.next_frame(now);
            assert_eq!(had, frame.is_some());
            frame
        });
        let frames = frames.collect();
        self.check();
        frames
    }

    fn receive(&mut self, frames: impl IntoIterator<Item = Frame>) {
        for frame in frames {
            self.receiving.receive(at(0), frame).expect("honest");
            self.check();
        }
    }

    /// The application takes all there is, and is done with it.
    fn take(&mut self) {
        while let Some(delivery) = self.receiving.next_delivery() {
            self.taken.extend_from_slice(&delivery.message);
            self.receiving.done(delivery.number, Some(Bytes::new()));
            self.check();
        }
    }

    /// What the receiver says reaches the sender.
    fn answer(&mut self, now: Time) -> usize {
        let mut frames = 0;
        while let Some(frame) = self.receiving.next_frame(now) {
            self.sending.receive(now, frame).expect("honest");
            self.check();
            frames += 1;
        }
        frames
    }

    fn outcomes(&mut self) -> Vec<(u64, Outcome)> {
        core::iter::from_fn(|| self.sending.settled()).collect()
    }

    fn check(&self) {
        self.sending.check().expect("it holds");
        self.receiving.check().expect("it holds");
    }
}

fn all(numbers: core::ops::Range<u64>, outcome: &Outcome) -> Vec<(u64, Outcome)> {
    numbers.map(|number| (number, outcome.clone())).collect()
}

fn numbers(frames: &[Frame]) -> Vec<u64> {
    frames.iter().map(|frame| frame.number).collect()
}

#[test]
fn delivered_means_that_the_application_is_done_with_it() {
    let mut lane = Lane::new(Path::Stream, 3);
    lane.answer(at(0));
    let frames = lane.sent(at(0));
    lane.receive(frames);
    assert_eq!(lane.answer(at(0)), 0, "it came, that is all");
    let first = lane.receiving.next_delivery().expect("it came");
    assert_eq!(lane.answer(at(0)), 0, "it was taken, and may still be lost");
    lane.receiving.done(first.number, Some(Bytes::new()));
    assert_eq!(lane.answer(at(0)), 1);
    assert_eq!(lane.outcomes(), all(0..1, &Outcome::Delivered));
    lane.take();
    assert_eq!(lane.answer(at(0)), 1, "one word for all that is done with");
    assert_eq!(lane.outcomes(), all(1..3, &Outcome::Delivered));
    assert_eq!(lane.sending.depth(), Depth::default());
    assert_eq!(lane.sending.retransmitted(), 0);
}

#[test]
fn a_receiver_that_still_knows_gets_the_rest_and_nothing_twice() {
    let mut lane = Lane::new(Path::Stream, 6);
    let mut frames = lane.sent(at(0));
    frames.truncate(4);
    lane.receive(frames);
    let first = lane.receiving.next_delivery().expect("it came");
    lane.taken.extend_from_slice(&first.message);
    lane.receiving.done(first.number, Some(Bytes::new()));
    lane.sending.detach();
    lane.receiving.detach();
    assert!(lane.sent(at(1)).is_empty(), "no path");
    lane.push(at(1), 6..7);
    lane.connect(Path::Stream, true);
    assert_eq!(lane.outcomes(), all(0..1, &Outcome::Delivered), "as the attached says");
    let frames = lane.sent(at(1));
    assert_eq!(numbers(&frames), [1, 2, 3, 4, 5, 6]);
    assert_eq!(lane.sending.retransmitted(), 5);
    lane.receive(frames);
    lane.take();
    lane.answer(at(1));
    assert_eq!(lane.taken, [0, 1, 2, 3, 4, 5, 6]);
    assert_eq!(lane.outcomes(), all(1..7, &Outcome::Delivered));
}

#[test]
fn a_new_receiver_gets_only_what_was_never_sent() {
    let mut lane = Lane::new(Path::Stream, 3);
    let frames = lane.sent(at(0));
    lane.receive(frames);
    lane.push(at(0), 3..5);
    let base = lane.sending.base();
    lane.receiving = Acknowledged.receiving(base, LIMITS);
    lane.connect(Path::Stream, false);
    assert_eq!(lane.outcomes(), all(0..3, &Outcome::Gone));
    let frames = lane.sent(at(0));
    lane.receive(frames);
    lane.take();
    lane.answer(at(0));
    assert_eq!(lane.taken, [3, 4]);
    assert_eq!(lane.outcomes(), all(3..5, &Outcome::Delivered));
}

#[test]
fn a_relay_may_lose_reorder_and_repeat() {
    let mut lane = Lane::new(Path::Relay, 5);
    let mut frames = lane.sent(at(0));
    frames.remove(0);
    frames.reverse();
    lane.receive(frames.clone());
    lane.receive(frames);
    lane.take();
    assert!(lane.taken.is_empty(), "the first is missing");
    lane.answer(at(100));
    assert_eq!(lane.outcomes(), []);
    let due = lane.sending.deadline().expect("one is missing");
    lane.sending.expire(due);
    let frames = lane.sent(due);
    assert_eq!(numbers(&frames), [0], "only what did not come");
    assert_eq!(lane.sending.retransmitted(), 1);
    lane.receive(frames);
    lane.take();
    lane.answer(due);
    assert_eq!(lane.taken, [0, 1, 2, 3, 4]);
    assert_eq!(lane.outcomes(), all(0..5, &Outcome::Delivered));
    assert_eq!(lane.sending.deadline(), None, "nothing is under way");
}

#[test]
fn a_lost_acknowledgement_is_asked_for() {
    let mut lane = Lane::new(Path::Relay, 2);
    let frames = lane.sent(at(0));
    lane.receive(frames);
    lane.take();
    assert!(lane.receiving.next_frame(at(0)).is_some(), "and it is lost");
    let due = lane.sending.deadline().expect("nobody said anything");
    lane.sending.expire(due);
    let frames = lane.sent(due);
    lane.receive(frames);
    assert_eq!(lane.answer(due), 1, "what comes again is acknowledged again");
    assert_eq!(lane.outcomes(), all(0..2, &Outcome::Delivered));
    assert_eq!(lane.receiving.next_delivery(), None);
}

#[test]
fn what_is_overdue_is_given_up_and_not_waited_for() {
    for path in [Path::Stream, Path::Relay] {
        let mut lane = Lane::new(path, 2);
        // Lost, over a relay; over a stream, not taken by the application.
        let frames = lane.sent(at(0));
        if path == Path::Stream {
            lane.receive(frames);
        }
        lane.push(at(5_000), 2..3);
        lane.sending.expire(at(9_000));
        assert_eq!(lane.outcomes(), all(0..2, &Outcome::TimedOut));
        let frames = lane.sent(at(9_000));
        lane.receive(frames);
        lane.take();
        lane.answer(at(9_000));
        assert_eq!(lane.taken, [2], "{path:?}");
        assert_eq!(lane.outcomes(), all(2..3, &Outcome::Delivered));
    }
}

#[test]
fn a_lost_word_of_what_was_given_up_is_said_again() {
    let mut lane = Lane::new(Path::Relay, 2);
    assert_eq!(lane.sent(at(0)).len(), 2, "and they are lost");
    lane.sending.expire(at(9_000));
    let skip = lane.sent(at(9_000));
    assert_eq!(skip, [Frame { tag: SKIP, number: 2, body: Bytes::new() }], "lost as well");
    lane.push(at(9_001), 2..4);
    let frames = lane.sent(at(9_001));
    assert_eq!(numbers(&frames), [2, 3]);
    lane.receive(frames);
    lane.answer(at(9_001));
    let again = lane.sent(at(9_001));
    assert_eq!(again, skip, "the acknowledgement told that it did not come");
    lane.receive(again);
    lane.take();
    lane.answer(at(9_001));
    assert_eq!(lane.taken, [2, 3]);
    assert_eq!(lane.sent(at(9_001)), [], "it knows");
}

#[test]
fn what_is_under_way_over_a_relay_is_bounded_and_moves_on() {
    let mut lane = Lane::new(Path::Relay, 100);
    let frames = lane.sent(at(0));
    assert_eq!(frames.len(), 64);
    lane.receive(frames);
    lane.take();
    lane.answer(at(0));
    assert_eq!(lane.sent(at(0)).len(), 36);
    assert_eq!(lane.sending.push(at(0), Bytes::from(alloc::vec![0; 1_000])), Err(Full));
}

#[test]
fn a_lane_moves_from_a_stream_to_a_relay_and_back() {
    let mut lane = Lane::new(Path::Stream, 90);
    let mut frames = lane.sent(at(0));
    frames.truncate(70);
    lane.receive(frames);
    lane.connect(Path::Relay, true);
    let mut frames = lane.sent(at(0));
    assert_eq!(frames.len(), 64);
    frames.swap(3, 4);
    lane.receive(frames);
    lane.take();
    lane.answer(at(0));
    let frames = lane.sent(at(0));
    assert_eq!(numbers(&frames), (70..90).collect::<Vec<_>>());
    lane.receive(frames.into_iter().skip(1));
    assert_eq!(lane.receiving.depth().messages, 19);
    lane.connect(Path::Stream, true);
    assert_eq!(lane.receiving.depth().messages, 0, "all comes again, in order");
    let frames = lane.sent(at(0));
    lane.receive(frames);
    lane.take();
    lane.answer(at(0));
    assert_eq!(lane.taken, (0..90).collect::<Vec<_>>());
    assert_eq!(lane.outcomes(), all(0..90, &Outcome::Delivered));
}

#[test]
fn what_no_honest_half_says_is_nonsense_and_changes_nothing() {
    let mut lane = Lane::new(Path::Stream, 2);
    let frames = lane.sent(at(0));
    let ack = |number| Frame { tag: ACK, number, body: Bytes::new() };
    let of_three_bytes = Frame { body: Bytes::from_static(b"two"), ..ack(1) };
    let dropped = |number| Frame { tag: DROPPED, ..ack(number) };
    let data_here = Frame { tag: DATA, ..ack(1) };
    for frame in [ack(3), ack(u64::MAX), dropped(2), dropped(u64::MAX), of_three_bytes, data_here] {
        assert!(lane.sending.receive(at(0), frame).is_err());
    }
    assert_eq!(lane.outcomes(), []);
    assert!(lane.sending.receive(at(0), ack(2)).is_ok());
    let attached = Attached { resumed: true, heard: 3 };
    assert!(lane.sending.attach(at(0), Path::Stream, attached).is_err());

    let data = |number| Frame { tag: DATA, number, body: body(number) };
    let skip = Frame { tag: SKIP, ..data(1) };
    for frame in [data(1), data(u64::MAX), ack(0), skip] {
        assert!(lane.receiving.receive(at(0), frame).is_err());
    }
    lane.receive(frames);
    lane.take();
    assert_eq!(lane.taken, [0, 1]);
}

#[test]
fn the_receiver_keeps_no_more_than_the_limits() {
    for path in [Path::Stream, Path::Relay] {
        let mut lane = Lane::new(path, 0);
        let mut refused = 0;
        for number in (0..200).rev().chain(0..200) {
            let frame = Frame { tag: DATA, number, body: Bytes::from(alloc::vec![0; 50]) };
            refused += u32::from(lane.receiving.receive(at(0), frame).is_err());
            lane.check();
        }
        assert_eq!(refused > 0, path == Path::Stream, "{refused}");
        assert_eq!(lane.receiving.depth(), Depth { messages: 20, bytes: 1_000 });
    }
}

#[test]
fn a_done_out_of_place_means_nothing() {
    let mut lane = Lane::new(Path::Stream, 3);
    let frames = lane.sent(at(0));
    lane.receive(frames);
    for number in [0, 2, 3, u64::MAX] {
        lane.receiving.done(number, Some(Bytes::new()));
    }
    assert_eq!(lane.receiving.heard(), 0, "nothing was taken yet");
    lane.take();
    lane.receiving.done(0, Some(Bytes::new()));
    assert_eq!(lane.receiving.heard(), 3);
}

#[test]
fn nothing_is_left_of_what_is_abandoned() {
    let mut lane = Lane::new(Path::Relay, 70);
    assert_eq!(lane.sent(at(0)).len(), 64);
    lane.sending.abandon();
    let mut expected = all(0..64, &Outcome::Gone);
    expected.extend(all(64..70, &Outcome::Shed));
    assert_eq!(lane.outcomes(), expected);
    assert_eq!((lane.sending.depth(), lane.sending.deadline()), (Depth::default(), None));
}

#[test]
fn a_word_that_is_lost_after_a_new_path_is_said_again() {
    let mut lane = Lane::new(Path::Relay, 2);
    assert_eq!(lane.sent(at(0)).len(), 2, "and they are lost");
    lane.sending.detach();
    lane.sending.expire(at(9_000));
    lane.push(at(9_000), 2..3);
    lane.connect(Path::Relay, true);
    let mut frames = lane.sent(at(9_000));
    assert_eq!(frames.remove(0).tag, SKIP, "lost");
    lane.receive(frames);
    lane.answer(at(9_000));
    let frames = lane.sent(at(9_000));
    assert_eq!(frames.first().map(|frame| frame.tag), Some(SKIP));
    lane.receive(frames);
    lane.take();
    assert_eq!(lane.taken, [2]);
}

#[test]
fn what_came_and_is_not_done_with_is_asked_for() {
    let mut lane = Lane::new(Path::Relay, 2);
    let frames = lane.sent(at(0));
    lane.receive(frames);
    lane.answer(at(10));
    lane.take();
    assert!(lane.receiving.next_frame(at(20)).is_some(), "and it is lost");
    let due = lane.sending.deadline().expect("it is not done with");
    lane.sending.expire(due);
    let frames = lane.sent(due);
    assert_eq!(numbers(&frames), [0], "all came: one is enough to ask");
    lane.receive(frames);
    lane.answer(due);
    assert_eq!(lane.outcomes(), all(0..2, &Outcome::Delivered));
}

#[test]
fn what_the_old_path_may_have_lost_is_said_on_the_new_one() {
    let mut lane = Lane::new(Path::Stream, 1);
    let frames = lane.sent(at(0));
    lane.receive(frames);
    let attached = Attached { resumed: true, heard: lane.receiving.heard() };
    lane.take();
    assert!(lane.receiving.next_frame(at(0)).is_some(), "after the attached, on the old path");
    lane.receiving.attach(at(0), Path::Stream);
    lane.sending.attach(at(0), Path::Stream, attached).expect("honest");
    lane.answer(at(0));
    assert_eq!(lane.outcomes(), all(0..1, &Outcome::Delivered));
}

/// As the application takes the messages: it drops every third.
fn outcome(number: u64) -> Outcome {
    if number % 3 == 1 { Outcome::Dropped } else { Outcome::Delivered }
}

impl Lane {
    /// The application takes all there is, and drops every third.
    fn take_or_drop(&mut self) {
        while let Some(Incoming { number, message }) = self.receiving.next_delivery() {
            self.taken.extend_from_slice(&message);
            let answer = (outcome(number) == Outcome::Delivered).then(Bytes::new);
            self.receiving.done(number, answer);
            self.check();
        }
    }
}

#[test]
fn what_is_dropped_is_told_at_once_and_holds_up_nothing() {
    for path in [Path::Stream, Path::Relay] {
        let mut lane = Lane::new(path, 20);
        let mut rounds = 0;
        while lane.sending.depth().messages > 0 {
            let frames = lane.sent(at(0));
            lane.receive(frames);
            lane.take_or_drop();
            lane.answer(at(0));
            rounds += 1;
        }
        assert_eq!(lane.taken, (0..20).collect::<Vec<_>>());
        let expected: Vec<_> = (0..20).map(|number| (number, outcome(number))).collect();
        assert_eq!(lane.outcomes(), expected);
        assert_eq!(rounds, if path == Path::Stream { 1 } else { 7 }, "over {path:?}");
        assert_eq!(lane.sending.retransmitted(), 0);
        let frames = lane.sent(at(0));
        lane.receive(frames);
        assert_eq!(lane.receiving.heard(), 20, "the receiver knows that the sender does");
        assert_eq!(lane.answer(at(0)), 1, "and says so");
        assert_eq!(lane.sent(at(0)), []);
    }
}

#[test]
fn that_something_was_dropped_outlives_the_path() {
    for path in [Path::Stream, Path::Relay] {
        let mut lane = Lane::new(Path::Stream, 6);
        let frames = lane.sent(at(0));
        lane.receive(frames);
        lane.take_or_drop();
        while lane.receiving.next_frame(at(0)).is_some() {}
        lane.connect(path, true);
        assert_eq!(lane.outcomes(), [(0, Outcome::Delivered)], "that is all it can know");
        for _ in 0..3 {
            let frames = lane.sent(at(0));
            lane.receive(frames);
            lane.take_or_drop();
            lane.answer(at(0));
        }
        let expected: Vec<_> = (1..6).map(|number| (number, outcome(number))).collect();
        assert_eq!(lane.outcomes(), expected, "over {path:?}");
        assert_eq!(lane.taken, [0, 1, 2, 3, 4, 5], "nothing is delivered twice");
    }
}

#[test]
fn what_is_dropped_is_told_whatever_gets_lost() {
    for seed in 1..200_u64 {
        let mut random = seed;
        let mut draw = |of: u64| {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            random % of
        };
        let mut lane = Lane::new(Path::Relay, 90);
        let (mut path, mut broken, mut now) = (Path::Relay, false, at(0));
        let mut outcomes = Vec::new();
        while lane.sending.depth().messages > 0 {
            now = now.after(Duration::from_millis(20));
            lane.sending.expire(now);
            if broken || draw(8) == 0 {
                broken = false;
                path = if draw(2) == 0 { Path::Stream } else { Path::Relay };
                lane.connect(path, true);
            }
            let mut frames = lane.sent(now);
            let mut words: Vec<_> =
                core::iter::from_fn(|| lane.receiving.next_frame(now)).collect();
            match path {
                Path::Relay => {
                    frames.retain(|_| draw(4) > 0);
                    words.retain(|_| draw(4) > 0);
                }
                // It breaks, and its end is lost.
                Path::Stream if draw(4) == 0 => {
                    frames.truncate(draw(10) as usize);
                    words.truncate(draw(3) as usize);
                    broken = true;
                }
                Path::Stream => {}
            }
            lane.receive(frames);
            for word in words {
                lane.sending.receive(now, word).expect("honest");
            }
            lane.take_or_drop();
            outcomes.extend(lane.outcomes());
        }
        let expected: Vec<_> = (0..90).map(|number| (number, outcome(number))).collect();
        assert_eq!(outcomes, expected, "seed {seed}");
        assert_eq!(lane.taken, (0..90).collect::<Vec<_>>());
    }
}

#[test]
fn who_does_not_hear_what_was_dropped_sends_no_more() {
    let mut lane = Lane::new(Path::Stream, 0);
    let mut taken = 0;
    for number in 0..200 {
        let frame = Frame { tag: DATA, number, body: Bytes::new() };
        taken += u64::from(lane.receiving.receive(at(0), frame).is_ok());
        if let Some(delivery) = lane.receiving.next_delivery() {
            lane.receiving.done(delivery.number, None);
        }
        lane.check();
    }
    assert_eq!(taken, 100);
}
