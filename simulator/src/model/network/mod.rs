//! The network between the nodes: latency, loss, cuts, and everything else that happens to messages.
//!
//! Every draw is a hash of (seed, source, destination, sequence): adding one fault shifts no other
//! draw, and the order in which nodes are run does not matter.

mod bandwidth;
mod classes;
mod cuts;
mod latency;
mod link_model;
mod placement;
mod swings;
mod switch;

use std::time::Duration;

use murmurate::membership::nanos;

pub use bandwidth::BandwidthModel;
pub use classes::{Class, Members, Nat};
pub(crate) use classes::{Route, SharedLine};
pub use cuts::Side;
use cuts::{Cuts, When};
pub use latency::Latency;
use latency::Sampler;
use link_model::Drawn;
pub use link_model::{BurstModel, LinkModel};
pub(crate) use link_model::{Carried, Packet, Port, Transmission, time_of};
pub use placement::Placement;
pub use swings::Swing;
pub use switch::Switch;

use crate::model::node::SimPeer;

/// The least latency of any link: lower draws of a model are raised to it.
pub const MIN_LATENCY: Duration = Duration::from_micros(20);

/// How long a stream waits before it sends again what was lost, at first; twice as long each time after
/// it. As Linux' TCP does at least (`TCP_RTO_MIN`).
const STREAM_TIMEOUT: Duration = Duration::from_millis(200);
/// How often it sends it in all.
const STREAM_ATTEMPTS: u64 = 8;

/// After how many nanoseconds a stream sends again what was sent so often and did not arrive; `None` if it
/// gives it up.
pub(crate) fn resend_after(sent: u64) -> Option<u64> {
    (sent < STREAM_ATTEMPTS).then(|| nanos(STREAM_TIMEOUT) << sent.saturating_sub(1))
}

/// Latency, loss and cuts between nodes.
#[derive(Debug, Clone)]
pub struct Network {
    seed: u64,
    latency: Sampler,
    /// Whether the latency of a link differs from message to message.
    varies: bool,
    placement: Placement,
    least: u64,
    /// A message is lost if its draw is below this share of 2⁶⁴.
    loss: u64,
    cuts: Cuts,
    /// Nodes whose machine is gone: nothing answers for them.
    dark: Vec<bool>,
    /// Mean time added to the way of a connection reset.
    reset_delay: u64,
    /// What else there is to a transmission, unless there is nothing.
    links: Option<Box<Drawn>>,
    remembers: bool,
}

/// Why a network cannot be built; nothing was changed.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum NetworkError {
    /// Not a probability.
    #[error("loss {0} is out of range: 0 to 1")]
    Loss(f64),
    /// Not a probability either.
    #[error("share {0} is out of range: 0 to 1")]
    Share(f64),
    /// There are not so many nodes.
    #[error("the shares of the classes come to {0}: allowed is 1 at most")]
    Shares(f64),
    /// More than can be told apart.
    #[error("{0} classes: allowed are {max} at most", max = Class::MOST)]
    Classes(usize),
    /// The second is smaller than the first.
    #[error("uniform latency {0:?},{1:?}: the second must be at least the first")]
    Uniform(Duration, Duration),
    /// A latency outside the model.
    #[error("latency {0:?} is out of range: {MIN_LATENCY:?} to 100s")]
    Latency(Duration),
    /// A spread outside the model.
    #[error("log-normal sigma {0} is out of range: 0 to 5")]
    Sigma(f64),
}

impl Network {
    /// A network with this latency that loses `loss` of all messages, at random.
    ///
    /// # Errors
    /// If a value is out of its range.
    pub fn new(seed: u64, latency: Latency, loss: f64) -> Result<Self, NetworkError> {
        let mut network = Self {
            seed,
            varies: latency.varies(),
            placement: Placement::sites(latency.sites()),
            least: nanos(latency.least()),
            latency: Sampler::new(latency)?,
            loss: 0,
            cuts: Cuts::default(),
            dark: Vec::new(),
            reset_delay: 0,
            links: None,
            remembers: false,
        };
        network.set_loss(loss)?;
        Ok(network)
    }

    /// The same network with nodes placed like this. The sites of a matrix are the regions.
    #[must_use]
    pub fn placed(self, placement: Placement) -> Self {
        Self { placement, ..self }
    }

    /// The same network with nodes of these classes; which ones a share is of follows from the seed. To be
    /// called once its links are set.
    ///
    /// # Errors
    /// If a share is none, or all shares come to more than 1, or there are more than [`Class::MOST`].
    pub fn classed(mut self, classes: Vec<Class>, seed: u64) -> Result<Self, NetworkError> {
        let share_of = |class: &Class| match class.members {
            Members::Share(share) => share,
            _ => 0.0,
        };
        let shares = classes.iter().map(share_of).chain(classes.iter().filter_map(|c| c.loss));
        if let Some(share) = shares.into_iter().find(|share| !(0.0..=1.0).contains(share)) {
            return Err(NetworkError::Share(share));
        }
        let all: f64 = classes.iter().map(share_of).sum();
        if all > 1.0 + 1e-9 {
            return Err(NetworkError::Shares(all));
        }
        if classes.len() > Class::MOST {
            return Err(NetworkError::Classes(classes.len()));
        }
        let has_own = |c: &Class| c.bandwidth.is_some() || c.loss.is_some() || c.shared.is_some();
        if classes.iter().any(has_own) {
            let links = self.links.get_or_insert_with(|| Drawn::new(&LinkModel::default()).into());
            self.remembers |= links.set_classes(&classes);
        }
        self.placement = self.placement.classed(classes, seed);
        Ok(self)
    }

    /// The same network with such links.
    ///
    /// # Errors
    /// If a share is none.
    pub fn with(mut self, links: &LinkModel) -> Result<Self, NetworkError> {
        let bursts = links.bursts.map_or([0.0; 2], |bursts| [bursts.share, bursts.loss]);
        let reorder = links.reorder.map_or(0.0, |(share, _)| share);
        for share in [links.duplicate, reorder, bursts[0], bursts[1]] {
            if !(0.0..=1.0).contains(&share) {
                return Err(NetworkError::Share(share));
            }
        }
        // Where every message of a link takes as long as the others, order keeps itself.
        let varies = self.varies
            || !links.jitter.is_zero()
            || links.reorder.is_some()
            || links.streams
            || links.changing;
        let links = LinkModel { fifo: links.fifo && varies, ..*links };
        self.remembers = links.remember();
        self.links = (!links.are_perfect()).then(|| Box::new(Drawn::new(&links)));
        Ok(self)
    }

    /// From now on loses `loss` of all messages, also of nodes whose class had a loss of its own.
    ///
    /// # Errors
    /// If `loss` is no probability.
    pub fn set_loss(&mut self, loss: f64) -> Result<(), NetworkError> {
        if !(0.0..=1.0).contains(&loss) {
            return Err(NetworkError::Loss(loss));
        }
        self.loss = threshold(loss);
        if let Some(links) = &mut self.links {
            links.forget_losses();
        }
        Ok(())
    }

    /// From now on hosts take this long to notice a dead peer, give or take half of it, in addition
    /// to the latency.
    pub fn set_reset_delay(&mut self, mean: Duration) {
        self.reset_delay = nanos(mean);
    }

    /// Cuts the nodes for which `is_far` holds off from the others: silently, as a network does.
    /// One way, only messages towards them are lost.
    pub fn cut(&mut self, nodes: usize, is_far: impl Fn(usize) -> bool, one_way: bool) {
        self.cut_off(Side::of(nodes, is_far), one_way);
    }

    /// As [`Network::cut`], and returns the number by which [`Network::mend`] ends this cut only.
    pub fn cut_off(&mut self, side: Side, one_way: bool) -> u32 {
        self.cuts.add(side, When::Always { one_way })
    }

    /// From now on the links of `side` go down and up again, each at times of its own, until
    /// [`Network::mend`] ends it.
    pub fn flap(&mut self, side: Side, up: Duration, down: Duration) -> u32 {
        let seed = mix(self.seed ^ 0x666c_6170);
        self.cuts.add(side, When::Flapping { up: nanos(up), down: nanos(down), seed })
    }

    /// From now on the links of `who` take longer, or only those between them and `to`. Messages between
    /// two nodes may overtake each other unless links are [`LinkModel::changing`]. Returns the number by
    /// which [`Network::mend`] ends it.
    pub fn lengthen(&mut self, who: Side, to: Option<Side>, swing: Swing) -> u32 {
        let number = self.cuts.number();
        let links = self.links.get_or_insert_with(|| Drawn::new(&LinkModel::default()).into());
        links.swings.add(number, who, to, swing);
        number
    }

    /// Ends a cut, or what made links flap or take longer.
    pub fn mend(&mut self, number: u32) {
        self.cuts.end(number);
        if let Some(links) = &mut self.links {
            links.swings.end(number);
        }
    }

    /// Ends all cuts.
    pub fn heal(&mut self) {
        self.cuts.heal();
    }

    /// From now on, while node `index` does not run, nothing answers messages to it, or its host does
    /// again.
    pub fn set_dark(&mut self, index: usize, dark: bool) {
        if dark && self.dark.len() <= index {
            self.dark.resize(index + 1, false);
        }
        if let Some(is_dark) = self.dark.get_mut(index) {
            *is_dark = dark;
        }
    }

    /// From now on no message is lost by chance, copied or held back, of whichever class its ends are. Cuts
    /// stay.
    pub fn calm(&mut self) {
        self.loss = 0;
        if let Some(links) = &mut self.links {
            links.calm();
        }
    }

    /// Whether nothing answers for node `index`.
    pub(crate) fn is_dark(&self, index: usize) -> bool {
        self.dark.get(index).copied().unwrap_or(false)
    }

    /// Where the nodes stand.
    #[must_use]
    pub fn placement(&self) -> &Placement {
        &self.placement
    }

    /// The shortest ways between all sites in nanoseconds, row by row: what no protocol can beat.
    /// `None` where the way is drawn for each message.
    #[must_use]
    pub fn shortest(&self) -> Option<Vec<u64>> {
        self.latency.shortest()
    }

    /// A node's memory of its links, if this network needs one.
    pub(crate) fn port(&self) -> Option<Port> {
        self.remembers.then(Port::default)
    }

    /// What a node's access line carries of what comes from another node's, if that is bounded.
    #[inline]
    pub(crate) fn way(&self, from: usize, to: usize) -> Option<BandwidthModel> {
        let class = |index| move || self.placement.class(index);
        self.links.as_ref().and_then(|links| links.way(class(from), class(to)))
    }

    /// What a dial meets at node `index`, if nobody can dial it.
    pub(crate) fn nat(&self, index: usize) -> Option<Nat> {
        self.placement.classes().get(self.placement.class(index)?)?.nat
    }

    /// Neither a node nor a line that many share is reached in less than this many nanoseconds.
    pub(crate) fn least_latency(&self) -> u64 {
        if self.links.as_ref().is_some_and(|links| links.shares) { self.leg() } else { self.least }
    }

    /// How long it takes from a shared line to whatever comes next: a part of the latency, which two lines
    /// cut into three.
    pub(crate) fn leg(&self) -> u64 {
        self.least / 3
    }

    /// The lines that many nodes share, by number, if there are any.
    pub(crate) fn shared_lines(&self) -> Option<Vec<Option<SharedLine>>> {
        self.links.as_ref().filter(|links| links.shares).map(|_| self.placement.shared_lines())
    }

    /// Whether what is lost is sent again.
    pub(crate) fn resends(&self) -> bool {
        self.links.as_ref().is_some_and(|links| links.streams)
    }

    /// Whether there are shared lines on the way from one node to another.
    pub(crate) fn is_shared(&self, from: SimPeer, to: SimPeer) -> bool {
        self.route(from.index(), to.index()).is_some()
    }

    /// The shared lines on the way from one node to another, if there are any.
    pub(crate) fn route(&self, from: usize, to: usize) -> Option<Route> {
        self.placement.route(from, to)
    }

    /// Whether messages of a link arrive in the order they were sent, although their latencies differ.
    pub(crate) fn keeps_order(&self) -> bool {
        self.links.as_ref().is_some_and(|links| links.fifo)
    }

    /// When the first bit of a message left its sender's access line, if the last one does now.
    pub(crate) fn first_bit(&self, from: usize, bytes: u64, last: u64) -> u64 {
        let line = self.links.as_ref().and_then(|l| l.line(|| self.placement.class(from)));
        last.saturating_sub(line.map_or(0, |line| time_of(bytes, line.up)))
    }

    /// How many nanoseconds the `sequence`-th transmission of `from` takes to `to` if it is sent `now` and
    /// does not wait for anything; `None` if it is lost.
    #[inline]
    pub(crate) fn carry(&self, from: SimPeer, to: SimPeer, sequence: u32, now: u64) -> Option<u64> {
        self.carry_or_lose(from, to, sequence, now, self.loss)
    }

    /// The same where so much is lost.
    #[inline(always)]
    fn carry_or_lose(
        &self,
        from: SimPeer,
        to: SimPeer,
        sequence: u32,
        now: u64,
        loss: u64,
    ) -> Option<u64> {
        if !self.cuts.is_empty() && self.cuts.sever(from, to, now, &self.placement) {
            return None;
        }
        let draw = self.draw(from, to, sequence);
        if loss > 0 && mix(draw ^ 0x6c6f_7373) < loss {
            return None;
        }
        Some(self.latency(from, to, draw))
    }

    /// The fate of a message; `port` is its sender's.
    #[inline(always)]
    pub(crate) fn send(&self, packet: &Packet, port: Option<&mut Port>) -> Transmission {
        match &self.links {
            None => {
                let Packet { from, to, sequence, now, .. } = *packet;
                let latency = self.carry(from, to, sequence, now);
                latency.map_or(Transmission::Lost, |l| Transmission::Arrives(now.saturating_add(l)))
            }
            Some(links) => {
                let outcome = if links.streams {
                    match self.send_on_stream(packet, port) {
                        Some(Carried { arrives, times: 1 }) => Transmission::Arrives(arrives),
                        Some(Carried { arrives, times }) => Transmission::Resent { arrives, times },
                        None => Transmission::Lost,
                    }
                } else {
                    let mut none = Port::default();
                    self.send_under(links, packet, packet.now, port.unwrap_or(&mut none))
                };
                let is_shared = links.shares && self.is_shared(packet.from, packet.to);
                if is_shared { outcome.over_shared_lines() } else { outcome }
            }
        }
    }

    /// The fate of the attempt to send it `at` some time.
    fn send_once(&self, packet: &Packet, at: u64, port: Option<&mut Port>) -> Transmission {
        match &self.links {
            Some(links) => self.send_under(links, packet, at, port.unwrap_or(&mut Port::default())),
            None => self.send(&Packet { now: at, ..*packet }, None),
        }
    }

    #[inline(never)]
    fn send_under(&self, links: &Drawn, packet: &Packet, at: u64, port: &mut Port) -> Transmission {
        let Packet { from, to, sequence, .. } = *packet;
        let class = |peer: SimPeer| move || self.placement.class(peer.index());
        let line = links.line(class(from));
        let Some(departs) = links.departs(packet, at, port, line) else {
            return Transmission::Shed;
        };
        let draw = self.draw(from, to, sequence);
        let burst = links.loses(packet, departs, port, draw);
        let loss = links.loss(self.loss, class(from), class(to));
        match self.carry_or_lose(from, to, sequence, departs, loss) {
            Some(latency) if !burst => {
                let way = (from, to);
                let latency = links.swings.lengthen(latency, way, departs, &self.placement);
                links.arrives(packet, departs, latency, port, draw)
            }
            _ => Transmission::Lost,
        }
    }

    /// The fate of a transmission on a stream: if it is lost, it is sent again after a while. `None` if a
    /// cut lies between the two, or all is lost.
    pub(crate) fn send_on_stream(
        &self,
        packet: &Packet,
        mut port: Option<&mut Port>,
    ) -> Option<Carried> {
        let Packet { from, to, sequence, now: mut at, .. } = *packet;
        let mut times = 1;
        loop {
            // The other way acknowledgements go.
            let severs = |from, to| self.cuts.sever(from, to, at, &self.placement);
            if !self.cuts.is_empty() && (severs(from, to) || severs(to, from)) {
                return None;
            }
            // A draw of its own each time.
            let sequence = mix(u64::from(sequence) << 32 | times) as u32;
            match self.send_once(&Packet { sequence, ..*packet }, at, port.as_deref_mut()) {
                Transmission::Arrives(arrives)
                | Transmission::Twice(arrives, _)
                | Transmission::Resent { arrives, .. }
                | Transmission::Shared { arrives, .. } => return Some(Carried { arrives, times }),
                Transmission::Lost | Transmission::Shed => {}
            }
            at = at.saturating_add(resend_after(times)?);
            times += 1;
        }
    }

    /// As [`Network::carry`], for the connection resets that a host sends for a dead process.
    pub(crate) fn carry_reset(
        &self,
        from: SimPeer,
        to: SimPeer,
        sequence: u32,
        now: u64,
    ) -> Option<u64> {
        if self.is_dark(from.index()) || self.cuts.sever(from, to, now, &self.placement) {
            return None;
        }
        let draw = self.draw(from, to, sequence);
        let spread = share_of(mix(draw ^ 0x7265_7365), self.reset_delay);
        let delay = (self.reset_delay / 2).saturating_add(spread);
        let latency = self.latency(from, to, draw);
        let latency = self.links.as_ref().map_or(latency, |links| {
            links.swings.lengthen(latency, (from, to), now, &self.placement)
        });
        Some(latency.saturating_add(delay))
    }

    #[inline]
    fn draw(&self, from: SimPeer, to: SimPeer, sequence: u32) -> u64 {
        let pair = u64::from(from.bits()) << 32 | u64::from(to.bits());
        mix(mix(self.seed ^ pair) ^ u64::from(sequence))
    }

    #[inline]
    fn latency(&self, from: SimPeer, to: SimPeer, draw: u64) -> u64 {
        let sites = || (self.placement.of(from.index()), self.placement.of(to.index()));
        self.latency.sample(draw, sites)
    }
}

/// A draw below this comes with this probability.
fn threshold(share: f64) -> u64 {
    (share * u64::MAX as f64) as u64
}

/// A draw from 0 to `span`, uniform: the high half of draw × (span + 1).
#[inline]
fn share_of(draw: u64, span: u64) -> u64 {
    ((u128::from(draw) * (u128::from(span) + 1)) >> 64) as u64
}

/// SplitMix64's finaliser: every bit of the result depends on every bit of `x`.
#[inline]
pub(crate) fn mix(x: u64) -> u64 {
    let x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

#[cfg(test)]
mod tests;
