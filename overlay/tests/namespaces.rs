//! Real processes, in network namespaces joined by a bridge, through real faults.
//!
//! Each scenario has a bridge of its own, kills, stops, cuts or slows some of its nodes, and then
//! asks for one overlay again, without help and in time: one component over the living nodes'
//! active views, every link held by both ends, and a fresh broadcast of every living node
//! delivered to all others. Needs root, `ip`, `nft` and `tc`; without them it says `SKIPPED:` and
//! passes.
//!
//! | room | what |
//! |---|---|
//! | `bed` | namespaces, bridge, faults of the network |
//! | `node` | what a node's process does: this program, started again |
//! | `talk` | what controller and nodes say to each other |
//! | `flock` | the processes of a scenario, and what must hold of them |
//! | `crashes`, `cuts`, `reunion`, `crowd`, `slow`, `channels`, `pressure` | the scenarios |

#![cfg(all(target_os = "linux", feature = "libp2p"))]
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

/// Not a test: the processes that the scenarios start.
#[test]
fn node_process() {
    node::run_if_told();
}
