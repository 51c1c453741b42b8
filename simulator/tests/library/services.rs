//! A service of one's own in the simulation, beside the router: it broadcasts what it keeps, speaks to
//! neighbours, sets timers, and runs the same on any number of threads.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use murmurate::Stack;
use murmurate::broadcast::{Payload, Plumtree, plumtree};
use murmurate::membership::{HyParView, Sizes, Time, Violation, Wire, hyparview};
use murmurate::router::{self, Router};
use murmurate::service::{Effects, Either, Input, Service};
use murmurate_simulator::engine::strategy::SimPayload;
use murmurate_simulator::model::network::{Latency, Network};
use murmurate_simulator::observe::check;
use murmurate_simulator::{SimPeer, Simulation};

/// What a broadcast says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Note(String);

impl Payload for Note {
    fn size(&self) -> usize {
        self.0.len()
    }
}

impl SimPayload for Note {
    fn of_workload() -> Self {
        Self(String::new())
    }
}

#[derive(Debug, Clone)]
struct Thanks;

impl Wire for Thanks {
    const KINDS: &'static [&'static str] = &["thanks"];
    fn kind(&self) -> usize {
        0
    }
    fn wire_len(&self, _: &Sizes) -> usize {
        5
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Told {
    Heard(String),
    Thanked(usize),
    Slept,
}

/// Broadcasts notes, and thanks a neighbour for each a second later.
#[derive(Debug, Clone, Default)]
struct Notes {
    neighbors: Vec<SimPeer>,
    thanked: usize,
    is_armed: bool,
}

impl Service<SimPeer, Note> for Notes {
    type Message = Thanks;
    type Timer = ();
    type Command = String;
    type Event = Told;

    fn handle<E: Effects<SimPeer, Note, Self>>(
        &mut self,
        _now: Time,
        input: Input<'_, SimPeer, Note, Self>,
        fx: &mut E,
    ) {
        match input {
            Input::NeighborUp(peer) => self.neighbors.push(peer),
            Input::NeighborDown(peer, _) => self.neighbors.retain(|held| *held != peer),
            Input::Command(text) => fx.broadcast(Note(text)),
            Input::Delivered { payload: note, .. } => {
                fx.emit(Told::Heard(note.0.clone()));
                if !std::mem::replace(&mut self.is_armed, true) {
                    fx.arm(Duration::from_secs(1), ());
                }
            }
            Input::Expired(()) => {
                self.is_armed = false;
                fx.emit(Told::Slept);
                self.neighbors.first().into_iter().for_each(|peer| fx.send(*peer, Thanks));
            }
            Input::Receive { message: Thanks, .. } => {
                self.thanked += 1;
                fx.emit(Told::Thanked(self.thanked));
            }
            _ => {}
        }
    }

    fn check(&self, neighbors: &[SimPeer]) -> Result<(), Violation> {
        let mut mine = self.neighbors.clone();
        mine.sort_unstable();
        Violation::unless(mine == neighbors, "a service hears of all neighbours", || {
            format!("{mine:?} instead of {neighbors:?}")
        })
    }
}

type Both = (Notes, Router<SimPeer, NoData>);
type Node = Stack<HyParView<SimPeer>, Plumtree<SimPeer, u32, Note>, Both>;

#[derive(Debug, Clone)]
struct NoData;

impl router::Data for NoData {
    fn size(&self) -> usize {
        0
    }
}

fn grown(threads: usize) -> Simulation<Node> {
    let (membership, broadcast) =
        (Arc::new(hyparview::Config::default()), Arc::new(plumtree::Config::default()));
    let config = Arc::new(router::Config::default());
    let make = Arc::new(move |me, seed| {
        let membership = HyParView::new(me, Arc::clone(&membership), seed);
        let router = Router::new(me, Arc::clone(&config));
        Stack::new(membership, Plumtree::new(Arc::clone(&broadcast)))
            .with_service((Notes::default(), router))
    });
    let latency = Latency::Uniform(Duration::from_millis(5), Duration::from_millis(30));
    let network = Network::new(1, latency, 0.0).expect("valid");
    let threads = NonZeroUsize::new(threads).expect("some");
    let mut sim = Simulation::on_threads(threads, 1, network, make);
    sim.check_every_event();
    sim.log_deliveries();
    for index in 0..50 {
        sim.start(if index == 0 { &[] } else { &[0] });
        run(&mut sim, Duration::from_millis(50));
    }
    run(&mut sim, Duration::from_secs(10));
    sim
}

fn run(sim: &mut Simulation<Node>, time: Duration) {
    sim.run_until(sim.now().after(time));
}

fn life(threads: usize) -> (Vec<String>, u64) {
    let mut sim = grown(threads);
    for (index, text) in [(7, "one"), (7, "two"), (31, "three")] {
        assert!(sim.command(index, Either::Left(text.to_owned())));
    }
    assert!(sim.command(3, Either::Right(router::Command::Lookup { target: 40, path: true })));
    run(&mut sim, Duration::from_secs(5));
    check::safety(&sim).expect("all is in order");
    assert_eq!(sim.published(), 3);
    let bytes: Vec<_> = sim.stats().broadcasts.iter().map(|b| b.payload_bytes).collect();
    assert_eq!(bytes, [3, 3, 5], "as large as what the service says");
    let events = sim.take_events();
    let mut heard = BTreeMap::<&str, usize>::new();
    let (mut thanked, mut slept, mut found) = (0, 0, 0);
    for (.., event) in &events {
        match event {
            Either::Left(Told::Heard(text)) => *heard.entry(text).or_default() += 1,
            Either::Left(Told::Thanked(_)) => thanked += 1,
            Either::Left(Told::Slept) => slept += 1,
            Either::Right(router::Event::Found { path: true, .. }) => found += 1,
            other @ Either::Right(_) => assert_eq!(format!("{other:?}"), "nothing else"),
        }
    }
    assert_eq!(heard, BTreeMap::from([("one", 49), ("two", 49), ("three", 49)]));
    assert_eq!((slept, thanked, found), (50, 50, 1));
    let stats = sim.stats();
    assert_eq!(stats.sent("thanks"), 50, "counted by kind, beside the router's");
    assert!(stats.sent("lookup") > 0 && stats.sent("gossip") >= 3 * 49);
    (events.into_iter().map(|event| format!("{event:?}")).collect(), stats.digest)
}

#[test]
fn services_broadcast_speak_and_wait_the_same_on_any_number_of_threads() {
    let one = life(1);
    assert!(one == life(2) && one == life(3));
}

#[test]
fn who_stopped_broadcasts_nothing_and_a_new_start_knows_nothing() {
    let mut sim = grown(1);
    sim.crash(7);
    assert!(!sim.command(7, Either::Left("from the dead".to_owned())));
    run(&mut sim, Duration::from_secs(1));
    assert!(sim.restart(7, &[0]));
    run(&mut sim, Duration::from_secs(5));
    let (notes, _) = sim.stack(7).expect("it runs").service();
    assert_eq!((notes.thanked, sim.published()), (0, 0));
}
