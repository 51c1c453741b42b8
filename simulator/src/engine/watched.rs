//! What checkers know of strategies beside their own checks: what an input must not do to them, and must
//! bring about.

use murmurate::broadcast::Id;
use murmurate::broadcast::{self, AntiEntropy, Broadcast, anti_entropy};
use murmurate::membership::snapshot::Stored;
use murmurate::membership::{Membership, Time, Wire};

use crate::engine::storage::{self, OfBroadcast, OfMembership};
use crate::model::node::Peer;

/// What checkers look at beside [`Membership::check`]. Of a strategy of one's own they know nothing, unless
/// it says more than `impl Watched for Own {}`.
pub trait Watched: Membership {
    /// The names of its kinds of messages.
    fn kinds(&self) -> Vec<&'static str> {
        Self::Message::KINDS.to_vec()
    }

    /// Whether a message that is about to be handled is none of the business of the link that is held
    /// with its sender, so that the link must still be there afterwards.
    fn spares_link(&self, _from: Self::Peer, _message: &Self::Message) -> bool {
        false
    }

    /// Whether a neighbour that has just failed is being replaced: by somebody known, if anybody is.
    fn replaces_failed(&self) -> bool {
        true
    }

    /// Whether this peer, which was told of a restart, goes on looking for `peer` in an incarnation that
    /// runs no more.
    fn looks_for_former(&self, _peer: Self::Peer) -> bool {
        false
    }

    /// What writes and reads its state. Without it a simulation of this strategy cannot be saved. One that
    /// implements [`Snapshot`](murmurate::membership::snapshot::Snapshot) has [`storage::of_membership`].
    fn storage(&self) -> Option<OfMembership<Self>>
    where
        Self: Sized,
    {
        None
    }
}

/// What checkers look at beside [`Broadcast::check`]. Of a strategy of one's own they know nothing, unless
/// it says more than `impl WatchedBroadcast for Own {}`.
pub trait WatchedBroadcast: Broadcast<Peer = Peer> {
    /// The names of its kinds of messages.
    fn kinds(&self) -> Vec<&'static str> {
        Self::Message::KINDS.to_vec()
    }

    /// Whether an input that is about to be handled proves nothing of any link, so that eager links
    /// stay eager and lazy ones lazy.
    fn spares_links(&self, _input: &broadcast::Input<Self>) -> bool {
        false
    }

    /// Whose link an input that is about to be handled must bring into the tree, or keep there.
    fn must_graft(&self, _now: Time, _input: &broadcast::Input<Self>) -> Option<Peer> {
        None
    }

    /// What writes and reads its state. Without it a simulation of this strategy cannot be saved. One that
    /// implements [`Snapshot`](murmurate::membership::snapshot::Snapshot) has [`storage::of_broadcast`].
    fn storage(&self) -> Option<OfBroadcast<Self>>
    where
        Self: Sized,
    {
        None
    }
}

impl<B> WatchedBroadcast for AntiEntropy<B>
where
    B: WatchedBroadcast<Id: Id<Origin: Stored> + Stored, Payload: Default> + 'static,
{
    fn kinds(&self) -> Vec<&'static str> {
        let mut kinds = Self::Message::KINDS.to_vec();
        let inside = self.inner().kinds();
        kinds[..inside.len()].copy_from_slice(&inside);
        kinds
    }

    fn spares_links(&self, input: &broadcast::Input<Self>) -> bool {
        inside(input).is_some_and(|input| self.inner().spares_links(&input))
    }

    fn must_graft(&self, now: Time, input: &broadcast::Input<Self>) -> Option<Peer> {
        self.inner().must_graft(now, &inside(input)?)
    }

    fn storage(&self) -> Option<OfBroadcast<Self>> {
        self.inner().storage().map(storage::around)
    }
}

/// What of an input is for the strategy inside.
fn inside<B: Broadcast>(input: &broadcast::Input<AntiEntropy<B>>) -> Option<broadcast::Input<B>> {
    use broadcast::Input;
    match input {
        Input::Receive { from, message: anti_entropy::Message::Inner(message) } => {
            Some(Input::Receive { from: *from, message: message.clone() })
        }
        Input::Expired(anti_entropy::Timer::Inner(timer)) => Some(Input::Expired(*timer)),
        _ => None,
    }
}
