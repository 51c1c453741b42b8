//! A bulletin between others that have proven this or that.

use murmurate_membership::DownReason;

use super::super::admission::{Admission, Pass, Secret, Secrets};
use super::*;
use crate::NodeId;

/// What a bulletin asked for.
#[derive(Default)]
struct Asked {
    told: Vec<Incarnation>,
    armed: Vec<Timer>,
}

impl Effects<Incarnation, Bytes, Bulletin> for Asked {
    fn me(&self) -> Incarnation {
        peer(1)
    }

    fn send(&mut self, to: Incarnation, message: Said) {
        if matches!(message, Said::Latest(_)) {
            self.told.push(to);
        }
    }

    fn broadcast(&mut self, _: Bytes) {}

    fn arm(&mut self, _: Duration, timer: Timer) {
        self.armed.push(timer);
    }

    fn emit(&mut self, _: Heeded) {}

    fn known(&self, _: NodeId) -> Option<Incarnation> {
        None
    }
}

fn peer(byte: u8) -> Incarnation {
    Incarnation { node: NodeId::from_bytes([byte; 32]), started: 0 }
}

fn handle(bulletin: &mut Bulletin, input: Input<'_, Incarnation, Bytes, Bulletin>) -> Asked {
    let mut asked = Asked::default();
    bulletin.handle(Time::default(), input, &mut asked);
    asked
}

#[test]
fn who_proves_itself_only_after_a_change_is_told_then() {
    let [old, new] = [Secret::generate(), Secret::generate()];
    let gate =
        Arc::new(Gate::new(peer(1).node, "flock", Admission::Secret(Secrets::new(new.clone()))));
    let mut bulletin = Bulletin::new(Arc::clone(&gate));
    for (neighbor, proven) in [(peer(2), &old), (peer(3), &old), (peer(4), &new)] {
        gate.note(neighbor.node, Pass::Secret(proven.id()));
        handle(&mut bulletin, Input::NeighborUp(neighbor));
    }
    let asked = handle(&mut bulletin, Input::Command(Spread));
    assert_eq!((asked.told, asked.armed), (vec![peer(4)], vec![Timer::TellAgain]));
    let asked = handle(&mut bulletin, Input::Expired(Timer::TellAgain));
    assert_eq!((asked.told, asked.armed), (vec![], vec![Timer::TellAgain]), "not proven yet");
    handle(&mut bulletin, Input::NeighborDown(peer(3), DownReason::Failed));
    gate.note(peer(2).node, Pass::Secret(new.id()));
    let asked = handle(&mut bulletin, Input::Expired(Timer::TellAgain));
    assert_eq!((asked.told, asked.armed), (vec![peer(2)], vec![]));
}
