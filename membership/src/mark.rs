//! Marks on branches that are rarely taken.
//!
//! A test that never takes a branch says nothing about it. A strategy tells its host of each such
//! branch by [`Effects::mark`](crate::Effects::mark); a host that does not listen, as that of a real
//! node, pays nothing: the call is empty and compiled away.

crate::catalogue! {
    /// A branch of a membership strategy that is rarely taken.
    pub enum Mark {
        // HyParView: links asked for, accepted, refused, ended.
        NeighborTwice = "neighbor-twice": "a request for a link that stands is accepted again",
        NeighborWhileJoining = "neighbor-while-joining": "a request crosses a join, which stands",
        TieMine = "tie-mine": "both sides ask at once, and this side's request stands",
        TieTheirs = "tie-theirs": "both sides ask at once, and the other side's request stands",
        LinkRenewed = "link-renewed": "a linked peer asks for a new link: it lost the old one",
        FullViewProbed = "full-view-probed": "a full view is asked for a link and looks for dead neighbours",
        LowRefused = "low-refused": "a request of low priority finds a full view",
        EvictedIntroduced = "evicted-introduced": "an evicted neighbour is told of a peer with a free slot",
        OnlySpareLeft = "only-spare-left": "an exchange finds no neighbour but the one it would introduce",
        AcceptTwice = "accept-twice": "an answer comes for a link that stands already",
        AcceptTooLate = "accept-too-late": "an answer comes after its request was given up",
        JoinedFullView = "joined-full-view": "a joiner's own view filled up before its contact accepted",
        ExchangeSwapped = "exchange-swapped": "an exchange swaps a neighbour out of a full view",
        SlotFilled = "slot-filled": "the slot that a link was asked for was filled meanwhile",
        AdmitRefused = "admit-refused": "a joiner at the end of its walk needs no further link",
        OldDisconnect = "old-disconnect": "the end of a link that is no more",
        RequestDisconnected = "request-disconnected": "a request is answered by a disconnect",
        IntroductionTaken = "introduction-taken": "whoever was evicted or left alone asks the peer it was told of",
        UnknownLinkKept = "unknown-link-kept": "somebody keeps a link alive that this side does not have",
        // HyParView: the way in and out.
        JoinTwice = "join-twice": "a join through a link that stands is accepted again",
        JoinsCrossed = "joins-crossed": "two peers join through each other at once",
        JoinRenewed = "join-renewed": "a linked peer joins again",
        WalkKnown = "walk-known": "a forward join reaches somebody who knows the joiner",
        WalkStuck = "walk-stuck": "a forward join ends early, for want of somebody to go to",
        ContactReplaced = "contact-replaced": "a new contact takes the place of the oldest",
        ContactRestarted = "contact-restarted": "a contact comes back as a new incarnation",
        ContactsInVain = "contacts-in-vain": "all contacts were asked in vain",
        ContactsForLong = "contacts-for-long": "contacts were asked in vain so often that the pause grows no more",
        FoundWhileWaiting = "found-while-waiting": "a contact is found while all others are waited for",
        RefusedAfterLeaving = "refused-after-leaving": "a peer that left is asked for a link",
        // HyParView: repair and shuffles.
        ShuffledForCandidates = "shuffled-for-candidates": "no candidate is left, and a shuffle out of turn brings some",
        RequestFailed = "request-failed": "the connection that a request went over fails",
        RequestOverdue = "request-overdue": "a request is not answered in time",
        NeighborSilent = "neighbor-silent": "a neighbour is silent for too long",
        NeighborRestarted = "neighbor-restarted": "a neighbour comes back as a new incarnation",
        OldIncarnation = "old-incarnation": "a word of an incarnation that was followed by another",
        Isolated = "isolated": "the last neighbour is gone",
        Promoted = "promoted": "a random exchange begins, with a full view",
        ExchangeByContact = "exchange-by-contact": "a random exchange goes to a contact",
        SplicedIn = "spliced-in": "a peer with two free slots is spliced in between two others",
        ShuffleStuck = "shuffle-stuck": "a shuffle ends early, for want of somebody to go to",
        ShuffleCameHome = "shuffle-came-home": "a shuffle comes back to its origin",
        // HyParView: reunion.
        LostReplaced = "lost-replaced": "a peer that fell silent takes the place of another that did",
        LostTried = "lost-tried": "a peer that fell silent is tried again",
        LostFound = "lost-found": "a peer that fell silent is linked again",
        AskedAnew = "asked-anew": "what an older incarnation was asked is asked of the one that runs",
        // Full mesh.
        MeshTie = "mesh-tie": "two members ask each other at once",
        MeshHelloTwice = "mesh-hello-twice": "a request for a link that stands is accepted again",
        MeshRenewed = "mesh-renewed": "a linked member asks for a new link",
        MeshFull = "mesh-full": "a full mesh refuses a member",
        MeshAcceptTooLate = "mesh-accept-too-late": "an answer comes after its request was given up",
        MeshFilled = "mesh-filled": "the mesh was filled while an answer was under way",
        MeshBuried = "mesh-buried": "a member says goodbye",
        MeshGhost = "mesh-ghost": "a word of a member that left",
        MeshRestarted = "mesh-restarted": "a linked member comes back as a new incarnation",
        MeshHistory = "mesh-history": "a word of an incarnation that was followed by another",
        MeshOverdue = "mesh-overdue": "a request is not answered in time",
        MeshSilent = "mesh-silent": "a linked member is silent for too long",
        MeshUnknownLink = "mesh-unknown-link": "somebody keeps a link alive that this side does not have",
        MeshHintIgnored = "mesh-hint-ignored": "there is no room for somebody heard of",
        MeshForgotten = "mesh-forgotten": "a member that was down for too long is forgotten",
    }
}
