//! A run is the same on any number of threads: the digest, every counter, every view and every
//! delivery, whatever runs and whatever goes wrong.

use std::num::NonZeroUsize;
use std::time::Duration;

use murmurate::broadcast::{flood, gossip, plumtree};
use murmurate::membership::{Membership as _, cyclon, full_mesh, hyparview, scamp, static_overlay};
use murmurate_simulator::engine::stats::Stats;
use murmurate_simulator::engine::strategy::nodes;
use murmurate_simulator::engine::{Make, SimStack};
use murmurate_simulator::model::matrix::Matrix;
use murmurate_simulator::model::network::{
    BandwidthModel, BurstModel, Class, Latency, LinkModel, Members, Network, Side,
};
use murmurate_simulator::model::regional::Regional;
use murmurate_simulator::{SimPeer, Simulation};
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use rand_xoshiro::SplitMix64;

/// Each pair of strategies with each latency model, twice.
const SEEDS: u64 = 48;
const FAULTS: usize = 30;

/// All that can be seen of a run.
#[derive(PartialEq)]
pub(crate) struct Seen {
    pub(crate) stats: Stats,
    peak_pending: usize,
    twice: Option<(SimPeer, u32)>,
    regional: Regional,
    /// When something happened, and how much had happened by then.
    buckets: Vec<(u64, u64)>,
    /// Of each node: whether it runs, and its views.
    nodes: Vec<(bool, Vec<SimPeer>, Vec<SimPeer>)>,
    /// Of each broadcast: who delivered it.
    delivered: Vec<Vec<usize>>,
}

pub(crate) fn latency(seed: u64) -> Latency {
    let ms = Duration::from_millis;
    match seed / 6 % 4 {
        0 => Latency::Constant(ms(10)),
        1 => Latency::Uniform(ms(2), ms(100)),
        2 => Latency::LogNormal { median: ms(20), sigma: 0.7 },
        _ => {
            Latency::Matrix(Matrix::from_csv("1,20,90\n20,2,40\n90,45,3".as_bytes()).expect("one"))
        }
    }
}

/// What else there is to a link: all of it, or any part.
pub(crate) fn links(rng: &mut SplitMix64) -> LinkModel {
    let ms = Duration::from_millis;
    let mut has = || rng.random_bool(0.4);
    LinkModel {
        jitter: if has() { ms(7) } else { Duration::ZERO },
        fifo: has(),
        bursts: has().then_some(BurstModel { share: 0.1, length: ms(300), loss: 0.5 }),
        duplicate: if has() { 0.1 } else { 0.0 },
        reorder: has().then_some((0.1, ms(50))),
        bandwidth: has().then_some(BandwidthModel {
            up: 4_000_000,
            down: 2_000_000,
            queue: 20_000,
        }),
        ..LinkModel::default()
    }
}

/// Two that have shared lines, which overflow now and then.
fn classes() -> Vec<Class> {
    let shared = Some(BandwidthModel { up: 2_000_000, down: 1_000_000, queue: 2_000 });
    let class = |name: &str, share| Class {
        name: name.to_owned(),
        members: Members::Share(share),
        bandwidth: None,
        loss: None,
        shared,
        nat: None,
    };
    vec![class("one", 0.3), class("other", 0.2)]
}

/// Lives the life drawn from `seed`, and returns what was seen and the buckets threads shared.
fn life<P: SimStack>(threads: usize, seed: u64, make: Make<P>) -> (Seen, u64) {
    let mut rng = SplitMix64::seed_from_u64(seed);
    let loss = [0.0, 0.05][rng.random_range(0..2)];
    let mut network = Network::new(seed, latency(seed), loss).expect("valid");
    let shares_lines = seed / 24 % 2 == 1 && seed.is_multiple_of(2);
    if rng.random_bool(0.7) {
        let links = LinkModel { streams: shares_lines, ..links(&mut rng) };
        network = network.with(&links).expect("valid");
    }
    if shares_lines {
        network = network.classed(classes(), seed).expect("valid");
    }
    let regional = Regional::new(&network);
    let threads = NonZeroUsize::new(threads).expect("at least one");
    let mut sim = Simulation::on_threads(threads, seed, network, make);
    sim.log_deliveries();
    sim.watch_regions(&regional);
    let mut buckets = Vec::new();
    let mut wait = |sim: &mut Simulation<P>, time: u64| {
        sim.run_watched(sim.now().after(Duration::from_millis(time)), |sim| {
            // Summing up every time would hide counters that are summed up too rarely.
            let events = if buckets.len() % 7 == 0 { sim.stats().events } else { 0 };
            buckets.push((sim.now().as_nanos(), events));
        });
    };
    for index in 0..rng.random_range(40..120usize) {
        let contacts: Vec<usize> = (0..2.min(index)).map(|_| rng.random_range(0..index)).collect();
        sim.start(&contacts);
        wait(&mut sim, 20);
    }
    for fault in 0..FAULTS {
        if fault == FAULTS / 2 && seed % 4 == 1 {
            sim.eclipse(&(0..sim.len() / 5).collect::<Vec<_>>(), 2.0);
        }
        strike(&mut sim, &mut rng);
        let time = rng.random_range(0..1_500);
        wait(&mut sim, time);
    }
    sim.network_mut().heal();
    wait(&mut sim, 10_000);
    let regional = sim.take_regions().expect("it was watched");
    (see(&sim, buckets, regional), sim.shared_buckets())
}

/// Something happens to a random node, or to all.
pub(crate) fn strike<P: SimStack>(sim: &mut Simulation<P>, rng: &mut SplitMix64) {
    let nodes = sim.len();
    let at = rng.random_range(0..nodes);
    let contact = rng.random_range(0..nodes);
    let ms = Duration::from_millis;
    match rng.random_range(0..20) {
        0 => sim.crash(at),
        1 => sim.kill(at),
        2 => sim.leave(at),
        3 => sim.leave_and_stay(at),
        4 | 5 => {
            let dead: Vec<usize> = (0..nodes).filter(|index| !sim.is_live(*index)).collect();
            if let Some(index) = dead.choose(rng) {
                sim.restart(*index, &[contact]);
            }
        }
        6 => sim.network_mut().cut(nodes, |index| index < at, contact % 2 == 0),
        7 => sim.network_mut().heal(),
        8 => sim.network_mut().set_loss(rng.random_range(0.0..0.2)).expect("valid"),
        9 => {
            sim.start(&[contact]);
        }
        10 => sim.set_work(at, Duration::from_micros(rng.random_range(0..3_000))),
        11 => sim.stall(at, ms(rng.random_range(0..4_000))),
        12 => sim.set_clock_rate(&[at, contact], rng.random_range(0.5..2.0)),
        13 => sim.jump_clocks(&[at, contact], ms(rng.random_range(0..20_000))),
        14 => {
            let side = Side::of(nodes, |index| index % 3 == at % 3);
            sim.network_mut().flap(side, ms(200), ms(100));
        }
        _ => (0..8).for_each(|_| {
            sim.publish_bytes(rng.random_range(0..nodes), rng.random_range(0..5_000));
        }),
    }
}

pub(crate) fn see<P: SimStack>(
    sim: &Simulation<P>,
    buckets: Vec<(u64, u64)>,
    regional: Regional,
) -> Seen {
    let views = |index| {
        let peer = sim.stack(index).expect("a node").membership();
        (sim.is_live(index), peer.active().collect(), peer.passive().collect())
    };
    let broadcasts = 0..sim.stats().broadcasts.len() as u32;
    let whom = |id| (0..sim.len()).filter(|index| sim.has_delivered(*index, id)).collect();
    Seen {
        stats: sim.stats().clone(),
        peak_pending: sim.peak_pending(),
        twice: sim.twice_delivered(),
        regional,
        buckets,
        nodes: (0..sim.len()).map(views).collect(),
        delivered: broadcasts.map(whom).collect(),
    }
}

fn life_of(threads: usize, seed: u64) -> (Seen, u64) {
    let (view, tree) = (hyparview::Parameters::default, plumtree::Parameters::default);
    let (mesh, flood) = (full_mesh::Parameters::default, flood::Parameters::default);
    let given = static_overlay::Parameters::default;
    let gossip = gossip::Parameters::default;
    let (shuffled, subscribed) = (cyclon::Parameters::default(), scamp::Parameters::default());
    match seed % 8 {
        0 => life(threads, seed, nodes(view(), tree()).expect("defaults")),
        1 => life(threads, seed, nodes(view(), flood()).expect("defaults")),
        2 => life(threads, seed, nodes(mesh(), tree()).expect("defaults")),
        3 => life(threads, seed, nodes(mesh(), flood()).expect("defaults")),
        4 => life(threads, seed, nodes(given(), tree()).expect("defaults")),
        5 => life(threads, seed, nodes(given(), flood()).expect("defaults")),
        6 => life(threads, seed, nodes(shuffled, gossip()).expect("defaults")),
        _ => life(threads, seed, nodes(subscribed, gossip()).expect("defaults")),
    }
}

#[test]
fn a_run_is_the_same_on_any_number_of_threads() {
    let mut shared = [0; 2];
    for seed in 0..SEEDS {
        let (alone, none) = life_of(1, seed);
        assert_eq!(none, 0);
        assert!(alone.stats.events > 1_000, "seed {seed}: did anything run?");
        for threads in [2, 3] {
            let (together, buckets) = life_of(threads, seed);
            shared[threads - 2] += buckets;
            let (stats, expected) = (&together.stats, &alone.stats);
            assert_eq!(stats.digest, expected.digest, "seed {seed} on {threads} threads");
            assert_eq!(stats.broadcasts, expected.broadcasts, "seed {seed} on {threads} threads");
            assert_eq!(together.buckets, alone.buckets, "seed {seed} on {threads} threads");
            assert_eq!(together.peak_pending, alone.peak_pending, "seed {seed}, {threads} threads");
            assert!(together == alone, "seed {seed} on {threads} threads is another run");
        }
    }
    println!("{shared:?} buckets were run by 2 and by 3 threads");
    assert!(shared.iter().all(|buckets| *buckets > 500), "{shared:?}: were there any threads?");
}
