//! Marks on branches that are rarely taken; see `murmurate_membership::Mark`.

murmurate_membership::catalogue! {
    /// A branch of a broadcast strategy that is rarely taken.
    pub enum Mark {
        DuplicateSpared = "duplicate-spared": "a duplicate prunes nothing: of many broadcasts at once another one may",
        DuplicateOfStranger = "duplicate-of-stranger": "a duplicate comes from somebody who is no neighbour",
        LastEagerGrafted = "last-eager-grafted": "a payload comes where no link is in the tree: its own is from now on",
        Straightened = "straightened": "the link of a neighbour that announces what others bring enters the tree",
        Optimised = "optimised": "the tree switches to a shorter way",
        NobodyToTell = "nobody-to-tell": "a broadcast waits for the first neighbour",
        WaitedTooLong = "waited-too-long": "of too many broadcasts without a neighbour the oldest is not told",
        WaitingPushed = "waiting-pushed": "what waited goes to the first neighbour",
        BatchFull = "batch-full": "announcements go out early, for they fill a message",
        BatchWithoutNeighbors = "batch-without-neighbors": "announcements are due, and there is no neighbour",
        IhaveOfStranger = "ihave-of-stranger": "an announcement of somebody who is no neighbour",
        MissingFull = "missing-full": "too much is missing already for another announcement to be noted",
        Asked = "asked": "an announced payload is overdue and asked for",
        AskedAgain = "asked-again": "a payload asked for is overdue, and another announcer is asked",
        AskedInVain = "asked-in-vain": "a payload was asked for as often as allowed, and is given up",
        BrokenGrafted = "broken-grafted": "the tree did not bring what was fetched: the link of whoever sent it enters it",
        BrokenLeft = "broken-left": "the tree did not bring what somebody else fetched, who mends it",
        LateCopy = "late-copy": "the tree brings its own copy of what was fetched",
        RepairTwice = "repair-twice": "a payload comes beside the tree that is here already",
        NobodyToAsk = "nobody-to-ask": "all who announced a payload are gone, and it is given up",
        AskedTooLate = "asked-too-late": "a payload asked for is kept no more",
        AskedByStranger = "asked-by-stranger": "somebody who is no neighbour asks for a payload",
        LazyToldFirst = "lazy-told-first": "a link enters the tree while announcements wait for it",
        Mended = "mended": "another link takes the place of one that the tree lost",
        PrunesCrossed = "prunes-crossed": "both ends of a link prune it at once",
        PruneOfStranger = "prune-of-stranger": "somebody who is no neighbour prunes its link",
        AskedAnswered = "asked-answered": "a payload comes from somebody who was asked for it",
        PatienceGrew = "patience-grew": "payloads come late, and are waited for longer",
        PatienceEased = "patience-eased": "a shorter wait is tried again",
        NewLinkToldFirst = "new-link-told-first": "a neighbour comes while announcements wait",
        PayloadForgotten = "payload-forgotten": "the oldest payload is kept no more",
    }
}
