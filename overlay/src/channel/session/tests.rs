//! The rules of both ends, one test each.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::time::Duration;

use bytes::Bytes;
use murmurate_membership::Time;

use super::*;
use crate::channel::{Acknowledged, Kind, LaneLimits, Latest, Outcome, Path};

const LIMITS: LaneLimits =
    LaneLimits { messages: 100, bytes: 1_000, timeout: Duration::from_secs(3_600) };
const TIMEOUTS: Timeouts =
    Timeouts { handshake: Duration::from_secs(5), idle: Duration::from_secs(30) };
const HALF: Half = Half { started: 1, number: 7 };

fn at(millis: u64) -> Time {
    Time::ZERO.after(Duration::from_millis(millis))
}

fn sender() -> SenderSession {
    SenderSession::new(Acknowledged.sending(LIMITS), TIMEOUTS, 3)
}

fn receiver(half: Half) -> ReceiverSession {
    ReceiverSession::new(Acknowledged.receiving(0, LIMITS), half, 3)
}

/// One with a message that waits, and a path that was greeted on: the greeting.
fn greeted(sender: &mut SenderSession, now: Time, path: Path) -> Greeting {
    assert_eq!(sender.wants_path(now, false), Want::Path);
    sender.opened(now, path);
    sender.greeting().expect("a path is greeted on")
}

/// Connects the two ends, and carries what they say until they have nothing to say.
fn connect(sender: &mut SenderSession, receiver: &mut ReceiverSession, now: Time, path: Path) {
    let greeting = greeted(sender, now, path);
    assert_eq!(receiver.fit(greeting, path), Fit::Resumes);
    let welcome = receiver.greet(now, greeting, path);
    assert_eq!(sender.welcome(now, welcome), Ok(true));
    assert_eq!(sender.attached(), Some(receiver.half()));
    carry(sender, receiver, now);
}

fn carry(sender: &mut SenderSession, receiver: &mut ReceiverSession, now: Time) {
    loop {
        let frame = sender.next_frame(now);
        let back = receiver.next_frame(now);
        if frame.is_none() && back.is_none() {
            return;
        }
        frame.into_iter().for_each(|frame| receiver.receive(now, frame).expect("honest"));
        back.into_iter().for_each(|frame| sender.receive(now, frame).expect("honest"));
    }
}

fn taken(receiver: &mut ReceiverSession) -> Vec<u8> {
    let deliveries = core::iter::from_fn(|| receiver.next_delivery());
    deliveries.map(|delivery| delivery.message[0]).collect()
}

fn push(sender: &mut SenderSession, now: Time, body: u8) {
    sender.push(now, Bytes::from(alloc::vec![body])).expect("room");
}

fn outcomes(sender: &mut SenderSession) -> Vec<Outcome> {
    core::iter::from_fn(|| sender.half_mut().settled()).map(|(_, outcome)| outcome).collect()
}

#[test]
fn a_path_is_wanted_when_something_waits() {
    let mut sender = sender();
    assert_eq!((sender.wants_path(at(0), false), sender.deadline()), (Want::Nothing, None));
    assert_eq!(sender.wants_path(at(0), true), Want::Path, "somebody waits to know");
    assert_eq!(sender.wants_path(at(0), true), Want::Nothing, "it was asked for");
    assert_eq!(sender.end(at(1), End::Silent), Next::GaveUp);
    push(&mut sender, at(2), 0);
    assert_eq!(sender.wants_path(at(2), false), Want::Path);
}

#[test]
fn whoever_knows_the_half_resumes() {
    let (mut sender, mut receiver) = (sender(), receiver(HALF));
    push(&mut sender, at(0), 1);
    connect(&mut sender, &mut receiver, at(0), Path::Stream);
    assert_eq!(taken(&mut receiver), [1]);
    assert_eq!(sender.end(at(10), End::Broken), Next::Retries);
    receiver.detach(at(10));
    push(&mut sender, at(11), 2);
    let Want::Later(then) = sender.wants_path(at(11), false) else { panic!("it pauses") };
    assert!((at(35)..=at(60)).contains(&then), "{then:?}: half of 50 ms at least");
    connect(&mut sender, &mut receiver, then, Path::Stream);
    assert_eq!(taken(&mut receiver), [2], "and what was taken is not delivered again");
    receiver.done(0, Some(Bytes::new()));
    receiver.done(1, Some(Bytes::new()));
    carry(&mut sender, &mut receiver, then);
    assert_eq!(outcomes(&mut sender), [Outcome::Delivered, Outcome::Delivered]);
}

#[test]
fn another_half_does_not_resume() {
    let (mut sender, mut receiver) = (sender(), receiver(HALF));
    push(&mut sender, at(0), 1);
    connect(&mut sender, &mut receiver, at(0), Path::Stream);
    assert_eq!(sender.end(at(10), End::Broken), Next::Retries);
    let mut other = self::receiver(Half { started: 2, ..HALF });
    connect(&mut sender, &mut other, at(1_000), Path::Stream);
    assert_eq!(outcomes(&mut sender), [Outcome::Gone], "it may have been delivered");
    assert!(taken(&mut other).is_empty(), "so it is not sent again");
}

#[test]
fn pauses_grow_to_two_seconds() {
    let (mut sender, mut receiver) = (sender(), receiver(HALF));
    push(&mut sender, at(0), 1);
    connect(&mut sender, &mut receiver, at(0), Path::Stream);
    let mut now = at(10);
    assert_eq!(sender.end(now, End::Broken), Next::Retries);
    let mut longest = Duration::ZERO;
    for _ in 0..20 {
        let Want::Later(then) = sender.wants_path(now, false) else { panic!("it pauses") };
        longest = longest.max(then.since(now));
        now = then;
        assert_eq!(sender.wants_path(now, false), Want::Path);
        assert_eq!(sender.end(now, End::Silent), Next::Retries, "whom it knows may come back");
    }
    assert!((Duration::from_secs(1)..=Duration::from_secs(2)).contains(&longest), "{longest:?}");
}

#[test]
fn what_may_get_lost_is_asked_for_five_times() {
    let mut sender = sender();
    push(&mut sender, at(0), 1);
    let mut attempts = Vec::from([greeted(&mut sender, at(0), Path::Relay).attempt]);
    for until in [1_000, 3_000, 6_000, 10_000] {
        assert_eq!(sender.expire(at(until - 1)), None);
        assert!(sender.greeting().is_none());
        assert_eq!(sender.expire(at(until)), None);
        attempts.push(sender.greeting().expect("another one").attempt);
    }
    assert_eq!(attempts, [1, 2, 3, 4, 5]);
    assert_eq!(sender.expire(at(14_999)), None);
    assert_eq!(sender.expire(at(15_000)), Some((End::Silent, Next::GaveUp)), "it knows nobody");
    assert_eq!(outcomes(&mut sender), [Outcome::Shed]);
}

#[test]
fn a_stream_is_greeted_on_once() {
    let mut sender = sender();
    push(&mut sender, at(0), 1);
    greeted(&mut sender, at(0), Path::Stream);
    assert_eq!((sender.expire(at(4_999)), sender.greeting()), (None, None));
    assert_eq!(sender.expire(at(5_000)), Some((End::Silent, Next::GaveUp)));
}

#[test]
fn only_the_answer_to_the_last_greeting_counts() {
    let (mut sender, mut receiver) = (sender(), receiver(HALF));
    push(&mut sender, at(0), 1);
    let first = greeted(&mut sender, at(0), Path::Relay);
    sender.expire(at(1_000));
    let second = sender.greeting().expect("another one");
    let late = receiver.greet(at(1_001), first, Path::Relay);
    assert!(!sender.awaits(first.attempt) && sender.awaits(second.attempt));
    assert_eq!(sender.welcome(at(1_002), late), Ok(false));
    assert_eq!(sender.attached(), None);
    let answer = receiver.greet(at(1_003), second, Path::Relay);
    assert_eq!(receiver.fit(first, Path::Relay), Fit::Old, "it comes once more");
    assert_eq!(sender.welcome(at(1_004), answer), Ok(true));
    assert_eq!(sender.welcome(at(1_005), answer), Ok(false), "twice");
}

#[test]
fn refusals_prove_that_a_process_has_ended() {
    let (mut sender, mut receiver) = (sender(), receiver(HALF));
    push(&mut sender, at(0), 1);
    connect(&mut sender, &mut receiver, at(0), Path::Stream);
    sender.end(at(10), End::Broken);
    push(&mut sender, at(11), 2);
    let refused = |sender: &mut SenderSession, now| {
        assert_eq!(sender.wants_path(now, false), Want::Path);
        sender.end(now, End::Nobody)
    };
    assert_eq!(refused(&mut sender, at(100)), Next::Retries);
    assert!(outcomes(&mut sender).is_empty(), "it may have been between two addresses");
    assert_eq!(refused(&mut sender, at(1_000)), Next::Retries);
    assert_eq!(outcomes(&mut sender), [Outcome::Gone], "and what was not sent waits");
    assert_eq!(refused(&mut sender, at(3_000)), Next::Retries);
    assert_eq!(refused(&mut sender, at(6_000)), Next::GaveUp, "for three seconds");
    assert_eq!(outcomes(&mut sender), [Outcome::Shed]);
    assert!(!sender.knows());
}

#[test]
fn the_next_start_gets_what_was_not_sent() {
    let (mut sender, mut receiver) = (sender(), receiver(HALF));
    push(&mut sender, at(0), 1);
    connect(&mut sender, &mut receiver, at(0), Path::Stream);
    sender.end(at(10), End::Broken);
    push(&mut sender, at(11), 2);
    for now in [at(1_000), at(2_000)] {
        assert_eq!(sender.wants_path(now, false), Want::Path);
        assert_eq!(sender.end(now, End::Nobody), Next::Retries);
    }
    let mut next = self::receiver(Half { started: 2, ..HALF });
    connect(&mut sender, &mut next, at(3_000), Path::Stream);
    assert_eq!((outcomes(&mut sender), taken(&mut next)), (Vec::from([Outcome::Gone]), [2].into()));
}

#[test]
fn silence_is_doubted() {
    for (path, silence) in [(Path::Stream, 3_000), (Path::Relay, 15_000)] {
        let (mut sender, mut receiver) = (sender(), receiver(HALF));
        push(&mut sender, at(0), 1);
        connect(&mut sender, &mut receiver, at(0), path);
        // A pusher that goes on is no sign of life from the other end.
        push(&mut sender, at(2_000), 2);
        assert_eq!(sender.expire(at(silence - 1)), None);
        assert_eq!(sender.expire(at(silence)), Some((End::Broken, Next::Retries)), "{path:?}");
    }
}

/// A stream to a process that is gone, of which nobody told: what waits for it is given up, again and
/// again.
#[test]
fn silence_is_doubted_although_messages_are_given_up_before() {
    let limits = LaneLimits { timeout: Duration::from_secs(2), ..LIMITS };
    let mut sender = SenderSession::new(Acknowledged.sending(limits), TIMEOUTS, 3);
    let mut receiver = receiver(HALF);
    push(&mut sender, at(0), 1);
    connect(&mut sender, &mut receiver, at(0), Path::Stream);
    assert_eq!(sender.expire(at(2_000)), None);
    assert_eq!(outcomes(&mut sender), [Outcome::TimedOut]);
    push(&mut sender, at(2_500), 2);
    assert_eq!(sender.expire(at(3_000)), Some((End::Broken, Next::Retries)));
}

#[test]
fn a_path_on_which_the_last_message_was_given_up_ends_by_itself() {
    let limits = LaneLimits { timeout: Duration::from_secs(2), ..LIMITS };
    let mut sender = SenderSession::new(Acknowledged.sending(limits), TIMEOUTS, 3);
    let mut receiver = receiver(HALF);
    push(&mut sender, at(0), 1);
    connect(&mut sender, &mut receiver, at(0), Path::Stream);
    assert_eq!(sender.expire(at(2_000)), None);
    assert_eq!(outcomes(&mut sender), [Outcome::TimedOut]);
    assert_eq!(sender.deadline(), Some(at(3_000)));
    assert_eq!(sender.expire(at(3_000)), Some((End::Idle, Next::Retries)));
    push(&mut sender, at(60_000), 2);
    assert_eq!(sender.wants_path(at(60_000), false), Want::Path, "without a pause");
}

#[test]
fn a_greeting_from_far_ahead_keeps_no_later_one_out() {
    let mut receiver = receiver(HALF);
    let greeting = |attempt| Greeting { epoch: 3, attempt, base: 0, proof: Some(HALF) };
    receiver.greet(at(0), greeting(7), Path::Relay);
    assert_eq!(receiver.fit(greeting(7), Path::Relay), Fit::Old);
    receiver.greet(at(1), greeting(u64::MAX), Path::Relay);
    assert_eq!(receiver.fit(greeting(8), Path::Relay), Fit::Resumes);
    receiver.greet(at(2), greeting(8), Path::Relay);
    assert_eq!(receiver.fit(greeting(7), Path::Relay), Fit::Old);
}

#[test]
fn a_path_that_nobody_uses_is_given_back() {
    let (mut sender, mut receiver) = (sender(), receiver(HALF));
    push(&mut sender, at(0), 1);
    connect(&mut sender, &mut receiver, at(0), Path::Stream);
    taken(&mut receiver);
    receiver.done(0, Some(Bytes::new()));
    carry(&mut sender, &mut receiver, at(1_000));
    assert_eq!(sender.deadline(), Some(at(31_000)));
    assert_eq!(sender.expire(at(30_999)), None);
    assert_eq!(sender.expire(at(31_000)), Some((End::Idle, Next::Retries)));
    assert_eq!(sender.wants_path(at(31_000), false), Want::Nothing);
    push(&mut sender, at(31_001), 2);
    assert_eq!(sender.wants_path(at(31_001), false), Want::Path, "without a pause");
}

#[test]
fn whoever_is_refused_gives_up() {
    let mut sender = sender();
    push(&mut sender, at(0), 1);
    greeted(&mut sender, at(0), Path::Stream);
    assert_eq!(sender.end(at(1), End::Refused), Next::GaveUp);
    assert_eq!(outcomes(&mut sender), [Outcome::Shed]);
    assert_eq!(sender.end(at(2), End::Refused), Next::Retries, "there is no path any more");
}

#[test]
fn greetings_fit_or_do_not() {
    let mut receiver = receiver(HALF);
    let greeting = |epoch, attempt, proof| Greeting { epoch, attempt, base: 0, proof };
    assert_eq!(receiver.fit(greeting(2, 9, None), Path::Stream), Fit::Old);
    assert_eq!(receiver.fit(greeting(4, 1, None), Path::Relay), Fit::Newer);
    receiver.greet(at(0), greeting(3, 5, None), Path::Relay);
    assert_eq!(receiver.fit(greeting(3, 5, None), Path::Relay), Fit::Old);
    assert_eq!(receiver.fit(greeting(3, 6, None), Path::Relay), Fit::Resumes);
    // Whoever opens a stream says it in order, whatever a liar has counted to.
    receiver.greet(at(1), greeting(3, u64::MAX, None), Path::Relay);
    assert_eq!(receiver.fit(greeting(3, 7, None), Path::Stream), Fit::Resumes);
    receiver.greet(at(2), greeting(3, 7, None), Path::Stream);
    assert_eq!(receiver.fit(greeting(3, 8, None), Path::Relay), Fit::Resumes, "nothing came yet");
    let mut sender = SenderSession::new(Acknowledged.sending(LIMITS), TIMEOUTS, 3);
    push(&mut sender, at(2), 1);
    connect(&mut sender, &mut receiver, at(2), Path::Stream);
    assert_eq!(receiver.fit(greeting(3, 9, None), Path::Relay), Fit::Unproven);
    let other = Half { number: 8, ..HALF };
    assert_eq!(receiver.fit(greeting(3, 9, Some(other)), Path::Relay), Fit::Unproven);
    assert_eq!(receiver.fit(greeting(3, 9, Some(HALF)), Path::Relay), Fit::Resumes);
}

#[test]
fn a_half_is_remembered_for_ten_minutes() {
    let (mut sender, mut receiver) = (sender(), receiver(HALF));
    push(&mut sender, at(0), 1);
    connect(&mut sender, &mut receiver, at(0), Path::Stream);
    assert!(!receiver.is_forgettable(at(700_000)), "it is served");
    receiver.detach(at(1_000));
    assert_eq!(receiver.detached(), Some(at(1_000)));
    assert!(!receiver.is_forgettable(at(601_000)));
    assert!(receiver.is_forgettable(at(601_001)));
}

/// The session of a node is moved between threads.
#[test]
fn sessions_are_send() {
    fn is_send<T: Send>(_: &T) {}
    is_send(&Box::new(sender()));
    is_send(&receiver(HALF));
}

/// As if its handler hung.
#[test]
fn what_was_given_up_holds_up_no_word_of_what_came_after_it() {
    let limits = LaneLimits { timeout: Duration::from_secs(2), ..LIMITS };
    for path in [Path::Stream, Path::Relay] {
        let mut sender = SenderSession::new(Acknowledged.sending(limits), TIMEOUTS, 3);
        let mut receiver = receiver(HALF);
        push(&mut sender, at(0), 0);
        connect(&mut sender, &mut receiver, at(0), path);
        push(&mut sender, at(1_500), 1);
        carry(&mut sender, &mut receiver, at(1_500));
        assert_eq!(taken(&mut receiver), [0, 1]);
        receiver.done(1, Some(Bytes::new()));
        assert_eq!(sender.expire(at(2_000)), None);
        carry(&mut sender, &mut receiver, at(2_000));
        assert_eq!(outcomes(&mut sender), [Outcome::TimedOut, Outcome::Delivered], "{path:?}");
        receiver.done(0, None);
        carry(&mut sender, &mut receiver, at(2_001));
        assert_eq!(outcomes(&mut sender), [], "{path:?}");
    }
}

#[test]
fn of_the_latest_an_old_one_holds_up_no_word_of_the_newest() {
    let mut sender = SenderSession::new(Latest.sending(LIMITS), TIMEOUTS, 3);
    let mut receiver = ReceiverSession::new(Latest.receiving(0, LIMITS), HALF, 3);
    push(&mut sender, at(0), 0);
    connect(&mut sender, &mut receiver, at(0), Path::Stream);
    assert_eq!(taken(&mut receiver), [0]);
    push(&mut sender, at(1), 1);
    sender.end(at(1), End::Broken);
    receiver.detach(at(1));
    let Want::Later(then) = sender.wants_path(at(1), false) else { panic!("it pauses") };
    connect(&mut sender, &mut receiver, then, Path::Stream);
    assert_eq!(taken(&mut receiver), [1]);
    receiver.done(1, Some(Bytes::new()));
    carry(&mut sender, &mut receiver, then);
    assert_eq!(outcomes(&mut sender), [Outcome::Gone, Outcome::Delivered]);
    receiver.done(0, None);
    carry(&mut sender, &mut receiver, then);
    assert_eq!(outcomes(&mut sender), []);
}
