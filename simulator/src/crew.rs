//! Threads that work on the parts of a simulation, one bucket after the other.
//!
//! A part is handed to a worker for a bucket and comes back: no two threads ever see the same one,
//! and between buckets the simulation is as whole as with one thread.

use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::thread::{self, JoinHandle};

/// How often a thread looks for the next bucket, or for the last one's end, before it sleeps: some
/// 50 µs. Buckets often take less than it takes to wake a thread.
const LOOKS: u32 = 2_000;

/// Something a worker can be handed.
pub(crate) trait Work: Send + 'static {
    /// What to do with it.
    type Order: Clone + Send;
    /// Does it.
    fn work(&mut self, order: &Self::Order);
}

/// A thread for each part but the first, once there is something to do for them.
pub(crate) struct Crew<W: Work> {
    workers: Vec<Worker<W>>,
}

/// A thread that ends with its crew: then nobody sends it orders any more.
struct Worker<W: Work> {
    orders: SyncSender<(W, W::Order)>,
    done: Receiver<W>,
    thread: JoinHandle<()>,
}

impl<W: Work> Crew<W> {
    pub(crate) fn new() -> Self {
        Self { workers: Vec::new() }
    }

    /// Has all parts worked on at once, the first by the caller; returns when all are done.
    ///
    /// A panic of a worker becomes the caller's.
    pub(crate) fn work(&mut self, parts: &mut Vec<W>, order: &W::Order) {
        while self.workers.len() + 1 < parts.len() {
            self.workers.push(Worker::hire());
        }
        for (worker, part) in self.workers.iter().zip(parts.drain(1..)) {
            // If the worker is gone, so is the part: noticed below.
            let _ = worker.orders.send((part, order.clone()));
        }
        if let Some(first) = parts.first_mut() {
            first.work(order);
        }
        for at in 0..self.workers.len() {
            match receive(&self.workers[at].done) {
                Some(part) => parts.push(part),
                None => self.workers.swap_remove(at).panicked(),
            }
        }
    }
}

/// A clone hires its own.
impl<W: Work> Clone for Crew<W> {
    fn clone(&self) -> Self {
        Self::new()
    }
}

impl<W: Work> Worker<W> {
    fn hire() -> Self {
        let (orders, todo) = sync_channel::<(W, W::Order)>(1);
        let (finished, done) = sync_channel(1);
        let thread = thread::spawn(move || {
            while let Some((mut part, order)) = receive(&todo) {
                part.work(&order);
                if finished.send(part).is_err() {
                    break;
                }
            }
        });
        Self { orders, done, thread }
    }

    /// The thread ended although it was given something to do.
    fn panicked(self) -> ! {
        let payload = self.thread.join().err();
        std::panic::resume_unwind(payload.unwrap_or_else(|| Box::new("a worker ended early")))
    }
}

/// Waits for the next value, first without sleeping; `None` if nobody is left to send one.
fn receive<T>(from: &Receiver<T>) -> Option<T> {
    for _ in 0..LOOKS {
        match from.try_recv() {
            Ok(value) => return Some(value),
            Err(TryRecvError::Disconnected) => return None,
            Err(TryRecvError::Empty) => std::hint::spin_loop(),
        }
    }
    from.recv().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Notes the thread it is worked on by.
    #[derive(Debug, PartialEq)]
    struct Sheet(u64, Option<thread::ThreadId>);

    impl Work for Sheet {
        type Order = u64;

        fn work(&mut self, order: &u64) {
            assert!(*order < 1_000, "too much");
            self.0 += order;
            self.1 = Some(thread::current().id());
        }
    }

    #[test]
    fn every_part_is_worked_on_by_a_thread_of_its_own_and_comes_back_in_its_place() {
        let mut crew = Crew::new();
        let mut parts: Vec<Sheet> = (0..3).map(|n| Sheet(1_000 * n, None)).collect();
        for order in 0..100 {
            crew.work(&mut parts, &order);
        }
        let sums: Vec<u64> = parts.iter().map(|part| part.0).collect();
        assert_eq!(sums, [4_950, 5_950, 6_950]);
        assert_eq!(parts[0].1, Some(thread::current().id()));
        assert!(parts[0].1 != parts[1].1 && parts[1].1 != parts[2].1 && parts[2].1 != parts[0].1);
    }

    #[test]
    #[should_panic(expected = "too much")]
    fn a_workers_panic_is_the_callers() {
        struct Careless(u64);
        impl Work for Careless {
            type Order = ();
            fn work(&mut self, (): &()) {
                assert!(self.0 == 0, "too much");
            }
        }
        Crew::new().work(&mut vec![Careless(0), Careless(1)], &());
    }
}
