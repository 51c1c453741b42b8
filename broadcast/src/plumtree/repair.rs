//! What is done for payloads that are announced and do not come.
//!
//! The paper grafts the link of whoever is asked for one. If the payload was only late, that makes a
//! cycle, the next duplicate cuts it somewhere else, and the tree is bent for good, a little more each
//! time. So a payload is fetched beside the tree first, and nothing that was fetched proves anything
//! of a link. Only if the tree does not bring its own copy either, the link of whoever answered is
//! grafted. The copy that comes late shows how long to wait, see `graft_timeout`; peers that it did not
//! come by, because all before them had it already, are told of it by an announcement.

use core::time::Duration;

use super::*;
use missing::Turn;

impl<P: Peer, I: Id, D: Payload> Plumtree<P, I, D> {
    /// Whether an input that is about to be handled is about payloads that are only late, or beside the
    /// tree: it proves nothing of any link, so that eager links stay eager and lazy ones lazy.
    pub fn is_beside_tree(&self, input: &Input<Self>) -> bool {
        let fetches = !self.config.is_fixed() && self.eager().next().is_some();
        match input {
            Input::Receive { message: Message::Fetch(_), .. } | Input::Recover { .. } => true,
            Input::Receive { message: Message::Repair { .. }, .. } => fetches,
            Input::Receive { message: Message::Gossip { id, .. }, .. } => self.missing.is_here(*id),
            Input::Expired(Timer::Missing | Timer::Sooner) => {
                fetches && !self.missing.any_answered()
            }
            _ => false,
        }
    }

    /// Whose link an input that is about to be handled must bring into the tree, or keep there: that of
    /// who asks for it, or of who had to send what the tree did not bring.
    pub fn grafts(&self, now: Time, input: &Input<Self>) -> Option<P> {
        match input {
            Input::Receive { from, message: Message::Graft { .. } } => {
                Some(*from).filter(|from| self.is_neighbor(*from))
            }
            Input::Expired(Timer::Missing | Timer::Sooner) => self.missing.broken(now),
            _ => None,
        }
    }

    pub(super) fn learn(
        &mut self,
        lesson: impl FnOnce(&mut GraftTimeout),
        fx: &mut impl Effects<Self>,
    ) {
        let before = self.graft_timeout;
        lesson(&mut self.graft_timeout);
        if self.graft_timeout.longest() == before.longest() {
            return;
        }
        let [before, now] = [before, self.graft_timeout].map(|timeout| timeout.wait(&self.config));
        if now > before {
            fx.mark(marks::GRAFT_TIMEOUT_GREW);
        } else if now < before {
            fx.mark(marks::GRAFT_TIMEOUT_SHRANK);
            self.missing_sooner = self.missing_armed;
        }
    }

    /// There is something to wait for: no longer than anything may be waited for that comes next, unless
    /// waits become shorter meanwhile. Then a second timer bridges the time to the first, in steps that
    /// no wait is shorter than.
    pub(super) fn arm_missing(&mut self, wait: Duration, fx: &mut impl Effects<Self>) {
        if !self.missing_armed {
            self.missing_armed = true;
            fx.arm(wait, Timer::Missing);
        } else if self.missing_sooner && !self.sooner_armed {
            self.sooner_armed = true;
            fx.arm(self.config.least_graft_timeout, Timer::Sooner);
        }
    }

    pub(super) fn on_sooner_timer(&mut self, now: Time, fx: &mut impl Effects<Self>) {
        self.ask_overdue(now, fx);
        let next = self.missing.deadline().filter(|_| self.missing_sooner);
        self.sooner_armed = next.is_some();
        if let Some(deadline) = next {
            fx.arm(deadline.since(now).min(self.config.least_graft_timeout), Timer::Sooner);
        }
    }

    pub(super) fn on_missing_timer(&mut self, now: Time, fx: &mut impl Effects<Self>) {
        self.ask_overdue(now, fx);
        self.missing_sooner = false;
        let next = self.missing.deadline();
        self.missing_armed = next.is_some();
        if let Some(deadline) = next {
            let wait = self.graft_timeout.wait(&self.config);
            fx.arm(deadline.since(now).min(wait), Timer::Missing);
        }
    }

    fn ask_overdue(&mut self, now: Time, fx: &mut impl Effects<Self>) {
        let mut missing = core::mem::replace(&mut self.missing, MissingList::new());
        missing.forget_decided(|id| self.has_seen(id));
        let (graft_timeout, config) = (self.graft_timeout, Arc::clone(&self.config));
        let retry = |asked| graft_timeout.retry(asked, &config);
        missing.overdue(now, retry, config.graft_attempts, |turn| match turn {
            Turn::Ask(peer, announcement, again) => {
                fx.mark(if again { marks::ASKED_AGAIN } else { marks::ASKED });
                if config.is_fixed() {
                    self.make_eager(peer, fx);
                    fx.send(peer, Message::Graft { missing: Some(announcement) });
                } else {
                    self.graft_last(peer, fx);
                    fx.send(peer, Message::Fetch(announcement));
                }
            }
            Turn::Broken(peer) => {
                fx.mark(marks::BROKEN_GRAFTED);
                self.graft(peer, fx);
            }
            Turn::Left => fx.mark(marks::BROKEN_LEFT),
            Turn::InVain => fx.mark(marks::ASKED_IN_VAIN),
            Turn::Nobody => fx.mark(marks::NOBODY_TO_ASK),
        });
        self.missing = missing;
    }

    /// A link of the tree is gone, and maybe half of the tree behind it: another link takes its place
    /// until a duplicate proves it superfluous, and what was announced is asked for now.
    pub(super) fn mend(&mut self, now: Time, fx: &mut impl Effects<Self>) {
        self.missing.hasten(now);
        self.ask_overdue(now, fx);
        let spare = self.lazy().next();
        if let Some(peer) = spare {
            fx.mark(marks::MENDED);
            self.graft(peer, fx);
        }
    }

    pub(super) fn on_fetch(
        &mut self,
        from: P,
        Announcement { id, round }: Announcement<I>,
        fx: &mut impl Effects<Self>,
    ) {
        if !self.is_neighbor(from) {
            fx.mark(marks::ASKED_BY_STRANGER);
        }
        match self.cache.get(id) {
            Some(payload) => {
                fx.send(from, Message::Repair { id, round, payload: payload.clone() });
            }
            None => fx.mark(marks::ASKED_TOO_LATE),
        }
    }

    pub(super) fn on_repair(
        &mut self,
        now: Time,
        from: P,
        (id, round, payload): (I, u16, D),
        fx: &mut impl Effects<Self>,
    ) {
        if round > self.config.hop_limit {
            return fx.mark(shared::TOO_MANY_HOPS);
        }
        if self.has_seen(id) {
            return fx.mark(marks::REPAIR_TWICE);
        }
        let Some(given_up) = self.remember(now, id, &payload, fx) else { return };
        if let Some(after) = self.await_own_copy(now, id, from, fx) {
            fx.mark(marks::ASKED_ANSWERED);
            self.graft_timeout.answered(after);
        }
        self.graft_last(from, fx);
        self.relay(from, (id, round, &payload), true, fx);
        self.deliver(id, round, payload, given_up, fx);
    }

    /// A payload came beside the tree, from this peer. How long it took to answer, if it was asked first.
    pub(super) fn await_own_copy(
        &mut self,
        now: Time,
        id: I,
        from: P,
        fx: &mut impl Effects<Self>,
    ) -> Option<Duration> {
        let wait = self.graft_timeout.wait(&self.config);
        let capacity = self.config.missing_capacity;
        let after = self.missing.fetched(id, from, now, wait, capacity);
        if self.missing.len() > 0 {
            self.arm_missing(wait, fx);
        }
        after
    }

    /// The tree brings its own copies of payloads that were fetched, or says that it would. Whether
    /// any was waited for.
    pub(super) fn on_late_copies(
        &mut self,
        now: Time,
        from: P,
        copies: impl Iterator<Item = Announcement<I>>,
        fx: &mut impl Effects<Self>,
    ) -> bool {
        let mut late = ThinVec::new();
        for Announcement { id, round } in copies {
            if let Some(missed) = self.missing.arrived(id, now) {
                fx.mark(marks::LATE_COPY);
                self.learn(|timeout| timeout.saw(missed.lag), fx);
                late.push(Announcement { id, round: round.saturating_add(1) });
            }
        }
        if late.is_empty() {
            return false;
        }
        for eager in self.eager().filter(|eager| *eager != from) {
            fx.send(eager, Message::IHave(late.iter().copied().collect()));
        }
        true
    }
}
