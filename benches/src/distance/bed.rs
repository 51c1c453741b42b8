//! Two network namespaces with nothing between them but a relay.
//!
//! Nothing of the machine's own network is touched. Each measurement has a bed of its own: the kernel
//! remembers of a namespace's connections how the path was.

use std::time::Duration;

use serde_json::Value;

use crate::relay::Relay;
use crate::{Error, netns};

/// All names begin with this and the process id in hex.
pub(crate) const PREFIX: &str = "mmd";
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
            let (name, ip) = (end.name(), end.ip());
            let device = netns::make(&name, DEVICE)?;
            let inside = format!(
                "addr add {ip}/24 dev {DEVICE}\n\
                 link set {DEVICE} mtu {MTU} txqueuelen {WAITING}\n\
                 link set lo up\n\
                 link set {DEVICE} up"
            );
            netns::batch(&["-n", &name], &inside)?;
            let set = format!("echo 4096 16384 {send_buffer} > /proc/sys/net/ipv4/tcp_wmem");
            netns::run(&["netns", "exec", &name, "sh", "-c", &set], "")?;
            Ok::<_, Error>(device)
        };
        let (one, two) = (device(End::Sender)?, device(End::Receiver)?);
        bed.relay = Some(Relay::start(one, two, round_trip));
        Ok(bed)
    }

    /// Packets that got lost: for want of room in the relay, or before it.
    pub(crate) fn lost(&self) -> Result<u64, Error> {
        let mut lost = self.relay.as_ref().map_or(0, Relay::lost);
        for end in End::BOTH {
            let arguments = ["-n", &end.name(), "-j", "-s", "link", "show", DEVICE];
            let shown: Value = serde_json::from_slice(&netns::run(&arguments, "")?)?;
            lost += shown[0]["stats64"]["tx"]["dropped"].as_u64().ok_or("no count of packets")?;
        }
        Ok(lost)
    }
}

impl Drop for Bed {
    fn drop(&mut self) {
        for name in End::BOTH.map(End::name) {
            // With its device the relay ends.
            netns::remove(&name, DEVICE);
        }
        if let Some(relay) = self.relay.take() {
            relay.end();
        }
    }
}
