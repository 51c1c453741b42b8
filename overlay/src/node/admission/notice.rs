//! What all nodes must know of admission, and the latest of it counts: the secrets, or who was revoked.

use serde::{Deserialize, Serialize};

use super::{Admission, Certified, Revocations, Secrets};

/// The latest of two notices has the higher number; of two with the same number both sides choose the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Notice {
    /// Of any node: all are alike.
    Secrets { number: u64, secrets: Secrets },
    /// Of the authority, which has signed it.
    Revocations(Revocations),
}

impl Notice {
    /// What a node with this admission has to say; `number` is that of its secrets.
    pub(super) fn of(admission: &Admission, number: u64) -> Option<Self> {
        match admission {
            Admission::Open | Admission::Allowlist(_) => None,
            Admission::Secret(secrets) => Some(Self::Secrets { number, secrets: secrets.clone() }),
            Admission::Certified(certified) => {
                Some(Self::Revocations(certified.revocations.clone()))
            }
        }
    }

    pub(crate) fn number(&self) -> u64 {
        match self {
            Self::Secrets { number, .. } => *number,
            Self::Revocations(revocations) => revocations.number(),
        }
    }

    /// What admission becomes by it, and the number of its secrets; nothing if it is not news, or not to be
    /// believed.
    pub(super) fn heeded(&self, before: &Admission, known: u64) -> Option<(Admission, u64)> {
        match (before, self) {
            (Admission::Secret(old), Self::Secrets { number, secrets }) => {
                let is_later = (*number, secrets.digest()) > (known, old.digest());
                is_later.then(|| (Admission::Secret(secrets.clone()), *number))
            }
            (Admission::Certified(old), Self::Revocations(revocations)) => {
                let is_later = revocations.number() > old.revocations.number();
                let is_signed = || old.authorities.iter().any(|by| revocations.is_of(*by));
                (is_later && is_signed()).then(|| {
                    let revocations = revocations.clone();
                    let heeded = Certified { revocations, ..Certified::clone(old) };
                    (Admission::Certified(Box::new(heeded)), known)
                })
            }
            _ => None,
        }
    }
}
