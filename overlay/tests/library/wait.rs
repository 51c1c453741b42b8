//! How tests of real nodes wait: for what comes, however long it takes.

use std::time::Duration;

use murmurate::{Node, NodeId};
use tokio::time::{sleep, timeout};

/// Guards against waiting for ever, and decides nothing else.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(120);
/// Longer than any test runs: what ends by it has not ended.
pub(crate) const FOREVER: Duration = Duration::from_secs(24 * 60 * 60);

/// What has to come.
pub(crate) async fn soon<T>(what: impl Future<Output = T>) -> T {
    timeout(TIMEOUT, what).await.expect("it comes")
}

/// Waits until the active view of `node` is as `holds` says.
pub(crate) async fn view(node: &Node, holds: impl Fn(&[NodeId]) -> bool) {
    let mut views = node.watch_active_view();
    soon(views.wait_for(|view| holds(view))).await.expect("the node runs");
}

/// Looks again and again until `holds`. Only for counters and for what a node says when it is asked, which
/// wake nobody.
pub(crate) async fn until(what: &str, holds: impl AsyncFn() -> bool) {
    let looks = async {
        while !holds().await {
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(TIMEOUT, looks).await.expect(what);
}

/// What a node counts under this name and these labels.
pub(crate) fn count(node: &Node, series: &str) -> u64 {
    let text = node.metrics().render();
    let line = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    line.and_then(|value| value.parse().ok()).expect(series)
}
