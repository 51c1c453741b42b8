//! The run itself.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use comfy_table::{Table, presets::ASCII_MARKDOWN};
use serde_json::json;

use crate::flock::Member;
use crate::verdict::{Origin, Reader, Verdict, verdict};
use crate::{Error, Options};

/// How often all nodes are asked.
const LOOK: Duration = Duration::from_secs(2);
/// Nothing comes any more if nothing came for so long: longer than what is missed is asked for.
const QUIET: Duration = Duration::from_secs(45);
/// Memory may be so much higher in the last third than in the second.
const GROWTH: f64 = 1.05;

/// A look at all nodes.
#[derive(Debug, Clone, Copy)]
struct Look {
    at: Duration,
    published: u64,
    delivered: u64,
    /// Bytes in use of a node, the middle one and the largest.
    heap: (u64, u64),
    /// What the kernel counts as theirs, likewise.
    resident: (u64, u64),
}

/// What came of it.
#[derive(Debug)]
pub(crate) struct Outcome {
    looks: Vec<Look>,
    verdict: Verdict,
    restarts: u64,
    nodes: u64,
    size: usize,
}

struct Soak<'a> {
    options: &'a Options,
    begun: Instant,
    state: tempfile::TempDir,
    members: Vec<Member>,
    /// What had been published when each had joined.
    joined_at: Vec<BTreeMap<String, u64>>,
    /// Those that run no more.
    ended: BTreeMap<String, Origin>,
    /// Broadcasts of those, and what they got.
    before: (u64, u64),
    restarts: u64,
    looks: Vec<Look>,
}

pub(crate) fn soak(options: &Options) -> Result<Outcome, Error> {
    let mut soak = Soak {
        options,
        begun: Instant::now(),
        state: tempfile::tempdir()?,
        members: Vec::new(),
        joined_at: Vec::new(),
        ended: BTreeMap::new(),
        before: (0, 0),
        restarts: 0,
        looks: Vec::new(),
    };
    soak.gather()?;
    soak.publish()?;
    soak.drain()?;
    let readers: Vec<_> = soak.members.iter().zip(&soak.joined_at).map(Soak::reader).collect();
    let known = |member: &Member| (member.origin.clone(), Origin::Known(member.status.published));
    let mut origins = soak.ended.clone();
    origins.extend(soak.members.iter().map(known));
    Ok(Outcome {
        verdict: verdict(&readers, &origins),
        looks: soak.looks,
        restarts: soak.restarts,
        nodes: options.nodes.into(),
        size: options.size,
    })
}

impl Soak<'_> {
    fn reader<'a>(of: (&'a Member, &'a BTreeMap<String, u64>)) -> Reader<'a> {
        let (Member { origin, status, .. }, joined_at) = of;
        Reader { origin, status, joined_at }
    }

    fn start(&self, at: usize) -> Result<Member, Error> {
        Member::start(&self.state.path().join(at.to_string()))
    }

    fn gather(&mut self) -> Result<(), Error> {
        for at in 0..self.options.nodes.into() {
            let mut member = self.start(at)?;
            if let Some(first) = self.members.first() {
                member.join(first.addresses.clone())?;
            }
            self.members.push(member);
            self.joined_at.push(BTreeMap::new());
        }
        self.look()
    }

    /// All publish their share, and in turns one restarts.
    fn publish(&mut self) -> Result<(), Error> {
        let (nodes, messages) = (self.members.len() as u64, self.options.messages);
        for (at, member) in self.members.iter_mut().enumerate() {
            let share = messages / nodes + u64::from((at as u64) < messages % nodes);
            member.publish(share, self.options.size)?;
        }
        let apart = messages / (self.options.restarts + 1);
        loop {
            std::thread::sleep(LOOK);
            self.look()?;
            let published = self.looks.last().map_or(0, |look| look.published);
            if published >= messages && self.members.iter().all(is_done) {
                return Ok(());
            }
            if self.restarts < self.options.restarts && published > apart * (self.restarts + 1) {
                self.restart()?;
            }
        }
    }

    /// The next in turn goes, without a word or with one, and comes again for the rest of its share.
    fn restart(&mut self) -> Result<(), Error> {
        let at = (self.restarts as usize * 7 + 1) % self.members.len();
        let is_killed = self.restarts.is_multiple_of(2);
        self.restarts += 1;
        self.ask(at)?;
        let gone = &mut self.members[at];
        if is_killed {
            gone.kill()?;
        } else {
            gone.leave()?;
        }
        let status = gone.status.clone();
        let got: u64 = status.got.values().map(|tally| tally.count).sum();
        self.before = (self.before.0 + status.published, self.before.1 + got);
        // It may have published since it was asked: nobody knows how many that were.
        self.ended.insert(gone.origin.clone(), Origin::Killed);
        let rest = gone.quota.saturating_sub(status.published);
        let contact = self.members[(at + 1) % self.members.len()].addresses.clone();
        let mut member = self.start(at)?;
        member.join(contact)?;
        self.members[at] = member;
        self.ask_all()?;
        let so_far = |member: &Member| (member.origin.clone(), member.status.published);
        let mut joined_at: BTreeMap<_, _> = self.members.iter().map(so_far).collect();
        // What is gone is not its business.
        joined_at.extend(self.ended.keys().map(|origin| (origin.clone(), u64::MAX)));
        self.joined_at[at] = joined_at;
        self.members[at].publish(rest, self.options.size)
    }

    /// Until nothing more comes.
    fn drain(&mut self) -> Result<(), Error> {
        let mut last = (self.looks.last().map_or(0, |look| look.delivered), Instant::now());
        while last.1.elapsed() < QUIET {
            std::thread::sleep(LOOK);
            self.look()?;
            let delivered = self.looks.last().map_or(0, |look| look.delivered);
            if delivered > last.0 {
                last = (delivered, Instant::now());
            }
        }
        Ok(())
    }

    fn ask(&mut self, at: usize) -> Result<(), Error> {
        self.members[at].ask()?;
        self.members[at].answer()
    }

    fn ask_all(&mut self) -> Result<(), Error> {
        self.members.iter_mut().try_for_each(Member::ask)?;
        self.members.iter_mut().try_for_each(Member::answer)
    }

    fn look(&mut self) -> Result<(), Error> {
        self.ask_all()?;
        let status = || self.members.iter().map(|member| &member.status);
        let got = status().flat_map(|status| status.got.values().map(|tally| tally.count));
        let resident = self.members.iter().map(Member::resident).collect::<Result<Vec<_>, _>>()?;
        let look = Look {
            at: self.begun.elapsed(),
            published: self.before.0 + status().map(|status| status.published).sum::<u64>(),
            delivered: self.before.1 + got.sum::<u64>(),
            heap: middle_and_largest(status().map(|status| status.heap).collect()),
            resident: middle_and_largest(resident),
        };
        eprint!(
            "\r{:.0} s: {} of {} published, {} delivered, {} restarts, {} MiB a node  ",
            look.at.as_secs_f64(),
            look.published,
            self.options.messages,
            look.delivered,
            self.restarts,
            look.resident.0 >> 20
        );
        self.looks.push(look);
        Ok(())
    }
}

fn middle_and_largest(mut values: Vec<u64>) -> (u64, u64) {
    values.sort_unstable();
    let at = |index: usize| values.get(index).copied().unwrap_or(0);
    (at(values.len() / 2), at(values.len().saturating_sub(1)))
}

fn is_done(member: &Member) -> bool {
    member.status.published >= member.quota
}

impl Outcome {
    /// The memory in use of the middle node in the second and in the last third of what was delivered:
    /// medians over all looks, since a queue that was long for a moment is no growth.
    fn heap(&self) -> (u64, u64) {
        let all = self.looks.last().map_or(0, |look| look.delivered);
        let median = |from: u64, to: u64| {
            let within = |look: &&Look| (all * from..=all * to).contains(&(look.delivered * 3));
            let looks = self.looks.iter().filter(within);
            middle_and_largest(looks.map(|look| look.heap.0).collect()).0
        };
        (median(1, 2), median(2, 3))
    }

    /// Whether nothing was lost or came twice, and memory in use is flat.
    pub(crate) fn holds(&self) -> bool {
        let (second, last) = self.heap();
        self.verdict.lost == 0 && self.verdict.twice == 0 && last as f64 <= second as f64 * GROWTH
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        let Verdict { expected, delivered, told, twice, lost } = self.verdict;
        let look = |look: &Look| {
            json!({ "seconds": look.at.as_secs_f64(), "published": look.published,
                "delivered": look.delivered, "heap_median": look.heap.0, "heap_max": look.heap.1,
                "resident_median": look.resident.0, "resident_max": look.resident.1 })
        };
        json!({ "nodes": self.nodes, "size": self.size, "restarts": self.restarts,
            "expected": expected, "delivered": delivered, "told": told, "twice": twice,
            "lost": lost, "holds": self.holds(), "looks": self.looks.iter().map(look).collect::<Vec<_>>() })
    }

    /// Ten looks, and what came of it.
    pub(crate) fn table(&self) -> String {
        let mut table = Table::new();
        table.load_style(ASCII_MARKDOWN).set_header([
            "time",
            "published",
            "delivered",
            "in use by a node, MiB",
            "by the largest",
            "resident",
            "of the largest",
        ]);
        let all = self.looks.last().map_or(0, |look| look.delivered);
        for part in 1..=10 {
            let Some(look) = self.looks.iter().find(|look| look.delivered * 10 >= all * part)
            else {
                continue;
            };
            table.add_row([
                format!("{:.0} s", look.at.as_secs_f64()),
                look.published.to_string(),
                look.delivered.to_string(),
                mib(look.heap.0),
                mib(look.heap.1),
                mib(look.resident.0),
                mib(look.resident.1),
            ]);
        }
        let Verdict { expected, delivered, told, twice, lost } = self.verdict;
        let (second, last) = self.heap();
        format!(
            "{} nodes, {} restarts, {} bytes\n\n{table}\n\nto those that run now: {delivered} of \
             {expected} delivered, {told} told as lost, {twice} twice, {lost} lost without a word\n\
             in use by a node, median: {} MiB in the second third, {} in the last",
            self.nodes,
            self.restarts,
            self.size,
            mib(second),
            mib(last),
        )
    }
}

fn mib(bytes: u64) -> String {
    format!("{:.1}", bytes as f64 / f64::from(1 << 20))
}
