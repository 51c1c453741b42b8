//! What makes a transmission other than its latency: jitter, order, bursts of loss, copies, and lines
//! that take their time.
//!
//! What is drawn is drawn from the same hash as all of the network. What must be remembered (a
//! queue, whether a link is in a burst, what was sent last) is kept in the [`Port`] of the node that
//! sends, or for its downlink of the one that receives, and nowhere else: nodes can be run in any
//! order, by any number of threads.

use std::time::Duration;

use super::{mix, share_of, threshold};
use crate::model::node::Peer;

/// How links are, beyond their latency. The default is perfect.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct LinkModel {
    /// Time added to each message's way, drawn evenly from nothing to this.
    pub jitter: Duration,
    /// Messages between two nodes arrive in the order they were sent.
    pub fifo: bool,
    /// Losses that come together.
    pub bursts: Option<Bursts>,
    /// Share of the messages that arrive twice, 0 to 1.
    pub duplicate: f64,
    /// Share of the messages that are held back, 0 to 1, and for how long at most.
    pub reorder: Option<(f64, Duration)>,
    /// What each node's access line carries.
    pub bandwidth: Option<Bandwidth>,
    /// What is lost is sent again after a while, as TCP and QUIC do.
    pub streams: bool,
}

/// Gilbert's and Elliott's model in continuous time: a link is good or bad for exponentially
/// distributed times, and a bad one loses this share of its messages.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bursts {
    /// Share of the time that a link is bad, above 0 and below 1.
    pub share: f64,
    /// Mean time that it stays bad.
    pub length: Duration,
    /// Share of the messages that a bad link loses, 0 to 1.
    pub loss: f64,
}

/// An access line. It is the node's and not a link's, because that is where real networks are
/// narrow, and because whoever sends to many must pay for each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bandwidth {
    /// Bits a second that a node sends.
    pub up: u64,
    /// Bits a second that a node receives.
    pub down: u64,
    /// Bytes that may wait at either end; what does not fit is shed.
    pub queue: u64,
}

impl LinkModel {
    pub(super) fn are_perfect(&self) -> bool {
        let Self { jitter, fifo, bursts, duplicate, reorder, bandwidth, streams } = self;
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
    pub(crate) from: Peer,
    pub(crate) to: Peer,
    /// Counts what `from` sent.
    pub(crate) sequence: u32,
    pub(crate) bytes: u64,
    /// When it is sent, in nanoseconds.
    pub(crate) now: u64,
}

/// What becomes of a message, with the times of arrival.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Transmission {
    Arrives(u64),
    Twice(u64, u64),
    /// It arrives after it was sent so often.
    Resent {
        arrives: u64,
        times: u64,
    },
    Lost,
    /// It did not fit the queue of its sender.
    Shed,
}

/// A word that a stream carried.
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
    /// By destination. What says nothing any more is forgotten.
    links: Vec<(Peer, Link)>,
    /// Links to hold before the next look at what can be forgotten.
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

/// Links that a port holds without looking for some to forget.
const LINKS: usize = 16;

/// After so many relaxation times nothing of a link's state is left: e⁻²⁰ is two in a billion.
const FORGOTTEN: f64 = 20.0;

impl Port {
    fn link(&mut self, to: Peer, now: u64, memory: u64) -> &mut Link {
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

    /// When a message has come in whole whose last bit comes to the line `now`; `None` if it did not
    /// fit. The two lines carry it at the same time: it comes in from its first bit on, or, if its sender's
    /// line is the slower one, as late as it can.
    pub(crate) fn receive(&mut self, now: u64, bytes: u64, line: Bandwidth) -> Option<u64> {
        let start = now.saturating_sub(time_of(bytes, line.up.max(line.down)));
        carry(&mut self.down_free, start, bytes, line.down, line.queue)
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

/// Sends bytes over a line that is free from `free` on, and says when it has carried them.
fn carry(free: &mut u64, now: u64, bytes: u64, rate: u64, queue: u64) -> Option<u64> {
    let start = now.max(*free);
    // A message on its own goes however large it is.
    if start > now && start - now + time_of(bytes, rate) > time_of(queue, rate) {
        return None;
    }
    *free = start.saturating_add(time_of(bytes, rate));
    Some(*free)
}

/// Nanoseconds that a line takes for so many bytes at so many bits a second.
pub(crate) fn time_of(bytes: u64, rate: u64) -> u64 {
    (u128::from(bytes) * 8_000_000_000 / u128::from(rate.max(1))) as u64
}

/// [`LinkModel`] ready to draw from.
#[derive(Debug, Clone)]
pub(super) struct Drawn {
    jitter: u64,
    fifo: bool,
    bursts: Option<Chain>,
    duplicate: u64,
    reorder: Option<(u64, u64)>,
    pub(super) bandwidth: Option<Bandwidth>,
    pub(super) streams: bool,
}

/// Bursts, as a Markov chain.
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

/// So that each use of a message's draw has its own.
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
        let chain = |bursts: Bursts| {
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
        }
    }

    /// Nothing is lost in bursts, copied or held back any more.
    pub(super) fn calm(&mut self) {
        (self.bursts, self.duplicate, self.reorder) = (None, 0, None);
    }

    /// When a message leaves its sender; `None` if it does not fit its queue.
    pub(super) fn departs(&self, packet: &Packet, port: &mut Port) -> Option<u64> {
        match self.bandwidth {
            None => Some(packet.now),
            Some(line) => carry(&mut port.up_free, packet.now, packet.bytes, line.up, line.queue),
        }
    }

    /// Whether a burst takes it.
    pub(super) fn loses(&self, packet: &Packet, departs: u64, port: &mut Port, draw: u64) -> bool {
        let Some(chain) = self.bursts else { return false };
        let link = port.link(packet.to, packet.now, chain.memory);
        chain.step(link, departs, mix(draw ^ salt::STATE)) && mix(draw ^ salt::BURST) < chain.loss
    }

    /// What becomes of a message that takes `latency` from its departure on.
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
