//! A chat without a server.
//!
//! The first to come prints an address; the others join through it:
//!
//! ```text
//! cargo run --example chat -- alice
//! cargo run --example chat -- bob /ip4/127.0.0.1/tcp/40001/p2p/12D3Koo...
//! ```

use futures::StreamExt;
use murmurate::{Event, Node};
use tokio::io::{AsyncBufReadExt, BufReader};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let name = arguments.next().ok_or("usage: chat NAME [CONTACT]...")?;
    let contacts = arguments.map(|contact| contact.parse()).collect::<Result<Vec<_>, _>>()?;

    let node =
        Node::builder().network("chat").listen("/ip4/0.0.0.0/tcp/0".parse()?).spawn().await?;
    let mut heard = node.subscribe("room")?;
    let mut events = node.events();
    for address in node.addresses() {
        println!("others join with: {address}");
    }
    node.join(contacts).await?;

    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    loop {
        tokio::select! {
            line = lines.next_line() => match line? {
                Some(line) => {
                    // Nobody there yet is worth saying, and no reason to go.
                    if let Err(error) = node.broadcast("room", format!("{name}: {line}")).await {
                        println!("(not sent: {error})");
                    }
                }
                None => break,
            },
            Some(message) = heard.next() => match message {
                Ok(message) => println!("{}", String::from_utf8_lossy(&message.data)),
                Err(lagged) => println!("({lagged})"),
            },
            Ok(event) = events.recv() => match event {
                Event::Joined => println!("(joined)"),
                Event::Isolated => println!("(alone)"),
                _ => {}
            },
        }
    }
    node.leave().await?;
    Ok(())
}
