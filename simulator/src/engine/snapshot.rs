//! The file that a simulation is written to: pieces, each with its length and a checksum, so that what
//! is cut off, changed or none of ours is known before anything is made of it.

use std::hash::Hasher as _;
use std::io::{self, Read, Write};

use serde::Serialize;
use serde::de::DeserializeOwned;
use siphasher::sip::SipHasher13;

use crate::engine::storage::{self, Garbled};

const MAGIC: &[u8; 16] = b"murmurate state\n";
/// Changes with whatever is written, and in which order.
const FORMAT: u32 = 9;
/// A piece is closed once it has so many bytes.
const FULL: usize = 1 << 20;
/// No piece has more: it ends with the state of one node.
const MOST: usize = 1 << 28;

/// Why a simulation cannot be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SaveError {
    /// A strategy whose state nobody knows how to write.
    #[error("the {0} strategy cannot be saved")]
    Strategy(&'static str),
    /// Something that is not written.
    #[error("a simulation with {0} cannot be saved")]
    With(&'static str),
    /// State that cannot be written.
    #[error("the state cannot be encoded: {0}")]
    Encoding(#[from] Garbled),
    /// The file cannot be written.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Why a simulation cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// A file of something else.
    #[error("it is no saved overlay")]
    Foreign,
    /// A file of another version.
    #[error("its format is {found}, and this program reads {FORMAT}")]
    Format {
        /// That of the file.
        found: u32,
    },
    /// It ends too early.
    #[error("it is cut off")]
    CutOff,
    /// It was changed after it was written.
    #[error("it is damaged: piece {piece} is not as it was written")]
    Damaged {
        /// Which, from 0.
        piece: u64,
    },
    /// Whole, but not of such a simulation.
    #[error("it is of another kind of nodes: {0}")]
    Unlike(String),
    /// A strategy whose state nobody knows how to read.
    #[error("the {0} strategy cannot be saved")]
    Strategy(&'static str),
    /// The file cannot be read.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl From<Garbled> for ReadError {
    fn from(error: Garbled) -> Self {
        Self::Unlike(error.to_string())
    }
}

/// A file that is being written.
pub struct Writer<W: Write> {
    to: W,
    piece: Vec<u8>,
    pieces: u64,
    bytes: u64,
}

impl<W: Write> Writer<W> {
    /// Begins one.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn new(mut to: W) -> Result<Self, SaveError> {
        to.write_all(MAGIC)?;
        to.write_all(&FORMAT.to_le_bytes())?;
        let bytes = MAGIC.len() + size_of::<u32>();
        Ok(Self { to, piece: Vec::new(), pieces: 0, bytes: bytes as u64 })
    }

    /// Writes plain data.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn put<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), SaveError> {
        self.write(|into| Ok(storage::save(value, into)?))
    }

    /// Writes what `what` adds to the bytes, which is read in one go as well.
    pub(crate) fn write(
        &mut self,
        what: impl FnOnce(&mut Vec<u8>) -> Result<(), SaveError>,
    ) -> Result<(), SaveError> {
        what(&mut self.piece)?;
        if self.piece.len() < FULL { Ok(()) } else { self.close() }
    }

    /// Closes the piece, so that it can be read without what follows.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn close(&mut self) -> Result<(), SaveError> {
        if self.piece.len() > MOST {
            return Err(SaveError::With("a node whose state takes more than 256 MiB"));
        }
        let length = self.piece.len() as u32;
        self.to.write_all(&length.to_le_bytes())?;
        self.to.write_all(&sum(self.pieces, &self.piece).to_le_bytes())?;
        self.to.write_all(&self.piece)?;
        self.bytes += (HEAD + self.piece.len()) as u64;
        self.pieces += 1;
        self.piece.clear();
        Ok(())
    }

    /// Ends the file, and says how many bytes it has.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn finish(mut self) -> Result<u64, SaveError> {
        if !self.piece.is_empty() {
            self.close()?;
        }
        // An empty one is the last.
        self.close()?;
        self.to.flush()?;
        Ok(self.bytes)
    }
}

/// Bytes before a piece: its length and its checksum.
const HEAD: usize = size_of::<u32>() + size_of::<u64>();

fn sum(piece: u64, bytes: &[u8]) -> u64 {
    let mut hasher = SipHasher13::new_with_keys(u64::from(FORMAT), piece);
    hasher.write(bytes);
    hasher.finish()
}

/// A file that is being read.
pub struct Reader<R: Read> {
    from: R,
    piece: Vec<u8>,
    at: usize,
    pieces: u64,
    is_over: bool,
}

impl<R: Read> Reader<R> {
    /// Begins to read one.
    ///
    /// # Errors
    /// If it is none of ours, or of another version.
    pub fn new(mut from: R) -> Result<Self, ReadError> {
        let mut magic = [0; MAGIC.len()];
        let mut format = [0; size_of::<u32>()];
        let begun = from.read_exact(&mut magic).and_then(|()| from.read_exact(&mut format));
        match begun {
            Err(error) if error.kind() != io::ErrorKind::UnexpectedEof => return Err(error.into()),
            Ok(()) if magic == *MAGIC => {}
            _ => return Err(ReadError::Foreign),
        }
        let found = u32::from_le_bytes(format);
        if found != FORMAT {
            return Err(ReadError::Format { found });
        }
        Ok(Self { from, piece: Vec::new(), at: 0, pieces: 0, is_over: false })
    }

    /// Reads plain data.
    ///
    /// # Errors
    /// If it is not there, or something else is.
    pub fn take<T: DeserializeOwned>(&mut self) -> Result<T, ReadError> {
        self.read(|from| Ok(storage::read(from)?))
    }

    /// Reads what `what` takes of the bytes.
    pub(crate) fn read<T>(
        &mut self,
        what: impl FnOnce(&mut &[u8]) -> Result<T, ReadError>,
    ) -> Result<T, ReadError> {
        if self.at == self.piece.len() {
            self.open()?;
        }
        let mut rest = &self.piece[self.at..];
        let read = what(&mut rest)?;
        self.at = self.piece.len() - rest.len();
        Ok(read)
    }

    fn open(&mut self) -> Result<(), ReadError> {
        if self.is_over {
            return Err(ReadError::CutOff);
        }
        let cut_off = |error: io::Error| match error.kind() {
            io::ErrorKind::UnexpectedEof => ReadError::CutOff,
            _ => error.into(),
        };
        let (mut length, mut expected) = ([0; size_of::<u32>()], [0; size_of::<u64>()]);
        self.from.read_exact(&mut length).map_err(cut_off)?;
        self.from.read_exact(&mut expected).map_err(cut_off)?;
        let length = u32::from_le_bytes(length) as usize;
        if length > MOST {
            return Err(ReadError::Damaged { piece: self.pieces });
        }
        (self.at, self.is_over) = (0, length == 0);
        self.piece.clear();
        // Grows with what really comes.
        let read = self.from.by_ref().take(length as u64).read_to_end(&mut self.piece)?;
        if read < length {
            return Err(ReadError::CutOff);
        }
        if sum(self.pieces, &self.piece) != u64::from_le_bytes(expected) {
            return Err(ReadError::Damaged { piece: self.pieces });
        }
        self.pieces += 1;
        Ok(())
    }

    /// Everything was read, and nothing else is there.
    ///
    /// # Errors
    /// If something is.
    pub fn finish(mut self) -> Result<(), ReadError> {
        if self.at == self.piece.len() && !self.is_over {
            self.open()?;
        }
        let is_behind = self.from.read(&mut [0])? > 0;
        if !self.is_over || is_behind {
            return Err(ReadError::Unlike("there is more than was looked for".into()));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(values: &[u64]) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut writer = Writer::new(&mut bytes).expect("room");
        for value in values {
            writer.put(value).expect("room");
            writer.close().expect("room");
        }
        let count = writer.finish().expect("room");
        assert_eq!(count, bytes.len() as u64);
        bytes
    }

    fn read(bytes: &[u8], values: usize) -> Result<Vec<u64>, ReadError> {
        let mut reader = Reader::new(bytes)?;
        let read = (0..values).map(|_| reader.take()).collect::<Result<_, _>>()?;
        reader.finish()?;
        Ok(read)
    }

    #[test]
    fn what_was_written_is_read_and_nothing_else() {
        let values = [1, u64::MAX, 3];
        let bytes = written(&values);
        assert_eq!(read(&bytes, 3).expect("whole"), values);
        assert!(matches!(read(&bytes, 2), Err(ReadError::Unlike(_))), "one is left");
        assert!(matches!(read(&bytes, 4), Err(ReadError::CutOff | ReadError::Unlike(_))));
        assert!(read(&[&bytes[..], b"x"].concat(), 3).is_err(), "something is behind");
    }

    #[test]
    fn no_byte_can_be_lost_or_changed() {
        let bytes = written(&[7, 8, 9]);
        for length in 0..bytes.len() {
            assert!(read(&bytes[..length], 3).is_err(), "{length} bytes of {}", bytes.len());
        }
        for at in 0..bytes.len() {
            for bit in 0..8 {
                let mut changed = bytes.clone();
                changed[at] ^= 1 << bit;
                assert!(read(&changed, 3).is_err(), "bit {bit} of byte {at}");
            }
        }
    }

    #[test]
    fn pieces_have_their_places() {
        let (one, other) = (written(&[1, 2]), written(&[2, 1]));
        let start = MAGIC.len() + size_of::<u32>();
        let piece = HEAD + 1;
        let swapped = [&one[..start], &one[start + piece..][..piece], &one[start..][..piece]];
        let swapped = [swapped.concat(), one[start + 2 * piece..].to_vec()].concat();
        assert_eq!(swapped.len(), other.len());
        assert!(matches!(read(&swapped, 2), Err(ReadError::Damaged { piece: 0 })));
    }

    #[test]
    fn a_length_that_is_made_up_allocates_nothing() {
        let mut bytes = written(&[]);
        let at = MAGIC.len() + size_of::<u32>();
        bytes[at..at + 4].copy_from_slice(&(MOST as u32).to_le_bytes());
        assert!(matches!(read(&bytes, 1), Err(ReadError::CutOff)));
        bytes[at..at + 4].copy_from_slice(&u32::MAX.to_le_bytes());
        assert!(matches!(read(&bytes, 1), Err(ReadError::Damaged { piece: 0 })));
    }
}
