//! A simulation in a file, and one that goes on from there.

use std::io::{Read, Write};

use murmurate::membership::Time;

use super::{Census, SimPeer, Simulation};
use crate::engine::codec::{Codec, check_nodes};
use crate::engine::deliveries::DeliveryLog;
use crate::engine::shard::{Shard, in_order};
use crate::engine::snapshot::{ReadError, Reader, SaveError, Writer};
use crate::engine::stats::saved::{add, counts};
use crate::engine::strategy::SimStack;
use crate::model::network::mix;
use crate::model::regional::Regional;

/// Counts of one region: how often which latency was taken, and which would have been the best.
type Row = (Vec<(u64, u64)>, Vec<(u64, u64)>);
/// The rows of all regions, and how often which latency was taken by class.
type Rows = (Vec<Row>, Vec<Vec<(u64, u64)>>);

impl<P: SimStack> Simulation<P> {
    /// Writes its state: what [`Simulation::restore`] makes of it goes the same way from here on, on any
    /// number of threads. The network is not written, nor is what nodes are made with: whoever
    /// reads it brings the same.
    ///
    /// # Errors
    /// If a strategy cannot be saved (see [`Watched::storage`](crate::engine::strategy::Watched::storage)),
    /// there are services or channels, a journal is kept, or the file cannot be written.
    pub fn save<W: Write>(&self, to: &mut Writer<W>) -> Result<(), SaveError> {
        let (shards, codec) = (self.shards.all(), self.codec()?);
        to.put(&(self.now, self.len, self.shards.peak_pending(), self.out_of_incarnations))?;
        to.put(&self.publishers.len())?;
        self.publishers.iter().try_for_each(|publisher| to.put(publisher))?;
        to.put(&self.sequences.len())?;
        self.sequences.iter().try_for_each(|entry| to.put(&entry))?;
        self.stats().save(to)?;
        to.put(&self.census)?;
        self.save_regions(to)?;
        for index in 0..self.len {
            let shard = self.shards.of(index);
            to.write(|into| shard.save_node(&codec, index, into))?;
        }
        self.save_deliveries(to)?;
        let waiting = in_order(shards.iter().flat_map(Shard::waiting));
        to.put(&waiting.len())?;
        waiting.into_iter().try_for_each(|event| to.write(|into| codec.save_event(event, into)))?;
        let lines = self.lines();
        to.put(&lines)?;
        (0..lines).try_for_each(|line| {
            let lines = self.shards.of(line).common.lines.as_ref();
            lines.map_or(Ok(()), |lines| to.write(|into| lines.save(&codec, line, into)))
        })
    }

    /// How many lines nodes share. They are dealt out as nodes are.
    fn lines(&self) -> usize {
        let lines = self.shards.all().iter().filter_map(|shard| shard.common.lines.as_ref());
        lines.map(|lines| lines.count()).sum()
    }

    /// Whether it can be saved.
    ///
    /// # Errors
    /// As of [`Simulation::save`], but for the file.
    pub fn can_save(&self) -> Result<(), SaveError> {
        self.codec().map(drop)
    }

    fn codec(&self) -> Result<Codec<P>, SaveError> {
        // All fields by name, so that none is forgotten: the others are written, or brought by the reader.
        let Self {
            seed: _,
            now: _,
            shards,
            len: _,
            live: _,
            census: _,
            network: _,
            make: _,
            publishers: _,
            sequences: _,
            events,
            out_of_incarnations: _,
            eclipse: _,
            journal,
            network_touched: _,
        } = self;
        let unsaved = shards.all().iter().find_map(Shard::unsaved);
        let unsaved = unsaved.or(journal.is_some().then_some("a journal"));
        if let Some(what) = unsaved.or((!events.is_empty()).then_some("services")) {
            return Err(SaveError::With(what));
        }
        Ok(Codec::of((self.make)(SimPeer::new(0, 0), self.seed).stack())?)
    }

    fn save_regions<W: Write>(&self, to: &mut Writer<W>) -> Result<(), SaveError> {
        let all = self.shards.all().iter();
        let mut all = all.filter_map(|shard| shard.common.regional.as_deref());
        let sum = all.next().map(|first| {
            let mut sum = first.clone();
            all.for_each(|other| sum.merge(other));
            sum
        });
        let rows = |sum: &Regional| -> Rows {
            let rows = sum.rows().map(|(_, row)| (counts(&row.taken), counts(&row.best)));
            (rows.collect(), sum.classes().iter().map(counts).collect())
        };
        to.put(&sum.as_ref().map(rows))
    }

    fn save_deliveries<W: Write>(&self, to: &mut Writer<W>) -> Result<(), SaveError> {
        let logs: Option<Vec<&DeliveryLog>> =
            self.shards.all().iter().map(|shard| shard.common.deliveries.as_ref()).collect();
        let Some(logs) = logs else { return to.put(&None::<(usize, bool)>) };
        let broadcasts = logs.iter().map(|log| log.broadcasts()).max().unwrap_or(0);
        to.put(&Some((broadcasts, logs.iter().any(|log| log.has_joins()))))?;
        for id in 0..broadcasts as u32 {
            let mut bits = vec![0_u8; self.len.div_ceil(8)];
            for index in (0..self.len).filter(|index| self.has_delivered(*index, id)) {
                bits[index / 8] |= 1 << (index % 8);
            }
            to.put(&bits)?;
        }
        Ok(())
    }

    /// Takes on the state that another one wrote, whose nodes, machines and network were the same. This one
    /// has none yet. After an error it is of no use any more.
    ///
    /// # Errors
    /// If it is not the state of such a simulation, or the file cannot be read.
    pub fn restore<R: Read>(&mut self, from: &mut Reader<R>) -> Result<(), ReadError> {
        if self.len > 0 {
            return Err(ReadError::Unlike("there are nodes already".into()));
        }
        if self.journal.is_some() {
            return Err(ReadError::Unlike("a journal begins with the first node".into()));
        }
        let codec = Codec::of((self.make)(SimPeer::new(0, 0), self.seed).stack())?;
        let (now, len, peak, out) = from.take::<(Time, usize, usize, Option<usize>)>()?;
        if len > SimPeer::MAX_NODES {
            return Err(ReadError::Unlike(format!("{len} nodes are more than there can be")));
        }
        (self.now, self.out_of_incarnations) = (now, out);
        self.shards.restore_peak(peak);
        let count: usize = from.take()?;
        self.publishers = (0..count).map(|_| from.take()).collect::<Result<_, _>>()?;
        let count: usize = from.take()?;
        self.sequences = (0..count).map(|_| from.take()).collect::<Result<_, _>>()?;
        self.restore_stats(from)?;
        let census: Vec<Census> = from.take()?;
        if census.len() != self.census.len() {
            return Err(ReadError::Unlike("its classes are others".into()));
        }
        self.census = census;
        self.restore_regions(from)?;
        for index in 0..len {
            let (make, seed, network) = (&self.make, self.seed, &self.network);
            let make = |me: SimPeer| make(me, node_seed(seed, me));
            let shard = self.shards.of_mut(index);
            let is_up =
                from.read(|from| shard.restore_node(&codec, (network, index), make, from))?;
            self.len += 1;
            self.live += usize::from(is_up);
        }
        self.restore_deliveries(from)?;
        let count: usize = from.take()?;
        for _ in 0..count {
            let event = from.read(|from| codec.read_event(from))?;
            check_nodes(&event, len)?;
            self.shards.of_mut(event.to.index()).wait(event, now)?;
        }
        self.restore_lines(&codec, from)
    }

    fn restore_lines<R: Read>(
        &mut self,
        codec: &Codec<P>,
        from: &mut Reader<R>,
    ) -> Result<(), ReadError> {
        let (count, nodes): (usize, usize) = (from.take()?, self.len);
        if count != self.lines() {
            return Err(ReadError::Unlike("other lines are shared".into()));
        }
        for line in 0..count {
            if let Some(lines) = &mut self.shards.of_mut(line).common.lines {
                from.read(|from| lines.restore(codec, line, nodes, from))?;
            }
        }
        Ok(())
    }

    /// What was counted stands in the first shard, as if all of it had happened there.
    fn restore_stats<R: Read>(&mut self, from: &mut Reader<R>) -> Result<(), ReadError> {
        let [first, others @ ..] = self.shards.all_mut() else { return Ok(()) };
        first.common.stats.restore(from)?;
        for other in others {
            other.common.stats.restore_broadcasts(&first.common.stats.broadcasts);
        }
        Ok(())
    }

    fn restore_regions<R: Read>(&mut self, from: &mut Reader<R>) -> Result<(), ReadError> {
        let rows: Option<Rows> = from.take()?;
        let regional = self.shards.all_mut().first_mut();
        let regional = regional.and_then(|shard| shard.common.regional.as_mut());
        let Some(regional) = regional else { return Ok(()) };
        let is_like = |(rows, classes): &Rows| {
            (rows.len(), classes.len()) == (regional.rows().count(), regional.classes().len())
        };
        let rows = rows.filter(is_like);
        let (rows, classes) =
            rows.ok_or_else(|| ReadError::Unlike("its regions are others".into()))?;
        for (row, (taken, best)) in regional.rows_mut().zip(&rows) {
            add(&mut row.taken, taken)?;
            add(&mut row.best, best)?;
        }
        for (class, counted) in regional.classes_mut().zip(&classes) {
            add(class, counted)?;
        }
        Ok(())
    }

    fn restore_deliveries<R: Read>(&mut self, from: &mut Reader<R>) -> Result<(), ReadError> {
        let logged: Option<(usize, bool)> = from.take()?;
        let (len, shards) = (self.len, self.shards.all_mut());
        let mut wanted = shards.iter().filter_map(|shard| shard.common.deliveries.as_ref());
        let (is_wanted, wants_joins) =
            wanted.next().map_or((false, false), |log| (true, log.has_joins()));
        let Some((broadcasts, has_joins)) = logged else {
            let message = "deliveries were not logged".to_owned();
            return if is_wanted { Err(ReadError::Unlike(message)) } else { Ok(()) };
        };
        if wants_joins && !has_joins {
            return Err(ReadError::Unlike("joins were not logged".into()));
        }
        for id in 0..broadcasts as u32 {
            let bits: Vec<u8> = from.take()?;
            if bits.len() != len.div_ceil(8) {
                return Err(ReadError::Unlike("deliveries are those of other nodes".into()));
            }
            let delivered = |index: &usize| bits[index / 8] & (1 << (index % 8)) != 0;
            for index in (0..len).filter(delivered) {
                self.shards.of_mut(index).restore_delivery(index, id);
            }
        }
        Ok(())
    }
}

/// The seed of a node's own draws.
pub(super) fn node_seed(seed: u64, me: SimPeer) -> u64 {
    mix(seed ^ u64::from(me.bits()).wrapping_mul(0xd134_2543_de82_ef95))
}
