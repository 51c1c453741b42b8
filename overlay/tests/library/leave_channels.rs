//! A node that leaves still delivers what its channels have taken.

use std::pin::pin;
use std::time::Duration;

use futures::FutureExt;
use murmurate::{Channel, Endpoint, Limits, Multiaddr, Node, SendError, Undelivered};
use tokio::time::Instant;

use crate::wait::{FOREVER, soon};

async fn node(channel: &Channel, leave_wait: Duration) -> Node {
    let anywhere: Multiaddr = "/ip4/127.0.0.1/tcp/0".parse().expect("an address");
    let limits = Limits { leave_wait, ..Limits::default() };
    let builder = Node::builder().listen(anywhere).limits(limits).channel(channel.clone());
    builder.spawn().await.expect("a node")
}

/// Two nodes, joined, and their ends of the channel.
async fn pair(channel: Channel, leave_wait: Duration) -> ([Node; 2], [Endpoint; 2]) {
    let nodes = [node(&channel, leave_wait).await, node(&channel, leave_wait).await];
    soon(nodes[1].join(nodes[0].addresses())).await.expect("joined");
    let ends = [0, 1].map(|at: usize| nodes[at].channel("c").expect("declared"));
    (nodes, ends)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_taken_is_acknowledged_and_nothing_more_is_taken() {
    let channel = Channel::acknowledged("c").timeout(FOREVER).queue(100, 1 << 20);
    let ([one, two], [from, to]) = pair(channel, FOREVER).await;
    let mut receipts = Vec::new();
    for number in 0..100u8 {
        receipts.push(soon(from.send(two.id(), vec![number])).await.expect("taken"));
    }
    let mut waits = pin!(from.send(two.id(), "no room"));
    assert!(waits.as_mut().now_or_never().is_none(), "it waits for room");
    let leaves = tokio::spawn({
        let one = one.clone();
        async move { one.leave().await }
    });
    assert_eq!(soon(waits).await.map(drop), Err(SendError::Ended), "it was not taken");
    let late = soon(from.send(two.id(), "too late")).await.map(drop);
    assert_eq!(late, Err(SendError::Ended));
    for number in 0..100u8 {
        assert!(!leaves.is_finished(), "{number} and those after it are not received yet");
        let received = soon(to.receive()).await.expect("a message");
        assert_eq!(received.data, vec![number]);
        received.ack();
    }
    for receipt in receipts {
        soon(receipt).await.expect("delivered");
    }
    // It does not wait for more.
    soon(leaves).await.expect("it ran").expect("left");
}

/// Nobody acknowledges them: they are read to the end of their stream.
#[test]
fn best_effort_messages_are_written_although_the_process_ends_right_after() {
    const MESSAGES: u32 = 2_000;
    let stays = tokio::runtime::Runtime::new().expect("a runtime");
    let channel = Channel::best_effort("c");
    let receiver = stays.block_on(node(&channel, FOREVER));
    let leaves = tokio::runtime::Runtime::new().expect("a runtime");
    leaves.block_on(async {
        let sender = node(&channel, FOREVER).await;
        soon(sender.join(receiver.addresses())).await.expect("joined");
        let to = sender.channel("c").expect("declared").to(receiver.id());
        for number in 0..MESSAGES {
            let message = [&number.to_le_bytes()[..], &[0; 1_000]].concat();
            drop(soon(to.send(message)).await.expect("taken"));
        }
        soon(sender.leave()).await.expect("left");
    });
    leaves.shutdown_background();
    stays.block_on(async {
        let channel = receiver.channel("c").expect("declared");
        for number in 0..MESSAGES {
            let received = soon(channel.receive()).await.expect("a message");
            assert_eq!(received.data[..4], number.to_le_bytes());
        }
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_hangs_is_waited_for_only_so_long() {
    let wait = Duration::from_millis(500);
    let channel = Channel::acknowledged("c").timeout(FOREVER);
    let ([one, two], [from, _to]) = pair(channel, wait).await;
    let receipt = soon(from.send(two.id(), "never received")).await.expect("taken");
    let since = Instant::now();
    soon(one.leave()).await.expect("left");
    assert!(since.elapsed() >= wait, "{:?}", since.elapsed());
    assert_eq!(soon(receipt).await, Err(Undelivered::Gone));
}
