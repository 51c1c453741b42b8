//! What checkers and the swarm know about HyParView.

use std::time::Duration;

use murmurate::membership::hyparview::{HyParView, Message, Parameters, Priority};
use murmurate::membership::{Membership as _, Peer as _};

use super::SimulatedMembership;
use super::membership::{MembershipConditions, MembershipNeeds, MembershipPromises};
use crate::engine::storage::{self, OfMembership};
use crate::engine::strategy::Watched;
use crate::model::dice::Dice;
use crate::model::eclipse::Attacker;
use crate::model::node::SimPeer;

/// Attackers that an attacker names in a sample: as many as an honest one by default.
const ATTACK_SAMPLE: usize = 7;

impl Watched for HyParView<SimPeer> {
    fn spares_link(&self, from: SimPeer, message: &Message<SimPeer>) -> bool {
        // It ends another link, one that these two had before.
        matches!(*message, Message::Disconnect { link, leaving: false, .. }
            if self.link_number(from).is_some_and(|held| held != link))
    }

    fn replaces_failed(&self) -> bool {
        self.is_full() || self.asked().next().is_some() || self.passive().len() == 0
    }

    fn looks_for_former(&self, peer: SimPeer) -> bool {
        self.contacts().iter().copied().chain(self.lost()).any(|held| peer.supersedes(held))
    }

    fn eclipse(
        &self,
        heard: Option<(SimPeer, &Message<SimPeer>)>,
        attacker: &mut Attacker<'_>,
    ) -> Vec<(SimPeer, Message<SimPeer>)> {
        let Some((from, message)) = heard else {
            // One joins where it is in already, too: whoever evicted it takes it again.
            let link = attacker.number();
            let join = attacker.victim().map(|victim| (victim, Message::Join { link }));
            let sample = attacker.accomplices(ATTACK_SAMPLE).collect();
            let shuffle = Message::Shuffle { origin: attacker.me(), ttl: 1, sample };
            let shuffle = attacker.victim().map(|victim| (victim, shuffle));
            return join.into_iter().chain(shuffle).collect();
        };
        let (to, answer) = match *message {
            Message::Join { link } | Message::Neighbor { link, .. } => {
                (from, Message::Accept { link, evicted: None })
            }
            Message::Keepalive { link } => (from, Message::Keepalive { link }),
            Message::ForwardJoin { joiner, .. } => {
                let link = attacker.number();
                (joiner, Message::Neighbor { link, priority: Priority::High })
            }
            Message::Shuffle { origin, ref sample, .. } => {
                let sample = attacker.accomplices(sample.len() + 1).collect();
                (origin, Message::ShuffleReply { sample })
            }
            _ => return Vec::new(),
        };
        if attacker.is_accomplice(to) { Vec::new() } else { vec![(to, answer)] }
    }

    fn storage(&self) -> Option<OfMembership<Self>> {
        Some(storage::of_membership())
    }
}

impl SimulatedMembership for Parameters {
    fn draw(dice: &mut Dice, about: &MembershipNeeds) -> Self {
        let active = match about {
            MembershipNeeds { cut: true, .. } => dice.between(4, 8),
            _ if dice.chance(3) => 1,
            _ => dice.between(2, 8),
        };
        let walk = dice.between(1u8, 8);
        // Rare enough that moments without any exchange under way are not.
        let rare = 200 * u64::from(about.nodes + about.newcomers);
        let promotion = about.remixes.then(|| dice.millis(4_000 + rare, 20_000 + rare));
        let keepalive_interval = dice.millis(300, 3_000);
        Self {
            active_capacity: active,
            passive_capacity: active + dice.between(0, 24),
            active_walk_length: walk,
            passive_walk_length: dice.between(0, walk),
            shuffle_active: dice.between(0, 4),
            shuffle_passive: dice.between(1, 6),
            shuffle_walk_length: dice.between(1, 8),
            shuffle_interval: dice.millis(1_000, 10_000),
            reactive_shuffles: dice.between(0, 8),
            keepalive_interval,
            keepalive_misses: dice.between(2, 4),
            promotion_interval: promotion,
            reunion_interval: match about {
                MembershipNeeds { cut: true, .. } => {
                    Some(keepalive_interval * dice.between(10, 15))
                }
                MembershipNeeds { lone: true, .. } => None,
                _ => dice.chance(50).then(|| dice.millis(5_000, 40_000)),
            },
            // Above the longest round trip, with its jitter.
            request_timeout: dice.millis(4 * about.longest_way, 1_500),
            rejoin_pause: match about {
                // So that neither asks just before both are told.
                MembershipNeeds { pair: true, .. } => dice.millis(5_000, 20_000),
                _ => dice.millis(1_000, 10_000),
            },
            contacts_capacity: if about.lone || about.cut { 8 } else { dice.between(1, 8) },
        }
    }

    /// Sides that have full views and know no other nodes meet again only by exchanges. Simultaneous joins,
    /// loss and mass failures sometimes leave such sides. With two neighbours each, an overlay is a set of
    /// rings, and every other exchange splits or joins them. With three, an exchange can split it until the
    /// next one. With one, a node that is left over takes another node's neighbour, for ever.
    fn promises(&self, of: &MembershipConditions) -> MembershipPromises {
        let active = self.active_capacity;
        let whole = match self.promotion_interval {
            Some(_) => active >= 3,
            None => active >= 4 && of.gentle,
        };
        let notice = self.keepalive_interval * (u32::from(self.keepalive_misses) + 2);
        let candidates = self.request_timeout * (self.passive_capacity as u32 + 10);
        let promotions = self.promotion_interval.unwrap_or_default() * 12;
        let lost = self.reunion_interval.unwrap_or_default() * 2;
        let meeting = self.rejoin_pause * 3 + self.shuffle_interval * 10 + promotions + lost;
        // Each attempt has an end before the next one.
        let is_rare = |interval: &Duration| *interval >= self.keepalive_interval * 10;
        MembershipPromises {
            agrees: active > 1,
            whole,
            stays_whole: whole && active >= 4,
            complete: false,
            given: false,
            together: active > 1,
            reaches: active >= 3,
            meets: true,
            still: self.promotion_interval.is_none() || of.nodes <= active as u64 + 1,
            reunion: self.reunion_interval.filter(is_rare).filter(|_| active >= 4),
            chatter: Some(chatter(self)),
            recovery: Some(notice + candidates + meeting),
        }
    }
}

/// The most messages that a node sends in a second, in the mean: keep-alives and probes, forwarded
/// shuffles, requests to candidates and lost peers, and the answers.
fn chatter(m: &Parameters) -> f64 {
    let keepalives = 2.0 * m.active_capacity as f64 / m.keepalive_interval.as_secs_f64();
    let shuffles = f64::from(m.shuffle_walk_length) + 2.0;
    let candidates = 2.0 * (m.passive_capacity + m.active_capacity) as f64 + 10.0;
    let turns = 1.0 + f64::from(m.reactive_shuffles);
    let lost = m
        .reunion_interval
        .map_or(0.0, |interval| 20.0 * m.contacts_capacity as f64 / interval.as_secs_f64());
    keepalives + lost + turns * (shuffles + candidates) / m.shuffle_interval.as_secs_f64()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use murmurate::Stack;
    use murmurate::broadcast::Flood;
    use murmurate::stack;
    use murmurate::testing::{Effect, Host};

    use super::*;

    type View = Host<HyParView<SimPeer>, Flood<SimPeer, u32, ()>>;
    type Input = stack::Input<HyParView<SimPeer>, Flood<SimPeer, u32, ()>>;

    fn id(index: usize) -> SimPeer {
        SimPeer::new(index, 0)
    }

    /// The peers that are asked for a link, and the link's number.
    fn asked(view: &mut View, input: Input) -> Vec<(SimPeer, u16)> {
        let asked = view.feed(input).into_iter().filter_map(|effect| match effect {
            Effect::Send(to, stack::Message::Membership(Message::Neighbor { link, .. })) => {
                Some((to, link))
            }
            _ => None,
        });
        asked.collect()
    }

    fn receive(view: &mut View, from: SimPeer, message: Message<SimPeer>) -> Vec<(SimPeer, u16)> {
        asked(view, Input::Receive { from, message: stack::Message::Membership(message) })
    }

    fn membership(view: &View) -> &HyParView<SimPeer> {
        view.stack().membership()
    }

    fn active(view: &View) -> Vec<SimPeer> {
        membership(view).active().collect()
    }

    /// Linked with 1 by link 7.
    fn linked() -> View {
        let config = Parameters::default().check().expect("the defaults are fine");
        let membership = HyParView::new(id(0), Arc::new(config), 1);
        let mut view = View::new(Stack::new(membership, Flood::new(Arc::default())));
        asked(&mut view, Input::Join(vec![]));
        receive(&mut view, id(1), Message::Join { link: 7 });
        assert_eq!(active(&view), [id(1)]);
        view
    }

    fn disconnect(link: u16, leaving: bool) -> Message<SimPeer> {
        Message::Disconnect { link, leaving, instead: None }
    }

    #[test]
    fn a_link_is_spared_by_the_end_of_another() {
        let mut view = linked();
        assert!(!membership(&view).spares_link(id(1), &disconnect(7, false)), "it is that link");
        assert!(
            !membership(&view).spares_link(id(1), &disconnect(5, true)),
            "who leaves ends them all"
        );
        assert!(!membership(&view).spares_link(id(2), &disconnect(5, false)), "there is none");
        assert!(membership(&view).spares_link(id(1), &disconnect(5, false)));
        receive(&mut view, id(1), disconnect(5, false));
        assert_eq!(active(&view), [id(1)], "as it said");
        receive(&mut view, id(1), disconnect(7, false));
        assert_eq!(active(&view), []);
    }

    #[test]
    fn a_failed_neighbour_is_replaced_if_anybody_is_known() {
        let mut view = linked();
        assert!(membership(&view).replaces_failed(), "nobody is known");
        let sample = [id(3)].into_iter().collect();
        let shuffle = Message::Shuffle { origin: id(2), ttl: 0, sample };
        let mut next = receive(&mut view, id(1), shuffle);
        while let Some((peer, link)) = next.pop() {
            next.extend(receive(&mut view, peer, Message::Reject { link }));
        }
        assert!(membership(&view).passive().len() > 0, "some have refused");
        assert!(!membership(&view).replaces_failed(), "nobody is asked, and nobody has failed");
        asked(&mut view, Input::LinkDown(id(1)));
        assert!(membership(&view).replaces_failed());
    }

    #[test]
    fn who_restarted_is_looked_for_as_who_it_is_now() {
        let mut view = linked();
        let again = SimPeer::new(4, 1);
        asked(&mut view, Input::Join(vec![id(4)]));
        assert!(membership(&view).looks_for_former(again), "it was not told");
        assert!(!membership(&view).looks_for_former(id(4)));
        asked(&mut view, Input::Restarted(again));
        assert!(!membership(&view).looks_for_former(again));
    }
}
