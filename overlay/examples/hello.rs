//! Two nodes, one broadcast: `cargo run --example hello`.

use futures::StreamExt;
use murmurate::{Multiaddr, Node};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let anywhere: Multiaddr = "/ip4/127.0.0.1/tcp/0".parse()?;
    let first = Node::builder().listen(anywhere.clone()).spawn().await?;
    let second = Node::builder().listen(anywhere).spawn().await?;

    let mut greetings = second.subscribe("greetings")?;
    second.join(first.addresses()).await?;
    first.broadcast("greetings", "hello, flock").await?;

    let heard = greetings.next().await.ok_or("the node ended")??;
    println!("{} says: {}", heard.id.origin.node, String::from_utf8_lossy(&heard.data));
    Ok(())
}
