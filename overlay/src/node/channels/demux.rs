//! Which lane a datagram is for.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::mpsc::{self, error::TrySendError};

use super::counts::{NO_LANE, NO_ROOM};
use super::wire::Answer;
use crate::channel::Frame;
use crate::id::Incarnation;

/// Frames that wait for a lane's task; what does not fit is lost, as on the way.
const WAITING: usize = 256;

/// The lanes of a node that are relayed.
#[derive(Debug, Default)]
pub(super) struct Demux {
    /// Those that send, by number, with whom they lead to.
    sending: Mutex<BTreeMap<u64, (Incarnation, mpsc::Sender<Back>)>>,
    /// Those that receive, by who sends and the number of the half.
    receiving: Mutex<BTreeMap<(Incarnation, u64), mpsc::Sender<Frame>>>,
}

/// What comes back to a lane that sends.
#[derive(Debug)]
pub(super) enum Back {
    Answer(Answer),
    /// Of the half of this number.
    Frame(u64, Frame),
    /// There is no half of this number.
    Unknown(u64),
    /// The way is no more.
    Lost,
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing panics while it holds the lock; if it did, the map would still be whole.
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Why nobody was given it, as datagrams that are dropped are counted.
fn why<T>(error: &TrySendError<T>) -> &'static str {
    match error {
        TrySendError::Full(_) => NO_ROOM,
        TrySendError::Closed(_) => NO_LANE,
    }
}

impl Demux {
    /// A lane sends, for as long as the result lives.
    pub(super) fn send(&self, number: u64, to: Incarnation) -> (Sends<'_>, mpsc::Receiver<Back>) {
        let (give, back) = mpsc::channel(WAITING);
        lock(&self.sending).insert(number, (to, give));
        (Sends(self, number), back)
    }

    /// A lane receives. Its task says when it has [`ended`](Self::ended).
    pub(super) fn receive(&self, from: Incarnation, half: u64) -> mpsc::Receiver<Frame> {
        let (give, frames) = mpsc::channel(WAITING);
        lock(&self.receiving).insert((from, half), give);
        frames
    }

    /// The task of a lane that received has ended, and another may have taken its place.
    pub(super) fn ended(&self, from: Incarnation, half: u64) {
        let mut receiving = lock(&self.receiving);
        if receiving.get(&(from, half)).is_some_and(mpsc::Sender::is_closed) {
            receiving.remove(&(from, half));
        }
    }

    /// Gives something to a lane that sends, or says why not.
    pub(super) fn back(
        &self,
        from: Incarnation,
        number: u64,
        back: Back,
    ) -> Result<(), &'static str> {
        let sending = lock(&self.sending);
        let (_, lane) = sending.get(&number).filter(|(to, _)| *to == from).ok_or(NO_LANE)?;
        lane.try_send(back).map_err(|error| why(&error))
    }

    /// Gives a frame to a lane that receives, or says why not.
    pub(super) fn forth(
        &self,
        from: Incarnation,
        half: u64,
        frame: Frame,
    ) -> Result<(), &'static str> {
        let receiving = lock(&self.receiving);
        let lane = receiving.get(&(from, half)).ok_or(NO_LANE)?;
        lane.try_send(frame).map_err(|error| why(&error))
    }

    /// A way that was laid is no more.
    pub(super) fn lost(&self, to: Incarnation) {
        for (_, back) in lock(&self.sending).values().filter(|(leads, _)| *leads == to) {
            let _ = back.try_send(Back::Lost);
        }
    }

    #[cfg(test)]
    pub(super) fn receiving(&self) -> usize {
        lock(&self.receiving).len()
    }
}

/// See [`Demux::send`].
pub(super) struct Sends<'a>(&'a Demux, u64);

impl Drop for Sends<'_> {
    fn drop(&mut self) {
        lock(&self.0.sending).remove(&self.1);
    }
}
