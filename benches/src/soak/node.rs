//! What a node's process does.

use std::io::{BufRead, Write};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

use futures::StreamExt;
use murmurate::{Limits, Node};
use tokio::sync::mpsc;

use crate::Error;
use crate::ledger::Ledger;
use crate::talk::{Command, Said, Status};

const TOPIC: &str = "soak";

/// Broadcasts of this node.
#[derive(Debug, Default)]
struct Own {
    published: AtomicU64,
    refused: AtomicU64,
}

/// Until the controller says so, or has ended.
pub(crate) async fn run(state: &Path) -> Result<(), Error> {
    let limits = Limits { subscription_capacity: 65_536, ..Limits::default() };
    let node = Node::builder()
        .network("soak")
        .listen("/ip4/127.0.0.1/tcp/0".parse()?)
        .state_dir(state)
        .limits(limits)
        .spawn()
        .await?;
    let (own, ledger) = (Arc::<Own>::default(), Arc::<Mutex<Ledger>>::default());
    let (mut messages, heard) = (node.subscribe(TOPIC)?, Arc::clone(&ledger));
    tokio::spawn(async move {
        while let Some(item) = messages.next().await {
            heard.lock().unwrap_or_else(PoisonError::into_inner).note(&item);
        }
    });
    let addresses = node.addresses().iter().map(ToString::to_string).collect();
    say(&Said::Ready { origin: node.info().await?.me.to_string(), addresses })?;
    let mut commands = commands();
    while let Some(command) = commands.recv().await {
        match command {
            Command::Join { contacts } => {
                let contacts: Result<Vec<_>, _> = contacts.iter().map(|at| at.parse()).collect();
                let (node, contacts) = (node.clone(), contacts?);
                tokio::spawn(async move {
                    let failed = node.join(contacts).await.err().map(|error| error.to_string());
                    say(&Said::Joined { failed })
                });
            }
            Command::Publish { messages, bytes } => {
                tokio::spawn(publish(node.clone(), Arc::clone(&own), messages, bytes));
            }
            Command::Status => {
                let came = ledger.lock().unwrap_or_else(PoisonError::into_inner).status();
                let (published, refused) = (own.published.load(Relaxed), own.refused.load(Relaxed));
                let heap = crate::HEAP.current_usage() as u64;
                say(&Said::Status(Status { published, refused, heap, ..came }))?;
            }
            Command::Leave => {
                node.leave().await?;
                say(&Said::Left)?;
                break;
            }
        }
    }
    Ok(())
}

/// As fast as the overlay takes it.
async fn publish(node: Node, own: Arc<Own>, messages: u64, bytes: usize) {
    let data = vec![7; bytes];
    let mut left = messages;
    while left > 0 {
        match node.broadcast(TOPIC, &data).await {
            Ok(_) => {
                own.published.fetch_add(1, Relaxed);
                left -= 1;
            }
            Err(murmurate::BroadcastError::Ended) => return,
            Err(_) => drop(own.refused.fetch_add(1, Relaxed)),
        }
    }
}

fn say(said: &Said) -> Result<(), Error> {
    let line = serde_json::to_string(said)?;
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}")?;
    Ok(out.flush()?)
}

fn commands() -> mpsc::UnboundedReceiver<Command> {
    let (send, commands) = mpsc::unbounded_channel();
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            if let Ok(command) = serde_json::from_str(&line) {
                let _ = send.send(command);
            }
        }
        // The controller has ended, however it did.
        std::process::exit(0);
    });
    commands
}
