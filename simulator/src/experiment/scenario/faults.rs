//! The timeline: what goes wrong, when, and for whom.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::values::{Share, Span};

/// An entry of the timeline.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// When it happens, or begins.
    pub at: Span,
    /// What assertions and reports call it; without it, its kind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What happens.
    #[serde(rename = "do")]
    pub what: What,
}

impl Fault {
    /// Its name, or its kind.
    #[must_use]
    pub fn label(&self) -> &str {
        self.name.as_deref().unwrap_or_else(|| self.what.kind())
    }
}

/// Which nodes a fault strikes, of those that it can strike, or a probe looks at: drawn at random where
/// they are not named.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Who {
    /// Everybody.
    All,
    /// A share of them.
    Share(Share),
    /// So many of them.
    Count(#[schemars(range(max = 16_777_216))] u32),
    /// These, by index.
    Nodes(Vec<u32>),
    /// Those of this region.
    Region(String),
    /// Those of this class.
    Class(String),
}

/// How a node that stops is noticed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Death {
    /// Its host closes the connections: the neighbours hear of it at once.
    #[default]
    Closed,
    /// Its host answers whoever writes to it with a reset.
    Reset,
    /// The machine is gone, and with it every answer.
    Silent,
}

/// What can happen.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum What {
    /// Nodes stop without a word of their own. With a share it is a mass failure.
    Crash {
        /// Which of the running nodes.
        who: Who,
        /// How it is noticed.
        #[serde(default)]
        notice: Death,
    },
    /// Nodes say goodbye and stop.
    Leave {
        /// Which of the running nodes.
        who: Who,
        /// How long their processes go on after it: they count as running, and refuse all links.
        #[serde(default)]
        linger: Span,
    },
    /// Nodes that stopped start again, as a new incarnation.
    Restart {
        /// Which of the nodes that do not run.
        who: Who,
        /// With what they had on disk: they join through their former neighbours and passive peers,
        /// otherwise through random running nodes.
        #[serde(default)]
        disk: bool,
        /// They start evenly over this time.
        #[serde(default)]
        over: Span,
    },
    /// New nodes take over the addresses of running ones, which are gone at once and without a
    /// word: the same index, a new incarnation, nothing remembered.
    Recycle {
        /// Which of the running nodes.
        who: Who,
    },
    /// New nodes join: a flash crowd.
    Join {
        /// How many.
        #[schemars(range(min = 1, max = 16_777_216))]
        count: u32,
        /// They start evenly over this time.
        #[serde(default)]
        over: Span,
    },
    /// Nodes come and go.
    Churn {
        /// For how long; whoever is down then stays down.
        #[serde(rename = "for")]
        lasting: Span,
        /// Who goes and comes when.
        how: Churn,
        /// How a node that goes is noticed.
        #[serde(default)]
        notice: Death,
        /// Share of those that go which say goodbye.
        #[serde(default)]
        goodbye: Share,
    },
    /// Messages between some nodes and all others are lost, silently.
    Partition {
        /// Who is cut off.
        who: Who,
        /// Only messages towards them are lost.
        #[serde(default)]
        one_way: bool,
        /// How long; without it, until `heal`.
        #[serde(default, rename = "for", skip_serializing_if = "Option::is_none")]
        lasting: Option<Span>,
    },
    /// All partitions end.
    Heal,
    /// From now on no message is lost by chance, copied or held back, whatever `links` and classes say.
    Calm,
    /// Nodes are told of some that run, all of the same random ones: as by a list of addresses that a
    /// host looks up.
    Discover {
        /// Which of the running nodes.
        who: Who,
    },
    /// The links of some nodes go down and up again, each link at times of its own.
    Flap {
        /// Whose links.
        who: Who,
        /// How long a link stays up.
        #[schemars(extend("x-least" = "1ms"))]
        up: Span,
        /// How long it stays down.
        #[schemars(extend("x-least" = "1ms"))]
        down: Span,
        /// For how long.
        #[serde(rename = "for")]
        lasting: Span,
    },
    /// From now on this share of all messages is lost.
    Loss {
        /// Instead of what `links.loss` and classes say.
        share: Share,
    },
    /// Links take longer than `links.latency` says, which is always the least. It changes evenly or at
    /// once, for a while or again and again: a detour, a daily swing. Several multiply.
    Latency {
        /// Whose links.
        who: Who,
        /// Only those between them and these; without it, all of theirs.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        to: Option<Who>,
        /// How many times as long messages take.
        #[schemars(range(min = 1.0, max = 1000.0))]
        times: f64,
        /// It grows over this time, and shrinks over this time before the end.
        #[serde(default)]
        over: Span,
        /// How long it lasts, with growing and shrinking; without it, to the end of the run.
        #[serde(default, rename = "for", skip_serializing_if = "Option::is_none")]
        lasting: Option<Span>,
        /// It comes again each time that so much has passed since it began; without it, once.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        every: Option<Span>,
    },
    /// Nodes get slow: they handle what reaches them one after the other.
    Slow {
        /// Which of the running nodes.
        who: Who,
        /// How many times slower than others.
        #[schemars(range(min = 1.0, max = 1e9))]
        times: f64,
        /// What others need for a message or timer; the simulator takes theirs to be nothing.
        #[serde(default = "work")]
        work: Span,
        /// For how long.
        #[serde(rename = "for")]
        lasting: Span,
    },
    /// Nodes do nothing, though their connections stay: a stopped process, a paused machine. What
    /// reaches them meanwhile they handle afterwards.
    Stall {
        /// Which of the running nodes.
        who: Who,
        /// For how long.
        #[serde(rename = "for")]
        lasting: Span,
    },
    /// Nodes lie: they take part in the overlay, and keep to themselves what they should pass on. Their own
    /// broadcasts they still send.
    Withhold {
        /// Which of the running nodes.
        who: Who,
        /// What they do not pass on.
        #[serde(default)]
        what: Withheld,
        /// For how long; without it, to the end.
        #[serde(default, rename = "for", skip_serializing_if = "Option::is_none")]
        lasting: Option<Span>,
    },
    /// Nodes want to be the only neighbours of all others, to the end of the run: they ask them for links, accept
    /// all requests, and name only each other. Only strategies that have neighbours of their own choice can be
    /// attacked like this: `hyparview`. With others they say nothing about membership.
    Eclipse {
        /// Which of the running nodes.
        who: Who,
        /// How often in a second each asks one of the others for a link, and sends one a sample of attackers.
        #[serde(default = "once")]
        #[schemars(range(min = 0.001, max = 1000.0))]
        rate: f64,
    },
    /// The clocks of nodes run at another speed, and with them their timers.
    ClockDrift {
        /// Which of the running nodes.
        who: Who,
        /// Their seconds in a true second.
        #[schemars(range(min = 0.01, max = 100.0))]
        rate: f64,
        /// For how long; without it, to the end.
        #[serde(default, rename = "for", skip_serializing_if = "Option::is_none")]
        lasting: Option<Span>,
    },
    /// The clocks of nodes jump ahead: timers that are due by then fire at once.
    ClockJump {
        /// Which of the running nodes.
        who: Who,
        /// How far.
        by: Span,
    },
}

/// Once a second.
fn once() -> f64 {
    1.0
}

/// What a healthy node needs to decode and handle a small message.
fn work() -> Span {
    Span(std::time::Duration::from_micros(20))
}

impl What {
    /// Every kind there is, as the schema has them.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Crash { .. } => "crash",
            Self::Leave { .. } => "leave",
            Self::Restart { .. } => "restart",
            Self::Recycle { .. } => "recycle",
            Self::Join { .. } => "join",
            Self::Churn { .. } => "churn",
            Self::Partition { .. } => "partition",
            Self::Heal => "heal",
            Self::Calm => "calm",
            Self::Discover { .. } => "discover",
            Self::Flap { .. } => "flap",
            Self::Loss { .. } => "loss",
            Self::Latency { .. } => "latency",
            Self::Slow { .. } => "slow",
            Self::Stall { .. } => "stall",
            Self::Withhold { .. } => "withhold",
            Self::Eclipse { .. } => "eclipse",
            Self::ClockDrift { .. } => "clock-drift",
            Self::ClockJump { .. } => "clock-jump",
        }
    }

    /// Whom it strikes, where it says so.
    #[must_use]
    pub fn who(&self) -> Option<&Who> {
        match self {
            Self::Crash { who, .. }
            | Self::Leave { who, .. }
            | Self::Discover { who }
            | Self::Restart { who, .. }
            | Self::Recycle { who }
            | Self::Partition { who, .. }
            | Self::Flap { who, .. }
            | Self::Latency { who, .. }
            | Self::Slow { who, .. }
            | Self::Stall { who, .. }
            | Self::Withhold { who, .. }
            | Self::Eclipse { who, .. }
            | Self::ClockDrift { who, .. }
            | Self::ClockJump { who, .. } => Some(who),
            Self::Join { .. }
            | Self::Churn { .. }
            | Self::Heal
            | Self::Calm
            | Self::Loss { .. } => None,
        }
    }

    /// The other side of what it does to links, where it says so.
    #[must_use]
    pub fn to(&self) -> Option<&Who> {
        match self {
            Self::Latency { to, .. } => to.as_ref(),
            _ => None,
        }
    }

    /// How long it lasts, where it ends by itself.
    #[must_use]
    pub fn lasting(&self) -> Option<Span> {
        match self {
            Self::Churn { lasting, .. }
            | Self::Flap { lasting, .. }
            | Self::Slow { lasting, .. }
            | Self::Stall { lasting, .. } => Some(*lasting),
            Self::Latency { every: Some(_), .. } => None,
            Self::Partition { lasting, .. }
            | Self::Latency { lasting, .. }
            | Self::Withhold { lasting, .. }
            | Self::ClockDrift { lasting, .. } => *lasting,
            _ => None,
        }
    }
}

/// Who goes and comes when.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Churn {
    /// At random times a random node goes and a new one joins, so that their number stays.
    Poisson {
        /// Share of the nodes that goes in a minute, in the mean.
        #[schemars(extend("x-above" = 0.0))]
        share_per_minute: f64,
    },
    /// Each node that runs at the beginning goes and comes back, as long as sessions and pauses
    /// between them last.
    Sessions {
        /// How long a node runs.
        up: Lengths,
        /// How long it is away.
        down: Lengths,
        /// In which state the churn begins.
        #[serde(default)]
        start: SessionStart,
    },
    /// As recorded: a CSV file with the columns time (in seconds since the beginning of the churn),
    /// node (its index) and state (up or down).
    Trace {
        /// The file, relative to the scenario's.
        file: PathBuf,
    },
}

/// What liars keep to themselves of the broadcasts of others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Withheld {
    /// Their payloads: they announce them, take them, and do not send them.
    #[default]
    Payloads,
    /// All about them: neighbours hear nothing of broadcasts from them but the payloads of their own.
    Broadcasts,
}

/// In which state sessions begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SessionStart {
    /// With the first session of every node. Where short ones are common, more nodes are away for a while
    /// than later.
    #[default]
    Fresh,
    /// As if it had gone on for ever: as many nodes as are away in the mean go at once, and the others are
    /// in the midst of a session.
    Stationary,
}

/// How long something lasts, drawn each time.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Lengths {
    /// Exponential: what lasts has no memory.
    Exponential {
        /// The mean.
        #[schemars(extend("x-least" = "1ms"))]
        mean: Span,
    },
    /// Weibull: with a shape below 1, as measured of peers, whoever stayed for long stays longer.
    Weibull {
        /// The mean.
        #[schemars(extend("x-least" = "1ms"))]
        mean: Span,
        /// 1 is exponential.
        #[schemars(range(min = 0.1, max = 10.0))]
        shape: f64,
    },
}
