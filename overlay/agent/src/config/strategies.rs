//! The strategies that an agent can run: each has a row here and a section of parameters.

use murmurate::Builder;
use murmurate::broadcast::{flood, plumtree};
use murmurate::membership::{MembershipStrategy as _, full_mesh, hyparview, static_overlay};
use serde::{Deserialize, Serialize};

/// Which membership and which broadcast the overlay runs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Strategies {
    pub(crate) membership: MembershipStrategy,
    pub(crate) broadcast: BroadcastStrategy,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum MembershipStrategy {
    /// A few neighbours, however many nodes there are.
    #[default]
    #[serde(rename = "hyparview")]
    #[value(name = "hyparview")]
    HyParView,
    /// Every node: for up to some 50.
    FullMesh,
    /// The contacts it joins through, those whose contact it is, and nobody else.
    Static,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum BroadcastStrategy {
    /// Along a tree.
    #[default]
    Plumtree,
    /// On every link.
    Flood,
}

impl MembershipStrategy {
    /// Where its parameters are.
    pub(crate) fn section(self) -> &'static str {
        match self {
            Self::HyParView => "membership",
            Self::FullMesh => "full_mesh",
            Self::Static => "static",
        }
    }

    /// Links that a node has at most, in an overlay of so many.
    pub(crate) fn links(self, nodes: usize) -> usize {
        match self {
            Self::HyParView => Builder::default_membership().links(nodes),
            Self::FullMesh => Builder::default_full_mesh().links(nodes),
            Self::Static => Builder::default_static().links(nodes),
        }
    }
}

impl BroadcastStrategy {
    /// Whether payloads go along a tree, which settles first.
    pub(crate) fn has_tree(self) -> bool {
        match self {
            Self::Plumtree => true,
            Self::Flood => false,
        }
    }
}

impl Strategies {
    /// A node of these, each with its parameters. A flood has some of Plumtree's.
    pub(crate) fn choose(
        self,
        builder: Builder,
        hyparview: hyparview::Parameters,
        full_mesh: full_mesh::Parameters,
        static_overlay: static_overlay::Parameters,
        plumtree: plumtree::Parameters,
    ) -> Builder {
        let builder = match self.membership {
            MembershipStrategy::HyParView => builder.membership(hyparview),
            MembershipStrategy::FullMesh => builder.membership(full_mesh),
            MembershipStrategy::Static => builder.membership(static_overlay),
        };
        match self.broadcast {
            BroadcastStrategy::Plumtree => builder.broadcast(plumtree),
            BroadcastStrategy::Flood => builder.broadcast(flood::Parameters {
                seen_capacity: plumtree.seen_capacity,
                origins_capacity: plumtree.origins_capacity,
                origin_idle: plumtree.origin_idle,
                hop_limit: plumtree.hop_limit,
            }),
        }
    }
}
