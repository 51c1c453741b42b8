//! The nodes of a shard as bytes.

use murmurate::membership::Time;

use super::{Node, Shard};
use crate::engine::codec::Codec;
use crate::engine::connections::Connections;
use crate::engine::deliveries::Joined;
use crate::engine::event::Event;
use crate::engine::host::Common;
use crate::engine::snapshot::{ReadError, SaveError};
use crate::engine::storage;
use crate::engine::strategy::SimStack;
use crate::engine::watch::Load;
use crate::model::machine::Machine;
use crate::model::network::Network;
use crate::model::node::SimPeer;

/// What there is of a node beside its stack and its connections.
#[derive(Debug, serde::Deserialize)]
pub(crate) struct Around {
    pub(crate) me: SimPeer,
    pub(crate) is_up: bool,
    sequence: u32,
    born: u32,
    machine: Option<Box<Machine>>,
    load: Option<Load>,
    joined: Option<Joined>,
    missed: Vec<(SimPeer, u64)>,
    is_connected: bool,
}

impl<P: SimStack> Shard<P> {
    /// Writes a node of this shard.
    pub(crate) fn save_node(
        &self,
        codec: &Codec<P>,
        index: usize,
        into: &mut Vec<u8>,
    ) -> Result<(), SaveError> {
        let place = self.sharding.place(index);
        let node = &self.nodes[place];
        let (me, log) = (node.me(), self.common.deliveries.as_ref());
        let connections = self.connections.get(place);
        // The fields of `Around`, in their order.
        let around = (
            me,
            self.up[place],
            node.sequence,
            node.born,
            self.machines.get(place).and_then(Option::as_ref),
            self.load(index),
            log.and_then(|log| log.joined(me)),
            log.map_or_else(Vec::new, |log| log.all_missed(me)),
            connections.is_some(),
        );
        storage::save(&around, into)?;
        codec.save_stack(node.stack.stack(), into)?;
        connections.map_or(Ok(()), |connections| connections.save(codec, into))
    }

    /// Reads the next node of this shard. `make` makes one that has not seen any input yet.
    pub(crate) fn restore_node(
        &mut self,
        codec: &Codec<P>,
        (network, index): (&Network, usize),
        make: impl FnOnce(SimPeer) -> P,
        from: &mut &[u8],
    ) -> Result<bool, ReadError> {
        let around: Around = storage::read(from)?;
        let place = self.sharding.place(index);
        if around.me.index() != index || place != self.nodes.len() {
            return Err(ReadError::Unlike(format!("node {index} is not where it should be")));
        }
        let mut stack = make(around.me);
        codec.restore_stack(stack.stack_mut(), from)?;
        match (around.is_connected, self.dialling) {
            (true, Some(dialling)) => {
                self.connections.push(Connections::restore(dialling, codec, from)?);
            }
            (false, None) => {}
            _ => return Err(ReadError::Unlike("connections are made in another way".into())),
        }
        let Around { me, is_up, sequence, born, machine, load, joined, missed, .. } = around;
        self.nodes.push(Node { stack, sequence, born });
        self.up.push(is_up);
        let (port, processor) = (network.port(), self.processor(network, index));
        // This network may have to remember what the other one had not, for what happens to it later.
        if machine.is_some() || port.is_some() || processor.is_some() {
            let machine = machine.map(|machine| *machine).unwrap_or_default();
            self.machines.resize_with(place, || None);
            let machine = machine.equipped(port, processor.unwrap_or_default());
            self.machines.push(Some(Box::new(machine)));
        }
        if let Some(log) = &mut self.common.deliveries {
            log.restore(me, joined, missed);
        }
        if let Some(watch) = self.common.watch.as_mut().filter(|watch| watch.loads.is_some()) {
            let message = "what nodes carried was not counted";
            watch.restore_load(place, load.ok_or_else(|| ReadError::Unlike(message.into()))?);
        }
        Ok(is_up)
    }

    /// The node delivered a broadcast before.
    pub(crate) fn restore_delivery(&mut self, index: usize, id: u32) {
        let place = self.sharding.place(index);
        if let Some(log) = &mut self.common.deliveries {
            log.note(place, self.nodes[place].me(), id);
        }
    }

    /// So much was counted of a node before, in this column.
    pub(crate) fn set_count(&mut self, index: usize, column: usize, so_far: u64) {
        let counts = self.common.watch.as_mut().and_then(|watch| watch.counts.as_mut());
        if let Some(counts) = counts {
            counts.set(self.sharding.place(index), column, so_far);
        }
    }

    /// Why its nodes cannot be written, if they cannot.
    pub(crate) fn unsaved(&self) -> Option<&'static str> {
        // All fields by name, so that none is forgotten: what is not looked at here is written, is there
        // within a bucket only, or is what the reader brings.
        let Self {
            sharding: _,
            shard: _,
            nodes: _,
            up: _,
            machines: _,
            processor: _,
            processors: _,
            dialling: _,
            connections: _,
            eclipse,
            common,
            strict,
            lanes,
            batch: _,
            last_bucket: _,
        } = self;
        // Of what is watched, only loads are written: who watches the rest has it already.
        let Common {
            queue: _,
            soon: _,
            told,
            lines: _,
            stats: _,
            deliveries,
            regional: _,
            watch: _,
        } = common;
        let found = strict.as_ref().is_some_and(|strict| strict.found().is_some());
        let twice = deliveries.as_ref().is_some_and(|log| log.twice().is_some());
        let all = [
            (lanes.is_some(), "channels"),
            (eclipse.is_some(), "an eclipse"),
            (!told.is_empty(), "services"),
            (found || twice, "a violation"),
        ];
        all.into_iter().find_map(|(is_there, what)| is_there.then_some(what))
    }

    /// All that waits, in no particular order.
    pub(crate) fn waiting(&self) -> impl Iterator<Item = &Event<P>> {
        self.common.queue.iter()
    }

    /// Something waits again for a node of this shard, since before `now`.
    pub(crate) fn wait(&mut self, event: Event<P>, now: Time) -> Result<(), ReadError> {
        if event.time < now.as_nanos() {
            return Err(ReadError::Unlike("something waits for what is over".into()));
        }
        self.common.queue.push_own(event);
        Ok(())
    }
}

/// Events in one order, whichever shards they wait in.
pub(crate) fn in_order<'a, P: SimStack>(
    events: impl Iterator<Item = &'a Event<P>>,
) -> Vec<&'a Event<P>> {
    let mut events: Vec<_> = events.collect();
    events.sort_unstable_by_key(|event| (event.time, event.key()));
    events
}
