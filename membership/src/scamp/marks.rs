//! Branches of SCAMP that are rarely taken; see [`Mark`](crate::Mark).

crate::marks! {
    SCAMP_RESTARTED = "scamp-restarted": "a peer in the view comes back as a new incarnation";
    SCAMP_JOIN_AGAIN = "scamp-join-again": "the view is empty, and a contact is asked once more";
    SCAMP_DROPPED = "scamp-dropped": "nobody keeps a subscription, and it is dropped";
    @loss SCAMP_FULL = "scamp-full": "a view or an in-view is full, and a peer finds no place in it";
    SCAMP_UNASKED = "scamp-unasked": "an answer that nobody waits for changes nothing";
    SCAMP_EXPIRED = "scamp-expired": "the lease of a peer in the view is over, and it is dropped";
    SCAMP_ISOLATED = "scamp-isolated": "no heartbeat comes any more, and a peer subscribes anew";
    SCAMP_REPLACED = "scamp-replaced": "a peer unsubscribes, and another one takes its place";
    SCAMP_UNREACHABLE = "scamp-unreachable": "a peer that cannot be reached stays in the view";
}
