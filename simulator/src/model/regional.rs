//! Delivery latencies by region, beside the best possible ones.

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
        Self { placement, shortest: shortest.map(Arc::from), sites, rows }
    }

    /// Whether there is more than one place.
    #[must_use]
    pub fn tells_apart(&self) -> bool {
        self.rows.len() > 1 || self.sites > 1
    }

    /// Notes that node `to` has what node `from` published.
    pub fn record(&mut self, from: usize, to: usize, taken: Duration) {
        let site = |node| if self.sites > 1 { self.placement.of(node) } else { 0 };
        let region = if self.rows.len() > 1 { self.placement.of(to) } else { 0 };
        let Some(row) = self.rows.get_mut(region) else { return };
        row.taken.saturating_record(u64::try_from(taken.as_micros()).unwrap_or(u64::MAX));
        if let Some(shortest) = &self.shortest {
            row.best.saturating_record(shortest[site(from) * self.sites + site(to)] / 1_000);
        }
    }

    /// Adds what another one noted, of the same network.
    pub fn merge(&mut self, other: &Self) {
        for (row, other) in self.rows.iter_mut().zip(&other.rows) {
            row.taken += &other.taken;
            row.best += &other.best;
        }
    }

    /// Forgets what was noted.
    pub fn clear(&mut self) {
        for row in &mut self.rows {
            row.taken.reset();
            row.best.reset();
        }
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
    /// Two digits up to an hour: some kilobytes a region.
    #[expect(clippy::expect_used, reason = "constants that the histogram accepts")]
    fn new() -> Self {
        let histogram = || Histogram::new_with_bounds(1, 3_600_000_000, 2).expect("valid bounds");
        Self { taken: histogram(), best: histogram() }
    }
}
