//! Many nodes at once.

use std::time::Duration;

use crate::flock::{Flock, alone};
use crate::talk::Setup;

const HOMES: usize = 10;
const NODES: usize = 200;

/// 200 processes, 20 in each of ten namespaces, start and join through one of them at once.
pub(crate) fn two_hundred_join_at_once() {
    let _alone = alone();
    let mut flock = Flock::new("crowd", HOMES, Duration::from_secs(180));
    let setup = Setup { keepalive_millis: 2_000, ..Setup::default() };
    for at in 0..NODES {
        flock.start(at % HOMES, &setup);
    }
    flock.ready(0);
    flock.tell("200 processes are ready");
    for at in 1..NODES {
        flock.join(at, 0);
    }
    let all = flock.living();
    let took = flock.one_overlay(&all, Duration::from_secs(60));
    let views = flock.reports(&all, 0);
    let memory: u64 = views.values().map(|view| view.resident_kib).sum();
    flock.tell(&format!("{NODES} at once: {took}; {} KiB a process", memory / NODES as u64));
}
