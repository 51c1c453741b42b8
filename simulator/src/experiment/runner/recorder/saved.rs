//! What was measured before a run goes on from a file.

use hdrhistogram::Histogram;
use murmurate::membership::Time;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use super::{Closed, Counts, Open, OverlayPoint, Point, Recorder, latencies};
use crate::engine::stats::saved::{add, counts};
use crate::experiment::runner::metrics::MetricsLook;
use crate::experiment::runner::verdicts;
use crate::experiment::scenario::{Scenario, Span};
use crate::model::regional;
use crate::observe::overlay::Exposure;

/// All that was measured by a moment.
#[derive(Debug, Serialize, Deserialize)]
pub(in crate::experiment::runner) struct Past {
    sampled: Time,
    point: (Counts, Latencies),
    until: Time,
    counted: Counts,
    points: Vec<(Time, Point)>,
    overlays: Vec<Look>,
    phase: Open,
    phases: Vec<Closed>,
    metrics: Vec<MetricsLook>,
    /// How often which latency was taken, by class, in the phases that are over.
    classes: Vec<Vec<(u64, u64)>>,
    /// What was counted in windows of assertions.
    windows: Vec<(Time, Time, Counts, Latencies)>,
}

/// When the overlay was looked at, and what it was.
#[derive(Debug, Serialize, Deserialize)]
struct Look(Time, #[serde(with = "WrittenPoint")] OverlayPoint);

/// [`OverlayPoint`] as it is written: with all of its fields, of which reports leave some out.
#[derive(Serialize, Deserialize)]
#[serde(remote = "OverlayPoint")]
struct WrittenPoint {
    at: f64,
    running_nodes: usize,
    components: usize,
    largest_component: usize,
    isolated: usize,
    mean_degree: f64,
    asymmetric_links: usize,
    dead_links: usize,
    unlinked_pairs: usize,
    missing_links: Option<usize>,
    exposure: Option<Exposure>,
}

/// A histogram as it is written.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Latencies(#[serde(with = "self")] Histogram<u64>);

pub(super) fn serialize<S: Serializer>(of: &Histogram<u64>, to: S) -> Result<S::Ok, S::Error> {
    counts(of).serialize(to)
}

pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Histogram<u64>, D::Error> {
    let mut all = latencies();
    add(&mut all, &Vec::deserialize(from)?).map_err(D::Error::custom)?;
    Ok(all)
}

impl Recorder {
    /// From now on also counts what an assertion about the whole run needs, whoever makes it.
    pub(in crate::experiment::runner) fn keep_whole(&mut self) {
        self.judge.count_whole();
    }

    /// All that was measured so far.
    pub(in crate::experiment::runner) fn past(&self) -> Past {
        let windows = self.judge.windows();
        Past {
            sampled: self.sampled,
            point: (self.point.0, Latencies(self.point.1.clone())),
            until: self.until,
            counted: self.counted,
            points: self.points.clone(),
            overlays: self.overlays.iter().map(|(at, point)| Look(*at, *point)).collect(),
            phase: self.phase.clone(),
            phases: self.phases.clone(),
            metrics: self.metrics.looks().to_vec(),
            classes: self.classes.iter().map(counts).collect(),
            windows: windows
                .map(|(from, until, counted, all)| (from, until, counted, Latencies(all)))
                .collect(),
        }
    }

    /// Goes on from what was measured by `at`. What was not, though an assertion asks for it.
    pub(in crate::experiment::runner) fn resume(
        &mut self,
        past: Past,
        at: Time,
        scenario: &Scenario,
    ) -> Vec<(String, String)> {
        let Past { sampled, point, until, counted, points, overlays, phase, phases, .. } = past;
        let (windows, classes) = (past.windows, past.classes);
        self.metrics.resume(past.metrics);
        (self.sampled, self.until, self.counted) = (sampled, until, counted);
        (self.point, self.points) = ((point.0, point.1.0), points);
        self.overlays = overlays.into_iter().map(|Look(at, point)| (at, point)).collect();
        self.phases = phases;
        let mut broken: Vec<(String, String)> = Vec::new();
        self.classes = vec![regional::histogram(); classes.len()];
        for (class, counted) in self.classes.iter_mut().zip(&classes) {
            broken.extend(add(class, counted).err().map(|e| ("from".to_owned(), e.to_string())));
        }
        // The first phase that has no name of its own is called after those to come.
        let named = scenario.measure.phases.iter().any(|p| Time::ZERO.after(p.from.0) < at);
        let name = if named { phase.name.clone() } else { std::mem::take(&mut self.phase.name) };
        self.phase = Open { name, ..phase };
        while self.due < at {
            self.due = self.due.after(self.every.0);
        }
        let windows = windows.into_iter();
        let windows = windows.map(|(from, until, counted, all)| (from, until, counted, all.0));
        let uncounted = self.judge.resume(&windows.collect::<Vec<_>>(), at);
        let when = Span(at.since(Time::ZERO));
        broken.extend(uncounted.into_iter().map(|assertion| {
            let what = "begins before the overlay was saved, and nobody counted in it";
            (format!("assertions.{assertion}"), format!("its window {what} at {when}"))
        }));
        for (number, assertion) in scenario.assertions.iter().enumerate() {
            let looks = verdicts::looks(scenario, assertion);
            let is_taken =
                |look: &Time| self.overlays.binary_search_by_key(look, |(at, _)| *at).is_ok();
            if let Some(look) = looks.iter().find(|look| **look < at && !is_taken(look)) {
                let look = Span(look.since(Time::ZERO));
                let message = format!(
                    "it is about the overlay at {look}, when nobody looked: it was saved at {when}"
                );
                broken.push((format!("assertions.{number}"), message));
            }
        }
        broken
    }

    /// When the next point of the series is due.
    pub(in crate::experiment::runner) fn due(&self) -> Time {
        self.due
    }
}
