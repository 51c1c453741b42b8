//! Compares two configurations with the same random draws.
//!
//! Both run with the same seeds, and each pair of runs with one seed is compared. Every draw is a hash
//! of the seed and of what it is for, so what the two have in common draws the same: see [`unlike`].

use serde::Serialize;

use super::estimate::{self, Estimate, Moments, Test};
use super::work::{Ticks, weight};
use super::{Jobs, SweepError, figures, jobs, last_seed};
use crate::experiment::runner;
use crate::experiment::scenario::Scenario;

/// The significance level: the chance of one false alarm among all figures.
pub const SIGNIFICANT: f64 = 0.05;

/// How two configurations differ.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Comparison {
    /// Pairs of runs.
    pub seeds: u64,
    /// The seed of the first; the others follow.
    pub first_seed: u64,
    /// Parts of the scenarios that differ, so that their random draws differ, too.
    pub unlike: Vec<&'static str>,
    /// The figures that both have.
    pub figures: Vec<Compared>,
    /// Figures that only one of them has.
    pub not_compared: Vec<String>,
}

/// A figure on both sides.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Compared {
    /// Its name.
    pub figure: String,
    /// Pairs that have it on both sides.
    pub pairs: u64,
    /// Its mean over the runs of a that have it.
    pub a: Option<f64>,
    /// Its mean over the runs of b that have it.
    pub b: Option<f64>,
    /// b less a, over the pairs; absent if there are fewer than two.
    pub difference: Option<Estimate>,
    /// The difference in terms of the mean of a.
    pub relative: Option<f64>,
    /// How it was judged.
    pub test: Option<Test>,
    /// How probable a mean difference as large is if there is none.
    pub p: Option<f64>,
    /// The same, corrected for the number of figures (Holm).
    pub p_holm: Option<f64>,
    /// Whether that is below 0.05.
    pub significant: bool,
}

/// Work that [`compare`] does, in the unit of [`super::Sweep::weight`].
#[must_use]
pub fn work(a: &Scenario, b: &Scenario, seeds: u64) -> u64 {
    weight(a).saturating_add(weight(b)).saturating_mul(seeds)
}

/// Runs both with as many seeds, from a's on, and compares these figures, or all if none are named.
///
/// # Errors
/// If there is no such figure, or no seed is left, or a scenario cannot be run.
pub fn compare(
    a: &Scenario,
    b: &Scenario,
    seeds: u64,
    wanted: &[String],
    jobs: Jobs,
    worked: &(impl Fn(u64) + Sync),
) -> Result<Comparison, SweepError> {
    let first_seed = a.seed;
    last_seed(first_seed, seeds)?;
    let names = [figures::names(a), figures::names(b)];
    let common: Vec<String> = names[0].iter().filter(|n| names[1].contains(n)).cloned().collect();
    let chosen: Vec<String> = match wanted {
        [] => common.clone(),
        _ => figures::select(&common, wanted)?.into_iter().map(|at| common[at].clone()).collect(),
    };
    let places = |names: &[String]| -> Vec<usize> {
        chosen.iter().filter_map(|name| names.iter().position(|n| n == name)).collect()
    };
    let (scenarios, places) = ([a, b], [places(&names[0]), places(&names[1])]);
    let run = |(seed, side): (u64, usize)| {
        let scenario = Scenario { seed: first_seed + seed, ..scenarios[side].clone() };
        let mut ticks = Ticks::new(&scenario, worked);
        let report = runner::run_on_threads(jobs.threads, &scenario, &mut ticks)?;
        let all = figures::values(&scenario, &report);
        let values: Vec<_> = places[side].iter().map(|at| all[*at]).collect();
        Ok::<_, SweepError>((seed, side, values))
    };
    let size = usize::try_from(seeds).unwrap_or(usize::MAX);
    let mut values = [vec![Vec::new(); size], vec![Vec::new(); size]];
    let runs = (0..seeds).flat_map(|seed| [(seed, 0), (seed, 1)]);
    jobs::each(runs, jobs.runs, run, |result| {
        let (seed, side, row) = result?;
        values[side][seed as usize] = row;
        Ok::<_, SweepError>(())
    })?;
    let mut figures: Vec<Compared> =
        chosen.into_iter().enumerate().map(|(at, name)| compared(name, at, &values)).collect();
    correct(&mut figures);
    let is_left_out = |name: &&String| wanted.is_empty() && !common.contains(name);
    Ok(Comparison {
        seeds,
        first_seed,
        unlike: unlike(a, b),
        figures,
        not_compared: names.iter().flatten().filter(is_left_out).cloned().collect(),
    })
}

fn compared(figure: String, at: usize, [a, b]: &[Vec<Vec<Option<f64>>>; 2]) -> Compared {
    let mean = |rows: &[Vec<Option<f64>>]| {
        rows.iter().filter_map(|row| row[at]).collect::<Moments>().estimate().mean
    };
    let pairs: Vec<(f64, f64)> =
        a.iter().zip(b).filter_map(|(a, b)| Some((a[at]?, b[at]?))).collect();
    let difference = estimate::paired(&pairs);
    let of_a = pairs.iter().map(|(a, _)| *a).collect::<Moments>().estimate().mean;
    let relative = difference.and_then(|d| d.effect.mean).zip(of_a);
    Compared {
        figure,
        pairs: pairs.len() as u64,
        a: mean(a),
        b: mean(b),
        difference: difference.map(|difference| difference.effect),
        relative: relative.filter(|(_, a)| *a != 0.0).map(|(difference, a)| difference / a.abs()),
        test: difference.map(|difference| difference.test),
        p: difference.map(|difference| difference.p),
        p_holm: None,
        significant: false,
    }
}

fn correct(figures: &mut [Compared]) {
    let p: Vec<f64> = figures.iter().filter_map(|figure| figure.p).collect();
    let tested = figures.iter_mut().filter(|figure| figure.p.is_some());
    for (figure, p) in tested.zip(estimate::holm(&p)) {
        figure.p_holm = Some(p);
        figure.significant = p < SIGNIFICANT;
    }
}

/// The parts of two scenarios that differ and that random draws depend on. Where all of them
/// are the same, the same nodes start at the same time and through the same
/// contacts, the same ones broadcast at the same times, faults strike the same ones, and the n-th message
/// that a node sends takes as long, and is lost or not, if it goes to the same node.
#[must_use]
pub fn unlike(a: &Scenario, b: &Scenario) -> Vec<&'static str> {
    let parts = [
        ("from", a.from == b.from),
        ("nodes", a.nodes == b.nodes),
        ("regions", a.regions == b.regions),
        ("classes", a.classes == b.classes),
        ("links", a.links == b.links),
        ("graph", a.graph == b.graph),
        ("workload", a.workload == b.workload),
        ("faults", a.faults == b.faults),
    ];
    parts.into_iter().filter(|(_, is_same)| !is_same).map(|(part, _)| part).collect()
}
