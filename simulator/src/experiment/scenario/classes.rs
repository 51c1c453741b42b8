//! Classes of nodes that are not as the rest.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::links::Bandwidth;
use super::values::Share;
use super::{Processor, Scenario};
use crate::model::machine;
use crate::model::network;

/// Nodes that are not as the rest. What is not said is as for all. A node is of the first class that fits.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Class {
    /// Its name.
    pub name: String,
    /// Which nodes are of it, also of those that join later.
    pub who: Members,
    /// What their access lines carry, instead of `links.bandwidth`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bandwidth: Option<Bandwidth>,
    /// Share of the messages to them and from them that are lost, instead of `links.loss`. Between two
    /// classes the greater share counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loss: Option<Share>,
    /// Lines that all of them share for what they send to all others and get from them: the uplink of a
    /// region. Those who wait get the same rate each, and `queue` is each one's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shared: Option<Bandwidth>,
    /// How long they work, instead of `nodes.processor`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub processor: Option<Processor>,
    /// What whoever dials them meets, if nobody can. Takes `links.connections`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nat: Option<Nat>,
}

/// Which nodes are of a class.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Members {
    /// A share: each node that no list and no region of a class before takes is of it with this chance, drawn
    /// for itself.
    Share(Share),
    /// These, by index.
    Nodes(Vec<u32>),
    /// Those of this region.
    Region(String),
}

/// What a dial meets at a node behind a NAT or a firewall. Its own dials go through, and the connections that
/// it made carry both ways. There is no hole punching.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Nat {
    /// It is refused after a round trip.
    Reject,
    /// It gets no answer, and times out.
    Drop,
}

impl Scenario {
    /// The classes as the network has them, if regions have these names.
    ///
    /// # Errors
    /// The path of the key that is wrong, and what is wrong with it.
    pub(super) fn network_classes(
        &self,
        region: impl Fn(&str) -> Option<usize>,
    ) -> Result<Vec<network::Class>, (String, String)> {
        if self.classes.len() > network::Class::MOST {
            let (count, most) = (self.classes.len(), network::Class::MOST);
            return Err((
                "classes".to_owned(),
                format!("{count} classes: allowed are {most} at most"),
            ));
        }
        let mut seen = BTreeSet::new();
        let class = |(at, class): (usize, &Class)| {
            let path = |key: &str| format!("classes.{at}.{key}");
            if class.name.is_empty() || !seen.insert(class.name.clone()) {
                let message = format!("{:?} must be a name of its own", class.name);
                return Err((path("name"), message));
            }
            if class.nat.is_some() && self.links.connections.is_none() {
                let message = "nobody dials anybody without links.connections: say what they take";
                return Err((path("nat"), message.to_owned()));
            }
            let members = match &class.who {
                Members::Share(share) => network::Members::Share(share.get()),
                Members::Nodes(nodes) => {
                    network::Members::Nodes(nodes.iter().map(|node| *node as usize).collect())
                }
                Members::Region(name) => match region(name) {
                    Some(number) => network::Members::Region(number),
                    None => return Err((path("who.region"), format!("{name:?} is not a region"))),
                },
            };
            Ok(network::Class {
                name: class.name.clone(),
                members,
                bandwidth: class.bandwidth.map(Into::into),
                shared: class.shared.map(Into::into),
                loss: class.loss.map(Share::get),
                nat: class.nat.map(|nat| match nat {
                    Nat::Reject => network::Nat::Reject,
                    Nat::Drop => network::Nat::Drop,
                }),
            })
        };
        self.classes.iter().enumerate().map(class).collect()
    }

    /// What the processors of classes take, where they take something of their own.
    #[must_use]
    pub fn class_processors(&self) -> Vec<Option<machine::ProcessorModel>> {
        self.classes.iter().map(|class| class.processor.map(Into::into)).collect()
    }
}

impl From<Bandwidth> for network::BandwidthModel {
    fn from(line: Bandwidth) -> Self {
        Self { up: line.up.0, down: line.down.0, queue: line.queue.0.into() }
    }
}

impl From<Processor> for machine::ProcessorModel {
    fn from(of: Processor) -> Self {
        Self { message: of.message.0, rate: of.rate.map(|rate| rate.0) }
    }
}
