//! Any input in any state: no panic, every invariant, every view change announced once.

use std::sync::Arc;
use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;

use murmurate::membership::Time;
use murmurate::membership::full_mesh::{Parameters, Timer};

use crate::host::{Hosted, Id, Input, Said, expired, receive};

fn any_id() -> impl Strategy<Value = Id> {
    (0..12u16, 0..4u8).prop_map(|(node, incarnation)| Id { node, incarnation })
}

fn any_message() -> impl Strategy<Value = Said> {
    // Few numbers, so that some are those of links that exist.
    let link = prop_oneof![4 => 0..12u16, 1 => any::<u16>()];
    prop_oneof![
        3 => link.clone().prop_map(|link| Said::Hello { link }),
        3 => link.clone().prop_map(|link| Said::Accept { link }),
        3 => vec(any_id(), 0..20).prop_map(|members| Said::Members(members.into_iter().collect())),
        2 => (link.clone(), any::<bool>())
            .prop_map(|(link, leaving)| Said::Disconnect { link, leaving }),
        1 => link.prop_map(|link| Said::Keepalive { link }),
    ]
}

fn any_input() -> impl Strategy<Value = Input> {
    let timer = prop_oneof![Just(Timer::Gossip), Just(Timer::Keepalive), Just(Timer::Request)];
    prop_oneof![
        40 => (any_id(), any_message())
            .prop_map(|(from, message)| receive(from, message)),
        10 => timer.prop_map(expired),
        8 => any_id().prop_map(Input::LinkDown),
        3 => vec(any_id(), 0..4).prop_map(Input::Join),
    ]
}

fn small() -> Parameters {
    Parameters {
        members_capacity: 6,
        requests_capacity: 3,
        contacts_capacity: 2,
        keepalive_misses: 1,
        redial_pause: Duration::from_secs(10),
        forget_after: Duration::from_secs(20),
        ..Parameters::default()
    }
}

proptest! {
    #[test]
    fn any_input_in_any_state(
        steps in vec((any_input(), 0..3_000u64), 1..120),
        seed in any::<u64>(),
        leave_at in 0..160usize,
    ) {
        let config = Arc::new(small().check().unwrap());
        let mut peer = Hosted::new(Id { node: 5, incarnation: 1 }, &config, seed);
        let mut now = Time::ZERO;
        for (step, (input, pause)) in steps.into_iter().enumerate() {
            now = now.after(Duration::from_millis(pause));
            // The timers the host owes, among those nobody armed.
            if pause % 3 == 0 && peer.awaits(Timer::Request) {
                peer.feed(now, expired(Timer::Request));
            }
            if step == leave_at {
                peer.feed(now, Input::Leave);
            }
            peer.feed(now, input);
        }
    }
}
