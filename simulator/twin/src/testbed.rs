//! The testbed of a run: a network namespace for each node, and the switch that connects them.
//!
//! The machine's own network is not changed, but each device appears there for a moment.

use std::time::Instant;

use murmurate_simulator::model::network::Network;
use tun_rs::SyncDevice;

use crate::error::Error;
use crate::netns;
use crate::switch::RealTimeSwitch;

/// All names begin with this and the process id in hex.
pub(crate) const PREFIX: &str = "mmt";
/// The device in each namespace.
const DEVICE: &str = "twin0";
/// Nodes with the same third byte of their address.
const IN_A_ROW: usize = 250;

/// The namespaces of a run, and the switch between them. Dropping it removes them.
pub(crate) struct Testbed {
    nodes: usize,
    devices: Vec<SyncDevice>,
    switch: Option<RealTimeSwitch>,
}

impl Testbed {
    /// Makes namespaces for this many nodes, not yet connected.
    pub(crate) fn make(nodes: usize) -> Result<Self, Error> {
        // From here on Drop cleans up, whatever fails.
        let mut testbed = Self { nodes, devices: Vec::new(), switch: None };
        for index in 0..nodes {
            let name = name(index);
            testbed.devices.push(netns::make(&name, DEVICE)?);
            let address = address(index);
            let inside =
                format!("addr add {address}/16 dev {DEVICE}\nlink set lo up\nlink set {DEVICE} up");
            netns::batch(&["-n", &name], &inside)?;
        }
        Ok(testbed)
    }

    /// Connects all by this network, whose time begins at `begun`.
    pub(crate) fn connect(&mut self, network: Network, begun: Instant) {
        let devices = std::mem::take(&mut self.devices);
        self.switch = Some(RealTimeSwitch::start(devices, index_of, network, begun));
    }

    /// Packets that the switch dropped because it was full.
    pub(crate) fn overflowed(&self) -> u64 {
        self.switch.as_ref().map_or(0, RealTimeSwitch::overflowed)
    }

    /// From now on the network is like this.
    pub(crate) fn replace(&self, network: Network) {
        if let Some(switch) = &self.switch {
            switch.replace(network);
        }
    }
}

impl Drop for Testbed {
    fn drop(&mut self) {
        for name in (0..self.nodes).map(name) {
            // With its device a thread ends.
            netns::remove(&name, DEVICE);
        }
    }
}

/// The namespace of a node, and what its device is called before it is there.
pub(crate) fn name(index: usize) -> String {
    format!("{PREFIX}{:x}-{index}", std::process::id())
}

/// The address of a node.
pub(crate) fn address(index: usize) -> String {
    format!("10.77.{}.{}", index / IN_A_ROW, index % IN_A_ROW + 1)
}

fn index_of([_, _, row, place]: [u8; 4]) -> Option<usize> {
    let place = usize::from(place).checked_sub(1).filter(|place| *place < IN_A_ROW)?;
    Some(usize::from(row) * IN_A_ROW + place)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_node_has_an_address_of_its_own() {
        for index in 0..crate::supported::MOST_NODES {
            let bytes: Vec<u8> =
                address(index).split('.').map(|b| b.parse().expect("a byte")).collect();
            assert_eq!(index_of(bytes.try_into().expect("four")), Some(index));
        }
        assert_eq!((index_of([10, 77, 0, 0]), index_of([10, 77, 0, 255])), (None, None));
    }
}
