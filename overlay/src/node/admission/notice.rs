//! What all nodes must know of admission, and the latest of it counts: the secrets, or who was revoked.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{Admission, Certified, Revocations, Secrets};

/// How far ahead of this node's clock the number of a notice may be, in seconds: one that is farther could
/// not be replaced for as long.
const AHEAD: u64 = 3_600;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Notice {
    /// Of any node: all are alike.
    Secrets(Secrets),
    /// Of the authority, which has signed it.
    Revocations(Revocations),
}

/// Which of two notices is the later one: that with the larger number, which is a time in seconds or one more
/// than the number before. Of two with the same number all nodes choose the same.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Version {
    number: u64,
    digest: u64,
}

impl Version {
    fn of(number: u64, content: &[u8]) -> Self {
        let mut digest = [0; 8];
        digest.copy_from_slice(&Sha256::digest(content)[..8]);
        Self { number, digest: u64::from_be_bytes(digest) }
    }

    /// The same for the same content.
    pub(crate) fn digest(self) -> u64 {
        self.digest
    }
}

impl Notice {
    /// What a node with this admission has to say.
    pub(super) fn of(admission: &Admission) -> Option<Self> {
        match admission {
            Admission::Open | Admission::Allowlist(_) => None,
            Admission::Secret(secrets) => Some(Self::Secrets(secrets.clone())),
            Admission::Certified(certified) => {
                Some(Self::Revocations(certified.revocations.clone()))
            }
        }
    }

    pub(super) fn version(&self) -> Version {
        match self {
            Self::Secrets(secrets) => Version::of(secrets.number(), &secrets.digest()),
            Self::Revocations(revocations) => {
                Version::of(revocations.number(), revocations.to_string().as_bytes())
            }
        }
    }

    /// What admission becomes by it; nothing if it is not news, or not to be believed.
    pub(super) fn heeded(&self, before: &Admission, now: u64) -> Option<Admission> {
        let version = self.version();
        let known = Self::of(before).map(|notice| notice.version())?;
        if version <= known || version.number > now.saturating_add(AHEAD) {
            return None;
        }
        match (before, self) {
            (Admission::Secret(_), Self::Secrets(secrets)) => {
                Some(Admission::Secret(secrets.clone()))
            }
            (Admission::Certified(old), Self::Revocations(revocations)) => {
                old.authorities.iter().find(|by| revocations.is_of(**by))?;
                let revocations = revocations.clone();
                let heeded = Certified { revocations, ..Certified::clone(old) };
                Some(Admission::Certified(Box::new(heeded)))
            }
            _ => None,
        }
    }
}
