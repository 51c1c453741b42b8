//! Overlays cut in two, whose nodes start again meanwhile: one again within two reunion intervals.

use std::fs;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::scope;
use std::time::Duration;

use rand::seq::IndexedRandom as _;
use rand::{RngExt as _, SeedableRng as _};

use crate::flock::{Flock, lasts, tell};
use crate::talk::Setup;

/// How many histories: one without this variable, `MURMURATE_HISTORIES=30 cargo test -p murmurate
/// --test namespaces halves_are_one` for 30.
const HISTORIES: &str = "MURMURATE_HISTORIES";
/// Histories at a time: their nodes sleep most of the time.
const AT_ONCE: usize = 3;
/// In milliseconds; 30 s by default. A dial takes a quarter of it at most, as by default a third.
const INTERVAL: u64 = 4_000;

/// What nodes that start again find.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Keeps {
    /// Their identity and whom they knew, on disk.
    State,
    /// A file with the addresses of all, themselves included, and their identity.
    File,
    /// The file alone: each start is a new node.
    FileAlone,
}

pub(crate) fn halves_are_one_again_whatever_restarted() {
    let histories = std::env::var(HISTORIES).map_or(1, |text| text.parse().expect("a number"));
    let next = AtomicU64::new(0);
    let worker = || {
        while let Some(seed) = Some(next.fetch_add(1, Ordering::Relaxed)).filter(|s| *s < histories)
        {
            history(seed);
        }
    };
    scope(|scope| (0..AT_ONCE).for_each(|_| drop(scope.spawn(worker))));
}

fn history(seed: u64) {
    let dice = &mut rand::rngs::StdRng::seed_from_u64(seed);
    let nodes = dice.random_range(4..=8);
    let name: &'static str = format!("re{seed}").leak();
    let mut flock = Flock::new(name, nodes, Duration::from_secs(120));
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("contacts");
    let all: Vec<_> = (0..nodes).map(|home| flock.bed.address(home) + ":7400\n").collect();
    fs::write(&file, all.concat()).expect("a file");
    let keeps = *[Keeps::State, Keeps::File, Keeps::FileAlone].choose(dice).expect("three");
    let setup = |home: usize| Setup {
        listen: "/ip4/ADDRESS/tcp/7400".into(),
        reunion_millis: INTERVAL,
        handshake_millis: INTERVAL / 4,
        key: if keeps == Keeps::FileAlone { 0 } else { home as u8 + 1 },
        state: (keeps == Keeps::State).then(|| directory.path().join(home.to_string())),
        contacts: (keeps != Keeps::State).then(|| file.clone()),
        ..Setup::default()
    };
    let mut runs: Vec<_> = (0..nodes).map(|home| flock.start(home, &setup(home))).collect();
    flock.ready(0);
    (1..nodes).for_each(|at| flock.join(at, 0));
    flock.one_overlay(&runs, Duration::from_secs(30));

    let cut = dice.random_range(1..nodes);
    flock.bed.split(cut);
    // Whom they met a moment ago is written down by then.
    lasts(Duration::from_millis(dice.random_range(2_000..4_000)));
    let again: Vec<_> = match dice.random_range(0..4) {
        0 => Vec::new(),
        1 => (0..cut).collect(),
        2 => (0..nodes).filter(|_| dice.random_bool(0.5)).collect(),
        _ => (0..nodes).collect(),
    };
    for home in &again {
        flock.kill(runs[*home]);
        lasts(Duration::from_millis(dice.random_range(0..500)));
        runs[*home] = flock.start(*home, &setup(*home));
        flock.ready(runs[*home]);
    }
    // Each side replaces the other, unless two there had only heard of nodes of the other.
    for half in [&runs[..cut], &runs[cut..]] {
        if let Err(why) = flock.wait_for(Duration::from_secs(10), |flock| flock.is_whole(half)) {
            flock.tell(&format!("cut off, one side stays apart: {why}"));
        }
    }
    lasts(Duration::from_millis(dice.random_range(0..5_000)));
    flock.bed.heal();
    let took = flock.one_overlay(&runs, Duration::from_millis(2 * INTERVAL));
    tell(&format!(
        "history {seed}: {nodes} nodes cut at {cut}, {again:?} again, {keeps:?}: {took}"
    ));
}
