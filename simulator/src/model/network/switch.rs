//! The network as a switch of real packets.

use std::collections::BTreeMap;

use murmurate::membership::Time;

use super::{Network, Packet, Port, Transmission};
use crate::model::node::SimPeer;

/// Carries packets of real nodes as a [`Network`] would carry messages of simulated ones: with its latency,
/// loss, cuts and lines. Packets from one node to another stay in order, as on a real path.
///
/// What is lost is not sent again here, whatever the network says of streams: real nodes do that themselves.
#[derive(Debug)]
pub struct Switch {
    network: Network,
    ports: Vec<Port>,
    /// Packets that each node has sent.
    sent: Vec<u32>,
    /// When the last packet of a node for another one arrives.
    last: BTreeMap<(usize, usize), u64>,
}

impl Switch {
    /// A switch for this many nodes.
    #[must_use]
    pub fn new(network: Network, nodes: usize) -> Self {
        let mut switch = Self {
            network: network.clone(),
            ports: vec![Port::default(); nodes],
            sent: vec![0; nodes],
            last: BTreeMap::new(),
        };
        switch.replace(network);
        switch
    }

    /// From now on the network is like this. What waits for lines goes on waiting.
    pub fn replace(&mut self, mut network: Network) {
        if let Some(links) = &mut network.links {
            links.streams = false;
        }
        self.network = network;
    }

    /// A packet of node `from` for node `to`. When it comes to the line of its receiver, once or twice;
    /// never, if it is lost.
    pub fn send(&mut self, from: usize, to: usize, bytes: u64, now: Time) -> [Option<Time>; 2] {
        let network = &self.network;
        if from.max(to) >= self.ports.len() || network.is_dark(from) || network.is_dark(to) {
            return [None; 2];
        }
        let sequence = self.sent[from];
        self.sent[from] = sequence.wrapping_add(1);
        let (peer, other) = (SimPeer::new(from, 0), SimPeer::new(to, 0));
        let packet = Packet { from: peer, to: other, sequence, bytes, now: now.as_nanos() };
        match network.send_once(&packet, packet.now, Some(&mut self.ports[from])) {
            Transmission::Arrives(at)
            | Transmission::Resent { arrives: at, .. }
            | Transmission::Shared { arrives: at, .. } => [Some(self.in_order(from, to, at)), None],
            Transmission::Twice(first, second) => {
                [first, second].map(|at| Some(self.in_order(from, to, at)))
            }
            Transmission::Lost | Transmission::Shed => [None; 2],
        }
    }

    fn in_order(&mut self, from: usize, to: usize, at: u64) -> Time {
        let last = self.last.entry((from, to)).or_default();
        *last = at.max(*last);
        Time::from_nanos(*last)
    }

    /// When a packet of node `from` that comes to the line of its receiver `now` has come in whole; `None` if there is no
    /// room for it. To be asked in the order of arrival.
    pub fn receive(&mut self, from: usize, to: usize, bytes: u64, now: Time) -> Option<Time> {
        let Some(line) = self.network.way(from, to) else { return Some(now) };
        let at = self.ports.get_mut(to)?.receive(now.as_nanos(), bytes, line)?;
        Some(Time::from_nanos(at))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::{BandwidthModel, Latency, LinkModel};
    use super::*;

    fn at(micros: u64) -> Time {
        Time::ZERO.after(Duration::from_micros(micros))
    }

    fn network(loss: f64) -> Network {
        let latency = Latency::Uniform(Duration::from_millis(1), Duration::from_millis(9));
        Network::new(7, latency, loss).expect("in range")
    }

    #[test]
    fn packets_of_a_pair_stay_in_order_and_take_as_long_as_messages() {
        let mut switch = Switch::new(network(0.0), 2);
        let mut arrivals = Vec::new();
        for packet in 0..1_000 {
            let [Some(arrival), None] = switch.send(0, 1, 100, at(packet)) else { panic!("one") };
            arrivals.push(arrival);
        }
        assert!(arrivals.is_sorted());
        assert!(arrivals[0] >= at(1_000) && arrivals[999] <= at(9_999), "{arrivals:?}");
    }

    #[test]
    fn what_is_lost_or_cut_off_does_not_arrive() {
        let mut switch = Switch::new(network(0.25), 3);
        let arrives =
            |switch: &mut Switch, from, to| switch.send(from, to, 100, at(0))[0].is_some();
        let came = (0..4_000).filter(|_| arrives(&mut switch, 0, 1)).count();
        assert!((2_800..3_200).contains(&came), "{came} of 4,000");
        let mut cut = network(0.0);
        cut.cut(3, |index| index == 1, true);
        cut.set_dark(2, true);
        switch.replace(cut);
        assert!(!arrives(&mut switch, 0, 1) && arrives(&mut switch, 1, 0), "one way");
        assert!(!arrives(&mut switch, 0, 2) && !arrives(&mut switch, 2, 0), "dark");
        assert!(!arrives(&mut switch, 0, 9), "nobody");
    }

    /// 10 Mbit/s carry 1,250 bytes in a millisecond, in both lines at the same time.
    #[test]
    fn lines_carry_one_packet_after_the_other() {
        let line = BandwidthModel { up: 10_000_000, down: 10_000_000, queue: 1 << 20 };
        let latency = Latency::Constant(Duration::from_millis(5));
        let links = LinkModel { bandwidth: Some(line), streams: true, ..LinkModel::default() };
        let network = Network::new(7, latency, 0.0).expect("in range").with(&links);
        let mut switch = Switch::new(network.expect("in range"), 2);
        for packet in 1..=3 {
            let [Some(arrival), None] = switch.send(0, 1, 1_250, at(0)) else { panic!("one") };
            assert_eq!(arrival, at(5_000 + packet * 1_000));
            assert_eq!(switch.receive(0, 1, 1_250, arrival), Some(arrival));
        }
    }
}
