//! What a simulation's services are asked, and what they tell.

use murmurate::broadcast::Payload as _;
use murmurate::membership::Time;
use murmurate::stack::Input;

use super::Simulation;
use crate::engine::host::{Tell, Told};
use crate::engine::strategy::{CommandOf, EventOf, SimStack};
use crate::model::node::SimPeer;

impl<P: SimStack> Simulation<P> {
    /// Asks something of the service of node `index`. Whether it runs.
    pub fn command(&mut self, index: usize, command: CommandOf<P>) -> bool {
        self.tell(index, Input::Command(command));
        self.is_live(index)
    }

    /// What the services told since it was last taken: by time, then node. It takes memory until it is
    /// taken.
    pub fn take_events(&mut self) -> Vec<(Time, SimPeer, EventOf<P>)> {
        std::mem::take(&mut self.events)
    }

    /// Publishes what services want published, and keeps what they told.
    pub(super) fn heed(&mut self) {
        for Told { at, from, what, .. } in self.shards.take_told() {
            match what {
                Tell::Event(event) => self.events.push((at, from, event)),
                Tell::Broadcast(content) => {
                    let bytes = u32::try_from(content.size()).unwrap_or(u32::MAX);
                    if self.peer(from.index()) == Some(from) {
                        self.publish_content(from.index(), content, bytes);
                    }
                }
            }
        }
    }
}
