//! What affects a transmission beside latency: jitter, ordering, bursts of loss, duplicates, and limited
//! bandwidth.
//!
//! What is drawn is drawn from the same hash as all of the network. What must be remembered (a
//! queue, whether a link is in a burst, what was sent last) is kept in the [`Port`] of the node that
//! sends, or for its downlink of the one that receives, and nowhere else: nodes can be run in any
//! order, by any number of threads.

use std::time::Duration;

use super::swings::Swings;
use super::{BandwidthModel, Class, mix, share_of, threshold};
use crate::model::node::SimPeer;

/// How links are, beyond their latency. The default is perfect.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct LinkModel {
    /// Time added to each message's way, drawn evenly from nothing to this.
    pub jitter: Duration,
    /// Messages between two nodes arrive in the order they were sent.
    pub fifo: bool,
    /// Losses that come together.
    pub bursts: Option<BurstModel>,
    /// Share of the messages that arrive twice, 0 to 1.
    pub duplicate: f64,
    /// Share of the messages that are held back, 0 to 1, and for how long at most.
    pub reorder: Option<(f64, Duration)>,
    /// What each node's access line carries.
    pub bandwidth: Option<BandwidthModel>,
    /// What is lost is sent again after a while, as TCP and QUIC do.
    pub streams: bool,
    /// Latencies will change, which order must be kept for.
    pub changing: bool,
}

/// Gilbert's and Elliott's model in continuous time: a link is good or bad for exponentially
/// distributed times, and a bad one loses this share of its messages.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BurstModel {
    /// Share of the time that a link is bad, above 0 and below 1.
    pub share: f64,
    /// Mean time that it stays bad.
    pub length: Duration,
    /// Share of the messages that a bad link loses, 0 to 1.
    pub loss: f64,
}

impl LinkModel {
    pub(super) fn are_perfect(&self) -> bool {
        let Self { jitter, fifo, bursts, duplicate, reorder, bandwidth, streams, changing: _ } =
            self;
        jitter.is_zero()
            && !fifo
            && !streams
            && *duplicate == 0.0
            && bursts.is_none()
            && reorder.is_none()
            && bandwidth.is_none()
    }

    /// Whether transmissions depend on those before.
    pub(super) fn remember(&self) -> bool {
        self.fifo || self.bursts.is_some() || self.bandwidth.is_some()
    }
}

/// A message on its way.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Packet {
    pub(crate) from: SimPeer,
    pub(crate) to: SimPeer,
    /// Counts what `from` sent.
    pub(crate) sequence: u32,
    pub(crate) bytes: u64,
    /// When it is sent, in nanoseconds.
    pub(crate) now: u64,
}

/// The fate of a message, with its times of arrival.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Transmission {
    Arrives(u64),
    Twice(u64, u64),
    /// It arrives after this many attempts.
    Resent {
        arrives: u64,
        times: u64,
    },
    Lost,
    /// It did not fit the queue of its sender.
    Shed,
    /// It would arrive then, and a copy of it, if lines that many nodes share had nothing else to carry.
    Shared {
        arrives: u64,
        copy: Option<u64>,
        /// How often it was sent.
        times: u64,
    },
}

impl Transmission {
    /// The same over such lines.
    pub(super) fn over_shared_lines(self) -> Self {
        let (arrives, copy, times) = match self {
            Self::Arrives(arrives) => (arrives, None, 1),
            Self::Twice(arrives, copy) => (arrives, Some(copy), 1),
            Self::Resent { arrives, times } => (arrives, None, times),
            other => return other,
        };
        Self::Shared { arrives, copy, times }
    }
}

/// What a stream delivered.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Carried {
    pub(crate) arrives: u64,
    /// How often it was sent.
    pub(crate) times: u64,
}

/// What a node remembers of its links.
#[derive(Debug, Clone, Default, serde::Serialize, serde::Deserialize)]
pub(crate) struct Port {
    /// When the lines have carried all that waits for them.
    up_free: u64,
    down_free: u64,
    /// By destination. Entries that are too old to matter are removed.
    links: Vec<(SimPeer, Link)>,
    /// The number of links at which old entries are next removed.
    full: usize,
}

#[derive(Debug, Clone, Copy, serde::Serialize, serde::Deserialize)]
struct Link {
    /// When the last message arrives.
    arrival: u64,
    /// When it was looked at whether the link is bad, and what was found.
    looked: Option<u64>,
    bad: bool,
}

/// Links that a port holds before it looks for old entries to remove.
const LINKS: usize = 16;

/// After this many relaxation times a link's former state no longer matters: e⁻²⁰ is two in a billion.
const FORGOTTEN: f64 = 20.0;

impl Port {
    fn link(&mut self, to: SimPeer, now: u64, memory: u64) -> &mut Link {
        let at = match self.links.binary_search_by_key(&to, |(peer, _)| *peer) {
            Ok(at) => at,
            Err(_) => {
                if self.links.len() >= self.full.max(LINKS) {
                    self.links.retain(|(_, link)| {
                        link.arrival > now || link.looked.is_some_and(|t| t + memory > now)
                    });
                    self.full = self.links.len() * 2;
                }
                let at = self.links.partition_point(|(peer, _)| *peer < to);
                self.links.insert(at, (to, Link { arrival: 0, looked: None, bad: false }));
                at
            }
        };
        &mut self.links[at].1
    }

    /// When the message arrives that was sent last to a node, where order is kept.
    pub(crate) fn last_arrival(&self, to: SimPeer) -> Option<u64> {
        let at = self.links.binary_search_by_key(&to, |(peer, _)| *peer).ok()?;
        Some(self.links[at].1.arrival)
    }

    /// When a message is received completely, given that its last bit reaches the line `now`; `None` if it
    /// did not fit. Both lines carry it at the same time: receiving starts with its first bit, or later if
    /// the sender's line is the slower one.
    pub(crate) fn receive(&mut self, now: u64, bytes: u64, line: BandwidthModel) -> Option<u64> {
        let start = now.saturating_sub(time_of(bytes, line.up.max(line.down)));
        carry(&mut self.down_free, (start, start), bytes, (line.down, line.queue))
    }

    /// Bytes that wait for the two lines: to leave, and to come in.
    pub(crate) fn waiting(&self, now: u64, line: BandwidthModel) -> [u64; 2] {
        let bytes = |free: u64, rate| bytes_in(free.saturating_sub(now), rate);
        [bytes(self.up_free, line.up), bytes(self.down_free, line.down)]
    }

    #[cfg(test)]
    pub(super) fn links(&self) -> usize {
        self.links.len()
    }

    /// The process starts anew: nothing waits.
    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }
}

/// Sends bytes `at` some time over a line that is free from `free` on, and says when it has carried them.
/// If that is later than `now`, others may use the line before.
fn carry(
    free: &mut u64,
    (now, at): (u64, u64),
    bytes: u64,
    (rate, queue): (u64, u64),
) -> Option<u64> {
    let start = at.max(*free);
    let takes = time_of(bytes, rate);
    // A message on its own goes however large it is.
    if start > at && start - at + takes > time_of(queue, rate) {
        return None;
    }
    *free = now.max(*free).saturating_add(takes);
    Some(start.saturating_add(takes))
}

/// Nanoseconds that a line takes for this many bytes at this many bits a second.
pub(crate) fn time_of(bytes: u64, rate: u64) -> u64 {
    (u128::from(bytes) * 8_000_000_000 / u128::from(rate.max(1))) as u64
}

/// Bytes that a line carries in so many nanoseconds at so many bits a second, rounded up.
fn bytes_in(time: u64, rate: u64) -> u64 {
    (u128::from(time) * u128::from(rate)).div_ceil(8_000_000_000) as u64
}

/// [`LinkModel`] ready to draw from.
#[derive(Debug, Clone)]
pub(super) struct Drawn {
    jitter: u64,
    pub(super) fifo: bool,
    bursts: Option<Chain>,
    duplicate: u64,
    reorder: Option<(u64, u64)>,
    bandwidth: Option<BandwidthModel>,
    pub(super) streams: bool,
    /// By class, where any has a line or a loss of its own.
    lines: Vec<Option<BandwidthModel>>,
    losses: Vec<Option<u64>>,
    pub(super) swings: Swings,
    /// Some nodes share lines.
    pub(super) shares: bool,
}

/// BurstModel, as a Markov chain.
#[derive(Debug, Clone, Copy)]
struct Chain {
    share: f64,
    /// Changes a nanosecond, both ways together.
    rate: f64,
    loss: u64,
    /// Nanoseconds after which a link's state is as any other's.
    memory: u64,
}

impl Chain {
    /// Whether the link is bad now, given what it was when last looked at.
    fn step(&self, link: &mut Link, now: u64, draw: u64) -> bool {
        let share = match link.looked {
            None => self.share,
            Some(then) => {
                let kept = (-self.rate * now.saturating_sub(then) as f64).exp();
                self.share + (f64::from(u8::from(link.bad)) - self.share) * kept
            }
        };
        link.looked = Some(now);
        link.bad = draw < threshold(share);
        link.bad
    }
}

/// Salts: each use of a message's draw gets its own bits.
mod salt {
    pub(super) const JITTER: u64 = 0x6a69_7474;
    pub(super) const STATE: u64 = 0x6261_6421;
    pub(super) const BURST: u64 = 0x6275_7273;
    pub(super) const COPY: u64 = 0x636f_7079;
    pub(super) const COPY_LATE: u64 = 0x6c61_7465;
    pub(super) const REORDER: u64 = 0x7265_6f72;
    pub(super) const HELD: u64 = 0x6865_6c64;
}

impl Drawn {
    pub(super) fn new(links: &LinkModel) -> Self {
        let nanos = murmurate::membership::nanos;
        let chain = |bursts: BurstModel| {
            // Bad for `length`, good for as long as makes `share` of the whole: the rates add up.
            let rate = 1.0 / (nanos(bursts.length).max(1) as f64 * (1.0 - bursts.share));
            Chain {
                share: bursts.share,
                rate,
                loss: threshold(bursts.loss),
                memory: (FORGOTTEN / rate) as u64,
            }
        };
        Self {
            jitter: nanos(links.jitter),
            fifo: links.fifo,
            bursts: links.bursts.map(chain),
            duplicate: threshold(links.duplicate),
            reorder: links.reorder.map(|(share, by)| (threshold(share), nanos(by))),
            bandwidth: links.bandwidth,
            streams: links.streams,
            lines: Vec::new(),
            losses: Vec::new(),
            swings: Swings::default(),
            shares: false,
        }
    }

    /// Some nodes have lines of their own. Whether transmissions depend on those before.
    pub(super) fn set_classes(&mut self, classes: &[Class]) -> bool {
        if classes.iter().any(|class| class.bandwidth.is_some()) {
            self.lines = classes.iter().map(|class| class.bandwidth).collect();
        }
        if classes.iter().any(|class| class.loss.is_some()) {
            self.losses = classes.iter().map(|class| class.loss.map(threshold)).collect();
        }
        self.shares = classes.iter().any(|class| class.shared.is_some());
        !self.lines.is_empty()
    }

    /// What the access line of a node carries, if that is bounded. `class` is the node's.
    pub(super) fn line(&self, class: impl FnOnce() -> Option<usize>) -> Option<BandwidthModel> {
        if self.lines.is_empty() {
            return self.bandwidth;
        }
        class().and_then(|class| self.lines[class]).or(self.bandwidth)
    }

    /// What the line of the receiver carries of what comes from the sender's.
    pub(super) fn way(
        &self,
        sender: impl FnOnce() -> Option<usize>,
        receiver: impl FnOnce() -> Option<usize>,
    ) -> Option<BandwidthModel> {
        if self.lines.is_empty() {
            return self.bandwidth;
        }
        let line = self.line(receiver)?;
        // A sender without a line sends all at once.
        Some(BandwidthModel { up: self.line(sender).map_or(u64::MAX, |line| line.up), ..line })
    }

    /// The loss between nodes of two classes: the worse of the two, where all others lose `base`.
    pub(super) fn loss(
        &self,
        base: u64,
        sender: impl FnOnce() -> Option<usize>,
        receiver: impl FnOnce() -> Option<usize>,
    ) -> u64 {
        if self.losses.is_empty() {
            return base;
        }
        let of = |class: Option<usize>| class.and_then(|class| self.losses[class]);
        match (of(sender()), of(receiver())) {
            (Some(one), Some(other)) => one.max(other),
            (one, other) => one.or(other).unwrap_or(base),
        }
    }

    /// All lose the same.
    pub(super) fn forget_losses(&mut self) {
        self.losses.clear();
    }

    /// Nothing is lost by chance, copied or held back any more.
    pub(super) fn calm(&mut self) {
        self.forget_losses();
        (self.bursts, self.duplicate, self.reorder) = (None, 0, None);
    }

    /// When a message that is sent `at` some time leaves its sender; `None` if it does not fit its queue.
    pub(super) fn departs(
        &self,
        packet: &Packet,
        at: u64,
        port: &mut Port,
        line: Option<BandwidthModel>,
    ) -> Option<u64> {
        match line {
            None => Some(at),
            Some(line) => {
                let rate = (line.up, line.queue);
                carry(&mut port.up_free, (packet.now, at), packet.bytes, rate)
            }
        }
    }

    /// Whether a burst takes it.
    pub(super) fn loses(&self, packet: &Packet, departs: u64, port: &mut Port, draw: u64) -> bool {
        let Some(chain) = self.bursts else { return false };
        let link = port.link(packet.to, packet.now, chain.memory);
        chain.step(link, departs, mix(draw ^ salt::STATE)) && mix(draw ^ salt::BURST) < chain.loss
    }

    /// The fate of a message that takes `latency` from its departure on.
    pub(super) fn arrives(
        &self,
        packet: &Packet,
        departs: u64,
        latency: u64,
        port: &mut Port,
        draw: u64,
    ) -> Transmission {
        let jitter = share_of(mix(draw ^ salt::JITTER), self.jitter);
        let mut arrival = departs.saturating_add(latency).saturating_add(jitter);
        let held = self.reorder.filter(|(share, _)| mix(draw ^ salt::REORDER) < *share);
        if let Some((_, by)) = held {
            arrival = arrival.saturating_add(share_of(mix(draw ^ salt::HELD), by));
        } else if self.fifo {
            let memory = self.bursts.map_or(0, |chain| chain.memory);
            let link = port.link(packet.to, packet.now, memory);
            arrival = arrival.max(link.arrival);
            link.arrival = arrival;
        }
        if self.duplicate > 0 && mix(draw ^ salt::COPY) < self.duplicate {
            // Never at the same time: no two events are alike.
            let late = 1 + share_of(mix(draw ^ salt::COPY_LATE), latency);
            return Transmission::Twice(arrival, arrival.saturating_add(late));
        }
        Transmission::Arrives(arrival)
    }
}
