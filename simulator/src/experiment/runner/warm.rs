//! A run that is saved on the way, and runs that start from there.
//!
//! Beside the simulation its state is what was measured, and how far workloads got. Whatever else the
//! scenario says comes later than the moment that is saved, or does not depend on it.

use std::io::Read;
use std::path::Path;

use murmurate::membership::Time;
use serde::{Deserialize, Serialize};

use super::agenda::Action;
use super::recorder::Past;
use super::workload::Progress;
use super::{Probing, RunError, Runner};
use crate::engine::snapshot::{ReadError, Reader, SaveError, Writer};
use crate::engine::{Count, SimStack};
use crate::experiment::scenario::{Figure, Origin, Scenario, Span};

/// What there is of a run beside the simulation.
#[derive(Serialize, Deserialize)]
struct Kept {
    /// Until when all was well, how many events were paid for by looks, and whose turn is next.
    looks: (Time, u64, usize),
    /// Workloads that have begun: how far they got, and when they go on.
    sendings: Vec<(usize, Progress, Option<Time>)>,
    recorder: Past,
}

impl<P: SimStack> Runner<'_, P> {
    /// What keeps this run from being saved at that time.
    pub(super) fn cannot_save(&self, at: Span) -> Result<(), RunError> {
        let broken = crate::experiment::scenario::saving(self.scenario, at);
        if !broken.is_empty() {
            return Err(RunError(broken));
        }
        self.sim.can_save().map_err(|error| unsaved(self.scenario, &error))
    }

    /// Writes all that there is now, at `at`.
    pub(super) fn save(&mut self, at: Span) -> Result<(), RunError> {
        let mut kept = Kept {
            looks: (self.checked, self.guard.turns().0, self.guard.turns().1),
            sendings: Vec::new(),
            recorder: self.recorder.past(),
        };
        let pending = self.agenda.sends();
        for (number, sending) in self.sendings.iter().enumerate() {
            if self.scenario.workload[number].from < at {
                kept.sendings.push((number, sending.progress(), pending.get(&number).copied()));
            }
        }
        let Some(to) = self.observer.save() else { return Ok(()) };
        let write = || -> Result<(), SaveError> {
            let mut writer = Writer::new(to)?;
            writer.put(&Origin::of(self.scenario, at))?;
            // So that it can be read alone.
            writer.close()?;
            writer.put(&kept)?;
            self.sim.save(&mut writer)?;
            writer.finish().map(drop)
        };
        write().map_err(|error| unsaved(self.scenario, &error))
    }

    /// Goes on from a file.
    pub(super) fn resume(
        &mut self,
        path: &Path,
        probing: Option<&Probing>,
    ) -> Result<(), RunError> {
        let wrong = |message: String| RunError(vec![("from".to_owned(), message)]);
        let (origin, mut reader) = Origin::open(path).map_err(wrong)?;
        if probing.is_some() {
            // What nodes sent and handled so far is told by that.
            self.sim.watch_loads();
        }
        let kept = self.restore(&mut reader).and_then(|kept| reader.finish().map(|()| kept));
        let kept = kept.map_err(|error| match error {
            ReadError::Strategy(layer) => unsaved(self.scenario, &SaveError::Strategy(layer)),
            error => wrong(format!("{}: {error}", path.display())),
        })?;
        let at = Time::ZERO.after(origin.at().0);
        let mut broken = self.unknown(origin.at());
        broken.extend(probing.and_then(|probing| uncounted(probing, path, origin.at())));
        broken.extend(self.recorder.resume(kept.recorder, at, self.scenario));
        if !broken.is_empty() {
            return Err(RunError(broken));
        }
        (self.resumed, self.checked) = (at, kept.looks.0);
        self.guard.resume(kept.looks.1, kept.looks.2);
        self.agenda.forget_before(at);
        self.agenda.forget_samples();
        self.agenda.add(self.recorder.due(), Action::Sample);
        for (number, progress, next) in kept.sendings {
            let Some(sending) = self.sendings.get_mut(number) else { continue };
            sending.resume(progress);
            if let Some(next) = next {
                self.agenda.add(next, Action::Send(number));
            }
        }
        Ok(())
    }

    fn restore<R: Read>(&mut self, from: &mut Reader<R>) -> Result<Kept, ReadError> {
        let kept = from.take()?;
        self.sim.restore(from)?;
        Ok(kept)
    }

    /// What nobody noted of the broadcasts of before.
    fn unknown(&self, at: Span) -> Vec<(String, String)> {
        if self.sim.published() == 0 {
            return Vec::new();
        }
        let all = self.scenario.assertions.iter().enumerate();
        let about_reach = all.filter(|(_, assertion)| assertion.figure == Figure::Reach);
        let message = format!("whom the broadcasts before {at} could reach was not saved");
        about_reach.map(|(number, _)| (format!("assertions.{number}"), message.clone())).collect()
    }
}

/// What of a probe was not counted before an overlay was saved.
fn uncounted(probing: &Probing, path: &Path, at: Span) -> Option<(String, String)> {
    let of_kind = probing.counts.iter().find_map(|count| match count {
        Count::SentOf(name) => Some(format!("sent.{name}")),
        Count::ReceivedOf(name) => Some(format!("received.{name}")),
        Count::Sent | Count::BytesSent | Count::Received | Count::Deliveries => None,
    })?;
    let message =
        format!("{of_kind} was not counted before {at}, when {} was saved", path.display());
    Some(("measure.probe.figures".to_owned(), message))
}

fn unsaved(scenario: &Scenario, error: &SaveError) -> RunError {
    let broken = match error {
        SaveError::Strategy(layer) => {
            let name = if *layer == "membership" {
                scenario.membership.name()
            } else {
                scenario.broadcast.name()
            };
            (format!("{layer}.strategy"), format!("{name} cannot be saved: it has no storage"))
        }
        error => ("--save".to_owned(), error.to_string()),
    };
    RunError(vec![broken])
}
