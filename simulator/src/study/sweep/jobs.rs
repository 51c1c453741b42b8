//! Work on several threads.

use std::num::NonZeroUsize;
use std::sync::{Mutex, PoisonError, mpsc};
use std::thread;

/// How many runs go on at a time, and on how many threads each. Neither changes the results.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Jobs {
    /// Runs at a time.
    pub runs: NonZeroUsize,
    /// Threads of each run.
    pub threads: NonZeroUsize,
}

/// Does the work for every item on this many threads, and takes the results here as they come. It ends
/// early if a result cannot be taken.
pub(super) fn each<I: Send, T: Send, E>(
    items: impl Iterator<Item = I> + Send,
    jobs: NonZeroUsize,
    work: impl Fn(I) -> T + Sync,
    mut take: impl FnMut(T) -> Result<(), E>,
) -> Result<(), E> {
    let items = Mutex::new(items);
    let next = || items.lock().unwrap_or_else(PoisonError::into_inner).next();
    let (sender, results) = mpsc::sync_channel(jobs.get());
    thread::scope(|scope| {
        for _ in 0..jobs.get() {
            let (sender, next, work) = (sender.clone(), &next, &work);
            scope.spawn(move || {
                while let Some(item) = next() {
                    if sender.send(work(item)).is_err() {
                        break;
                    }
                }
            });
        }
        drop(sender);
        results.into_iter().try_for_each(&mut take)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_item_is_worked_on_once_whatever_the_number_of_threads() {
        for jobs in [1, 2, 7] {
            let mut done = Vec::new();
            let jobs = NonZeroUsize::new(jobs).unwrap();
            let taken = each(
                0..100_u32,
                jobs,
                |item| item * 2,
                |result| {
                    done.push(result);
                    Ok::<(), ()>(())
                },
            );
            assert_eq!(taken, Ok(()));
            done.sort_unstable();
            assert_eq!(done, (0..100).map(|item| item * 2).collect::<Vec<_>>(), "{jobs} jobs");
        }
    }

    #[test]
    fn nothing_goes_on_behind_a_result_that_could_not_be_taken() {
        let begun = Mutex::new(0);
        let work = |item: u32| {
            *begun.lock().unwrap() += 1;
            item
        };
        let taken =
            each(
                0..1_000_000,
                NonZeroUsize::MIN,
                work,
                |item| if item < 10 { Ok(()) } else { Err(item) },
            );
        assert!(taken.is_err());
        assert!(*begun.lock().unwrap() < 100, "{begun:?}");
    }
}
