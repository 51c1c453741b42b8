//! Deliberate bugs, to try on them whether the checks of simulator and tests find bugs.
//!
//! A configuration takes one only with the feature `mutants`. Without it the question whether there
//! is one is answered by a constant, and the code behind it is never built.

use core::marker::PhantomData;

crate::catalogue! {
    /// A deliberate bug of a membership strategy. Those of the full mesh begin with `mesh`.
    pub enum Mutant {
        DisconnectIgnored = "disconnect-ignored": "a disconnect ends the link at its sender only",
        KeepaliveOnce = "keepalive-once": "the keep-alive timer is not armed again",
        SilenceIgnored = "silence-ignored": "silent neighbours are kept for ever",
        RequestTimerOnce = "request-timer-once": "the timer of requests is not armed again",
        RejoinOnce = "rejoin-once": "a second round over the contacts never comes",
        NeighborUnanswered = "neighbor-unanswered": "requests for a link are not answered",
        AcceptOverflows = "accept-overflows": "an accepted link enters a full view",
        PassiveOverflows = "passive-overflows": "the passive view holds one peer too many",
        SelfRemembered = "self-remembered": "a peer hears of itself and remembers it",
        TieBothStand = "tie-both-stand": "of two requests that cross, each side takes its own to stand",
        TieNoneStands = "tie-none-stands": "of two requests that cross, each side accepts the other's",
        LinkNumbersIgnored = "link-numbers-ignored": "a disconnect ends a later link as well",
        RestartUnnoticed = "restart-unnoticed": "a new incarnation is taken for another node",
        ShuffleEndless = "shuffle-endless": "the hops of a shuffle are not counted",
        JoinRefused = "join-refused": "a full contact refuses joiners",
        NoExchange = "no-exchange": "random exchanges never come",
        FirstContactOnly = "first-contact-only": "always the same contact is asked",
        NeighborDownUntold = "neighbor-down-untold": "the broadcast layer is not told of lost neighbours",
        LinkedRemembered = "linked-remembered": "a new neighbour stays in the passive view",
        RequestsUnbounded = "requests-unbounded": "any number of requests may be under way",
        PassiveTriedOnce = "passive-tried-once": "who refused once is never asked again",
        LateAcceptTaken = "late-accept-taken": "an answer to a request that was given up makes a link",
        LostForgotten = "lost-forgotten": "whoever fell silent is never tried again",
        LostOnlyAlone = "lost-only-alone": "whoever fell silent is tried again by peers without neighbours only",
        LostTriedOnce = "lost-tried-once": "whoever fell silent is tried again once",
        OldIncarnationAsked = "old-incarnation-asked": "a peer is asked in the incarnation it was known in, for ever",
        MeshKeepaliveOnce = "mesh-keepalive-once": "the keep-alive timer is not armed again",
        MeshGossipSilent = "mesh-gossip-silent": "members are told of nobody",
        MeshOverflows = "mesh-overflows": "there is always room for one more member",
        MeshSilenceIgnored = "mesh-silence-ignored": "silent members are kept for ever",
        MeshNeverRedials = "mesh-never-redials": "who did not answer once is never asked again",
    }
}

/// The deliberate bug of a configuration, if it has one: never, without the feature `mutants`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Planted<M> {
    #[cfg(feature = "mutants")]
    mutant: Option<M>,
    kind: PhantomData<M>,
}

impl<M> Default for Planted<M> {
    fn default() -> Self {
        Self {
            #[cfg(feature = "mutants")]
            mutant: None,
            kind: PhantomData,
        }
    }
}

impl<M: Copy + PartialEq> Planted<M> {
    /// This one.
    #[cfg(feature = "mutants")]
    #[must_use]
    pub const fn of(mutant: M) -> Self {
        Self { mutant: Some(mutant), kind: PhantomData }
    }

    /// Whether this one is there.
    #[cfg(feature = "mutants")]
    #[must_use]
    pub fn is(self, mutant: M) -> bool {
        self.mutant == Some(mutant)
    }

    /// Whether this one is there.
    #[cfg(not(feature = "mutants"))]
    #[must_use]
    pub const fn is(self, _mutant: M) -> bool {
        false
    }
}
