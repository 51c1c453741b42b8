//! The figures that assertions, sweeps and comparisons use.

use crate::observe::metric::Metric;

/// What can be looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Figure {
    /// Mean share of the running nodes that a broadcast reached.
    Reliability,
    /// The same of the broadcast that reached fewest.
    LeastReliability,
    /// Mean share of those that links led to from the publisher, and that run to the end, which a
    /// broadcast reached.
    Reach,
    /// Mean relative message redundancy.
    Rmr,
    /// Mean of the most links that a broadcast's deliveries crossed.
    Hops,
    /// Broadcasts published.
    Broadcasts,
    /// Median time from publish to delivery.
    LatencyP50,
    /// All but a hundredth of the deliveries were faster.
    LatencyP99,
    /// The slowest delivery.
    LatencyMax,
    /// Messages sent.
    Messages,
    /// Messages that the network lost.
    Lost,
    /// Messages that did not fit a queue.
    Shed,
    /// The most events that were under way at a time: a run that exceeds it is stopped.
    Pending,
    /// Messages that applications wanted to send on channels.
    ChannelMessages,
    /// Share of them that an application took.
    ChannelDelivered,
    /// Those for which there was no room.
    ChannelRefused,
    /// Those that were never sent, because a newer one replaced them.
    ChannelShed,
    /// Those that were never sent, because no receiver ever answered.
    ChannelUnreachable,
    /// Those whose path broke, or whose receiver restarted.
    ChannelGone,
    /// Those without an outcome in time.
    ChannelTimedOut,
    /// Median time from send to delivery on channels.
    ChannelLatencyP50,
    /// All but a hundredth of them were faster.
    ChannelLatencyP99,
    /// The slowest of them.
    ChannelLatencyMax,
    /// Lookups, but for those whose asker has died meanwhile.
    Lookups,
    /// Share of them that found somebody.
    LookupFound,
    /// Median time from question to answer.
    LookupLatencyP50,
    /// All but a hundredth of them were faster.
    LookupLatencyP99,
    /// Datagrams sent hop by hop.
    Datagrams,
    /// Share of them that arrived.
    DatagramDelivered,
    /// Connected components of the overlay.
    Components,
    /// Nodes in the largest of them.
    LargestComponent,
    /// Nodes that run.
    RunningNodes,
    /// Mean number of neighbours.
    MeanDegree,
    /// Running nodes without a neighbour.
    Isolated,
    /// Views that hold a running node that does not hold them.
    AsymmetricLinks,
    /// Places in views that hold nodes which do not run.
    DeadLinks,
    /// Pairs of running nodes without a link between them.
    UnlinkedPairs,
    /// Links of the scenario's graph between running nodes that are not there.
    MissingLinks,
    /// The share of places in the active views of others that attackers have.
    AttackerLinks,
    /// The share of places in the passive views of others that attackers have.
    AttackerPeers,
    /// Nodes whose neighbours all attack.
    Eclipsed,
    /// Nodes outside the largest part of the overlay that is left without the attackers.
    CutOff,
    /// One that was registered.
    Own(&'static Metric),
}

/// Where a figure comes from, and so what its windows mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Of {
    /// The broadcasts published in the window.
    Broadcasts,
    /// What was counted in the window.
    Deliveries,
    /// The messages that were sent on channels in the window.
    Channels,
    /// The lookups and datagrams of the window.
    Routing,
    /// The overlay as it is at a moment.
    Overlay,
    /// The simulation as it is at a moment.
    Moment,
}

/// How figures of channels begin.
pub(crate) const OF_CHANNELS: &str = "channel_";

impl Figure {
    /// Every figure but those that are registered.
    pub const ALL: [Self; 42] = [
        Self::Reliability,
        Self::LeastReliability,
        Self::Reach,
        Self::Rmr,
        Self::Hops,
        Self::Broadcasts,
        Self::LatencyP50,
        Self::LatencyP99,
        Self::LatencyMax,
        Self::Messages,
        Self::Lost,
        Self::Shed,
        Self::Pending,
        Self::ChannelMessages,
        Self::ChannelDelivered,
        Self::ChannelRefused,
        Self::ChannelShed,
        Self::ChannelUnreachable,
        Self::ChannelGone,
        Self::ChannelTimedOut,
        Self::ChannelLatencyP50,
        Self::ChannelLatencyP99,
        Self::ChannelLatencyMax,
        Self::Lookups,
        Self::LookupFound,
        Self::LookupLatencyP50,
        Self::LookupLatencyP99,
        Self::Datagrams,
        Self::DatagramDelivered,
        Self::Components,
        Self::LargestComponent,
        Self::RunningNodes,
        Self::MeanDegree,
        Self::Isolated,
        Self::AsymmetricLinks,
        Self::DeadLinks,
        Self::UnlinkedPairs,
        Self::MissingLinks,
        Self::AttackerLinks,
        Self::AttackerPeers,
        Self::Eclipsed,
        Self::CutOff,
    ];

    /// Those of attackers.
    pub(crate) const OF_ATTACKERS: [Self; 4] =
        [Self::AttackerLinks, Self::AttackerPeers, Self::Eclipsed, Self::CutOff];

    /// As assertions call it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Reliability => "reliability",
            Self::LeastReliability => "least_reliability",
            Self::Reach => "reach",
            Self::Rmr => "rmr",
            Self::Hops => "hops",
            Self::Broadcasts => "broadcasts",
            Self::LatencyP50 => "latency_p50",
            Self::LatencyP99 => "latency_p99",
            Self::LatencyMax => "latency_max",
            Self::Messages => "messages",
            Self::Lost => "lost",
            Self::Shed => "shed",
            Self::Pending => "pending",
            Self::ChannelMessages => "channel_messages",
            Self::ChannelDelivered => "channel_delivered",
            Self::ChannelRefused => "channel_refused",
            Self::ChannelShed => "channel_shed",
            Self::ChannelUnreachable => "channel_unreachable",
            Self::ChannelGone => "channel_gone",
            Self::ChannelTimedOut => "channel_timed_out",
            Self::ChannelLatencyP50 => "channel_latency_p50",
            Self::ChannelLatencyP99 => "channel_latency_p99",
            Self::ChannelLatencyMax => "channel_latency_max",
            Self::Lookups => "lookups",
            Self::LookupFound => "lookup_found",
            Self::LookupLatencyP50 => "lookup_latency_p50",
            Self::LookupLatencyP99 => "lookup_latency_p99",
            Self::Datagrams => "datagrams",
            Self::DatagramDelivered => "datagram_delivered",
            Self::Components => "components",
            Self::LargestComponent => "largest_component",
            Self::RunningNodes => "running_nodes",
            Self::MeanDegree => "mean_degree",
            Self::Isolated => "isolated",
            Self::AsymmetricLinks => "asymmetric_links",
            Self::DeadLinks => "dead_links",
            Self::UnlinkedPairs => "unlinked_pairs",
            Self::MissingLinks => "missing_links",
            Self::AttackerLinks => "attacker_links",
            Self::AttackerPeers => "attacker_peers",
            Self::Eclipsed => "eclipsed",
            Self::CutOff => "cut_off",
            Self::Own(metric) => metric.name,
        }
    }

    /// What it is a figure of.
    #[must_use]
    pub fn of(self) -> Of {
        match self {
            Self::Reliability
            | Self::LeastReliability
            | Self::Reach
            | Self::Rmr
            | Self::Hops
            | Self::Broadcasts => Of::Broadcasts,
            Self::LatencyP50
            | Self::LatencyP99
            | Self::LatencyMax
            | Self::Messages
            | Self::Lost
            | Self::Shed
            | Self::Pending => Of::Deliveries,
            Self::Components
            | Self::LargestComponent
            | Self::RunningNodes
            | Self::MeanDegree
            | Self::Isolated
            | Self::AsymmetricLinks
            | Self::DeadLinks
            | Self::UnlinkedPairs
            | Self::MissingLinks
            | Self::AttackerLinks
            | Self::AttackerPeers
            | Self::Eclipsed
            | Self::CutOff => Of::Overlay,
            Self::Lookups
            | Self::LookupFound
            | Self::LookupLatencyP50
            | Self::LookupLatencyP99
            | Self::Datagrams
            | Self::DatagramDelivered => Of::Routing,
            Self::Own(_) => Of::Moment,
            _ => Of::Channels,
        }
    }

    /// Whether its values are times.
    #[must_use]
    pub fn is_time(self) -> bool {
        if let Self::Own(metric) = self {
            return metric.unit == "s";
        }
        matches!(
            self,
            Self::LatencyP50
                | Self::LatencyP99
                | Self::LatencyMax
                | Self::LookupLatencyP50
                | Self::LookupLatencyP99
                | Self::ChannelLatencyP50
                | Self::ChannelLatencyP99
                | Self::ChannelLatencyMax
        )
    }
}
