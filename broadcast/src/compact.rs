//! Lists that are short for almost every peer, and there may be millions of peers.

use thin_vec::ThinVec;

/// From here on a list doubles when it grows.
const SHORT: usize = 8;

/// Inserts at `at`. A short list grows by one: `ThinVec` would make room for four at once.
pub(crate) fn insert<T>(list: &mut ThinVec<T>, at: usize, item: T) {
    if list.len() < SHORT {
        list.reserve_exact(1);
    }
    list.insert(at, item);
}

/// Appends, as [`insert`] inserts.
pub(crate) fn push<T>(list: &mut ThinVec<T>, item: T) {
    insert(list, list.len(), item);
}
