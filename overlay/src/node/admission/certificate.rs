//! Certificates: the cluster's authority says which node belongs to which network until when.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::Range;
use std::str::FromStr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use data_encoding::BASE64URL_NOPAD;
use libp2p::identity::{Keypair, ed25519};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::id::{NetworkHash, NodeId, NodeIdError};

/// Roles in a certificate.
pub const MAX_ROLES: usize = 8;
/// Bytes of a role.
pub const MAX_ROLE: usize = 32;
/// Nodes whose certificates are revoked at a time.
pub const MAX_REVOKED: usize = 1_024;

/// How long a certificate may be valid, in seconds: five years.
const LONGEST: u64 = 5 * 366 * 86_400;
/// The last second of the year 9999: what is later cannot be written as people do.
const LAST_SHOWN: u64 = 253_402_300_799;

/// What the signatures of an authority are about.
const CERTIFICATE: &[u8] = b"murmurate certificate 1\0";
const REVOCATIONS: &[u8] = b"murmurate revocations 1\0";

/// The public key of an authority. Shown and parsed as libp2p shows a peer id.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AuthorityId(NodeId);

impl fmt::Display for AuthorityId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Debug for AuthorityId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl FromStr for AuthorityId {
    type Err = NodeIdError;

    fn from_str(text: &str) -> Result<Self, NodeIdError> {
        text.parse().map(Self)
    }
}

impl AuthorityId {
    fn signed(self, what: &[u8], claims: &impl Serialize, signature: Signature) -> bool {
        let signature = [signature.0, signature.1].concat();
        ed25519::PublicKey::try_from_bytes(&self.0.to_bytes())
            .is_ok_and(|key| key.verify(&statement(what, claims), &signature))
    }
}

/// 64 bytes, in two halves.
type Signature = ([u8; 32], [u8; 32]);

fn statement(what: &[u8], claims: &impl Serialize) -> Vec<u8> {
    #[allow(clippy::expect_used, reason = "plain data serializes")]
    let claims = postcard::to_allocvec(claims).expect("plain data");
    [what, &claims].concat()
}

/// Who says which nodes belong to a cluster: an ed25519 key that no node needs.
#[derive(Clone)]
pub struct Authority(Keypair);

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Authority({:?})", self.0.public().to_peer_id())
    }
}

impl Authority {
    /// A new one.
    #[must_use]
    pub fn generate() -> Self {
        Self(Keypair::generate_ed25519())
    }

    /// The one with this key.
    ///
    /// # Errors
    /// [`NodeIdError`] if the key is not an ed25519 key.
    pub fn new(key: Keypair) -> Result<Self, NodeIdError> {
        NodeId::try_from(&key.public()).map(|_| Self(key))
    }

    /// Its secret key.
    #[must_use]
    pub fn key(&self) -> &Keypair {
        &self.0
    }

    /// Its public key.
    #[must_use]
    pub fn id(&self) -> AuthorityId {
        #[allow(clippy::expect_used, reason = "checked when it was made")]
        AuthorityId(NodeId::try_from(&self.0.public()).expect("an ed25519 key"))
    }

    /// Says that a node belongs to a network, with these roles. The certificate is issued at the start of
    /// `valid` and expires at its end.
    ///
    /// # Errors
    /// [`CertificateError::Role`], [`CertificateError::Roles`].
    pub fn issue<'a>(
        &self,
        network: &str,
        node: NodeId,
        valid: Range<SystemTime>,
        roles: impl IntoIterator<Item = &'a str>,
    ) -> Result<Certificate, CertificateError> {
        let roles: BTreeSet<Box<str>> = roles.into_iter().map(Into::into).collect();
        let claims = Claims {
            network: NetworkHash::of(network),
            node,
            issued: seconds(valid.start),
            not_after: seconds(valid.end),
            roles,
        };
        claims.check()?;
        let signature = self.sign(CERTIFICATE, &claims);
        Ok(Certificate { claims, signature })
    }

    /// Also says that a node's certificates issued until now are no longer valid, in place of what it said
    /// before.
    ///
    /// # Errors
    /// [`CertificateError::Revoked`] if they are too many.
    pub fn revoke(
        &self,
        before: &Revocations,
        node: NodeId,
        now: SystemTime,
    ) -> Result<Revocations, CertificateError> {
        let now = seconds(now);
        let mut listed = before.listed.clone();
        // Certificates from so long ago have expired.
        listed.nodes.retain(|_, when| when.saturating_add(LONGEST) > now);
        let entry = listed.nodes.entry(node).or_default();
        *entry = now.max(*entry);
        listed.number = listed.number.saturating_add(1).max(now);
        if listed.nodes.len() > MAX_REVOKED {
            return Err(CertificateError::Revoked);
        }
        let signature = self.sign(REVOCATIONS, &listed);
        Ok(Revocations { listed, signature })
    }

    fn sign(&self, what: &[u8], claims: &impl Serialize) -> Signature {
        #[allow(clippy::expect_used, reason = "ed25519 signs anything")]
        let signature = self.0.sign(&statement(what, claims)).expect("ed25519 signs");
        let (mut first, mut second) = ([0; 32], [0; 32]);
        first.copy_from_slice(&signature[..32]);
        second.copy_from_slice(&signature[32..]);
        (first, second)
    }
}

/// What a certificate says.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Claims {
    network: NetworkHash,
    node: NodeId,
    /// In seconds since 1970, like the next one.
    issued: u64,
    not_after: u64,
    roles: BTreeSet<Box<str>>,
}

impl Claims {
    fn check(&self) -> Result<(), CertificateError> {
        if self.roles.len() > MAX_ROLES {
            return Err(CertificateError::Roles(self.roles.len()));
        }
        self.roles.iter().try_for_each(|role| check_role(role))
    }
}

/// Whether a certificate can have this role.
pub(crate) fn check_role(role: &str) -> Result<(), CertificateError> {
    let of_role = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_');
    if (1..=MAX_ROLE).contains(&role.len()) && role.bytes().all(of_role) {
        Ok(())
    } else {
        Err(CertificateError::Role(role.to_owned()))
    }
}

/// A node belongs to a network until some day, and may take these roles: signed by an [`Authority`].
///
/// It is no secret: it is of use only to who holds the node's key. As text it is one line of base64.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Certificate {
    claims: Claims,
    signature: Signature,
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Claims { node, not_after, roles, .. } = &self.claims;
        f.debug_struct("Certificate")
            .field("node", node)
            .field("not_after", not_after)
            .field("roles", roles)
            .finish_non_exhaustive()
    }
}

/// Why something is no certificate or list of revocations, or cannot be issued.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CertificateError {
    /// Of another form.
    #[error("this is not what `murmurate ca` writes: one line of base64")]
    Form,
    /// A role of another form.
    #[error("role {0:?}: allowed are 1 to {MAX_ROLE} lower-case letters, digits, - and _")]
    Role(String),
    /// Too many of them.
    #[error("{0} roles are too many: at most {MAX_ROLES} are allowed")]
    Roles(usize),
    /// Too many nodes are revoked at a time.
    #[error("more than {MAX_REVOKED} nodes would be revoked: start with another authority")]
    Revoked,
}

impl Certificate {
    /// Whose it is.
    #[must_use]
    pub fn node(&self) -> NodeId {
        self.claims.node
    }

    /// Until when it is valid; at most the end of the year 9999.
    #[must_use]
    pub fn not_after(&self) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(self.claims.not_after.min(LAST_SHOWN))
    }

    /// What the node may do, in order.
    pub fn roles(&self) -> impl Iterator<Item = &str> {
        self.claims.roles.iter().map(AsRef::as_ref)
    }

    /// Whether this authority issued it.
    #[must_use]
    pub fn is_of(&self, authority: AuthorityId) -> bool {
        self.claims.check().is_ok() && authority.signed(CERTIFICATE, &self.claims, self.signature)
    }

    /// Whether it is for this network.
    #[must_use]
    pub fn is_for(&self, network: &str) -> bool {
        self.network() == NetworkHash::of(network)
    }

    pub(super) fn network(&self) -> NetworkHash {
        self.claims.network
    }

    /// In seconds since 1970.
    pub(super) fn ends(&self) -> u64 {
        self.claims.not_after
    }

    /// When it was issued, in seconds since 1970.
    pub(super) fn begins(&self) -> u64 {
        self.claims.issued
    }
}

/// The nodes whose certificates an authority has withdrawn, and when. A node that gets a certificate
/// afterwards belongs to the cluster again. Each list has a number and replaces those before it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revocations {
    listed: Listed,
    signature: Signature,
}

#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Listed {
    number: u64,
    /// When, in seconds since 1970.
    nodes: BTreeMap<NodeId, u64>,
}

impl Default for Revocations {
    /// Nobody; signed by nobody, which nobody asks for.
    fn default() -> Self {
        Self { listed: Listed::default(), signature: ([0; 32], [0; 32]) }
    }
}

impl fmt::Debug for Revocations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Listed { number, nodes } = &self.listed;
        f.debug_struct("Revocations")
            .field("number", number)
            .field("nodes", nodes)
            .finish_non_exhaustive()
    }
}

impl Revocations {
    /// The later of two lists has the higher number. The empty list that nobody signed has 0.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.listed.number
    }

    /// The nodes on it.
    pub fn nodes(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.listed.nodes.keys().copied()
    }

    /// Whether this authority issued it. Nobody has to sign an empty one.
    #[must_use]
    pub fn is_of(&self, authority: AuthorityId) -> bool {
        self.listed == Listed::default()
            || self.listed.nodes.len() <= MAX_REVOKED
                && authority.signed(REVOCATIONS, &self.listed, self.signature)
    }

    /// Whether a certificate is withdrawn.
    #[must_use]
    pub fn withdraws(&self, certificate: &Certificate) -> bool {
        let withdrawn = self.listed.nodes.get(&certificate.node());
        withdrawn.is_some_and(|when| certificate.claims.issued <= *when)
    }
}

fn to_text(of: &impl Serialize) -> String {
    #[allow(clippy::expect_used, reason = "plain data serializes")]
    BASE64URL_NOPAD.encode(&postcard::to_allocvec(of).expect("plain data"))
}

fn from_text<T: DeserializeOwned>(text: &str) -> Result<T, CertificateError> {
    let bytes = BASE64URL_NOPAD.decode(text.trim().as_bytes());
    let bytes = bytes.map_err(|_| CertificateError::Form)?;
    match postcard::take_from_bytes(&bytes) {
        Ok((read, [])) => Ok(read),
        _ => Err(CertificateError::Form),
    }
}

impl fmt::Display for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&to_text(self))
    }
}

impl FromStr for Certificate {
    type Err = CertificateError;

    fn from_str(text: &str) -> Result<Self, CertificateError> {
        let certificate: Self = from_text(text)?;
        certificate.claims.check().map(|()| certificate)
    }
}

impl fmt::Display for Revocations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&to_text(self))
    }
}

impl FromStr for Revocations {
    type Err = CertificateError;

    fn from_str(text: &str) -> Result<Self, CertificateError> {
        from_text(text)
    }
}

/// Whole seconds since 1970.
pub(super) fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(byte: u8) -> NodeId {
        NodeId::from_bytes([byte; 32])
    }

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(seconds)
    }

    #[test]
    fn a_certificate_says_what_its_authority_said_and_nothing_else() {
        let [ours, other] = [Authority::generate(), Authority::generate()];
        let issued =
            ours.issue("flock", node(1), at(5)..at(9), ["writer", "reader"]).expect("issued");
        let read: Certificate = issued.to_string().parse().expect("read");
        assert_eq!(read, issued);
        assert!(read.is_of(ours.id()) && !read.is_of(other.id()));
        assert!(read.is_for("flock") && !read.is_for("flocks"));
        assert_eq!((read.node(), read.not_after()), (node(1), at(9)));
        assert_eq!(read.roles().collect::<Vec<_>>(), ["reader", "writer"]);
        let bytes = postcard::to_allocvec(&issued).expect("bytes");
        for bit in 0..bytes.len() * 8 {
            let mut bytes = bytes.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            if let Ok((changed, _)) = postcard::take_from_bytes::<Certificate>(&bytes) {
                assert!(!changed.is_of(ours.id()), "bit {bit}: {changed:?}");
            }
        }
    }

    #[test]
    fn roles_are_few_and_plain() {
        let authority = Authority::generate();
        let issue =
            |roles: &[&str]| authority.issue("n", node(1), at(5)..at(9), roles.iter().copied());
        assert_eq!(issue(&["Admin"]), Err(CertificateError::Role("Admin".into())));
        assert_eq!(issue(&[""]), Err(CertificateError::Role(String::new())));
        assert_eq!(
            issue(&["a", "b", "c", "d", "e", "f", "g", "h", "i"]),
            Err(CertificateError::Roles(9))
        );
    }

    #[test]
    fn revocations_withdraw_what_was_issued_and_nothing_later() {
        let [ours, other] = [Authority::generate(), Authority::generate()];
        let none = Revocations::default();
        assert!(none.is_of(ours.id()) && none.number() == 0);
        let issue = |to, when| ours.issue("n", node(to), at(when)..at(1_000), []).expect("issued");
        let list = ours.revoke(&none, node(1), at(100)).expect("room");
        let read: Revocations = list.to_string().parse().expect("read");
        assert_eq!(read, list);
        assert!(read.is_of(ours.id()) && !read.is_of(other.id()) && read.number() == 100);
        assert!(read.withdraws(&issue(1, 100)));
        assert!(!read.withdraws(&issue(1, 101)), "issued again");
        assert!(!read.withdraws(&issue(2, 100)));
        let more = ours.revoke(&list, node(2), at(50)).expect("room");
        assert_eq!((more.number(), more.nodes().count()), (101, 2));
        let mut forged = more.clone();
        forged.listed.nodes.remove(&node(1));
        assert!(!forged.is_of(ours.id()));
    }
}
