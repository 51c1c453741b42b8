//! Messages that nobody should send, for tests.

use std::ops::Range;

/// How many messages a test spoils: so many as the environment variable `SPOILED` says, or `usually`.
pub(crate) fn how_many(usually: usize) -> usize {
    let said = std::env::var("SPOILED").ok();
    said.map_or(usually, |said| said.parse().expect("SPOILED is a number"))
}

/// SplitMix64: the same messages everywhere.
pub(crate) struct Draw(pub(crate) u64);

impl Draw {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit.max(1) as u64) as usize
    }

    /// One of these.
    pub(crate) fn of<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        &all[self.below(all.len())]
    }

    fn bytes(&mut self, most: usize) -> Vec<u8> {
        let length = self.below(most + 1);
        (0..length).map(|_| self.next() as u8).collect()
    }
}

/// What a message begins with.
pub(crate) struct Header {
    pub(crate) bytes: usize,
    /// Where it says how long the rest is, big endian.
    pub(crate) length: Range<usize>,
    /// Where that rest begins.
    pub(crate) rest: usize,
    /// Where its kind or version is, and how many there are.
    pub(crate) kind: (usize, usize),
}

pub(crate) const WAYS: usize = 9;

impl Header {
    /// Spoils a message in up to three of the [`WAYS`], with parts of one of `others`. The last of
    /// these ways.
    pub(crate) fn spoil(
        &self,
        message: &mut Vec<u8>,
        others: &[Vec<u8>],
        draw: &mut Draw,
    ) -> usize {
        let other = &others[draw.below(others.len())];
        let mut way = 0;
        for _ in 0..=draw.below(3) {
            way = draw.below(WAYS);
            if message.len() >= self.bytes {
                self.spoil_once(way, message, other, draw);
            }
        }
        if draw.below(4) > 0 && message.len() >= self.bytes {
            let rest = message.len() - self.rest;
            self.say_length(message, rest);
        }
        way
    }

    fn spoil_once(&self, way: usize, message: &mut Vec<u8>, other: &[u8], draw: &mut Draw) {
        let at = draw.below(message.len());
        match way {
            0 => {
                for _ in 0..=draw.below(8) {
                    let at = draw.below(message.len());
                    message[at] ^= 1 << draw.below(8);
                }
            }
            1 => message.truncate(at),
            2 => {
                let almost = message.len().wrapping_sub(self.rest + 1);
                let said = *draw.of(&[usize::MAX, almost, 0xff_ffff, 0]);
                let said = if said == usize::MAX { draw.next() as usize } else { said };
                self.say_length(message, said);
            }
            3 => {
                // A number that is far too large, or too long for its type.
                let bytes = [0xff; 10];
                let length = *draw.of(&[1, 2, 3, 4, 9]);
                let last = *draw.of(&[0x01, 0x0f, 0x7f]);
                let at = at.max(self.bytes.min(message.len()));
                let end = message.len().min(at + draw.below(3));
                message.splice(at..end, bytes[..length].iter().copied().chain([last]));
            }
            4 => {
                message.truncate(at.max(self.bytes));
                message.extend_from_slice(&other[draw.below(other.len())..]);
            }
            5 => {
                let mut header = vec![0; self.bytes];
                header[self.kind.0] = draw.below(self.kind.1) as u8;
                *message = [header, draw.bytes(120)].concat();
            }
            6 => message[self.kind.0] = draw.below(self.kind.1) as u8,
            7 => {
                let end = message.len().min(at + draw.below(40));
                let again = message[at..end].to_vec();
                let into = draw.below(message.len());
                message.splice(into..into, again);
            }
            _ => message.extend(draw.bytes(20)),
        }
    }

    /// Lets the header announce so many bytes.
    fn say_length(&self, message: &mut [u8], length: usize) {
        let bytes = (length as u64).to_be_bytes();
        message[self.length.clone()].copy_from_slice(&bytes[bytes.len() - self.length.len()..]);
    }
}
