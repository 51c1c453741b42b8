//! Any input in any state: no panic, every invariant, every view change announced once.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;

use murmurate::membership::Time;
use murmurate::membership::static_overlay::{Message, Parameters, Timer};

use crate::host::{Hosted, Id, Input, expired, receive};

fn any_id() -> impl Strategy<Value = Id> {
    (0..12u16, 0..4u8).prop_map(|(node, incarnation)| Id { node, incarnation })
}

fn any_message() -> impl Strategy<Value = Message> {
    // Few numbers, so that some are those of links that exist.
    let link = prop_oneof![4 => 0..12u16, 1 => any::<u16>()];
    prop_oneof![
        3 => link.clone().prop_map(|link| Message::Hello { link }),
        3 => link.clone().prop_map(|link| Message::Accept { link }),
        2 => (link.clone(), any::<bool>())
            .prop_map(|(link, leaving)| Message::Disconnect { link, leaving }),
        1 => link.prop_map(|link| Message::Keepalive { link }),
    ]
}

fn any_input() -> impl Strategy<Value = Input> {
    let timer = prop_oneof![Just(Timer::Keepalive), Just(Timer::Request)];
    prop_oneof![
        40 => (any_id(), any_message()).prop_map(|(from, message)| receive(from, message)),
        10 => timer.prop_map(expired),
        8 => any_id().prop_map(Input::LinkDown),
        4 => any_id().prop_map(Input::Restarted),
        5 => vec(any_id(), 0..4).prop_map(Input::Join),
    ]
}

proptest! {
    #[test]
    fn any_input_in_any_state(
        steps in vec((any_input(), 0..3_000u64), 1..120),
        seed in any::<u64>(),
        repair in any::<bool>(),
        leave_at in 0..160usize,
    ) {
        let small = Parameters {
            neighbors_capacity: 5,
            repair,
            keepalive_misses: 1,
            redial_pause: Duration::from_secs(10),
            ..Parameters::default()
        };
        let me = Id { node: 5, incarnation: 1 };
        let mut peer = Hosted::new(me, &Arc::new(small.check().unwrap()), seed);
        let (mut now, mut given) = (Time::ZERO, BTreeSet::new());
        for (step, (input, pause)) in steps.into_iter().enumerate() {
            now = now.after(Duration::from_millis(pause));
            // The timers the host owes, among those nobody armed.
            if pause % 3 == 0 && peer.awaits(Timer::Request) {
                peer.feed(now, expired(Timer::Request));
            }
            if step == leave_at {
                peer.feed(now, Input::Leave);
            }
            if let Input::Join(contacts) = &input {
                given.extend(contacts.iter().map(|contact| contact.node));
            }
            peer.feed(now, input);
        }
        let asks = |(_, said): &&(Id, Message)| matches!(said, Message::Hello { .. });
        for (asked, _) in peer.sent.iter().filter(asks) {
            prop_assert!(given.contains(&asked.node), "{asked:?} is no contact");
        }
    }
}
