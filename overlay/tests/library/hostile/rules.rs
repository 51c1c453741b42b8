//! What holds after every input, whatever it was.

use std::fmt::Debug;

use murmurate::broadcast::{Broadcast, Carries};
use murmurate::membership::hyparview::{Message as Talks, Timer as Wakes};
use murmurate::membership::{DownReason, Notice};
use murmurate::stack::{Message, Timer};

use super::host::{Host, Phase, Said, Sent};
use super::setup::{Blob, ME, Name, Node, Speech};

/// Announcements in one frame, at most.
const BATCH_CAPACITY: usize = 256;

/// What the rules need to know of an input.
#[derive(Debug)]
pub(crate) enum Heard {
    /// Somebody asks for the link of this number.
    Request(Node, u16),
    /// Somebody accepts the link of this number.
    Accept(Node, u16),
    /// Somebody ends the link of this number, or leaves and ends any.
    Disconnect(Node, u16, bool),
    /// Somebody says that the link of this number is in use.
    InUse(Node, u16),
    /// Somebody passes on the payload of this broadcast.
    Payload(Node, Name),
    /// Somebody asks for payloads.
    Want,
    LinkDown(Node),
    /// A timer of the broadcast layer is due.
    BroadcastTimer,
    /// The membership's regular tick is due.
    Keepalive,
    /// A request may be overdue.
    RequestTimer,
    Other,
}

impl Heard {
    pub(crate) fn of<D: Carries<Name> + Speech>(
        from: Node,
        message: &Message<Talks<Node>, D>,
    ) -> Self {
        match message {
            Message::Membership(Talks::Join { link } | Talks::Neighbor { link, .. }) => {
                Self::Request(from, *link)
            }
            Message::Membership(Talks::Accept { link, .. }) => Self::Accept(from, *link),
            Message::Membership(Talks::Disconnect { link, leaving, .. }) => {
                Self::Disconnect(from, *link, *leaving)
            }
            Message::Membership(Talks::Keepalive { link }) => Self::InUse(from, *link),
            Message::Membership(_) => Self::Other,
            Message::Broadcast(message) if message.is_want() => Self::Want,
            Message::Broadcast(message) => {
                message.carries().map_or(Self::Other, |id| Self::Payload(from, id))
            }
            Message::Service(never) => match *never {},
        }
    }
}

/// How often what was seen.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tally {
    pub(crate) links: usize,
    pub(crate) asked_links: usize,
    pub(crate) evicted: usize,
    pub(crate) renewed: usize,
    pub(crate) restarted: usize,
    pub(crate) silent: usize,
    pub(crate) isolated: usize,
    pub(crate) stale_ends: usize,
    pub(crate) delivered: usize,
    pub(crate) grafts: usize,
    pub(crate) prunes: usize,
    pub(crate) ihaves: usize,
    pub(crate) departures: usize,
    pub(crate) compares: usize,
    pub(crate) haves: usize,
    pub(crate) wants: usize,
    pub(crate) replies: usize,
    /// Times that a loss was told.
    pub(crate) missed: usize,
    /// Ends of links asked for in vain.
    pub(crate) called_off: usize,
}

impl Tally {
    pub(crate) fn add(&mut self, other: &Self) {
        for (mine, theirs) in [
            (&mut self.links, other.links),
            (&mut self.asked_links, other.asked_links),
            (&mut self.evicted, other.evicted),
            (&mut self.renewed, other.renewed),
            (&mut self.restarted, other.restarted),
            (&mut self.silent, other.silent),
            (&mut self.isolated, other.isolated),
            (&mut self.stale_ends, other.stale_ends),
            (&mut self.delivered, other.delivered),
            (&mut self.grafts, other.grafts),
            (&mut self.prunes, other.prunes),
            (&mut self.ihaves, other.ihaves),
            (&mut self.departures, other.departures),
            (&mut self.compares, other.compares),
            (&mut self.haves, other.haves),
            (&mut self.wants, other.wants),
            (&mut self.replies, other.replies),
            (&mut self.missed, other.missed),
            (&mut self.called_off, other.called_off),
        ] {
            *mine += theirs;
        }
    }
}

macro_rules! rule {
    ($holds:expr, $($reason:tt)+) => {
        if !$holds {
            return Err(format!($($reason)+));
        }
    };
}

/// Takes note of what the peer said to one input; the first rule it breaks, if any.
pub(crate) fn hold<B>(host: &mut Host<B>, heard: &Heard, said: Vec<Said<B>>) -> Result<(), String>
where
    B: Broadcast<Peer = Node, Id = Name, Payload = Blob, Message: Speech + Clone> + Debug,
    B::Timer: PartialEq,
{
    bounded(host, heard, &said)?;
    links(host, heard, &said)?;
    let mut asked = false;
    let mut delivered = 0;
    for word in said {
        match word {
            Said::Send(to, message) => {
                asked |= frame(host, heard, to, &message)?;
            }
            Said::Deliver { id, .. } => {
                delivered += 1;
                let again = host.seen.get(&id).map(|at| host.peer.now().since(*at));
                let forgotten = |ago| ago >= host.setup.broadcast.origin_idle;
                rule!(again.is_none_or(forgotten), "broadcast {id:?} delivered again");
                host.see(id);
            }
            Said::Missed(_, count) => {
                rule!(count > 0, "a loss of nothing is told");
                host.tally.missed += 1;
            }
            Said::Notify(Notice::Isolated) => host.tally.isolated += 1,
            Said::Notify(Notice::Joined) | Said::NeighborUp(_) | Said::NeighborDown(..) => {}
            Said::Arm(..) | Said::Broadcast(_) | Said::Mark(_) => {}
            Said::Emit(never) => match never {},
        }
    }
    rule!(delivered <= 1, "{delivered} deliveries from one input");
    host.tally.delivered += delivered;
    awake(host, heard, asked)
}

/// Frames to one input: at most two a neighbour and four more. Overdue broadcasts, each asked for
/// once, come on top, as do a graft for each neighbour lost and whatever was announced, and for the
/// first neighbour the payloads that nobody could be told of. Who asks for payloads gets a batch.
fn bounded<B: Broadcast>(host: &Host<B>, heard: &Heard, said: &[Said<B>]) -> Result<(), String> {
    let sends = said.iter().filter(|word| matches!(word, Said::Send(..))).count();
    let downs = said.iter().filter(|word| matches!(word, Said::NeighborDown(..))).count();
    let missing = match heard {
        Heard::BroadcastTimer => host.setup.broadcast.missing_capacity,
        Heard::Want => host.setup.anti_entropy.batch,
        // Each attempt asks for all that is missing.
        _ => downs * (1 + host.setup.broadcast.missing_capacity),
    };
    let ups = said.iter().any(|word| matches!(word, Said::NeighborUp(_)));
    let waiting = if ups { host.setup.broadcast.payload_capacity } else { 0 };
    let bound = 2 * host.setup.membership.active_capacity + 4 + missing + waiting;
    rule!(sends <= bound, "{sends} frames to one input, the bound is {bound}");
    Ok(())
}

/// Views are announced once and agreed: whoever enters asked and was accepted, or accepted; a link
/// ends by its own number and no other.
fn links<B>(host: &mut Host<B>, heard: &Heard, said: &[Said<B>]) -> Result<(), String>
where
    B: Broadcast<Peer = Node, Id = Name, Payload = Blob, Message: Speech + Clone> + Debug,
{
    let before = host.linked.clone();
    for word in said {
        match word {
            Said::NeighborUp(peer) => {
                let number = match *heard {
                    Heard::Request(from, link) if from == *peer => {
                        let accepts = said.iter().any(|word| accepts(word, from, link));
                        rule!(accepts, "a link with {peer:?} that it was not told of");
                        link
                    }
                    Heard::Accept(from, link) if from == *peer => {
                        rule!(host.asked.contains(&(from, link)), "{peer:?} was never asked");
                        host.tally.asked_links += 1;
                        link
                    }
                    _ => return Err(format!("a link with {peer:?} out of nowhere")),
                };
                host.linked.insert(*peer, number);
                host.tally.links += 1;
            }
            Said::NeighborDown(peer, reason) => {
                host.linked.remove(peer);
                match reason {
                    DownReason::Evicted => host.tally.evicted += 1,
                    DownReason::Renewed => host.tally.renewed += 1,
                    DownReason::Restarted => host.tally.restarted += 1,
                    DownReason::Silent => host.tally.silent += 1,
                    DownReason::Leaving => host.tally.departures += 1,
                    DownReason::Failed | DownReason::Dropped | DownReason::Left => {}
                }
            }
            _ => {}
        }
    }
    match *heard {
        Heard::Disconnect(from, link, leaving) => {
            if let Some(held) = before.get(&from) {
                let ended = !host.linked.contains_key(&from);
                let ends = leaving || *held == link;
                rule!(ended == ends, "link {held}, end of {link}, ended: {ended}");
                host.tally.stale_ends += usize::from(!ended);
            }
        }
        Heard::InUse(from, link) if host.phase == Phase::Running && from.0 != ME.0 => {
            let known = host.asked.contains(&(from, link)) || host.linked.get(&from) == Some(&link);
            let outdated = host.linked.keys().any(|held| held.0 == from.0 && *held > from);
            let ended = said.iter().any(|word| ends(word, from, link));
            rule!(known || outdated || ended, "{from:?} keeps half a link");
        }
        Heard::LinkDown(peer) => {
            rule!(!host.linked.contains_key(&peer), "{peer:?} is linked without a connection");
        }
        _ => {}
    }
    Ok(())
}

fn accepts<B>(word: &Said<B>, from: Node, number: u16) -> bool
where
    B: Broadcast<Peer = Node>,
{
    match word {
        Said::Send(to, Message::Membership(Talks::Accept { link, .. })) => {
            *to == from && *link == number
        }
        _ => false,
    }
}

fn ends<B>(word: &Said<B>, from: Node, number: u16) -> bool
where
    B: Broadcast<Peer = Node>,
{
    match word {
        Said::Send(to, Message::Membership(Talks::Disconnect { link, .. })) => {
            *to == from && *link == number
        }
        _ => false,
    }
}

/// One frame sent: to whom, how long, and what the phase allows. Returns whether it asks for a link.
fn frame<B>(host: &mut Host<B>, heard: &Heard, to: Node, message: &Sent<B>) -> Result<bool, String>
where
    B: Broadcast<Peer = Node, Id = Name, Payload = Blob, Message: Speech + Clone> + Debug,
    B::Timer: PartialEq,
{
    let limits = &host.setup.membership;
    let sample = limits.passive_capacity.max(limits.shuffle_active + limits.shuffle_passive);
    let mut asks = false;
    match message {
        Message::Service(never) => match *never {},
        Message::Membership(talk) => {
            let goodbye = matches!(talk, Talks::Disconnect { leaving: true, .. });
            rule!(goodbye == (host.phase == Phase::Left), "{talk:?} while {:?}", host.phase);
            rule!(host.phase != Phase::Idle, "{talk:?} before joining");
            rule!(to.0 != ME.0 || goodbye, "{talk:?} sent to itself");
            match talk {
                Talks::Join { link } | Talks::Neighbor { link, .. } => {
                    asks = true;
                    host.ask(to, *link);
                }
                Talks::Disconnect { link, .. } if matches!(heard, Heard::RequestTimer) => {
                    rule!(host.asked.contains(&(to, *link)), "{talk:?} to {to:?}, never asked");
                    host.tally.called_off += 1;
                }
                Talks::Shuffle { sample: peers, ttl, .. } => {
                    rule!(*ttl <= limits.shuffle_walk_length, "a walk of {ttl}");
                    rule!(peers.len() <= sample, "a sample of {}", peers.len());
                }
                Talks::ShuffleReply { sample: peers } => {
                    rule!(peers.len() <= sample, "a sample of {}", peers.len());
                }
                Talks::ForwardJoin { ttl, .. } => {
                    rule!(*ttl <= limits.active_walk_length, "a walk of {ttl}");
                }
                _ => {}
            }
        }
        Message::Broadcast(message) => {
            let echo = matches!(heard, Heard::Payload(from, id)
                if *from == to && message.carries() == Some(*id));
            rule!(!echo, "a payload sent back to where it came from");
            let announced = message.announcements();
            rule!(announced <= BATCH_CAPACITY, "{announced} announcements in a frame");
            host.tally.ihaves += usize::from(announced > 0);
            host.tally.grafts += usize::from(message.is_graft());
            host.tally.prunes += usize::from(message.is_prune());
            if let Some(count) = message.exchange(&mut host.tally) {
                *count += 1;
            }
        }
    }
    Ok(asks)
}

/// Nobody falls asleep: a running peer will be woken, a request has an end, and whoever is alone
/// at a tick tries its contacts.
fn awake<B>(host: &Host<B>, heard: &Heard, asked: bool) -> Result<(), String>
where
    B: Broadcast<Peer = Node>,
    B::Timer: PartialEq,
{
    let armed = |wake| host.peer.armed().iter().any(|(_, timer)| *timer == Timer::Membership(wake));
    rule!(!asked || armed(Wakes::Request), "a request that will not time out");
    if host.phase == Phase::Running {
        rule!(armed(Wakes::Keepalive), "no more keep-alives");
        rule!(armed(Wakes::Shuffle), "no more shuffles");
        let ticked = matches!(heard, Heard::Keepalive);
        let alone = ticked && host.linked.is_empty() && host.has_contacts;
        let hopes = armed(Wakes::Request) || armed(Wakes::Rejoin);
        rule!(!alone || hopes, "alone, and no contact will be tried");
    }
    Ok(())
}
