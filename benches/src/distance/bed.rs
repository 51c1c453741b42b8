//! Two network namespaces with nothing between them but a relay.
//!
//! Nothing of the machine's own network is touched. Each measurement has a bed of its own: the kernel
//! remembers of a namespace's connections how the path was.

use std::io::{ErrorKind, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use nix::unistd::Uid;
use serde_json::Value;
use tun_rs::DeviceBuilder;

use crate::Error;
use crate::relay::Relay;

/// All names begin with this and the process id in hex.
const PREFIX: &str = "mmd";
/// Where the kernel makes such devices.
const DEVICES: &str = "/dev/net/tun";
/// The device in each namespace.
const DEVICE: &str = "far0";
/// Bytes of a packet: those of a fast local network. With 1,500 the relay would be what is measured.
const MTU: usize = 9_000;
/// Packets that wait for the relay: a burst of all the bytes it takes.
const WAITING: usize = 8_000;

/// The two ends.
#[derive(Debug, Clone, Copy)]
pub(crate) enum End {
    Sender,
    Receiver,
}

impl End {
    const BOTH: [Self; 2] = [Self::Sender, Self::Receiver];

    /// Its address, in every bed the same.
    pub(crate) fn ip(self) -> &'static str {
        match self {
            Self::Sender => "10.0.0.1",
            Self::Receiver => "10.0.0.2",
        }
    }

    /// Its namespace, and what its device is called before it is there.
    pub(crate) fn name(self) -> String {
        format!("{PREFIX}{:x}-{}", std::process::id(), self as u8)
    }
}

/// Both namespaces and their relay; dropped, they are gone.
#[derive(Debug)]
pub(crate) struct Bed {
    relay: Option<Relay>,
}

impl Bed {
    /// `send_buffer`: bytes that the kernel lets a connection have under way, at most.
    pub(crate) fn make(round_trip: Duration, send_buffer: usize) -> Result<Self, Error> {
        // From here on Drop cleans up, whatever fails.
        let mut bed = Self { relay: None };
        let device = |end: End| {
            let name = end.name();
            DeviceBuilder::new().name(name).build_sync().map_err(|e| format!("{DEVICES}: {e}"))
        };
        let (one, two) = (device(End::Sender)?, device(End::Receiver)?);
        for end in End::BOTH {
            let (name, ip) = (end.name(), end.ip());
            ip_batch(
                &[],
                &format!("netns add {name}\nlink set {name} netns {name} name {DEVICE}"),
            )?;
            let inside = format!(
                "addr add {ip}/24 dev {DEVICE}\n\
                 link set {DEVICE} mtu {MTU} txqueuelen {WAITING}\n\
                 link set lo up\n\
                 link set {DEVICE} up"
            );
            ip_batch(&["-n", &name], &inside)?;
            let set = format!("echo 4096 16384 {send_buffer} > /proc/sys/net/ipv4/tcp_wmem");
            run_ip(&["netns", "exec", &name, "sh", "-c", &set], "")?;
        }
        bed.relay = Some(Relay::start(one, two, round_trip));
        Ok(bed)
    }

    /// Packets that got lost: for want of room in the relay, or before it.
    pub(crate) fn lost(&self) -> Result<u64, Error> {
        let mut lost = self.relay.as_ref().map_or(0, Relay::lost);
        for end in End::BOTH {
            let arguments = ["-n", &end.name(), "-j", "-s", "link", "show", DEVICE];
            let shown: Value = serde_json::from_slice(&run_ip(&arguments, "")?)?;
            lost += shown[0]["stats64"]["tx"]["dropped"].as_u64().ok_or("no count of packets")?;
        }
        Ok(lost)
    }
}

impl Drop for Bed {
    fn drop(&mut self) {
        for name in End::BOTH.map(End::name) {
            // With its device the relay ends. A namespace alone goes only when its last socket does.
            let _ = run_ip(&["-n", &name, "link", "del", DEVICE], "");
            let _ = run_ip(&["netns", "del", &name], "");
        }
        if let Some(relay) = self.relay.take() {
            relay.end();
        }
    }
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
