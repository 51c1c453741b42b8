//! A simulation that was saved and goes on from there goes the same way as one that was not, on any number
//! of threads before and after, whatever runs and whatever went wrong before.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use murmurate::Stack;
use murmurate::broadcast::{AntiEntropy, BroadcastStrategy, anti_entropy, flood, gossip, plumtree};
use murmurate::membership::{MembershipStrategy, cyclon, full_mesh, hyparview, scamp};
use murmurate::router::{self, Router};
use murmurate_simulator::engine::marks::Marks;
use murmurate_simulator::engine::snapshot::{ReadError, Reader, SaveError, Writer};
use murmurate_simulator::engine::strategy::{Both, SimBroadcast, SimMembership, compose, nodes};
use murmurate_simulator::engine::{Dialling, Make, SimStack, erased};
use murmurate_simulator::model::machine::ProcessorModel;
use murmurate_simulator::model::network::{Latency, Network};
use murmurate_simulator::model::regional::Regional;
use murmurate_simulator::{BroadcastId, SimPeer, Simulation};
use rand::{RngExt, SeedableRng};
use rand_xoshiro::SplitMix64;

use super::threads::{Seen, latency, links, see, strike};

const FAULTS: usize = 16;

/// What a simulation is made with, drawn from a seed.
fn made<P: SimStack>(threads: usize, seed: u64, network: Network, make: Make<P>) -> Simulation<P> {
    let mut rng = SplitMix64::seed_from_u64(seed ^ 0x6d61_6465);
    let regional = Regional::new(&network);
    let threads = NonZeroUsize::new(threads).expect("at least one");
    let mut sim = Simulation::on_threads(threads, seed, network, make);
    let processor = ProcessorModel { message: Duration::from_micros(300), rate: Some(50_000_000) };
    let dialling =
        Dialling { round_trips: 2, timeout: Duration::from_secs(3), idle: Duration::from_secs(20) };
    sim.equip(rng.random_bool(0.5).then_some(processor), rng.random_bool(0.5).then_some(dialling));
    sim.log_deliveries();
    sim.log_joins();
    sim.watch_loads();
    sim.watch_regions(&regional);
    sim
}

fn network(seed: u64) -> Network {
    let mut rng = SplitMix64::seed_from_u64(seed ^ 0x6e65_7477);
    let loss = [0.0, 0.05][rng.random_range(0..2)];
    let network = Network::new(seed, latency(seed), loss).expect("valid");
    if rng.random_bool(0.7) { network.with(&links(&mut rng)).expect("valid") } else { network }
}

fn wait<P: SimStack>(sim: &mut Simulation<P>, millis: u64) {
    sim.run_until(sim.now().after(Duration::from_millis(millis)));
}

/// Nodes join, and things go wrong.
fn first_half<P: SimStack>(sim: &mut Simulation<P>, rng: &mut SplitMix64) {
    for index in 0..rng.random_range(30..80usize) {
        let contacts: Vec<usize> = (0..2.min(index)).map(|_| rng.random_range(0..index)).collect();
        sim.start(&contacts);
        wait(sim, 20);
    }
    second_half(sim, rng);
}

fn second_half<P: SimStack>(sim: &mut Simulation<P>, rng: &mut SplitMix64) {
    for _ in 0..FAULTS {
        strike(sim, rng);
        wait(sim, rng.random_range(0..1_500));
    }
}

fn end<P: SimStack>(mut sim: Simulation<P>, mut rng: SplitMix64) -> (Seen, Vec<String>) {
    second_half(&mut sim, &mut rng);
    sim.network_mut().heal();
    wait(&mut sim, 10_000);
    let regional = sim.take_regions().expect("it was watched");
    let mut seen = see(&sim, Vec::new(), regional);
    // They are not saved.
    seen.stats.marks = Marks::default();
    let loads = (0..sim.len()).map(|index| format!("{:?}", sim.load(index)));
    (seen, loads.collect())
}

fn saved<P: SimStack>(sim: &Simulation<P>) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut writer = Writer::new(&mut bytes).expect("room");
    sim.save(&mut writer).expect("it can be saved");
    writer.finish().expect("room");
    bytes
}

fn restored<P: SimStack>(bytes: &[u8], mut sim: Simulation<P>) -> Result<Simulation<P>, ReadError> {
    let mut reader = Reader::new(bytes)?;
    sim.restore(&mut reader)?;
    reader.finish()?;
    Ok(sim)
}

/// Saves half a life and lives the rest, from the file and without it.
fn goes_on<P: SimStack>(what: &str, seed: u64, make: &Make<P>) {
    let mut files = Vec::new();
    let mut ends = Vec::new();
    for before in 1..=3 {
        let mut rng = SplitMix64::seed_from_u64(seed);
        let mut sim = made(before, seed, network(seed), Arc::clone(make));
        first_half(&mut sim, &mut rng);
        let bytes = saved(&sim);
        let after = before % 3 + 1;
        let other = made(after, seed, sim.network().clone(), Arc::clone(make));
        let other = restored(&bytes, other).expect("it is whole");
        assert_eq!(saved(&other), bytes, "{what}, seed {seed}: the same is saved again");
        ends.push((before, after, end(other, rng.clone())));
        files.push(bytes);
        if before == 3 {
            ends.push((before, 0, end(sim, rng)));
        }
    }
    assert!(files.iter().all(|file| *file == files[0]), "{what}, seed {seed}: one file");
    let (.., (expected, loads)) = ends.pop().expect("some");
    assert!(expected.stats.events > 1_000, "{what}, seed {seed}: did anything run?");
    for (before, after, (seen, carried)) in ends {
        let who = format!("{what}, seed {seed}, on {before}, then {after} threads");
        assert_eq!(seen.stats.digest, expected.stats.digest, "{who}");
        assert_eq!(seen.stats, expected.stats, "{who}");
        assert_eq!(carried, loads, "{who}");
        assert!(seen == expected, "{who}: another run");
    }
}

fn pair<M, B>(what: &str, seed: u64, membership: M, broadcast: B)
where
    M: MembershipStrategy<Membership<SimPeer>: SimMembership>,
    B: BroadcastStrategy<Broadcast<SimPeer, u32, ()>: SimBroadcast>,
    B: BroadcastStrategy<Broadcast<SimPeer, BroadcastId, ()>: SimBroadcast>,
{
    if seed.is_multiple_of(2) {
        goes_on(what, seed, &nodes(membership.clone(), broadcast.clone()).expect("defaults"));
    }
    let around = anti_entropy::Parameters {
        exchange_interval: Duration::from_secs(1),
        ..anti_entropy::Parameters::default()
    };
    let around = Arc::new(around.check().expect("fine"));
    let (m, b) = (membership.check().expect("defaults"), broadcast.check().expect("defaults"));
    let (m, b) = (Arc::new(m), Arc::new(b));
    if seed % 2 == 1 {
        let membership = move |me, seed| M::start(&m, me, seed);
        let broadcast = move |seed| {
            let inside = B::start::<SimPeer, BroadcastId, ()>(&b, seed);
            AntiEntropy::new(inside, Arc::clone(&around))
        };
        goes_on(&format!("{what} with anti-entropy"), seed, &compose(membership, broadcast));
        return;
    }
    let membership = move |me, seed| erased::membership(M::start(&m, me, seed));
    let broadcast = move |seed| {
        let inside = erased::broadcast(B::start::<SimPeer, BroadcastId, ()>(&b, seed));
        AntiEntropy::new(inside, Arc::clone(&around))
    };
    goes_on(&format!("{what}, boxed, with anti-entropy"), seed, &compose(membership, broadcast));
}

#[test]
fn a_saved_simulation_goes_the_same_way() {
    for seed in 0..2 {
        let (view, tree) = (hyparview::Parameters::default, plumtree::Parameters::default);
        let (mesh, flood) = (full_mesh::Parameters::default, flood::Parameters::default);
        pair("hyparview and plumtree", seed, view(), tree());
        pair("hyparview and flood", seed + 2, view(), flood());
        pair("full mesh and plumtree", seed + 4, mesh(), tree());
        pair("full mesh and flood", seed + 6, mesh(), flood());
        let gossip = gossip::Parameters::default;
        pair("cyclon and gossip", seed + 8, cyclon::Parameters::default(), gossip());
        pair("scamp and gossip", seed + 10, scamp::Parameters::default(), gossip());
    }
}

fn small<P: SimStack>(make: Make<P>) -> Simulation<P> {
    let network = Network::new(1, Latency::Constant(Duration::from_millis(10)), 0.0);
    let mut sim = Simulation::new(1, network.expect("valid"), make);
    for index in 0..20 {
        sim.start(&(0..index.min(1)).collect::<Vec<_>>());
        wait(&mut sim, 50);
    }
    sim.publish(3);
    wait(&mut sim, 15);
    sim
}

fn empty<P: SimStack>(make: Make<P>) -> Simulation<P> {
    let network = Network::new(1, Latency::Constant(Duration::from_millis(10)), 0.0);
    Simulation::new(1, network.expect("valid"), make)
}

fn defaults() -> Make<Both<hyparview::Parameters, plumtree::Parameters>> {
    nodes(hyparview::Parameters::default(), plumtree::Parameters::default()).expect("defaults")
}

#[test]
fn what_is_not_whole_is_refused_without_a_panic() {
    let bytes = saved(&small(defaults()));
    assert!(restored(&bytes, empty(defaults())).is_ok());
    let step = (bytes.len() / 200).max(1);
    for at in (0..bytes.len()).step_by(step) {
        assert!(restored(&bytes[..at], empty(defaults())).is_err(), "{at} of {}", bytes.len());
        let mut changed = bytes.clone();
        changed[at] ^= 0x10;
        assert!(restored(&changed, empty(defaults())).is_err(), "byte {at} of {}", bytes.len());
    }
}

#[test]
fn other_nodes_do_not_go_on_from_it() {
    let bytes = saved(&small(defaults()));
    let flood = nodes(hyparview::Parameters::default(), flood::Parameters::default());
    let other = restored(&bytes, empty(flood.expect("defaults")));
    assert!(matches!(other, Err(ReadError::Unlike(_))));
    let taken = restored(&bytes, small(defaults())).map(drop);
    assert_eq!(
        taken.expect_err("there are some").to_string(),
        "it is of another kind of nodes: there are nodes already"
    );
    let mut logging = empty(defaults());
    logging.log_deliveries();
    let error = restored(&bytes, logging).map(drop).expect_err("they were not logged");
    assert!(error.to_string().ends_with("deliveries were not logged"), "{error}");
}

fn says<P: SimStack>(sim: &Simulation<P>) -> String {
    let mut writer = Writer::new(Vec::new()).expect("room");
    let error: SaveError = sim.save(&mut writer).expect_err("it cannot be saved");
    error.to_string()
}

#[test]
fn what_cannot_be_saved_is_named() {
    let mut sim = empty(defaults());
    sim.keep_journal();
    assert_eq!(says(&sim), "a simulation with a journal cannot be saved");
    let mut sim = empty(defaults());
    sim.open_channels(&[], &[]);
    assert_eq!(says(&sim), "a simulation with channels cannot be saved");
    let config = Arc::new(router::Config::default());
    let view = Arc::new(hyparview::Parameters::default().check().expect("defaults"));
    let make: Make<Stack<_, _, Router<SimPeer, Nothing>>> = Arc::new(move |me, seed| {
        let membership = hyparview::HyParView::new(me, Arc::clone(&view), seed);
        let stack = Stack::new(membership, flood::Flood::<SimPeer, u32, ()>::new(Arc::default()));
        stack.with_service(Router::new(me, Arc::clone(&config)))
    });
    assert_eq!(says(&empty(make)), "a simulation with services cannot be saved");
}

/// Asked for nothing.
#[derive(Debug, Clone, Copy)]
struct Nothing;

impl router::Data for Nothing {
    fn size(&self) -> usize {
        0
    }
}
