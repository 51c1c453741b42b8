//! Real nodes that run both strategies: `cargo run -p own-strategy --bin nodes`.

use std::error::Error;
use std::time::Duration;

use futures::StreamExt;
use murmurate::{Multiaddr, Node};
use own_strategy::{rumour, star};
use tokio::time::timeout;

/// So many nodes, the first in the middle; how many of the others hear what the last one says.
async fn rumour(nodes: usize) -> Result<usize, Box<dyn Error>> {
    let anywhere: Multiaddr = "/ip4/127.0.0.1/tcp/0".parse()?;
    let mut all: Vec<Node> = Vec::new();
    for _ in 0..nodes {
        let node = Node::builder()
            .listen(anywhere.clone())
            .membership(star::Parameters::default())
            .broadcast(rumour::Parameters { fanout: 8 })
            .spawn()
            .await?;
        if let Some(first) = all.first() {
            node.join(first.addresses()).await?;
        }
        all.push(node);
    }
    let last = all.pop().ok_or("no nodes")?;
    let mut heard = Vec::new();
    for node in &all {
        heard.push(node.subscribe("news")?);
    }
    last.broadcast("news", "They say the roof leaks.").await?;
    let mut count = 0;
    for news in &mut heard {
        count += usize::from(matches!(news.next().await, Some(Ok(_))));
    }
    Ok(count)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let heard = timeout(Duration::from_secs(60), rumour(32)).await??;
    println!("{heard} of 31 have heard it");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn everyone_hears_it() {
        let heard = timeout(Duration::from_secs(60), rumour(32)).await;
        assert_eq!(heard.expect("in time").expect("it works"), 31);
    }
}
