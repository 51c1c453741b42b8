//! The figures of a run, by name: the columns of tables.

use super::SweepError;
use crate::experiment::runner::{ChannelReport, PhaseReport, Report, Verdict};
use crate::experiment::scenario::{Scenario, Span, nearest};
use crate::strategies::Registry;
use Values::{Counts, Numbers, YesNo};

/// A name, what values there are, and how they come from a report.
type Figure<T> = (&'static str, Values, fn(&T) -> Option<f64>);

/// What values a figure has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Values {
    /// 1 for yes, 0 for no.
    YesNo,
    /// Whole numbers.
    Counts,
    /// Any numbers.
    Numbers,
}

/// What values the figure of this name has.
#[must_use]
pub fn values_of(name: &str) -> Values {
    fn kinds<T>(table: &[Figure<T>]) -> impl Iterator<Item = (&'static str, Values)> {
        table.iter().map(|(name, values, _)| (*name, *values))
    }
    let last = name.rsplit('.').next();
    let mut all = kinds(RUN).chain(kinds(PHASE)).chain(kinds(CHANNEL)).chain(kinds(ASSERTION));
    all.find(|(name, _)| Some(*name) == last).map_or(Numbers, |(_, values)| values)
}

/// Of a whole run.
const RUN: &[Figure<Report>] = &[
    ("holds", YesNo, |run| Some(f64::from(u8::from(run.holds())))),
    ("events", Counts, |run| Some(run.events as f64)),
    (
        "messages",
        Counts,
        |run| Some(run.messages.iter().map(|sent| sent.count).sum::<u64>() as f64),
    ),
    ("bytes", Counts, |run| Some(run.messages.iter().map(|sent| sent.bytes).sum::<u64>() as f64)),
    ("lost", Counts, |run| Some(run.lost as f64)),
    ("shed", Counts, |run| Some(run.shed as f64)),
    ("duplicated", Counts, |run| Some(run.duplicated as f64)),
    ("started_nodes", Counts, |run| Some(run.started_nodes as f64)),
    ("neighbor_ups", Counts, |run| {
        Some(run.series.iter().map(|p| p.neighbor_ups).sum::<u64>() as f64)
    }),
    ("neighbor_downs", Counts, |run| {
        Some(run.series.iter().map(|p| p.neighbor_downs).sum::<u64>() as f64)
    }),
];

/// Of each phase; latencies in seconds.
const PHASE: &[Figure<PhaseReport>] = &[
    ("broadcasts", Counts, |phase| Some(phase.broadcasts as f64)),
    ("reliability", Numbers, |phase| phase.reliability),
    ("least_reliability", Numbers, |phase| phase.least_reliability),
    ("rmr", Numbers, |phase| phase.rmr),
    ("hops", Numbers, |phase| phase.ldh),
    ("latency_mean", Numbers, |phase| phase.latency_seconds.map(|latency| latency.mean)),
    ("latency_p50", Numbers, |phase| phase.latency_seconds.map(|latency| latency.p50)),
    ("latency_p99", Numbers, |phase| phase.latency_seconds.map(|latency| latency.p99)),
    ("latency_max", Numbers, |phase| phase.latency_seconds.map(|latency| latency.max)),
    ("running_nodes", Counts, |phase| Some(phase.overlay.running_nodes as f64)),
    ("mean_degree", Numbers, |phase| Some(phase.overlay.mean_degree)),
    ("clustering", Numbers, |phase| Some(phase.overlay.clustering)),
    ("average_shortest_path", Numbers, |phase| Some(phase.overlay.average_shortest_path)),
    ("components", Counts, |phase| Some(phase.overlay.components as f64)),
    ("largest_component", Counts, |phase| Some(phase.overlay.largest_component as f64)),
    ("asymmetric_links", Counts, |phase| Some(phase.overlay.asymmetric_links as f64)),
];

/// Of each channel; latencies in seconds.
const CHANNEL: &[Figure<ChannelReport>] = &[
    ("messages", Counts, |channel| Some(channel.messages as f64)),
    ("delivered", Numbers, |channel| {
        (channel.messages > 0).then(|| channel.delivered as f64 / channel.messages as f64)
    }),
    ("refused", Counts, |channel| Some(channel.refused as f64)),
    ("shed", Counts, |channel| Some(channel.shed as f64)),
    ("unreachable", Counts, |channel| Some(channel.unreachable as f64)),
    ("gone", Counts, |channel| Some(channel.gone as f64)),
    ("timed_out", Counts, |channel| Some(channel.timed_out as f64)),
    ("retransmitted", Counts, |channel| Some(channel.retransmitted as f64)),
    ("latency_mean", Numbers, |channel| channel.latency_seconds.map(|latency| latency.mean)),
    ("latency_p50", Numbers, |channel| channel.latency_seconds.map(|latency| latency.p50)),
    ("latency_p99", Numbers, |channel| channel.latency_seconds.map(|latency| latency.p99)),
    ("latency_max", Numbers, |channel| channel.latency_seconds.map(|latency| latency.max)),
];

/// Of each assertion.
const ASSERTION: &[Figure<Verdict>] = &[
    ("holds", YesNo, |verdict| Some(f64::from(u8::from(verdict.holds)))),
    ("found", Numbers, |verdict| verdict.found),
    ("at", Numbers, |verdict| verdict.at),
];

/// The names of a scenario's figures.
pub fn names(scenario: &Scenario) -> Vec<String> {
    let phases = phases(scenario);
    let mut names: Vec<String> = RUN.iter().map(|(name, ..)| (*name).to_owned()).collect();
    let metrics = Registry::installed().metrics();
    for phase in &phases {
        let own = metrics.iter().map(|metric| metric.name);
        let of_phase = PHASE.iter().map(|(name, ..)| *name).chain(own);
        names.extend(of_phase.map(|name| match phases.len() {
            1 => name.to_owned(),
            _ => format!("{phase}.{name}"),
        }));
    }
    for channel in &scenario.channels {
        let channel = &channel.name;
        names.extend(CHANNEL.iter().map(|(name, ..)| format!("channel.{channel}.{name}")));
    }
    for at in 0..scenario.assertions.len() {
        names.extend(ASSERTION.iter().map(|(name, ..)| format!("assertions.{at}.{name}")));
    }
    names
}

/// The figures of a run of this scenario, in the order of their names; those of phases that had no
/// time are absent.
pub fn values(scenario: &Scenario, report: &Report) -> Vec<Option<f64>> {
    let mut values: Vec<_> = RUN.iter().map(|(.., of)| of(report)).collect();
    for name in phases(scenario) {
        let phase = report.phases.iter().find(|phase| phase.phase == name);
        values.extend(PHASE.iter().map(|(.., of)| phase.and_then(of)));
        let metrics = Registry::installed().metrics().iter();
        values.extend(metrics.map(|metric| *phase?.metrics.get(metric.name)?));
    }
    for channel in &report.channels {
        values.extend(CHANNEL.iter().map(|(.., of)| of(channel)));
    }
    for verdict in &report.verdicts {
        values.extend(ASSERTION.iter().map(|(.., of)| of(verdict)));
    }
    values
}

/// The places of those that are wanted. A name without a phase or an assertion stands for that figure
/// in all of them.
///
/// # Errors
/// The first name that is none, and the nearest that is one.
pub fn select(all: &[String], wanted: &[String]) -> Result<Vec<usize>, SweepError> {
    let mut selected = Vec::new();
    for name in wanted {
        let is_it = |(_, known): &(usize, &String)| {
            let phase = known.strip_suffix(name.as_str());
            phase.is_some_and(|phase| phase.is_empty() || phase.ends_with('.'))
        };
        let places: Vec<usize> = all.iter().enumerate().filter(is_it).map(|(at, _)| at).collect();
        if places.is_empty() {
            let hint = match nearest(name, all) {
                Some(nearest) => format!("did you mean {nearest}?"),
                None => format!("they are {}", all.join(", ")),
            };
            return Err(SweepError::Wrong(format!(
                "--figures {name}: there is no such figure: {hint}"
            )));
        }
        selected.extend(places.into_iter().filter(|at| !selected.contains(at)).collect::<Vec<_>>());
    }
    Ok(selected)
}

/// Phases as reports call them.
fn phases(scenario: &Scenario) -> Vec<&str> {
    let all = &scenario.measure.phases;
    let first = match all.first() {
        None => Some("all"),
        Some(phase) if phase.from > Span::default() => Some("before"),
        Some(_) => None,
    };
    first.into_iter().chain(all.iter().map(|phase| phase.name.as_str())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_chosen_by_name_in_one_phase_or_in_all() {
        let all = ["events", "a.rmr", "b.rmr", "b.latency_p99"].map(str::to_owned);
        let select = |names: &[&str]| {
            let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
            select(&all, &names).map_err(|error| error.to_string())
        };
        assert_eq!(select(&["rmr", "events", "b.rmr"]), Ok(vec![1, 2, 0]));
        let expected = "--figures b.rmrs: there is no such figure: did you mean b.rmr?";
        assert_eq!(select(&["b.rmrs"]), Err(expected.to_owned()));
    }
}
