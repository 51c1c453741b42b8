//! What a node's process does: what the controller says.

use std::collections::BTreeMap;
use std::io::{BufRead, Write};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures::StreamExt;
use murmurate::broadcast::{flood, plumtree};
use murmurate::membership::{full_mesh, hyparview, static_overlay};
use murmurate::{Builder, Delivery, Multiaddr, Node, NodeId, Subscription, identity};
use murmurate_simulator::experiment::scenario::{Document, Scenario};
use tokio::sync::mpsc;

use crate::error::Error;
use crate::talk::{Order, Said, Setup, now};

/// The only topic.
const TOPIC: &str = "twin";
/// How often counters are told.
const COUNTED_EVERY: Duration = Duration::from_millis(250);
/// Broadcasts that may wait to be told.
const CAPACITY: usize = 1 << 16;

/// A process's life.
pub(crate) fn run() -> Result<(), Error> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(live())
}

fn say(said: &Said) {
    let Ok(line) = serde_json::to_string(said) else { return };
    let mut out = std::io::stdout().lock();
    // If the controller is gone, the end of its input ends this process.
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

/// Lines of standard input. Its end is the end of the process.
fn lines() -> mpsc::UnboundedReceiver<String> {
    let (send, lines) = mpsc::unbounded_channel();
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            let _ = send.send(line);
        }
        std::process::exit(0);
    });
    lines
}

async fn live() -> Result<(), Error> {
    let mut lines = lines();
    say(&Said::Ready);
    let setup: Setup = serde_json::from_str(&lines.recv().await.unwrap_or_default())?;
    let scenario = Document::parse("the scenario", &setup.scenario)?.scenario()?;
    let mut node = None;
    while let Some(line) = lines.recv().await {
        let order: Order = serde_json::from_str(&line)?;
        match (order, &node) {
            (Order::Start(contacts), None) => match start(&scenario, &setup, contacts).await {
                Ok(started) => node = Some(started),
                Err(error) => {
                    say(&Said::Failed(error.to_string()));
                    return Err(error);
                }
            },
            (order, Some(node)) => obey(order, node, setup.epoch).await,
            (_, None) => {}
        }
    }
    Ok(())
}

async fn obey(order: Order, node: &Node, epoch: u64) {
    match order {
        Order::Start(contacts) | Order::Join(contacts) => join(node, &contacts),
        Order::Publish { id, bytes } => {
            let mut data = id.to_le_bytes().to_vec();
            data.resize(bytes as usize, 0);
            let node = node.clone();
            tokio::spawn(async move {
                let at = since(epoch, now());
                match node.broadcast(TOPIC, data).await {
                    Ok(_) => say(&Said::Published { id, at }),
                    Err(error) => say(&Said::Failed(format!("broadcast {id}: {error}"))),
                }
            });
        }
        Order::Leave => {
            let _ = node.leave().await;
            std::process::exit(0);
        }
        Order::LeaveAndStay => {
            let _ = node.leave().await;
        }
        Order::Tell => {
            count(node, epoch);
            say(&Said::Told);
        }
    }
}

/// The same identity at every start.
fn key(index: usize) -> Result<identity::Keypair, Error> {
    let mut secret = [0x6d; 32];
    secret[..8].copy_from_slice(&(index as u64).to_le_bytes());
    Ok(identity::Keypair::ed25519_from_bytes(secret)?)
}

/// A node of the scenario's protocols.
fn builder(scenario: &Scenario) -> Builder {
    let builder = Node::builder().network("twin");
    let membership = &scenario.membership;
    let builder = if let Some(full_mesh) = membership.get::<full_mesh::Parameters>() {
        builder.membership(full_mesh.clone())
    } else if let Some(fixed) = membership.get::<static_overlay::Parameters>() {
        builder.membership(fixed.clone())
    } else {
        let hyparview = membership.get::<hyparview::Parameters>().cloned();
        builder.membership(hyparview.unwrap_or_default())
    };
    let builder = match scenario.broadcast.get::<flood::Parameters>() {
        Some(flood) => builder.broadcast(*flood),
        None => {
            let plumtree = scenario.broadcast.get::<plumtree::Parameters>().cloned();
            builder.broadcast(plumtree.unwrap_or_default())
        }
    };
    builder.anti_entropy(scenario.anti_entropy.clone().unwrap_or_default())
}

async fn start(scenario: &Scenario, setup: &Setup, contacts: Vec<String>) -> Result<Node, Error> {
    let limits = murmurate::Limits { subscription_capacity: CAPACITY, ..Default::default() };
    let builder = builder(scenario).listen(setup.listen.parse()?).identity(key(setup.index)?);
    let node = builder.limits(limits).spawn().await?;
    say(&Said::Started(node.id().to_string()));
    tokio::spawn(tell_views(node.clone(), setup.epoch));
    tokio::spawn(tell_deliveries(node.subscribe(TOPIC)?, setup.epoch));
    tokio::spawn(tell_counts(node.clone(), setup.epoch));
    join(&node, &contacts);
    Ok(node)
}

/// As in the simulation nobody waits for it.
fn join(node: &Node, contacts: &[String]) {
    let contacts: Vec<Multiaddr> = contacts.iter().filter_map(|c| c.parse().ok()).collect();
    if contacts.is_empty() {
        return;
    }
    let node = node.clone();
    tokio::spawn(async move {
        if let Err(error) = node.join(contacts).await {
            say(&Said::Failed(error.to_string()));
        }
    });
}

fn since(epoch: u64, at: u64) -> u64 {
    at.saturating_sub(epoch)
}

async fn tell_views(node: Node, epoch: u64) {
    let mut views = node.watch_active_view();
    while views.changed().await.is_ok() {
        let active = views.borrow_and_update().iter().map(NodeId::to_string).collect();
        say(&Said::View { at: since(epoch, now()), active });
    }
}

async fn tell_deliveries(mut news: Subscription, epoch: u64) {
    while let Some(delivery) = news.next().await {
        match delivery {
            Ok(delivery) => tell_delivery(&delivery, epoch),
            Err(lost) => say(&Said::Failed(lost.to_string())),
        }
    }
}

fn tell_delivery(delivery: &Delivery, epoch: u64) {
    let at = SystemTime::now();
    let took = at.duration_since(delivery.published).unwrap_or(Duration::ZERO);
    let at = at.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    let micros = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
    let Some(id) = delivery.data.first_chunk::<4>() else { return };
    say(&Said::Delivered {
        id: u32::from_le_bytes(*id),
        at: since(epoch, micros(at)),
        took: micros(took),
        hops: delivery.hops,
    });
}

async fn tell_counts(node: Node, epoch: u64) {
    loop {
        tokio::time::sleep(COUNTED_EVERY).await;
        count(&node, epoch);
    }
}

fn count(node: &Node, epoch: u64) {
    let mut sent = BTreeMap::new();
    for family in node.metrics().registry().gather() {
        if family.name() != "murmurate_messages_total" {
            continue;
        }
        for metric in family.get_metric() {
            let label = |name: &str| {
                let mut labels = metric.get_label().iter();
                labels.find(|label| label.name() == name).map(|label| label.value().to_owned())
            };
            if label("direction").as_deref() == Some("sent")
                && let Some(kind) = label("kind")
            {
                sent.insert(kind, metric.get_counter().get_value() as u64);
            }
        }
    }
    let broadcasts = node.metrics().broadcasts();
    let payloads = broadcasts.delivered + broadcasts.duplicate;
    say(&Said::Counted { at: since(epoch, now()), sent, payloads });
}
