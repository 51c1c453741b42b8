//! Secrets that all nodes of a cluster share.

use std::fmt;
use std::str::FromStr;

use data_encoding::HEXLOWER;
use data_encoding::HEXLOWER_PERMISSIVE;
use hmac::{Hmac, KeyInit, Mac};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

/// Secrets that are valid at a time: the present one, the next, and a few more.
pub const MAX_SECRETS: usize = 8;

/// A secret that the nodes of a cluster share: 256 random bits, written as 64 hexadecimal digits.
///
/// It never travels while nodes prove to each other that they hold it. Its `Debug` form is its
/// [`SecretId`].
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<[u8; 32]>);

/// The name of a secret, which tells nothing of it: 16 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SecretId([u8; 8]);

/// Why something is not a [`Secret`]. It does not say what was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SecretError {
    /// Of another form.
    #[error("a secret is 64 hexadecimal digits: make one with `murmurate secret generate`")]
    Form,
}

/// Why secrets cannot be used together. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SecretsError {
    /// There is none at all.
    #[error("there is no secret")]
    None,
    /// There are too many.
    #[error("more than {MAX_SECRETS} secrets: remove those that nobody uses any more")]
    TooMany,
    /// It is not among them.
    #[error("there is no secret {0}")]
    Unknown(SecretId),
    /// It is the one that this node proves.
    #[error("secret {0} is in use: use another one first")]
    InUse(SecretId),
    /// A line of a file is no secret.
    #[error("line {line}: {error}")]
    Line {
        /// Which, counted from 1.
        line: usize,
        /// What is wrong.
        error: SecretError,
    },
}

impl Secret {
    /// A new one.
    #[must_use]
    pub fn generate() -> Self {
        Self(Zeroizing::new(rand::random()))
    }

    /// Its name.
    #[must_use]
    pub fn id(&self) -> SecretId {
        let hash =
            Sha256::new().chain_update(b"murmurate secret id\0").chain_update(*self.0).finalize();
        let mut id = [0; 8];
        id.copy_from_slice(&hash[..8]);
        SecretId(id)
    }

    /// The 64 digits.
    #[must_use]
    pub fn to_text(&self) -> Zeroizing<String> {
        Zeroizing::new(HEXLOWER.encode(&*self.0))
    }

    fn mac(&self, statement: &[&[u8]]) -> Hmac<Sha256> {
        #[allow(clippy::expect_used, reason = "HMAC takes keys of any length")]
        let mut mac = Hmac::<Sha256>::new_from_slice(&*self.0).expect("any length");
        for part in statement {
            mac.update(part);
        }
        mac
    }

    /// What only a holder of the secret can say of this statement.
    pub(super) fn prove(&self, statement: &[&[u8]]) -> [u8; 32] {
        self.mac(statement).finalize().into_bytes().into()
    }

    /// Whether a holder of the secret said that, in constant time.
    fn is_proven(&self, statement: &[&[u8]], proof: &[u8; 32]) -> bool {
        self.mac(statement).verify_slice(proof).is_ok()
    }
}

impl FromStr for Secret {
    type Err = SecretError;

    fn from_str(text: &str) -> Result<Self, SecretError> {
        let bytes = HEXLOWER_PERMISSIVE.decode(text.as_bytes()).map(Zeroizing::new);
        let bytes = bytes.map_err(|_| SecretError::Form)?;
        let bytes = <[u8; 32]>::try_from(bytes.as_slice()).map_err(|_| SecretError::Form)?;
        Ok(Self(Zeroizing::new(bytes)))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secret({})", self.id())
    }
}

impl fmt::Display for SecretId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&HEXLOWER.encode(&self.0))
    }
}

impl fmt::Debug for SecretId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The secrets that a node accepts, and the one that it proves to others: the first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Secrets {
    /// Of two that nodes of a cluster have, those with the larger number count.
    number: u64,
    all: Vec<Secret>,
}

/// How the line begins that has the number of the secrets in a file.
const NUMBER: &str = "# number ";

impl Secrets {
    /// This one alone.
    #[must_use]
    pub fn new(secret: Secret) -> Self {
        Self { number: 0, all: vec![secret] }
    }

    /// Also accepts this one. One that is there already changes nothing.
    ///
    /// # Errors
    /// [`SecretsError::TooMany`].
    pub fn install(&mut self, secret: Secret) -> Result<(), SecretsError> {
        if self.all.contains(&secret) {
            return Ok(());
        }
        if self.all.len() == MAX_SECRETS {
            return Err(SecretsError::TooMany);
        }
        self.all.push(secret);
        Ok(())
    }

    /// Proves this one from now on. The others are still accepted.
    ///
    /// # Errors
    /// [`SecretsError::Unknown`].
    pub fn prefer(&mut self, id: SecretId) -> Result<(), SecretsError> {
        let at = self.all.iter().position(|secret| secret.id() == id);
        let at = at.ok_or(SecretsError::Unknown(id))?;
        let preferred = self.all.remove(at);
        self.all.insert(0, preferred);
        Ok(())
    }

    /// Accepts it no more.
    ///
    /// # Errors
    /// [`SecretsError::InUse`], [`SecretsError::Unknown`].
    pub fn remove(&mut self, id: SecretId) -> Result<(), SecretsError> {
        if self.first().id() == id {
            return Err(SecretsError::InUse(id));
        }
        let before = self.all.len();
        self.all.retain(|secret| secret.id() != id);
        if self.all.len() == before { Err(SecretsError::Unknown(id)) } else { Ok(()) }
    }

    /// The one that the node proves.
    #[allow(clippy::indexing_slicing, reason = "there is always one")]
    fn first(&self) -> &Secret {
        &self.all[0]
    }

    /// Their names, that of the one the node proves first.
    pub fn ids(&self) -> impl Iterator<Item = SecretId> + '_ {
        self.all.iter().map(Secret::id)
    }

    /// Secrets as a file has them: one a line, the one that the node proves first. `#` begins a comment. One
    /// that nodes write says how new they are.
    ///
    /// # Errors
    /// [`SecretsError`] names the line.
    pub fn parse(text: &str) -> Result<Self, SecretsError> {
        let mut secrets = None::<Self>;
        let mut number = 0;
        for (at, line) in text.lines().enumerate() {
            if let Some(said) = line.strip_prefix(NUMBER) {
                number = said.trim().parse().unwrap_or(0);
            }
            let line = line.split('#').next().unwrap_or("").trim();
            if line.is_empty() {
                continue;
            }
            let error = |error| SecretsError::Line { line: at + 1, error };
            let secret: Secret = line.parse().map_err(error)?;
            match &mut secrets {
                None => secrets = Some(Self::new(secret)),
                Some(secrets) => secrets.install(secret)?,
            }
        }
        secrets.map(|secrets| secrets.numbered(number)).ok_or(SecretsError::None)
    }

    /// As [`Secrets::parse`] reads them.
    #[must_use]
    pub fn to_text(&self) -> Zeroizing<String> {
        let room = NUMBER.len() + 24 + 65 * self.all.len();
        let mut text = Zeroizing::new(String::with_capacity(room));
        text.push_str(&format!("{NUMBER}{}\n", self.number));
        for secret in &self.all {
            text.push_str(&secret.to_text());
            text.push('\n');
        }
        text
    }

    pub(super) fn number(&self) -> u64 {
        self.number
    }

    /// The same with this number.
    pub(super) fn numbered(self, number: u64) -> Self {
        Self { number, ..self }
    }

    /// Whether the two differ in nothing but their numbers.
    pub(super) fn are(&self, other: &Self) -> bool {
        self.all == other.all
    }

    /// Of all of them in their order; it tells nothing of them.
    pub(super) fn digest(&self) -> [u8; 32] {
        let ids = self.ids().map(|id| id.0);
        ids.fold(Sha256::new(), Sha256::chain_update).finalize().into()
    }

    /// What a holder of the first one says, or of the one that the other side has proven.
    pub(super) fn prove(&self, with: Option<SecretId>, statement: &[&[u8]]) -> [u8; 32] {
        let proven = self.all.iter().find(|secret| Some(secret.id()) == with);
        proven.unwrap_or_else(|| self.first()).prove(statement)
    }

    /// Which of them the other side has proven.
    pub(super) fn proven(&self, statement: &[&[u8]], proof: &[u8; 32]) -> Option<SecretId> {
        self.all.iter().find(|secret| secret.is_proven(statement, proof)).map(Secret::id)
    }
}

/// As nodes of a cluster tell each other, on connections that both have proven to belong to it.
impl Serialize for Secrets {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let all: Vec<[u8; 32]> = self.all.iter().map(|secret| *secret.0).collect();
        (self.number, &*Zeroizing::new(all)).serialize(to)
    }
}

impl<'de> Deserialize<'de> for Secrets {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let (number, all) = <(u64, Vec<[u8; 32]>)>::deserialize(from)?;
        let all = Zeroizing::new(all);
        let mut all = all.iter().map(|secret| Secret(Zeroizing::new(*secret)));
        let first = all.next().ok_or_else(|| D::Error::custom(SecretsError::None))?;
        let mut secrets = Self::new(first).numbered(number);
        all.try_for_each(|secret| secrets.install(secret)).map_err(D::Error::custom)?;
        Ok(secrets)
    }
}

impl FromStr for SecretId {
    type Err = SecretIdError;

    fn from_str(text: &str) -> Result<Self, SecretIdError> {
        let bytes = HEXLOWER_PERMISSIVE.decode(text.as_bytes()).ok();
        let bytes = bytes.and_then(|bytes| <[u8; 8]>::try_from(bytes).ok());
        bytes.map(Self).ok_or_else(|| SecretIdError(text.into()))
    }
}

/// This is not the name of a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not the id of a secret: allowed are 16 hexadecimal digits")]
pub struct SecretIdError(String);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_installed_used_and_removed() {
        let [old, new] = [Secret::generate(), Secret::generate()];
        let mut secrets = Secrets::new(old.clone());
        let proof = secrets.prove(None, &[b"a", b"b"]);
        secrets.install(new.clone()).expect("room");
        secrets.install(new.clone()).expect("it is there already");
        assert_eq!(secrets.prove(None, &[b"a", b"b"]), proof, "the old one still proves");
        assert_eq!(secrets.remove(old.id()), Err(SecretsError::InUse(old.id())));
        secrets.prefer(new.id()).expect("installed");
        assert_ne!(secrets.prove(None, &[b"a", b"b"]), proof);
        assert_eq!(secrets.proven(&[b"a", b"b"], &proof), Some(old.id()), "and is accepted");
        assert_eq!(secrets.proven(&[b"b", b"a"], &proof), None);
        assert_eq!(secrets.prove(Some(old.id()), &[b"a", b"b"]), proof, "to who has no other");
        let numbered = secrets.clone().numbered(7);
        assert_eq!(Secrets::parse(&numbered.to_text()), Ok(numbered));
        secrets.remove(old.id()).expect("no longer in use");
        assert_eq!(secrets.proven(&[b"a", b"b"], &proof), None);
        assert_eq!(secrets.remove(old.id()), Err(SecretsError::Unknown(old.id())));
        assert_eq!(secrets.prefer(old.id()), Err(SecretsError::Unknown(old.id())));
        for _ in 1..MAX_SECRETS {
            secrets.install(Secret::generate()).expect("room");
        }
        assert_eq!(secrets.install(old), Err(SecretsError::TooMany));
    }

    #[test]
    fn a_secret_shows_itself_only_when_it_is_asked_to() {
        let secret: Secret = "5A".repeat(32).parse().expect("a secret");
        assert_eq!(*secret.to_text(), "5a".repeat(32));
        assert!(!format!("{secret:?}").contains("5a5a5a"), "{secret:?}");
        assert_eq!(secret.id().to_string().parse(), Ok(secret.id()));
        for wrong in ["", "hunter2", &"5a".repeat(31), &"5g".repeat(32)] {
            assert_eq!(wrong.parse::<Secret>(), Err(SecretError::Form));
        }
    }

    #[test]
    fn a_file_has_one_a_line() {
        let text = format!("# ours\n\n{} # since May\n{}\n", "aa".repeat(32), "bb".repeat(32));
        let secrets = Secrets::parse(&text).expect("two");
        assert_eq!(secrets.ids().count(), 2);
        assert_eq!(Secrets::parse("# none\n"), Err(SecretsError::None));
        let error = Secrets::parse(&format!("{}\nhunter2\n", "aa".repeat(32)));
        assert_eq!(error, Err(SecretsError::Line { line: 2, error: SecretError::Form }));
        assert!(!format!("{error:?}").contains("hunter2"));
    }
}
