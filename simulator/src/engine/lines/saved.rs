//! Lines that many nodes share, as bytes.

use std::collections::{BTreeMap, BTreeSet};

use super::{Backlog, Bit, Flow, Head, Line, Lines, Name, Passing, Stage};
use crate::engine::codec::{Codec, check_nodes};
use crate::engine::event::Event;
use crate::engine::snapshot::{ReadError, SaveError};
use crate::engine::storage;
use crate::engine::strategy::SimStack;

/// A message that waits, is on the line or was refused: whether it has come is said beside it.
type Waiting = (Head, Stage, u64);

impl<P: SimStack> Lines<Event<P>> {
    /// How many there are in this shard.
    pub(crate) fn count(&self) -> usize {
        self.lines.len()
    }

    /// Writes one of this shard, once all have handed over what they have for each other.
    pub(crate) fn save(
        &self,
        codec: &Codec<P>,
        line: usize,
        into: &mut Vec<u8>,
    ) -> Result<(), SaveError> {
        debug_assert!(self.outgoing.iter().all(Vec::is_empty), "a note is under way");
        // What the network says of the line is not written, nor how many messages there are.
        let Line {
            rate: _,
            queue: _,
            leg: _,
            keeps_order: _,
            notes,
            passing,
            flows,
            finishes,
            virtual_time,
            at,
            messages: _,
        } = &self.lines[self.sharding.place(line)];
        storage::save(&(notes.len(), passing.len(), flows, finishes, virtual_time, at), into)?;
        for ((time, _, name), bit) in notes {
            let first: Option<Head> = match bit {
                Bit::First(head) => Some(*head),
                Bit::Last(_) => None,
            };
            storage::save(&(time, name, first), into)?;
            if let Bit::Last(event) = bit {
                codec.save_event(event, into)?;
            }
        }
        for (name, Passing { head, stage, refused, came }) in passing {
            let waiting = (head, stage, refused);
            storage::save(&(name, waiting, came.is_some()), into)?;
            came.iter().try_for_each(|event| codec.save_event(event, into))?;
        }
        Ok(())
    }

    /// Reads it, of so many nodes.
    pub(crate) fn restore(
        &mut self,
        codec: &Codec<P>,
        line: usize,
        nodes: usize,
        from: &mut &[u8],
    ) -> Result<(), ReadError> {
        let event = |from: &mut &[u8]| {
            let event = codec.read_event(from)?;
            check_nodes(&event, nodes).map(|()| event)
        };
        let (noted, waiting) = storage::read::<(usize, usize)>(from)?;
        let flows: BTreeMap<Flow, Backlog> = storage::read(from)?;
        let (finishes, virtual_time, at): (BTreeSet<(u64, Flow)>, f64, u64) = storage::read(from)?;
        let (mut notes, mut passing) = (BTreeMap::new(), BTreeMap::new());
        let mut messages = 0;
        for _ in 0..noted {
            let (time, name, first): (u64, Name, Option<Head>) = storage::read(from)?;
            messages += usize::from(first.is_none());
            let bit = match first {
                Some(head) => Bit::First(head),
                None => Bit::Last(event(from)?),
            };
            notes.insert((time, first.is_none(), name), bit);
        }
        for _ in 0..waiting {
            let (name, waiting, has_come): (Name, Waiting, bool) = storage::read(from)?;
            let (head, stage, refused) = waiting;
            messages += usize::from(has_come);
            let came = if has_come { Some(event(from)?) } else { None };
            passing.insert(name, Passing { head, stage, refused, came });
        }
        let before = &mut self.lines[self.sharding.place(line)];
        let Line { rate, queue, leg, keeps_order, .. } = *before;
        *before = Line {
            rate,
            queue,
            leg,
            keeps_order,
            notes,
            passing,
            flows,
            finishes,
            virtual_time,
            at,
            messages,
        };
        Ok(())
    }
}
