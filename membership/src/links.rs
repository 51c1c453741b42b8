//! Agreed links: no view holds a peer that did not agree.
//!
//! HyParView's views are meant to be symmetric, but the papers leave the handshake to TCP. Here a
//! link exists once one side asked and the other accepted, and it carries a number that tells it
//! from every other link the same two peers ever had. A disconnect names the link it ends, so one
//! that was in flight while the peers linked anew ends nothing.

use thin_vec::ThinVec;

use crate::{Peer, Time};

/// A number that tells a link from the others between the same two peers. It comes round after
/// 32,768 requests of one side: no word is under way for as long.
pub(crate) type LinkNumber = u16;

/// An agreed link.
#[derive(Debug, Clone, Copy)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct Link<P> {
    pub(crate) peer: P,
    pub(crate) number: LinkNumber,
    /// Keep-alive intervals since something was last heard.
    pub(crate) silent: u8,
}

/// A link asked for and not answered yet; `W` is the asker's reason.
#[derive(Debug, Clone, Copy)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct Request<P, W> {
    pub(crate) peer: P,
    pub(crate) number: LinkNumber,
    pub(crate) deadline: Time,
    pub(crate) why: W,
}

/// The links of one peer and its requests under way.
#[derive(Debug, Clone)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct Links<P, W> {
    active: ThinVec<Link<P>>,
    requests: ThinVec<Request<P, W>>,
    next: LinkNumber,
    /// HyParView: neighbours were probed since the last keep-alive.
    pub(crate) probed: bool,
    /// HyParView: somebody will look at the deadlines of the requests.
    pub(crate) watched: bool,
}

impl<P: Peer, W: Copy> Links<P, W> {
    pub(crate) fn with_capacity(links: usize) -> Self {
        Self {
            active: ThinVec::with_capacity(links),
            requests: ThinVec::new(),
            next: 0,
            probed: false,
            watched: false,
        }
    }

    pub(crate) fn active(&self) -> &[Link<P>] {
        &self.active
    }

    pub(crate) fn active_mut(&mut self) -> &mut [Link<P>] {
        &mut self.active
    }

    pub(crate) fn requests(&self) -> &[Request<P, W>] {
        &self.requests
    }

    pub(crate) fn position(&self, peer: P) -> Option<usize> {
        self.active.iter().position(|link| link.peer == peer)
    }

    /// The link to any incarnation of `peer`'s node.
    pub(crate) fn position_of_node(&self, peer: P) -> Option<usize> {
        self.active.iter().position(|link| link.peer.is_same_node(peer))
    }

    pub(crate) fn holds(&self, peer: P) -> bool {
        self.position(peer).is_some()
    }

    /// Whether `peer` is linked by the link `number`.
    pub(crate) fn has(&self, peer: P, number: LinkNumber) -> bool {
        self.active.iter().any(|link| link.peer == peer && link.number == number)
    }

    pub(crate) fn is_asked(&self, peer: P) -> bool {
        self.requests.iter().any(|request| request.peer == peer)
    }

    /// Opens a request and returns its number.
    pub(crate) fn ask(&mut self, me: P, peer: P, why: W, deadline: Time) -> LinkNumber {
        // The lowest bit tells who asked, so that the two sides never choose the same number.
        let number = (self.next << 1) | LinkNumber::from(me > peer);
        self.next = self.next.wrapping_add(1);
        self.requests.push(Request { peer, number, deadline, why });
        number
    }

    /// Closes the request `number` to `peer`.
    pub(crate) fn answered(&mut self, peer: P, number: LinkNumber) -> Option<Request<P, W>> {
        let at = self.requests.iter().position(|r| r.peer == peer && r.number == number)?;
        Some(self.close(at))
    }

    /// Closes the request to `peer`, whatever its number.
    pub(crate) fn abandon(&mut self, peer: P) -> Option<Request<P, W>> {
        let at = self.requests.iter().position(|r| r.peer == peer)?;
        Some(self.close(at))
    }

    /// Closes one request whose deadline has passed.
    pub(crate) fn overdue(&mut self, now: Time) -> Option<Request<P, W>> {
        let at = self.requests.iter().position(|r| r.deadline <= now)?;
        Some(self.close(at))
    }

    fn close(&mut self, at: usize) -> Request<P, W> {
        let request = self.requests.swap_remove(at);
        if self.requests.is_empty() {
            // Most peers ask for nothing most of the time: keep no room for it.
            self.requests = ThinVec::new();
        }
        request
    }

    /// The earliest deadline among the requests.
    pub(crate) fn deadline(&self) -> Option<Time> {
        self.requests.iter().map(|r| r.deadline).min()
    }

    /// Adds an agreed link. The caller made sure that no incarnation of the node is linked.
    pub(crate) fn link(&mut self, peer: P, number: LinkNumber) {
        debug_assert!(self.position_of_node(peer).is_none(), "{peer:?} is linked already");
        self.active.push(Link { peer, number, silent: 0 });
    }

    pub(crate) fn unlink_at(&mut self, at: usize) -> Link<P> {
        self.active.swap_remove(at)
    }
}

/// Both sides asked at once: the smaller peer's request stands and the other's is dropped, so that
/// one link comes of it.
pub(crate) fn my_request_stands<P: Peer>(me: P, from: P) -> bool {
    me < from
}
