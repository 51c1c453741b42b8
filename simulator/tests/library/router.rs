//! The router by the thousand: lookups and relayed datagrams in the simulation that runs everything
//! else, with its faults, its checkers and its threads.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use murmurate::Stack;
use murmurate::broadcast::{Flood, flood};
use murmurate::membership::{HyParView, Membership as _, Time, hyparview};
use murmurate::router::{self, Command, Event, Router};
use murmurate_simulator::engine::Make;
use murmurate_simulator::model::network::{Latency, Network};
use murmurate_simulator::observe::check;
use murmurate_simulator::{SimPeer, Simulation};
use rand::{RngExt, SeedableRng};
use rand_xoshiro::SplitMix64;

type Routed = Stack<HyParView<SimPeer>, Flood<SimPeer, u32, ()>, Router<SimPeer, Mail>>;
type Number = u64;

/// A datagram: which one it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Mail(Number);

impl router::Data for Mail {
    fn size(&self) -> usize {
        100
    }
}

fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

fn make() -> Make<Routed> {
    let membership = Arc::new(hyparview::Config::default());
    let broadcast = Arc::new(flood::Config::default());
    let config = Arc::new(router::Config::default());
    Arc::new(move |me, seed| {
        let membership = HyParView::new(me, Arc::clone(&membership), seed);
        Stack::new(membership, Flood::new(Arc::clone(&broadcast)))
            .with_service(Router::new(me, Arc::clone(&config)))
    })
}

/// Nodes with routers, an application that uses them, and what may be said to it.
struct Post {
    sim: Simulation<Routed>,
    rng: SplitMix64,
    /// Lookups without an outcome, by who asked and for whom.
    open: BTreeSet<(SimPeer, u32)>,
    found: BTreeMap<(usize, usize), SimPeer>,
    not_found: usize,
    numbers: Number,
    /// Datagrams sent, by number, with what became of them.
    received: BTreeMap<Number, usize>,
    lost: BTreeSet<Number>,
    said: Vec<(Time, SimPeer, String)>,
}

impl Post {
    /// So many nodes that have settled.
    fn grown(seed: u64, nodes: usize, threads: usize) -> Self {
        let latency = Latency::Uniform(Duration::from_millis(5), Duration::from_millis(40));
        let network = Network::new(seed, latency, 0.0).expect("valid");
        let threads = NonZeroUsize::new(threads).expect("at least one");
        let mut post = Self {
            sim: Simulation::on_threads(threads, seed, network, make()),
            rng: SplitMix64::seed_from_u64(seed),
            open: BTreeSet::new(),
            found: BTreeMap::new(),
            not_found: 0,
            numbers: 0,
            received: BTreeMap::new(),
            lost: BTreeSet::new(),
            said: Vec::new(),
        };
        if nodes <= 100 {
            post.sim.check_every_event();
        }
        for index in 0..nodes {
            let contact = post.rng.random_range(0..index.max(1));
            post.sim.start(if index == 0 { &[] } else { std::slice::from_ref(&contact) });
            post.run(Duration::from_millis(10));
        }
        post.run(secs(30));
        post
    }

    fn run(&mut self, time: Duration) {
        self.sim.run_until(self.sim.now().after(time));
        for (at, me, event) in self.sim.take_events() {
            self.said.push((at, me, format!("{event:?}")));
            match event {
                Event::Found { peer, .. } => {
                    self.ends(me, peer.index());
                    self.found.insert((me.index(), peer.index()), peer);
                }
                Event::NotFound(node) => {
                    self.ends(me, node as usize);
                    self.not_found += 1;
                }
                Event::Received { data: Mail(number), .. } => {
                    *self.received.entry(number).or_default() += 1;
                }
                Event::Lost { number, .. } => {
                    assert!(self.lost.insert(number), "{number} was lost twice");
                }
            }
        }
        let twice = self.received.iter().find(|(_, times)| **times > 1);
        assert_eq!(twice, None, "a datagram is delivered once");
        let both = self.received.keys().find(|number| self.lost.contains(number));
        assert_eq!(both, None, "what is lost was not delivered");
    }

    /// A lookup has one outcome.
    fn ends(&mut self, me: SimPeer, node: usize) {
        assert!(self.open.remove(&(me, node as u32)), "{me:?} did not look for {node}");
    }

    fn look_up(&mut self, from: usize, to: usize, path: bool) {
        let me = self.sim.peer(from).expect("it was started");
        if self.sim.command(from, Command::Lookup { target: to as u32, path }) {
            self.open.insert((me, to as u32));
        }
    }

    /// Sends a datagram to whom a lookup found.
    fn relay(&mut self, from: usize, to: usize) -> Number {
        let number = self.numbers;
        self.numbers += 1;
        let to = self.found[&(from, to)];
        self.sim.command(from, Command::Relay { to, number, data: Mail(number) });
        number
    }

    fn neighbors(&self, index: usize) -> Vec<usize> {
        let stack = self.sim.stack(index).expect("it was started");
        stack.membership().active().map(SimPeer::index).collect()
    }

    /// A random running node that is neither this one nor its neighbour.
    fn far(&mut self, from: usize) -> usize {
        let nodes: Vec<_> = self.sim.live_nodes().collect();
        let near = self.neighbors(from);
        loop {
            let to = nodes[self.rng.random_range(0..nodes.len())];
            if to != from && !near.contains(&to) {
                return to;
            }
        }
    }

    /// Every running node looks for a random one; who that is.
    fn all_look_up(&mut self, path: bool) -> Vec<(usize, usize)> {
        let nodes: Vec<_> = self.sim.live_nodes().collect();
        let pairs: Vec<_> = nodes.into_iter().map(|from| (from, self.far(from))).collect();
        for (from, to) in &pairs {
            self.look_up(*from, *to, path);
        }
        pairs
    }

    /// Nodes on the way of a datagram, the ends included; empty if there is no route.
    fn route(&self, from: usize, to: usize) -> Vec<usize> {
        let target = self.sim.peer(to).expect("it was started");
        let mut route = vec![from];
        while let Some(at) = route.last().copied().filter(|at| *at != to) {
            let router = self.sim.stack(at).expect("it was started").service();
            match router.next_hop(target) {
                Some(next) if !route.contains(&next.index()) => route.push(next.index()),
                _ => return Vec::new(),
            }
        }
        route
    }

    /// When nothing is under way any more.
    fn check_over(&self) {
        check::safety(&self.sim).expect("the overlay is in order");
        let runs = |peer: &SimPeer| {
            self.sim.is_live(peer.index()) && self.sim.peer(peer.index()) == Some(*peer)
        };
        let open: Vec<_> = self.open.iter().filter(|(me, _)| runs(me)).collect();
        assert!(open.is_empty(), "without an outcome: {open:?}");
    }
}

/// HyParView, 1,000 nodes: everybody finds a random node that is not its neighbour.
#[test]
fn everybody_finds_anybody_among_a_thousand() {
    let mut post = Post::grown(1, 1_000, 2);
    post.all_look_up(false);
    post.run(router::Config::default().lookup_wait());
    post.check_over();
    assert_eq!((post.found.len(), post.not_found), (1_000, 0));
    let stats = post.sim.stats();
    let per_lookup = (stats.sent("lookup") + stats.sent("found")) as f64 / 1_000.0;
    println!("{per_lookup:.1} messages a lookup");
    assert!(per_lookup < 150.0, "{per_lookup}");
}

/// Over routes that lookups laid everybody sends a datagram to anybody.
#[test]
fn everybody_reaches_anybody_among_a_thousand() {
    let mut post = Post::grown(3, 1_000, 2);
    let pairs = post.all_look_up(true);
    post.run(router::Config::default().lookup_wait());
    assert_eq!((post.found.len(), post.not_found), (1_000, 0));
    let stats = post.sim.stats();
    let per_route = (stats.sent("lookup") + stats.sent("found")) as f64 / 1_000.0;
    println!("{per_route:.1} messages a route");
    for (from, to) in pairs {
        post.relay(from, to);
    }
    post.run(secs(5));
    post.check_over();
    assert_eq!((post.received.len(), post.lost.len()), (1_000, 0));
    let hops = post.sim.stats().sent("relay") as f64 / 1_000.0;
    println!("{hops:.1} hops a datagram");
    assert!(hops < 10.0, "{hops}");
}

/// Small overlays, each with its own faults, and the same on any number of threads.
#[test]
fn small_overlays_survive_their_faults() {
    let seeds: u64 =
        std::env::var("ROUTER_SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(200);
    let (mut received, mut sent) = (0, 0);
    for seed in 0..seeds {
        let post = faulty(seed, 1);
        received += post.received.len();
        sent += post.numbers as usize;
        if seed.is_multiple_of(20) {
            let again = faulty(seed, 1 + seed as usize / 20 % 3);
            assert_eq!(again.said, post.said, "seed {seed} gave another run");
            assert_eq!(again.sim.stats().digest, post.sim.stats().digest);
        }
    }
    println!("{received} of {sent} received");
    assert!(received * 10 > sent * 7, "{received} of {sent}: most get through anyway");
}

/// Loss, a partition, crashes, departures and restarts while everybody looks and sends.
fn faulty(seed: u64, threads: usize) -> Post {
    let mut post = Post::grown(seed, 30, threads);
    for _ in 0..4 {
        let who = post.rng.random_range(0..30);
        match post.rng.random_range(0..5) {
            0 => post.sim.network_mut().set_loss(0.05).expect("valid"),
            1 => post.sim.network_mut().cut(30, |index| index < 10, seed.is_multiple_of(2)),
            2 => post.sim.crash(who),
            3 => {
                post.sim.leave(who);
                post.run(secs(1));
                let contact = post.sim.live_nodes().next().expect("some run");
                post.sim.restart(who, &[contact]);
            }
            _ => {}
        }
        let pairs = post.all_look_up(true);
        post.run(secs(2));
        for (from, to) in pairs {
            let is_found = post.found.contains_key(&(from, to));
            if is_found && post.sim.is_live(from) {
                post.relay(from, to);
            }
        }
        post.run(secs(2));
        post.sim.network_mut().heal();
        post.sim.network_mut().set_loss(0.0).expect("valid");
    }
    post.run(router::Config::default().lookup_wait());
    post.run(secs(30));
    post.check_over();
    post
}

/// Across a partition nobody is found, within the stated time; after it everybody is.
#[test]
fn a_partition_heals() {
    for seed in 0..10 {
        let mut post = Post::grown(seed, 40, 1);
        post.sim.network_mut().cut(40, |index| index < 20, false);
        // Long enough for the overlay to notice.
        post.run(secs(30));
        (0..40).for_each(|from| post.look_up(from, (from + 20) % 40, true));
        post.run(router::Config::default().lookup_wait() + secs(1));
        post.check_over();
        assert_eq!((post.found.len(), post.not_found), (0, 40), "seed {seed}");
        post.sim.network_mut().heal();
        post.run(secs(120));
        (0..40).for_each(|from| post.look_up(from, (from + 20) % 40, true));
        post.run(router::Config::default().lookup_wait() + secs(1));
        post.check_over();
        assert_eq!(post.found.len(), 40, "seed {seed}");
    }
}

/// A node that left is not found by whoever must reach it, within the time the configuration states.
#[test]
fn who_left_is_not_found_in_time() {
    for seed in 0..10 {
        let mut post = Post::grown(seed, 50, 1);
        post.sim.leave(7);
        post.run(secs(1));
        (0..50).filter(|from| *from != 7).for_each(|from| post.look_up(from, 7, true));
        post.run(router::Config::default().lookup_wait() + secs(1));
        post.check_over();
        assert_eq!((post.found.len(), post.not_found), (0, 49), "seed {seed}");
    }
}

/// A hop of a route dies: word of the loss comes back, and a new lookup finds another route.
#[test]
fn a_hop_that_dies_is_gone_round() {
    let (mut died, mut lost) = (0, 0);
    for seed in 0..20 {
        let mut post = Post::grown(seed, 60, 1);
        let to = post.far(0);
        post.look_up(0, to, true);
        post.run(secs(5));
        let route = post.route(0, to);
        let [_, .., hop, _] = route[..] else { continue };
        if route.len() < 4 {
            continue;
        }
        died += 1;
        // The hop before the last: the first one does not notice by itself.
        post.sim.kill(hop);
        post.run(secs(1));
        let number = post.relay(0, to);
        post.run(secs(5));
        // Unless the hop before it has become a neighbour of the target meanwhile.
        let is_lost = post.lost.contains(&number);
        assert_ne!(is_lost, post.received.contains_key(&number), "seed {seed}");
        lost += usize::from(is_lost);
        post.look_up(0, to, true);
        post.run(router::Config::default().lookup_wait());
        let number = post.relay(0, to);
        post.run(secs(5));
        assert_eq!(post.received.get(&number), Some(&1), "seed {seed}");
        post.check_over();
    }
    println!("{died} routes broke, {lost} losses were told");
    assert!(lost >= 5, "{died} broke, {lost} told");
}
