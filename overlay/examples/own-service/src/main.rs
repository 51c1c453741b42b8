//! A counter that all nodes share: `cargo run -p own-service`.
//!
//! The library has the service; here three nodes run it.

use std::error::Error;
use std::time::Duration;

use murmurate::{Incarnation, Multiaddr, Node, ServiceHandle};
use own_service::{Command, Event, Tally};
use tokio::time::timeout;

type Counter = Tally<Incarnation>;

/// A node that runs the service.
async fn node() -> Result<(Node, ServiceHandle<Counter>), Box<dyn Error>> {
    let anywhere: Multiaddr = "/ip4/127.0.0.1/tcp/0".parse()?;
    let node =
        Node::builder().listen(anywhere).service("tally", Counter::default()).spawn().await?;
    let counter = node.service("tally")?;
    Ok((node, counter))
}

/// Three nodes add something each; what all of them count in the end.
async fn count() -> Result<Vec<u64>, Box<dyn Error>> {
    let all = [node().await?, node().await?, node().await?];
    let mut events: Vec<_> = all.iter().map(|(_, counter)| counter.events()).collect();
    for (one, _) in &all[1..] {
        one.join(all[0].0.addresses()).await?;
    }
    for ((_, counter), more) in all.iter().zip([1, 10, 100]) {
        counter.command(Command::Add(more)).await?;
    }
    for events in &mut events {
        while events.recv().await? != Event::Total(111) {}
    }
    let mut totals = Vec::new();
    for (_, counter) in &all {
        totals.push(counter.look(Counter::total).await?);
    }
    Ok(totals)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    println!("three nodes count {:?}", timeout(Duration::from_secs(30), count()).await??);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn three_nodes_count_together() {
        let counted = timeout(Duration::from_secs(60), count()).await;
        assert_eq!(counted.expect("in time").expect("it works"), [111, 111, 111]);
    }
}
