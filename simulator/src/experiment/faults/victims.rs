//! Chooses the victims of a fault.

use rand::seq::SliceRandom;
use rand::{Rng, RngExt};

use crate::engine::{SimStack, Simulation};
use crate::experiment::scenario::Who;
use crate::model::network::{Placement, Side};

/// Draws before a running node is looked for one by one, which is slow.
const TRIES: usize = 256;

/// The candidates that `who` selects, in the order of their indices.
pub(super) fn victims(
    who: &Who,
    mut candidates: Vec<usize>,
    placement: &Placement,
    rng: &mut impl Rng,
) -> Vec<usize> {
    let count = match who {
        Who::All => return candidates,
        Who::Nodes(nodes) => {
            candidates.retain(|index| nodes.iter().any(|node| *node as usize == *index));
            return candidates;
        }
        Who::Region(name) => {
            let region = placement.find(name);
            candidates.retain(|index| Some(placement.of(*index)) == region);
            return candidates;
        }
        Who::Class(name) => {
            let class = placement.find_class(name);
            candidates.retain(|index| placement.class(*index) == class);
            return candidates;
        }
        Who::Share(share) => share.of(candidates.len()),
        Who::Count(count) => (*count as usize).min(candidates.len()),
    };
    let (chosen, _) = candidates.partial_shuffle(rng, count);
    let mut chosen = chosen.to_vec();
    chosen.sort_unstable();
    chosen
}

/// The far side of a cut, or whose links something happens to; and how many run there. Whoever starts later
/// and is named, or is in a region or of a class that is, is among them.
pub(super) fn side<P: SimStack>(
    who: &Who,
    sim: &Simulation<P>,
    rng: &mut impl Rng,
) -> (Side, usize) {
    let placement = sim.network().placement();
    let nodes = victims(who, sim.live_nodes().collect(), placement, rng);
    let listed = |of: &[usize]| {
        let mut is_in = vec![false; of.iter().max().map_or(0, |last| last + 1)];
        of.iter().for_each(|index| is_in[*index] = true);
        Side::Nodes(is_in)
    };
    let side = match who {
        Who::All => Side::All,
        Who::Nodes(named) => listed(&named.iter().map(|index| *index as usize).collect::<Vec<_>>()),
        Who::Region(name) => placement.find(name).map_or_else(|| listed(&[]), Side::Region),
        Who::Class(name) => placement.find_class(name).map_or_else(|| listed(&[]), Side::Class),
        Who::Share(_) | Who::Count(_) => listed(&nodes),
    };
    (side, nodes.len())
}

/// A random node that runs.
pub(crate) fn random_running<P: SimStack>(
    sim: &Simulation<P>,
    rng: &mut impl Rng,
) -> Option<usize> {
    random_such(sim, rng, |_| true)
}

/// A random node that runs and for which `fits` holds.
pub(crate) fn random_such<P: SimStack>(
    sim: &Simulation<P>,
    rng: &mut impl Rng,
    fits: impl Fn(usize) -> bool,
) -> Option<usize> {
    if sim.live() == 0 {
        return None;
    }
    let fits = |index: &usize| sim.is_live(*index) && fits(*index);
    let mut tries = (0..TRIES).map(|_| rng.random_range(0..sim.len()));
    if let Some(found) = tries.find(fits) {
        return Some(found);
    }
    let all: Vec<usize> = sim.live_nodes().filter(fits).collect();
    (!all.is_empty()).then(|| all[rng.random_range(0..all.len())])
}
