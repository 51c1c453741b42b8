//! A node's side of channels: it declares them, sends, takes messages, and answers.

use murmurate::{
    Builder, Channel, Endpoint, Node, NodeId, Overflow, Receipt, Received, SendError, Undelivered,
};
use murmurate_simulator::engine::lanes::LEAST_BYTES;
use murmurate_simulator::experiment::scenario::{self, ChannelKind, Scenario};

use crate::error::Error;
use crate::protocol::{MessageEnd, NodeMessage, now};
use crate::report::report;

/// The largest message that any channel may carry.
const MAX_MESSAGE: usize = (1 << 24) - 1;

/// The channels of a running node, in the scenario's order.
pub(crate) struct Channels {
    endpoints: Vec<Endpoint>,
    epoch: u64,
}

/// Declares the scenario's channels.
pub(crate) fn declare(builder: Builder, scenario: &Scenario) -> Builder {
    scenario.channels.iter().map(declared).fold(builder, Builder::channel)
}

fn declared(channel: &scenario::Channel) -> Channel {
    let name = channel.name.as_str();
    let declared = match channel.kind {
        ChannelKind::BestEffort => Channel::best_effort(name),
        ChannelKind::Acknowledged => Channel::acknowledged(name),
        ChannelKind::Latest => Channel::latest(name),
        ChannelKind::Request => Channel::request(name),
    };
    let overflow = match channel.overflow {
        scenario::Overflow::Refuse => Overflow::Wait,
        scenario::Overflow::DropOldest => Overflow::DropOldest,
    };
    declared
        .overflow(overflow)
        .queue(channel.queue_messages as usize, channel.queue_bytes.0 as usize)
        .timeout(channel.timeout.0)
        .max_message(MAX_MESSAGE)
}

impl Channels {
    /// Takes messages from now on.
    pub(crate) fn open(node: &Node, scenario: &Scenario, epoch: u64) -> Result<Self, Error> {
        let mut endpoints = Vec::new();
        for channel in &scenario.channels {
            let endpoint = node.channel(&channel.name)?;
            let answer = (channel.kind == ChannelKind::Request)
                .then(|| vec![0; (channel.answer.0 as usize).max(LEAST_BYTES)]);
            tokio::spawn(take(endpoint.clone(), answer, epoch));
            endpoints.push(endpoint);
        }
        Ok(Self { endpoints, epoch })
    }

    /// Sends a message at once, or not at all, as in the simulation.
    pub(crate) fn send(&self, id: u32, channel: usize, to: NodeId, bytes: u32) {
        let Some(endpoint) = self.endpoints.get(channel) else { return };
        let mut message = id.to_le_bytes().to_vec();
        message.extend(now().to_le_bytes());
        message.resize((bytes as usize).max(LEAST_BYTES), 0);
        let epoch = self.epoch;
        match endpoint.to(to).try_send(message) {
            Ok(receipt) => drop(tokio::spawn(ended(receipt, id, epoch))),
            Err(SendError::Full) => report_end(id, MessageEnd::Refused, epoch),
            Err(_) => report_end(id, MessageEnd::Unreachable, epoch),
        }
    }
}

async fn ended(receipt: Receipt, id: u32, epoch: u64) {
    let end = match receipt.await {
        Ok(_) => MessageEnd::Done,
        Err(Undelivered::Gone | Undelivered::Dropped) => MessageEnd::Gone,
        Err(Undelivered::TimedOut) => MessageEnd::TimedOut,
        Err(Undelivered::Shed) => MessageEnd::Shed,
        Err(_) => MessageEnd::Unreachable,
    };
    report_end(id, end, epoch);
}

fn report_end(id: u32, end: MessageEnd, epoch: u64) {
    report(&NodeMessage::Ended { id, at: now().saturating_sub(epoch), end });
}

/// Takes each message, and answers or acknowledges it.
async fn take(endpoint: Endpoint, answer: Option<Vec<u8>>, epoch: u64) {
    while let Some(received) = endpoint.receive().await {
        let at = now();
        if let Some((id, sent)) = content(&received) {
            let (at, took) = (at.saturating_sub(epoch), at.saturating_sub(sent));
            report(&NodeMessage::Taken { id, at, took });
        }
        match &answer {
            Some(answer) => drop(received.answer(answer.clone())),
            None => received.ack(),
        }
    }
}

/// Which message it is, and when it was sent.
fn content(received: &Received) -> Option<(u32, u64)> {
    let (id, rest) = received.data.split_first_chunk()?;
    Some((u32::from_le_bytes(*id), u64::from_le_bytes(*rest.first_chunk()?)))
}
