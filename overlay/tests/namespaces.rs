//! Real processes, in network namespaces joined by a bridge, through real faults.
//!
//! Each scenario has a bridge of its own, kills, stops, cuts or slows some of its nodes, and then
//! asks for one overlay again, without help and in time: one component over the living nodes'
//! active views, every link held by both ends, and a fresh broadcast of every living node
//! delivered to all others. Needs root, `ip`, `nft` and `tc`; without them all are reported as ignored.
//!
//! | room | what |
//! |---|---|
//! | `bed` | namespaces, bridge, faults of the network |
//! | `node` | what a node's process does: this program, started again |
//! | `talk` | what controller and nodes say to each other |
//! | `flock` | the processes of a scenario, and what must hold of them |
//! | `crashes`, `cuts`, `reunion`, `crowd`, `slow`, `channels`, `pressure` | the scenarios |

#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "clippy takes the helpers of a test for production code"
)]

#[path = "namespaces/bed.rs"]
mod bed;
#[path = "namespaces/channels.rs"]
mod channels;
#[path = "namespaces/crashes.rs"]
mod crashes;
#[path = "namespaces/crowd.rs"]
mod crowd;
#[path = "namespaces/cuts.rs"]
mod cuts;
#[path = "namespaces/flock.rs"]
mod flock;
mod harness;
#[path = "namespaces/node.rs"]
mod node;
#[path = "namespaces/pressure.rs"]
mod pressure;
#[path = "namespaces/reunion.rs"]
mod reunion;
#[path = "namespaces/slow.rs"]
mod slow;
#[path = "namespaces/talk.rs"]
mod talk;

use std::process::ExitCode;

fn main() -> ExitCode {
    // The scenarios start this program once more for each node.
    node::run_if_told();
    // Those that take longest come first.
    let tests = harness::tests![
        cuts::a_lossy_network_over_tcp,
        cuts::a_lossy_network_over_quic,
        reunion::halves_are_one_again_whatever_restarted,
        channels::acknowledged_at_30_percent_loss,
        channels::a_receiver_that_is_killed_and_comes_back,
        channels::connections_that_are_reset,
        channels::a_cut_one_way,
        channels::a_partition_and_its_healing,
        crashes::six_of_twenty_are_killed,
        crashes::what_only_a_dead_neighbour_was_sent_goes_to_the_next_one,
        crashes::one_of_twenty_is_stopped_and_goes_on,
        crashes::restarts_and_recycled_addresses,
        crowd::two_hundred_join_at_once,
        cuts::a_one_way_cut,
        cuts::a_one_way_cut_the_other_way,
        cuts::a_cable_pulled,
        cuts::a_path_on_which_large_packets_vanish,
        cuts::nodes_with_more_addresses_than_they_tell,
        cuts::a_partition_into_halves,
        pressure::a_receiver_that_is_stopped_holds_up_nobody_else,
        pressure::an_application_that_takes_no_acknowledged_messages_still_takes_others,
        pressure::an_application_that_takes_no_best_effort_messages_still_takes_others,
        slow::a_stopped_peer_slows_nobody,
        slow::a_throttled_peer_slows_nobody,
    ];
    // They wait most of the time.
    harness::run_at_a_time(8, tests, || {
        bed::sweep();
        harness::debian(&["iproute2", "nftables"], bed::works)
    })
}
