//! What happens when there is too much of something.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::StreamExt;
use murmurate::{Channel, Destination, Node, SendError, Traffic};
use murmurate_simulator::observe::memory::peak_rss_bytes;
use tokio::task::yield_now;
use tokio::time::{interval, sleep, timeout};

use crate::latency::{Latencies, WARM_UP};
use crate::lines::{asks, count_messages};
use crate::nodes::{echo, pair};
use crate::raw::MESSAGE;
use crate::transport::Transport;
use crate::{Error, Figures};

/// Messages of a burst.
const BURST: u64 = 100_000;
/// Bytes of a large message.
const LARGE: usize = 8 << 20;

/// Messages sent without a pause: how many a second arrive, and what memory that takes.
pub(crate) async fn burst(transport: Transport, tries: bool) -> Result<Figures, Error> {
    let (one, two) = pair(transport, &[Channel::best_effort("c")]).await?;
    let to = one.channel("c")?.to(two.id());
    drop(to.send("first").await?);
    let count = Arc::new(AtomicU64::new(0));
    tokio::spawn(count_messages(two.channel("c")?, Arc::clone(&count)));
    sleep(WARM_UP).await;
    let idle = peak_rss_bytes().ok_or("the peak memory is known on Linux only")?;
    let start = Instant::now();
    for number in 0..BURST {
        // Each with content of its own, as an application's would be.
        let message = Bytes::from(vec![number as u8; MESSAGE]);
        if tries { try_until_taken(&to, message).await? } else { drop(to.send(message).await?) }
    }
    let all = async {
        while count.load(Ordering::Relaxed) < BURST + 1 {
            sleep(Duration::from_millis(1)).await;
        }
    };
    timeout(Duration::from_secs(20), all).await?;
    let rate = BURST as f64 / start.elapsed().as_secs_f64();
    Ok(Figures::from([("rate".into(), rate), ("memory".into(), grown(idle))]))
}

async fn try_until_taken(to: &Destination, message: Bytes) -> Result<(), SendError> {
    loop {
        match to.try_send(message.clone()) {
            Err(SendError::Full) => yield_now().await,
            other => return other.map(drop),
        }
    }
}

/// MiB that the peak grew.
fn grown(idle: u64) -> f64 {
    let peak = peak_rss_bytes().unwrap_or(idle);
    (peak - idle) as f64 / f64::from(1 << 20)
}

/// Requests and broadcasts, alone and beside large messages without end.
pub(crate) async fn isolation(transport: Transport, seconds: f64) -> Result<Figures, Error> {
    let bulk =
        Channel::best_effort("bulk").max_message(LARGE).queue(8, 64 << 20).traffic(Traffic::Bulk);
    let (one, two) = pair(transport, &[bulk, Channel::request("ask")]).await?;
    tokio::spawn(echo(two.channel("ask")?));
    let lost = Arc::new(AtomicU64::new(0));
    for node in [&one, &two] {
        tokio::spawn(count_losses(node.watch_active_view(), Arc::clone(&lost)));
    }
    let mut figures = Figures::new();
    both(&one, &two, seconds, "idle ", &mut figures).await?;
    let count = Arc::new(AtomicU64::new(0));
    tokio::spawn(count_messages(two.channel("bulk")?, Arc::clone(&count)));
    let to = one.channel("bulk")?.to(two.id());
    tokio::spawn(async move {
        let message = Bytes::from(vec![7; LARGE]);
        while to.send(message.clone()).await.is_ok() {}
    });
    both(&one, &two, seconds, "beside ", &mut figures).await?;
    let whole = seconds + WARM_UP.as_secs_f64();
    let sent = count.load(Ordering::Relaxed) as f64 * LARGE as f64;
    figures.insert("bulk rate".into(), sent / whole);
    figures.insert("neighbours lost".into(), lost.load(Ordering::Relaxed) as f64);
    Ok(figures)
}

async fn count_losses<T>(mut view: tokio::sync::watch::Receiver<Vec<T>>, lost: Arc<AtomicU64>) {
    while view.changed().await.is_ok() {
        if view.borrow_and_update().is_empty() {
            lost.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Requests and, at the same time, broadcasts.
async fn both(
    one: &Node,
    two: &Node,
    seconds: f64,
    of: &str,
    figures: &mut Figures,
) -> Result<(), Error> {
    let (asked, heard) = tokio::join!(asks(one, two, seconds, true), broadcasts(one, two, seconds));
    asked?.note(figures, of);
    heard?.note(figures, &format!("{of}broadcast "));
    Ok(())
}

/// How long broadcasts take, a hundred a second.
async fn broadcasts(one: &Node, two: &Node, seconds: f64) -> Result<Latencies, Error> {
    let mut heard = two.subscribe("news")?;
    let mut ticks = interval(Duration::from_millis(10));
    let mut latencies = Latencies::default();
    let begin = Instant::now();
    let mut sent = begin;
    while sent - begin < WARM_UP + Duration::from_secs_f64(seconds) {
        ticks.tick().await;
        sent = Instant::now();
        one.broadcast("news", vec![5; MESSAGE]).await?;
        timeout(Duration::from_secs(5), heard.next()).await?.ok_or("the node ended")??;
        if sent - begin > WARM_UP {
            latencies.add(sent.elapsed());
        }
    }
    Ok(latencies)
}

/// Nobody takes what arrives on one channel: what it costs, and what the others notice.
pub(crate) async fn stalled(transport: Transport, seconds: f64) -> Result<Figures, Error> {
    let channels = [Channel::best_effort("stalled"), Channel::request("ask")];
    let (one, two) = pair(transport, &channels).await?;
    tokio::spawn(echo(two.channel("ask")?));
    let mut figures = Figures::new();
    asks(&one, &two, seconds, true).await?.note(&mut figures, "idle ");
    let idle = peak_rss_bytes().ok_or("the peak memory is known on Linux only")?;
    let to = one.channel("stalled")?.to(two.id());
    tokio::spawn(async move { while to.send(vec![7; MESSAGE]).await.is_ok() {} });
    asks(&one, &two, seconds, true).await?.note(&mut figures, "beside ");
    figures.insert("memory".into(), grown(idle));
    Ok(figures)
}
