//! Threads for bulk: what fills connections runs apart from what should be quick.
//!
//! A task that encrypts without end holds its thread of the runtime for milliseconds at a time, and
//! the two ends of one full connection hold two. Whoever shares a runtime with them waits for a turn.
//! Apart, they compete as threads, and those the operating system interrupts.
//!
//! Here run the dials of connections for bulk, the connections themselves - the swarm's task moves as
//! soon as it knows what its connection is for - and the lanes on them. All nodes of a process share
//! the threads, which start with the first such connection.

use std::cell::Cell;
use std::pin::Pin;
use std::sync::LazyLock;
use std::task::{Context, Poll};

use tokio::runtime::{Builder, Handle, Runtime};

use super::Traffic;

type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

static THREADS: LazyLock<Option<Runtime>> = LazyLock::new(|| {
    let runtime = Builder::new_multi_thread()
        .thread_name("bulk")
        .on_thread_start(yield_to_others)
        .enable_all()
        .build();
    let failed = |error| tracing::warn!(%error, "no threads for bulk: it runs with the rest");
    runtime.map_err(failed).ok()
});

/// How much the threads yield to others of this machine: a thread that was woken for something quick
/// takes over at once, and bulk still has a tenth of a core that others keep busy.
#[cfg(target_os = "linux")]
const NICENESS: i32 = 10;

/// Lowers the priority of the calling thread.
fn yield_to_others() {
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::setpriority_process(None, NICENESS) {
        tracing::debug!(%error, "threads for bulk keep their priority");
    }
}

/// Where tasks for a kind of traffic run.
pub(crate) fn threads_for(traffic: Traffic) -> Handle {
    match (traffic, THREADS.as_ref()) {
        (Traffic::Bulk, Some(runtime)) => runtime.handle().clone(),
        _ => Handle::current(),
    }
}

/// Runs a connection's task: here, until it says that it moves.
pub(crate) fn spawn(task: Task) {
    tokio::spawn(Movable(Some(task)));
}

thread_local! {
    static MOVES: Cell<bool> = const { Cell::new(false) };
}

/// Said from within a connection's task: its connection is for bulk.
pub(crate) fn move_task() {
    MOVES.set(true);
}

/// A task that may move.
struct Movable(Option<Task>);

impl Future for Movable {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let Some(mut task) = self.0.take() else { return Poll::Ready(()) };
        MOVES.set(false);
        if task.as_mut().poll(context).is_ready() {
            return Poll::Ready(());
        }
        if MOVES.take() {
            // Polled again there at once: whatever woke it meanwhile is not missed.
            threads_for(Traffic::Bulk).spawn(task);
            return Poll::Ready(());
        }
        self.0 = Some(task);
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use tokio::sync::oneshot;
    use tokio::task::yield_now;

    use super::*;

    fn is_for_bulk() -> bool {
        thread::current().name() == Some("bulk")
    }

    #[tokio::test]
    async fn a_task_moves_when_it_says_so_and_misses_nothing() {
        let (wake, woken) = oneshot::channel();
        let (tell, told) = oneshot::channel();
        spawn(Box::pin(async move {
            let before = is_for_bulk();
            yield_now().await;
            let still = is_for_bulk();
            move_task();
            // It was told, and waits when it is moved.
            let _ = wake.send(());
            yield_now().await;
            let _ = tell.send((before, still, is_for_bulk()));
        }));
        woken.await.expect("it runs");
        assert_eq!(told.await.expect("it ends"), (false, false, true));
    }

    #[tokio::test]
    async fn what_one_task_says_moves_no_other() {
        let (tell, told) = oneshot::channel();
        // Both in one thread: the first says that it moves, and ends.
        spawn(Box::pin(async { move_task() }));
        spawn(Box::pin(async move {
            yield_now().await;
            let _ = tell.send(is_for_bulk());
        }));
        assert!(!told.await.expect("it ends"));
    }
}
