//! Threads that run the shards of a simulation, one bucket after the other.
//!
//! A shard is handed to a worker for a bucket and comes back. No two threads ever use the same one, and
//! between buckets the caller has all shards.

use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::thread::{self, JoinHandle};

/// How often a thread polls for work or for a result before it sleeps: for about 50 µs. Buckets often take
/// less time than waking a thread.
const LOOKS: u32 = 2_000;

/// Something a worker can be handed.
pub(crate) trait Work: Send + 'static {
    /// What to do with it.
    type Order: Clone + Send;
    /// Does it.
    fn work(&mut self, order: &Self::Order);
}

/// A thread for each shard but the first, once there is something to do for them.
pub(crate) struct WorkerPool<W: Work> {
    workers: Vec<Worker<W>>,
}

/// A thread that ends with its pool, when its channel is closed.
struct Worker<W: Work> {
    orders: SyncSender<(W, W::Order)>,
    done: Receiver<W>,
    thread: JoinHandle<()>,
}

impl<W: Work> WorkerPool<W> {
    pub(crate) fn new() -> Self {
        Self { workers: Vec::new() }
    }

    /// Runs all shards at once, the first on the caller's thread, and returns when all are done.
    ///
    /// A panic of a worker becomes the caller's.
    pub(crate) fn work(&mut self, shards: &mut Vec<W>, order: &W::Order) {
        while self.workers.len() + 1 < shards.len() {
            self.workers.push(Worker::spawn());
        }
        for (worker, shard) in self.workers.iter().zip(shards.drain(1..)) {
            // If the worker is gone, so is the shard: noticed below.
            let _ = worker.orders.send((shard, order.clone()));
        }
        if let Some(first) = shards.first_mut() {
            first.work(order);
        }
        for at in 0..self.workers.len() {
            match receive(&self.workers[at].done) {
                Some(shard) => shards.push(shard),
                None => self.workers.swap_remove(at).panicked(),
            }
        }
    }
}

/// A clone has its own threads.
impl<W: Work> Clone for WorkerPool<W> {
    fn clone(&self) -> Self {
        Self::new()
    }
}

impl<W: Work> Worker<W> {
    fn spawn() -> Self {
        let (orders, todo) = sync_channel::<(W, W::Order)>(1);
        let (finished, done) = sync_channel(1);
        let thread = thread::spawn(move || {
            while let Some((mut shard, order)) = receive(&todo) {
                shard.work(&order);
                // Before the shard is back: what the order shares may be changed then.
                drop(order);
                if finished.send(shard).is_err() {
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

/// Waits for the next value, first without sleeping; `None` if there are no senders any more.
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
    fn every_shard_is_worked_on_by_a_thread_of_its_own_and_comes_back_in_its_place() {
        let mut pool = WorkerPool::new();
        let mut shards: Vec<Sheet> = (0..3).map(|n| Sheet(1_000 * n, None)).collect();
        for order in 0..100 {
            pool.work(&mut shards, &order);
        }
        let sums: Vec<u64> = shards.iter().map(|shard| shard.0).collect();
        assert_eq!(sums, [4_950, 5_950, 6_950]);
        assert_eq!(shards[0].1, Some(thread::current().id()));
        assert!(
            shards[0].1 != shards[1].1 && shards[1].1 != shards[2].1 && shards[2].1 != shards[0].1
        );
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
        WorkerPool::new().work(&mut vec![Careless(0), Careless(1)], &());
    }
}
