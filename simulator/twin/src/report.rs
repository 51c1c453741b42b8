//! How a node reports: a line on standard output.

use std::io::Write as _;

use crate::protocol::NodeMessage;

/// Reports this to the controller.
pub(crate) fn report(message: &NodeMessage) {
    let Ok(line) = serde_json::to_string(message) else { return };
    let mut out = std::io::stdout().lock();
    // If the controller is gone, the end of its input ends this process.
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}
