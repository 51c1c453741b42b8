//! What the full mesh shows of a peer.

use crate::NodeFigure;

pub(super) const REQUESTS: NodeFigure =
    NodeFigure::new("requests", "requests", "links that were asked for and not answered yet");
pub(super) const DEPARTED: NodeFigure =
    NodeFigure::new("departed", "peers", "peers that left and are remembered as such");
