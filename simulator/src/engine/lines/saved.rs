//! Lines that many nodes share, as bytes.

use std::collections::{BTreeMap, BTreeSet};

use super::{Backlog, Bit, Flow, Line, Lines, Name, Passing};
use crate::engine::codec::{Codec, check_nodes};
use crate::engine::event::Event;
use crate::engine::snapshot::{ReadError, SaveError};
use crate::engine::storage;
use crate::engine::strategy::SimStack;

/// A first bit: bytes, whether it is sent again, how often it was, and the next line.
type First = (u64, bool, u64, Option<u16>);
/// A message that waits or is on the line: bytes, whether it is sent again, the next line, and whether the
/// line has carried it.
type Waiting = (u64, bool, Option<u16>, bool);

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
        // What the network says of the line is not written.
        let Line { rate: _, queue: _, leg: _, notes, passing, flows, heads, given, at } =
            &self.lines[self.sharding.place(line)];
        storage::save(&(notes.len(), passing.len(), flows, heads, given, at), into)?;
        for ((time, _, name), bit) in notes {
            let first: Option<First> = match bit {
                Bit::First { bytes, is_on_stream, before, next } => {
                    Some((*bytes, *is_on_stream, *before, *next))
                }
                Bit::Last(_) => None,
            };
            storage::save(&(time, name, first), into)?;
            if let Bit::Last(event) = bit {
                codec.save_event(event, into)?;
            }
        }
        for (name, Passing { bytes, is_on_stream, next, is_served, came }) in passing {
            let waiting = (bytes, is_on_stream, next, is_served);
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
        let (heads, given, at): (BTreeSet<(u64, Flow)>, f64, u64) = storage::read(from)?;
        let (mut notes, mut passing) = (BTreeMap::new(), BTreeMap::new());
        for _ in 0..noted {
            let (time, name, first): (u64, Name, Option<First>) = storage::read(from)?;
            let bit = match first {
                Some((bytes, is_on_stream, before, next)) => {
                    Bit::First { bytes, is_on_stream, before, next }
                }
                None => Bit::Last(event(from)?),
            };
            notes.insert((time, first.is_none(), name), bit);
        }
        for _ in 0..waiting {
            let (name, waiting, has_come): (Name, Waiting, bool) = storage::read(from)?;
            let (bytes, is_on_stream, next, is_served) = waiting;
            let came = if has_come { Some(event(from)?) } else { None };
            passing.insert(name, Passing { bytes, is_on_stream, next, is_served, came });
        }
        let place = self.sharding.place(line);
        let Line { rate, queue, leg, .. } = self.lines[place];
        self.lines[place] = Line { rate, queue, leg, notes, passing, flows, heads, given, at };
        Ok(())
    }
}
