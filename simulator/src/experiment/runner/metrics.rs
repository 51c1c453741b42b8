//! Metrics that were registered, over a run.

use std::collections::BTreeMap;

use murmurate::membership::Time;
use serde::de::{Deserialize as _, Deserializer, Error as _};

use super::report::{MetricReport, seconds};
use crate::engine::{SimStack, Simulation};
use crate::observe::metric::Metric;
use crate::strategies::Registry;

/// What they were at some moments.
#[derive(Debug)]
pub(super) struct Metrics {
    all: &'static [Metric],
    /// With the moments that they were looked at for, and when that was, in seconds.
    looks: Vec<MetricsLook>,
}

/// The moment of a look, when it was taken in seconds, and what each of them was.
pub(super) type MetricsLook = (Time, f64, Vec<Option<f64>>);

/// Reads what registered metrics were.
pub(super) fn deserialize<'de, D: Deserializer<'de>>(
    from: D,
) -> Result<BTreeMap<&'static str, Option<f64>>, D::Error> {
    let read = BTreeMap::<String, Option<f64>>::deserialize(from)?;
    let all = Registry::installed().metrics();
    let named = |(name, value): (String, _)| {
        let metric = all.iter().find(|metric| metric.name == name);
        metric.map(|metric| (metric.name, value)).ok_or_else(|| D::Error::custom(name))
    };
    read.into_iter().map(named).collect()
}

impl Metrics {
    /// Those that are registered.
    pub(super) fn installed() -> Self {
        Self { all: Registry::installed().metrics(), looks: Vec::new() }
    }

    /// Looks at them, as they are at `at`.
    pub(super) fn look<P: SimStack>(&mut self, at: Time, sim: &Simulation<P>) {
        if !self.all.is_empty() {
            let values = self.all.iter().map(|metric| (metric.of)(sim)).collect();
            self.looks.push((at, seconds(sim.now()), values));
        }
    }

    /// What they are now.
    pub(super) fn now<P: SimStack>(
        &self,
        sim: &Simulation<P>,
    ) -> BTreeMap<&'static str, Option<f64>> {
        self.all.iter().map(|metric| (metric.name, (metric.of)(sim))).collect()
    }

    /// All looks so far.
    pub(super) fn looks(&self) -> &[MetricsLook] {
        &self.looks
    }

    /// Goes on from these looks at the same metrics.
    pub(super) fn resume(&mut self, looks: Vec<MetricsLook>) {
        self.looks = looks;
    }

    /// What one of them was at the look that was taken for this moment, if one was.
    pub(super) fn at(&self, metric: &Metric, moment: Time) -> Option<f64> {
        let look = self.looks.binary_search_by_key(&moment, |(at, ..)| *at).ok()?;
        let place = self.all.iter().position(|one| one == metric)?;
        self.looks[look].2.get(place).copied().flatten()
    }

    /// All of it.
    pub(super) fn report(&self) -> Vec<MetricReport> {
        let one = |(place, metric): (usize, &Metric)| MetricReport {
            metric: metric.name,
            unit: metric.unit,
            about: metric.about,
            series: self.looks.iter().map(|(_, at, values)| (*at, values[place])).collect(),
        };
        self.all.iter().enumerate().map(one).collect()
    }
}
