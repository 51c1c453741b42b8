//! Delivery latencies by region, beside the best possible ones, and by class.

use std::sync::Arc;
use std::time::Duration;

use hdrhistogram::Histogram;

use crate::model::network::{Network, Placement};

/// More sites than that are not compared with their shortest ways: the table grows as their square,
/// and the time to make it as their cube.
const MOST_SITES: usize = 1_000;

/// What was delivered where, and how fast it could have been.
#[derive(Debug, Clone, PartialEq)]
pub struct Regional {
    placement: Placement,
    /// Shortest ways between sites in nanoseconds, row by row, if the network has any.
    shortest: Option<Arc<[u64]>>,
    sites: usize,
    /// By region of the receiver; one if regions have no names.
    rows: Vec<Latencies>,
    /// By class of the receiver, with those of none behind; nothing without classes. In microseconds.
    classes: Vec<Histogram<u64>>,
}

/// The deliveries in one region, in microseconds.
#[derive(Debug, Clone, PartialEq)]
pub struct Latencies {
    /// From publish to delivery.
    pub taken: Histogram<u64>,
    /// On the shortest way from the publisher's site, for the same deliveries.
    pub best: Histogram<u64>,
}

impl Regional {
    /// Nothing yet, of nodes placed as the network has them.
    #[must_use]
    pub fn new(network: &Network) -> Self {
        let placement = network.placement().clone();
        let shortest = network.shortest().filter(|ways| ways.len() <= MOST_SITES * MOST_SITES);
        let sites = shortest.as_ref().map_or(1, |ways| ways.len().isqrt());
        let rows = (0..placement.names().len().max(1)).map(|_| Latencies::new()).collect();
        let classes = match placement.classes().len() {
            0 => Vec::new(),
            classes => vec![histogram(); classes + 1],
        };
        Self { placement, shortest: shortest.map(Arc::from), sites, rows, classes }
    }

    /// Whether there is more than one place, or a class.
    #[must_use]
    pub fn tells_apart(&self) -> bool {
        self.rows.len() > 1 || self.sites > 1 || !self.classes.is_empty()
    }

    /// Notes that node `to` delivered what node `from` published.
    pub fn record(&mut self, from: usize, to: usize, taken: Duration) {
        let site = |node| if self.sites > 1 { self.placement.of(node) } else { 0 };
        let region = if self.rows.len() > 1 { self.placement.of(to) } else { 0 };
        let micros = u64::try_from(taken.as_micros()).unwrap_or(u64::MAX);
        if let Some(last) = self.classes.len().checked_sub(1) {
            let class = self.placement.class(to).unwrap_or(last);
            self.classes[class].saturating_record(micros);
        }
        let Some(row) = self.rows.get_mut(region) else { return };
        row.taken.saturating_record(micros);
        if let Some(shortest) = &self.shortest {
            row.best.saturating_record(shortest[site(from) * self.sites + site(to)] / 1_000);
        }
    }

    /// Adds the deliveries of another one for the same network.
    pub fn merge(&mut self, other: &Self) {
        for (row, other) in self.rows.iter_mut().zip(&other.rows) {
            row.taken += &other.taken;
            row.best += &other.best;
        }
        for (class, other) in self.classes.iter_mut().zip(&other.classes) {
            *class += other;
        }
    }

    /// Forgets what was noted.
    pub fn clear(&mut self) {
        for row in &mut self.rows {
            row.taken.reset();
            row.best.reset();
        }
        self.classes.iter_mut().for_each(Histogram::reset);
    }

    /// By class, with the nodes of none behind: from publish to delivery, in microseconds.
    #[must_use]
    pub fn classes(&self) -> &[Histogram<u64>] {
        &self.classes
    }

    /// The same, to change.
    pub(crate) fn classes_mut(&mut self) -> impl Iterator<Item = &mut Histogram<u64>> {
        self.classes.iter_mut()
    }

    /// What was delivered in each, to change.
    pub(crate) fn rows_mut(&mut self) -> impl Iterator<Item = &mut Latencies> {
        self.rows.iter_mut()
    }

    /// The regions' names, with what was delivered there.
    pub fn rows(&self) -> impl Iterator<Item = (&str, &Latencies)> {
        let names = self.placement.names().iter().map(String::as_str);
        names.chain(std::iter::once("all")).zip(&self.rows)
    }
}

impl Latencies {
    fn new() -> Self {
        Self { taken: histogram(), best: histogram() }
    }
}

/// Two digits up to an hour: some kilobytes a region.
#[expect(clippy::expect_used, reason = "constants that the histogram accepts")]
pub(crate) fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 3_600_000_000, 2).expect("valid bounds")
}
