//! A payload that is announced and does not come is asked for when its own wait is over, whatever else is
//! waited for.

use std::time::Duration;

use crate::common::*;
use murmurate::broadcast::plumtree::{Announcement, Parameters};
use murmurate::membership::Time;
use murmurate_simulator::SimPeer;

const MS: Duration = Duration::from_millis(1);

fn fetch(from: usize, id: u32) -> (SimPeer, TreeMessage) {
    (peer(from), TreeMessage::Fetch(Announcement { id, round: 2 }))
}

/// The tree brings so many payloads without delay.
fn bring(branch: &mut Branch, ids: std::ops::Range<u32>) {
    ids.for_each(|id| drop(branch.hear(peer(1), gossip(id, 1))));
}

/// Node 1 is the tree, nodes 2 and 3 announce. It has learned to wait no longer than it must.
fn short_timeouts() -> Branch {
    let mut branch = Branch::new(1, 2);
    bring(&mut branch, 1_000..1_600);
    branch.pass(secs(1));
    branch
}

#[test]
fn one_that_is_asked_for_again_holds_up_no_other() {
    let mut branch = short_timeouts();
    let wait = Parameters::default().least_graft_timeout;
    branch.hear(peer(2), ihave(1..2, 2));
    assert_eq!(branch.pass(wait), [fetch(2, 1)]);
    // It is asked for again ever later.
    for id in 2..50 {
        branch.pass(7 * MS);
        branch.hear(peer(3), ihave(id..id + 1, 2));
        assert!(!branch.pass(wait - MS).contains(&fetch(3, id)), "its time is not over");
        assert!(branch.pass(MS).contains(&fetch(3, id)), "{id} waits for others");
    }
}

/// Whoever had waited for long, and learned to be quick, kept to the long wait with what came next.
#[test]
fn a_shorter_wait_counts_from_the_next_announcement_on() {
    let Parameters { graft_timeout, least_graft_timeout: wait, .. } = Parameters::default();
    let mut branch = Branch::new(1, 2);
    branch.hear(peer(2), ihave(1..2, 2));
    bring(&mut branch, 1_000..1_600);
    branch.pass(graft_timeout / 10);
    for id in 2..5 {
        branch.hear(peer(3), ihave(id..id + 1, 2));
        assert!(!branch.pass(wait - MS).contains(&fetch(3, id)), "its time is not over");
        assert!(branch.pass(MS).contains(&fetch(3, id)), "{id} waits as long as the first");
        branch.pass(wait / 3);
    }
    // What was announced before keeps its time.
    let first = fetch(2, 1);
    let spent = branch.host.now().since(Time::ZERO);
    assert!(!branch.pass(graft_timeout - spent - MS).contains(&first));
    assert!(branch.pass(MS).contains(&first));
    for id in 1..5 {
        branch.hear(peer(2), repair(id, 2));
        branch.hear(peer(1), gossip(id, 1));
    }
    branch.pass(secs(20));
    assert!(branch.host.armed().is_empty(), "nothing is missing: {:?}", branch.host.armed());
}
