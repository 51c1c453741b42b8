//! Handshakes that nobody should have: whoever says something else than a node would is refused, and costs
//! little.

use std::collections::BTreeMap;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime};

use futures::FutureExt as _;

use super::super::gate::Claim;
use super::super::{Admission, Authority, Certified, Revocations, Secret, Secrets};
use super::*;
use crate::node::clock;
use crate::node::spoil::{Draw, Header, how_many};

/// In all, unless the environment says otherwise.
const HANDSHAKES: usize = 100_000;
/// Of a message: its length, and the version, which counts.
const MESSAGE: Header = Header { bytes: 3, length: 0..2, rest: 2, kind: (2, 3) };

/// A stream on which the other side has said all that it will say, and hears whatever it is told.
struct Said<'a>(&'a [u8]);

impl AsyncRead for Said<'_> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        into: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let (now, later) = self.0.split_at(into.len().min(self.0.len()));
        into[..now.len()].copy_from_slice(now);
        self.0 = later;
        Poll::Ready(Ok(now.len()))
    }
}

impl AsyncWrite for Said<'_> {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        from: &[u8],
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(from.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

fn bytes(message: &impl Serialize) -> Vec<u8> {
    let mut bytes = Vec::new();
    say(&mut bytes, message).now_or_never().expect("at once").expect("written");
    bytes
}

fn node(side: Side) -> NodeId {
    NodeId::from_bytes([side as u8; 32])
}

/// Two nodes of one mode, and what they say to each other.
struct Pair {
    listener: Gate,
    dialler: Gate,
    asks: Vec<u8>,
    answers: Vec<u8>,
}

impl Pair {
    fn new(of: impl Fn(NodeId) -> Admission) -> Self {
        let gate = |side| Gate::new(node(side), "flock", of(node(side)));
        let (listener, dialler) = (gate(Side::Listener), gate(Side::Dialler));
        let claim = dialler.claim(node(Side::Listener), Side::Dialler, None);
        let pass = listener.judge(&claim, node(Side::Dialler), Side::Listener).expect("admitted");
        let answer = listener.claim(node(Side::Dialler), Side::Listener, Some(&pass));
        let (asks, answers) = (bytes(&claim), bytes(&Answer::Agreed(answer)));
        Self { listener, dialler, asks, answers }
    }

    /// What the node on this side hears of one that means it well.
    fn meant(&self, side: Side) -> &[u8] {
        match side {
            Side::Listener => &self.asks,
            Side::Dialler => &self.answers,
        }
    }

    /// What becomes of it if it hears this.
    fn talk(&self, side: Side, heard: &[u8]) -> Result<Pass, NotAdmitted> {
        let (gate, other) = match side {
            Side::Listener => (&self.listener, node(Side::Dialler)),
            Side::Dialler => (&self.dialler, node(Side::Listener)),
        };
        talk(gate, other, side, &mut Said(heard)).now_or_never().expect("nothing to wait for")
    }
}

/// One of each mode.
fn pairs() -> Vec<Pair> {
    let secrets = Secrets::new(Secret::generate());
    let authority = Authority::generate();
    let now = Duration::from_micros(clock::micros_since_1970());
    let until = SystemTime::UNIX_EPOCH + now + Duration::from_secs(3_600);
    let certified = |node| {
        let issued = authority.issue("flock", node, SystemTime::UNIX_EPOCH..until, ["writer"]);
        Admission::Certified(Box::new(Certified {
            authorities: vec![authority.id()],
            certificate: issued.expect("issued"),
            revocations: Revocations::default(),
        }))
    };
    let listed = [Side::Listener, Side::Dialler].map(node);
    vec![
        Pair::new(|_| Admission::Open),
        Pair::new(|_| Admission::Secret(secrets.clone())),
        Pair::new(|_| Admission::Allowlist(listed.into())),
        Pair::new(certified),
    ]
}

/// What the first message claims.
fn claimed(side: Side, heard: &[u8]) -> Option<Claim> {
    fn first<T: DeserializeOwned>(heard: &[u8]) -> Option<T> {
        hear(&mut Said(heard)).now_or_never()?.ok()?
    }
    match side {
        Side::Listener => first(heard),
        Side::Dialler => match first(heard)? {
            Answer::Agreed(claim) => Some(claim),
            Answer::Refused(_) => None,
        },
    }
}

#[test]
fn spoiled_handshakes_are_refused_or_harmless() {
    let pairs = pairs();
    let said = pairs.iter().flat_map(|pair| [pair.asks.clone(), pair.answers.clone()]);
    let messages: Vec<_> = said.collect();
    let refused = bytes(&Answer::<()>::Refused(Denial::Secret));
    let agreed = bytes(&Answer::Agreed(()));
    let mut draw = Draw(2_026);
    let mut outcomes: BTreeMap<String, usize> = BTreeMap::new();
    let handshakes = how_many(HANDSHAKES);
    for _ in 0..handshakes {
        let pair = draw.of(&pairs);
        let side = *draw.of(&[Side::Listener, Side::Dialler]);
        let meant = pair.meant(side);
        // A refusal, what somebody says in another mode, or what belongs there.
        let mut heard = match draw.below(8) {
            0 => refused.clone(),
            1 => draw.of(&messages).clone(),
            _ => meant.to_vec(),
        };
        MESSAGE.spoil(&mut heard, &messages, &mut draw);
        if side == Side::Listener {
            let mut last = (*draw.of(&[&agreed, &refused])).clone();
            if draw.below(4) == 0 {
                MESSAGE.spoil(&mut last, std::slice::from_ref(&refused), &mut draw);
            }
            heard.extend(last);
        }
        let mut outcome = None;
        let spent = allocation_counter::measure(|| outcome = Some(pair.talk(side, &heard)));
        // A message each way, what they are decoded to, and what verifies them.
        assert!(spent.bytes_max <= 8 * MAX_MESSAGE as u64, "{spent:?} for {heard:02x?}");
        let outcome = outcome.expect("it ended");
        // It may be spoiled in how it is written, or behind its end.
        let says_it = || claimed(side, &heard) == claimed(side, meant);
        assert!(outcome.is_err() || says_it(), "{side:?} admits {heard:02x?} for {meant:02x?}");
        *outcomes.entry(label(&outcome)).or_default() += 1;
    }
    for expected in EXPECTED {
        let seen = outcomes.get(expected).copied().unwrap_or_default();
        assert!(seen >= handshakes / 1_000, "{expected}: {outcomes:#?}");
    }
}

/// The handshakes get around.
const EXPECTED: [&str; 8] = [
    "admitted",
    "ended",
    "refused: Authority",
    "refused: Malformed",
    "refused: Mode",
    "refused: Network",
    "refused: Secret",
    "refuses: Secret",
];

fn label(outcome: &Result<Pass, NotAdmitted>) -> String {
    match outcome {
        Ok(_) => "admitted".into(),
        Err(NotAdmitted::Theirs { denial, .. }) => format!("refused: {denial:?}"),
        Err(NotAdmitted::Ours { denial, .. }) => format!("refuses: {denial:?}"),
        Err(NotAdmitted::Broken(_)) => "ended".into(),
        Err(other) => format!("{other:?}"),
    }
}
