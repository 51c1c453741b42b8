//! What neighbours say to find out what either of them missed.

use core::marker::PhantomData;

use murmurate_membership::{FRAME_HEADER, Sizes, Wire};
use thin_vec::ThinVec;

use crate::Id;
use crate::protocol::Carries;

/// Parts that a [`Message::Compare`] names: no peer sends more.
pub const MAX_PARTS: usize = 256;
/// Origins that a [`Message::Have`] or a [`Message::Want`] names: no peer sends more.
pub const MAX_ORIGINS: usize = 256;

/// A message of [`AntiEntropy`](super::AntiEntropy) around a strategy whose messages are `M`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(
    feature = "serde",
    serde(bound(
        serialize = "M: serde::Serialize, O: serde::Serialize, I: serde::Serialize, D: serde::Serialize",
        deserialize = "M: serde::Deserialize<'de>, O: serde::Deserialize<'de>, I: serde::Deserialize<'de>, D: serde::Deserialize<'de>"
    ))
)]
pub enum Message<M, O, I, D> {
    /// A message of the strategy inside.
    Inner(M),
    /// Compare these parts of what the sender has with yours, and tell it where they differ.
    Compare {
        /// How long ago the sender joined, in milliseconds. It needs nothing from before that.
        uptime: u32,
        /// The parts, with their digests.
        #[cfg_attr(
            feature = "serde",
            serde(
                deserialize_with = "murmurate_membership::bounded::deserialize::<_, _, MAX_PARTS>"
            )
        )]
        parts: ThinVec<Summary>,
    },
    /// All that the sender has in these parts.
    Have {
        /// As in `Compare`.
        uptime: u32,
        /// Which parts.
        #[cfg_attr(
            feature = "serde",
            serde(
                deserialize_with = "murmurate_membership::bounded::deserialize::<_, _, MAX_PARTS>"
            )
        )]
        parts: ThinVec<Part>,
        /// What it has, by origin.
        #[cfg_attr(
            feature = "serde",
            serde(
                deserialize_with = "murmurate_membership::bounded::deserialize::<_, _, MAX_ORIGINS>"
            )
        )]
        origins: ThinVec<Span<O>>,
        /// For how many of them, the first ones, the sender is certain where they begin.
        sure: u16,
        /// Whether it answers such a message about these parts, so that no answer is due.
        answer: bool,
    },
    /// Send these to the sender.
    Want(
        /// Runs of consecutive broadcasts.
        #[cfg_attr(
            feature = "serde",
            serde(
                deserialize_with = "murmurate_membership::bounded::deserialize::<_, _, MAX_ORIGINS>"
            )
        )]
        ThinVec<Span<O>>,
    ),
    /// A broadcast that was asked for.
    Reply {
        /// Its name.
        id: I,
        /// Links it has crossed when it arrives.
        round: u16,
        /// How long ago it was published, as far as its sender knows, in milliseconds.
        age: u32,
        /// Its content.
        payload: D,
    },
}

/// Broadcasts of one origin, from one sequence to before another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Span<O> {
    /// The origin.
    pub origin: O,
    /// The first.
    pub from: u64,
    /// One more than the last.
    pub to: u64,
}

/// A part of all origins: those whose digest begins with these bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Part {
    /// Groups of four bits, the first ones lowest; little endian.
    prefix: [u8; 4],
    /// How many groups.
    depth: u8,
}

/// A part and the digest of what its sender has in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Summary {
    /// Which part.
    pub part: Part,
    /// Of all origins in it and how far each came; little endian.
    pub digest: [u8; 8],
}

impl Part {
    /// Bits by which a part is split.
    const BITS: u32 = 4;
    const DEEPEST: u8 = 8;
    /// Everything.
    pub const ALL: Self = Self { prefix: [0; 4], depth: 0 };

    /// Whether an origin with this digest belongs to it.
    #[must_use]
    pub fn holds(self, digest: u64) -> bool {
        let bits = Self::BITS * u32::from(self.depth.min(Self::DEEPEST));
        digest & ((1 << bits) - 1) == u32::from_le_bytes(self.prefix).into()
    }

    /// The parts it is split into; `None` if it is too small for that.
    pub fn split(self) -> Option<impl Iterator<Item = Self>> {
        (self.depth < Self::DEEPEST).then(|| {
            let shift = Self::BITS * u32::from(self.depth);
            let prefix = u32::from_le_bytes(self.prefix);
            (0..1 << Self::BITS).map(move |group: u32| Self {
                prefix: (prefix | group << shift).to_le_bytes(),
                depth: self.depth + 1,
            })
        })
    }
}

impl<M, O, I, D> Message<M, O, I, D> {
    /// The same around another message of the strategy inside; `None` if there is none instead.
    pub fn inside<N>(self, instead: impl FnOnce(M) -> Option<N>) -> Option<Message<N, O, I, D>> {
        Some(match self {
            Self::Inner(message) => Message::Inner(instead(message)?),
            Self::Compare { uptime, parts } => Message::Compare { uptime, parts },
            Self::Have { uptime, parts, origins, sure, answer } => {
                Message::Have { uptime, parts, origins, sure, answer }
            }
            Self::Want(spans) => Message::Want(spans),
            Self::Reply { id, round, age, payload } => Message::Reply { id, round, age, payload },
        })
    }
}

/// Bytes of a sequence number, mostly.
const SEQUENCE: usize = 4;

/// The kinds of messages: those of the strategy inside, and four more.
struct Kinds<M>(PhantomData<M>);

impl<M: Wire> Kinds<M> {
    const OWN: [&'static str; 4] = ["compare", "have", "want", "reply"];
    /// With room for strategies that say up to a dozen things.
    const ALL: [&'static str; 16] = {
        let mut all = [""; 16];
        let mut at = 0;
        while at < M::KINDS.len() + Self::OWN.len() {
            all[at] = match at.checked_sub(M::KINDS.len()) {
                None => M::KINDS[at],
                Some(own) => Self::OWN[own],
            };
            at += 1;
        }
        all
    };
}

impl<M: Wire, O, I, D> Wire for Message<M, O, I, D> {
    const KINDS: &'static [&'static str] =
        Kinds::<M>::ALL.split_at(M::KINDS.len() + Kinds::<M>::OWN.len()).0;

    fn kind(&self) -> usize {
        let own = match self {
            Self::Inner(message) => return message.kind(),
            Self::Compare { .. } => 0,
            Self::Have { .. } => 1,
            Self::Want(_) => 2,
            Self::Reply { .. } => 3,
        };
        M::KINDS.len() + own
    }

    fn wire_len(&self, sizes: &Sizes) -> usize {
        let span = sizes.id + SEQUENCE;
        FRAME_HEADER
            + match self {
                Self::Inner(message) => return message.wire_len(sizes),
                Self::Compare { parts, .. } => 5 + parts.len() * size_of::<Summary>(),
                Self::Have { parts, origins, .. } => {
                    8 + parts.len() * size_of::<Part>() + origins.len() * span
                }
                Self::Want(spans) => 1 + spans.len() * span,
                Self::Reply { .. } => {
                    sizes.id + size_of::<u16>() + size_of::<u32>() + sizes.payload
                }
            }
    }
}

impl<M: Carries<I, Payload = D>, O, I: Id, D> Carries<I> for Message<M, O, I, D> {
    type Payload = D;
    type Head = Message<M::Head, O, I, ()>;

    fn carries(&self) -> Option<I> {
        match self {
            Self::Inner(message) => message.carries(),
            Self::Reply { id, .. } => Some(*id),
            _ => None,
        }
    }

    fn payload(&self) -> Option<&D> {
        match self {
            Self::Inner(message) => message.payload(),
            Self::Reply { payload, .. } => Some(payload),
            _ => None,
        }
    }

    fn is_repair(&self) -> bool {
        match self {
            Self::Inner(message) => message.is_repair(),
            _ => matches!(self, Self::Reply { .. }),
        }
    }

    fn split(self) -> (Self::Head, Option<D>) {
        match self {
            Self::Inner(message) => {
                let (head, payload) = message.split();
                (Message::Inner(head), payload)
            }
            Self::Compare { uptime, parts } => (Message::Compare { uptime, parts }, None),
            Self::Have { uptime, parts, origins, sure, answer } => {
                (Message::Have { uptime, parts, origins, sure, answer }, None)
            }
            Self::Want(spans) => (Message::Want(spans), None),
            Self::Reply { id, round, age, payload } => {
                (Message::Reply { id, round, age, payload: () }, Some(payload))
            }
        }
    }

    fn join(head: Self::Head, payload: Option<D>) -> Option<Self> {
        Some(match (head, payload) {
            (Message::Inner(head), payload) => Self::Inner(M::join(head, payload)?),
            (Message::Reply { id, round, age, .. }, Some(payload)) => {
                Self::Reply { id, round, age, payload }
            }
            (Message::Compare { uptime, parts }, None) => Self::Compare { uptime, parts },
            (Message::Have { uptime, parts, origins, sure, answer }, None) => {
                Self::Have { uptime, parts, origins, sure, answer }
            }
            (Message::Want(spans), None) => Self::Want(spans),
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_of_a_part_hold_what_it_holds_each_once() {
        let mut parts: ThinVec<Part> = Part::ALL.split().expect("everything").collect();
        for _ in 0..2 {
            parts = parts.iter().flat_map(|part| part.split().expect("large")).collect();
        }
        for digest in [0, 1, u64::MAX, 0x0123_4567_89ab_cdef] {
            assert!(Part::ALL.holds(digest));
            assert_eq!(parts.iter().filter(|part| part.holds(digest)).count(), 1);
        }
        let deepest = Part { prefix: [u8::MAX; 4], depth: u8::MAX };
        assert!(
            deepest.holds(u64::MAX) && deepest.split().is_none(),
            "a made-up part harms nobody"
        );
    }
}
