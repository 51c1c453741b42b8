//! What was counted, in a file.

use std::io::{Read, Write};

use hdrhistogram::Histogram;

use super::{BroadcastStats, DOWN_REASONS, Stats};
use crate::engine::snapshot::{ReadError, Reader, SaveError, Writer};

impl Stats {
    /// Writes all but the marks, which only tests ask for.
    pub(crate) fn save<W: Write>(&self, to: &mut Writer<W>) -> Result<(), SaveError> {
        // All of them by name, so that none is forgotten.
        let Self { events, timers, resets, lost, shed, duplicated, dials, failed_dials, .. } = self;
        to.put(&(events, timers, resets, lost, shed, duplicated, dials, failed_dials))?;
        let Self {
            events: _,
            timers: _,
            resets: _,
            lost: _,
            shed: _,
            duplicated: _,
            dials: _,
            failed_dials: _,
            missed,
            messages,
            neighbor_ups,
            neighbor_downs,
            broadcasts,
            latency,
            digest,
            marks: _,
        } = self;
        let messages: Vec<_> = messages.iter().map(|kind| (kind.count, kind.bytes)).collect();
        to.put(&(messages, missed, neighbor_ups, neighbor_downs, digest))?;
        to.put(&broadcasts.len())?;
        broadcasts.iter().try_for_each(|broadcast| to.put(broadcast))?;
        save_histogram(latency, to)
    }

    /// Takes on what was counted in a run of the same kinds of messages, of which nothing is counted yet.
    pub(crate) fn restore<R: Read>(&mut self, from: &mut Reader<R>) -> Result<(), ReadError> {
        let Self { events, timers, resets, lost, shed, duplicated, dials, failed_dials, .. } = self;
        (*events, *timers, *resets, *lost, *shed, *duplicated, *dials, *failed_dials) =
            from.take()?;
        let (messages, missed, ups): (Vec<(u64, u64)>, u64, u64) = from.take()?;
        let (downs, digest): ([u64; DOWN_REASONS], u64) = from.take()?;
        if messages.len() != self.messages.len() {
            let (found, expected) = (messages.len(), self.messages.len());
            let message = format!("they say {found} kinds of messages, and these {expected}");
            return Err(ReadError::Unlike(message));
        }
        for (kind, (count, bytes)) in self.messages.iter_mut().zip(messages) {
            (kind.count, kind.bytes) = (count, bytes);
        }
        (self.missed, self.neighbor_ups, self.neighbor_downs) = (missed, ups, downs);
        self.digest = digest;
        let count: usize = from.take()?;
        self.broadcasts = (0..count).map(|_| from.take()).collect::<Result<_, _>>()?;
        restore_histogram(&mut self.latency, from)
    }

    /// The same broadcasts as in another shard, of which nothing is counted here.
    pub(crate) fn restore_broadcasts(&mut self, counted: &[BroadcastStats]) {
        let uncounted =
            |of: &BroadcastStats| BroadcastStats { delivered: 0, payloads: 0, last_hop: 0, ..*of };
        self.broadcasts = counted.iter().map(uncounted).collect();
    }
}

/// Writes how often which values were recorded.
pub(crate) fn save_histogram<W: Write>(
    histogram: &Histogram<u64>,
    to: &mut Writer<W>,
) -> Result<(), SaveError> {
    to.put(&counts(histogram))
}

/// Adds what another one with the same bounds had recorded.
pub(crate) fn restore_histogram<R: Read>(
    histogram: &mut Histogram<u64>,
    from: &mut Reader<R>,
) -> Result<(), ReadError> {
    add(histogram, &from.take::<Vec<_>>()?)
}

/// How often which values were recorded, as far as the histogram tells them apart.
pub(crate) fn counts(histogram: &Histogram<u64>) -> Vec<(u64, u64)> {
    let recorded = histogram.iter_recorded();
    recorded.map(|value| (value.value_iterated_to(), value.count_at_value())).collect()
}

/// Records values so often.
pub(crate) fn add(histogram: &mut Histogram<u64>, counts: &[(u64, u64)]) -> Result<(), ReadError> {
    for (value, count) in counts {
        let recorded = histogram.record_n(*value, *count);
        recorded.map_err(|error| ReadError::Unlike(error.to_string()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::stats::latency_histogram;

    #[test]
    fn a_histogram_that_was_saved_says_the_same() {
        let mut one = latency_histogram();
        for value in [0, 1, 999, 123_456, 123_457, 3_000_000_000, u64::MAX] {
            one.saturating_record(value);
            one.saturating_record(value);
        }
        let mut other = latency_histogram();
        add(&mut other, &counts(&one)).expect("the same bounds");
        assert_eq!(one, other);
        assert_eq!((one.min(), one.max(), one.len()), (other.min(), other.max(), other.len()));
        assert_eq!(one.mean(), other.mean());
    }
}
