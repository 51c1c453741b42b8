//! Errors: each message is a sentence for the user of the program.

pub(crate) type Error = Box<dyn std::error::Error + Send + Sync>;

/// Why a scenario cannot be run on real nodes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{key}: {why}")]
pub(crate) struct Unsupported {
    key: String,
    why: String,
}

impl Unsupported {
    pub(crate) fn new(key: &str, why: &str) -> Self {
        Self { key: key.into(), why: why.into() }
    }
}
