//! What is checked for a kind.

/// What a kind promises, beyond what all kinds do.
#[derive(Debug, Clone, Copy)]
pub struct ChannelPromises {
    /// An incarnation takes a lane's messages in the order in which they were sent.
    pub in_order: bool,
    /// All copies of a message go to one receiving half.
    pub one_half: bool,
    /// A sent message is lost only together with the receiving half that it was sent to.
    pub survives: bool,
    /// The least number of messages without an outcome that a sending half may hold, whatever the limits.
    pub least_room: usize,
}

impl ChannelPromises {
    /// Those of [`BestEffort`](murmurate::channel::BestEffort), where all paths are streams.
    pub const BEST_EFFORT: Self =
        Self { in_order: true, one_half: true, survives: false, least_room: 1 };
    /// Those of [`BestEffort`](murmurate::channel::BestEffort), where some are relayed.
    pub const BEST_EFFORT_RELAYED: Self = Self { in_order: false, ..Self::BEST_EFFORT };
    /// Those of [`Acknowledged`](murmurate::channel::Acknowledged).
    pub const ACKNOWLEDGED: Self = Self { survives: true, ..Self::BEST_EFFORT };
    /// Those of [`Latest`](murmurate::channel::Latest).
    pub const LATEST: Self = Self { one_half: false, least_room: 2, ..Self::BEST_EFFORT };
    /// Those of [`Request`](murmurate::channel::Request).
    pub const REQUEST: Self = Self::BEST_EFFORT_RELAYED;
}
