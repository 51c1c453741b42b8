//! A node's gate: says what the node proves to others, and judges what they prove.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::notice::Notice;
use super::{Admission, Certificate, Certified, Denial, SecretId};
use crate::NodeId;
use crate::id::NetworkHash;
use crate::node::clock;

/// What a node has proven, which may be of no use later.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Pass {
    /// Nothing but the network's name.
    Open,
    /// That it holds this secret.
    Secret(SecretId),
    /// Its identity.
    Listed,
    /// That it has this certificate.
    Certified(Box<Certificate>),
}

/// Which end of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Dialler,
    Listener,
}

impl Side {
    fn other(self) -> Self {
        match self {
            Self::Dialler => Self::Listener,
            Self::Listener => Self::Dialler,
        }
    }
}

/// What one side says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Claim {
    network: NetworkHash,
    proof: Proof,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
enum Proof {
    Open,
    Secret([u8; 32]),
    Listed,
    Certified(Box<Certificate>),
}

/// What proofs by a secret are about.
const SECRET: &[u8] = b"murmurate admission 1\0";

/// What a node proved last.
#[derive(Debug)]
struct Proven {
    pass: Pass,
    since: Instant,
    /// When it was last asked to prove something newer.
    asked: Option<Instant>,
}

/// Shared by all connections of a node.
#[derive(Debug)]
pub(crate) struct Gate {
    me: NodeId,
    network: NetworkHash,
    admission: Mutex<Arc<Admission>>,
    /// How often the cluster's secrets have changed.
    secrets: AtomicU64,
    /// Of nodes that are connected, or were a moment ago.
    proven: Mutex<BTreeMap<NodeId, Proven>>,
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing panics while it holds one; if it did, the content would still be whole.
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Gate {
    pub(crate) fn new(me: NodeId, network: &str, admission: Admission) -> Self {
        Self {
            me,
            network: NetworkHash::of(network),
            admission: Mutex::new(Arc::new(admission)),
            secrets: AtomicU64::new(0),
            proven: Mutex::default(),
        }
    }

    pub(crate) fn admission(&self) -> Arc<Admission> {
        Arc::clone(&lock(&self.admission))
    }

    /// Judges by this from now on, also those that are connected. Revocations that are known already stay
    /// known. Whether other nodes must know of it.
    pub(crate) fn replace(&self, mut admission: Admission) -> bool {
        let mut present = lock(&self.admission);
        let spreads = match (&**present, &mut admission) {
            (Admission::Secret(old), Admission::Secret(new)) if old != new => {
                self.secrets.fetch_add(1, Ordering::Relaxed);
                true
            }
            (Admission::Certified(old), Admission::Certified(new)) => {
                let known = &old.revocations;
                let is_later = new.revocations.number() > known.number();
                if !is_later && new.authorities.iter().any(|by| known.is_of(*by)) {
                    new.revocations = known.clone();
                }
                is_later
            }
            _ => false,
        };
        *present = Arc::new(admission);
        spreads
    }

    /// What all nodes must know of this one's admission.
    pub(crate) fn notice(&self) -> Option<Notice> {
        Notice::of(&lock(&self.admission), self.secrets.load(Ordering::Relaxed))
    }

    /// The number of that; 0 for none.
    pub(crate) fn number(&self) -> u64 {
        self.notice().as_ref().map_or(0, Notice::number)
    }

    /// Judges by another node's notice from now on, if it is later and to be believed.
    pub(crate) fn heed(&self, notice: &Notice) -> bool {
        let mut present = lock(&self.admission);
        let known = self.secrets.load(Ordering::Relaxed);
        let Some((admission, number)) = notice.heeded(&present, known) else { return false };
        self.secrets.store(number, Ordering::Relaxed);
        *present = Arc::new(admission);
        true
    }

    /// What this end of a connection says to `to`.
    pub(super) fn claim(&self, to: NodeId, side: Side) -> Claim {
        let proof = match &*self.admission() {
            Admission::Open => Proof::Open,
            Admission::Secret(secrets) => {
                let [prover, verifier] = [self.me, to].map(NodeId::to_bytes);
                let direction = [side as u8];
                let network = self.network.as_bytes();
                Proof::Secret(secrets.prove(&[SECRET, network, &prover, &verifier, &direction]))
            }
            Admission::Allowlist(_) => Proof::Listed,
            Admission::Certified(certified) => {
                Proof::Certified(Box::new(certified.certificate.clone()))
            }
        };
        Claim { network: self.network, proof }
    }

    /// Judges what `of`, at the other end, said. Only who proves to belong to the cluster is told that it
    /// has the wrong network.
    pub(super) fn judge(&self, claim: &Claim, of: NodeId, side: Side) -> Result<Pass, Denial> {
        let pass = match (&*self.admission(), &claim.proof) {
            (Admission::Open, Proof::Open) => Pass::Open,
            (Admission::Secret(secrets), Proof::Secret(proof)) => {
                let [prover, verifier] = [of, self.me].map(NodeId::to_bytes);
                let direction = [side.other() as u8];
                let network = claim.network.as_bytes();
                let statement: [&[u8]; 5] = [SECRET, network, &prover, &verifier, &direction];
                secrets.proven(&statement, proof).map(Pass::Secret).ok_or(Denial::Secret)?
            }
            (Admission::Allowlist(listed), Proof::Listed) => {
                if !listed.contains(&of) {
                    return Err(Denial::Unlisted);
                }
                Pass::Listed
            }
            (Admission::Certified(certified), Proof::Certified(certificate)) => {
                certified.judge(certificate, of, self.network)?;
                Pass::Certified(certificate.clone())
            }
            _ => return Err(Denial::Mode),
        };
        if claim.network != self.network {
            return Err(Denial::Network);
        }
        Ok(pass)
    }

    /// Whether what a node has proven is still enough. Who has proven nothing has no connection.
    pub(crate) fn still_admits(&self, node: NodeId) -> Result<(), Denial> {
        let proven = lock(&self.proven);
        let Some(Proven { pass, .. }) = proven.get(&node) else { return Ok(()) };
        match (&*self.admission(), pass) {
            (Admission::Open, Pass::Open) => Ok(()),
            (Admission::Secret(secrets), Pass::Secret(id)) => {
                secrets.ids().find(|held| held == id).map(drop).ok_or(Denial::Secret)
            }
            (Admission::Allowlist(listed), Pass::Listed) => {
                listed.get(&node).map(drop).ok_or(Denial::Unlisted)
            }
            (Admission::Certified(certified), Pass::Certified(certificate)) => {
                certified.judge(certificate, node, self.network)
            }
            _ => Err(Denial::Mode),
        }
    }

    /// Whether a node should prove now that it belongs to the cluster, because what it has proven is about
    /// to be of no use. It is asked once in a while.
    pub(crate) fn asks_again(&self, node: NodeId) -> bool {
        let mut proven = lock(&self.proven);
        let Some(Proven { pass, asked, .. }) = proven.get_mut(&node) else { return false };
        let is_stale = match (&*self.admission(), pass) {
            (Admission::Secret(secrets), Pass::Secret(id)) => {
                secrets.ids().next().is_some_and(|present| present != *id)
            }
            (Admission::Certified(_), Pass::Certified(certificate)) => {
                certificate.ends().saturating_sub(now()) < RENEWED
            }
            _ => false,
        };
        let asks = is_stale && asked.is_none_or(|asked| asked.elapsed() >= PAUSE);
        if asks {
            *asked = Some(Instant::now());
        }
        asks
    }

    pub(super) fn note(&self, node: NodeId, pass: Pass) {
        lock(&self.proven).insert(node, Proven { pass, since: Instant::now(), asked: None });
    }

    /// Whether the roles in a node's certificate include this one.
    pub(crate) fn has_role(&self, node: NodeId, role: &str) -> bool {
        match lock(&self.proven).get(&node) {
            Some(Proven { pass: Pass::Certified(certificate), .. }) => {
                certificate.role_set().contains(role)
            }
            _ => false,
        }
    }

    /// Forgets those that are not connected, unless they are about to be.
    pub(crate) fn retain(&self, is_connected: impl Fn(NodeId) -> bool) {
        lock(&self.proven)
            .retain(|node, proven| proven.since.elapsed() < PAUSE || is_connected(*node));
    }
}

/// So many seconds before the end of its certificate a node is asked for the next one.
const RENEWED: u64 = 60;
/// How long until it is asked once more.
const PAUSE: Duration = Duration::from_secs(10);

fn now() -> u64 {
    clock::micros_since_1970() / 1_000_000
}

impl Certified {
    pub(super) fn judge(
        &self,
        certificate: &Certificate,
        of: NodeId,
        network: NetworkHash,
    ) -> Result<(), Denial> {
        if !self.authorities.iter().any(|authority| certificate.is_of(*authority)) {
            return Err(Denial::Authority);
        }
        if certificate.node() != of {
            return Err(Denial::Borrowed);
        }
        if certificate.network() != network {
            return Err(Denial::Network);
        }
        if certificate.ends() < now() {
            return Err(Denial::Expired);
        }
        if self.revocations.withdraws(certificate) {
            return Err(Denial::Revoked);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
