//! Peers that read slowly, or not at all.
