//! Branches of Cyclon that are rarely taken; see [`Mark`](crate::Mark).

crate::marks! {
    CYCLON_RESTARTED = "cyclon-restarted": "a peer in the view comes back as a new incarnation";
    CYCLON_JOIN_AGAIN = "cyclon-join-again": "the view is empty, and a contact is asked once more";
    CYCLON_WALK_KNOWN = "cyclon-walk-known": "a joiner's walk ends where the joiner is known";
    CYCLON_UNASKED = "cyclon-unasked": "an answer that nobody waits for changes nothing";
    CYCLON_UNANSWERED = "cyclon-unanswered": "a shuffle was not answered before the next one";
    CYCLON_LAST_SILENT = "cyclon-last-silent": "the only peer in the view does not answer, and leaves it";
    CYCLON_NOT_ACKNOWLEDGED = "cyclon-not-acknowledged": "a peer that cannot be reached stays in the view";
}
