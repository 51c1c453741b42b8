//! A channel kind of one's own: `cargo run -p own-kind`.
//!
//! `fresh` has the kind; here two nodes use it, one of which is busy for a while.

mod fresh;

use std::error::Error;
use std::time::Duration;

use murmurate::{Channel, Multiaddr, Node, Undelivered};

use fresh::Fresh;

/// Messages that are older are not worth sending.
const AGE: Duration = Duration::from_millis(300);
/// Far more than what fits between two nodes while the receiver does not receive.
const MESSAGES: u32 = 200;
const SIZE: usize = 64 << 10;

/// What happened.
#[derive(Debug)]
struct Story {
    /// The numbers of the positions that went out, and of those that came.
    sent: Vec<u32>,
    received: Vec<u32>,
    too_old: u32,
}

async fn node() -> Result<Node, Box<dyn Error>> {
    let anywhere: Multiaddr = "/ip4/127.0.0.1/tcp/0".parse()?;
    // A few may wait for the application, so that a busy one is felt.
    let positions = Channel::own("positions", Fresh(AGE)).queue(MESSAGES as usize, 2 << 20);
    Ok(Node::builder().listen(anywhere).channel(positions).spawn().await?)
}

async fn tell() -> Result<Story, Box<dyn Error>> {
    let (one, two) = (node().await?, node().await?);
    two.join(one.addresses()).await?;
    let to_two = one.channel("positions")?.to(two.id());
    let sends = async {
        let mut receipts = Vec::new();
        for number in 0..MESSAGES {
            let mut position = vec![0; SIZE];
            position[..4].copy_from_slice(&number.to_be_bytes());
            // All in one lane, because of the key.
            let receipt = to_two.send_keyed("here", position).await;
            receipts.push(receipt.map_err(Undelivered::Failed)?);
        }
        let (mut sent, mut too_old) = (Vec::new(), 0);
        for (number, receipt) in (0..).zip(receipts) {
            match receipt.await {
                Ok(_) => sent.push(number),
                Err(Undelivered::TimedOut) => too_old += 1,
                Err(error) => return Err(error),
            }
        }
        Ok((sent, too_old))
    };
    // The receiver is busy until the last position went out or was worth nothing any more.
    let (sent, too_old) = sends.await?;
    let positions = two.channel("positions")?;
    let mut received = Vec::new();
    while received.len() < sent.len() {
        let position = positions.receive().await.ok_or("the node has ended")?;
        let number = position.data.first_chunk().ok_or("a position has four bytes")?;
        received.push(u32::from_be_bytes(*number));
    }
    Ok(Story { sent, received, too_old })
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let Story { sent, received, too_old } = tell().await?;
    println!("{} of {MESSAGES} positions went out while they were fresh", sent.len());
    println!("{too_old} waited for more than {AGE:?} and were not sent");
    let order = if received.is_sorted() { "in order" } else { "in disorder" };
    println!("{} were received, {order}", received.len());
    Ok(())
}

#[cfg(test)]
mod tests {
    #[tokio::test(flavor = "multi_thread")]
    async fn a_busy_receiver_gets_what_was_fresh() {
        let told = tokio::time::timeout(std::time::Duration::from_secs(60), super::tell()).await;
        let story = told.expect("what is too old does not wait for ever").expect("it works");
        let sent = u32::try_from(story.sent.len()).expect("no more than there are");
        assert_eq!(sent + story.too_old, super::MESSAGES, "{story:?}");
        assert_eq!(story.received, story.sent, "and in order");
        assert!(sent > 0 && story.too_old > 0, "{story:?}");
    }
}
