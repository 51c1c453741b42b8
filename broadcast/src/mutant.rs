//! Deliberate bugs; see `murmurate_membership::Mutant`.

murmurate_membership::catalogue! {
    /// A deliberate bug of a broadcast strategy.
    pub enum Mutant {
        PruneOnFirst = "prune-on-first": "the first copy of a payload prunes its link, not the second",
        DuplicatesDelivered = "duplicates-delivered": "every copy of a payload is delivered",
        ForgetsEarly = "forgets-early": "an id is forgotten with its payload",
        MissingTimerOnce = "missing-timer-once": "the timer of missing payloads is not armed again",
        BatchOnce = "batch-once": "the timer of announcements is armed once",
        GraftUnanswered = "graft-unanswered": "a payload asked for is not sent",
        FetchGrafts = "fetch-grafts": "whoever is asked for a late payload is grafted at once",
        BrokenUngrafted = "broken-ungrafted": "a tree that does not bring what was fetched is not mended",
        RepairPrunes = "repair-prunes": "a second copy of what was fetched prunes its link",
        LateCopyPrunes = "late-copy-prunes": "the tree's own copy of what was fetched prunes its link",
        RepairUnnoted = "repair-unnoted": "what was fetched still counts as missing",
        GraftOneSided = "graft-one-sided": "whoever is asked for a payload leaves the link out of the tree",
        AnnouncementsDropped = "announcements-dropped": "announcements are gathered and never sent",
        RelaysUnannounced = "relays-unannounced": "only publishers announce what they have",
        Echo = "echo": "a payload goes back to whom it came from",
        NeighborKept = "neighbor-kept": "a lost neighbour is kept",
        AnnouncersKept = "announcers-kept": "a lost neighbour is asked for what it announced",
        MissingUnbounded = "missing-unbounded": "any number of announced payloads is waited for",
        ExchangeSkipsNewLinks = "exchange-skips-new-links": "neighbours do not compare over a new link",
        ExchangeOnce = "exchange-once": "the timer of comparisons is not armed again",
        ExchangeOneSided = "exchange-one-sided": "a neighbour is not told what it lacks",
        ExchangeAsksNothing = "exchange-asks-nothing": "what is missed is not asked for",
        ExchangeSendsNothing = "exchange-sends-nothing": "what is asked for after a comparison is not sent",
        ExchangeLossUntold = "exchange-loss-untold": "what is given up is not told",
        ExchangeWantsHistory = "exchange-wants-history": "a newcomer asks for what came before it",
        NewLinksLazy = "new-links-lazy": "a new link begins outside the tree",
    }
}
