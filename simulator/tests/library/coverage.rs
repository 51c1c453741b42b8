//! Whether intervals over ten seeds hold the truth as often as they say: a measurement.

#![expect(clippy::print_stdout, reason = "a measurement prints what it found")]

use std::collections::BTreeMap;

use murmurate_simulator::experiment::runner;
use murmurate_simulator::experiment::scenario::{Document, Scenario};
use murmurate_simulator::study::sweep::estimate::Summary;
use murmurate_simulator::study::sweep::figures::{self, Values};

/// Lossy links, and a third of the nodes crash: what comes of it is skewed.
const SMALL: &str = r#"
duration = "30s"
assertions = ["least_reliability >= 0.9"]
[nodes]
count = 60
joining = "5s"
[links]
latency = { model = "uniform", from = "10ms", to = "60ms" }
loss = 0.02
[[workload]]
from = "10s"
pace.rate = 5.0
until = "28s"
[[faults]]
at = "18s"
do.crash = { who.share = "30%" }
"#;

const GROUPS: usize = 240;
const SEEDS: usize = 10;

/// The median of all runs is the truth that the interval of each ten of them should hold; of yes and no the
/// share. Where most of ten values are equal, no interval is printed and none is counted.
#[test]
#[ignore = "a measurement, which takes a minute"]
fn intervals_over_ten_seeds_hold_the_truth_as_often_as_they_say() {
    let scenario = Document::parse("small", SMALL).expect("TOML").scenario().expect("a scenario");
    let names = figures::names(&scenario);
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    let all = (GROUPS * SEEDS) as u64;
    let runs = |worker: usize| {
        let seeds = (1..=all).skip(worker).step_by(workers);
        let run = |seed| {
            let scenario = Scenario { seed, ..scenario.clone() };
            let report = runner::run(&scenario, &mut ()).expect("it was checked");
            (seed, figures::values(&scenario, &report))
        };
        seeds.map(run).collect::<Vec<_>>()
    };
    let rows: BTreeMap<u64, Vec<Option<f64>>> = std::thread::scope(|scope| {
        let runs = &runs;
        let workers: Vec<_> = (0..workers).map(|at| scope.spawn(move || runs(at))).collect();
        workers.into_iter().flat_map(|worker| worker.join().expect("no run panics")).collect()
    });
    println!("{:<26} {:>12} {:>12} {:>10}", "figure", "truth", "intervals", "coverage");
    let mut wrong = Vec::new();
    for (at, name) in names.iter().enumerate() {
        let values: Vec<Option<f64>> = rows.values().map(|row| row[at]).collect();
        let summary = |values: &[Option<f64>]| {
            let values = values.iter().copied().flatten().collect();
            match figures::values_of(name) {
                Values::YesNo => Summary::of_share(values),
                Values::Counts | Values::Numbers => Summary::of(values),
            }
        };
        let whole = summary(&values);
        let is_share = figures::values_of(name) == Values::YesNo;
        let Some(truth) = (if is_share { whole.mean } else { whole.median }) else { continue };
        let tens = values.chunks(SEEDS).map(summary);
        let intervals: Vec<_> = tens.filter_map(|ten| ten.ci_low.zip(ten.ci_high)).collect();
        let covering =
            intervals.iter().filter(|(low, high)| (*low..=*high).contains(&truth)).count();
        let share = covering as f64 / intervals.len().max(1) as f64;
        let printed = if intervals.is_empty() { "none".to_owned() } else { format!("{share:.3}") };
        println!("{name:<26} {truth:>12.4} {:>12} {printed:>10}", intervals.len());
        // Of a few there is little to say.
        if intervals.len() > GROUPS / 2 && !(0.9..=0.99).contains(&share) {
            wrong.push(name);
        }
    }
    assert!(wrong.is_empty(), "not from 0.90 to 0.99: {wrong:?}");
}
