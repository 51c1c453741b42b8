//! Acknowledged messages through faults: none that was acknowledged is lost, none is delivered twice,
//! and every send ends with an outcome.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::flock::{Flock, lasts};
use crate::talk::{Got, ORDERS, Setup, TIMEOUT};

const NODES: usize = 8;
const RECEIVER: usize = 7;
const SENDERS: [usize; 4] = [0, 2, 4, 6];
const MESSAGES: u32 = 400;
const EVERY: Duration = Duration::from_millis(20);

fn setup(home: usize) -> Setup {
    let listen = "/ip4/ADDRESS/tcp/7400".into();
    Setup { listen, key: home as u8 + 1, ..Setup::default() }
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Sends for eight seconds to one receiver, with faults meanwhile, and checks what came of it.
/// `receivers` says which processes were the receiver; the shares delivered and timed out are told.
fn through(
    name: &'static str,
    least_delivered: usize,
    faults: impl FnOnce(&mut Flock) -> Vec<usize>,
) {
    let mut flock = Flock::new(name, NODES, seconds(100));
    for home in 0..NODES {
        flock.start(home, &setup(home));
    }
    flock.ready(0);
    for at in 1..NODES {
        flock.join(at, 0);
    }
    flock.one_overlay(&flock.living(), seconds(30));
    let mark = flock.mark();
    for at in SENDERS {
        flock.send(at, (RECEIVER, ORDERS), mark, (MESSAGES, 1_024, EVERY));
    }
    lasts(seconds(2));
    let receivers = faults(&mut flock);
    let mut taken: BTreeSet<Got> = BTreeSet::new();
    let mut total: BTreeMap<String, usize> = BTreeMap::new();
    let mut delivered: BTreeSet<Got> = BTreeSet::new();
    for at in SENDERS {
        // A send waits for room or its outcome for the channel's time-out at most, more or less.
        let outcomes = flock.sent(at, mark);
        let known: usize = outcomes.values().map(Vec::len).sum();
        assert_eq!(known, MESSAGES as usize, "#{at}: every send has one outcome");
        for (outcome, numbers) in &outcomes {
            *total.entry(outcome.clone()).or_default() += numbers.len();
        }
        for number in outcomes.get("delivered").into_iter().flatten() {
            delivered.insert(Got { from: flock.id(at).to_owned(), mark, number: *number });
        }
    }
    let got = flock.got_at_last(&receivers, &delivered);
    for got in got.into_iter().filter(|got| got.mark == mark) {
        assert!(taken.insert(got.clone()), "delivered twice: {got:?}");
    }
    let lost = delivered.difference(&taken).next();
    assert!(lost.is_none(), "acknowledged and lost: {lost:?}");
    flock.tell(&format!("{total:?}; {} taken by the receiver", taken.len()));
    let delivered = delivered.len();
    assert!(delivered >= least_delivered, "{delivered} delivered");
}

const ALL: usize = SENDERS.len() * MESSAGES as usize;

pub(crate) fn a_receiver_that_is_killed_and_comes_back() {
    through("chankill", ALL / 4, |flock| {
        flock.kill(RECEIVER);
        lasts(seconds(1));
        let again = flock.start(RECEIVER, &setup(RECEIVER));
        flock.ready(again);
        flock.join(again, 0);
        vec![RECEIVER, again]
    });
}

pub(crate) fn connections_that_are_reset() {
    through("chanreset", ALL, |flock| {
        for _ in 0..4 {
            flock.bed.reset(RECEIVER, Duration::from_millis(300));
            lasts(seconds(1));
        }
        vec![RECEIVER]
    });
}

pub(crate) fn a_cut_one_way() {
    // TCP tries again ever more rarely, so a cut of four seconds costs more than that.
    through("chancut", ALL / 3, |flock| {
        flock.bed.drop_to(RECEIVER);
        lasts(TIMEOUT / 2);
        flock.bed.heal();
        lasts(Duration::from_millis(500));
        flock.bed.drop_from(RECEIVER, "");
        lasts(TIMEOUT / 2);
        flock.bed.heal();
        vec![RECEIVER]
    });
}

pub(crate) fn acknowledged_at_30_percent_loss() {
    through("chanloss", ALL / 2, |flock| {
        flock.bed.lose(30);
        lasts(seconds(15));
        flock.bed.heal();
        vec![RECEIVER]
    });
}

/// Longer than a message may be under way: some time out, and that is said of each.
pub(crate) fn a_partition_and_its_healing() {
    through("chanhalves", ALL / 4, |flock| {
        flock.bed.split(5);
        lasts(TIMEOUT + seconds(4));
        flock.bed.heal();
        vec![RECEIVER]
    });
}
