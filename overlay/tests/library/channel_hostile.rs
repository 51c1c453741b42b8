//! The halves of a lane believe nothing that the other side says.
//!
//! Whatever frames, welcomes and applications come up with: no panic, every invariant holds, what a
//! half keeps is within its limits, and every message has one outcome.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use murmurate::channel::{
    Acknowledged, Attached, BestEffort, Frame, Kind, LaneLimits, Latest, Path, Receiving, Request,
    Sending,
};
use murmurate::membership::Time;
use proptest::prelude::*;

const KINDS: [&dyn Kind; 4] = [&BestEffort, &Acknowledged, &Latest, &Request];
const LIMITS: LaneLimits = LaneLimits { messages: 5, bytes: 60, timeout: Duration::from_secs(3) };

#[derive(Debug, Clone)]
enum Step {
    Push(usize),
    Shed,
    /// The half says all it has to say, so many frames at most.
    Say(usize),
    Hear(Frame),
    Attach(Path, Attached),
    Detach,
    Take,
    Done(u64, Option<usize>),
    Wait(u64),
    Abandon,
}

/// Small numbers, which may fit, and those at the ends.
fn numbers() -> impl Strategy<Value = u64> {
    prop_oneof![8 => 0..12u64, 2 => 50..80u64, 1 => 1_000..1_100u64, 1 => u64::MAX - 70..=u64::MAX]
}

fn frames() -> impl Strategy<Value = Frame> {
    let body = prop_oneof![
        3 => Just(0),
        3 => 1..40usize,
        2 => Just(8),
        1 => 50..100usize
    ];
    (prop_oneof![9 => 0..3u8, 1 => any::<u8>()], numbers(), body, any::<u8>()).prop_map(
        |(tag, number, bytes, fill)| Frame { tag, number, body: Bytes::from(vec![fill; bytes]) },
    )
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let path = prop_oneof![Just(Path::Stream), Just(Path::Relay)];
    let attach = (path, any::<bool>(), numbers())
        .prop_map(|(path, resumed, heard)| Step::Attach(path, Attached { resumed, heard }));
    let step = prop_oneof![
        6 => (0..30usize).prop_map(Step::Push),
        1 => Just(Step::Shed),
        4 => (0..10usize).prop_map(Step::Say),
        12 => frames().prop_map(Step::Hear),
        4 => attach,
        1 => Just(Step::Detach),
        4 => Just(Step::Take),
        4 => (numbers(), prop::option::of(0..100usize)).prop_map(|(n, a)| Step::Done(n, a)),
        2 => (0..2_000u64).prop_map(Step::Wait),
        1 => Just(Step::Abandon),
    ];
    prop::collection::vec(step, 0..120)
}

/// A sending half, and how many outcomes each message has.
struct Sender {
    half: Box<dyn Sending>,
    outcomes: BTreeMap<u64, usize>,
    now: Time,
}

impl Sender {
    fn step(&mut self, step: Step) {
        match step {
            Step::Push(bytes) => {
                if let Ok(ticket) = self.half.push(self.now, Bytes::from(vec![0; bytes])) {
                    assert_eq!(self.outcomes.insert(ticket, 0), None);
                }
            }
            Step::Shed => {
                self.half.shed_oldest();
            }
            Step::Say(frames) => {
                for _ in 0..frames {
                    let had = self.half.has_frame();
                    assert_eq!(had, self.half.next_frame(self.now).is_some());
                }
            }
            Step::Hear(frame) => drop(self.half.receive(self.now, frame)),
            Step::Attach(path, attached) => drop(self.half.attach(self.now, path, attached)),
            Step::Detach => self.half.detach(),
            Step::Wait(millis) => {
                self.now = self.now.after(Duration::from_millis(millis));
                self.half.expire(self.now);
                assert!(self.half.deadline().is_none_or(|deadline| deadline > self.now));
            }
            Step::Abandon => self.half.abandon(),
            Step::Take | Step::Done(..) => {}
        }
        while let Some((ticket, _)) = self.half.settled() {
            *self.outcomes.get_mut(&ticket).expect("it was pushed") += 1;
        }
        self.half.check().expect("every invariant holds");
        let open = self.outcomes.values().filter(|outcomes| **outcomes == 0).count();
        assert!(self.outcomes.values().all(|outcomes| *outcomes <= 1), "one outcome each");
        assert_eq!(self.half.depth().messages, open);
    }
}

fn receive(half: &mut dyn Receiving, now: &mut Time, step: Step) {
    match step {
        Step::Hear(frame) => {
            let before = (half.heard(), half.depth());
            if half.receive(*now, frame).is_err() {
                assert_eq!((half.heard(), half.depth()), before, "nothing of it was used");
            }
        }
        Step::Say(frames) => (0..frames).for_each(|_| drop(half.next_frame(*now))),
        Step::Attach(path, _) => half.attach(*now, path),
        Step::Detach => half.detach(),
        Step::Take => drop(half.next_delivery()),
        Step::Done(number, answer) => {
            half.done(number, answer.map(|bytes| Bytes::from(vec![1; bytes])));
        }
        Step::Wait(millis) => *now = now.after(Duration::from_millis(millis)),
        Step::Push(_) | Step::Shed | Step::Abandon => {}
    }
    half.check().expect("every invariant holds");
    half.depth().check(LIMITS).expect("within the limits");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..Default::default() })]

    #[test]
    fn a_sending_half_survives_whatever_it_hears(steps in steps()) {
        for kind in KINDS {
            let half = kind.sending(LIMITS);
            let mut sender = Sender { half, outcomes: BTreeMap::new(), now: Time::ZERO };
            steps.iter().for_each(|step| sender.step(step.clone()));
            sender.step(Step::Abandon);
            assert_eq!(sender.half.depth().messages, 0, "all have an outcome in the end");
        }
    }

    #[test]
    fn a_receiving_half_survives_whatever_it_hears(base in numbers(), steps in steps()) {
        for kind in KINDS {
            let mut half = kind.receiving(base, LIMITS);
            let mut now = Time::ZERO;
            for step in &steps {
                receive(&mut *half, &mut now, step.clone());
            }
        }
    }
}
