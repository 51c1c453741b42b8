//! What is counted of each node, where somebody asks for it. Memory is taken for that and no more.

use crate::engine::stats::KindStats;

/// Something that is counted of a node, over all its incarnations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Count {
    /// Messages that it sent.
    Sent,
    /// Their bytes, without transport overhead.
    BytesSent,
    /// Messages that it handled.
    Received,
    /// Broadcasts that it delivered.
    Deliveries,
    /// Messages of the kind of this name that it sent.
    SentOf(String),
    /// Messages of the kind of this name that it handled.
    ReceivedOf(String),
}

/// What was counted of a shard's nodes.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Counts {
    /// How many counts a node has.
    width: usize,
    /// By kind of message, the columns that count it when it is sent, and when it is handled.
    sent: Vec<Vec<usize>>,
    received: Vec<Vec<usize>>,
    /// Columns of bytes sent, and of deliveries.
    bytes: Vec<usize>,
    deliveries: Vec<usize>,
    /// Node by node, by place.
    counts: Vec<u64>,
}

impl Counts {
    /// Counts these, of messages of these kinds.
    pub(crate) fn new(wanted: &[Count], kinds: &[KindStats]) -> Self {
        let columns = |is_it: &dyn Fn(&Count) -> bool| -> Vec<usize> {
            wanted.iter().enumerate().filter(|(_, one)| is_it(one)).map(|(at, _)| at).collect()
        };
        let sent = |kind: &KindStats| {
            columns(&|one| match one {
                Count::SentOf(name) => name == kind.name,
                one => *one == Count::Sent,
            })
        };
        let received = |kind: &KindStats| {
            columns(&|one| match one {
                Count::ReceivedOf(name) => name == kind.name,
                one => *one == Count::Received,
            })
        };
        Self {
            width: wanted.len(),
            sent: kinds.iter().map(sent).collect(),
            received: kinds.iter().map(received).collect(),
            bytes: columns(&|one| *one == Count::BytesSent),
            deliveries: columns(&|one| *one == Count::Deliveries),
            counts: Vec::new(),
        }
    }

    /// What was counted in a column of the node at this place.
    pub(crate) fn get(&self, place: usize, column: usize) -> u64 {
        self.counts.get(place * self.width + column).copied().unwrap_or(0)
    }

    /// So much was counted there before.
    pub(crate) fn set(&mut self, place: usize, column: usize, so_far: u64) {
        row(&mut self.counts, self.width, place)[column] = so_far;
    }

    /// The node at this place sent a message.
    pub(crate) fn sent(&mut self, place: usize, kind: usize, bytes: u64) {
        let row = row(&mut self.counts, self.width, place);
        self.sent.get(kind).into_iter().flatten().for_each(|at| row[*at] += 1);
        self.bytes.iter().for_each(|at| row[*at] += bytes);
    }

    /// It handled one.
    pub(crate) fn received(&mut self, place: usize, kind: usize) {
        let row = row(&mut self.counts, self.width, place);
        self.received.get(kind).into_iter().flatten().for_each(|at| row[*at] += 1);
    }

    /// It delivered a broadcast.
    pub(crate) fn delivered(&mut self, place: usize) {
        let row = row(&mut self.counts, self.width, place);
        self.deliveries.iter().for_each(|at| row[*at] += 1);
    }
}

fn row(counts: &mut Vec<u64>, width: usize, place: usize) -> &mut [u64] {
    let from = place * width;
    if counts.len() < from + width {
        counts.resize(from + width, 0);
    }
    &mut counts[from..from + width]
}
