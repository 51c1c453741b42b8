//! A stranger that is a neighbour and says, as fast as it can, what may be said.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::AsyncReadExt;
use murmurate::Limits;
use murmurate::broadcast::anti_entropy;

use super::client::{Speaker, frame, number, write};
use super::{House, patient, short_timeouts, soon};

struct Draw(u64);

impl Draw {
    fn next(&mut self) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.0 >> 31
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    /// An incarnation of a node that may not exist.
    fn peer(&mut self) -> Vec<u8> {
        let mut bytes: Vec<u8> = (0..32).map(|_| self.next() as u8).collect();
        bytes.extend(number(self.next()));
        bytes
    }

    /// Addresses at which nobody answers: none, or a port that refuses.
    fn addresses(&mut self, of: u64) -> Vec<u8> {
        let nowhere = [&[1, 8, 4, 127, 0, 0, 1, 6, 0, 1][..], &[0]];
        (0..of).flat_map(|_| nowhere[self.below(2) as usize]).copied().collect()
    }

    fn link(&mut self) -> Vec<u8> {
        number(self.below(1 << 16))
    }

    fn announced(&mut self) -> Vec<u8> {
        [self.peer(), number(self.next()), number(self.below(1 << 16))].concat()
    }

    fn many(&mut self, count: u64, one: fn(&mut Self) -> Vec<u8>) -> Vec<u8> {
        (0..count).fold(number(count), |all, _| [all, one(self)].concat())
    }

    fn frame(&mut self) -> Vec<u8> {
        let (kind, body) = match self.below(12) {
            0 => (1, [vec![0], self.link()].concat()),
            1 => {
                let joiner = [vec![1], self.peer(), vec![self.below(7) as u8]].concat();
                (1, [joiner, self.addresses(1)].concat())
            }
            2 => (1, [vec![2], self.link(), vec![self.below(2) as u8]].concat()),
            3 => (1, [vec![2], self.link(), vec![2], self.peer(), self.addresses(1)].concat()),
            4 => (1, [vec![3], self.link(), vec![1], self.peer(), self.addresses(1)].concat()),
            5 => {
                let count = self.below(21);
                let sample = self.many(count, Self::peer);
                let origin = [vec![6], self.peer(), vec![self.below(7) as u8]].concat();
                (1, [origin, sample, self.addresses(1 + count)].concat())
            }
            6 => {
                let count = self.below(161);
                (1, [vec![7], self.many(count, Self::peer), self.addresses(count)].concat())
            }
            7 => {
                let count = self.below(257);
                (2, [vec![1, 1], self.many(count, Self::announced)].concat())
            }
            8 => (2, [vec![2, 1], self.announced()].concat()),
            9 => (4, Vec::new()),
            10 => (2, vec![3]),
            _ => (3, self.gossip()),
        };
        frame(kind, &body)
    }

    fn gossip(&mut self) -> Vec<u8> {
        let mut body = [vec![0], self.announced()].concat();
        body.extend(b"\x03any");
        let length = self.below(2_000);
        body.extend((0..8 + length).map(|_| self.next() as u8));
        body.push(0);
        body
    }
}

/// Bytes this process holds, where that can be told.
fn resident() -> Option<usize> {
    let pages = fs::read_to_string("/proc/self/statm").ok()?;
    pages.split(' ').nth(1)?.parse::<usize>().ok().map(|pages| pages * 4_096)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_frames_drowns_nobody() {
    let mut house = House::open().await;
    let Speaker { client, mut out, mut heard } = Speaker::greet(&house.address()).await;
    let before = resident();
    let reader = tokio::spawn(async move {
        let mut room = vec![0; 1 << 16];
        while heard.read(&mut room).await.is_ok_and(|read| read > 0) {}
    });
    let mut draw = Draw(1);
    let goes_on = Arc::new(AtomicBool::new(true));
    let floods = Arc::clone(&goes_on);
    let writer = tokio::spawn(async move {
        let mut frames = 0;
        while floods.load(Ordering::Relaxed) {
            let batch: Vec<u8> = (0..20).flat_map(|_| draw.frame()).collect();
            write(&mut out, &batch).await.expect("the node listens");
            frames += 20;
        }
        (out, frames)
    });
    for kind in ["join", "forward_join", "shuffle", "ihave", "graft", "gossip"] {
        let series = format!("murmurate_messages_total{{direction=\"received\",kind=\"{kind}\"}}");
        for more in 1..=5 {
            house.counts(&series, more * 400).await;
            house.serves().await;
        }
    }
    goes_on.store(false, Ordering::Relaxed);
    let (out, frames) = soon(writer).await.expect("the node listened to the end");
    house.serves().await;
    let info = house.node.info().await.expect("it runs");
    assert!(info.passive.len() <= 30 && info.connections <= 8, "{info:?}");
    assert!(info.outbox_bytes <= 8 << 20, "{} bytes wait", info.outbox_bytes);
    if let (Some(before), Some(now)) = (before, resident()) {
        let grown = now.saturating_sub(before);
        assert!(grown < 128 << 20, "{grown} bytes more after {frames} frames");
    }
    reader.abort();
    drop((out, client));
}

/// Whoever asks for more than it reads is let go before much waits for it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_asks_and_never_reads_is_let_go() {
    let mut house = House::with(short_timeouts()).await;
    let mut stranger = Speaker::greet(&house.address()).await;
    let id = stranger.client.id;
    let ask = frame(4, &[]).repeat(1_000);
    let asks = tokio::spawn(async move {
        while stranger.say(&ask).await.is_ok() {}
        stranger.client.closed().await;
    });
    let mut most = 0;
    soon(async {
        while !asks.is_finished() {
            let info = house.node.info().await.expect("it runs");
            most = most.max(info.outbox_bytes);
            house.serves().await;
        }
    })
    .await;
    asks.await.expect("the node closes the connection");
    assert_eq!(house.told_of(id).await, "it takes or says nothing");
    house.ended("stalled").await;
    assert!(most <= 2 << 20, "{most} bytes waited");
    house.serves().await;
}

/// Frames that begin and do not go on hold no more than the node's budget, and give it back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn half_frames_stay_within_the_budget() {
    const BUDGET: usize = 4 << 20;
    const RETAINED: usize = 1 << 20;
    let limits = Limits { memory_bytes: BUDGET, stall_wait: Duration::from_secs(5), ..patient() };
    let retains = || anti_entropy::Parameters { retained_bytes: RETAINED, ..Default::default() };
    let set_up =
        |builder: murmurate::Builder| builder.limits(limits.clone()).anti_entropy(retains());
    let mut house = House::built(set_up).await;
    let mut strangers = Vec::new();
    for _ in 0..12 {
        let mut stranger = Speaker::greet(&house.address()).await;
        // A broadcast of nearly 1 MiB, and a little more than half of it.
        let half = [&[3, 0x0f, 0, 0][..], &vec![0; 520 << 10]].concat();
        strangers.push(tokio::spawn(async move {
            // The node hangs up before it has heard it all.
            let _ = stranger.say(&half).await;
            stranger.client.closed().await;
        }));
    }
    house.counts("murmurate_memory_refused_total{what=\"frame\"}", 1).await;
    let used = || house.count("murmurate_memory_bytes") as usize;
    assert!((RETAINED..BUDGET).contains(&used()), "{} bytes", used());
    house.serves().await;
    for stranger in strangers {
        soon(stranger).await.expect("the node closes the connection");
    }
    house.ended("stalled").await;
    let used = || house.count("murmurate_memory_bytes") as usize;
    super::until("memory is given back", async || used() < RETAINED + (64 << 10)).await;
    house.serves().await;
}
