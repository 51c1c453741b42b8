//! The rules of the kind, one test each.

use alloc::vec::Vec;
use core::time::Duration;

use bytes::Bytes;
use murmurate_membership::Time;

use super::super::{Attached, Depth, Frame, Incoming, Outcome, Path};
use super::*;

const LIMITS: LaneLimits = LaneLimits { messages: 4, bytes: 100, timeout: Duration::from_secs(9) };

fn at(millis: u64) -> Time {
    Time::ZERO.after(Duration::from_millis(millis))
}

fn body(number: u64) -> Bytes {
    Bytes::from(alloc::vec![number as u8])
}

fn answer(number: u64) -> Option<Bytes> {
    Some(Bytes::from(alloc::vec![number as u8, 0xa]))
}

fn answered(number: u64) -> (u64, Outcome) {
    (number, Outcome::Answered(answer(number).expect("there is one")))
}

struct Lane {
    sending: Box<dyn Sending>,
    receiving: Box<dyn Receiving>,
}

impl Lane {
    fn new(path: Path, messages: u64) -> Self {
        let mut lane =
            Self { sending: Request.sending(LIMITS), receiving: Request.receiving(0, LIMITS) };
        lane.push(at(0), 0..messages);
        lane.connect(path);
        lane
    }

    fn push(&mut self, now: Time, numbers: core::ops::Range<u64>) {
        for number in numbers {
            self.sending.push(now, body(number)).expect("room");
        }
    }

    fn connect(&mut self, path: Path) {
        self.receiving.attach(at(0), path);
        let attached = Attached { resumed: true, heard: self.receiving.heard() };
        self.sending.attach(at(0), path, attached).expect("honest");
        self.check();
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

    fn receive(&mut self, frames: impl IntoIterator<Item = Frame>) -> Vec<u64> {
        for frame in frames {
            self.receiving.receive(at(0), frame).expect("honest");
            self.check();
        }
        let taken = core::iter::from_fn(|| self.receiving.next_delivery());
        taken.map(|Incoming { number, .. }| number).collect()
    }

    fn done(&mut self, numbers: &[u64]) {
        for number in numbers {
            self.receiving.done(*number, answer(*number));
            self.check();
        }
    }

    fn answer(&mut self) -> usize {
        let mut frames = 0;
        while let Some(frame) = self.receiving.next_frame(at(0)) {
            self.sending.receive(at(0), frame).expect("honest");
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

fn numbers(frames: &[Frame]) -> Vec<u64> {
    frames.iter().map(|frame| frame.number).collect()
}

#[test]
fn several_are_under_way_and_answered_in_any_order() {
    let mut lane = Lane::new(Path::Stream, 3);
    let frames = lane.sent(at(0));
    assert_eq!(lane.receive(frames), [0, 1, 2]);
    lane.done(&[2]);
    lane.answer();
    assert_eq!(lane.outcomes(), [answered(2)]);
    lane.done(&[1, 0]);
    lane.answer();
    let mut outcomes = lane.outcomes();
    outcomes.sort_by_key(|(ticket, _)| *ticket);
    assert_eq!(outcomes, [answered(0), answered(1)]);
    assert_eq!(lane.sending.depth(), Depth::default());
    lane.done(&[0, 7]);
    assert_eq!(lane.answer(), 0, "it was answered, or never asked");
}

#[test]
fn a_broken_path_takes_what_was_under_way_with_it() {
    let mut lane = Lane::new(Path::Stream, 2);
    let frames = lane.sent(at(0));
    assert_eq!(lane.receive(frames), [0, 1]);
    lane.done(&[0]);
    lane.sending.detach();
    lane.receiving.detach();
    assert_eq!(lane.receiving.next_frame(at(0)), None, "nobody waits for it");
    assert_eq!(lane.outcomes(), [(0, Outcome::Gone), (1, Outcome::Gone)]);
    lane.push(at(0), 2..3);
    lane.connect(Path::Stream);
    lane.done(&[1]);
    assert_eq!(lane.answer(), 0, "nobody waits for it");
    let frames = lane.sent(at(0));
    assert_eq!(lane.receive(frames), [2]);
    assert_eq!(lane.sending.retransmitted(), 0);
}

#[test]
fn an_answer_that_comes_too_late_is_no_nonsense() {
    let mut lane = Lane::new(Path::Stream, 1);
    let frames = lane.sent(at(0));
    lane.receive(frames);
    lane.push(at(1), 1..2);
    lane.sending.expire(at(9_000));
    assert_eq!(lane.outcomes(), [(0, Outcome::TimedOut)]);
    lane.done(&[0]);
    assert_eq!(lane.answer(), 1);
    assert_eq!(lane.outcomes(), []);
    lane.sending.expire(at(9_001));
    assert_eq!(lane.outcomes(), [(1, Outcome::TimedOut)], "it was never sent");
}

#[test]
fn a_relay_is_asked_again_and_the_application_is_not() {
    let mut lane = Lane::new(Path::Relay, 3);
    let mut frames = lane.sent(at(0));
    frames.remove(0);
    frames.swap(0, 1);
    assert_eq!(lane.receive(frames), [1, 2]);
    lane.done(&[1]);
    assert!(lane.receiving.next_frame(at(0)).is_some(), "and it is lost");
    let due = lane.sending.deadline().expect("nobody said anything");
    assert_eq!(due, at(500));
    lane.sending.expire(due);
    let frames = lane.sent(due);
    assert_eq!(numbers(&frames), [0, 1, 2]);
    assert_eq!(lane.receive(frames.clone()), [0], "the others are known");
    assert_eq!(lane.answer(), 1, "it is answered again");
    assert_eq!(lane.outcomes(), [answered(1)]);
    lane.done(&[2, 0]);
    lane.answer();
    assert_eq!(lane.sending.depth(), Depth::default());
    assert_eq!(lane.sending.deadline(), None);
    lane.connect(Path::Relay);
    assert_eq!(lane.receive(frames), [0; 0], "they come late, from the path before");
}

#[test]
fn the_wait_of_each_grows() {
    let mut lane = Lane::new(Path::Relay, 1);
    lane.sent(at(0));
    for (now, next) in [(500, 1_500), (1_500, 3_500), (3_500, 7_500), (7_500, 9_000)] {
        lane.sending.expire(at(now));
        assert_eq!(lane.sent(at(now)).len(), 1);
        assert_eq!(lane.sending.deadline(), Some(at(next)));
    }
}

#[test]
fn the_answers_that_are_remembered_are_bounded() {
    let mut lane = Lane::new(Path::Relay, 0);
    let frame = |number| Frame { tag: REQUEST, number, body: body(number) };
    for number in 0..3_000 {
        lane.receiving.receive(at(0), frame(number)).expect("honest");
        let delivery = lane.receiving.next_delivery().expect("it is new");
        lane.receiving.done(delivery.number, Some(Bytes::from(alloc::vec![1; 40])));
        assert!(lane.receiving.next_frame(at(0)).is_some());
        lane.check();
    }
    for (number, known) in [(2_999, true), (2_998, true), (2_997, false), (1, false)] {
        lane.receiving.receive(at(0), frame(number)).expect("honest");
        assert_eq!(lane.receiving.next_delivery(), None, "{number}");
        assert_eq!(lane.receiving.next_frame(at(0)).is_some(), known, "{number}");
    }
}

#[test]
fn over_a_relay_none_is_sent_that_the_receiver_could_not_tell_apart() {
    let mut lane = Lane::new(Path::Relay, 1);
    let oldest = lane.sent(at(0));
    for number in 1..SPAN {
        lane.push(at(1), number..number + 1);
        let frames = lane.sent(at(1));
        assert_eq!(lane.receive(frames), [number]);
        lane.done(&[number]);
        lane.answer();
    }
    lane.push(at(1), SPAN..SPAN + 1);
    assert_eq!(lane.sent(at(1)), [], "the first has no answer");
    assert_eq!(lane.receive(oldest), [0]);
    lane.done(&[0]);
    lane.answer();
    assert_eq!(lane.sent(at(1)).len(), 1);
}

#[test]
fn who_asks_more_than_may_wait_loses_the_oldest() {
    for path in [Path::Stream, Path::Relay] {
        let mut lane = Lane::new(path, 0);
        let frame = |number| Frame { tag: REQUEST, number, body: body(number) };
        assert_eq!(lane.receive((0..2).map(frame)), [0, 1]);
        lane.done(&[1]);
        assert_eq!(lane.receive((2..5).map(frame)), [2, 3, 4]);
        lane.done(&[0, 3]);
        let frames: Vec<_> =
            core::iter::from_fn(|| lane.receiving.next_frame(at(0))).map(|f| f.number).collect();
        assert_eq!(frames, [1, 3], "the first had to go");
        lane.receive((5..500).map(frame));
        assert_eq!(lane.receiving.depth(), Depth::default());
    }
}

#[test]
fn who_does_not_take_its_answers_gets_no_more() {
    let mut lane = Lane::new(Path::Stream, 0);
    let frame = |number| Frame { tag: REQUEST, number, body: body(number) };
    assert_eq!(lane.receive((0..1).map(frame)), [0]);
    lane.receiving.done(0, Some(Bytes::from(alloc::vec![1; 101])));
    assert_eq!(lane.receive((1..2).map(frame)), [0; 0]);
    assert!(lane.receiving.next_frame(at(0)).is_some());
    assert_eq!(lane.receive(None), [1]);
}

#[test]
fn what_no_honest_half_says_is_nonsense_and_changes_nothing() {
    let mut lane = Lane::new(Path::Stream, 1);
    let frames = lane.sent(at(0));
    let said = |tag, number| Frame { tag, number, body: Bytes::new() };
    for (tag, number) in [(ANSWER, 1), (ANSWER, u64::MAX), (REQUEST, 0), (9, 0)] {
        assert!(lane.sending.receive(at(0), said(tag, number)).is_err());
    }
    let attached = Attached { resumed: true, heard: 2 };
    assert!(lane.sending.attach(at(0), Path::Stream, attached).is_err());
    assert_eq!(lane.outcomes(), []);
    assert_eq!(lane.receive(frames), [0]);
    for (tag, number) in [(REQUEST, 0), (REQUEST, u64::MAX), (ANSWER, 1), (9, 1)] {
        assert!(lane.receiving.receive(at(0), said(tag, number)).is_err());
    }
    assert_eq!(lane.receive(None), [0; 0]);
}

#[test]
fn nothing_is_left_of_what_is_abandoned() {
    let mut lane = Lane::new(Path::Relay, 1);
    lane.sent(at(0));
    lane.push(at(0), 1..2);
    lane.sending.abandon();
    lane.check();
    assert_eq!(lane.outcomes(), [(0, Outcome::Gone), (1, Outcome::Shed)]);
    assert_eq!((lane.sending.depth(), lane.sending.deadline()), (Depth::default(), None));
}

#[test]
fn what_is_dropped_is_told_again_over_a_relay_and_not_asked_twice() {
    for path in [Path::Stream, Path::Relay] {
        let mut lane = Lane::new(path, 2);
        let frames = lane.sent(at(0));
        assert_eq!(lane.receive(frames), [0, 1]);
        lane.receiving.done(0, None);
        lane.done(&[1]);
        if path == Path::Relay {
            while lane.receiving.next_frame(at(0)).is_some() {}
            lane.sending.expire(lane.sending.deadline().expect("there was no answer"));
            let frames = lane.sent(at(0));
            assert_eq!(lane.receive(frames), [0; 0]);
        }
        assert_eq!(lane.answer(), 2);
        assert_eq!(lane.outcomes(), [(0, Outcome::Dropped), answered(1)]);
    }
}
