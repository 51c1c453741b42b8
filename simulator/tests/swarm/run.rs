//! Runs a plan: faults first, under watch; then peace, and what must follow from it.

use std::time::Duration;

use murmurate::membership::{Time, Violation};
use murmurate_simulator::engine::{Make, SimBroadcast, SimMembership};
use murmurate_simulator::network::Network;
use murmurate_simulator::{Simulation, check};
use rand::{RngExt, SeedableRng};
use rand_xoshiro::SplitMix64;

use crate::plan::{Fault, Plan};

/// Broadcasts that must reach everyone in the end.
pub(crate) const BROADCASTS: usize = 3;
/// How long one of them may take.
const BROADCAST_PATIENCE: Duration = Duration::from_secs(20);
/// Node checks a bucket in the mean: small swarms are looked at after every bucket.
const CHECKS_PER_BUCKET: usize = 2;
/// Exchanges go on in peace, and a link is one-sided while its handshake is under way: a moment
/// without any must come up when looking this often...
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// ...for this long.
const LOOK_FOR: Duration = Duration::from_secs(30);

/// What a run was, beyond its success.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Outcome {
    pub(crate) digest: u64,
    pub(crate) events: u64,
    /// Events queued at a time, at most, in percent of the bound.
    pub(crate) peak: usize,
    /// Seconds of virtual time.
    pub(crate) seconds: u64,
    /// Links that came about.
    pub(crate) links: u64,
    /// Final broadcasts that reached whom they must, of [`BROADCASTS`].
    pub(crate) reached: usize,
}

/// Tries to find a time without a change of links for a broadcast, where links may break it.
const ATTEMPTS: usize = 5;
/// The rule of [`check::quiescence`] that not every plan can promise to meet.
const WHOLE: &str = "the overlay is connected";

struct Swarm<'a, M: SimMembership, B: SimBroadcast> {
    plan: &'a Plan,
    sim: Simulation<M, B>,
    rng: SplitMix64,
    /// Nodes whose process runs but that left the overlay.
    gone: Vec<usize>,
    buckets: usize,
    reached: usize,
}

/// Runs `plan` with nodes of `make`.
///
/// # Errors
/// The first demand that is not met.
pub(crate) fn run<M: SimMembership, B: SimBroadcast>(
    plan: &Plan,
    make: Make<M, B>,
) -> Result<Outcome, Violation> {
    let network = Network::new(plan.seed, plan.latency.clone(), plan.loss).expect("drawn in range");
    let mut sim = Simulation::new(plan.seed, network, make);
    sim.log_deliveries();
    let rng = SplitMix64::seed_from_u64(plan.seed);
    let mut swarm = Swarm { plan, sim, rng, gone: Vec::new(), buckets: 0, reached: 0 };
    swarm.trouble()?;
    swarm.peace()
}

impl<M: SimMembership, B: SimBroadcast> Swarm<'_, M, B> {
    fn trouble(&mut self) -> Result<(), Violation> {
        let pause = Duration::from_millis(self.plan.start_pause);
        for _ in 0..self.plan.nodes {
            self.start();
            self.wait(pause)?;
        }
        let start = self.sim.now();
        for (at, fault) in &self.plan.faults {
            self.wait(start.after(Duration::from_millis(*at)).since(self.sim.now()))?;
            self.strike(fault);
        }
        self.wait(Duration::from_secs(5))
    }

    /// Lets time pass, under watch.
    fn wait(&mut self, time: Duration) -> Result<(), Violation> {
        let stride = self.sim.live() / CHECKS_PER_BUCKET + 1;
        let mut outcome = Ok(());
        let buckets = &mut self.buckets;
        self.sim.run_watched(self.sim.now().after(time), |sim| {
            *buckets += 1;
            if outcome.is_ok() && buckets.is_multiple_of(stride) {
                outcome = check::safety(sim);
            }
        });
        outcome.and_then(|()| check::safety(&self.sim))
    }

    /// Running nodes that take part.
    fn present(&self) -> Vec<usize> {
        self.sim.live_nodes().filter(|index| !self.gone.contains(index)).collect()
    }

    fn one_of(nodes: &[usize], pick: usize) -> Option<usize> {
        nodes.get(pick % nodes.len().max(1)).copied()
    }

    /// As a host's discovery would: some of those that take part now.
    fn contacts(&mut self) -> Vec<usize> {
        let present = self.present();
        let count = self.plan.contacts;
        (0..count).filter_map(|_| Self::one_of(&present, self.rng.random_range(0..1_000))).collect()
    }

    fn start(&mut self) {
        let contacts = self.contacts();
        self.sim.start(&contacts);
    }

    fn strike(&mut self, fault: &Fault) {
        let present = self.present();
        // The last of all stays: an overlay without anybody is none.
        let victim = |pick: usize| Self::one_of(&present, pick).filter(|_| present.len() > 1);
        match *fault {
            Fault::Start { count } => (0..count).for_each(|_| self.start()),
            Fault::Crash(pick) => victim(pick).into_iter().for_each(|at| self.sim.crash(at)),
            Fault::Kill(pick) => victim(pick).into_iter().for_each(|at| self.sim.kill(at)),
            Fault::Leave(pick) => victim(pick).into_iter().for_each(|at| self.sim.leave(at)),
            Fault::LeaveAndStay(pick) => {
                if let Some(index) = victim(pick) {
                    self.sim.leave_and_stay(index);
                    self.gone.push(index);
                }
            }
            Fault::Restart(pick) => {
                let dead: Vec<_> =
                    (0..self.sim.len()).filter(|index| !self.sim.is_live(*index)).collect();
                let contacts = self.contacts();
                if let Some(index) = Self::one_of(&dead, pick) {
                    self.sim.restart(index, &contacts);
                }
            }
            Fault::MassFailure { percent, kill } => {
                let mut left = present;
                for _ in 0..left.len() * percent / 100 {
                    let index = left.swap_remove(self.rng.random_range(0..left.len()));
                    if kill { self.sim.kill(index) } else { self.sim.crash(index) }
                }
            }
            Fault::Cut { percent, salt, one_way } => {
                let nodes = self.sim.len();
                let side = |index: usize| {
                    SplitMix64::seed_from_u64(salt ^ index as u64).random_range(0..100) < percent
                };
                self.sim.network_mut().cut(nodes, side, one_way);
            }
            Fault::Heal => self.sim.network_mut().heal(),
            Fault::Loss(loss) => self.sim.network_mut().set_loss(loss).expect("drawn in range"),
            Fault::Publish { node, count } => {
                if let Some(index) = Self::one_of(&present, node) {
                    for _ in 0..count {
                        self.sim.publish(index);
                    }
                }
            }
        }
    }

    /// The faults stop; whoever left is gone for good; discovery names some who are there.
    fn peace(mut self) -> Result<Outcome, Violation> {
        self.sim.network_mut().heal();
        self.sim.network_mut().set_loss(0.0).expect("none is in range");
        for index in std::mem::take(&mut self.gone) {
            self.sim.crash(index);
        }
        let contacts = self.contacts();
        for index in self.present() {
            self.sim.join(index, &contacts);
        }
        let patience = self.plan.patience();
        self.wait(patience)?;
        self.settle()?;
        for _ in 0..BROADCASTS {
            let pick = self.rng.random_range(0..1_000);
            match Self::one_of(&self.present(), pick) {
                Some(index) if self.plan.must_stay_whole() => {
                    check::reaches_everyone(&mut self.sim, index, BROADCAST_PATIENCE)?;
                    self.reached += 1;
                }
                Some(index) => self.reaches_its_side(index)?,
                None => {}
            }
        }
        self.settle()?;
        self.bounded()
    }

    /// A moment comes at which views agree and (if that can be promised) the overlay is whole.
    fn settle(&mut self) -> Result<(), Violation> {
        let end = self.sim.now().after(LOOK_FOR);
        loop {
            let outcome = match check::quiescence(&self.sim) {
                Err(split) if split.rule == WHOLE && !self.plan.must_be_whole() => self.together(),
                outcome => outcome,
            };
            if outcome.is_ok() || self.sim.now() >= end {
                return outcome;
            }
            self.sim.run_until(self.sim.now().after(LOOK_EVERY));
        }
    }

    /// Nobody is alone: contacts are tried until one answers.
    fn together(&self) -> Result<(), Violation> {
        let neighbors = |index: &usize| {
            self.sim.protocols(*index).map_or(0, |peer| peer.membership().active().len())
        };
        let alone = self.sim.live_nodes().find(|index| neighbors(index) == 0);
        Violation::unless(alone.is_none(), "nobody is alone", || format!("node {alone:?}"))
    }

    /// A broadcast during which no link changes reaches everyone whom links lead to.
    fn reaches_its_side(&mut self, index: usize) -> Result<(), Violation> {
        for _ in 0..ATTEMPTS {
            let side = self.side_of(index);
            let links = self.sim.stats().neighbor_ups;
            let Some(id) = self.sim.publish(index) else { return Ok(()) };
            self.sim.run_until(self.sim.now().after(BROADCAST_PATIENCE));
            let broadcast = self.sim.stats().broadcasts[id as usize];
            if broadcast.delivered as usize >= side {
                self.reached += 1;
                return Ok(());
            }
            Violation::unless(
                self.sim.stats().neighbor_ups != links,
                "a new broadcast reaches its side of the overlay",
                || format!("from node {index}, {side} nodes: {broadcast:?}"),
            )?;
        }
        Ok(())
    }

    /// Nodes that links lead to from `index`, itself included.
    fn side_of(&self, index: usize) -> usize {
        let mut reached = vec![index];
        let mut next = 0;
        while let Some(&index) = reached.get(next) {
            next += 1;
            let active = self.sim.protocols(index).map(|p| p.membership().active());
            for peer in active.into_iter().flatten() {
                if !reached.contains(&peer.index()) {
                    reached.push(peer.index());
                }
            }
        }
        reached.len()
    }

    /// A node has at most six timers, a request each for a view and two, and what a burst of joins
    /// or broadcasts makes it say: never more than this many events wait.
    fn bounded(self) -> Result<Outcome, Violation> {
        let stats = self.sim.stats();
        let peak = self.sim.peak_pending();
        let active = self.plan.membership.active_capacity;
        let limit = self.sim.len() * (6 + 8 * (active + 2)) + 64;
        Violation::unless(peak <= limit, "the queue of events is bounded", || {
            format!("{peak} events waited, the bound is {limit}")
        })?;
        Ok(Outcome {
            digest: stats.digest,
            events: stats.events,
            peak: peak * 100 / limit,
            seconds: self.sim.now().since(Time::ZERO).as_secs(),
            links: stats.neighbor_ups,
            reached: self.reached,
        })
    }
}
