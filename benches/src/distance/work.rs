//! What the two processes do: one sends payloads, the other one takes them.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use hdrhistogram::Histogram;
use murmurate::{Channel, Destination, Multiaddr, Node, Traffic};
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::bed::End;
use crate::grid::{Cell, Through};
use crate::{Error, Figures, ping, raw};

/// What is not measured at the start, at least: windows grow.
const WARM_UP: Duration = Duration::from_secs(1);
/// Bytes that may be under way on a connection. 128 payloads of 8 MiB are 1 GiB: whoever has no
/// place waits in `send`, as it should, and this is still many times what is ever on the cable.
const QUEUE: usize = 64 << 20;
/// A thousand seconds, in microseconds.
const LONGEST: u64 = 1_000_000_000;

/// Takes what comes, and says where it can be reached, until it is killed.
pub(crate) async fn receive(cell: Cell, ready: impl FnOnce(&str)) -> Result<(), Error> {
    ping::answer().await?;
    if cell.through == Through::Raw {
        return raw::drain(|| ready("")).await;
    }
    let node = node(cell, End::Receiver).await?;
    let partner = node.channel("partner")?;
    ready(&node.addresses().first().ok_or("no address")?.to_string());
    while let Some(received) = partner.receive().await {
        debug_assert_eq!(received.data.len(), cell.payload);
        received.ack();
    }
    Ok(())
}

/// Sends for as long as it is told.
pub(crate) async fn send(cell: Cell, seconds: f64, to: &str) -> Result<Figures, Error> {
    let mut figures = Figures::from([("round trip".into(), ping::round_trip().await?)]);
    if cell.through == Through::Raw {
        figures.extend(raw::fill(cell, seconds).await?);
        return Ok(figures);
    }
    let node = node(cell, End::Sender).await?;
    node.join([to.parse::<Multiaddr>()?]).await?;
    let mut view = node.watch_active_view();
    let receiver = view.wait_for(|view| !view.is_empty()).await?[0];
    let to = node.channel("partner")?.to(receiver);
    let tally = Arc::new(Tally::new()?);
    let message = Bytes::from(vec![7; cell.payload]);
    let mut senders = JoinSet::new();
    for number in 0..cell.senders {
        let (to, message, tally) = (to.clone(), message.clone(), Arc::clone(&tally));
        senders.spawn(again_and_again(to, number, message, tally));
    }
    let measured = tokio::select! {
        Some(ended) = senders.join_next() => Err(ended?.err().unwrap_or("a sender ended".into())),
        measured = measure(cell, seconds, &tally) => Ok(measured),
    };
    figures.extend(measured?);
    Ok(figures)
}

async fn node(cell: Cell, end: End) -> Result<Node, Error> {
    let ip = end.ip();
    let address = match cell.through {
        Through::Quic => format!("/ip4/{ip}/udp/7400/quic-v1"),
        _ => format!("/ip4/{ip}/tcp/7400"),
    };
    let channel = Channel::acknowledged("partner")
        .parallelism(cell.parallelism)
        .traffic(Traffic::Bulk)
        .max_message(cell.payload)
        .queue(1 << 10, QUEUE)
        .timeout(Duration::from_secs(300));
    Ok(Node::builder().listen(address.parse()?).channel(channel).spawn().await?)
}

/// One sender: its number is its key, so it keeps its connection.
async fn again_and_again(
    to: Destination,
    number: usize,
    message: Bytes,
    tally: Arc<Tally>,
) -> Result<(), Error> {
    let mut first = true;
    loop {
        let start = Instant::now();
        to.send_keyed(number, message.clone()).await?.await?;
        tally.add(start.elapsed());
        if std::mem::take(&mut first) {
            tally.started.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// What was acknowledged.
struct Tally {
    /// Senders that have had a receipt.
    started: AtomicUsize,
    /// Microseconds that each took.
    took: Mutex<Histogram<u64>>,
}

impl Tally {
    fn new() -> Result<Self, Error> {
        let took = Mutex::new(Histogram::new_with_max(LONGEST, 3)?);
        Ok(Self { started: AtomicUsize::new(0), took })
    }

    fn took(&self) -> MutexGuard<'_, Histogram<u64>> {
        // Nothing panics while it holds the lock; if it did, the numbers would still be right.
        self.took.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, took: Duration) {
        self.took().saturating_record(took.as_micros() as u64);
    }
}

/// Starts when every sender has had its first receipt: no one was ever alone.
async fn measure(cell: Cell, seconds: f64, tally: &Tally) -> Figures {
    let begin = Instant::now();
    while tally.started.load(Ordering::Relaxed) < cell.senders || begin.elapsed() < WARM_UP {
        sleep(Duration::from_millis(1)).await;
    }
    let warm = tally.took().len();
    tally.took().reset();
    let start = Instant::now();
    sleep(Duration::from_secs_f64(seconds)).await;
    let took = tally.took();
    let payloads = took.len() as f64 / start.elapsed().as_secs_f64();
    let all = (warm + took.len()) as f64 * cell.payload as f64;
    let quantile = |share| took.value_at_quantile(share) as f64 / 1e6;
    Figures::from([
        ("payloads".into(), payloads),
        ("rate".into(), payloads * cell.payload as f64),
        ("all".into(), all),
        ("p50".into(), quantile(0.5)),
        ("p99".into(), quantile(0.99)),
    ])
}
