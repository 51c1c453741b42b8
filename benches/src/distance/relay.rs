//! A cable of any length: what enters one device leaves the other one, later.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{JoinHandle, sleep, spawn};
use std::time::{Duration, Instant};

use tun_rs::SyncDevice;

use crate::line::Line;

/// Bytes that may be under way in a direction: more than any sender here may have, so that what
/// limits them is their own windows.
const CAPACITY: usize = 64 << 20;
/// Bytes of the largest packet.
const LARGEST: usize = 1 << 16;

/// Two threads for each direction. They end when the devices do.
#[derive(Debug)]
pub(crate) struct Relay {
    ways: [Arc<Way>; 2],
    threads: Vec<JoinHandle<()>>,
}

/// One direction.
#[derive(Debug)]
struct Way {
    state: Mutex<State>,
    /// A packet came where there was none, or no more comes.
    came: Condvar,
    lost: AtomicU64,
}

#[derive(Debug)]
struct State {
    line: Line,
    ended: bool,
}

impl Relay {
    /// Joins two devices; each direction takes half the round trip.
    pub(crate) fn start(one: SyncDevice, two: SyncDevice, round_trip: Duration) -> Self {
        let (one, two) = (Arc::new(one), Arc::new(two));
        let way = || {
            let state = State { line: Line::new(round_trip / 2, CAPACITY), ended: false };
            let (state, came) = (Mutex::new(state), Condvar::new());
            Arc::new(Way { state, came, lost: AtomicU64::new(0) })
        };
        let ways = [way(), way()];
        let mut threads = Vec::new();
        for (way, from, to) in [(&ways[0], &one, &two), (&ways[1], &two, &one)] {
            let (taking, from) = (Arc::clone(way), Arc::clone(from));
            threads.push(spawn(move || taking.take_in(&from)));
            let (giving, to) = (Arc::clone(way), Arc::clone(to));
            threads.push(spawn(move || giving.give_out(&to)));
        }
        Self { ways, threads }
    }

    /// Packets that got lost.
    pub(crate) fn lost(&self) -> u64 {
        self.ways.iter().map(|way| way.lost.load(Ordering::Relaxed)).sum()
    }

    /// Waits for the end, once the devices are gone.
    pub(crate) fn end(self) {
        for thread in self.threads {
            let _ = thread.join();
        }
    }
}

impl Way {
    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing panics while it holds the lock; if it did, the line would still be whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take_in(&self, device: &SyncDevice) {
        let mut packet = vec![0; LARGEST];
        while let Ok(length) = device.recv(&mut packet) {
            let mut state = self.state();
            let first = state.line.due().is_none();
            let taken = state.line.push(Instant::now(), &packet[..length]);
            drop(state);
            if !taken {
                // As a router does.
                self.lost.fetch_add(1, Ordering::Relaxed);
            } else if first {
                self.came.notify_one();
            }
        }
        self.state().ended = true;
        self.came.notify_one();
    }

    fn give_out(&self, device: &SyncDevice) {
        // A thread that sleeps is woken up to 50 µs late otherwise.
        #[cfg(target_os = "linux")]
        let _ = nix::sys::prctl::set_timerslack(1);
        let mut due = Vec::new();
        while self.wait(&mut due) {
            for packet in due.drain(..) {
                if device.send(&packet).is_err() {
                    self.lost.fetch_add(1, Ordering::Relaxed);
                }
            }
        }
    }

    /// Waits for packets whose time has come. `false`: there are no more.
    fn wait(&self, packets: &mut Vec<Vec<u8>>) -> bool {
        let mut state = self.state();
        while !state.ended {
            let now = Instant::now();
            packets.extend(std::iter::from_fn(|| state.line.pop(now)));
            if !packets.is_empty() {
                return true;
            }
            state = match state.line.due() {
                Some(due) => {
                    drop(state);
                    sleep(due - now);
                    self.state()
                }
                None => self.came.wait(state).unwrap_or_else(PoisonError::into_inner),
            };
        }
        false
    }
}
