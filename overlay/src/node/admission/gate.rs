//! A node's gate: says what the node proves to others, and judges what they prove.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::notice::{Notice, Version};
use super::{Admission, AuthorityId, Certificate, Certified, Denial, SecretId};
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
    /// That it has this certificate, which this authority issued.
    Certified(Box<Certificate>, AuthorityId),
}

impl Pass {
    fn roles(&self) -> BTreeSet<&str> {
        match self {
            Self::Certified(certificate, _) => certificate.roles().collect(),
            _ => BTreeSet::new(),
        }
    }

    fn has_roles_of(&self, before: &Self) -> bool {
        before.roles().is_subset(&self.roles())
    }
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
    /// It proved roles before that it does not prove now.
    demoted: bool,
}

/// What becomes of a node that is connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Stays,
    /// It stays, and is to prove itself on a new connection: what it has proven is about to be of no use.
    ProvesAgain,
    /// It stays, and its connections for channels do not: they were admitted for roles that it has no more.
    Demoted,
    Goes(Denial),
}

/// What the node goes by now.
#[derive(Debug)]
struct Present {
    admission: Arc<Admission>,
    /// Of its notice.
    version: Option<Version>,
    /// Since when it has its certificate.
    certified: Instant,
}

impl Present {
    fn new(admission: Admission) -> Self {
        let version = Notice::of(&admission).map(|notice| notice.version());
        Self { admission: Arc::new(admission), version, certified: Instant::now() }
    }
}

/// Shared by all connections of a node.
#[derive(Debug)]
pub(crate) struct Gate {
    me: NodeId,
    network: NetworkHash,
    present: Mutex<Present>,
    /// Of nodes that are connected, or were a moment ago.
    proven: Mutex<BTreeMap<NodeId, Proven>>,
    /// Those that lied, and since when they are kept out.
    barred: Mutex<BTreeMap<NodeId, Instant>>,
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
            present: Mutex::new(Present::new(admission)),
            proven: Mutex::default(),
            barred: Mutex::default(),
        }
    }

    pub(crate) fn admission(&self) -> Arc<Admission> {
        Arc::clone(&lock(&self.present).admission)
    }

    /// Judges by this from now on, also those that are connected. What is known already stays known: later
    /// revocations, and how new the secrets are. Whether other nodes must know of it.
    pub(crate) fn replace(&self, admission: Admission) -> bool {
        let mut present = lock(&self.present);
        let mut certified = Instant::now();
        let admission = match (&*present.admission, admission) {
            (Admission::Secret(old), Admission::Secret(new)) => {
                let number = match new.number() {
                    number if number > old.number() => number,
                    _ if new.are(old) => old.number(),
                    _ => old.number().saturating_add(1).max(now()),
                };
                Admission::Secret(new.numbered(number))
            }
            (Admission::Certified(old), Admission::Certified(mut new)) => {
                let known = &old.revocations;
                let is_later = new.revocations.number() > known.number();
                if !is_later && new.authorities.iter().any(|by| known.is_of(*by)) {
                    new.revocations = known.clone();
                }
                if new.certificate == old.certificate {
                    certified = present.certified;
                }
                Admission::Certified(new)
            }
            (_, admission) => admission,
        };
        let before = present.version;
        *present = Present { certified, ..Present::new(admission) };
        before != present.version
    }

    /// What all nodes must know of this one's admission.
    pub(crate) fn notice(&self) -> Option<Notice> {
        Notice::of(&self.admission())
    }

    /// The version of that.
    pub(crate) fn version(&self) -> Option<Version> {
        lock(&self.present).version
    }

    /// Judges by another node's notice from now on, if it is later and to be believed.
    pub(crate) fn heed(&self, notice: &Notice) -> bool {
        let mut present = lock(&self.present);
        let Some(admission) = notice.heeded(&present.admission, now()) else { return false };
        *present = Present { certified: present.certified, ..Present::new(admission) };
        true
    }

    /// What this end of a connection says to `to`, which has proven this much.
    pub(super) fn claim(&self, to: NodeId, side: Side, proven: Option<&Pass>) -> Claim {
        let proof = match &*self.admission() {
            Admission::Open => Proof::Open,
            Admission::Secret(secrets) => {
                let [prover, verifier] = [self.me, to].map(NodeId::to_bytes);
                let direction = [side as u8];
                let network = self.network.as_bytes();
                let statement: [&[u8]; 5] = [SECRET, network, &prover, &verifier, &direction];
                // Who was away for a while may not have the present one yet.
                let with = match proven {
                    Some(Pass::Secret(id)) => Some(*id),
                    _ => None,
                };
                Proof::Secret(secrets.prove(with, &statement))
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
        if self.is_barred(of) {
            return Err(Denial::Barred);
        }
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
                let authority = certified.judge(certificate, of, self.network)?;
                Pass::Certified(certificate.clone(), authority)
            }
            _ => return Err(Denial::Mode),
        };
        if claim.network != self.network {
            return Err(Denial::Network);
        }
        Ok(pass)
    }

    /// Whether this much is still enough.
    fn still_admits(&self, node: NodeId, pass: &Pass) -> Result<(), Denial> {
        match (&*self.admission(), pass) {
            (Admission::Open, Pass::Open) => Ok(()),
            (Admission::Secret(secrets), Pass::Secret(id)) => {
                secrets.ids().find(|held| held == id).map(drop).ok_or(Denial::Secret)
            }
            (Admission::Allowlist(listed), Pass::Listed) => {
                listed.get(&node).map(drop).ok_or(Denial::Unlisted)
            }
            (Admission::Certified(certified), Pass::Certified(certificate, authority)) => {
                // The signature was looked at when it was proven.
                if !certified.authorities.contains(authority) {
                    return Err(Denial::Authority);
                }
                certified.judge_times(certificate)
            }
            _ => Err(Denial::Mode),
        }
    }

    /// Whether a node may be told the secrets: it proves enough also by the present ones.
    pub(crate) fn trusts(&self, node: NodeId) -> bool {
        let proven = lock(&self.proven);
        proven.get(&node).is_some_and(|proven| self.still_admits(node, &proven.pass).is_ok())
    }

    /// Judges a node that is connected, again and again. It may have had no time yet to prove what it has.
    /// `may_ask`: whether one more may be asked to prove itself again now.
    pub(crate) fn judge_connected(&self, node: NodeId, may_ask: bool) -> Verdict {
        if self.is_barred(node) {
            return Verdict::Goes(Denial::Barred);
        }
        let mut proven = lock(&self.proven);
        let Some(proven) = proven.get_mut(&node) else { return Verdict::Goes(Denial::Mode) };
        let still = self.still_admits(node, &proven.pass);
        let asked = proven.asked.map(|asked| asked.elapsed());
        let verdict = match (still, asked) {
            (Err(Denial::Secret), None) if may_ask => Verdict::ProvesAgain,
            (Err(Denial::Secret), None) => Verdict::Stays,
            (Err(Denial::Secret), Some(asked)) if asked < GRACE => Verdict::Stays,
            (Err(denial), _) => Verdict::Goes(denial),
            (Ok(()), asked)
                if may_ask && asked.is_none_or(|asked| asked >= PAUSE) && self.is_stale(proven) =>
            {
                Verdict::ProvesAgain
            }
            (Ok(()), _) if std::mem::take(&mut proven.demoted) => Verdict::Demoted,
            (Ok(()), _) => Verdict::Stays,
        };
        if verdict == Verdict::ProvesAgain {
            proven.asked = Some(Instant::now());
        }
        verdict
    }

    /// Whether what a node has proven is about to be of no use, or what this one has proven to it.
    fn is_stale(&self, proven: &Proven) -> bool {
        match (&*self.admission(), &proven.pass) {
            (Admission::Secret(secrets), Pass::Secret(id)) => {
                secrets.ids().next().is_some_and(|present| present != *id)
            }
            (Admission::Certified(_), Pass::Certified(certificate, _)) => {
                certificate.ends() < now().saturating_add(RENEWED)
                    || proven.since < lock(&self.present).certified
            }
            _ => false,
        }
    }

    /// Keeps a node out for a while.
    pub(crate) fn bar(&self, node: NodeId) {
        let mut barred = lock(&self.barred);
        if barred.len() >= MOST_BARRED
            && let Some((earliest, _)) = barred.iter().min_by_key(|(_, since)| **since)
        {
            let earliest = *earliest;
            barred.remove(&earliest);
        }
        barred.insert(node, Instant::now());
    }

    pub(crate) fn is_barred(&self, node: NodeId) -> bool {
        lock(&self.barred).get(&node).is_some_and(|since| since.elapsed() < BARRED)
    }

    pub(crate) fn note(&self, node: NodeId, pass: Pass) {
        let mut proven = lock(&self.proven);
        let before = proven.get(&node);
        let demoted =
            before.is_some_and(|before| before.demoted || !pass.has_roles_of(&before.pass));
        proven.insert(node, Proven { pass, since: Instant::now(), asked: None, demoted });
    }

    /// Whether the roles in a node's certificate include this one.
    pub(crate) fn has_role(&self, node: NodeId, role: &str) -> bool {
        lock(&self.proven).get(&node).is_some_and(|proven| proven.pass.roles().contains(&role))
    }

    /// Forgets those that are not connected, unless they are about to be.
    pub(crate) fn retain(&self, is_connected: impl Fn(NodeId) -> bool) {
        lock(&self.barred).retain(|_, since| since.elapsed() < BARRED);
        lock(&self.proven)
            .retain(|node, proven| proven.since.elapsed() < PAUSE || is_connected(*node));
    }
}

/// So many seconds before the end of its certificate a node is asked for the next one.
const RENEWED: u64 = 60;
/// How long until it is asked once more.
const PAUSE: Duration = Duration::from_secs(10);
/// How long a node may take to prove another secret than the one that was removed.
const GRACE: Duration = Duration::from_secs(3);
/// How long a liar is kept out.
const BARRED: Duration = Duration::from_secs(600);
/// So many are remembered.
const MOST_BARRED: usize = 1_024;
/// How far ahead of this node's clock the authority's may be, in seconds.
const SKEW: u64 = 3_600;

fn now() -> u64 {
    clock::micros_since_1970() / 1_000_000
}

impl Certified {
    pub(super) fn judge(
        &self,
        certificate: &Certificate,
        of: NodeId,
        network: NetworkHash,
    ) -> Result<AuthorityId, Denial> {
        let authority = self.authorities.iter().find(|authority| certificate.is_of(**authority));
        let authority = authority.ok_or(Denial::Authority)?;
        if certificate.node() != of {
            return Err(Denial::Borrowed);
        }
        if certificate.network() != network {
            return Err(Denial::Network);
        }
        self.judge_times(certificate).map(|()| *authority)
    }

    /// Whether it is valid now, whoever issued it.
    fn judge_times(&self, certificate: &Certificate) -> Result<(), Denial> {
        if certificate.ends() < now() {
            return Err(Denial::Expired);
        }
        if certificate.begins() > now().saturating_add(SKEW) {
            return Err(Denial::Early);
        }
        if self.revocations.withdraws(certificate) {
            return Err(Denial::Revoked);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
