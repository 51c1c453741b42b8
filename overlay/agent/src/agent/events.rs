//! What happens to the node, as its log tells it.

use murmurate::Event;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;

/// Logs events until the node is gone.
pub(super) async fn log(mut events: Receiver<Event>) {
    loop {
        match events.recv().await {
            Ok(event) => tell(event),
            Err(RecvError::Lagged(lost)) => tracing::warn!(lost, "events came too fast to log"),
            Err(RecvError::Closed) => return,
        }
    }
}

fn tell(event: Event) {
    match event {
        Event::Joined => tracing::info!("joined: there is a first neighbour"),
        Event::Isolated => tracing::warn!("isolated: the last neighbour is gone"),
        Event::NeighborUp(node) => tracing::info!(%node, "neighbour up"),
        Event::NeighborDown { node, reason } => {
            let reason = format!("{reason:?}").to_lowercase();
            tracing::info!(%node, reason, "neighbour down");
        }
        Event::DialFailed { node, address, reason } => {
            let [node, address] =
                [node.map(|node| node.to_string()), address.map(|address| address.to_string())];
            tracing::warn!(node, address, %reason, "dial failed");
        }
        Event::AdmissionChanged => tracing::info!("admission has changed, as another node told"),
        Event::LinkFailed { node, reason } => tracing::warn!(%node, reason, "link failed"),
        // The library logs these itself.
        Event::NotAdmitted { .. }
        | Event::Listening(_)
        | Event::DiscoveryFailed { .. }
        | Event::SharedIdentity(_)
        | Event::LinkSlow { .. }
        | Event::LinkCaughtUp(_) => {}
        event => tracing::info!(?event, "event"),
    }
}
