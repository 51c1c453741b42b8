//! What SCAMP shows of one peer.

use crate::NodeFigure;

pub(super) const IN_VIEW: NodeFigure =
    NodeFigure::new("in_view", "peers", "peers that have said that this one is in their views");
