//! The machine that a node runs on, if it is not an ideal one: its clock, its speed, and its network port.
//! A restarted node finds the same machine.

use std::collections::BTreeMap;
use std::time::Duration;

use murmurate::membership::{Time, nanos};
use serde::{Deserialize, Serialize};

use crate::model::network::{BandwidthModel, Port, resend_after, time_of};
use crate::model::node::SimPeer;

/// Messages that wait for a slow or stopped process; more are shed, as by a full socket.
const MOST_WAITING: u32 = 1 << 16;

/// What a node keeps to itself of the broadcasts of others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Withholding {
    /// Nothing.
    #[default]
    Nothing,
    /// Their payloads: it says that it has them, and sends none.
    Payloads,
    /// All about them.
    Broadcasts,
}

/// How a machine differs from an ideal one.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Machine {
    pub(crate) clock: Clock,
    pub(crate) port: Option<Port>,
    #[serde(skip)]
    processor: ProcessorModel,
    /// Nanoseconds of work for each input, beside the processor's.
    work: u64,
    /// What its node keeps to itself.
    pub(crate) withholding: Withholding,
    /// When it will have done all that waits.
    free: u64,
    waiting: u32,
    /// What did not fit and comes again: how often it was refused, and when it comes.
    late: BTreeMap<Sent, (u64, u64)>,
}

/// Who sent a message, and what the sender counts.
type Sent = (SimPeer, u32);

/// How long a node works. The default takes no time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ProcessorModel {
    /// On each message that it handles or sends, and on each timer.
    pub message: Duration,
    /// Bits of messages that it handles and sends in a second, in addition.
    pub rate: Option<u64>,
}

impl ProcessorModel {
    /// Nanoseconds for an input or a message of this many bytes.
    fn work(&self, bytes: u64) -> u64 {
        let bytes = self.rate.map_or(0, |rate| time_of(bytes, rate));
        nanos(self.message).saturating_add(bytes)
    }
}

/// When an input is handled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Admission {
    Now,
    At(u64),
    /// Never: there is no room for it.
    Shed,
}

impl Machine {
    /// One with this port and this processor.
    pub(crate) fn with(port: Option<Port>, processor: ProcessorModel) -> Self {
        Self { port, processor, ..Self::default() }
    }

    /// The same with this processor, and with this port if it has none.
    pub(crate) fn equipped(self, port: Option<Port>, processor: ProcessorModel) -> Self {
        Self { port: self.port.or(port), processor, ..self }
    }

    /// When a message that is sent now leaves: once the processor has written it.
    pub(crate) fn departure(&mut self, now: u64, bytes: u64) -> u64 {
        let work = self.processor.work(bytes);
        if work == 0 {
            return now;
        }
        self.free = self.free.max(now).saturating_add(work);
        self.free
    }

    /// From now on it needs `work` nanoseconds for an input.
    pub(crate) fn set_work(&mut self, work: u64) {
        self.work = work;
    }

    /// It does nothing before this time.
    pub(crate) fn stall(&mut self, until: u64) {
        self.free = self.free.max(until);
    }

    /// Takes in what reached it at `time`, and says when it handles it. `line` and `bytes` are given for
    /// messages over a line of limited bandwidth.
    pub(crate) fn admit(
        &mut self,
        time: u64,
        message: Option<(u64, Option<BandwidthModel>)>,
    ) -> Admission {
        let mut ready = time;
        if let (Some((bytes, Some(line))), Some(port)) = (message, &mut self.port) {
            match port.receive(time, bytes, line) {
                Some(whole) => ready = whole,
                None => return Admission::Shed,
            }
        }
        let bytes = message.map_or(0, |(bytes, _)| bytes);
        let work = self.work.saturating_add(self.processor.work(bytes));
        if work > 0 || self.free > ready {
            if message.is_some() && self.waiting >= MOST_WAITING {
                return Admission::Shed;
            }
            // One after the other, also where the work itself is nothing: order is kept by time.
            self.free = self.free.max(ready).saturating_add(work.max(1));
            ready = self.free;
        }
        if ready == time {
            return Admission::Now;
        }
        self.waiting += 1;
        Admission::At(ready)
    }

    /// When a message comes again that was sent before this one and did not fit.
    pub(crate) fn waits_for(&self, (from, sequence): Sent) -> Option<u64> {
        let mut before = self.late.range((from, 0)..(from, sequence));
        before.next().map(|(_, (_, again))| *again)
    }

    /// A message of a stream did not fit at this time. When it comes again; never, if it was refused too
    /// often.
    pub(crate) fn refuse(&mut self, sent: Sent, time: u64) -> Option<u64> {
        let refused = self.late.get(&sent).map_or(1, |(refused, _)| refused + 1);
        let again = resend_after(refused).map(|after| time.saturating_add(after));
        match again {
            Some(again) => self.late.insert(sent, (refused, again)),
            None => self.late.remove(&sent),
        };
        again
    }

    /// A message did fit.
    pub(crate) fn accept(&mut self, sent: Sent) {
        self.late.remove(&sent);
    }

    /// What waits for its process.
    pub(crate) fn waiting(&self) -> u32 {
        self.waiting
    }

    /// It got to something that waited.
    pub(crate) fn resume(&mut self) {
        self.waiting = self.waiting.saturating_sub(1);
    }

    /// Its process starts anew: nothing waits any more.
    pub(crate) fn reboot(&mut self, now: u64) {
        (self.free, self.waiting) = (now, 0);
        self.late.clear();
        if let Some(port) = &mut self.port {
            port.clear();
        }
    }
}

/// A clock that is wrong: it runs at one speed from its last change on.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Clock {
    /// Its seconds in a true second.
    rate: f64,
    /// The last change, and what it showed then.
    since: u64,
    shown: u64,
}

impl Default for Clock {
    fn default() -> Self {
        Self { rate: 1.0, since: 0, shown: 0 }
    }
}

impl Clock {
    /// What it shows.
    pub(crate) fn local(&self, now: Time) -> Time {
        let passed = now.as_nanos().saturating_sub(self.since);
        let local = if self.rate == 1.0 { passed } else { (passed as f64 * self.rate) as u64 };
        Time::from_nanos(self.shown.saturating_add(local))
    }

    /// The true time in which this much time passes on it. Rounded up: a timer that fires too early by this
    /// clock would be set again and again.
    pub(crate) fn true_span(&self, local: u64) -> u64 {
        if self.rate == 1.0 { local } else { (local as f64 / self.rate).ceil() as u64 }
    }

    /// From now on it runs at another speed; returns by what factor the true time shrinks until
    /// what it was set for before.
    pub(crate) fn run_at(&mut self, rate: f64, now: Time) -> f64 {
        (self.shown, self.since) = (self.local(now).as_nanos(), now.as_nanos());
        std::mem::replace(&mut self.rate, rate) / rate
    }

    /// It jumps ahead; returns the true time by which what it was set for comes earlier.
    pub(crate) fn jump(&mut self, by: u64, now: Time) -> u64 {
        (self.shown, self.since) = (self.local(now).as_nanos().saturating_add(by), now.as_nanos());
        self.true_span(by)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_shows_what_its_speed_and_its_jumps_make_of_time() {
        let mut clock = Clock::default();
        assert_eq!(clock.run_at(2.0, Time::from_nanos(100)), 0.5);
        assert_eq!(clock.local(Time::from_nanos(150)).as_nanos(), 200);
        assert_eq!((clock.true_span(40), clock.true_span(41), clock.true_span(1)), (20, 21, 1));
        assert_eq!(clock.jump(1_000, Time::from_nanos(150)), 500);
        assert_eq!(clock.run_at(1.0, Time::from_nanos(200)), 2.0);
        assert_eq!(clock.local(Time::from_nanos(201)).as_nanos(), 1_301);
    }

    #[test]
    fn no_timer_goes_off_before_its_time() {
        for rate in [0.2, 0.7, 1.1, 3.3, 5.0, 49.9] {
            let mut clock = Clock::default();
            clock.run_at(rate, Time::from_nanos(12_345));
            for (now, local) in [(20_000, 1), (20_001, 2), (1 << 40, 7), (99_999_999, 1_000_003)] {
                let due = now + clock.true_span(local);
                let passed =
                    clock.local(Time::from_nanos(due)).since(clock.local(Time::from_nanos(now)));
                assert!(passed.as_nanos() >= u128::from(local), "{local} ns at {rate}: {passed:?}");
            }
        }
    }

    #[test]
    fn a_slow_machine_works_one_thing_after_the_other() {
        let mut machine = Machine::default();
        assert_eq!(machine.admit(5, None), Admission::Now);
        machine.set_work(10);
        let times = [100, 100, 105, 200].map(|time| machine.admit(time, None));
        assert_eq!(times, [110, 120, 130, 210].map(Admission::At));
        machine.set_work(0);
        machine.stall(1_000);
        let times = [300, 999, 1_000, 1_500].map(|time| machine.admit(time, None));
        let late = [1_001, 1_002, 1_003].map(Admission::At);
        assert_eq!(times, [late[0], late[1], late[2], Admission::Now]);
        machine.stall(3_000);
        for _ in 0..MOST_WAITING {
            machine.admit(2_000, Some((1, None)));
        }
        assert_eq!(machine.admit(2_000, Some((1, None))), Admission::Shed);
        assert!(matches!(machine.admit(2_000, None), Admission::At(_)), "timers are never shed");
        machine.reboot(2_000);
        assert_eq!(machine.admit(2_000, Some((1, None))), Admission::Now);
    }
}
