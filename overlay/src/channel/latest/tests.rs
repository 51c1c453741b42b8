//! The rules of the kind, one test each.

use alloc::vec::Vec;
use core::time::Duration;

use super::*;

const LIMITS: LaneLimits = LaneLimits { messages: 1, bytes: 10, timeout: Duration::from_secs(9) };

fn at(millis: u64) -> Time {
    Time::ZERO.after(Duration::from_millis(millis))
}

struct Lane {
    sending: Box<dyn Sending>,
    receiving: Box<dyn Receiving>,
}

impl Lane {
    fn new(path: Path) -> Self {
        let (sending, receiving) = (Latest.sending(LIMITS), Latest.receiving(0, LIMITS));
        let mut lane = Self { sending, receiving };
        lane.connect(path, false);
        lane.answer();
        lane
    }

    fn connect(&mut self, path: Path, resumed: bool) {
        self.receiving.attach(at(0), path);
        let attached = Attached { resumed, heard: self.receiving.heard() };
        self.sending.attach(at(0), path, attached).expect("honest");
        self.check();
    }

    fn push(&mut self, message: &'static [u8]) {
        self.push_at(at(0), message);
    }

    fn push_at(&mut self, now: Time, message: &'static [u8]) {
        self.sending.push(now, Bytes::from_static(message)).expect("there is always room");
        self.check();
    }

    fn sent(&mut self, now: Time) -> Option<Frame> {
        let had = self.sending.has_frame();
        let frame = self.sending.next_frame(now);
        assert_eq!(had, frame.is_some());
        assert!(!self.sending.has_frame(), "one at a time");
        self.check();
        frame
    }

    /// One frame comes, and the application takes what there is.
    fn carry(&mut self, now: Time) -> Option<Incoming> {
        if let Some(frame) = self.sent(now) {
            self.receiving.receive(now, frame).expect("honest");
        }
        self.check();
        self.receiving.next_delivery()
    }

    fn done(&mut self, delivery: Option<Incoming>) {
        self.receiving.done(delivery.expect("it came").number, Some(Bytes::new()));
        self.answer();
    }

    fn answer(&mut self) {
        while let Some(frame) = self.receiving.next_frame(at(0)) {
            self.sending.receive(at(0), frame).expect("honest");
            self.check();
        }
    }

    fn outcomes(&mut self) -> Vec<(u64, Outcome)> {
        core::iter::from_fn(|| self.sending.settled()).collect()
    }

    fn check(&self) {
        self.sending.check().expect("it holds");
        self.receiving.check().expect("it holds");
    }
}

fn message(delivery: Option<&Incoming>) -> &[u8] {
    delivery.map_or(b"none", |delivery| &delivery.message)
}

#[test]
fn one_is_under_way_until_the_application_is_done_and_the_newest_follows() {
    let mut lane = Lane::new(Path::Stream);
    lane.push(b"a");
    let first = lane.carry(at(0));
    assert_eq!(message(first.as_ref()), b"a");
    lane.push(b"b");
    lane.push(b"c");
    assert_eq!(lane.sent(at(0)), None, "the application still works");
    assert_eq!(lane.outcomes(), [(1, Outcome::Shed)]);
    lane.done(first);
    assert_eq!(lane.outcomes(), [(0, Outcome::Delivered)]);
    let next = lane.carry(at(0));
    assert_eq!(message(next.as_ref()), b"c");
    lane.done(next);
    assert_eq!(lane.outcomes(), [(2, Outcome::Delivered)]);
    assert_eq!(lane.sending.depth(), Depth::default());
}

#[test]
fn what_was_under_way_is_sent_again_and_delivered_once() {
    let mut lane = Lane::new(Path::Stream);
    lane.push(b"a");
    let first = lane.carry(at(0));
    lane.sending.detach();
    lane.connect(Path::Stream, true);
    assert_eq!(lane.carry(at(0)), None, "the application has it");
    assert_eq!(lane.sending.retransmitted(), 1);
    lane.done(first.clone());
    assert_eq!(lane.outcomes(), [(0, Outcome::Delivered)]);

    lane.push(b"b");
    lane.sent(at(0)).expect("it is lost");
    lane.connect(Path::Stream, true);
    let second = lane.carry(at(0));
    assert_eq!(message(second.as_ref()), b"b");
    // The word that it is done with is lost, and the attached says it.
    lane.receiving.done(second.expect("it came").number, Some(Bytes::new()));
    lane.connect(Path::Stream, true);
    assert_eq!(lane.outcomes(), [(1, Outcome::Delivered)]);
    assert_eq!(lane.sent(at(0)), None);
}

#[test]
fn a_newer_one_takes_the_place_of_what_was_under_way() {
    for before in [true, false] {
        let mut lane = Lane::new(Path::Stream);
        lane.push(b"a");
        let old = lane.sent(at(0)).expect("it is late");
        lane.sending.detach();
        if before {
            lane.push(b"b");
            assert_eq!(lane.outcomes(), [], "the attached may say that it was delivered");
        }
        lane.connect(Path::Stream, true);
        if !before {
            lane.push(b"b");
        }
        assert_eq!(lane.outcomes(), [(0, Outcome::Gone)]);
        assert_eq!(message(lane.carry(at(0)).as_ref()), b"b");
        lane.receiving.receive(at(0), old).expect("late, no more");
        assert_eq!(lane.receiving.next_delivery(), None, "never backwards");
    }
}

#[test]
fn a_new_receiver_gets_what_was_under_way() {
    let mut lane = Lane::new(Path::Stream);
    lane.push(b"a");
    assert!(lane.carry(at(0)).is_some());
    lane.receiving = Latest.receiving(lane.sending.base(), LIMITS);
    lane.connect(Path::Stream, false);
    let again = lane.carry(at(0));
    assert_eq!(message(again.as_ref()), b"a");
    lane.done(again);
    assert_eq!(lane.outcomes(), [(0, Outcome::Delivered)]);
}

#[test]
fn a_relay_is_asked_again_until_it_answers() {
    let mut lane = Lane::new(Path::Relay);
    lane.push(b"a");
    lane.sent(at(0)).expect("it is lost");
    let due = lane.sending.deadline().expect("nobody said anything");
    lane.sending.expire(due);
    let delivery = lane.carry(due);
    assert_eq!(message(delivery.as_ref()), b"a");
    lane.receiving.done(0, Some(Bytes::new()));
    assert!(lane.receiving.next_frame(due).is_some(), "and it is lost");
    let due = lane.sending.deadline().expect("nobody said anything");
    lane.sending.expire(due);
    assert_eq!(lane.carry(due), None, "it has it");
    lane.answer();
    assert_eq!(lane.outcomes(), [(0, Outcome::Delivered)]);
    assert_eq!(lane.sending.deadline(), None);
}

#[test]
fn what_is_overdue_is_given_up_and_a_stream_still_holds_it() {
    for path in [Path::Stream, Path::Relay] {
        let mut lane = Lane::new(path);
        lane.push(b"a");
        let first = lane.carry(at(0));
        lane.push_at(at(8_000), b"b");
        lane.sending.expire(at(9_000));
        lane.check();
        assert_eq!(lane.outcomes(), [(0, Outcome::TimedOut)]);
        // Over a stream the application's word comes, sooner or later. Over a relay nobody asks.
        assert_eq!(lane.sending.has_frame(), path == Path::Relay);
        lane.done(first);
        let second = lane.carry(at(9_000));
        assert_eq!(message(second.as_ref()), b"b", "{path:?}");
        lane.done(second);
        assert_eq!(lane.outcomes(), [(1, Outcome::Delivered)]);
        lane.push_at(at(10_000), b"c");
        lane.sending.detach();
        lane.sending.expire(at(19_000));
        assert_eq!(lane.outcomes(), [(2, Outcome::TimedOut)], "it waited too long");
    }
}

#[test]
fn what_no_honest_half_says_is_nonsense_and_changes_nothing() {
    let mut lane = Lane::new(Path::Stream);
    lane.push(b"a");
    lane.sent(at(0)).expect("one");
    let ack = |number| Frame { tag: ACK, number, body: Bytes::new() };
    let long = Frame { body: Bytes::from_static(b"?"), ..ack(1) };
    for frame in [ack(2), ack(u64::MAX), long, Frame { tag: DATA, ..ack(1) }] {
        assert!(lane.sending.receive(at(0), frame).is_err());
    }
    let attached = Attached { resumed: true, heard: 2 };
    assert!(lane.sending.attach(at(0), Path::Stream, attached).is_err());
    assert_eq!(lane.outcomes(), []);
    let data = |number| Frame { tag: DATA, number, body: Bytes::new() };
    assert!(lane.receiving.receive(at(0), data(u64::MAX)).is_err());
    assert!(lane.receiving.receive(at(0), ack(0)).is_err());
    assert_eq!(lane.receiving.next_delivery(), None);
    lane.receiving.done(5, Some(Bytes::new()));
    assert_eq!(lane.receiving.heard(), 0, "nobody has it");
}

#[test]
fn nothing_is_left_of_what_is_abandoned() {
    let mut lane = Lane::new(Path::Relay);
    lane.push(b"a");
    lane.sent(at(0)).expect("one");
    lane.push(b"b");
    lane.sending.abandon();
    lane.check();
    assert_eq!(lane.outcomes(), [(0, Outcome::Gone), (1, Outcome::Shed)]);
    assert_eq!((lane.sending.depth(), lane.sending.deadline()), (Depth::default(), None));
}

#[test]
fn what_the_old_path_may_have_lost_is_said_on_the_new_one() {
    let mut lane = Lane::new(Path::Stream);
    lane.push(b"a");
    let delivery = lane.carry(at(0)).expect("it came");
    let attached = Attached { resumed: true, heard: lane.receiving.heard() };
    lane.receiving.done(delivery.number, Some(Bytes::new()));
    assert!(lane.receiving.next_frame(at(0)).is_some(), "after the attached, on the old path");
    lane.receiving.attach(at(0), Path::Stream);
    lane.sending.attach(at(0), Path::Stream, attached).expect("honest");
    assert!(lane.sent(at(0)).is_some(), "again, and on its way");
    lane.answer();
    assert_eq!(lane.outcomes(), [(0, Outcome::Delivered)]);
}

#[test]
fn what_is_dropped_is_told_also_on_the_next_path() {
    for lost in [false, true] {
        for path in [Path::Stream, Path::Relay] {
            let mut lane = Lane::new(Path::Stream);
            lane.push(b"a");
            let first = lane.carry(at(0)).expect("it came");
            lane.push(b"b");
            lane.receiving.done(first.number, None);
            if lost {
                assert!(lane.receiving.next_frame(at(0)).is_some());
                lane.connect(path, true);
                assert_eq!(lane.outcomes(), [(0, Outcome::Gone)], "there is a newer one");
            } else {
                lane.answer();
                assert_eq!(lane.outcomes(), [(0, Outcome::Dropped)]);
            }
            let second = lane.carry(at(0)).expect("it came");
            assert_eq!(&*second.message, b"b");
            lane.receiving.done(second.number, None);
            if lost {
                assert!(lane.receiving.next_frame(at(0)).is_some());
                lane.connect(path, true);
                assert_eq!(lane.carry(at(0)), None, "it is not delivered twice");
            }
            lane.answer();
            assert_eq!(lane.outcomes(), [(1, Outcome::Dropped)]);
            lane.push(b"c");
            let third = lane.carry(at(0));
            lane.done(third);
            assert_eq!(lane.outcomes(), [(2, Outcome::Delivered)]);
        }
    }
}
