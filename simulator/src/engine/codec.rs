//! Nodes and events as bytes.

use std::any::TypeId;

use murmurate::stack::{Message, Timer};
use serde::{Deserialize, Serialize};

use crate::engine::event::{Event, What};
use crate::engine::handshake::Handshake;
use crate::engine::snapshot::{ReadError, SaveError};
use crate::engine::storage::{self, Garbled, OfBroadcast, OfMembership};
use crate::engine::strategy::{SimStack, StackOf, Watched as _, WatchedBroadcast as _};
use crate::model::node::SimPeer;

/// Writes and reads what nodes are and what is under way between them.
pub(crate) struct Codec<P: SimStack> {
    membership: OfMembership<P::Membership>,
    broadcast: OfBroadcast<P::Broadcast>,
}

/// What an event is.
#[derive(Clone, Copy, Serialize, Deserialize)]
enum Tag {
    Membership,
    Broadcast,
    MembershipTimer,
    BroadcastTimer,
    Reset,
    Restarted,
    Handshake(Handshake),
    Late,
}

/// The layer of a stack that cannot be written.
pub(crate) enum Unsaved {
    Strategy(&'static str),
    Services,
}

impl From<Unsaved> for SaveError {
    fn from(unsaved: Unsaved) -> Self {
        match unsaved {
            Unsaved::Strategy(layer) => Self::Strategy(layer),
            Unsaved::Services => Self::With("services"),
        }
    }
}

impl From<Unsaved> for ReadError {
    fn from(unsaved: Unsaved) -> Self {
        match unsaved {
            Unsaved::Strategy(layer) => Self::Strategy(layer),
            Unsaved::Services => Self::Unlike("it is of nodes without services".into()),
        }
    }
}

/// Whether whoever an event is about is among so many nodes.
pub(crate) fn check_nodes<P: SimStack>(event: &Event<P>, nodes: usize) -> Result<(), ReadError> {
    if event.to.index().max(event.from.index()) < nodes {
        return Ok(());
    }
    Err(ReadError::Unlike("something waits for a node that is not there".into()))
}

impl<P: SimStack> Codec<P> {
    /// For nodes such as this one.
    pub(crate) fn of(node: &StackOf<P>) -> Result<Self, Unsaved> {
        if TypeId::of::<P::Service>() != TypeId::of::<()>() {
            return Err(Unsaved::Services);
        }
        let membership = node.membership().storage().ok_or(Unsaved::Strategy("membership"))?;
        let broadcast = node.broadcast().storage().ok_or(Unsaved::Strategy("broadcast"))?;
        Ok(Self { membership, broadcast })
    }

    pub(crate) fn save_stack(&self, node: &StackOf<P>, into: &mut Vec<u8>) -> Result<(), Garbled> {
        self.membership.save(node.membership(), into)?;
        self.broadcast.save(node.broadcast(), into)
    }

    /// Puts a node that was just made in the state of before.
    pub(crate) fn restore_stack(
        &self,
        node: &mut StackOf<P>,
        from: &mut &[u8],
    ) -> Result<(), Garbled> {
        let (membership, broadcast) = node.strategies_mut();
        self.membership.restore(membership, from)?;
        self.broadcast.restore(broadcast, from)
    }

    pub(crate) fn save_event(&self, event: &Event<P>, into: &mut Vec<u8>) -> Result<(), SaveError> {
        let Event { time, to, from, sequence, what } = event;
        storage::save(&(time, to, from, sequence), into)?;
        self.save_what(what, into)
    }

    pub(crate) fn read_event(&self, from: &mut &[u8]) -> Result<Event<P>, ReadError> {
        let (time, to, sender, sequence): (u64, SimPeer, SimPeer, u32) = storage::read(from)?;
        Ok(Event { time, to, from: sender, sequence, what: self.read_what(from)? })
    }

    pub(crate) fn save_what(&self, what: &What<P>, into: &mut Vec<u8>) -> Result<(), SaveError> {
        match what {
            What::Message(Message::Membership(message)) => {
                storage::save(&Tag::Membership, into)?;
                self.membership.save_message(message, into)?;
            }
            What::Message(Message::Broadcast(message)) => {
                storage::save(&Tag::Broadcast, into)?;
                self.broadcast.save_message(message, into)?;
            }
            What::Timer(Timer::Membership(timer)) => {
                storage::save(&Tag::MembershipTimer, into)?;
                self.membership.save_timer(timer, into)?;
            }
            What::Timer(Timer::Broadcast(timer)) => {
                storage::save(&Tag::BroadcastTimer, into)?;
                self.broadcast.save_timer(timer, into)?;
            }
            What::Message(Message::Service(_)) | What::Timer(Timer::Service(_)) => {
                return Err(SaveError::With("services"));
            }
            What::Reset => storage::save(&Tag::Reset, into)?,
            What::Restarted => storage::save(&Tag::Restarted, into)?,
            What::Lane(_) => return Err(SaveError::With("channels")),
            What::Attack => return Err(SaveError::With("an eclipse")),
            What::Handshake(handshake) => storage::save(&Tag::Handshake(*handshake), into)?,
            What::Late(what) => {
                storage::save(&Tag::Late, into)?;
                self.save_what(what, into)?;
            }
        }
        Ok(())
    }

    pub(crate) fn read_what(&self, from: &mut &[u8]) -> Result<What<P>, ReadError> {
        Ok(match storage::read(from)? {
            // What waits already does not wait once more.
            Tag::Late => match storage::read(from)? {
                Tag::Late => return Err(Garbled::somehow().into()),
                tag => What::Late(Box::new(self.read_tagged(tag, from)?)),
            },
            tag => self.read_tagged(tag, from)?,
        })
    }

    fn read_tagged(&self, tag: Tag, from: &mut &[u8]) -> Result<What<P>, Garbled> {
        Ok(match tag {
            Tag::Membership => {
                What::Message(Message::Membership(self.membership.read_message(from)?))
            }
            Tag::Broadcast => What::Message(Message::Broadcast(self.broadcast.read_message(from)?)),
            Tag::MembershipTimer => {
                What::Timer(Timer::Membership(self.membership.read_timer(from)?))
            }
            Tag::BroadcastTimer => What::Timer(Timer::Broadcast(self.broadcast.read_timer(from)?)),
            Tag::Reset => What::Reset,
            Tag::Restarted => What::Restarted,
            Tag::Handshake(handshake) => What::Handshake(handshake),
            Tag::Late => return Err(Garbled::somehow()),
        })
    }
}
