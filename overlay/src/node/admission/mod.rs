//! Who may speak: what nodes prove to each other on every connection before either says anything else.
//!
//! libp2p has authenticated both identities by then, over TCP and QUIC alike. Each side says the hash of its
//! network and a proof that it belongs to it; whoever is not convinced says why and hangs up. Nothing secret
//! travels, and a proof is of use to nobody else: it is about both identities and who dialled.
//!
//! | room | what |
//! |---|---|
//! | here | whom a node admits |
//! | `gate` | what it proves to others, and makes of what they prove |
//! | `handshake` | how it is said on a connection |
//! | `secret` | secrets that all nodes share |
//! | `certificate` | certificates, and the authority that issues them |
//! | `notice` | what all nodes must know |
//! | `denial` | why a node is not admitted |

mod certificate;
mod denial;
mod gate;
mod handshake;
mod notice;
mod secret;

use std::collections::BTreeSet;

pub(crate) use certificate::check_role;
pub use certificate::{
    Authority, AuthorityId, Certificate, CertificateError, MAX_REVOKED, MAX_ROLE, MAX_ROLES,
    Revocations,
};
pub use denial::Denial;
pub(crate) use denial::NotAdmitted;
#[cfg(test)]
pub(crate) use gate::Pass;
pub(crate) use gate::{Gate, Side, Verdict};
pub(crate) use handshake::admit;
pub(crate) use notice::{Notice, Version};
pub use secret::{
    MAX_SECRETS, Secret, SecretError, SecretId, SecretIdError, Secrets, SecretsError,
};

use crate::NodeId;
use crate::id::NetworkHash;

/// Whom a node admits, and what it proves to others. All nodes of an overlay have the same.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Admission {
    /// Whoever knows the network's name. For tests, and networks that nobody else can reach.
    #[default]
    Open,
    /// Whoever holds one of these secrets.
    Secret(Secrets),
    /// These nodes.
    Allowlist(BTreeSet<NodeId>),
    /// Whoever has a certificate of the cluster's authority.
    Certified(Box<Certified>),
}

/// What a node with a certificate knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certified {
    /// Who issues certificates. Two while one authority takes over from another.
    pub authorities: Vec<AuthorityId>,
    /// The node's own.
    pub certificate: Certificate,
    /// Certificates that were withdrawn.
    pub revocations: Revocations,
}

impl Admission {
    /// Its name in configurations.
    #[must_use]
    pub fn mode(&self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Secret(_) => "secret",
            Self::Allowlist(_) => "allowlist",
            Self::Certified(_) => "certified",
        }
    }
}

/// What a node is to prove will convince nobody.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AdmissionError {
    /// Whoever has the same authority would refuse the node's own certificate.
    #[error("{}", .0.of_own())]
    Certificate(Denial),
    /// There is nobody whose certificates are valid.
    #[error("no authority is given, so no certificate is valid")]
    NoAuthority,
    /// Withdrawn certificates are listed by somebody else.
    #[error("the revocations were not issued by the authority")]
    Revocations,
}

impl Admission {
    /// When what the node proves expires, in seconds since 1970.
    pub(crate) fn expires(&self) -> Option<u64> {
        match self {
            Self::Certified(certified) => Some(certified.certificate.ends()),
            _ => None,
        }
    }

    /// Whether others with the same admission would admit this node of this network.
    pub(crate) fn check(&self, node: NodeId, network: &str) -> Result<(), AdmissionError> {
        let Self::Certified(certified) = self else { return Ok(()) };
        if certified.authorities.is_empty() {
            return Err(AdmissionError::NoAuthority);
        }
        if !certified.authorities.iter().any(|authority| certified.revocations.is_of(*authority)) {
            return Err(AdmissionError::Revocations);
        }
        let own = &certified.certificate;
        let judged = certified.judge(own, node, NetworkHash::of(network));
        judged.map(drop).map_err(AdmissionError::Certificate)
    }
}
