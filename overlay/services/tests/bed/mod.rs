//! A cluster of simulated nodes for a test.

#![allow(dead_code, reason = "each test needs some of it")]
#![allow(clippy::expect_used, reason = "a test says what it expects")]

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use murmurate::Stack;
use murmurate::broadcast::{Plumtree, plumtree};
use murmurate::membership::{HyParView, Time, hyparview};
use murmurate_services::{Action, Cluster, Command, Config, Done, Event, Refused};
use murmurate_simulator::model::network::{Latency, Network};
use murmurate_simulator::observe::check;
use murmurate_simulator::{SimPeer, Simulation};

/// What the nodes run.
pub(crate) type Node = Stack<HyParView<SimPeer>, Plumtree<SimPeer, u32, Bytes>, Cluster<SimPeer>>;

pub(crate) const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

pub(crate) const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

pub(crate) struct Bed {
    pub(crate) sim: Simulation<Node>,
}

impl Bed {
    /// So many nodes that join one after the other.
    pub(crate) fn new(seed: u64, nodes: usize) -> Self {
        Self::with(seed, nodes, Config::default())
    }

    pub(crate) fn with(seed: u64, nodes: usize, config: Config) -> Self {
        let (membership, broadcast) =
            (Arc::new(hyparview::Config::default()), Arc::new(plumtree::Config::default()));
        let make = Arc::new(move |me: SimPeer, seed| {
            let membership = HyParView::new(me, Arc::clone(&membership), seed);
            let stack = Stack::new(membership, Plumtree::new(Arc::clone(&broadcast)));
            stack.with_service(Cluster::new(config.clone()))
        });
        let latency = Latency::Uniform(ms(5), ms(50));
        let network = Network::new(seed, latency, 0.0).expect("valid");
        let mut bed = Self { sim: Simulation::new(seed, network, make) };
        for _ in 0..nodes {
            bed.start();
            bed.run(ms(20));
        }
        bed
    }

    /// Starts one more.
    pub(crate) fn start(&mut self) -> usize {
        let index = self.sim.len();
        self.sim.start(if index == 0 { &[] } else { &[0] }).expect("there is room")
    }

    /// Starts one again, through whoever runs.
    pub(crate) fn restart(&mut self, index: usize) {
        let contact = self.sim.live_nodes().next().expect("somebody runs");
        assert!(self.sim.restart(index, &[contact]), "it had not run");
    }

    pub(crate) fn run(&mut self, time: Duration) {
        self.sim.run_until(self.sim.now().after(time));
    }

    pub(crate) fn now(&self) -> Time {
        self.sim.now()
    }

    pub(crate) fn peer(&self, index: usize) -> SimPeer {
        self.sim.peer(index).expect("it runs")
    }

    pub(crate) fn cluster(&self, index: usize) -> &Cluster<SimPeer> {
        self.sim.stack(index).expect("it runs").service()
    }

    pub(crate) fn tell(&mut self, index: usize, action: Action<SimPeer>) {
        assert!(self.sim.command(index, Command::new(action)), "node {index} runs");
    }

    /// The same, and what came of it.
    pub(crate) fn ask(
        &mut self,
        index: usize,
        action: Action<SimPeer>,
    ) -> Result<Done<SimPeer>, Refused<SimPeer>> {
        let (said, heard) = std::sync::mpsc::channel();
        let command =
            Command::new(action).with_reply(move |done| said.send(done).expect("awaited"));
        assert!(self.sim.command(index, command), "node {index} runs");
        heard.try_recv().expect("it is answered at once")
    }

    pub(crate) fn events(&mut self) -> Vec<(Time, SimPeer, Event<SimPeer>)> {
        self.sim.take_events()
    }

    /// Cuts those for which this holds off from the others.
    pub(crate) fn cut(&mut self, is_far: impl Fn(usize) -> bool) {
        let nodes = self.sim.len();
        self.sim.network_mut().cut(nodes, is_far, false);
    }

    pub(crate) fn heal(&mut self) {
        self.sim.network_mut().heal();
    }

    pub(crate) fn are_equal(&self) -> bool {
        let mut sums = self.sim.live_nodes().map(|index| self.cluster(index).store().sum());
        let first = sums.next();
        sums.all(|sum| Some(sum) == first)
    }

    /// All replicas are sound, and keep the same, or do so soon: neighbours change now and then, which all are told.
    #[track_caller]
    pub(crate) fn assert_equal(&mut self) {
        for _ in 0..20 {
            if self.are_equal() {
                break;
            }
            self.run(secs(1));
        }
        check::safety(&self.sim).expect("all invariants hold");
        assert!(self.are_equal(), "replicas differ");
    }
}
