//! Network namespaces, one for each node, with nothing between them but the switch.
//!
//! Of the machine's own network nothing is touched; for a moment each device appears there.

use std::io::{ErrorKind, Write};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use murmurate_simulator::model::network::Network;
use nix::unistd::Uid;
use tun_rs::{DeviceBuilder, SyncDevice};

use crate::error::Error;
use crate::wires::Wires;

/// All names begin with this and the process id in hex.
const PREFIX: &str = "mmt";
/// Where the kernel makes such devices.
const DEVICES: &str = "/dev/net/tun";
/// The device in each namespace.
const DEVICE: &str = "twin0";
/// Nodes with the same third byte of their address.
const IN_A_ROW: usize = 250;

/// The namespaces of a run and their wires; dropped, they are gone.
pub(crate) struct Bed {
    nodes: usize,
    devices: Vec<SyncDevice>,
    wires: Option<Wires>,
}

impl Bed {
    /// For so many nodes, not yet connected.
    pub(crate) fn make(nodes: usize) -> Result<Self, Error> {
        // From here on Drop cleans up, whatever fails.
        let mut bed = Self { nodes, devices: Vec::new(), wires: None };
        for index in 0..nodes {
            bed.devices.push(Self::home(index)?);
        }
        Ok(bed)
    }

    /// Connects all by this network, whose time begins at `begun`.
    pub(crate) fn connect(&mut self, network: Network, begun: Instant) {
        let devices = std::mem::take(&mut self.devices);
        self.wires = Some(Wires::start(devices, index_of, network, begun));
    }

    /// Packets for which the switch had no room.
    pub(crate) fn overflowed(&self) -> u64 {
        self.wires.as_ref().map_or(0, Wires::overflowed)
    }

    fn home(index: usize) -> Result<SyncDevice, Error> {
        let name = name(index);
        let device = DeviceBuilder::new().name(name.clone()).build_sync();
        let device = device.map_err(|error| format!("{DEVICES}: {error}"))?;
        let lines = format!("netns add {name}\nlink set {name} netns {name} name {DEVICE}");
        ip_batch(&[], &lines)?;
        let inside = format!(
            "addr add {}/16 dev {DEVICE}\nlink set lo up\nlink set {DEVICE} up",
            address(index)
        );
        ip_batch(&["-n", &name], &inside)?;
        Ok(device)
    }

    /// From now on the network is like this.
    pub(crate) fn replace(&self, network: Network) {
        if let Some(wires) = &self.wires {
            wires.replace(network);
        }
    }
}

impl Drop for Bed {
    fn drop(&mut self) {
        for name in (0..self.nodes).map(name) {
            // With its device a thread ends. A namespace alone goes only when its last socket does.
            let _ = run_ip(&["-n", &name, "link", "del", DEVICE], "");
            let _ = run_ip(&["netns", "del", &name], "");
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

/// Why there can be no beds here, if so.
pub(crate) fn check() -> Result<(), Error> {
    if !Uid::effective().is_root() {
        return Err("network namespaces are made by root only".into());
    }
    if !Path::new(DEVICES).exists() {
        return Err(format!("there is no {DEVICES}: the kernel module `tun` is missing").into());
    }
    sweep(&run_ip(&["netns", "list"], "")?);
    Ok(())
}

/// Removes what runs left that were killed too hard to clean up.
fn sweep(namespaces: &[u8]) {
    for line in String::from_utf8_lossy(namespaces).lines() {
        let name = line.split(' ').next().unwrap_or_default();
        let owner = name.strip_prefix(PREFIX).and_then(|rest| rest.split('-').next());
        let Some(pid) = owner.and_then(|hex| u32::from_str_radix(hex, 16).ok()) else { continue };
        if !Path::new(&format!("/proc/{pid}")).exists() {
            let _ = run_ip(&["netns", "del", name], "");
        }
    }
}

fn ip_batch(arguments: &[&str], lines: &str) -> Result<(), Error> {
    run_ip(&[arguments, &["-batch", "-"]].concat(), lines).map(drop)
}

/// Runs `ip` to its end: what it printed.
fn run_ip(arguments: &[&str], input: &str) -> Result<Vec<u8>, Error> {
    let failed = |why: String| format!("ip {}: {why}", arguments.join(" "));
    let mut child = Command::new("ip")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        // What ends this program by the terminal must not end its cleaning up.
        .process_group(0)
        .spawn()
        .map_err(|error| match error.kind() {
            ErrorKind::NotFound => "there is no `ip`: install iproute2".into(),
            _ => failed(error.to_string()),
        })?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(input.as_bytes())?;
    }
    let ended = child.wait_with_output()?;
    if !ended.status.success() {
        return Err(failed(String::from_utf8_lossy(&ended.stderr).trim().into()).into());
    }
    Ok(ended.stdout)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_node_has_an_address_of_its_own() {
        for index in 0..crate::possible::MOST_NODES {
            let bytes: Vec<u8> =
                address(index).split('.').map(|b| b.parse().expect("a byte")).collect();
            assert_eq!(index_of(bytes.try_into().expect("four")), Some(index));
        }
        assert_eq!((index_of([10, 77, 0, 0]), index_of([10, 77, 0, 255])), (None, None));
    }
}
