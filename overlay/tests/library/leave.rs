//! A node that leaves is heard to leave, however soon its process ends.

use murmurate::membership::DownReason;
use murmurate::{Ended, Event, Multiaddr, Node, NodeId};
use tokio::runtime::Runtime;
use tokio::sync::broadcast::Receiver;

use crate::wait::soon;

async fn node() -> Node {
    let anywhere: Multiaddr = "/ip4/127.0.0.1/tcp/0".parse().expect("an address");
    Node::builder().listen(anywhere).spawn().await.expect("a node")
}

/// Why this neighbour went.
async fn down(events: &mut Receiver<Event>, of: NodeId) -> DownReason {
    let told = async {
        loop {
            if let Event::NeighborDown { node, reason } = events.recv().await.expect("an event")
                && node == of
            {
                return reason;
            }
        }
    };
    soon(told).await
}

/// On one thread both ask before anything comes of it.
#[tokio::test]
async fn all_who_end_a_node_are_told_what_became_of_it() {
    let (stays, leaves) = (node().await, node().await);
    leaves.join(stays.addresses()).await.expect("joined");
    let mut events = stays.events();
    let left = tokio::join!(leaves.leave(), leaves.leave());
    assert_eq!(left, (Ok(()), Ok(())), "both asked for what happened");
    assert_eq!(down(&mut events, leaves.id()).await, DownReason::Left);
    assert_eq!((leaves.leave().await, leaves.shutdown().await), (Err(Ended), Err(Ended)));

    let ended = tokio::join!(stays.shutdown(), stays.shutdown(), stays.leave());
    assert_eq!(ended, (Ok(()), Ok(()), Err(Ended)), "it did not say goodbye");
}

#[test]
fn a_goodbye_is_heard_although_the_process_ends_right_after_it() {
    let staying = Runtime::new().expect("a runtime");
    let stays = staying.block_on(node());
    for round in 0..20 {
        let mut events = stays.events();
        let leaving = Runtime::new().expect("a runtime");
        let id = leaving.block_on(async {
            let leaves = node().await;
            leaves.join(stays.addresses()).await.expect("joined");
            leaves.leave().await.expect("left");
            leaves.id()
        });
        // Nothing of it runs from here on.
        leaving.shutdown_background();
        let reason = staying.block_on(down(&mut events, id));
        assert_eq!(reason, DownReason::Left, "round {round}");
    }
}
