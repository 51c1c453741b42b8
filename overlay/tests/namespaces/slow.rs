//! Peers that read slowly, or not at all: nobody else notices.

use std::fmt;
use std::time::Duration;

use crate::flock::{Flock, alone};
use crate::talk::{Setup, View};

const NODES: usize = 20;
/// The peer that gets slow.
const SLOW: usize = 9;
const MESSAGE: usize = 1_024;
/// Five nodes send 20 messages a second each.
const SENDERS: [usize; 5] = [0, 4, 8, 12, 16];
const EVERY: Duration = Duration::from_millis(50);
const SECOND: u32 = 20;
const BEFORE: u32 = 8;
/// The moments in which those behind the slow one graft other branches are part of it.
const SINCE: u32 = 15;
/// Behind a peer that takes nothing, payloads are fetched until a link is grafted: announced after 20 ms
/// and asked for after 25 ms, and as much again for the clock of a busy machine. Below this, a rise
/// tells nothing.
const FETCHED_MICROS: u32 = 65_000;

/// The latencies of a window, in µs: of the median node the p50, of the worst node the rest.
#[derive(Clone, Copy)]
struct Window {
    p50: u32,
    p99: u32,
    most: u32,
}

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [p50, p99, most] = [self.p50, self.p99, self.most].map(|us| f64::from(us) / 1_000.0);
        write!(f, "p50 {p50:.1} p99 {p99:.1} most {most:.1} ms")
    }
}

/// Sends for so long, waits until all that were asked have all, and measures.
fn window(flock: &mut Flock, seconds: u32, of: &[usize]) -> Window {
    let messages = seconds * SECOND;
    let mark = flock.broadcast(&SENDERS, messages, MESSAGE, EVERY);
    for at in SENDERS {
        assert_eq!(flock.published(at, mark), [""; 0], "#{at} could not broadcast");
    }
    flock.until(Duration::from_secs(10), |flock| flock.has_all(of, &SENDERS, (mark, messages)));
    let views = flock.reports(of, mark);
    let mut p50s: Vec<_> = views.values().map(|view| view.heard.p50_micros).collect();
    p50s.sort_unstable();
    let worst = |which: fn(&View) -> u32| views.values().map(which).max().unwrap_or_default();
    Window {
        p50: p50s[p50s.len() / 2],
        p99: worst(|view| view.heard.p99_micros),
        most: worst(|view| view.heard.most_micros),
    }
}

/// The most memory that one of these uses, in KiB.
fn memory(flock: &mut Flock, of: &[usize]) -> u64 {
    flock.reports(of, 0).values().map(|view| view.resident_kib).max().unwrap_or_default()
}

/// Who names the slow node: nodes with the event, and the most that the metric said.
fn named(flock: &mut Flock, of: &[usize]) -> (usize, u64) {
    let event = format!("LinkSlow {{ node: {}", flock.id(SLOW));
    let views = flock.reports(of, 0);
    let with_event =
        views.values().filter(|view| view.events.iter().any(|(_, what)| what.starts_with(&event)));
    (with_event.count(), views.values().map(|view| view.links_slow).max().unwrap_or_default())
}

/// All but the slow one.
fn others() -> Vec<usize> {
    (0..NODES).filter(|at| *at != SLOW).collect()
}

/// Measures before, and from the moment on that it is slow; whether it was named as slow.
fn measure(flock: &mut Flock, what: &str, slow_down: impl FnOnce(&mut Flock)) -> (Window, bool) {
    let others = others();
    window(flock, 3, &others);
    let before = window(flock, BEFORE, &others);
    let memory_before = memory(flock, &others);
    slow_down(flock);
    let since = window(flock, SINCE, &others);
    let (events, metric) = named(flock, &others);
    let memory_after = memory(flock, &others);
    flock.tell(&format!("{what}: before: {before}; since: {since}"));
    flock.tell(&format!(
        "{what}: most memory {memory_before} to {memory_after} KiB; {events} nodes say that \
         #{SLOW} is slow, the metric at most {metric}"
    ));
    let limit = (before.p99 + before.p99 / 2).max(FETCHED_MICROS);
    if since.p99 > limit {
        flock.tell_events("#0 #1 #2 #3 #4 #5 #6 #7 #8 #10 #11 #12 #13 #14 #15 #16 #17 #18 #19");
    }
    assert!(since.p99 <= limit, "{what}: {since}; before: {before}");
    assert!(memory_after < memory_before + (24 << 10), "{what}: senders grow");
    (since, events > 0 && metric > 0)
}

/// Its neighbours fill its buffers until they drop it; until then they do not know that whoever was
/// behind it in the tree hears nothing.
pub(crate) fn a_stopped_peer_slows_nobody() {
    let _alone = alone();
    let mut flock = Flock::new("slowstop", NODES, Duration::from_secs(120));
    flock.gather(NODES, &Setup::default());
    let (since, _) = measure(&mut flock, "stopped", |flock| flock.stop(SLOW));
    // Announced after 20 ms, missed after 25 ms, and asked of two or three.
    assert!(since.most < 300_000, "{since}");
    flock.go_on(SLOW);
    let took = flock.one_overlay(&flock.living(), Duration::from_secs(20));
    flock.tell(&format!("it goes on: {took}"));
}

/// Behind a link of 10 kB/s, a tenth of what is broadcast.
pub(crate) fn a_throttled_peer_slows_nobody() {
    let _alone = alone();
    let mut flock = Flock::new("slowlink", NODES, Duration::from_secs(120));
    // Its neighbours keep it for as long as by default.
    flock.gather(NODES, &Setup { keepalive_millis: 2_000, ..Setup::default() });
    let (_, mut is_named) = measure(&mut flock, "10 kB/s", |flock| {
        flock.bed.shape(SLOW, Some("80kbit")).expect("a rate");
    });
    // What it is sent may come by several links, and buffers on the way hold seconds of it.
    for _ in 0..2 {
        if !is_named {
            window(&mut flock, SINCE, &others());
            let (events, metric) = named(&mut flock, &others());
            is_named = events > 0 && metric > 0;
        }
    }
    assert!(is_named, "an event and the metric name the slow link");
    flock.bed.shape(SLOW, None).expect("no rate");
    let took = flock.one_overlay(&flock.living(), Duration::from_secs(45));
    flock.tell(&format!("at full speed again: {took}"));
}
