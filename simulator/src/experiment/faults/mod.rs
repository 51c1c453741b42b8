//! Faults: what a timeline does to a simulation.
//!
//! Each fault has its own random generator, which follows from the seed, its kind and its time. So adding
//! or removing a fault does not change what the others do.

mod churn;
mod contacts;
mod victims;

use std::sync::Arc;
use std::time::Duration;

use murmurate::membership::{Membership as _, Time};
use rand::{RngExt, SeedableRng};
use rand_xoshiro::SplitMix64;

pub(crate) use churn::Turn;
pub(crate) use contacts::Contacts;
pub(crate) use victims::{random_running, random_such};

use crate::engine::{SimStack, Simulation};
use crate::experiment::scenario::{Death, Fault, What, Who, Withheld};
use crate::model::machine::Withholding;
use crate::model::network::{Swing, mix};
use crate::model::node::SimPeer;
use churn::Churning;
use victims::{side, victims};

/// A fault of a timeline, as far as it got.
#[derive(Debug)]
pub(crate) struct Ongoing {
    fault: Fault,
    rng: SplitMix64,
    /// Contacts of each node that joins.
    contacts: Arc<Contacts>,
    /// How many nodes it struck so far.
    pub(crate) struck: usize,
    /// What ends with it.
    ending: Ending,
    churning: Option<Churning>,
}

#[derive(Debug, Default)]
enum Ending {
    #[default]
    Nothing,
    /// A partition, or links that flap or take longer.
    Cut(u32),
    /// Slow nodes get as fast as the others.
    Slowness(Vec<usize>),
    /// Liars pass everything on again.
    Lies(Vec<usize>),
    /// Clocks run right again.
    Drift(Vec<usize>),
}

/// Something a fault does later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Later {
    /// A new node joins.
    Join,
    /// A node that does not run starts again.
    Restart(usize),
    /// A process stops whose node left.
    Stop(SimPeer),
    /// A step of churn.
    Turn(Turn),
    /// It ends.
    End,
}

/// What is to be done later, and when.
pub(crate) type Plans = Vec<(Time, Later)>;

impl Ongoing {
    /// `twin` counts the faults of the same kind and time before it.
    pub(crate) fn new(fault: Fault, seed: u64, contacts: Arc<Contacts>, twin: u64) -> Self {
        let name = fault.what.kind().bytes().fold(0, |hash, byte| mix(hash ^ u64::from(byte)));
        let at = Time::ZERO.after(fault.at.0).as_nanos();
        let rng = SplitMix64::seed_from_u64(mix(mix(seed ^ name) ^ at).wrapping_add(twin));
        Self { fault, rng, contacts, struck: 0, ending: Ending::Nothing, churning: None }
    }

    pub(crate) fn fault(&self) -> &Fault {
        &self.fault
    }

    /// It happens, or begins, at `now`, which the simulation may have gone past a little: it stops where a
    /// bucket of its queue ends. Returns what is to be done later.
    pub(crate) fn strike<P: SimStack>(&mut self, now: Time, sim: &mut Simulation<P>) -> Plans {
        let what = self.fault.what.clone();
        let mut plans = Plans::new();
        if let Some(lasting) = what.lasting() {
            plans.push((now.after(lasting.0), Later::End));
        }
        match what {
            What::Crash { who, notice } => {
                self.each(sim, &who, |sim, index| stop(sim, index, notice));
            }
            What::Leave { who, linger } if linger.0.is_zero() => {
                self.each(sim, &who, Simulation::leave);
            }
            What::Leave { who, linger } => {
                let end = now.after(linger.0);
                let nodes = self.each(sim, &who, Simulation::leave_and_stay);
                let peers = nodes.into_iter().filter_map(|index| sim.peer(index));
                plans.extend(peers.map(|peer| (end, Later::Stop(peer))));
            }
            What::Restart { who, over, .. } => {
                let dead = (0..sim.len()).filter(|index| !sim.is_live(*index)).collect();
                let nodes = victims(&who, dead, sim.network().placement(), &mut self.rng);
                let times = spread(now, over.0, nodes.len());
                plans.extend(times.zip(nodes).map(|(time, node)| (time, Later::Restart(node))));
            }
            What::Recycle { who } => self.recycle(sim, &who),
            What::Join { count, over } => {
                let times = spread(now, over.0, count as usize);
                plans.extend(times.map(|time| (time, Later::Join)));
            }
            What::Churn { lasting, how, .. } => {
                let until = now.after(lasting.0);
                let churning = Churning::new(how, until, self.rng.random());
                plans.extend(churning.begin(now, sim));
                self.churning = Some(churning);
            }
            What::Discover { who } => self.discover(sim, &who),
            What::Slow { who, times, work, .. } => {
                let work = Duration::try_from_secs_f64(work.0.as_secs_f64() * times);
                let work = work.unwrap_or(Duration::MAX);
                let nodes = self.each(sim, &who, |sim, index| sim.set_work(index, work));
                self.ending = Ending::Slowness(nodes);
            }
            What::Stall { who, lasting } => {
                self.each(sim, &who, |sim, index| sim.stall(index, lasting.0));
            }
            What::Withhold { who, what, .. } => self.withhold(sim, &who, what),
            What::Eclipse { who, rate } => {
                let nodes = self.each(sim, &who, |_, _| {});
                sim.eclipse(&nodes, rate);
            }
            What::ClockDrift { who, rate, .. } => {
                let nodes = self.each(sim, &who, |_, _| {});
                sim.set_clock_rate(&nodes, rate);
                self.ending = Ending::Drift(nodes);
            }
            What::ClockJump { who, by } => {
                let nodes = self.each(sim, &who, |_, _| {});
                sim.jump_clocks(&nodes, by.0);
            }
            What::Partition { .. }
            | What::Heal
            | What::Calm
            | What::Flap { .. }
            | What::Latency { .. }
            | What::Loss { .. } => self.strike_links(&what, now, sim),
        }
        plans
    }

    fn withhold<P: SimStack>(&mut self, sim: &mut Simulation<P>, who: &Who, what: Withheld) {
        let what = match what {
            Withheld::Payloads => Withholding::Payloads,
            Withheld::Broadcasts => Withholding::Broadcasts,
        };
        let nodes = self.each(sim, who, |sim, index| sim.withhold(index, what));
        self.ending = Ending::Lies(nodes);
    }

    fn discover<P: SimStack>(&mut self, sim: &mut Simulation<P>, who: &Who) {
        let contacts = Arc::clone(&self.contacts);
        let random = contacts.random(sim, &mut self.rng);
        self.each(sim, who, |sim, index| {
            let own = contacts.in_graph(index, sim);
            sim.join(index, own.as_ref().unwrap_or(&random));
        });
    }

    fn strike_links<P: SimStack>(&mut self, what: &What, now: Time, sim: &mut Simulation<P>) {
        match what {
            What::Partition { who, one_way, .. } => {
                let (side, size) = side(who, sim, &mut self.rng);
                self.struck += size;
                self.ending = Ending::Cut(sim.network_mut().cut_off(side, *one_way));
            }
            What::Heal => sim.network_mut().heal(),
            What::Calm => sim.network_mut().calm(),
            What::Flap { who, up, down, .. } => {
                let (side, size) = side(who, sim, &mut self.rng);
                self.struck += size;
                self.ending = Ending::Cut(sim.network_mut().flap(side, up.0, down.0));
            }
            What::Latency { who, to, times, over, lasting, every } => {
                let (who, size) = side(who, sim, &mut self.rng);
                let to = to.as_ref().map(|to| side(to, sim, &mut self.rng).0);
                self.struck += size;
                let (lasting, every) = (lasting.map(|span| span.0), every.map(|span| span.0));
                let swing = Swing { from: now, times: *times, over: over.0, lasting, every };
                self.ending = Ending::Cut(sim.network_mut().lengthen(who, to, swing));
            }
            What::Loss { share } => {
                // A share is in range.
                let _ = sim.network_mut().set_loss(share.get());
            }
            _ => {}
        }
    }

    /// Does what it planned for `now`.
    pub(crate) fn go_on<P: SimStack>(
        &mut self,
        now: Time,
        sim: &mut Simulation<P>,
        later: Later,
    ) -> Plans {
        match later {
            Later::Join => self.join(sim),
            Later::Restart(index) => self.restart(sim, index),
            Later::Stop(peer) if sim.peer(peer.index()) == Some(peer) => sim.crash(peer.index()),
            Later::Stop(_) => {}
            Later::Turn(turn) => return self.turn(now, sim, turn),
            Later::End => match std::mem::take(&mut self.ending) {
                Ending::Nothing => {}
                Ending::Cut(number) => sim.network_mut().mend(number),
                Ending::Slowness(nodes) => {
                    nodes.into_iter().for_each(|index| sim.set_work(index, Duration::ZERO));
                }
                Ending::Lies(nodes) => {
                    nodes.into_iter().for_each(|at| sim.withhold(at, Withholding::Nothing));
                }
                Ending::Drift(nodes) => sim.set_clock_rate(&nodes, 1.0),
            },
        }
        Plans::new()
    }

    /// Strikes its victims, and returns them.
    fn each<P: SimStack>(
        &mut self,
        sim: &mut Simulation<P>,
        who: &Who,
        mut strike: impl FnMut(&mut Simulation<P>, usize),
    ) -> Vec<usize> {
        let running = sim.live_nodes().collect();
        let nodes = victims(who, running, sim.network().placement(), &mut self.rng);
        self.struck += nodes.len();
        nodes.iter().for_each(|&index| strike(sim, index));
        nodes
    }

    fn contacts<P: SimStack>(&mut self, sim: &Simulation<P>, index: usize) -> Vec<usize> {
        self.contacts.of(index, sim, &mut self.rng)
    }

    fn join<P: SimStack>(&mut self, sim: &mut Simulation<P>) {
        let contacts = self.contacts(sim, sim.len());
        self.struck += usize::from(sim.start(&contacts).is_some());
    }

    fn restart<P: SimStack>(&mut self, sim: &mut Simulation<P>, index: usize) {
        let disk = matches!(self.fault.what, What::Restart { disk: true, .. });
        let mut contacts = if disk { remembered(sim, index) } else { Vec::new() };
        match self.contacts.in_graph(index, sim) {
            Some(neighbors) => contacts.extend(neighbors),
            None if contacts.is_empty() => contacts = self.contacts(sim, index),
            None => {}
        }
        self.struck += usize::from(sim.restart(index, &contacts));
    }

    /// The old nodes are gone without a goodbye, and new ones answer at their addresses.
    fn recycle<P: SimStack>(&mut self, sim: &mut Simulation<P>, who: &Who) {
        for index in self.each(sim, who, Simulation::crash) {
            let contacts = self.contacts(sim, index);
            sim.restart(index, &contacts);
        }
    }

    fn turn<P: SimStack>(&mut self, now: Time, sim: &mut Simulation<P>, turn: Turn) -> Plans {
        let Some(churning) = &self.churning else { return Plans::new() };
        let (next, happens) = churning.turn(now, sim, turn, &mut self.rng);
        match happens {
            churn::Happens::Nothing => {}
            churn::Happens::Comes(index) => {
                let contacts = self.contacts(sim, index);
                self.struck += usize::from(sim.restart(index, &contacts));
            }
            churn::Happens::Goes(index) => self.depart(sim, index),
            churn::Happens::IsReplaced(index) => {
                self.depart(sim, index);
                self.join(sim);
            }
        }
        next
    }

    fn depart<P: SimStack>(&mut self, sim: &mut Simulation<P>, index: usize) {
        let What::Churn { notice, goodbye, .. } = &self.fault.what else { return };
        let leaves = self.rng.random_bool(goodbye.get());
        self.struck += usize::from(sim.is_live(index));
        if leaves { sim.leave(index) } else { stop(sim, index, *notice) }
    }
}

fn stop<P: SimStack>(sim: &mut Simulation<P>, index: usize, notice: Death) {
    match notice {
        Death::Closed => sim.kill(index),
        Death::Reset => sim.crash(index),
        Death::Silent => {
            sim.network_mut().set_dark(index, true);
            sim.crash(index);
        }
    }
}

/// Peers that a node finds on its disk.
const REMEMBERED: usize = 8;

/// The peers that a stopped node had in its views, or had lost, neighbours first.
fn remembered<P: SimStack>(sim: &Simulation<P>, index: usize) -> Vec<usize> {
    let Some(peer) = sim.stack(index) else { return Vec::new() };
    let membership = peer.membership();
    let known = membership.active().chain(membership.lost()).chain(membership.passive());
    known.map(SimPeer::index).take(REMEMBERED).collect()
}

/// `count` times, evenly from now on.
fn spread(now: Time, over: Duration, count: usize) -> impl Iterator<Item = Time> {
    (0..count).map(move |at| now.after(over.mul_f64(at as f64 / count as f64)))
}

#[cfg(test)]
mod tests;
