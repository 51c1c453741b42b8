//! A sign of life for what takes longer than two seconds, on a terminal only.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget};
use tokio::time::timeout;

const QUIET: Duration = Duration::from_secs(2);

/// Waits for `work`, and after two seconds shows that it does.
pub(crate) async fn while_waiting<T>(what: &str, work: impl Future<Output = T>) -> T {
    let mut work = std::pin::pin!(work);
    if let Ok(done) = timeout(QUIET, work.as_mut()).await {
        return done;
    }
    let spinner = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
    spinner.set_message(what.to_owned());
    spinner.enable_steady_tick(Duration::from_millis(200));
    let done = work.await;
    spinner.finish_and_clear();
    done
}
