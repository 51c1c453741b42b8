//! Figures of a run that come from elsewhere: from whoever uses the simulator as a library.

use crate::observe::view::View;

/// A figure of the whole simulation at a moment, of one's own: assertions name it, and reports, sweeps and
/// JSON have it, like those of the overlay. It is registered with
/// [`Registry::metric`](crate::strategies::Registry::metric).
///
/// ```
/// use murmurate_simulator::observe::metric::Metric;
///
/// const HUB: Metric = Metric {
///     name: "hub",
///     unit: "links",
///     about: "links of the node that has most",
///     of: |sim| Some(sim.running().iter().filter_map(|node| sim.degree(*node)).max()? as f64),
/// };
/// assert_eq!(HUB.name, "hub");
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Metric {
    /// Its name: small letters, digits and underscores. No other figure has it.
    pub name: &'static str,
    /// What it counts, such as `links`. Of one in `s` assertions say times, such as `250ms`.
    pub unit: &'static str,
    /// What it means, in a line.
    pub about: &'static str,
    /// Its value, if there is anything to measure. A function of what it looks at, so that a run is
    /// reproducible.
    pub of: fn(&dyn View) -> Option<f64>,
}

/// A name means one metric.
impl PartialEq for Metric {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Metric {}
