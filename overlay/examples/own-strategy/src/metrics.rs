//! Metrics of one's own: assertions name them, and every report has them.

use murmurate_simulator::observe::metric::Metric;

/// How much hangs on one node.
pub const HUB: Metric = Metric {
    name: "hub",
    unit: "links",
    about: "links of the node that has most",
    of: |sim| {
        let degrees = sim.running().into_iter().filter_map(|node| sim.degree(node));
        Some(degrees.max()? as f64)
    },
};

/// How long links are looked for, from a figure that nodes show of themselves.
pub const PERSISTENCE: Metric = Metric {
    name: "persistence",
    unit: "requests",
    about: "how often the most persistent node asked for a link; nothing, where nodes run another strategy",
    of: |sim| {
        let asked = sim.running().into_iter().filter_map(|node| sim.figure(node, "asked"));
        asked.max_by(f64::total_cmp)
    },
};
