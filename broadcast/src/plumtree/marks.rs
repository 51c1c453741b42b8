//! Branches of Plumtree that are rarely taken; see [`Mark`](crate::Mark).

murmurate_membership::marks! {
    DUPLICATE_SPARED = "duplicate-spared": "a duplicate prunes nothing: of many broadcasts at once another one may";
    DUPLICATE_OF_STRANGER = "duplicate-of-stranger": "a duplicate comes from somebody who is not a neighbour";
    LAST_EAGER_GRAFTED = "last-eager-grafted": "a payload comes where no link is in the tree: its own is from now on";
    OPTIMISED = "optimised": "the tree switches to a shorter way";
    NOBODY_TO_TELL = "nobody-to-tell": "a broadcast waits for the first neighbour";
    @loss WAITED_TOO_LONG = "waited-too-long": "of too many broadcasts without a neighbour the oldest is not told";
    WAITING_PUSHED = "waiting-pushed": "what waited goes to the first neighbour";
    BATCH_FULL = "batch-full": "announcements go out early, for they fill a message";
    BATCH_WITHOUT_NEIGHBORS = "batch-without-neighbors": "announcements are due, and there is no neighbour";
    IHAVE_OF_STRANGER = "ihave-of-stranger": "an announcement of somebody who is not a neighbour";
    @loss MISSING_FULL = "missing-full": "too much is missing already for another announcement to be noted";
    ASKED = "asked": "an announced payload is overdue and asked for";
    ASKED_AGAIN = "asked-again": "a payload asked for is overdue, and another announcer is asked";
    @loss ASKED_IN_VAIN = "asked-in-vain": "a payload was asked for as often as allowed, and is given up";
    BROKEN_GRAFTED = "broken-grafted": "the tree did not bring what was fetched: the link of whoever sent it enters it";
    BROKEN_LEFT = "broken-left": "the tree did not bring what somebody else fetched, who mends it";
    LATE_COPY = "late-copy": "the tree brings its own copy of what was fetched";
    REPAIR_TWICE = "repair-twice": "a payload comes beside the tree that is here already";
    @loss NOBODY_TO_ASK = "nobody-to-ask": "all who announced a payload are gone, and it is given up";
    @loss ASKED_TOO_LATE = "asked-too-late": "a payload asked for is kept no more";
    ASKED_BY_STRANGER = "asked-by-stranger": "somebody who is not a neighbour asks for a payload";
    LAZY_TOLD_FIRST = "lazy-told-first": "a link enters the tree while announcements wait for it";
    MENDED = "mended": "another link takes the place of one that the tree lost";
    PRUNES_CROSSED = "prunes-crossed": "both ends of a link prune it at once";
    PRUNE_OF_STRANGER = "prune-of-stranger": "somebody who is not a neighbour prunes its link";
    ASKED_ANSWERED = "asked-answered": "a payload comes from somebody who was asked for it";
    GRAFT_TIMEOUT_GREW = "graft-timeout-grew": "payloads come late, and are waited for longer";
    GRAFT_TIMEOUT_SHRANK = "graft-timeout-shrank": "a shorter wait is tried again";
    NEW_LINK_TOLD_FIRST = "new-link-told-first": "a neighbour comes while announcements wait";
    GIVEN_UP = "given-up": "a broadcast too far behind its origin's latest is given up";
    PAYLOAD_FORGOTTEN = "payload-forgotten": "the oldest payload is kept no more";
}
