//! Which of two connections between the same two nodes goes on.
//!
//! Both sides must come to the same answer, whichever connection came to stand first on either, and by
//! whatever clock. So it follows only from what both know, the order that the dialling side told in its
//! hello: of one side's dials the later one goes on; a dial goes on rather than one of the other side that
//! the dialler had heard of, for whoever dials again has lost that; and of two dials that knew nothing of
//! each other, the one of the smaller node.
//!
//! That is an order: a side numbers its dials as it greets, and what it has heard of only grows. So of any
//! number of connections one goes on, in whatever order they are compared.

use crate::id::Incarnation;
use crate::node::wire::Order;

/// A dial that became a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Dialled {
    pub(super) by: Incarnation,
    pub(super) order: Order,
}

impl Dialled {
    /// Whether it goes on, and the other one does not.
    pub(super) fn outlasts(&self, other: &Self) -> bool {
        if self.by.node == other.by.node {
            return self.name() > other.name();
        }
        match (self.order.heard >= other.name(), other.order.heard >= self.name()) {
            (true, false) => true,
            (false, true) => false,
            // That both heard of the other nobody can truly say.
            _ => self.by.node < other.by.node,
        }
    }

    /// Which start dialled it, and the number of that dial: larger with each.
    fn name(&self) -> (u64, u64) {
        (self.by.started, self.order.number)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::NodeId;

    /// What two nodes can do.
    #[derive(Debug, Clone, Copy)]
    enum Step {
        /// One of them greets on a connection that it dialled.
        Greet(usize),
        /// It reads this one of the greetings that it has not read.
        Read(usize, usize),
        Restart(usize),
    }

    #[derive(Debug, Default)]
    struct Side {
        started: u64,
        number: u64,
        heard: (u64, u64),
        /// Greetings on their way to it.
        unread: Vec<Dialled>,
    }

    /// The connections that came about between the last starts of both: others have ended.
    fn run(steps: &[Step]) -> Vec<Dialled> {
        let mut sides = [Side::default(), Side::default()];
        let mut all = Vec::new();
        for step in steps {
            match *step {
                Step::Greet(at) => {
                    let side = &mut sides[at];
                    side.number += 1;
                    let node = NodeId::from_bytes([at as u8; 32]);
                    let by = Incarnation { node, started: side.started };
                    let order = Order { number: side.number, heard: side.heard };
                    all.push(Dialled { by, order });
                    sides[1 - at].unread.push(Dialled { by, order });
                }
                Step::Read(at, which) => {
                    let side = &mut sides[at];
                    if !side.unread.is_empty() {
                        let which = which % side.unread.len();
                        let greeting = side.unread.swap_remove(which);
                        side.heard = side.heard.max(greeting.name());
                    }
                }
                Step::Restart(at) => {
                    sides[at] = Side { started: sides[at].started + 1, ..Side::default() };
                    sides[1 - at].unread.clear();
                    all.clear();
                }
            }
        }
        all
    }

    fn survivor(all: impl IntoIterator<Item = Dialled>) -> Option<Dialled> {
        all.into_iter().reduce(|old, new| if old.outlasts(&new) { old } else { new })
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            5 => (0..2usize).prop_map(Step::Greet),
            5 => (0..2usize, 0..4usize).prop_map(|(at, which)| Step::Read(at, which)),
            1 => (0..2usize).prop_map(Step::Restart),
        ];
        prop::collection::vec(step, 0..30)
    }

    proptest! {
        #[test]
        fn one_goes_on_in_whatever_order_they_come_to_stand(
            (all, shuffled) in steps().prop_map(|steps| run(&steps)).prop_flat_map(|all| {
                (Just(all.clone()), Just(all).prop_shuffle())
            }),
        ) {
            for (at, one) in all.iter().enumerate() {
                for other in &all[at + 1..] {
                    prop_assert_ne!(one.outlasts(other), other.outlasts(one));
                }
            }
            prop_assert_eq!(survivor(all), survivor(shuffled));
        }
    }
}
