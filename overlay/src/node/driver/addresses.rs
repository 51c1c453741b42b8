//! Where the node listens, and what of it others are told.

use libp2p::Multiaddr;
use libp2p::core::ConnectedPoint;

use super::Driver;
use crate::node::event::Event;

impl Driver {
    pub(super) fn on_listening(&mut self, address: Multiaddr) {
        tracing::info!(%address, "listening");
        self.host.tell(Event::Listening(address));
        self.tell_addresses();
    }

    /// What worked is told first.
    pub(super) fn note_reach(&mut self, endpoint: &ConnectedPoint) {
        let Some(reach) = &mut self.reach else { return };
        let is_news = match endpoint {
            ConnectedPoint::Dialer { address, .. } => reach.went_out(address),
            ConnectedPoint::Listener { local_addr, .. } => reach.came_in(local_addr),
        };
        if is_news {
            self.tell_addresses();
        }
    }

    pub(super) fn tell_addresses(&mut self) {
        if let Some(reach) = &mut self.reach {
            self.host.addresses = reach.choose(self.swarm.listeners());
        }
        let full = self.host.addresses.full(self.host.me.node);
        self.shown.addresses.send_replace(full);
    }
}
