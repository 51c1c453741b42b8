//! Commands for services, and their events.

use murmurate::broadcast::Payload as _;
use murmurate::membership::Time;
use murmurate::stack::Input;

use super::Simulation;
use crate::engine::host::{Tell, Told};
use crate::engine::strategy::{CommandOf, EventOf, SimStack};
use crate::model::node::SimPeer;

impl<P: SimStack> Simulation<P> {
    /// Gives a command to the service of node `index`. Returns whether the node runs.
    pub fn command(&mut self, index: usize, command: CommandOf<P>) -> bool {
        self.tell(index, Input::Command(command));
        self.is_live(index)
    }

    /// Takes the events of services since the last call: by time, then node. They take memory until they
    /// are taken.
    pub fn take_events(&mut self) -> Vec<(Time, SimPeer, EventOf<P>)> {
        std::mem::take(&mut self.events)
    }

    /// Publishes what services want to publish, and keeps their events.
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
