//! Channels within a simulation: the shipped halves, hosted by the nodes beside their protocols.
//!
//! A lane leads from one node to another for one channel. Its sending half lives at the one, its
//! receiving half at the other, each in the part of its node, from its first message until the node
//! stops. What they say travels over the simulated network as on a relay ([`Path::Relay`]): each word
//! on its own, lost, late or twice like any message, and the halves see to it that it comes through.
//!
//! The hosts do what the node's do. A sender dials an address, and whoever runs there answers; a dial
//! that nobody answers is repeated, with pauses. A process that is gone answers with a reset.
//! Deadlines are those of the node's own clock. What the kinds promise is checked at every step, see
//! [`Promises`].
//!
//! [`Path::Relay`]: murmurate::channel::Path::Relay

mod books;
mod content;
mod ledger;
mod receiver;
mod sender;
mod word;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use murmurate::channel::{Kind, Limits};
use murmurate::membership::{Time, Violation};

pub use crate::channels::Promises;
use crate::node::Peer;
pub use content::LEAST_BYTES;
pub(crate) use ledger::Audit;
use ledger::Ledger;
pub use ledger::{Tally, Watch};
use receiver::Receiver;
use sender::Sender;
use word::Say;
pub(crate) use word::{KINDS, Word};

/// A channel, as all nodes declare it.
#[derive(Debug, Clone)]
pub struct Channel {
    /// Its name.
    pub name: String,
    /// Makes its halves.
    pub kind: Arc<dyn Kind>,
    /// What is checked.
    pub promises: Promises,
    /// What a half may keep.
    pub limits: Limits,
    /// Bytes of the answer to each message, if the kind has answers; at least [`LEAST_BYTES`].
    pub answer: usize,
}

/// What a node's lanes speak to while they handle one input.
pub(crate) trait Line {
    /// Who it is.
    fn me(&self) -> Peer;
    /// The true time.
    fn now(&self) -> Time;
    /// What the node's clock shows.
    fn local(&self) -> Time;
    /// Puts a word on the network.
    fn say(&mut self, to: Peer, word: Word, bytes: u64);
    /// The word comes back after so much time of the node's clock.
    fn wake(&mut self, after: Duration, word: Word);
}

/// What a half's host deals with while it handles one input.
struct Scene<'a> {
    line: &'a mut dyn Line,
    channel: &'a Channel,
    /// Its place among the channels.
    number: u16,
    ledger: &'a mut Ledger,
}

/// The lanes of one node. Only what was used is there.
#[derive(Debug, Default)]
struct Desk {
    /// By channel, and index of the other node.
    sending: BTreeMap<(u16, u32), Sender>,
    receiving: BTreeMap<(u16, u32), Receiver>,
    /// Receiving halves made so far.
    halves: u64,
}

/// The lanes of a part's nodes.
#[derive(Debug)]
pub(crate) struct Lanes {
    channels: Arc<[Channel]>,
    /// By place, up to the last node that uses channels.
    desks: Vec<Option<Box<Desk>>>,
    ledger: Ledger,
    /// Where halves are counted from: those of a clone are none of the original's.
    first: u64,
}

/// Halves cannot be copied. A clone has the same channels and no lanes: its nodes begin anew.
impl Clone for Lanes {
    fn clone(&self) -> Self {
        let mut lanes = Self::new(Arc::clone(&self.channels), self.ledger.watches());
        lanes.first = self.first + (1 << 40);
        lanes
    }
}

impl Lanes {
    pub(crate) fn new(channels: Arc<[Channel]>, watches: Vec<Watch>) -> Self {
        let ledger = Ledger::new(channels.len(), watches);
        Self { channels, desks: Vec::new(), ledger, first: 0 }
    }

    /// The node at `place` sends `bytes` on a channel to node `to`.
    pub(crate) fn push(
        &mut self,
        place: usize,
        line: &mut dyn Line,
        (channel, to): (u16, u32),
        bytes: usize,
    ) {
        let Self { channels, desks, ledger, first } = self;
        let declared = &channels[usize::from(channel)];
        let desk = desk(desks, place, *first);
        let sender = desk.sending.entry((channel, to));
        let sender = sender.or_insert_with(|| Sender::new(declared, to, *first));
        let (now, me) = (line.now(), line.me());
        let scene = Scene { line, channel: declared, number: channel, ledger };
        let kept = sender.push(scene, bytes);
        self.ledger.judge(now, me, kept);
    }

    /// A word reached the node at `place`.
    pub(crate) fn hear(&mut self, place: usize, line: &mut dyn Line, from: Peer, word: Word) {
        let Self { channels, desks, ledger, first } = self;
        let Word { channel, way, say } = word;
        let desk = desk(desks, place, *first);
        let (now, me) = (line.now(), line.me());
        let declared = &channels[usize::from(channel)];
        let mut scene = Scene { line, channel: declared, number: channel, ledger };
        let key = (channel, from.index() as u32);
        let sending = &mut desk.sending;
        let kept = match say {
            Say::Wake { to } => {
                sending.get_mut(&(channel, to)).map(|sender| sender.wake(scene, way))
            }
            Say::Welcome { half, heard } => {
                sending.get_mut(&key).map(|sender| sender.welcome(scene, (from, half), way, heard))
            }
            Say::Back { half, frame } => {
                sending.get_mut(&key).map(|sender| sender.hear(scene, (from, half), way, frame))
            }
            Say::End { to_sender: true } => {
                sending.get_mut(&key).map(|sender| sender.end(scene, way))
            }
            Say::Hello { base } => {
                let receiver = desk.receiving.entry(key).or_insert_with(|| Receiver::new(from));
                Some(receiver.greet(&mut scene, from, (way, base), &mut desk.halves))
            }
            Say::Forth { half, frame } => match desk.receiving.get_mut(&key) {
                Some(receiver) => Some(receiver.hear(&mut scene, from, (way, half), frame)),
                None => {
                    scene.unknown(from, way);
                    None
                }
            },
            Say::End { to_sender: false } => {
                if let Some(receiver) = desk.receiving.get_mut(&key) {
                    receiver.end(from, way);
                }
                None
            }
        };
        self.ledger.judge(now, me, kept.unwrap_or(Ok(())));
    }

    /// The process of the node at `place` ends. Whom its host tells so, where it does.
    pub(crate) fn hang_up(&mut self, place: usize) -> Vec<(Peer, Word)> {
        let Some(desk) = self.desks.get_mut(place).and_then(Option::take) else {
            return Vec::new();
        };
        let word = |channel, way, to_sender| Word { channel, way, say: Say::End { to_sender } };
        let sending = desk.sending.iter().filter_map(|((channel, _), sender)| {
            sender.way().map(|(way, peer)| (peer, word(*channel, way, false)))
        });
        let receiving = desk.receiving.iter().filter_map(|((channel, _), receiver)| {
            receiver.way().map(|(way, peer)| (peer, word(*channel, way, true)))
        });
        sending.chain(receiving).collect()
    }

    /// How many channels there are.
    pub(crate) fn channels(&self) -> usize {
        self.channels.len()
    }

    /// What was counted here.
    pub(crate) fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// The first invariant of a half that does not hold.
    pub(crate) fn check(&self) -> Result<(), Violation> {
        for desk in self.desks.iter().flatten() {
            desk.sending.values().try_for_each(Sender::check)?;
            desk.receiving.values().try_for_each(Receiver::check)?;
        }
        Ok(())
    }
}

fn desk(desks: &mut Vec<Option<Box<Desk>>>, place: usize, first: u64) -> &mut Desk {
    if desks.len() <= place {
        desks.resize_with(place + 1, || None);
    }
    desks[place].get_or_insert_with(|| Box::new(Desk { halves: first, ..Desk::default() }))
}

impl Scene<'_> {
    /// Says something that belongs to a way.
    fn say(&mut self, to: Peer, way: u64, say: Say) {
        let word = Word { channel: self.number, way, say };
        let bytes = word.bytes(self.channel);
        self.line.say(to, word, bytes);
    }

    /// Nobody here knows this way.
    fn unknown(&mut self, to: Peer, way: u64) {
        self.say(to, way, Say::End { to_sender: true });
    }
}

/// What an honest half says makes sense.
fn honest(outcome: Result<(), murmurate::channel::Nonsense>) -> Result<(), Violation> {
    outcome.map_err(|nonsense| Violation {
        rule: "what an honest half says makes sense",
        detail: nonsense.to_string(),
    })
}
