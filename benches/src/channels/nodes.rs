//! Two nodes, joined.

use std::time::Duration;

use murmurate::{Channel, Endpoint, Node};
use tokio::time::timeout;

use crate::Error;
use crate::transport::Transport;

/// Two nodes that declare the same channels, and are neighbours.
pub(crate) async fn pair(
    transport: Transport,
    channels: &[Channel],
) -> Result<(Node, Node), Error> {
    let node = || {
        let address = transport.anywhere().parse();
        async move {
            let mut builder = Node::builder().listen(address?);
            for channel in channels {
                builder = builder.channel(channel.clone());
            }
            Ok::<_, Error>(builder.spawn().await?)
        }
    };
    let (one, two) = (node().await?, node().await?);
    two.join(one.addresses()).await?;
    for node in [&one, &two] {
        let mut view = node.watch_active_view();
        timeout(Duration::from_secs(10), view.wait_for(|view| !view.is_empty())).await??;
    }
    Ok((one, two))
}

/// Answers each request with what it says.
pub(crate) async fn echo(endpoint: Endpoint) {
    while let Some(mut asked) = endpoint.receive().await {
        let answer = std::mem::take(&mut asked.data);
        // As long as the request, so it fits.
        let _ = asked.answer(answer);
    }
}
