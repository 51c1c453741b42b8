//! A node's process: it does what the controller says, and reports what happens.

use std::collections::BTreeMap;
use std::io::BufRead;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures::StreamExt;
use murmurate::{Builder, Delivery, Multiaddr, Node, NodeId, Subscription, identity};
use murmurate_simulator::experiment::scenario::{Document, Scenario};
use tokio::sync::mpsc;

use crate::channels::{self, Channels};
use crate::error::Error;
use crate::protocol::{ControllerMessage, NodeMessage, Setup, now};
use crate::report::report;
use crate::strategies;

/// The only topic.
const TOPIC: &str = "twin";
/// How often counters are reported.
const COUNTED_EVERY: Duration = Duration::from_millis(250);
/// Broadcasts that may wait to be reported.
const CAPACITY: usize = 1 << 16;
/// Lines of standard input that may wait to be handled. When there are more, nothing is read until some are
/// handled, and the controller waits once the pipe is full, too.
const MAX_PENDING_LINES: usize = 1 << 10;

/// Runs the process until the controller ends it.
pub(crate) fn run() -> Result<(), Error> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(serve())
}

/// Reads lines of standard input. The process ends when standard input does.
fn lines() -> mpsc::Receiver<String> {
    let (send, lines) = mpsc::channel(MAX_PENDING_LINES);
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            let _ = send.blocking_send(line);
        }
        std::process::exit(0);
    });
    lines
}

async fn serve() -> Result<(), Error> {
    let mut lines = lines();
    report(&NodeMessage::Ready);
    let setup: Setup = serde_json::from_str(&lines.recv().await.unwrap_or_default())?;
    let scenario = Document::parse("the scenario", &setup.scenario)?.scenario()?;
    let mut node = None;
    while let Some(line) = lines.recv().await {
        let message: ControllerMessage = serde_json::from_str(&line)?;
        match (message, &node) {
            (ControllerMessage::Start(contacts), None) => {
                match start(&scenario, &setup, contacts).await {
                    Ok(started) => node = Some(started),
                    Err(error) => {
                        report(&NodeMessage::Failed(error.to_string()));
                        return Err(error);
                    }
                }
            }
            (message, Some((node, channels))) => {
                handle(message, (node, channels), setup.epoch).await?;
            }
            (_, None) => {}
        }
    }
    Ok(())
}

async fn handle(
    message: ControllerMessage,
    (node, channels): (&Node, &Channels),
    epoch: u64,
) -> Result<(), Error> {
    match message {
        ControllerMessage::Start(contacts) | ControllerMessage::Join(contacts) => {
            join(node, &contacts);
        }
        ControllerMessage::Publish { id, bytes } => {
            let mut data = id.to_le_bytes().to_vec();
            data.resize(bytes as usize, 0);
            let node = node.clone();
            tokio::spawn(async move {
                let at = since(epoch, now());
                match node.broadcast(TOPIC, data).await {
                    Ok(_) => report(&NodeMessage::Published { id, at }),
                    Err(error) => report(&NodeMessage::Failed(format!("broadcast {id}: {error}"))),
                }
            });
        }
        ControllerMessage::Send { id, channel, to, bytes } => {
            channels.send(id, channel, NodeId::try_from(&key(to)?.public())?, bytes);
        }
        ControllerMessage::Leave => {
            let _ = node.leave().await;
            std::process::exit(0);
        }
        ControllerMessage::LeaveAndStay => {
            let _ = node.leave().await;
        }
        ControllerMessage::Flush => {
            count(node, epoch);
            report(&NodeMessage::Flushed);
        }
    }
    Ok(())
}

/// The same identity at every start.
fn key(index: usize) -> Result<identity::Keypair, Error> {
    let mut secret = [0x6d; 32];
    secret[..8].copy_from_slice(&(index as u64).to_le_bytes());
    Ok(identity::Keypair::ed25519_from_bytes(secret)?)
}

/// A node of the scenario's protocols.
fn builder(scenario: &Scenario) -> Result<Builder, Error> {
    let builder = strategies::choose(Node::builder().network("twin"), scenario)?;
    let builder = builder.anti_entropy(scenario.anti_entropy.clone().unwrap_or_default());
    Ok(channels::declare(builder, scenario))
}

async fn start(
    scenario: &Scenario,
    setup: &Setup,
    contacts: Vec<String>,
) -> Result<(Node, Channels), Error> {
    let limits = murmurate::Limits { subscription_capacity: CAPACITY, ..Default::default() };
    let builder = builder(scenario)?.listen(setup.listen.parse()?).identity(key(setup.index)?);
    let node = builder.limits(limits).spawn().await?;
    report(&NodeMessage::Started(node.id().to_string()));
    tokio::spawn(report_views(node.clone(), setup.epoch));
    tokio::spawn(report_deliveries(node.subscribe(TOPIC)?, setup.epoch));
    tokio::spawn(report_counts(node.clone(), setup.epoch));
    let channels = Channels::open(&node, scenario, setup.epoch)?;
    join(&node, &contacts);
    Ok((node, channels))
}

/// Does not wait for it, as in the simulation.
fn join(node: &Node, contacts: &[String]) {
    let contacts: Vec<Multiaddr> = contacts.iter().filter_map(|c| c.parse().ok()).collect();
    if contacts.is_empty() {
        return;
    }
    let node = node.clone();
    tokio::spawn(async move {
        if let Err(error) = node.join(contacts).await {
            report(&NodeMessage::Failed(error.to_string()));
        }
    });
}

fn since(epoch: u64, at: u64) -> u64 {
    at.saturating_sub(epoch)
}

async fn report_views(node: Node, epoch: u64) {
    let mut views = node.watch_active_view();
    while views.changed().await.is_ok() {
        let active = views.borrow_and_update().iter().map(NodeId::to_string).collect();
        report(&NodeMessage::View { at: since(epoch, now()), active });
    }
}

async fn report_deliveries(mut news: Subscription, epoch: u64) {
    while let Some(delivery) = news.next().await {
        match delivery {
            Ok(delivery) => report_delivery(&delivery, epoch),
            Err(lost) => report(&NodeMessage::Failed(lost.to_string())),
        }
    }
}

fn report_delivery(delivery: &Delivery, epoch: u64) {
    let at = SystemTime::now();
    let took = at.duration_since(delivery.published).unwrap_or(Duration::ZERO);
    let at = at.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    let micros = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
    let Some(id) = delivery.data.first_chunk::<4>() else { return };
    report(&NodeMessage::Delivered {
        id: u32::from_le_bytes(*id),
        at: since(epoch, micros(at)),
        took: micros(took),
        hops: delivery.hops,
    });
}

async fn report_counts(node: Node, epoch: u64) {
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
    report(&NodeMessage::Counted { at: since(epoch, now()), sent, payloads });
}
