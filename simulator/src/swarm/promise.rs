//! What a plan promises: not every configuration can promise everything.

use std::time::Duration;

use murmurate::membership::{full_mesh, hyparview};

use super::plan::{Plan, Times};
use crate::scenario::{Broadcast, Fault, Membership, Share, Span, What, Who};

/// There and back, at least: joins slower than this do not meet.
pub(super) const ROUND_TRIP: Duration = Duration::from_millis(400);
/// How long the last one to join may take.
const JOINED: Duration = Duration::from_secs(5);
/// Nodes from which on a storm's broadcasts can be counted on: with fewer, one that loses all that
/// its publisher sends weighs too much.
pub(super) const MANY: u64 = 12;

/// What must hold in the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Promise {
    /// Views agree.
    pub(super) agrees: bool,
    /// One overlay.
    pub(super) whole: bool,
    /// One overlay at every moment, so that no broadcast fails.
    pub(super) stays_whole: bool,
    /// Everyone is linked with everyone.
    pub(super) complete: bool,
    /// Nobody is alone.
    pub(super) together: bool,
    /// A broadcast reaches all that links lead to.
    pub(super) reaches: bool,
    /// Half of the deliveries take no longer than this.
    pub(super) prompt: Option<Duration>,
    /// Of broadcasts in a storm most come through.
    pub(super) survives: bool,
}

impl Promise {
    /// What a plan can promise.
    ///
    /// Sides that have full views and know nobody outside meet again by exchanges and by nothing
    /// else; joins at once, loss and mass failures leave such sides now and then. With two
    /// neighbours each an overlay is a set of rings, which every other exchange splits or joins;
    /// with three, an exchange can split it until the next one. With one, whoever is left over takes
    /// somebody else's, for ever.
    pub(super) fn of(plan: &Plan) -> Self {
        let mesh = |m: &full_mesh::Parameters| m.members_capacity as u64 >= 2 * plan.most_nodes();
        let (whole, stays_whole, reaches, complete) = match &plan.membership {
            Membership::FullMesh(m) => (mesh(m), mesh(m), mesh(m), mesh(m)),
            Membership::Hyparview(m) => {
                let active = m.active_capacity;
                let whole = match m.promotion_interval {
                    Some(_) => active >= 3,
                    None => active >= 4 && plan.is_gentle(),
                };
                (whole, whole && active >= 4, active >= 3, false)
            }
        };
        let plumtree = matches!(plan.broadcast, Broadcast::Plumtree(_));
        let pairs = |m: &hyparview::Parameters| m.active_capacity == 1;
        let agrees = !matches!(&plan.membership, Membership::Hyparview(m) if pairs(m));
        let is_mesh = matches!(plan.membership, Membership::FullMesh(_));
        let together = agrees && (complete || !is_mesh);
        let keeps = |fault: &Fault| {
            !matches!(fault.what, What::Crash { .. } | What::Leave { .. } | What::Churn { .. })
        };
        let many = u64::from(plan.nodes.count) >= MANY && plan.trouble.iter().all(keeps);
        let waits = match &plan.broadcast {
            Broadcast::Plumtree(b) => b.graft_timeout + b.ihave_interval,
            Broadcast::Flood(_) => Duration::ZERO,
        };
        Self {
            agrees,
            whole,
            stays_whole,
            complete,
            together: together && plan.newcomers > 1,
            reaches,
            prompt: (stays_whole && plan.newcomers > 1).then(|| plan.longest_way() * 30 + waits),
            survives: stays_whole && plumtree && many,
        }
    }

    /// What both promise.
    pub(super) fn and(self, other: Self) -> Self {
        Self {
            agrees: self.agrees && other.agrees,
            whole: self.whole && other.whole,
            stays_whole: self.stays_whole && other.stays_whole,
            complete: self.complete && other.complete,
            together: self.together && other.together,
            reaches: self.reaches && other.reaches,
            prompt: self.prompt.zip(other.prompt).map(|(one, another)| one.max(another)),
            survives: self.survives && other.survives,
        }
    }

    /// Bounds of what may be under way and of what may be said, far above what ever is.
    pub(super) fn always(self, plan: &Plan) -> [String; 2] {
        let nodes = plan.most_nodes() as f64;
        let broadcasts = plan.broadcasts() as f64;
        let seconds = (plan.well() + Duration::from_secs(200)).as_secs_f64();
        let (links, said) = match &plan.membership {
            Membership::Hyparview(m) => (m.active_capacity as f64, chatter(m)),
            Membership::FullMesh(m) => {
                let links = nodes.min(m.members_capacity as f64);
                (links, links / m.keepalive_interval.as_secs_f64() * 6.0 + 4.0)
            }
        };
        let at_once = plan.at_once() as f64 + broadcasts / 20.0;
        let pending = 4.0 * nodes * (6.0 + (8.0 + at_once) * (links + 2.0)) + 20_000.0;
        let messages = 4.0 * nodes * (said * seconds + broadcasts * 4.0 * links) + 100_000.0;
        [format!("pending <= {pending:.0}"), format!("messages <= {messages:.0}")]
    }

    /// What holds at these times.
    pub(super) fn then(self, times: &Times) -> Vec<String> {
        let packed = |span: &Span| span.to_string().replace(' ', "");
        let (well, looks) = (packed(&times.well), packed(&times.looks));
        let (finale, storm) = (packed(&times.finale), packed(&times.storm));
        let mut texts = vec![format!("dead_links == 0 from {well}")];
        if self.agrees {
            texts.push(format!("asymmetric_links == 0 within {looks} of {well}"));
        }
        if self.whole {
            texts.push(format!("components == 1 within {looks} of {well}"));
        }
        if self.together {
            texts.push(format!("isolated == 0 within {looks} of {well}"));
        }
        if self.complete {
            texts.push(format!("unlinked_pairs == 0 within {looks} of {well}"));
        }
        if self.stays_whole {
            texts.push(format!("least_reliability == 1 from {finale} until {storm}"));
        } else if self.reaches {
            let patience = packed(&times.finale_for);
            texts.push(format!("reach == 1 within {patience} of {finale}"));
        }
        if let Some(longest) = self.prompt {
            let longest = packed(&Span(longest));
            texts.push(format!("latency_p50 <= {longest} from {finale} until {storm}"));
        }
        if self.survives {
            texts.push(format!("reliability >= 0.8 from {storm}"));
        }
        texts
    }
}

/// Messages that a node of HyParView says in a second at most, on the whole: keep-alives and probes,
/// shuffles in and out of turn that are passed on, candidates asked and the answers.
fn chatter(m: &hyparview::Parameters) -> f64 {
    let keepalives = 2.0 * m.active_capacity as f64 / m.keepalive_interval.as_secs_f64();
    let shuffles = f64::from(m.shuffle_walk_length) + 2.0;
    let candidates = 2.0 * (m.passive_capacity + m.active_capacity) as f64 + 10.0;
    let turns = 1.0 + f64::from(m.reactive_shuffles);
    keepalives + turns * (shuffles + candidates) / m.shuffle_interval.as_secs_f64()
}

impl Plan {
    /// How long after the last fault all must be well: the dead are noticed, lists of dead candidates
    /// are worked off, the isolated try their contacts, and (each one, a few times) sides that forgot
    /// each other meet by exchanges.
    pub(super) fn patience(&self) -> Duration {
        match &self.membership {
            Membership::Hyparview(m) => {
                let notice = m.keepalive_interval * (u32::from(m.keepalive_misses) + 2);
                let candidates = m.request_timeout * (m.passive_capacity as u32 + 10);
                let promotions = m.promotion_interval.unwrap_or_default() * 12;
                notice + candidates + m.rejoin_pause * 3 + m.shuffle_interval * 10 + promotions
            }
            Membership::FullMesh(m) => {
                let notice = m.keepalive_interval * (u32::from(m.keepalive_misses) + 2);
                notice + m.redial_pause * 8 + m.gossip_interval * 30 + m.request_timeout * 20
            }
        }
    }

    /// When those of the beginning have joined.
    pub(super) fn joined(&self) -> Duration {
        self.nodes.joining.0 + JOINED
    }

    /// Whether nothing happens that may leave a side which knows nobody else: whoever joins through
    /// one that is alone makes one.
    pub(super) fn is_gentle(&self) -> bool {
        let links = &self.links;
        let apart = self.nodes.joining.0 / self.nodes.count.max(1) >= ROUND_TRIP;
        let few = |who: &Who| matches!(who, Who::Count(0..=2));
        let gently = |what: &What| match what {
            What::Crash { who, .. } | What::Leave { who, .. } => few(who),
            What::Restart { over, who, disk: false } => few(who) && over.0 >= ROUND_TRIP * 2,
            What::Join { count, over } => over.0 >= ROUND_TRIP * *count,
            _ => false,
        };
        links.loss == Share::NONE
            && links.bursts.is_none()
            && links.duplicate == Share::NONE
            && links.reorder.is_none()
            && apart
            && self.nodes.contacts > 1
            && self.trouble.iter().all(|fault| fault.at.0 >= self.joined() && gently(&fault.what))
    }
}
