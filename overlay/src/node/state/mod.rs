//! What a node keeps on disk: who it is, and whom it knew.
//!
//! A directory holds `identity`, the secret key in libp2p's protobuf encoding, readable by its owner
//! alone, and `peers.json`. One running node at a time uses a directory: it holds a lock on the file
//! `lock`. Files are replaced whole, so a crash leaves the old one or the new. What is broken anyway
//! is set aside, not deleted, and keeps no node from starting, except for the identity: without it
//! the node would be somebody else. Whoever else could write there could make it so, which is an error, too.
//!
//! All of this blocks on the disk.

mod disk;
mod peers;
mod store;

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use libp2p::Multiaddr;
use libp2p::identity::{KeyType, Keypair};

use crate::id::{Incarnation, NodeId};
use disk::Content;
pub(crate) use store::Store;

/// The most peers kept.
pub const MAX_PEERS: usize = 64;
/// The most addresses kept of a peer.
pub const MAX_ADDRESSES: usize = 4;
/// The most publishers kept.
pub const MAX_HEARD: usize = 1_024;

const IDENTITY: &str = "identity";
const PEERS: &str = "peers.json";
const LOCK: &str = "lock";
/// The largest files read, in bytes. An identity has 68; peers and publishers take 350 KB at the very most.
const MAX_IDENTITY_BYTES: u64 = 1024;
const MAX_PEERS_BYTES: u64 = 512 << 10;

/// A node's directory, locked until this is dropped.
#[derive(Debug)]
pub struct State {
    dir: PathBuf,
    network: String,
    /// `peers.json` is that of another network: it is moved away before it is replaced.
    foreign: bool,
    lock: fs::File,
}

/// What a directory held when it was opened.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Loaded {
    /// The node's identity: the saved one, or a new one that has been saved.
    pub keypair: Keypair,
    /// The `started` of its last known incarnation in this network.
    pub last_started: Option<u64>,
    /// The peers it knew in this network, at most 64.
    pub peers: Vec<KnownPeer>,
    /// The publishers it heard in this network, at most 1,024.
    pub heard: Vec<Heard>,
    /// Files that were broken.
    pub set_aside: Vec<SetAside>,
    /// The network that `peers.json` belongs to, if it is another one. It is not used.
    pub other_network: Option<String>,
}

/// What is saved besides the network and the identity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// The `started` of the current incarnation.
    pub started: u64,
    /// Peers, the best first: 64 of them are kept.
    pub peers: Vec<KnownPeer>,
    /// Publishers, those heard last first: 1,024 of them are kept.
    pub heard: Vec<Heard>,
}

/// How far the broadcasts of a publisher got: earlier ones are not delivered after a restart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Heard {
    /// Who published them.
    pub origin: Incarnation,
    /// One more than the highest number that was delivered.
    pub next: u64,
}

/// A peer to try after a restart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownPeer {
    /// Its identity.
    pub node: NodeId,
    /// Where it can be dialled, the best address first. Four are kept.
    pub addresses: Vec<Multiaddr>,
}

/// A file that was broken, and has been renamed. The last three of a kind are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SetAside {
    /// Its name before.
    pub path: PathBuf,
    /// Its name now: with `.corrupt-` and a number.
    pub moved_to: PathBuf,
    /// What was wrong with it.
    pub reason: String,
}

/// Why state cannot be opened or saved. What was saved before is still there.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StateError {
    /// The directory cannot be created.
    #[error(
        "the state directory {dir:?} cannot be created ({source}): give one that this user may \
         create, or create it"
    )]
    Create {
        /// The directory.
        dir: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Another node uses the directory. Nothing has been changed.
    #[error(
        "the state directory {0:?} is in use by another running node: stop that one, or give this \
         one a directory of its own"
    )]
    Locked(PathBuf),
    /// The directory belongs to somebody else, or others may write there. Nothing has been changed.
    #[error(
        "the state directory {dir:?} {why}: whoever can write there can be this node; give it to this \
         user, with mode 700"
    )]
    Exposed {
        /// The directory.
        dir: PathBuf,
        /// How.
        why: String,
    },
    /// The identity cannot be used. It has not been changed.
    #[error(
        "the identity {path:?} is broken ({reason}): restore it, or move it away to start as a new node"
    )]
    Identity {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A file is there but cannot be read. It has not been changed.
    #[error("{path:?} cannot be read ({source}): let this user read it, or move it away")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file cannot be written, locked or renamed. Its old content is still there.
    #[error(
        "{path:?} cannot be written ({source}): let this user write there, and see whether the \
         disk is full"
    )]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

impl State {
    /// Opens the directory of a node of `network`, and creates it, and an identity, if there are
    /// none. Files that are broken are set aside, except for the identity; the node then goes on without
    /// them. What happened is logged and in [`Loaded`].
    ///
    /// # Errors
    /// [`StateError`] if the directory cannot be created, is open to others, or another node uses it, if the
    /// identity is broken, or a file cannot be read or written. What was saved before is still there.
    pub fn open(dir: &Path, network: &str) -> Result<(Self, Loaded), StateError> {
        disk::create(dir).map_err(|source| StateError::Create { dir: dir.into(), source })?;
        let exposed = |why| StateError::Exposed { dir: dir.into(), why };
        disk::check_private(dir).map_err(exposed)?;
        let lock = lock(dir)?;
        disk::remove_unfinished(dir, &[IDENTITY, PEERS]);
        let mut set_aside = Vec::new();
        let keypair = identity(dir)?;
        let mut state = Self { dir: dir.into(), network: network.into(), foreign: false, lock };
        let stored = state.peers(&mut set_aside)?;
        let mut loaded = Loaded {
            keypair,
            last_started: None,
            peers: Vec::new(),
            heard: Vec::new(),
            set_aside,
            other_network: None,
        };
        match stored {
            Some(stored) if stored.network == network => {
                loaded.last_started = Some(stored.snapshot.started);
                loaded.peers = stored.snapshot.peers;
                loaded.heard = stored.snapshot.heard;
            }
            Some(stored) => {
                let path = dir.join(PEERS);
                let theirs = stored.network;
                tracing::warn!(?path, %theirs, ours = %network, "peers of another network, not used");
                loaded.other_network = Some(theirs);
                state.foreign = true;
            }
            None => {}
        }
        Ok((state, loaded))
    }

    /// Replaces what is known, whole: after a crash the old or the new is there. Peers of another
    /// network are first moved to `peers.json.other-network`.
    ///
    /// # Errors
    /// [`StateError::Write`] if it cannot be written. The old content is still there, and saving can be
    /// tried again.
    pub fn save(&mut self, snapshot: &Snapshot) -> Result<(), StateError> {
        let path = self.dir.join(PEERS);
        let bytes = peers::write(&self.network, snapshot);
        if self.foreign {
            let moved_to = self.dir.join(format!("{PEERS}.other-network"));
            match fs::rename(&path, moved_to) {
                Err(source) if source.kind() != ErrorKind::NotFound => {
                    return Err(StateError::Write { path, source });
                }
                _ => self.foreign = false,
            }
        }
        disk::replace(&path, &bytes).map_err(|source| StateError::Write { path, source })
    }

    fn peers(&self, set_aside: &mut Vec<SetAside>) -> Result<Option<peers::Stored>, StateError> {
        let path = self.dir.join(PEERS);
        let content = disk::read(&path, MAX_PEERS_BYTES);
        let reason = match content {
            Err(source) => return Err(StateError::Read { path, source }),
            Ok(Content::Missing) => return Ok(None),
            Ok(Content::TooLarge) => format!("more than {MAX_PEERS_BYTES} bytes"),
            Ok(Content::Bytes(bytes)) => match peers::read(&bytes) {
                Ok(stored) => return Ok(Some(stored)),
                Err(reason) => reason,
            },
        };
        set_aside.push(aside(path, reason, "the node starts without the peers it knew")?);
        Ok(None)
    }
}

impl Drop for State {
    fn drop(&mut self) {
        // By dropping the file alone it would go on as long as a copy of it: a process that another thread
        // is about to start has one until it runs its program.
        let _ = self.lock.unlock();
    }
}

fn lock(dir: &Path) -> Result<fs::File, StateError> {
    let path = dir.join(LOCK);
    let locked = disk::open_own(&path);
    let file = locked.map_err(|source| StateError::Write { path: path.clone(), source })?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(fs::TryLockError::WouldBlock) => Err(StateError::Locked(dir.into())),
        Err(fs::TryLockError::Error(source)) => Err(StateError::Write { path, source }),
    }
}

fn identity(dir: &Path) -> Result<Keypair, StateError> {
    let path = dir.join(IDENTITY);
    let reason = match disk::read(&path, MAX_IDENTITY_BYTES) {
        Err(source) => return Err(StateError::Read { path, source }),
        Ok(Content::Missing) => None,
        Ok(Content::TooLarge) => Some(format!("more than {MAX_IDENTITY_BYTES} bytes")),
        Ok(Content::Bytes(bytes)) => match keypair(&bytes) {
            Ok(keypair) => {
                disk::keep_private(&path);
                return Ok(keypair);
            }
            Err(reason) => Some(reason),
        },
    };
    if let Some(reason) = reason {
        return Err(StateError::Identity { path, reason });
    }
    let keypair = Keypair::generate_ed25519();
    #[allow(clippy::expect_used, reason = "an ed25519 key has an encoding")]
    let bytes = keypair.to_protobuf_encoding().expect("encodes");
    disk::replace(&path, &bytes).map_err(|source| StateError::Write { path, source })?;
    Ok(keypair)
}

fn keypair(bytes: &[u8]) -> Result<Keypair, String> {
    if bytes.is_empty() {
        return Err("the file is empty".into());
    }
    let keypair = Keypair::from_protobuf_encoding(bytes).map_err(|error| error.to_string())?;
    match keypair.key_type() {
        KeyType::Ed25519 => Ok(keypair),
        other => Err(format!("the key is of type {other}, not ed25519")),
    }
}

fn aside(path: PathBuf, reason: String, so: &str) -> Result<SetAside, StateError> {
    let moved_to = disk::set_aside(&path)
        .map_err(|source| StateError::Write { path: path.clone(), source })?;
    tracing::warn!(?path, ?moved_to, %reason, "a broken file is set aside: {so}");
    Ok(SetAside { path, moved_to, reason })
}

#[cfg(test)]
mod tests;
