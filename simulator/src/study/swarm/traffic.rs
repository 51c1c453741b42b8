//! Draws a plan's traffic beside its broadcasts: messages on channels, lookups and datagrams.

use std::time::Duration;

use super::percent;
use crate::experiment::scenario::{
    Bytes, Channel, ChannelKind, LookUp, Overflow, Pace, Send, Sender, Share, Span, To, Workload,
};
use crate::model::dice::Dice;

/// Drawn from a stream of its own, so that adding it changes no other draw.
fn lookups(seed: u64, until: Duration) -> Option<Workload> {
    let dice = &mut Dice::new(seed ^ 0x6c6f_6f6b);
    dice.chance(30).then(|| Workload {
        from: Span(dice.millis(0, until.as_millis() as u64)),
        count: Some(dice.between(10, 200)),
        pace: Pace::Rate(f64::from(dice.between(1, 20))),
        payload: Bytes(dice.between(16, 2_000)),
        look_up: Some(LookUp {
            to: if dice.chance(70) { To::Random } else { To::Node(0) },
            relay: dice.chance(60),
        }),
        ..Workload::default()
    })
}

/// Channels, and what is sent on them. Every run checks what channels guarantee.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Traffic {
    pub(super) channels: Vec<Channel>,
    pub(super) workload: Vec<Workload>,
    /// Lookups, and datagrams to the nodes that they find.
    pub(super) lookups: Option<Workload>,
}

impl Traffic {
    /// Drawn from a stream of its own, so that the same faults are drawn with it and without it.
    pub(super) fn draw(seed: u64, until: Duration) -> Self {
        let dice = &mut Dice::new(seed ^ 0x7461_6c6b);
        let mut traffic = Self { lookups: lookups(seed, until), ..Self::default() };
        if dice.chance(50) {
            return traffic;
        }
        let kinds = [
            ("best-effort", ChannelKind::BestEffort),
            ("acknowledged", ChannelKind::Acknowledged),
            ("latest", ChannelKind::Latest),
            ("request", ChannelKind::Request),
        ];
        for (name, kind) in kinds {
            if dice.chance(40) {
                continue;
            }
            let full = dice.chance(30);
            traffic.channels.push(Channel {
                name: name.into(),
                kind,
                queue_messages: if full { dice.between(1, 10) } else { dice.between(10, 1_000) },
                queue_bytes: Bytes(dice.between(100, 1 << 20)),
                timeout: Span(dice.millis(1_000, 20_000)),
                answer: Bytes(dice.between(16, 2_000)),
                overflow: if dice.chance(30) { Overflow::DropOldest } else { Overflow::Refuse },
                relayed: match dice.between(0, 3) {
                    0 | 1 => Share::NONE,
                    2 => Share::ALL,
                    _ => percent(dice, 10, 90),
                },
                work: if dice.chance(60) { Span::default() } else { Span(dice.millis(1, 500)) },
            });
            traffic.workload.push(Workload {
                from: Span(dice.millis(0, until.as_millis() as u64)),
                until: None,
                count: Some(dice.between(20, 300)),
                pace: Pace::Rate(f64::from(dice.between(1, 50))),
                sender: Sender::Random,
                payload: Bytes(dice.between(16, 2_000)),
                look_up: None,
                send: Some(Send {
                    channel: name.into(),
                    to: if dice.chance(50) { To::Random } else { To::Node(0) },
                }),
            });
        }
        traffic
    }

    /// Removes one of its channels, and what is sent on it.
    pub(super) fn without(&mut self, at: usize) {
        let channel = self.channels.remove(at);
        let is_of_it = |send: &Send| send.channel == channel.name;
        self.workload.retain(|workload| !workload.send.as_ref().is_some_and(is_of_it));
    }
}
