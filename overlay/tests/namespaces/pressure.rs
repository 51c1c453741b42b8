//! Receivers of channels that do not keep up: their sender stays within its queues, and nobody else
//! waits for them.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use crate::flock::{Flock, alone, now};
use crate::talk::{Command, ORDERS, QUEUE_BYTES, SAMPLES, Setup};

const NODES: usize = 5;
const SENDER: usize = 0;
const RECEIVERS: std::ops::Range<usize> = 1..NODES;
/// The one that does not keep up.
const SLOW: usize = 4;

/// What is measured: 100 small messages a second to each receiver on each channel.
const MESSAGE: usize = 1_024;
const EVERY: Duration = Duration::from_millis(10);
const SECOND: u32 = 100;
/// What fills queues: 4 MB a second, so that a sender without a bound grows by 80 MB in a window.
const LARGE: usize = 16 << 10;
const LARGE_EVERY: Duration = Duration::from_millis(4);
/// Without an end, for a scenario.
const ENDLESS: u32 = 1_000_000;

const BEFORE: u32 = 8;
const SINCE: u32 = 20;
/// What a busy machine adds, and what it must not: below the first, a rise tells nothing.
const NOISE_MICROS: u32 = 100_000;
const MOST_MICROS: u32 = 300_000;
/// What a sender's memory may grow by beside its queues: the allocator's, and what is measured here.
const SLACK_KIB: u64 = 12 << 10;

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Who receives on which channel.
type Flow = (usize, &'static str);

/// All but these.
fn others(than: &[Flow]) -> Vec<Flow> {
    let all = RECEIVERS.flat_map(|to| [ORDERS, SAMPLES].map(|channel| (to, channel)));
    all.filter(|flow| !than.contains(flow)).collect()
}

/// The latencies of a flow, in µs.
#[derive(Clone, Copy)]
struct Latency {
    flow: Flow,
    p50: u32,
    p99: u32,
    most: u32,
}

impl fmt::Display for Latency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (to, channel) = self.flow;
        let [p50, p99, most] = [self.p50, self.p99, self.most].map(|us| f64::from(us) / 1_000.0);
        write!(f, "#{to} {channel}: p50 {p50:.1} p99 {p99:.1} most {most:.1} ms")
    }
}

/// Does something, and measures for how long the machine did nothing meanwhile: how late a thread was
/// that only sleeps. What else is on it may stop it for seconds.
fn with_pauses<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    const NAP: Duration = Duration::from_millis(20);
    let done = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&done);
    let watch = thread::spawn(move || {
        let mut late = Duration::ZERO;
        while !seen.load(Ordering::Relaxed) {
            let since = now();
            thread::sleep(NAP);
            late += since.elapsed().saturating_sub(2 * NAP);
        }
        late
    });
    let came = work();
    done.store(true, Ordering::Relaxed);
    (came, watch.join().expect("it only sleeps"))
}

/// Sends for so long on each flow, and measures each when all has arrived.
fn window(flock: &mut Flock, seconds: u32, flows: &[Flow]) -> Vec<Latency> {
    let messages = seconds * SECOND;
    let mut marks = Vec::new();
    for flow in flows {
        let mark = flock.mark();
        flock.send(SENDER, *flow, mark, (messages, MESSAGE, EVERY));
        marks.push(mark);
    }
    let mut measured = Vec::new();
    for (flow, mark) in flows.iter().zip(marks) {
        let outcomes = flock.sent(SENDER, mark);
        let (to, channel) = flow;
        assert_eq!(outcomes.keys().collect::<Vec<_>>(), ["delivered"], "#{to} {channel}");
        flock.until(Duration::from_secs(5), |flock| {
            let heard = flock.reports(&[*to], mark)[to].heard.from.values().sum::<u32>();
            if heard == messages { Ok(()) } else { Err(format!("#{to} has {heard} of {messages}")) }
        });
        let heard = flock.reports(&[*to], mark)[to].heard.clone();
        let (p50, p99, most) = (heard.p50_micros, heard.p99_micros, heard.most_micros);
        measured.push(Latency { flow: *flow, p50, p99, most });
    }
    measured
}

fn memory(flock: &mut Flock, of: usize) -> u64 {
    flock.reports(&[of], 0)[&of].resident_kib
}

/// Measures before, and from the moment on that `floods` no longer move.
fn measure(flock: &mut Flock, what: &str, floods: &[Flow], stop: impl FnOnce(&mut Flock)) {
    let flows = others(floods);
    for flood in floods {
        let mark = flock.mark();
        flock.send(SENDER, *flood, mark, (ENDLESS, LARGE, LARGE_EVERY));
    }
    window(flock, 3, &flows);
    let before = window(flock, BEFORE, &flows);
    let memory_before = memory(flock, SENDER);
    stop(flock);
    let (since, paused) = with_pauses(|| window(flock, SINCE, &flows));
    let memory_after = memory(flock, SENDER);
    for (before, since) in before.iter().zip(&since) {
        flock.tell(&format!("{what}: before {before}; since {since}"));
    }
    let queues = (floods.len() * QUEUE_BYTES) as u64 >> 10;
    let most = memory_before + queues + SLACK_KIB;
    flock.tell(&format!(
        "{what}: the sender's memory {memory_before} to {memory_after} KiB, at most {most} with \
         {queues} in its queues; the machine paused for {paused:.1?}"
    ));
    for (before, since) in before.iter().zip(&since) {
        let limit = (2 * before.p99).clamp(NOISE_MICROS, MOST_MICROS) + paused.as_micros() as u32;
        assert!(since.p99 <= limit, "{what}: {since}; before: {before}; paused: {paused:?}");
    }
    assert!(memory_after <= most, "{what}: {memory_after} KiB, at most {most}");
}

/// A message that is sent now arrives, behind all that waits.
fn goes_on(flock: &mut Flock, flows: &[Flow]) {
    for flow @ (to, channel) in flows {
        let mark = flock.mark();
        flock.send(SENDER, *flow, mark, (1, MESSAGE, EVERY));
        let outcomes = flock.sent(SENDER, mark);
        assert_eq!(outcomes.keys().collect::<Vec<_>>(), ["delivered"], "#{to} {channel}");
        flock.until(seconds(10), |flock| {
            let heard = flock.reports(&[*to], mark)[to].heard.from.len();
            if heard == 1 { Ok(()) } else { Err(format!("#{to} {channel} has nothing new")) }
        });
    }
}

/// Its kernel goes on taking what fits its buffers, and nothing is acknowledged.
pub(crate) fn a_receiver_that_is_stopped_holds_up_nobody_else() {
    let _alone = alone();
    let mut flock = Flock::new("chanstop", NODES, seconds(120));
    flock.gather(NODES, &Setup::default());
    let floods = [(SLOW, ORDERS), (SLOW, SAMPLES)];
    measure(&mut flock, "stopped", &floods, |flock| flock.stop(SLOW));
    flock.go_on(SLOW);
    goes_on(&mut flock, &floods);
}

/// Its node takes what its own queue holds; the other channel goes over the same connection.
fn an_application_that_takes_nothing(name: &'static str, held: &'static str) {
    let _alone = alone();
    let mut flock = Flock::new(name, NODES, seconds(120));
    flock.gather(NODES, &Setup::default());
    let take = |takes| Command::Take { channel: held.into(), takes };
    let receiver_before = memory(&mut flock, SLOW);
    measure(&mut flock, held, &[(SLOW, held)], |flock| flock.say(SLOW, &take(false)));
    let receiver_after = memory(&mut flock, SLOW);
    flock.tell(&format!("{held}: its memory {receiver_before} to {receiver_after} KiB"));
    flock.say(SLOW, &take(true));
    goes_on(&mut flock, &[(SLOW, held)]);
}

pub(crate) fn an_application_that_takes_no_acknowledged_messages_still_takes_others() {
    an_application_that_takes_nothing("chanorders", ORDERS);
}

pub(crate) fn an_application_that_takes_no_best_effort_messages_still_takes_others() {
    an_application_that_takes_nothing("chansample", SAMPLES);
}
