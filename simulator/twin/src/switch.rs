//! The switch in real time: it forwards packets between devices as the scenario's network does, with its
//! latency, loss, cuts and bandwidth.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::spawn;
use std::time::{Duration, Instant};

use murmurate::membership::Time;
use murmurate_simulator::model::network::{Network, Switch};
use tun_rs::SyncDevice;

/// Packets under way at most: more are dropped, as in a router.
const CAPACITY: usize = 1 << 18;
/// Bytes of the largest packet.
const LARGEST: usize = 1 << 16;

/// A thread for each device, which ends with the device, and one that delivers packets.
pub(crate) struct RealTimeSwitch(Arc<Shared>);

struct Shared {
    devices: Vec<SyncDevice>,
    /// Which node has the address.
    node: fn([u8; 4]) -> Option<usize>,
    begun: Instant,
    state: Mutex<State>,
    /// A packet came that is due before all others, or there will be no more.
    came: Condvar,
}

#[derive(Debug)]
struct State {
    switch: Switch,
    under_way: BinaryHeap<Reverse<Packet>>,
    taken: u64,
    overflowed: u64,
    ended: bool,
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Packet {
    due: Time,
    /// At the same time in the order in which they came.
    number: u64,
    /// Whether it is through the line of its receiver.
    received: bool,
    from: usize,
    to: usize,
    bytes: Vec<u8>,
}

impl RealTimeSwitch {
    /// Joins devices, one of each node, by this network.
    pub(crate) fn start(
        devices: Vec<SyncDevice>,
        node: fn([u8; 4]) -> Option<usize>,
        network: Network,
        begun: Instant,
    ) -> Self {
        let switch = Switch::new(network, devices.len());
        let state =
            State { switch, under_way: BinaryHeap::new(), taken: 0, overflowed: 0, ended: false };
        let (state, came) = (Mutex::new(state), Condvar::new());
        let shared = Arc::new(Shared { devices, node, begun, state, came });
        for from in 0..shared.devices.len() {
            let shared = Arc::clone(&shared);
            spawn(move || shared.take_in(from));
        }
        let hands_out = Arc::clone(&shared);
        spawn(move || hands_out.hand_out());
        Self(shared)
    }

    /// From now on the network is like this.
    pub(crate) fn replace(&self, network: Network) {
        self.0.state().switch.replace(network);
    }

    /// Packets that were dropped because it was full.
    pub(crate) fn overflowed(&self) -> u64 {
        self.0.state().overflowed
    }
}

impl Drop for RealTimeSwitch {
    fn drop(&mut self) {
        self.0.state().ended = true;
        self.0.came.notify_one();
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing panics while it holds the lock; if it did, the switch would still be whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> Time {
        Time::ZERO.after(self.begun.elapsed())
    }

    /// IPv4 only: there is nothing else between the nodes.
    fn receiver(&self, packet: &[u8]) -> Option<usize> {
        let address = packet.get(16..20).filter(|_| packet[0] >> 4 == 4)?;
        (self.node)(address.try_into().ok()?)
    }

    fn take_in(&self, from: usize) {
        let mut packet = vec![0; LARGEST];
        while let Ok(length) = self.devices[from].recv(&mut packet) {
            let packet = &packet[..length];
            let Some(to) = self.receiver(packet) else { continue };
            let mut state = self.state();
            let first = state.under_way.peek().map(|Reverse(next)| next.due);
            let arrivals = state.switch.send(from, to, length as u64, self.now());
            for due in arrivals.into_iter().flatten() {
                if state.under_way.len() == CAPACITY {
                    state.overflowed += 1;
                } else {
                    state.taken += 1;
                    let number = state.taken;
                    let bytes = packet.to_vec();
                    let packet = Packet { due, number, received: false, from, to, bytes };
                    state.under_way.push(Reverse(packet));
                }
            }
            let next = state.under_way.peek().map(|Reverse(next)| next.due);
            drop(state);
            if next != first {
                self.came.notify_one();
            }
        }
    }

    fn hand_out(&self) {
        // A thread that sleeps is woken up to 50 µs late otherwise.
        #[cfg(target_os = "linux")]
        let _ = nix::sys::prctl::set_timerslack(1);
        let mut state = self.state();
        while !state.ended {
            let now = self.now();
            match state.under_way.pop() {
                None => state = self.came.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(Reverse(next)) if next.due > now => {
                    let wait = next.due.since(now);
                    state.under_way.push(Reverse(next));
                    let waited = self.came.wait_timeout(state, wait.min(Duration::from_secs(1)));
                    state = waited.unwrap_or_else(PoisonError::into_inner).0;
                }
                Some(Reverse(packet)) if !packet.received => {
                    let Packet { due, from, to, ref bytes, .. } = packet;
                    if let Some(due) = state.switch.receive(from, to, bytes.len() as u64, due) {
                        state.under_way.push(Reverse(Packet { due, received: true, ..packet }));
                    }
                }
                Some(Reverse(packet)) => {
                    drop(state);
                    // The device may be gone.
                    let _ = self.devices[packet.to].send(&packet.bytes);
                    state = self.state();
                }
            }
        }
    }
}
