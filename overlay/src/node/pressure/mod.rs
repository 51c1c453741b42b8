//! Overload is refused at its source: a publisher is paced by what the overlay takes.
//!
//! Two things show a queue. *Links*: behind the payloads of a link goes a probe now and then,
//! through the same queues, and the peer echoes it once it has handled what came before; see
//! [`Flow`]. *Arrivals*: the broadcasts of others bear the time of their publishing; see [`Arrivals`].
//! Both are measured as in LEDBAT (RFC 6817, section 2.4.2): what a way takes longer than its
//! shortest time of late is queueing, and clocks that differ do not matter.
//!
//! With its echo a peer says what it sees itself, and what it was told, a little less of it at each
//! link: so delays far down a tree come up to whoever publishes into it. A [`Pacer`] turns all this
//! into a rate. As in adaptive gossip (Rodrigues et al., DSN 2003) each publisher finds its own.
//!
//! Of links, peers and origins the word of most counts, never that of one: who is slow or lies
//! slows down nobody but itself.

mod arrivals;
mod flow;
mod pacer;

use std::time::Duration;

use tokio::time::Instant;

pub(crate) use arrivals::Arrivals;
pub(crate) use flow::Flow;
pub(crate) use pacer::Pacer;

/// What a payload costs beside its bytes: small ones take time, too.
const OVERHEAD: usize = 256;
/// The shortest time of a way is that of the last one to two of these.
const SHORTEST: Duration = Duration::from_secs(30);

/// What a payload of so many bytes costs.
fn cost(bytes: usize) -> u64 {
    bytes.saturating_add(OVERHEAD) as u64
}

/// What more than half of the values are at least.
fn most(values: impl Iterator<Item = Duration>) -> Option<Duration> {
    let mut values: Vec<_> = values.collect();
    values.sort_unstable_by(|one, other| other.cmp(one));
    values.get(values.len() / 2).copied()
}

/// What most of these links show.
pub(crate) fn links<'a>(flows: impl Iterator<Item = &'a Flow> + Clone, now: Instant) -> Links {
    let delay = most(flows.clone().filter_map(|flow| flow.delay(now))).unwrap_or_default();
    let round_trip = most(flows.filter_map(Flow::round_trip)).unwrap_or_default();
    Links { delay, round_trip }
}

/// What most links of a node show.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Links {
    /// How long payloads queue on them, and behind them.
    pub(crate) delay: Duration,
    /// How long a word takes there and back when nothing queues.
    pub(crate) round_trip: Duration,
}

/// The shortest of late.
#[derive(Debug)]
struct Shortest<T> {
    since: Instant,
    /// Of this period, and the one before.
    of: [Option<T>; 2],
}

impl<T: Ord + Copy> Shortest<T> {
    fn new(now: Instant) -> Self {
        Self { since: now, of: [None; 2] }
    }

    /// Notes a time; the shortest one, this included.
    fn note(&mut self, now: Instant, time: T) -> T {
        let gone = now.duration_since(self.since);
        if gone >= SHORTEST {
            let before = self.of[0].filter(|_| gone < 2 * SHORTEST);
            *self = Self { since: now, of: [None, before] };
        }
        let [of, before] = &mut self.of;
        let shortest = of.map_or(time, |of| of.min(time));
        *of = Some(shortest);
        before.map_or(shortest, |before| before.min(shortest))
    }

    fn get(&self) -> Option<T> {
        self.of.into_iter().flatten().min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_word_of_most_counts() {
        let of = |millis: &[u64]| most(millis.iter().map(|ms| Duration::from_millis(*ms)));
        assert_eq!(of(&[]), None);
        for (values, said) in
            [(vec![9], 9), (vec![9, 1], 1), (vec![9, 9, 1], 9), (vec![9, 9, 1, 1], 1)]
        {
            assert_eq!(of(&values), Some(Duration::from_millis(said)), "{values:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_short_long_ago_is_forgotten() {
        let start = Instant::now();
        let mut shortest = Shortest::new(start);
        assert_eq!(shortest.get(), None);
        assert_eq!(shortest.note(start, 5), 5);
        assert_eq!(shortest.note(start + SHORTEST, 9), 5);
        assert_eq!(shortest.note(start + SHORTEST, 7), 5);
        assert_eq!(shortest.note(start + 2 * SHORTEST, 9), 7);
        assert_eq!(shortest.get(), Some(7));
        assert_eq!(shortest.note(start + 9 * SHORTEST, 20), 20, "nothing was measured for long");
    }
}
