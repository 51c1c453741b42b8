//! The host of a receiving half: welcomes a sender, carries its words, and is the application.

use murmurate::channel::{Frame, Path, Receiving};
use murmurate::membership::Violation;

use super::content::Name;
use super::word::Say;
use super::{Scene, honest};
use crate::node::Peer;

#[derive(Debug)]
pub(super) struct Receiver {
    /// The start of the sending node that it belongs to.
    of: Peer,
    half: Option<Box<dyn Receiving>>,
    /// Its number.
    id: u64,
    way: Option<u64>,
    /// Older dials come late, or twice.
    newest: Option<u64>,
}

impl Receiver {
    pub(super) fn new(of: Peer) -> Self {
        Self { of, half: None, id: 0, way: None, newest: None }
    }

    /// The way that stands, and from whom.
    pub(super) fn way(&self) -> Option<(u64, Peer)> {
        self.way.map(|way| (way, self.of))
    }

    pub(super) fn check(&self) -> Result<(), Violation> {
        self.half.as_ref().map_or(Ok(()), |half| half.check())
    }

    /// A sending half introduces itself. `halves` counts the node's receiving halves.
    pub(super) fn greet(
        &mut self,
        scene: &mut Scene<'_>,
        from: Peer,
        (way, base): (u64, u64),
        halves: &mut u64,
    ) -> Result<(), Violation> {
        if from < self.of || (from == self.of && self.newest >= Some(way)) {
            return Ok(());
        }
        if from > self.of {
            *self = Self::new(from);
        }
        self.detach();
        let Scene { channel, .. } = scene;
        let id = &mut self.id;
        let half = self.half.get_or_insert_with(|| {
            *halves += 1;
            *id = *halves;
            channel.kind.receiving(base, channel.limits)
        });
        half.attach(scene.line.local(), Path::Relay);
        (self.way, self.newest) = (Some(way), Some(way));
        let heard = half.heard();
        scene.say(from, way, Say::Welcome { half: self.id, heard });
        self.go_on(scene, way)
    }

    pub(super) fn hear(
        &mut self,
        scene: &mut Scene<'_>,
        from: Peer,
        (way, half): (u64, u64),
        frame: Frame,
    ) -> Result<(), Violation> {
        let is_current = from == self.of && self.way == Some(way) && self.id == half;
        let Some(half) = self.half.as_mut().filter(|_| is_current) else {
            scene.unknown(from, way);
            return Ok(());
        };
        honest(half.receive(scene.line.local(), frame))?;
        self.go_on(scene, way)
    }

    /// The sender's process is gone.
    pub(super) fn end(&mut self, from: Peer, way: u64) {
        if from == self.of && self.way == Some(way) {
            self.detach();
        }
    }

    fn detach(&mut self) {
        if self.way.take().is_some()
            && let Some(half) = &mut self.half
        {
            half.detach();
            if !half.remembers() {
                self.half = None;
            }
        }
    }

    /// The application takes all there is and is done with it at once; the half says so.
    fn go_on(&mut self, scene: &mut Scene<'_>, way: u64) -> Result<(), Violation> {
        let (from, id) = (self.of, self.id);
        let Some(half) = &mut self.half else { return Ok(()) };
        loop {
            let mut rests = true;
            while let Some(delivery) = half.next_delivery() {
                let name = Name::of(&delivery.message).ok_or_else(|| Violation {
                    rule: "what is delivered was sent",
                    detail: format!("{} bytes from {from:?}", delivery.message.len()),
                })?;
                let pair = (scene.number, from, scene.line.me());
                let promises = scene.channel.promises;
                scene.ledger.taken(scene.line.now(), pair, name, promises)?;
                half.done(delivery.number, Some(name.answer(scene.channel.answer)));
                rests = false;
            }
            while let Some(frame) = half.next_frame(scene.line.local()) {
                scene.say(from, way, Say::Back { half: id, frame });
                rests = false;
            }
            if rests {
                break;
            }
        }
        half.depth().check(scene.channel.limits)?;
        debug_assert_eq!(half.check(), Ok(()));
        Ok(())
    }
}
