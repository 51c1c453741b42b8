//! How a host gets a message to a node: which connection, which way, and what if there is none.

use std::collections::btree_map::Entry;
use std::time::Duration;

use murmurate::membership::Peer as _;
use murmurate::router;

use super::ledger::Outcome;
use super::site::{Connection, Parcel, Wake};
use super::{Answer, What, World};
use crate::node::Peer;

/// How often a node looks after its connections.
const SWEEP: Duration = Duration::from_millis(500);
/// Datagrams remembered that may come back as lost.
const RELAYED: usize = 1_024;

impl World {
    /// Whom a parcel is for.
    pub(super) fn addressee(&self, parcel: Parcel) -> u32 {
        let mail = &self.ledger.mail[parcel.mail as usize];
        (if parcel.receipt { mail.from } else { mail.to }) as u32
    }

    /// Gets a parcel to a node: over the link or the connection there is, or one to be made.
    pub(super) fn post(&mut self, index: usize, node: u32, parcel: Parcel) {
        if !parcel.receipt && !self.ledger.is_open(parcel.mail) {
            return;
        }
        if let Some(neighbor) = self.sites[index].neighbor(node) {
            self.relay(index, neighbor, parcel);
        } else if let Some(peer) = self.sites[index].connection(node) {
            self.over_connection(index, peer, parcel);
        } else if let Some(peer) = self.sites[index].way(node) {
            self.relay(index, peer, parcel);
        } else {
            match self.sites[index].waiting.entry(node) {
                // Somebody is at it.
                Entry::Occupied(mut waiting) => waiting.get_mut().push(parcel),
                Entry::Vacant(entry) => {
                    entry.insert(vec![parcel]);
                    self.try_again(index, node);
                }
            }
        }
    }

    /// Dials whom the node knows, or looks for the node.
    pub(super) fn try_again(&mut self, index: usize, node: u32) {
        let site = &self.sites[index];
        if !site.waiting.contains_key(&node) {
            return;
        }
        match site.known(node) {
            Some(peer) if !site.has_failed(peer) => self.dial(index, peer),
            known => {
                // Who is known but cannot be dialled can only be reached on a way.
                let path = known.is_some();
                self.route(index, router::Input::Seek { target: node, path });
            }
        }
    }

    fn dial(&mut self, index: usize, peer: Peer) {
        if self.sites[index].connections.contains_key(&peer) {
            return;
        }
        if !self.make_room(index) {
            return self.wake(index, SWEEP, Wake::Retry(peer.node()));
        }
        self.ledger.dials += 1;
        self.connect(index, peer, false);
        self.carry(index, peer, What::Dial);
    }

    /// Room for a connection: there is some, or one that is not in use is closed.
    fn make_room(&mut self, index: usize) -> bool {
        let site = &self.sites[index];
        if site.connections.len() < self.setup.connections {
            return true;
        }
        let Some(idle) = site.idlest(self.now, self.setup.busy_wait) else { return false };
        self.close(index, idle);
        true
    }

    fn close(&mut self, index: usize, peer: Peer) {
        self.sites[index].connections.remove(&peer);
        self.carry(index, peer, What::Closed);
    }

    /// The other end has closed the connection. One that is being dialled since is another.
    pub(super) fn hung_up(&mut self, index: usize, peer: Peer) {
        let connections = &mut self.sites[index].connections;
        if connections.get(&peer).is_some_and(|connection| connection.open) {
            connections.remove(&peer);
        }
    }

    fn connect(&mut self, index: usize, peer: Peer, open: bool) {
        let site = &mut self.sites[index];
        site.connections.insert(peer, Connection { open, used: self.now });
        self.ledger.most_connections = self.ledger.most_connections.max(site.connections.len());
        if !std::mem::replace(&mut site.sweeping, true) {
            self.wake(index, SWEEP, Wake::Sweep);
        }
    }

    /// Closes connections that nobody uses, and gives up dials that nobody answers.
    pub(super) fn sweep(&mut self, index: usize) {
        let (now, idle, late) = (self.now, self.setup.idle_wait, self.setup.dial_wait);
        let site = &self.sites[index];
        let due = site.connections.iter().filter(|(_, connection)| {
            now.since(connection.used) >= if connection.open { idle } else { late }
        });
        let due: Vec<_> = due.map(|(peer, connection)| (*peer, connection.open)).collect();
        for (peer, open) in due {
            if open {
                self.close(index, peer);
            } else {
                self.on_dialled(index, peer, Answer::Refused);
            }
        }
        self.sites[index].sweeping = !self.sites[index].connections.is_empty();
        if self.sites[index].sweeping {
            self.wake(index, SWEEP, Wake::Sweep);
        }
    }

    pub(super) fn on_dial(&mut self, index: usize, from: Peer) {
        let answer = if !self.sites[index].dialable {
            Answer::Refused
        } else if self.sites[index].connections.contains_key(&from) || self.make_room(index) {
            Answer::Accepted
        } else {
            Answer::Busy
        };
        self.carry(index, from, What::Dialled(answer));
        if answer == Answer::Accepted {
            self.connect(index, from, true);
            self.flush(index, from);
        }
    }

    pub(super) fn on_dialled(&mut self, index: usize, peer: Peer, answer: Answer) {
        let connection = self.sites[index].connections.get(&peer).copied();
        if connection.is_none_or(|connection| connection.open) {
            // It was given up meanwhile, or the other end dialled too.
            return;
        }
        match answer {
            Answer::Accepted => {
                self.connect(index, peer, true);
                self.flush(index, peer);
            }
            Answer::Busy => {
                self.sites[index].connections.remove(&peer);
                self.wake(index, SWEEP, Wake::Retry(peer.node()));
            }
            Answer::Refused => {
                self.sites[index].fail(peer);
                if self.sites[index].waiting.contains_key(&peer.node()) {
                    let (target, path) = (peer.node(), true);
                    self.route(index, router::Input::Seek { target, path });
                }
            }
        }
    }

    /// Sends what waits for a connection to this peer.
    fn flush(&mut self, index: usize, peer: Peer) {
        for parcel in self.sites[index].waiting.remove(&peer.node()).unwrap_or_default() {
            self.over_connection(index, peer, parcel);
        }
    }

    fn over_connection(&mut self, index: usize, peer: Peer, parcel: Parcel) {
        if let Some(connection) = self.sites[index].connections.get_mut(&peer) {
            connection.used = self.now;
        }
        if !parcel.receipt {
            self.ledger.mail[parcel.mail as usize].dialled = true;
        }
        self.carry(index, peer, What::Parcel(parcel));
    }

    /// Over a link or along a way. The router says if there is none.
    fn relay(&mut self, index: usize, to: Peer, parcel: Parcel) {
        if !parcel.receipt {
            self.ledger.mail[parcel.mail as usize].relayed += 1;
        }
        let site = &mut self.sites[index];
        let number = site.numbers;
        site.numbers += 1;
        if site.relayed.len() >= RELAYED {
            site.relayed.pop_front();
        }
        site.relayed.push_back((number, parcel));
        self.route(index, router::Input::Relay { to, number, data: parcel });
    }

    pub(super) fn on_found(&mut self, index: usize, peer: Peer, path: bool) {
        if !self.sites[index].waiting.contains_key(&peer.node()) {
            return;
        }
        if self.sites[index].neighbor(peer.node()).is_none() && !self.sites[index].has_failed(peer)
        {
            return self.dial(index, peer);
        }
        if !path {
            // Somebody else believes that it can be dialled.
            let (target, path) = (peer.node(), true);
            return self.route(index, router::Input::Seek { target, path });
        }
        self.sites[index].ways.insert(peer.node(), peer);
        for parcel in self.sites[index].waiting.remove(&peer.node()).unwrap_or_default() {
            if parcel.receipt || self.ledger.is_open(parcel.mail) {
                self.relay(index, peer, parcel);
            }
        }
    }

    pub(super) fn on_not_found(&mut self, index: usize, target: u32) {
        for parcel in self.sites[index].waiting.remove(&target).unwrap_or_default() {
            self.give_up(parcel, Outcome::NotFound);
        }
    }

    fn give_up(&mut self, parcel: Parcel, outcome: Outcome) {
        if !parcel.receipt && self.ledger.is_open(parcel.mail) {
            self.ledger.tell(self.now, parcel.mail, outcome);
        }
    }

    /// A datagram that was lost is sent again, on another way.
    pub(super) fn on_lost(&mut self, index: usize, to: Peer, number: u64) {
        let site = &mut self.sites[index];
        let Some(at) = site.relayed.iter().position(|(n, _)| *n == number) else { return };
        let Some((_, mut parcel)) = site.relayed.remove(at) else { return };
        parcel.tries += 1;
        if parcel.tries > self.setup.tries {
            return self.give_up(parcel, Outcome::Lost);
        }
        let waiting = self.sites[index].waiting.entry(to.node()).or_default();
        waiting.push(parcel);
        self.route(index, router::Input::Seek { target: to.node(), path: true });
    }

    /// A parcel came over a connection.
    pub(super) fn on_parcel(&mut self, index: usize, from: Peer, parcel: Parcel) {
        let now = self.now;
        let open = self.sites[index].connections.get_mut(&from).filter(|c| c.open);
        let Some(connection) = open else {
            return self.carry(index, from, What::Returned(parcel));
        };
        connection.used = now;
        if self.take(index, parcel) {
            let receipt = parcel.receipt();
            self.over_connection(index, from, receipt);
        }
    }

    /// A parcel came over the overlay: the receipt goes back on the way that was laid.
    pub(super) fn on_relayed(&mut self, index: usize, from: Peer, parcel: Parcel) {
        if self.take(index, parcel) {
            let receipt = parcel.receipt();
            self.relay(index, from, receipt);
        }
    }

    /// Hands a parcel to the application. Returns whether a receipt is due.
    fn take(&mut self, index: usize, parcel: Parcel) -> bool {
        if self.addressee(parcel) as usize != index {
            self.ledger.break_rule("what arrives is for the node", format!("{parcel:?}"));
        }
        if parcel.receipt {
            if self.ledger.is_open(parcel.mail) {
                self.ledger.tell(self.now, parcel.mail, Outcome::Acknowledged);
            }
            return false;
        }
        self.ledger.mail[parcel.mail as usize].delivered += 1;
        true
    }
}
