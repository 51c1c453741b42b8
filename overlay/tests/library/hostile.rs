//! No input breaks a peer: whatever anybody says, in any state, at any time.
//!
//! Thousands of random lives of one peer. Its neighbours lie, repeat themselves, speak for others,
//! come back from the dead and answer questions that nobody asked; its timers come late and in odd
//! order; time jumps. After every input the host (`hostile/host.rs`) holds the peer to its
//! invariants and to what a neighbour may rely on. A failure is shrunk to the shortest life that
//! shows it; `PROPTEST_RNG_SEED` and `PROPTEST_CASES` draw others.

mod acts;
mod host;
mod rules;
mod setup;

use std::cell::RefCell;
use std::sync::Arc;
use std::time::Duration;

use murmurate::broadcast::{AntiEntropy, Broadcast, Flood, Plumtree, anti_entropy, plumtree};
use murmurate::membership::hyparview;
use proptest::prelude::ProptestConfig;
use proptest::test_runner::{RngSeed, TestError, TestRunner};

use acts::{Act, Who, life};
use host::Host;
use rules::Tally;
use setup::{Blob, Name, Node, Setup, Speech};

const INPUTS: usize = 100;

#[test]
fn hyparview_and_plumtree_survive_anything() {
    let tally = survive(10_000, |setup| Plumtree::<Node, Name, Blob>::new(setup.plumtree()));
    // The lives are only worth something while they get around; these are half of what was seen.
    for (what, seen, least) in [
        ("links", tally.links, 50_000),
        ("links the peer asked for", tally.asked_links, 10_000),
        ("evictions", tally.evicted, 5_000),
        ("links renewed", tally.renewed, 10_000),
        ("restarts noticed", tally.restarted, 4_000),
        ("silent neighbours dropped", tally.silent, 2_500),
        ("isolations", tally.isolated, 10_000),
        ("ends of a link under an old number", tally.stale_ends, 3_000),
        ("deliveries", tally.delivered, 50_000),
        ("grafts", tally.grafts, 18_000),
        ("prunes", tally.prunes, 7_000),
        ("announcements", tally.ihaves, 5_000),
        ("requests called off", tally.called_off, 10_000),
        ("departures", tally.departures, 2_000),
    ] {
        assert!(chosen_cases() || seen >= least, "only {seen} {what}, expected {least}: {tally:?}");
    }
}

/// As in a node.
#[test]
fn anti_entropy_survives_anything() {
    let tally = survive(10_000, |setup| {
        // Longer than anything is under way, even at the end of time.
        let remembers =
            plumtree::Parameters { origin_idle: Duration::MAX, ..setup.broadcast.clone() };
        let remembers = remembers.check().expect("drawn within the ranges");
        let tree = Plumtree::<Node, Name, Blob>::new(Arc::new(remembers));
        AntiEntropy::new(tree, setup.anti_entropy())
    });
    for (what, seen, least) in [
        ("deliveries", tally.delivered, 25_000),
        ("comparisons", tally.compares, 55_000),
        ("lists", tally.haves, 2_000),
        ("wants", tally.wants, 2_900),
        ("replies", tally.replies, 3_100),
        ("losses told", tally.missed, 5_700),
    ] {
        assert!(chosen_cases() || seen >= least, "only {seen} {what}, expected {least}: {tally:?}");
    }
}

#[test]
fn hyparview_and_flood_survive_anything() {
    let tally = survive(3_000, |setup| Flood::<Node, Name, Blob>::new(setup.flood()));
    assert!(chosen_cases() || tally.links >= 15_000 && tally.delivered >= 7_000, "{tally:?}");
}

/// The life that `acts` make. Returns whom the peer asked for a link.
fn replay(acts: &[Act], membership: hyparview::Parameters, seed: u64) -> Vec<Node> {
    let (broadcast, anti_entropy) =
        (plumtree::Parameters::default(), anti_entropy::Parameters::default());
    let setup = Setup { membership, broadcast, anti_entropy, seed };
    let mut host = Host::new(&setup, Plumtree::<Node, Name, Blob>::new(setup.plumtree()));
    for act in acts {
        host.perform(act).expect("no rule is broken");
    }
    host.asked.iter().map(|(peer, _)| *peer).collect()
}

/// A peer that had left asked its contacts for a link whenever a connection closed.
#[test]
fn a_peer_that_left_asks_nobody() {
    let contact = Who::Node { node: 3, incarnation: 0 };
    let acts = [Act::Join(vec![contact]), Act::Leave, Act::LinkDown(contact)];
    replay(&acts, hyparview::Parameters::default(), 0);
}

/// A full list of contacts, all of them gone, left no room for those discovered later.
#[test]
fn new_contacts_take_the_place_of_old_ones() {
    let [old, new] = [1, 2].map(|node| Who::Node { node, incarnation: 0 });
    let membership =
        hyparview::Parameters { contacts_capacity: 1, ..hyparview::Parameters::default() };
    let mut acts = vec![Act::Join(vec![old]), Act::LinkDown(old), Act::Join(vec![new])];
    acts.extend([0, 1, 2, 3, 0, 1, 2, 3].map(|pick| Act::Expire { pick, late: Duration::ZERO }));
    assert!(replay(&acts, membership, 0).contains(&Node(2, 0)));
}

/// After 2¹⁶ requests in vain the count stood still: one contact was asked without a pause, the
/// others hardly ever.
#[test]
fn contacts_are_tried_in_turn_for_ever() {
    let contacts = [1, 2, 3].map(|node| Who::Node { node, incarnation: 0 });
    let refused = contacts.map(Act::LinkDown);
    let due = [0, 1, 2, 3].map(|pick| Act::Expire { pick, late: Duration::ZERO });
    let round: Vec<Act> = refused.into_iter().chain(due).collect();
    let mut acts = vec![Act::Join(contacts.to_vec())];
    for _ in 0..60_000 {
        acts.extend_from_slice(&round);
    }
    let membership =
        hyparview::Parameters { promotion_interval: None, ..hyparview::Parameters::default() };
    let asked = replay(&acts, membership, 0);
    for node in 1..=3 {
        let times = asked.iter().filter(|peer| peer.0 == node).count();
        assert!(times > asked.len() / 5, "{node} was asked {times} times of late: {asked:?}");
    }
}

/// The pause before a rejoin overflowed.
#[test]
fn the_longest_times_are_valid() {
    let longest = Duration::MAX;
    for seed in 0..50 {
        let membership = hyparview::Parameters {
            request_timeout: longest,
            rejoin_pause: longest,
            shuffle_interval: longest,
            promotion_interval: Some(longest),
            ..hyparview::Parameters::default()
        };
        let contact = Who::Node { node: 1, incarnation: 0 };
        replay(&[Act::Join(vec![contact]), Act::LinkDown(contact)], membership, seed);
    }
}

/// Whether somebody asked for another number of cases, to which the coverage does not apply.
fn chosen_cases() -> bool {
    std::env::var_os("PROPTEST_CASES").is_some()
}

/// Runs `cases` lives of [`INPUTS`] inputs in the mean.
fn survive<B>(cases: u32, broadcast: impl Fn(&Setup) -> B) -> Tally
where
    B: Broadcast<Peer = Node, Id = Name, Payload = Blob, Message: Speech + Clone> + std::fmt::Debug,
    B::Timer: PartialEq,
{
    let drawn = ProptestConfig::default();
    let seed = match drawn.rng_seed {
        RngSeed::Random => RngSeed::Fixed(1),
        fixed @ RngSeed::Fixed(_) => fixed,
    };
    let cases = if chosen_cases() { drawn.cases } else { cases };
    let config = ProptestConfig { cases, rng_seed: seed, failure_persistence: None, ..drawn };
    let tally = RefCell::new(Tally::default());
    let outcome =
        TestRunner::new(config).run(&(setup::any_setup(), life(INPUTS)), |(setup, acts)| {
            let mut host = Host::new(&setup, broadcast(&setup));
            for act in &acts {
                host.perform(act)?;
            }
            tally.borrow_mut().add(&host.tally);
            Ok(())
        });
    match outcome {
        Ok(()) => {}
        Err(TestError::Fail(reason, (setup, acts))) => {
            let acts: Vec<String> = acts.iter().map(|act| format!("    {act:?}\n")).collect();
            panic!("{reason}\n{setup:?}\n{}", acts.concat());
        }
        Err(TestError::Abort(reason)) => panic!("{reason}"),
    }
    tally.into_inner()
}
