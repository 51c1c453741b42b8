//! A channel kind of one's own: `cargo run -p own-kind`.
//!
//! `fresh` has the kind; here two nodes use it, one of which is busy for a while.

mod fresh;

use std::error::Error;
use std::time::Duration;

use murmurate::{Channel, Multiaddr, Node, Undelivered};
use tokio::time::{sleep, timeout};

use fresh::Fresh;

/// Messages that are older are not worth sending.
const AGE: Duration = Duration::from_millis(300);
/// Far more than what fits between two nodes while the receiver does not receive.
const MESSAGES: u32 = 200;
const SIZE: usize = 64 << 10;

/// What happened.
#[derive(Debug)]
struct Story {
    sent: u32,
    too_old: u32,
    received: u32,
    in_order: bool,
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
        let (mut sent, mut too_old) = (0, 0);
        for receipt in receipts {
            match receipt.await {
                Ok(_) => sent += 1,
                Err(Undelivered::TimedOut) => too_old += 1,
                Err(error) => return Err(error),
            }
        }
        Ok((sent, too_old))
    };
    // The receiver is busy for longer than a position is worth anything.
    let busy = sleep(3 * AGE);
    let (sends, ()) = tokio::join!(sends, busy);
    let (sent, too_old) = sends?;
    let positions = two.channel("positions")?;
    let mut numbers = Vec::new();
    while let Ok(Some(position)) = timeout(AGE, positions.receive()).await {
        let number = position.data.first_chunk().ok_or("a position has four bytes")?;
        numbers.push(u32::from_be_bytes(*number));
    }
    let in_order = numbers.is_sorted();
    Ok(Story { sent, too_old, received: u32::try_from(numbers.len())?, in_order })
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let Story { sent, too_old, received, in_order } = tell().await?;
    println!("{sent} of {MESSAGES} positions went out while they were fresh");
    println!("{too_old} waited for more than {AGE:?} and were not sent");
    let order = if in_order { "in order" } else { "in disorder" };
    println!("{received} were received, {order}");
    Ok(())
}

#[cfg(test)]
mod tests {
    #[tokio::test(flavor = "multi_thread")]
    async fn a_busy_receiver_gets_what_was_fresh() {
        let told = tokio::time::timeout(std::time::Duration::from_secs(30), super::tell()).await;
        let story = told.expect("what is too old does not wait for ever").expect("it works");
        assert_eq!(story.sent + story.too_old, super::MESSAGES, "{story:?}");
        assert_eq!(story.received, story.sent, "{story:?}");
        assert!(story.sent > 0 && story.too_old > 0 && story.in_order, "{story:?}");
    }
}
