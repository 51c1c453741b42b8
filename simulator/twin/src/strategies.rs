//! The strategies that real nodes run here: each is a row.

use murmurate::broadcast::{flood, plumtree};
use murmurate::membership::{full_mesh, hyparview, static_overlay};
use murmurate::{Builder, NodeBroadcast, NodeMembership};
use murmurate_simulator::experiment::scenario::Scenario;
use murmurate_simulator::strategies::{Broadcast, Membership};

use crate::error::Unsupported;

/// A strategy's name, and what makes a builder's nodes run it.
type Row<Of> = (&'static str, fn(Builder, &Of) -> Builder);

const MEMBERSHIPS: [Row<Membership>; 3] = [
    membership::<hyparview::Parameters>(),
    membership::<full_mesh::Parameters>(),
    membership::<static_overlay::Parameters>(),
];

const BROADCASTS: [Row<Broadcast>; 2] =
    [broadcast::<plumtree::Parameters>(), broadcast::<flood::Parameters>()];

const fn membership<S: NodeMembership + Clone>() -> Row<Membership> {
    (S::NAME, |builder, of| match of.get::<S>() {
        Some(parameters) => builder.membership(parameters.clone()),
        None => builder,
    })
}

const fn broadcast<S: NodeBroadcast + Clone>() -> Row<Broadcast> {
    (S::NAME, |builder, of| match of.get::<S>() {
        Some(parameters) => builder.broadcast(parameters.clone()),
        None => builder,
    })
}

/// Makes the builder's nodes run the scenario's strategies.
///
/// # Errors
/// Real nodes do not run one of them here.
pub(crate) fn choose(builder: Builder, scenario: &Scenario) -> Result<Builder, Unsupported> {
    let Scenario { membership, broadcast, .. } = scenario;
    let choose = row("membership.strategy", &MEMBERSHIPS, membership.name())?;
    let builder = choose(builder, membership);
    let choose = row("broadcast.strategy", &BROADCASTS, broadcast.name())?;
    Ok(choose(builder, broadcast))
}

fn row<Of>(
    key: &str,
    rows: &[Row<Of>],
    wanted: &str,
) -> Result<fn(Builder, &Of) -> Builder, Unsupported> {
    let found = rows.iter().find(|(name, _)| *name == wanted);
    let names: Vec<&str> = rows.iter().map(|(name, _)| *name).collect();
    let why = || format!("{wanted}: real nodes run one of these here: {}", names.join(", "));
    found.map(|(_, choose)| *choose).ok_or_else(|| Unsupported::new(key, &why()))
}
