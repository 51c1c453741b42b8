//! What a node's process does.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io::{BufRead, Write};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures::{FutureExt, StreamExt};
use murmurate::membership::hyparview;
use murmurate::{
    Builder, Channel, Delivery, Endpoint, Limits, Lost, Node, NodeId, Undelivered, identity,
};
use tokio::sync::{broadcast, mpsc, watch};

use crate::talk::{
    Command, Got, Heard, NODE, ORDERS, QUEUE_BYTES, SAMPLES, Said, Setup, TIMEOUT, TOPIC, View,
};

/// Events kept for the report.
const EVENTS: usize = 400;

#[derive(Debug, Default)]
struct Ledger {
    marks: BTreeMap<u32, Mark>,
    twice: u64,
    lagged: u64,
    missed: u64,
    events: VecDeque<(u64, String)>,
}

#[derive(Debug, Default)]
struct Mark {
    from: BTreeMap<String, BTreeSet<u32>>,
    micros: Vec<u32>,
}

type Shared = Arc<Mutex<Ledger>>;

fn with<T>(ledger: &Shared, f: impl FnOnce(&mut Ledger) -> T) -> T {
    f(&mut ledger.lock().unwrap_or_else(PoisonError::into_inner))
}

pub(crate) fn run_if_told() {
    let Ok(setup) = std::env::var(NODE) else { return };
    let setup = serde_json::from_str(&setup).expect("a setup");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(run(setup));
    std::process::exit(0);
}

fn say(said: &Said) {
    let line = serde_json::to_string(said).expect("plain data");
    let mut out = std::io::stdout().lock();
    // The controller is gone: so is this process, by the end of its input.
    let _ = write!(out, "\n{line}\n").and_then(|()| out.flush());
}

#[allow(clippy::disallowed_methods, reason = "latencies are measured by the wall clock")]
fn now() -> SystemTime {
    SystemTime::now()
}

fn commands() -> mpsc::UnboundedReceiver<Command> {
    let (send, commands) = mpsc::unbounded_channel();
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            let _ = send.send(serde_json::from_str(&line).expect("a command"));
        }
        // The controller has ended, however it did.
        std::process::exit(0);
    });
    commands
}

async fn start(setup: &Setup) -> Node {
    let millis = Duration::from_millis;
    let membership = hyparview::Parameters {
        keepalive_interval: millis(setup.keepalive_millis),
        keepalive_misses: setup.keepalive_misses,
        reunion_interval: Some(millis(setup.reunion_millis)),
        rejoin_pause: millis(setup.reunion_millis),
        ..Builder::default_membership()
    };
    let mut builder = Node::builder()
        .network(setup.network.clone())
        .listen(setup.listen.parse().expect("an address"))
        .membership(membership)
        .channel(Channel::acknowledged(ORDERS).timeout(TIMEOUT).queue(4_096, QUEUE_BYTES))
        .channel(Channel::best_effort(SAMPLES).timeout(TIMEOUT).queue(4_096, QUEUE_BYTES))
        .limits(Limits {
            subscription_capacity: 65_536,
            handshake_wait: millis(setup.handshake_millis),
            ..Limits::default()
        });
    if let Some(directory) = &setup.state {
        builder = builder.state_dir(directory);
    }
    if let Some(path) = &setup.contacts {
        builder = builder.discovery(murmurate::discovery::File::new(path));
    }
    if setup.key != 0 {
        let key = identity::Keypair::ed25519_from_bytes([setup.key; 32]);
        builder = builder.identity(key.expect("32 bytes"));
    }
    builder.spawn().await.expect("the node starts")
}

async fn run(setup: Setup) {
    let mut commands = commands();
    let node = start(&setup).await;
    let ledger = Shared::default();
    tokio::spawn(listen(node.clone(), Arc::clone(&ledger)));
    tokio::spawn(watch_events(node.events(), Arc::clone(&ledger)));
    let mut channels = BTreeMap::new();
    for name in [ORDERS, SAMPLES] {
        let channel = node.channel(name).expect("declared");
        let (takes, taking) = watch::channel(true);
        tokio::spawn(receive(channel.clone(), name, taking, Arc::clone(&ledger)));
        channels.insert(name.to_owned(), (channel, takes));
    }
    let addresses = node.addresses().iter().map(ToString::to_string).collect();
    say(&Said::Ready { id: node.id().to_string(), addresses });
    while let Some(command) = commands.recv().await {
        match command {
            Command::Join { contacts } => {
                let contacts: Vec<_> =
                    contacts.iter().map(|contact| contact.parse().expect("an address")).collect();
                let node = node.clone();
                tokio::spawn(async move {
                    let failed = node.join(contacts).await.err().map(|error| error.to_string());
                    say(&Said::Joined { failed });
                });
            }
            Command::Broadcast { mark, messages, bytes, every_micros } => {
                let every = Duration::from_micros(every_micros);
                tokio::spawn(publish(node.clone(), mark, messages, bytes, every));
            }
            Command::Send { channel, mark, to, messages, bytes, every_micros } => {
                let (to, every) = (to.parse().expect("an id"), Duration::from_micros(every_micros));
                let (channel, _) = &channels[&channel];
                tokio::spawn(send(channel.clone(), mark, to, messages, bytes, every));
            }
            Command::Take { channel, takes } => {
                channels[&channel].1.send_replace(takes);
            }
            Command::Report { number, mark } => {
                say(&Said::Report(Box::new(report(&node, &ledger, number, mark).await)));
            }
            Command::Leave => {
                let _ = node.leave().await;
                say(&Said::Left);
            }
        }
    }
}

async fn publish(node: Node, mark: u32, messages: u32, bytes: usize, every: Duration) {
    let mut refused = Vec::new();
    let mut tick = tokio::time::interval(every.max(Duration::from_micros(1)));
    for number in 0..messages {
        if !every.is_zero() {
            tick.tick().await;
        }
        if let Err(error) = node.broadcast(TOPIC, numbered(mark, number, bytes)).await {
            refused.push(error.to_string());
        }
    }
    say(&Said::Published { mark, refused });
}

/// A message's mark and number, and what fills it up.
fn numbered(mark: u32, number: u32, bytes: usize) -> Vec<u8> {
    let mut data = vec![0; bytes.max(8)];
    data[..4].copy_from_slice(&mark.to_le_bytes());
    data[4..8].copy_from_slice(&number.to_le_bytes());
    data
}

async fn send(
    channel: Endpoint,
    mark: u32,
    to: NodeId,
    messages: u32,
    bytes: usize,
    every: Duration,
) {
    let mut outcomes: BTreeMap<String, Vec<u32>> = BTreeMap::new();
    let mut under_way = futures::stream::FuturesUnordered::new();
    let mut note = |number, outcome| {
        let outcome = match outcome {
            Ok(_) => "delivered".into(),
            Err(Undelivered::Gone) => "gone".into(),
            Err(Undelivered::TimedOut) => "timed out".into(),
            Err(Undelivered::Failed(error)) => format!("refused: {error}"),
            Err(other) => format!("not sent: {other}"),
        };
        outcomes.entry(outcome).or_default().push(number);
    };
    let mut tick = tokio::time::interval(every);
    let begun = now();
    for number in 0..messages {
        tick.tick().await;
        // What it waits for those before it, it took too.
        let message = stamped(numbered(mark, number, bytes), begun + every * number);
        match channel.send(to, message).await {
            Ok(receipt) => under_way.push(async move { (number, receipt.await) }),
            Err(error) => note(number, Err(Undelivered::Failed(error))),
        }
        while let Some(Some((number, outcome))) = under_way.next().now_or_never() {
            note(number, outcome);
        }
    }
    while let Some((number, outcome)) = under_way.next().await {
        note(number, outcome);
    }
    say(&Said::Sent { mark, outcomes });
}

/// A message that says when it should be sent, in microseconds since 1970.
fn stamped(mut data: Vec<u8>, due: SystemTime) -> Vec<u8> {
    let micros = due.duration_since(UNIX_EPOCH).unwrap_or_default().as_micros() as u64;
    data.resize(data.len().max(16), 0);
    data[8..16].copy_from_slice(&micros.to_le_bytes());
    data
}

/// How long ago that was.
fn took(data: &[u8]) -> Duration {
    let micros = data[8..16].try_into().map(u64::from_le_bytes).expect("eight bytes");
    now().duration_since(UNIX_EPOCH + Duration::from_micros(micros)).unwrap_or_default()
}

async fn receive(channel: Endpoint, name: &str, mut taking: watch::Receiver<bool>, ledger: Shared) {
    loop {
        let _ = taking.wait_for(|takes| *takes).await;
        let received = tokio::select! {
            biased;
            _ = taking.changed() => continue,
            received = channel.receive() => received,
        };
        let Some(received) = received else { return };
        let from = received.from.to_string();
        let (mark, number) = mark_and_number(&received.data);
        with(&ledger, |ledger| ledger.note(from.clone(), &received.data, took(&received.data)));
        if name == ORDERS {
            say(&Said::Got(Got { from, mark, number }));
        }
        // Now it is delivered.
        received.ack();
    }
}

fn mark_and_number(data: &[u8]) -> (u32, u32) {
    let word = |at: usize| data[at..at + 4].try_into().map(u32::from_le_bytes);
    (word(0).expect("four bytes"), word(4).expect("four bytes"))
}

async fn listen(node: Node, ledger: Shared) {
    let mut heard = node.subscribe(TOPIC).expect("a short topic");
    while let Some(next) = heard.next().await {
        with(&ledger, |ledger| match next {
            Ok(Delivery { id, published, data, .. }) => {
                let took = now().duration_since(published).unwrap_or_default();
                ledger.note(id.origin.node.to_string(), &data, took);
            }
            Err(Lost::Lagged(lost)) => ledger.lagged += lost,
            Err(Lost::Missed { count, .. }) => ledger.missed += count,
        });
    }
}

impl Ledger {
    fn note(&mut self, sender: String, data: &[u8], took: Duration) {
        let (mark, number) = mark_and_number(data);
        let mark = self.marks.entry(mark).or_default();
        if mark.from.entry(sender).or_default().insert(number) {
            mark.micros.push(u32::try_from(took.as_micros()).unwrap_or(u32::MAX));
        } else {
            self.twice += 1;
        }
    }
}

impl Mark {
    fn heard(&self) -> Heard {
        let mut micros = self.micros.clone();
        micros.sort_unstable();
        let at = |share: usize| {
            let last = micros.len().saturating_sub(1);
            micros.get((micros.len() * share / 100).min(last)).copied().unwrap_or_default()
        };
        Heard {
            from: self.from.iter().map(|(who, all)| (who.clone(), all.len() as u32)).collect(),
            p50_micros: at(50),
            p99_micros: at(99),
            most_micros: at(100),
        }
    }
}

async fn watch_events(mut events: broadcast::Receiver<murmurate::Event>, ledger: Shared) {
    loop {
        let event = match events.recv().await {
            Ok(event) => format!("{event:?}"),
            Err(broadcast::error::RecvError::Lagged(lost)) => format!("{lost} events lost"),
            Err(broadcast::error::RecvError::Closed) => return,
        };
        let since = now().duration_since(UNIX_EPOCH).unwrap_or_default();
        with(&ledger, |ledger| {
            if ledger.events.len() == EVENTS {
                ledger.events.pop_front();
            }
            ledger.events.push_back((since.as_millis() as u64, event));
        });
    }
}

async fn report(node: &Node, ledger: &Shared, number: u64, mark: u32) -> View {
    let Ok(info) = node.info().await else {
        return View { number, ..View::default() };
    };
    let metrics = node.metrics().render();
    let slow = metrics.lines().find_map(|line| line.strip_prefix("murmurate_links_slow_total "));
    let named = |eager_only: bool| {
        let neighbors = info.active.iter().filter(|neighbor| neighbor.eager || !eager_only);
        neighbors.map(|neighbor| neighbor.node.to_string()).collect()
    };
    with(ledger, |ledger| View {
        number,
        active: named(false),
        eager: named(true),
        passive: info.passive.iter().map(ToString::to_string).collect(),
        heard: ledger.marks.get(&mark).map(Mark::heard).unwrap_or_default(),
        twice: ledger.twice,
        lagged: ledger.lagged,
        missed: ledger.missed,
        resident_kib: resident_kib(),
        outbox_bytes: info.outbox_bytes,
        links_slow: slow.and_then(|value| value.parse().ok()).expect("a metric"),
        events: ledger.events.iter().cloned().collect(),
    })
}

fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("a process");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("its memory");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}
