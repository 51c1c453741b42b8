//! A million nodes: real joins, shuffles under churn, a mass failure and its repair, and broadcasts
//! before and after it that must reach everyone who can be reached.
//!
//! ```text
//! cargo run --release -p murmurate-simulator --example million -- --threads 2
//! cargo run --release -p murmurate-simulator --example million -- --threads 2 \
//!     --nodes 10000000 --churning 10 --repairing 10 --broadcasts 2 --gib 20 --minutes 120
//! ```
//!
//! Ends with status 1 if a reachable node missed a broadcast, if the overlay is not whole at last, or
//! if the run took more time or memory than it may.

use std::error::Error;
use std::num::NonZeroUsize;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;
use clap::builder::RangedU64ValueParser;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use murmurate::broadcast::plumtree;
use murmurate::membership::{Time, hyparview};
use murmurate_simulator::memory::peak_rss_bytes;
use murmurate_simulator::network::{Latency, Network};
use murmurate_simulator::reach::Reach;
use murmurate_simulator::strategy::{SimHyParView, SimPlumtree, hyparview_plumtree};
use murmurate_simulator::{Simulation, overlay};
use rand::{RngExt, SeedableRng};
use rand_xoshiro::SplitMix64;

/// Time between two looks at who comes and goes.
const STEP: Duration = Duration::from_millis(100);
/// Time between two broadcasts.
const APART: Duration = Duration::from_secs(1);
/// Time for the last broadcast to arrive.
const ARRIVING: Duration = Duration::from_secs(5);
/// Earlier nodes that a node joins through.
const CONTACTS: usize = 3;

/// Runs a million nodes through joins, churn, a mass failure and its repair, and checks that
/// broadcasts before and after reach everyone who can be reached.
#[derive(Debug, Parser)]
struct Options {
    /// How many nodes, 2 to 16,000,000: churn starts some more
    #[arg(long, default_value_t = 1_000_000, value_parser = RangedU64ValueParser::<usize>::new().range(2..=16_000_000))]
    nodes: usize,
    /// Threads to run on
    #[arg(long, default_value = "1")]
    threads: NonZeroUsize,
    /// What every random choice follows from
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Virtual seconds over which the nodes join
    #[arg(long, default_value_t = 10)]
    joining: u64,
    /// Virtual seconds of shuffles and churn
    #[arg(long, default_value_t = 60)]
    churning: u64,
    /// Percent of the nodes that stop in a minute, 0 to 100; as many start
    #[arg(long, default_value_t = 1.0, value_parser = percent)]
    churn: f64,
    /// Percent of the nodes that fail at once, 0 to 100
    #[arg(long, default_value_t = 30.0, value_parser = percent)]
    fail: f64,
    /// Virtual seconds of repair after the failure
    #[arg(long, default_value_t = 20)]
    repairing: u64,
    /// Broadcasts before the failure, and after it
    #[arg(long, default_value_t = 5)]
    broadcasts: usize,
    /// Minutes the run may take
    #[arg(long, default_value_t = 8.0)]
    minutes: f64,
    /// Gibibytes of memory it may use
    #[arg(long, default_value_t = 4.0)]
    gib: f64,
}

fn percent(text: &str) -> Result<f64, String> {
    let percent = text.parse().ok().filter(|percent| (0.0..=100.0).contains(percent));
    percent.ok_or_else(|| "a percentage is a number from 0 to 100".to_owned())
}

#[expect(clippy::disallowed_methods, reason = "the time a run takes is no part of the run")]
fn main() -> Result<ExitCode, Box<dyn Error>> {
    let start = Instant::now();
    let options = Options::parse();
    let (churning, repairing) =
        (Duration::from_secs(options.churning), Duration::from_secs(options.repairing));
    println!("                     virtual      wall      events  M events/s    memory");
    let mut run = Run::new(&options)?;
    run.phase("join", Run::join);
    run.phase("churn", |run| run.churn(churning));
    run.measure();
    let before = run.phase("broadcasts", |run| run.broadcast(options.broadcasts));
    run.phase("failure", |run| run.fail(options.fail));
    run.phase("repair, churn", |run| run.churn(repairing));
    let after = run.phase("broadcasts", |run| run.broadcast(options.broadcasts));
    run.phase("no churn", |run| run.pass(run.sim.now().after(ARRIVING)));
    let components = run.measure();
    run.bar.finish_and_clear();
    println!("digest {:016x}\n", run.sim.stats().digest);

    let minutes = start.elapsed().as_secs_f64() / 60.0;
    let gib = peak_rss_bytes().ok_or("the peak memory is known on Linux only")? as f64
        / f64::from(1 << 30);
    let verdicts = [
        ("reachable nodes without a broadcast, before", before as f64, 0.0),
        ("reachable nodes without a broadcast, after", after as f64, 0.0),
        ("components at last", components as f64, 1.0),
        ("minutes", minutes, options.minutes),
        ("peak memory, GiB", gib, options.gib),
    ];
    for (what, is, most) in verdicts {
        let verdict = if is <= most { "met" } else { "MISSED" };
        println!("{what:<44} {is:>9.2}  at most {most:>6}  {verdict}");
    }
    let met = verdicts.iter().all(|(_, is, most)| is <= most);
    Ok(if met { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

struct Run {
    sim: Simulation<SimHyParView, SimPlumtree>,
    rng: SplitMix64,
    nodes: usize,
    joining: Duration,
    /// Nodes that stop in a step.
    leaving: f64,
    /// The part of a node that was still to stop after the last step.
    owed: f64,
    /// Nodes that do not run.
    down: Vec<usize>,
    bar: ProgressBar,
}

impl Run {
    fn new(options: &Options) -> Result<Self, Box<dyn Error>> {
        let Options { nodes, threads, seed, .. } = *options;
        let latency = Latency::Uniform(Duration::from_millis(10), Duration::from_millis(20));
        let network = Network::new(seed, latency, 0.0)?;
        let make = hyparview_plumtree(hyparview::Config::default(), plumtree::Config::default());
        let mut sim = Simulation::on_threads(threads, seed, network, make);
        sim.log_deliveries();
        Ok(Self {
            sim,
            rng: SplitMix64::seed_from_u64(seed),
            nodes,
            joining: Duration::from_secs(options.joining),
            leaving: nodes as f64 * options.churn / 100.0 * STEP.as_secs_f64() / 60.0,
            owed: 0.0,
            down: Vec::new(),
            bar: progress(options)?,
        })
    }

    /// Lets time pass.
    fn pass(&mut self, until: Time) {
        self.sim.run_until(until);
        self.bar.set_position(until.as_nanos() / 1_000_000);
    }

    /// The nodes join evenly over the time for it, each through some earlier ones.
    fn join(&mut self) {
        for index in 0..self.nodes {
            let share = index as f64 / self.nodes as f64;
            self.pass(Time::ZERO.after(self.joining.mul_f64(share)));
            let earlier = |_| self.rng.random_range(0..index);
            let contacts: Vec<usize> = (0..CONTACTS.min(index)).map(earlier).collect();
            self.sim.start(&contacts);
        }
    }

    /// Lets time pass while nodes stop and others start.
    fn churn(&mut self, time: Duration) {
        let end = self.sim.now().after(time);
        while self.sim.now() < end {
            self.owed += self.leaving;
            while self.owed >= 1.0 {
                self.owed -= 1.0;
                self.replace_one();
            }
            self.pass(self.sim.now().after(STEP).min(end));
        }
    }

    /// A running node says goodbye or dies, and one that was down comes back.
    fn replace_one(&mut self) {
        let contacts: Vec<usize> = (0..CONTACTS).map(|_| self.one_that_runs()).collect();
        if self.down.len() > 1 {
            let at = self.rng.random_range(0..self.down.len());
            let index = self.down.swap_remove(at);
            self.sim.restart(index, &contacts);
        } else {
            self.sim.start(&contacts);
        }
        let index = self.one_that_runs();
        if self.rng.random_bool(0.5) {
            self.sim.leave(index);
        } else {
            self.sim.kill(index);
        }
        self.down.push(index);
    }

    fn one_that_runs(&mut self) -> usize {
        loop {
            let index = self.rng.random_range(0..self.sim.len());
            if self.sim.is_live(index) {
                return index;
            }
        }
    }

    /// Kills a share of the nodes at once.
    fn fail(&mut self, percent: f64) {
        for _ in 0..(self.sim.live() as f64 * percent / 100.0) as usize {
            let index = self.one_that_runs();
            self.sim.kill(index);
            self.down.push(index);
        }
    }

    /// Broadcasts while nodes come and go; returns how often a reachable node missed one.
    fn broadcast(&mut self, count: usize) -> usize {
        self.sim.clear_latencies();
        let mut published = Vec::new();
        for _ in 0..count {
            let index = self.one_that_runs();
            published.extend(Reach::note(&self.sim, index));
            self.sim.publish(index);
            self.churn(APART);
        }
        self.churn(ARRIVING);
        let mut missed = 0;
        for reach in &published {
            let (broadcast, reached) =
                (self.sim.stats().broadcasts[reach.id() as usize], reach.judge(&self.sim));
            self.say(&format!(
                "  broadcast {}: of {} running {} reachable, {} of them missed it; RMR {:.3}, {} hops",
                reach.id(),
                broadcast.eligible,
                reached.reachable,
                reached.missed.len(),
                broadcast.rmr(),
                broadcast.last_hop
            ));
            missed += reached.missed.len();
        }
        let latency = |quantile| self.sim.stats().latency_quantile(quantile).as_millis();
        self.say(&format!("  latency p50 {} ms, p99.9 {} ms", latency(0.5), latency(0.999)));
        missed
    }

    /// Prints a line above the bar.
    fn say(&self, line: &str) {
        self.bar.suspend(|| println!("{line}"));
    }

    /// Runs a phase and prints what it took.
    #[expect(clippy::disallowed_methods, reason = "the time a run takes is no part of the run")]
    fn phase<T>(&mut self, name: &'static str, phase: impl FnOnce(&mut Self) -> T) -> T {
        self.bar.set_message(name);
        let (start, events) = (Instant::now(), self.sim.stats().events);
        let result = phase(self);
        let (wall, events) = (start.elapsed().as_secs_f64(), self.sim.stats().events - events);
        self.say(&format!(
            "{name:<20} {:>6.1} s {wall:>7.1} s {events:>11} {:>11.2} {:>6} MiB",
            self.sim.now().since(Time::ZERO).as_secs_f64(),
            events as f64 / wall / 1e6,
            peak_rss_bytes().map_or(0, |bytes| bytes >> 20),
        ));
        result
    }

    /// Measures the overlay; returns the number of its components.
    fn measure(&mut self) -> usize {
        let overlay = self.phase("(measuring)", |run| overlay::measure(&run.sim));
        self.say(&format!(
            "  {} nodes run in {} components, the largest of {}; degree {:.3}, clustering {:.5}, \
             paths {:.2}, {} one-sided links; most events pending {}",
            overlay.running_nodes,
            overlay.components,
            overlay.largest_component,
            overlay.mean_degree,
            overlay.clustering,
            overlay.average_shortest_path,
            overlay.asymmetric_links,
            self.sim.peak_pending(),
        ));
        overlay.components
    }
}

/// A bar over the virtual time of the run, on a terminal.
fn progress(options: &Options) -> Result<ProgressBar, Box<dyn Error>> {
    let arriving = ARRIVING.as_secs();
    let broadcasting = options.broadcasts as u64 * APART.as_secs() + arriving;
    let seconds =
        options.joining + options.churning + options.repairing + 2 * broadcasting + arriving;
    let style = "{msg:14} [{bar:30}] {percent:>3} % of virtual time  {elapsed} elapsed, {eta} left";
    let target = ProgressDrawTarget::stderr();
    let bar = ProgressBar::with_draw_target(Some(seconds * 1_000), target)
        .with_style(ProgressStyle::with_template(style)?.progress_chars("=> "));
    bar.enable_steady_tick(Duration::from_millis(500));
    Ok(bar)
}
