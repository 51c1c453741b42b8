//! What HyParView shows of a peer.

use crate::NodeFigure;

pub(super) const REQUESTS: NodeFigure =
    NodeFigure::new("requests", "requests", "links that were asked for and not answered yet");
pub(super) const CONTACTS: NodeFigure =
    NodeFigure::new("contacts", "peers", "contacts that it can enter the overlay through");
