//! What a plan promises. Not every configuration can promise everything.

use std::time::Duration;

use super::{MEASURE_EVERY, Plan, SETTLING, Times};
use crate::experiment::scenario::{Class, Fault, Links, Pace, Share, Span, Transport, What, Who};
use crate::strategies::{broadcast, membership};
use crate::study::swarm::faults::{ROUND_TRIP, end};

/// How long the last one to join may take.
const JOINED: Duration = Duration::from_secs(5);
/// Nodes from which on a storm's broadcasts can be counted on: with fewer, one that loses all that
/// its publisher sends weighs too much.
pub(crate) const MANY: u64 = 12;

/// How long a run goes on after the last fault where nothing is promised.
const UNPROMISED: Duration = Duration::from_secs(60);

/// Two that are told of each other are linked this much later.
const MEETING: Duration = Duration::from_secs(1);
/// Payloads more than one for each node, once the tree has settled.
const MOST_RMR: f64 = 0.5;
/// Nodes up to which a tree has settled then: in a larger mesh the broadcasts before may be too few
/// to try all links.
const FEW: u64 = 8;

/// What must hold at the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct PlanPromise {
    /// Dead nodes are noticed.
    pub(crate) notices: bool,
    /// Views agree.
    pub(crate) agrees: bool,
    /// One overlay.
    pub(crate) whole: bool,
    /// One overlay at every moment, so that no broadcast fails.
    pub(crate) stays_whole: bool,
    /// Everyone is linked with everyone.
    pub(crate) complete: bool,
    /// All that were given each other are linked.
    pub(crate) given: bool,
    /// No node is isolated.
    pub(crate) together: bool,
    /// A broadcast reaches all that links lead to.
    pub(crate) reaches: bool,
    /// Two nodes that are told of each other at the same moment link at once.
    pub(crate) meets: bool,
    /// One overlay within two reunion intervals of the peace.
    pub(crate) reunites: bool,
    /// Half of the deliveries take no longer than this.
    pub(crate) prompt: Option<Duration>,
    /// So do those of the first broadcast ever, which goes over all links...
    pub(crate) first: Option<Duration>,
    /// ...and those of others, once the tree has settled.
    pub(crate) settled_latency: Option<Duration>,
    /// Then hardly any payload is sent twice.
    pub(crate) thrifty: bool,
    /// Most broadcasts in a storm arrive.
    pub(crate) survives: bool,
    /// Once the overlay has recovered, lookups find their nodes, and datagrams arrive.
    pub(crate) finds: bool,
}

impl PlanPromise {
    /// What a plan can promise.
    pub(crate) fn of(plan: &Plan) -> Self {
        if plan.is_complicated() {
            return Self::default();
        }
        let (membership, broadcast) = (plan.promises(), plan.broadcast_promises());
        let fits = plan.fits_queues() && broadcast.reaches;
        let (stays_whole, reaches) = (membership.stays_whole && fits, membership.reaches && fits);
        let keeps = |fault: &Fault| {
            !matches!(fault.what, What::Crash { .. } | What::Leave { .. } | What::Churn { .. })
        };
        let many = u64::from(plan.nodes.count) >= MANY && plan.faults.iter().all(keeps);
        let prompt = stays_whole && plan.has_company();
        let pause = match plan.finale.pace {
            Pace::Pause(pause) if plan.links.bandwidth.is_none() => Some(pause),
            _ => None,
        };
        let first = prompt && plan.load.is_empty() && pause.is_some_and(|p| p >= MEASURE_EVERY);
        // Some broadcasts go out after that.
        let late =
            |pause: Span| pause.0 * plan.finale.count.unwrap_or(0).saturating_sub(1) > SETTLING;
        let settled = prompt && pause.is_some_and(late);
        Self {
            notices: membership.recovery.is_some(),
            agrees: membership.agrees,
            whole: membership.whole,
            stays_whole,
            complete: membership.complete,
            given: membership.given && plan.graph.is_some(),
            together: membership.together && plan.has_company(),
            reaches,
            meets: membership.meets && plan.is_pair(),
            reunites: membership.reunion.is_some() && plan.is_cut(),
            prompt: prompt.then(|| plan.far() + broadcast.waits),
            first: first.then(|| plan.near()),
            settled_latency: settled.then(|| plan.near()),
            thrifty: settled && membership.still && broadcast.thrifty,
            survives: stays_whole && broadcast.survives && many,
            finds: stays_whole && plan.has_company() && plan.links_are_harmless() && plan.is_near(),
        }
    }

    /// What both promise.
    pub(crate) fn and(self, other: Self) -> Self {
        Self {
            notices: self.notices && other.notices,
            agrees: self.agrees && other.agrees,
            whole: self.whole && other.whole,
            stays_whole: self.stays_whole && other.stays_whole,
            complete: self.complete && other.complete,
            given: self.given && other.given,
            together: self.together && other.together,
            reaches: self.reaches && other.reaches,
            meets: self.meets && other.meets,
            reunites: self.reunites && other.reunites,
            thrifty: self.thrifty && other.thrifty,
            prompt: longer(self.prompt, other.prompt),
            first: longer(self.first, other.first),
            settled_latency: longer(self.settled_latency, other.settled_latency),
            survives: self.survives && other.survives,
            finds: self.finds && other.finds,
        }
    }

    /// Bounds of what may be under way and of what may be said, far above what ever is.
    pub(crate) fn always(self, plan: &Plan) -> Vec<String> {
        let nodes = plan.most_nodes() as f64;
        let broadcasts = plan.broadcasts() as f64;
        let seconds = (plan.well() + Duration::from_secs(200)).as_secs_f64();
        let (links, said) = (plan.links() as f64, plan.promises().chatter);
        let around = plan.anti_entropy.as_ref();
        let exchanges = around.map_or(0.0, |p| 16.0 / p.exchange_interval.as_secs_f64());
        let at_once = plan.at_once() as f64 + broadcasts / 20.0;
        // A lookup widens until it has asked everybody over every link.
        let asked = plan.lookups() as f64 * nodes * links;
        let pending = 4.0 * nodes * (6.0 + (8.0 + at_once) * (links + 2.0)) + asked + 20_000.0;
        let again = if around.is_some() { 12.0 } else { 4.0 };
        let messages = |said: f64| {
            let said = (said + exchanges) * seconds + broadcasts * again * links;
            4.0 * nodes * said + 16.0 * asked + 100_000.0
        };
        let said = said.map(|said| format!("messages <= {:.0}", messages(said)));
        [format!("pending <= {pending:.0}")].into_iter().chain(said).collect()
    }

    /// What holds at these times.
    pub(crate) fn then(self, times: &Times) -> Vec<String> {
        let packed = |span: &Span| span.to_string().replace(' ', "");
        let (well, looks) = (packed(&times.well), packed(&times.looks));
        let (finale, storm) = (packed(&times.finale), packed(&times.storm));
        let mut texts = Vec::new();
        if self.notices {
            texts.push(format!("dead_links == 0 from {well}"));
        }
        if self.meets {
            let soon = Span(times.peace.0 + MEETING);
            texts.push(format!("isolated == 0 at {}", packed(&soon)));
        }
        if let Some(interval) = times.reunion.filter(|_| self.reunites) {
            let (twice, peace) = (packed(&Span(interval * 2)), packed(&times.peace));
            texts.push(format!("components == 1 within {twice} of {peace}"));
        }
        if self.agrees {
            texts.push(format!("asymmetric_links == 0 within {looks} of {well}"));
        }
        if self.whole {
            texts.push(format!("components == 1 within {looks} of {well}"));
        }
        if self.together {
            texts.push(format!("isolated == 0 within {looks} of {well}"));
        }
        if self.given {
            texts.push(format!("missing_links == 0 within {looks} of {well}"));
        }
        if self.complete {
            texts.push(format!("unlinked_pairs == 0 within {looks} of {well}"));
        }
        if self.stays_whole {
            texts.push(format!("least_reliability == 1 from {finale} until {storm}"));
        } else if self.reaches {
            let recovery = packed(&times.finale_for);
            texts.push(format!("reach == 1 within {recovery} of {finale}"));
        }
        if let Some(longest) = self.prompt {
            let longest = packed(&Span(longest));
            texts.push(format!("latency_p50 <= {longest} from {finale} until {storm}"));
        }
        if let Some(longest) = self.first {
            let (longest, second) = (Span(longest), Span(times.finale.0 + MEASURE_EVERY.0));
            let (longest, second) = (packed(&longest), packed(&second));
            texts.push(format!("latency_p50 <= {longest} from {finale} until {second}"));
        }
        let settled = packed(&times.settled_at);
        if let Some(longest) = self.settled_latency {
            let longest = packed(&Span(longest));
            texts.push(format!("latency_p50 <= {longest} from {settled} until {storm}"));
        }
        if self.thrifty {
            texts.push(format!("rmr <= {MOST_RMR} from {settled} until {storm}"));
        }
        if self.finds {
            texts.push(format!("lookup_found == 1 from {finale} until {storm}"));
        }
        if self.survives {
            texts.push(format!("reliability >= 0.8 from {storm}"));
        }
        texts
    }
}

/// What is promised twice is promised as far as both do.
fn longer(one: Option<Duration>, another: Option<Duration>) -> Option<Duration> {
    one.zip(another).map(|(one, another)| one.max(another))
}

impl Plan {
    /// What the membership promises for it.
    fn promises(&self) -> membership::MembershipPromises {
        let (nodes, gentle) = (self.most_nodes(), self.is_gentle());
        self.membership.promises(&membership::MembershipConditions { nodes, gentle })
    }

    /// What the broadcast promises for it.
    fn broadcast_promises(&self) -> broadcast::BroadcastPromises {
        self.broadcast.promises(&broadcast::BroadcastConditions {
            nodes: self.most_nodes(),
            longest_way: self.longest_way(),
            few: FEW,
        })
    }

    /// Links that a node has at most.
    fn links(&self) -> usize {
        self.membership.links(self.most_nodes() as usize)
    }

    /// How long after the last fault all must be well: the dead are noticed, lists of dead candidates
    /// are worked off, the isolated try their contacts, and (each one, a few times) sides that forgot
    /// each other meet by exchanges.
    pub(crate) fn recovery(&self) -> Duration {
        self.promises().recovery.unwrap_or(UNPROMISED)
    }

    /// After how long a silent peer is tried again, if halves are one then.
    pub(super) fn reunion(&self) -> Option<Duration> {
        self.promises().reunion
    }

    /// Time in which half of all nodes can be reached, whatever way that is.
    fn far(&self) -> Duration {
        self.longest_way() * 30
    }

    /// The same in a good tree.
    fn near(&self) -> Duration {
        self.longest_way() * self.most_nodes().clamp(3, 15) as u32
    }

    /// Whether a lookup's answer comes before the timeout, from anywhere.
    fn is_near(&self) -> bool {
        self.traffic.lookups.is_some()
            && self.longest_way() * 20 <= murmurate::router::Config::default().lookup_wait() / 2
    }

    /// Whether what is published at once fits the queue of a line. What does not fit is lost silently.
    fn fits_queues(&self) -> bool {
        let Some(bandwidth) = &self.links.bandwidth else { return true };
        let links = self.links() as u64;
        let at_once = match self.finale.pace {
            Pace::Pause(_) => 1,
            _ => u64::from(self.finale.count.unwrap_or(0)),
        };
        let bytes = u64::from(self.finale.payload.0) + 200;
        2 * at_once * links * bytes <= u64::from(bandwidth.queue.0)
    }

    /// Whether there are always two nodes at least: newcomers come, or two go on running.
    fn has_company(&self) -> bool {
        let all = self.most_nodes();
        let struck = |who: &Who| match who {
            Who::Count(count) => u64::from(*count),
            Who::Share(share) => (share.get() * all as f64).ceil() as u64 + 1,
            _ => all,
        };
        let dead = self.faults.iter().map(|fault| match &fault.what {
            What::Crash { who, .. } | What::Leave { who, .. } => struck(who),
            What::Churn { .. } => all,
            _ => 0,
        });
        self.newcomers > 1 || u64::from(self.nodes.count) >= dead.sum::<u64>() + 2
    }

    /// Whether two nodes, and no others, have nothing but links that were down, and that lose nothing
    /// any more when both are told of each other: whichever of them asks, and if both do, one link
    /// comes of it after a way there and one back. One of them may have heard of it a way later.
    fn is_pair(&self) -> bool {
        let severs = |what: &What| {
            matches!(what, What::Partition { lasting: Some(_), .. } | What::Flap { .. })
        };
        let quiet = Duration::from_secs(5);
        let over = |fault: &Fault| end(fault) + quiet <= self.peace;
        self.nodes.count == 2
            && self.newcomers == 0
            && self.discovery
            && self.links_are_harmless()
            && self.longest_way() * 3 < MEETING
            && self.faults.iter().all(|fault| severs(&fault.what) && over(fault))
    }

    /// Whether nothing goes wrong but that an overlay is cut in two and nodes start again, each time long
    /// enough between two attempts to reach silent peers that each is tried.
    fn is_cut(&self) -> bool {
        let cuts = |what: &What| matches!(what, What::Partition { who: Who::Nodes(_), .. });
        let restarts = |what: &What| matches!(what, What::Crash { .. } | What::Restart { .. });
        self.newcomers == 0
            && self.links_are_harmless()
            && self.faults.first().is_some_and(|first| cuts(&first.what))
            && self.faults[1..].iter().all(|fault| restarts(&fault.what))
    }

    /// Whether nothing goes wrong and every broadcast is everywhere in seconds, so that nobody has
    /// anything of long ago to pass on: Flood keeps nothing for a neighbour to come.
    pub(crate) fn is_calm(&self) -> bool {
        let joins = |fault: &Fault| matches!(fault.what, What::Join { .. });
        let forgets = self.broadcast_promises().forgets;
        let fits = self.fits_queues() && self.links.bandwidth.is_none();
        // What is published while some join is for some of them only.
        let fits = fits && self.load.iter().all(|load| load.from.0 >= self.joined());
        forgets
            && fits
            && self.promise.stays_whole
            && self.is_gentle()
            && self.faults.iter().all(joins)
    }

    /// Whether all clocks are right: they tell how long ago a node joined.
    pub(crate) fn clocks_run(&self) -> bool {
        let wrong = |what: &What| matches!(what, What::ClockDrift { .. } | What::ClockJump { .. });
        !self.faults.iter().any(|fault| wrong(&fault.what))
    }

    /// Whether no message is lost, said twice or overtaken by much.
    pub(crate) fn links_are_harmless(&self) -> bool {
        let links = &self.links;
        links.loss == Share::NONE
            && links.bursts.is_none()
            && links.duplicate == Share::NONE
            && links.reorder.is_none()
    }

    /// Whether messages wait, or nodes cannot be dialled, in ways that promises do not reckon with.
    pub(crate) fn is_complicated(&self) -> bool {
        let Links { transport, connections, .. } = &self.links;
        let has_own = |class: &Class| {
            let Class { bandwidth, loss, shared, nat, .. } = class;
            bandwidth.is_some() || loss.is_some() || shared.is_some() || nat.is_some()
        };
        *transport == Transport::Streams
            || connections.is_some()
            || self.classes.iter().any(has_own)
            || self.faults.iter().any(|fault| matches!(fault.what, What::Latency { .. }))
    }

    /// When those of the beginning have joined.
    pub(crate) fn joined(&self) -> Duration {
        self.nodes.joining.0 + JOINED
    }

    /// Whether nothing happens that may leave a side that knows no other nodes: a node that joins through
    /// one that is alone makes one.
    pub(crate) fn is_gentle(&self) -> bool {
        let apart = self.nodes.joining.0 / self.nodes.count.max(1) >= ROUND_TRIP;
        let few = |who: &Who| matches!(who, Who::Count(0..=2));
        let gently = |what: &What| match what {
            What::Crash { who, .. } | What::Leave { who, .. } => few(who),
            What::Restart { over, who, disk: false } => few(who) && over.0 >= ROUND_TRIP * 2,
            What::Join { count, over } => over.0 >= ROUND_TRIP * *count,
            _ => false,
        };
        self.links_are_harmless()
            && apart
            && self.nodes.contacts > 1
            && self.faults.iter().all(|fault| fault.at.0 >= self.joined() && gently(&fault.what))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn company_is_whoever_is_left() {
        let mut plan = Plan::draw(0, &[]);
        let death = |count| {
            let what = What::Leave { who: Who::Count(count), linger: Span::default() };
            Fault { at: Span::default(), name: None, what }
        };
        (plan.nodes.count, plan.newcomers, plan.faults) = (6, 0, vec![death(1), death(3)]);
        assert!(plan.has_company(), "two are left");
        plan.faults.push(death(1));
        assert!(!plan.has_company(), "one may be");
        plan.newcomers = 2;
        assert!(plan.has_company(), "others come");
    }
}
