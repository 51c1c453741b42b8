//! Checks of strategies beside their own: what an input must not do to them, and what it must do.

use murmurate::broadcast::Id;
use murmurate::broadcast::{self, AntiEntropy, Broadcast, anti_entropy};
use murmurate::membership::snapshot::Stored;
use murmurate::membership::{Membership, Time, Wire};

use crate::engine::storage::{self, OfBroadcast, OfMembership};
use crate::model::eclipse::Attacker;
use crate::model::node::SimPeer;

/// What is checked beside [`Membership::check`]. With an empty `impl Watched for Own {}` nothing more is
/// checked.
pub trait Watched: Membership {
    /// The names of its kinds of messages.
    fn kinds(&self) -> Vec<&'static str> {
        Self::Message::KINDS.to_vec()
    }

    /// Whether a message that is about to be handled does not concern the link with its sender. Then the
    /// link must still be there afterwards.
    fn spares_link(&self, _from: Self::Peer, _message: &Self::Message) -> bool {
        false
    }

    /// Whether a neighbour that has just failed is being replaced by a known peer, if there is one.
    fn replaces_failed(&self) -> bool {
        true
    }

    /// Whether this node goes on looking for a former incarnation of `peer` although it was told of the
    /// restart.
    fn looks_for_former(&self, _peer: Self::Peer) -> bool {
        false
    }

    /// What an attacker says that wants to be everybody's neighbour: in answer to what it heard, or of its
    /// own accord. It says nothing else about membership.
    fn eclipse(
        &self,
        _heard: Option<(Self::Peer, &Self::Message)>,
        _attacker: &mut Attacker<'_>,
    ) -> Vec<(Self::Peer, Self::Message)> {
        Vec::new()
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

/// What is checked beside [`Broadcast::check`]. With an empty `impl WatchedBroadcast for Own {}` nothing
/// more is checked.
pub trait WatchedBroadcast: Broadcast<Peer = SimPeer> {
    /// The names of its kinds of messages.
    fn kinds(&self) -> Vec<&'static str> {
        Self::Message::KINDS.to_vec()
    }

    /// Whether an input that is about to be handled says nothing about any link. Then eager links must stay
    /// eager, and lazy ones lazy.
    fn spares_links(&self, _input: &broadcast::Input<Self>) -> bool {
        false
    }

    /// The peer whose link must be in the tree after this input, if there is one.
    fn must_graft(&self, _now: Time, _input: &broadcast::Input<Self>) -> Option<SimPeer> {
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

    fn must_graft(&self, now: Time, input: &broadcast::Input<Self>) -> Option<SimPeer> {
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
