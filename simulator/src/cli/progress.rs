//! A progress bar, only on a terminal.

use std::time::Duration;

use crate::experiment::runner::{Observer, Point};
use crate::experiment::scenario::Scenario;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use murmurate::membership::{Time, nanos};

/// A bar of `steps` steps. It draws on standard error, and only if that is a terminal.
pub(crate) fn bar(steps: u64, what: &str) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(Some(steps), ProgressDrawTarget::stderr());
    let style = ProgressStyle::with_template(
        "{msg:28} [{bar:30}] {percent:>3} %  {elapsed} elapsed, {eta} left",
    );
    if let Ok(style) = style {
        bar.set_style(style.progress_chars("=> "));
    }
    bar.set_message(what.to_owned());
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

/// A bar that moves with the virtual time of a run, and says how fast that is.
pub(crate) struct Progress {
    bar: ProgressBar,
    nodes: u32,
    end: f64,
    events: u64,
}

impl Progress {
    pub(crate) fn new(scenario: &Scenario) -> Self {
        let end = scenario.duration.0;
        let bar = ProgressBar::with_draw_target(Some(nanos(end)), ProgressDrawTarget::stderr());
        let style = ProgressStyle::with_template("{msg} [{bar:30}] {percent:>3} %  {eta} left");
        if let Ok(style) = style {
            bar.set_style(style.progress_chars("=> "));
        }
        bar.enable_steady_tick(Duration::from_millis(200));
        Self { bar, nodes: scenario.nodes.count, end: end.as_secs_f64(), events: 0 }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

impl Observer for Progress {
    fn point(&mut self, point: &Point) {
        self.events += point.events;
    }

    fn progress(&mut self, now: Time) {
        let speed = self.events as f64 / self.bar.elapsed().as_secs_f64() / 1e6;
        let (nodes, end, now_s) = (self.nodes, self.end, now.since(Time::ZERO).as_secs_f64());
        self.bar
            .set_message(format!("{nodes} nodes, {now_s:.0} of {end:.0} s, {speed:.1} M events/s"));
        self.bar.set_position(now.as_nanos());
    }
}
