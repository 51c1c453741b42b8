//! Contacts: peers that a host gave to join through.

use thin_vec::ThinVec;

use crate::Peer;

/// Remembers a contact, or a later incarnation of one. Says whether it took the place of the oldest: what
/// the host found last is the likeliest to live.
pub(crate) fn remember<P: Peer>(contacts: &mut ThinVec<P>, contact: P, capacity: usize) -> bool {
    if let Some(held) = contacts.iter_mut().find(|held| held.is_same_node(contact)) {
        *held = contact.max(*held);
        return false;
    }
    let is_full = contacts.len() >= capacity;
    if is_full {
        contacts.remove(0);
    }
    contacts.push(contact);
    is_full
}
