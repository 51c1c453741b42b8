//! Evaluates the assertions about a run.

use hdrhistogram::Histogram;
use murmurate::membership::Time;

use super::counts::Counts;
use super::metrics::Metrics;
use super::quantiles::Quantiles;
use super::report::{OverlayPoint, Verdict, least_reliability, mean, published, seconds};
use super::routing::RoutingCounts;
use crate::engine::lanes::{Tally, TallyWindow};
use crate::engine::stats::{self, BroadcastStats};
use crate::experiment::scenario::{Assertion, Figure, Of, Scenario, Span, Window};

/// What is counted in a window, for the assertions about it.
#[derive(Debug)]
pub(super) struct Judge {
    /// By assertion that is about what is counted.
    windows: Vec<(usize, Interval, Counts, Histogram<u64>)>,
}

impl Judge {
    pub(super) fn new(scenario: &Scenario) -> Self {
        let assertions = scenario.assertions.iter().enumerate();
        let windows = assertions.filter(|(_, a)| a.figure.of() == Of::Deliveries).map(|(at, a)| {
            (at, interval(scenario, a), Counts::default(), stats::latency_histogram())
        });
        Self { windows: windows.collect() }
    }

    /// What was counted in each window, from its beginning to its end.
    pub(super) fn of(
        scenario: &Scenario,
        counted: impl Fn(Time, Time) -> (Counts, Histogram<u64>),
    ) -> Self {
        let mut judge = Self::new(scenario);
        for (_, window, sum, all) in &mut judge.windows {
            (*sum, *all) = counted(window.from, window.until);
        }
        judge
    }

    /// From now on also counts the whole run, for nobody's assertion.
    pub(super) fn count_whole(&mut self) {
        let whole = Interval { from: Time::ZERO, until: Time::MAX };
        let nobody = usize::MAX;
        self.windows.push((nobody, whole, Counts::default(), stats::latency_histogram()));
    }

    /// What was counted in each window so far.
    pub(super) fn windows(
        &self,
    ) -> impl Iterator<Item = (Time, Time, Counts, Histogram<u64>)> + '_ {
        let windows = self.windows.iter();
        windows.map(|(_, window, sum, all)| (window.from, window.until, *sum, all.clone()))
    }

    /// Goes on from what was counted in these windows by `at`. The assertions whose windows are not among
    /// them, though they began before that.
    pub(super) fn resume(
        &mut self,
        counted: &[(Time, Time, Counts, Histogram<u64>)],
        at: Time,
    ) -> Vec<usize> {
        let mut uncounted = Vec::new();
        for (assertion, window, sum, all) in &mut self.windows {
            if window.from >= at {
                continue;
            }
            // By then all that go on since the beginning have the same in them.
            let end = |until: Time| until.min(at);
            let same = |of: &&(Time, Time, Counts, Histogram<u64>)| {
                of.0 == window.from && end(of.1) == end(window.until)
            };
            match counted.iter().find(same) {
                Some((.., counted, latencies)) => {
                    (*sum, *all) = (*counted, latencies.clone());
                }
                None => uncounted.push(*assertion),
            }
        }
        uncounted
    }

    /// When windows begin and end: what is counted from one moment to the next lies within a window or
    /// outside.
    pub(super) fn borders(&self) -> impl Iterator<Item = Time> {
        self.windows.iter().flat_map(|(_, window, ..)| [window.from, window.until])
    }

    /// So much was counted from `from` on.
    pub(super) fn note(&mut self, from: Time, counted: &Counts, latencies: &Histogram<u64>) {
        for (_, window, sum, all) in &mut self.windows {
            if window.from <= from && from < window.until {
                sum.add(counted);
                *all += latencies;
            }
        }
    }

    fn counted(&self, assertion: usize) -> Option<(&Counts, &Histogram<u64>)> {
        let mut windows = self.windows.iter();
        windows.find(|(at, ..)| *at == assertion).map(|(_, _, counted, all)| (counted, all))
    }
}

/// A part of the run, without its end.
#[derive(Debug, Clone, Copy)]
struct Interval {
    from: Time,
    until: Time,
}

/// What an assertion is about.
fn interval(scenario: &Scenario, assertion: &Assertion) -> Interval {
    let end = scenario.duration;
    let (from, until) = match &assertion.window {
        Window::Whole => (Span::default(), end),
        Window::Between(from, until) => (*from, until.unwrap_or(end)),
        Window::At(time) => (Span(time.0.saturating_sub(scenario.measure.every.0)), *time),
        Window::Within(time, event) => {
            let start = scenario.event_time(event);
            (start, Span(start.0.saturating_add(time.0)))
        }
    };
    Interval { from: Time::ZERO.after(from.0), until: Time::ZERO.after(until.0) }
}

/// When the overlay and the metrics are looked at for an assertion, in order, and at no other time: what else looks at it
/// changes no verdict.
pub(super) fn looks(scenario: &Scenario, assertion: &Assertion) -> Vec<Time> {
    let Interval { from, until } = interval(scenario, assertion);
    match &assertion.window {
        _ if !matches!(assertion.figure.of(), Of::Overlay | Of::Moment) => Vec::new(),
        Window::Whole | Window::At(_) => vec![until],
        Window::Between(..) | Window::Within(..) => {
            let mut looks = Vec::new();
            let measure = &scenario.measure;
            let every = measure.overlay_every.unwrap_or(measure.every);
            let mut next = from;
            while next < until {
                looks.push(next);
                next = next.after(every.0);
            }
            looks.push(until);
            looks
        }
    }
}

/// Which messages on channels the assertions are about that are about some, in their order.
pub(super) fn watches(scenario: &Scenario) -> Vec<TallyWindow> {
    let about = scenario.assertions.iter().filter(|a| a.figure.of() == Of::Channels);
    let watch = |assertion: &Assertion| {
        let Interval { from, until } = interval(scenario, assertion);
        let named = |name: &String| scenario.channels.iter().position(|c| c.name == *name);
        let channel = assertion.channel.as_ref().and_then(named).map(|at| at as u16);
        TallyWindow { channel, from, until }
    };
    about.map(watch).collect()
}

/// What verdicts are about.
#[derive(Clone, Copy)]
pub(super) struct Measured<'a> {
    pub(super) broadcasts: &'a [BroadcastStats],
    /// Of each broadcast, if an assertion asks for it.
    pub(super) reach: &'a [f64],
    /// With the moments that they were taken for, in order.
    pub(super) overlays: &'a [(Time, OverlayPoint)],
    /// At the same moments.
    pub(super) metrics: &'a Metrics,
    pub(super) peak_pending: usize,
    /// As of [`watches`].
    pub(super) watched: &'a [Tally],
    /// What lookups and datagrams of a time came to.
    pub(super) routed: &'a dyn Fn(Time, Time) -> RoutingCounts,
}

/// All verdicts, in the order of the assertions.
pub(super) fn verdicts(
    scenario: &Scenario,
    measured: &Measured<'_>,
    judge: &Judge,
) -> Vec<Verdict> {
    let mut watched = measured.watched.iter();
    let one = |(at, assertion): (usize, &Assertion)| {
        let window = interval(scenario, assertion);
        match assertion.figure.of() {
            Of::Broadcasts => of_broadcasts(assertion, window, measured, scenario),
            Of::Deliveries => {
                let counted = judge.counted(at);
                let found = counted.and_then(|(counted, latencies)| {
                    of_deliveries(assertion.figure, measured.peak_pending, counted, latencies)
                });
                verdict(assertion, found, None)
            }
            Of::Channels => {
                let found = watched.next().and_then(|tally| of_channels(assertion.figure, tally));
                verdict(assertion, found, None)
            }
            Of::Routing => {
                let routed = (measured.routed)(window.from, window.until);
                verdict(assertion, of_routing(assertion.figure, &routed), None)
            }
            Of::Overlay | Of::Moment => of_looks(assertion, &looks(scenario, assertion), measured),
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
    Interval { from, until }: Interval,
    measured: &Measured<'_>,
    scenario: &Scenario,
) -> Verdict {
    let figure = |from: Time, until: Time| {
        let which = published(measured.broadcasts, from, until);
        let published = &measured.broadcasts[which.clone()];
        match assertion.figure {
            Figure::Reach => {
                let shares = measured.reach.get(which)?;
                (!shares.is_empty()).then(|| shares.iter().sum::<f64>() / shares.len() as f64)
            }
            Figure::Broadcasts => Some(published.len() as f64),
            Figure::LeastReliability => least_reliability(published),
            Figure::Rmr => mean(published, BroadcastStats::rmr),
            Figure::Hops => mean(published, |broadcast| f64::from(broadcast.last_hop)),
            _ => mean(published, BroadcastStats::reliability),
        }
    };
    if !matches!(assertion.window, Window::Within(..)) {
        return verdict(assertion, figure(from, until), None);
    }
    // Some moment's broadcasts.
    let every = scenario.measure.every.0;
    let moments = std::iter::successors(Some(from), |moment| Some(moment.after(every)));
    let tried = moments.take_while(|moment| *moment < until).map(|moment| {
        let end = moment.after(every).min(until);
        verdict(assertion, figure(moment, end), Some(seconds(end)))
    });
    first_or_last(tried, |verdict| verdict.holds).unwrap_or_else(|| verdict(assertion, None, None))
}

fn of_deliveries(
    figure: Figure,
    peak_pending: usize,
    counted: &Counts,
    latencies: &Histogram<u64>,
) -> Option<f64> {
    let latencies = (!latencies.is_empty()).then(|| Quantiles::of(latencies));
    match figure {
        Figure::Pending => Some(peak_pending as f64),
        Figure::Messages => Some(counted.messages as f64),
        Figure::Lost => Some(counted.lost as f64),
        Figure::Shed => Some(counted.shed as f64),
        Figure::LatencyP50 => latencies.map(|l| l.p50),
        Figure::LatencyP99 => latencies.map(|l| l.p99),
        _ => latencies.map(|l| l.max),
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

fn of_routing(figure: Figure, routed: &RoutingCounts) -> Option<f64> {
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

fn of_looks(assertion: &Assertion, looks: &[Time], measured: &Measured<'_>) -> Verdict {
    let figure = |point: &OverlayPoint| match assertion.figure {
        Figure::AttackerLinks => point.exposure.unwrap_or_default().attacker_links,
        Figure::AttackerPeers => point.exposure.unwrap_or_default().attacker_peers,
        Figure::Eclipsed => point.exposure.unwrap_or_default().eclipsed as f64,
        Figure::CutOff => point.exposure.unwrap_or_default().cut_off as f64,
        Figure::MissingLinks => point.missing_links.unwrap_or_default() as f64,
        Figure::Components => point.components as f64,
        Figure::LargestComponent => point.largest_component as f64,
        Figure::MeanDegree => point.mean_degree,
        Figure::Isolated => point.isolated as f64,
        Figure::AsymmetricLinks => point.asymmetric_links as f64,
        Figure::DeadLinks => point.dead_links as f64,
        Figure::UnlinkedPairs => point.unlinked_pairs as f64,
        _ => point.running_nodes as f64,
    };
    // A run that was stopped has looks that nobody took: then nothing is found.
    let found = |look: Time| {
        if let Figure::Own(metric) = assertion.figure {
            return measured.metrics.at(metric, look);
        }
        let taken = measured.overlays.binary_search_by_key(&look, |(at, _)| *at).ok()?;
        Some(figure(&measured.overlays[taken].1))
    };
    let looked = looks.iter().map(|look| verdict(assertion, found(*look), Some(seconds(*look))));
    let found = match assertion.window {
        Window::Within(..) => first_or_last(looked, |verdict| verdict.holds),
        _ => first_or_last(looked, |verdict| !verdict.holds),
    };
    found.unwrap_or_else(|| verdict(assertion, None, None))
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
