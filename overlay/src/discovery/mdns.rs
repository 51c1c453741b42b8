//! Contacts on the local network.
