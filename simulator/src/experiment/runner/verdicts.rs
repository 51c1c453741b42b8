//! Whether a run shows what it must.

use hdrhistogram::Histogram;
use murmurate::membership::Time;

use super::post::Routed;
use super::report::{OverlayPoint, Point, Quantiles, Verdict, least_reliability, mean, published};
use crate::engine::lanes::{Tally, Watch};
use crate::engine::stats::{self, Broadcast};
use crate::experiment::scenario::{Assertion, Figure, Of, Scenario, Span, Window};

/// What assertions about latencies need of each moment, because it is not kept otherwise.
#[derive(Debug)]
pub(super) struct Judge {
    /// For each such assertion its place in the list, its window in seconds, and its deliveries.
    latencies: Vec<(usize, (f64, f64), Histogram<u64>)>,
}

impl Judge {
    pub(super) fn new(scenario: &Scenario) -> Self {
        let assertions = scenario.assertions.iter().enumerate();
        let latencies = assertions
            .filter(|(_, a)| a.figure.is_time() && a.figure.of() == Of::Deliveries)
            .map(|(at, assertion)| (at, span(scenario, assertion), stats::latency_histogram()));
        Self { latencies: latencies.collect() }
    }

    /// A point of the series is complete.
    pub(super) fn note(&mut self, from: f64, point: &Point, latencies: &Histogram<u64>) {
        for (_, window, sum) in &mut self.latencies {
            if is_within(*window, from, point.at) {
                *sum += latencies;
            }
        }
    }

    fn latencies(&self, assertion: usize) -> Option<&Histogram<u64>> {
        self.latencies.iter().find(|(at, ..)| *at == assertion).map(|(.., sum)| sum)
    }
}

/// Buckets of the simulator end a little later than the moments they are for.
const LATE: f64 = 1e-9;

fn is_within((start, end): (f64, f64), from: f64, until: f64) -> bool {
    let middle = f64::midpoint(from, until);
    start - LATE <= middle && middle <= end + LATE
}

/// The window of an assertion, in seconds.
fn span(scenario: &Scenario, assertion: &Assertion) -> (f64, f64) {
    let end = scenario.duration;
    let (from, until) = match &assertion.window {
        Window::Whole => (Span::default(), end),
        Window::Between(from, until) => (*from, until.unwrap_or(end)),
        Window::At(time) => (Span(time.0.saturating_sub(scenario.measure.every.0)), *time),
        Window::Within(time, event) => {
            let start = event_time(scenario, event);
            (start, Span(start.0.saturating_add(time.0)))
        }
    };
    (from.0.as_secs_f64(), until.0.as_secs_f64())
}

/// When the event is that this is the name of, or the time that it is.
fn event_time(scenario: &Scenario, event: &str) -> Span {
    if let Ok(time) = event.parse() {
        return time;
    }
    let fault = scenario.faults.iter().find(|fault| fault.label() == event);
    fault.map_or_else(Span::default, |fault| fault.at)
}

/// Which messages on channels the assertions are about that are about some, in their order.
pub(super) fn watches(scenario: &Scenario) -> Vec<Watch> {
    let about = scenario.assertions.iter().filter(|a| a.figure.of() == Of::Channels);
    let watch = |assertion: &Assertion| {
        let (from, until) = span(scenario, assertion);
        let time = |seconds: f64| Time::from_nanos((seconds * 1e9).round() as u64);
        let named = |name: &String| scenario.channels.iter().position(|c| c.name == *name);
        let channel = assertion.channel.as_ref().and_then(named).map(|at| at as u16);
        Watch { channel, from: time(from), until: time(until) }
    };
    about.map(watch).collect()
}

/// From when to when an assertion needs looks at the overlay, beside the one at the end. What holds
/// within a time of an event is looked for after the event.
pub(super) fn moments(scenario: &Scenario, assertion: &Assertion) -> Option<(Span, Span)> {
    let nanosecond = std::time::Duration::from_nanos(1);
    match &assertion.window {
        _ if assertion.figure.of() != Of::Overlay => None,
        Window::Whole => None,
        Window::Between(from, until) => Some((*from, until.unwrap_or(scenario.duration))),
        Window::At(time) => Some((*time, *time)),
        Window::Within(time, event) => {
            let start = event_time(scenario, event);
            Some((Span(start.0 + nanosecond), Span(start.0.saturating_add(time.0))))
        }
    }
}

/// What verdicts are about.
#[derive(Clone, Copy)]
pub(super) struct Measured<'a> {
    pub(super) broadcasts: &'a [Broadcast],
    /// Of each broadcast, if an assertion asks for it.
    pub(super) reach: &'a [f64],
    pub(super) series: &'a [Point],
    pub(super) overlays: &'a [OverlayPoint],
    pub(super) peak_pending: usize,
    /// As of [`watches`].
    pub(super) watched: &'a [Tally],
    /// What lookups and datagrams of a time came to.
    pub(super) routed: &'a dyn Fn(Time, Time) -> Routed,
}

/// All verdicts, in the order of the assertions.
pub(super) fn verdicts(
    scenario: &Scenario,
    measured: &Measured<'_>,
    judge: &Judge,
) -> Vec<Verdict> {
    let mut watched = measured.watched.iter();
    let one = |(at, assertion): (usize, &Assertion)| {
        let window = span(scenario, assertion);
        match assertion.figure.of() {
            Of::Broadcasts => of_broadcasts(assertion, window, measured, scenario),
            Of::Deliveries => {
                let found = of_deliveries(assertion.figure, window, measured, judge.latencies(at));
                verdict(assertion, found, None)
            }
            Of::Channels => {
                let found = watched.next().and_then(|tally| of_channels(assertion.figure, tally));
                verdict(assertion, found, None)
            }
            Of::Routing => {
                let [from, until] = [window.0, window.1]
                    .map(|seconds| Time::from_nanos((seconds * 1e9).round() as u64));
                let found = of_routing(assertion.figure, &(measured.routed)(from, until));
                verdict(assertion, found, None)
            }
            Of::Overlay => of_overlay(assertion, moments(scenario, assertion), measured.overlays),
        }
    };
    scenario.assertions.iter().enumerate().map(one).collect()
}

fn verdict(assertion: &Assertion, found: Option<f64>, at: Option<f64>) -> Verdict {
    let holds = found.is_some_and(|found| assertion.comparison.holds(found, assertion.value));
    Verdict { assertion: assertion.to_string(), holds, found, at }
}

fn of_broadcasts(
    assertion: &Assertion,
    (from, until): (f64, f64),
    measured: &Measured<'_>,
    scenario: &Scenario,
) -> Verdict {
    let figure = |from: f64, until: f64| {
        let time = |seconds: f64| Time::from_nanos((seconds * 1e9).round() as u64);
        let which = published(measured.broadcasts, time(from), time(until));
        let published = &measured.broadcasts[which.clone()];
        match assertion.figure {
            Figure::Reach => {
                let shares = measured.reach.get(which)?;
                (!shares.is_empty()).then(|| shares.iter().sum::<f64>() / shares.len() as f64)
            }
            Figure::Broadcasts => Some(published.len() as f64),
            Figure::LeastReliability => least_reliability(published),
            Figure::Rmr => mean(published, Broadcast::rmr),
            Figure::Hops => mean(published, |broadcast| f64::from(broadcast.last_hop)),
            _ => mean(published, Broadcast::reliability),
        }
    };
    if !matches!(assertion.window, Window::Within(..)) {
        return verdict(assertion, figure(from, until), None);
    }
    // Some moment's broadcasts.
    let every = scenario.measure.every.0.as_secs_f64();
    let moments = (0..).map(|count| from + f64::from(count) * every);
    let tried = moments.take_while(|moment| *moment < until).map(|moment| {
        let end = (moment + every).min(until);
        verdict(assertion, figure(moment, end), Some(end))
    });
    first_or_last(tried, |verdict| verdict.holds).unwrap_or_else(|| verdict(assertion, None, None))
}

fn of_deliveries(
    figure: Figure,
    window: (f64, f64),
    measured: &Measured<'_>,
    latencies: Option<&Histogram<u64>>,
) -> Option<f64> {
    let series = measured.series;
    let starts = std::iter::once(0.0).chain(series.iter().map(|point| point.at));
    let within = starts.zip(series).filter(|(from, point)| is_within(window, *from, point.at));
    let sum = |of: fn(&Point) -> u64| Some(within.map(|(_, point)| of(point)).sum::<u64>() as f64);
    let latencies = latencies.filter(|latencies| !latencies.is_empty());
    let seconds = |micros: u64| micros as f64 / 1e6;
    match figure {
        Figure::Pending => Some(measured.peak_pending as f64),
        Figure::Messages => sum(|point| point.messages),
        Figure::Lost => sum(|point| point.lost),
        Figure::Shed => sum(|point| point.shed),
        Figure::LatencyP50 => latencies.map(|l| seconds(l.value_at_quantile(0.5))),
        Figure::LatencyP99 => latencies.map(|l| seconds(l.value_at_quantile(0.99))),
        _ => latencies.map(|l| seconds(l.max())),
    }
}

fn of_channels(figure: Figure, tally: &Tally) -> Option<f64> {
    let latencies = (!tally.latencies.is_empty()).then(|| Quantiles::of(&tally.latencies));
    match figure {
        Figure::ChannelMessages => Some(tally.messages as f64),
        Figure::ChannelRefused => Some(tally.refused as f64),
        Figure::ChannelShed => Some(tally.shed as f64),
        Figure::ChannelUnreachable => Some(tally.unreachable as f64),
        Figure::ChannelGone => Some(tally.gone as f64),
        Figure::ChannelTimedOut => Some(tally.timed_out as f64),
        Figure::ChannelLatencyP50 => latencies.map(|l| l.p50),
        Figure::ChannelLatencyP99 => latencies.map(|l| l.p99),
        Figure::ChannelLatencyMax => latencies.map(|l| l.max),
        _ => tally.share_delivered(),
    }
}

fn of_routing(figure: Figure, routed: &Routed) -> Option<f64> {
    let share = |part: u64, of: u64| (of > 0).then(|| part as f64 / of as f64);
    let latencies = (!routed.latencies.is_empty()).then(|| Quantiles::of(&routed.latencies));
    match figure {
        Figure::Lookups => Some(routed.lookups as f64),
        Figure::LookupLatencyP50 => latencies.map(|l| l.p50),
        Figure::LookupLatencyP99 => latencies.map(|l| l.p99),
        Figure::Datagrams => Some(routed.datagrams as f64),
        Figure::DatagramDelivered => share(routed.delivered, routed.datagrams),
        _ => share(routed.found, routed.lookups),
    }
}

fn of_overlay(
    assertion: &Assertion,
    moments: Option<(Span, Span)>,
    overlays: &[OverlayPoint],
) -> Verdict {
    let figure = |point: &OverlayPoint| match assertion.figure {
        Figure::Components => point.components as f64,
        Figure::LargestComponent => point.largest_component as f64,
        Figure::MeanDegree => point.mean_degree,
        Figure::Isolated => point.isolated as f64,
        Figure::AsymmetricLinks => point.asymmetric_links as f64,
        Figure::DeadLinks => point.dead_links as f64,
        Figure::UnlinkedPairs => point.unlinked_pairs as f64,
        _ => point.running_nodes as f64,
    };
    let looked = |point: &OverlayPoint| verdict(assertion, Some(figure(point)), Some(point.at));
    let Some((from, until)) = moments else {
        return overlays.last().map_or_else(|| verdict(assertion, None, None), looked);
    };
    // A look is taken at the border of the bucket that its moment falls into.
    let from = from.0.as_secs_f64() - LATE;
    let looks = overlays.iter().filter(|point| point.at >= from).map(looked);
    let until = until.0.as_secs_f64();
    let found = match assertion.window {
        Window::At(_) => looks.into_iter().next(),
        Window::Within(..) => first_or_last(before(looks, until), |verdict| verdict.holds),
        _ => first_or_last(before(looks, until), |verdict| !verdict.holds),
    };
    found.unwrap_or_else(|| verdict(assertion, None, None))
}

/// The looks up to a moment, and the first one behind it, which is the moment's own.
fn before(looks: impl Iterator<Item = Verdict>, until: f64) -> impl Iterator<Item = Verdict> {
    let mut is_over = false;
    looks.take_while(move |look| {
        let goes_on = !is_over;
        is_over = look.at.is_some_and(|at| at + LATE >= until);
        goes_on
    })
}

/// The first verdict for which `is_it` holds, or else the last one.
fn first_or_last(
    verdicts: impl Iterator<Item = Verdict>,
    is_it: impl Fn(&Verdict) -> bool,
) -> Option<Verdict> {
    let mut last = None;
    for verdict in verdicts {
        let found = is_it(&verdict);
        last = Some(verdict);
        if found {
            break;
        }
    }
    last
}
