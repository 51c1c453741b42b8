//! What Plumtree shows of a peer.

use murmurate_membership::NodeFigure;

pub(super) const MISSING: NodeFigure =
    NodeFigure::new("missing", "broadcasts", "broadcasts that were announced and have not come");
pub(super) const QUEUED: NodeFigure =
    NodeFigure::new("queued", "announcements", "announcements that wait for the next batch");
pub(super) const CACHED: NodeFigure =
    NodeFigure::new("cached", "payloads", "payloads that are kept for grafts");
pub(super) const CACHED_BYTES: NodeFigure =
    NodeFigure::new("cached_bytes", "bytes", "bytes of the payloads that are kept for grafts");
pub(super) const GRAFT_WAIT: NodeFigure =
    NodeFigure::new("graft_wait", "s", "how long an announced payload is waited for");
