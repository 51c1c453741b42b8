//! What became of the nodes of each class.

use hdrhistogram::Histogram;

use super::quantiles::Quantiles;
use super::report::ClassReport;
use crate::engine::{SimStack, Simulation};
use crate::observe::overlay;

/// All there are, with what was delivered to each.
pub(super) fn report<P: SimStack>(
    sim: &Simulation<P>,
    latencies: &[Histogram<u64>],
) -> Vec<ClassReport> {
    let placement = sim.network().placement();
    let names = placement.classes().iter().map(|class| class.name.as_str()).chain(["(none)"]);
    let none = placement.classes().len();
    let rows = names.zip(sim.census()).zip(latencies).enumerate();
    rows.map(|(row, ((name, census), latencies))| {
        let of = |index: &usize| placement.class(*index).unwrap_or(none) == row;
        let degrees = sim.live_nodes().filter(of).map(|index| overlay::degree(sim, index));
        let (mut links, mut isolated) = (0, 0);
        for degree in degrees {
            links += degree;
            isolated += u64::from(degree == 0);
        }
        let share = |part: u64, all: u64| (all > 0).then(|| part as f64 / all as f64);
        ClassReport {
            class: name.to_owned(),
            running_nodes: census.running,
            mean_degree: share(links as u64, census.running).unwrap_or(0.0),
            isolated,
            deliveries: latencies.len(),
            reliability: share(latencies.len(), census.expected),
            latency_seconds: (!latencies.is_empty()).then(|| Quantiles::of(latencies)),
        }
    })
    .collect()
}
