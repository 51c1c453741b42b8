//! Figures of one peer, for those who look at it from outside.

/// A figure that a strategy offers of each peer: what it shows of its state beside its views and what it
/// has seen.
///
/// ```
/// use murmurate_membership::NodeFigure;
///
/// const REQUESTS: NodeFigure =
///     NodeFigure::new("requests", "requests", "links asked for and not answered yet");
/// assert_eq!(REQUESTS.name, "requests");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NodeFigure {
    /// Its name: small letters, digits and underscores, and no other figure's of the same node.
    pub name: &'static str,
    /// What it counts, such as `broadcasts` or `bytes`; times are in `s`.
    pub unit: &'static str,
    /// What it means, in a line.
    pub about: &'static str,
}

impl NodeFigure {
    /// A figure with this name, this unit and this meaning.
    #[must_use]
    pub const fn new(name: &'static str, unit: &'static str, about: &'static str) -> Self {
        Self { name, unit, about }
    }
}
