//! What anti-entropy shows of a peer.

use murmurate_membership::NodeFigure;

pub(super) const RETAINED: NodeFigure = NodeFigure::new(
    "retained",
    "broadcasts",
    "broadcasts that are kept for neighbours who missed them",
);
pub(super) const AWAITED: NodeFigure =
    NodeFigure::new("awaited", "broadcasts", "broadcasts that were asked for and have not come");
