//! What a node counts, for Prometheus.
//!
//! Labels are words from fixed sets, never peers, addresses or topics: a node has well under 500
//! series, all of them from the start.

use std::sync::Arc;

use murmurate_membership::DownReason;
use murmurate_membership::Mark;
use prometheus::{
    Encoder, Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts,
    Registry, TextEncoder,
};

use super::admission::Denial;
use super::budget::Kept;
use super::channels::Families;
use super::link::LinkEnd;

/// A set of metrics, in a registry of its own.
///
/// Nodes of one process may share a set: counters and gauges add up.
#[derive(Debug, Clone)]
pub struct Metrics(Arc<Counters>);

/// Broadcasts counted so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct BroadcastCounts {
    /// Published by these nodes.
    pub published: u64,
    /// Received for the first time.
    pub delivered: u64,
    /// Received again.
    pub duplicate: u64,
    /// Never received, and no longer kept by any neighbour.
    pub missed: u64,
}

/// What [`Metrics`] holds, for the driver.
#[derive(Debug)]
pub(crate) struct Counters {
    registry: Registry,
    pub(crate) active_view: IntGauge,
    pub(crate) passive_view: IntGauge,
    pub(crate) eager: IntGauge,
    pub(crate) lazy: IntGauge,
    pub(crate) ups: IntCounter,
    /// By [`DownReason`].
    pub(crate) downs: Vec<IntCounter>,
    pub(crate) joins: IntCounter,
    pub(crate) isolations: IntCounter,
    pub(crate) published: IntCounter,
    pub(crate) delivered: IntCounter,
    pub(crate) duplicate: IntCounter,
    pub(crate) refused: IntCounter,
    pub(crate) waited: IntCounter,
    pub(crate) lagged: IntCounter,
    pub(crate) missed: IntCounter,
    pub(crate) broadcasts_dropped: IntCounterVec,
    pub(crate) hops: Histogram,
    pub(crate) latency: Histogram,
    messages: [IntCounterVec; 2],
    pub(crate) outbox_bytes: IntGauge,
    /// Of the node's budget.
    pub(crate) memory_bytes: IntGauge,
    pub(crate) memory_refused: IntCounterVec,
    pub(crate) outbox_control_dropped: IntCounter,
    pub(crate) outbox_payloads_dropped: IntCounter,
    pub(crate) slow_links: IntGauge,
    pub(crate) links_slow: IntCounter,
    pub(crate) connections: IntGauge,
    pub(crate) gave_way: IntCounter,
    pub(crate) dials: IntCounterVec,
    pub(crate) links_ended: IntCounterVec,
    pub(crate) inbound_failed: IntCounter,
    pub(crate) denied: IntCounterVec,
    /// Broadcasts, and datagrams.
    pub(crate) forged: [IntCounter; 2],
    pub(crate) stale: IntCounter,
    pub(crate) certificate_expires: IntGauge,
    pub(crate) shared_identities: IntCounter,
    pub(crate) found: IntCounterVec,
    pub(crate) service_messages_dropped: IntCounterVec,
    pub(crate) channels: Families,
}

impl Counters {
    /// What counts received and sent messages of these kinds, which are there from now on. Those without
    /// a name never come.
    pub(crate) fn traffic(&self, kinds: &[&str]) -> [Traffic; 2] {
        ["received", "sent"].map(|direction| {
            let each = |of: &IntCounterVec| {
                let one = |kind: &&str| {
                    (!kind.is_empty()).then(|| of.with_label_values(&[direction, *kind]))
                };
                kinds.iter().map(one).collect()
            };
            let [messages, bytes] = &self.messages;
            Traffic { messages: each(messages), bytes: each(bytes) }
        })
    }

    /// What is dropped for these reasons is counted, from zero.
    pub(crate) fn count_losses(&self, losses: &[Mark]) {
        for mark in losses {
            let _ = self.broadcasts_dropped.with_label_values(&[mark.name()]);
        }
    }

    /// Counts a failed look-up; sources of an embedder's own are one series.
    pub(crate) fn discovery_failed(&self, source: &str) {
        let source = if DISCOVERY.contains(&source) { source } else { "other" };
        self.found.with_label_values(&[source]).inc();
    }
}

/// Messages and bytes in one direction, by kind.
#[derive(Debug)]
pub(crate) struct Traffic {
    messages: Vec<Option<IntCounter>>,
    bytes: Vec<Option<IntCounter>>,
}

impl Traffic {
    /// Counts a message of the kind with this index.
    pub(crate) fn note(&self, kind: usize, bytes: usize) {
        if let (Some(messages), Some(all)) = (&self.messages[kind], &self.bytes[kind]) {
            messages.inc();
            all.inc_by(bytes as u64);
        }
    }
}

/// What dials can come to, as `murmurate_dials_total` labels it.
pub(crate) const DIAL_OUTCOMES: [&str; 9] = [
    "ok",
    "refused",
    "timeout",
    "unreachable",
    "wrong_peer",
    "self",
    "denied",
    "not_admitted",
    "other",
];
/// Why links end, as `murmurate_links_ended_total` labels it.
pub(crate) const LINK_ENDS: [&str; 12] = [
    "goodbye",
    "replaced",
    "idle",
    "closed",
    "failed",
    "nonsense",
    "stalled",
    "mismatch",
    "unsupported",
    "not_admitted",
    "forged",
    "no_memory",
];
const _: () = assert!(LinkEnd::NoMemory as usize + 1 == LINK_ENDS.len());

const DOWN_REASONS: [&str; 8] =
    ["failed", "silent", "evicted", "dropped", "left", "leaving", "restarted", "renewed"];
const _: () = assert!(DownReason::Renewed as usize + 1 == DOWN_REASONS.len());

const DISCOVERY: [&str; 5] = ["dns", "file", "fixed", "mdns", "other"];
const HOPS: [f64; 12] = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0, 12.0, 16.0, 24.0, 32.0];
const SECONDS: [f64; 15] =
    [0.000_5, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0];

/// Registers metrics; names and help are constants, so nothing can be wrong with them.
struct Maker(Registry);

#[allow(clippy::expect_used, reason = "names and labels are constants that the tests register")]
impl Maker {
    fn counter(&self, name: &str, help: &str) -> IntCounter {
        let made = IntCounter::new(name, help).expect("a valid name");
        self.0.register(Box::new(made.clone())).expect("a new name");
        made
    }

    fn counters(&self, name: &str, help: &str, labels: &[&str]) -> IntCounterVec {
        let made = IntCounterVec::new(Opts::new(name, help), labels).expect("a valid name");
        self.0.register(Box::new(made.clone())).expect("a new name");
        made
    }

    fn gauge(&self, name: &str, help: &str) -> IntGauge {
        let made = IntGauge::new(name, help).expect("a valid name");
        self.0.register(Box::new(made.clone())).expect("a new name");
        made
    }

    fn histogram(&self, name: &str, help: &str, buckets: &[f64]) -> Histogram {
        let opts = HistogramOpts::new(name, help).buckets(buckets.to_vec());
        let made = Histogram::with_opts(opts).expect("a valid name");
        self.0.register(Box::new(made.clone())).expect("a new name");
        made
    }

    /// One counter for each word the label can be.
    fn labelled<const N: usize>(
        &self,
        name: &str,
        help: &str,
        label: &str,
        words: [&str; N],
    ) -> [IntCounter; N] {
        let counters = self.counters(name, help, &[label]);
        words.map(|word| counters.with_label_values(&[word]))
    }

    /// The same, looked up by the word: for what is rare.
    fn reasons(&self, name: &str, help: &str, label: &str, words: &[&str]) -> IntCounterVec {
        let counters = self.counters(name, help, &[label]);
        for word in words {
            // Said once, it is there, at zero.
            let _ = counters.with_label_values(&[word]);
        }
        counters
    }

    /// Messages and their bytes, by direction and kind.
    fn messages(&self) -> [IntCounterVec; 2] {
        let labels = ["direction", "kind"];
        let bytes = "Bytes of the protocols' messages, without transport overhead.";
        [
            self.counters("murmurate_messages_total", "Messages of the protocols.", &labels),
            self.counters("murmurate_message_bytes_total", bytes, &labels),
        ]
    }

    fn waited(&self) -> IntCounter {
        let help = "Broadcasts that waited for a neighbour or for room before they were published.";
        self.counter("murmurate_broadcasts_waited_total", help)
    }

    fn lagged(&self) -> IntCounter {
        let help = "Broadcasts that subscriptions lost because they were not read in time.";
        self.counter("murmurate_subscription_lagged_total", help)
    }

    fn memory_bytes(&self) -> IntGauge {
        let help = "Bytes of limits.memory_bytes that are taken.";
        self.gauge("murmurate_memory_bytes", help)
    }

    fn memory_refused(&self) -> IntCounterVec {
        let help = "Times that something was refused, or had to wait, for want of memory.";
        self.reasons("murmurate_memory_refused_total", help, "what", &Kept::LABELS)
    }

    fn links_ended(&self) -> IntCounterVec {
        let name = "murmurate_links_ended_total";
        self.reasons(name, "Links that ended.", "reason", &LINK_ENDS)
    }

    fn gave_way(&self) -> IntCounter {
        self.counter(
            "murmurate_connections_gave_way_total",
            "Connections closed for one from a network that has fewer.",
        )
    }

    fn inbound_failed(&self) -> IntCounter {
        self.counter(
            "murmurate_inbound_failed_total",
            "Inbound connections that failed before they stood.",
        )
    }

    fn stale(&self) -> IntCounter {
        self.counter(
            "murmurate_stale_broadcasts_total",
            "Broadcasts that were dropped because of their time of publication.",
        )
    }

    fn forged(&self) -> [IntCounter; 2] {
        self.labelled(
            "murmurate_forged_total",
            "What came in the name of somebody who did not send it.",
            "kind",
            ["broadcast", "datagram"],
        )
    }

    fn certificate_expires(&self) -> IntGauge {
        let help = "When the node's certificate expires, in seconds since 1970.";
        self.gauge("murmurate_certificate_expires_seconds", help)
    }

    fn denials(&self) -> IntCounterVec {
        let help = "Nodes that could not prove that they belong to the overlay.";
        self.reasons("murmurate_not_admitted_total", help, "reason", &Denial::LABELS)
    }

    fn shared_identities(&self) -> IntCounter {
        let help = "Signs that two processes run with one identity.";
        self.counter("murmurate_shared_identities_total", help)
    }

    fn discovery_failures(&self) -> IntCounterVec {
        let help = "Look-ups of a discovery source that failed.";
        self.reasons("murmurate_discovery_failures_total", help, "source", &DISCOVERY)
    }

    fn missed(&self) -> IntCounter {
        let help = "Broadcasts of others that never came and can be had no more.";
        self.counter("murmurate_broadcasts_missed_total", help)
    }

    fn broadcasts_dropped(&self) -> IntCounterVec {
        let help = "Words about broadcasts that were not acted on, and payloads not passed on.";
        self.counters("murmurate_broadcasts_dropped_total", help, &["reason"])
    }

    fn service_messages_dropped(&self) -> IntCounterVec {
        let help = "Messages and broadcasts of an application's services that were dropped.";
        let name = "murmurate_service_messages_dropped_total";
        self.reasons(name, help, "reason", &super::services::DROPPED)
    }

    fn hops(&self) -> Histogram {
        let help = "Links a delivered broadcast crossed.";
        self.histogram("murmurate_delivery_hops", help, &HOPS)
    }

    fn latency(&self) -> Histogram {
        let help = "Time from publishing to delivery, by the clocks of both nodes.";
        self.histogram("murmurate_delivery_latency_seconds", help, &SECONDS)
    }

    fn build_info(&self) -> IntGaugeVec {
        let opts = Opts::new("murmurate_build_info", "The version that runs.");
        let made = IntGaugeVec::new(opts, &["version"]).expect("a valid name");
        self.0.register(Box::new(made.clone())).expect("a new name");
        made
    }
}

impl Metrics {
    fn new() -> Self {
        let make = Maker(Registry::new());
        make.build_info().with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        let [published, delivered, duplicate, refused] = make.labelled(
            "murmurate_broadcasts_total",
            "Broadcasts published here, delivered here for the first time, received again, and refused.",
            "outcome",
            ["published", "delivered", "duplicate", "refused"],
        );
        let [outbox_control_dropped, outbox_payloads_dropped] = make.labelled(
            "murmurate_outbox_dropped_total",
            "Messages shed because a link's outbox was full.",
            "lane",
            ["control", "payload"],
        );
        let downs = make.labelled(
            "murmurate_neighbors_down_total",
            "Peers that left the active view.",
            "reason",
            DOWN_REASONS,
        );
        let gauge = |name, help| make.gauge(name, help);
        let counter = |name, help| make.counter(name, help);
        Self(Arc::new(Counters {
            active_view: gauge("murmurate_active_view_peers", "Peers in the active view."),
            passive_view: gauge("murmurate_passive_view_peers", "Peers in the passive view."),
            eager: gauge("murmurate_eager_peers", "Neighbours in the broadcast tree."),
            lazy: gauge("murmurate_lazy_peers", "Neighbours that get announcements only."),
            ups: counter("murmurate_neighbors_up_total", "Peers that entered the active view."),
            downs: downs.into(),
            joins: counter("murmurate_joins_total", "Times a first neighbour was found."),
            isolations: counter("murmurate_isolations_total", "Times the last neighbour was lost."),
            published,
            delivered,
            duplicate,
            refused,
            waited: make.waited(),
            lagged: make.lagged(),
            missed: make.missed(),
            broadcasts_dropped: make.broadcasts_dropped(),
            service_messages_dropped: make.service_messages_dropped(),
            hops: make.hops(),
            latency: make.latency(),
            messages: make.messages(),
            outbox_bytes: gauge("murmurate_outbox_bytes", "Bytes that wait in outboxes."),
            memory_bytes: make.memory_bytes(),
            memory_refused: make.memory_refused(),
            outbox_control_dropped,
            outbox_payloads_dropped,
            slow_links: gauge("murmurate_slow_links", "Links whose peer reads too slowly."),
            links_slow: counter("murmurate_links_slow_total", "Times a link became slow."),
            connections: gauge("murmurate_connections", "Connections that stand."),
            gave_way: make.gave_way(),
            inbound_failed: make.inbound_failed(),
            denied: make.denials(),
            forged: make.forged(),
            stale: make.stale(),
            certificate_expires: make.certificate_expires(),
            shared_identities: make.shared_identities(),
            dials: make.reasons("murmurate_dials_total", "Dials.", "outcome", &DIAL_OUTCOMES),
            links_ended: make.links_ended(),
            found: make.discovery_failures(),
            channels: Families::register(&make.0),
            registry: make.0,
        }))
    }

    pub(crate) fn counters(&self) -> Arc<Counters> {
        Arc::clone(&self.0)
    }

    /// The registry, to add to or to gather from.
    #[must_use]
    pub fn registry(&self) -> &Registry {
        &self.0.registry
    }

    /// How many broadcasts went through the nodes that count here.
    #[must_use]
    pub fn broadcasts(&self) -> BroadcastCounts {
        BroadcastCounts {
            published: self.0.published.get(),
            delivered: self.0.delivered.get(),
            duplicate: self.0.duplicate.get(),
            missed: self.0.missed.get(),
        }
    }

    /// All metrics in Prometheus' text format.
    #[must_use]
    pub fn render(&self) -> String {
        let mut text = Vec::new();
        // Writing to memory fails only on metrics without a name.
        let _ = TextEncoder::new().encode(&self.0.registry.gather(), &mut text);
        String::from_utf8(text).unwrap_or_default()
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

/// One node's part of a gauge that several may share; gone with it.
#[derive(Debug)]
pub(crate) struct Level {
    gauge: IntGauge,
    share: i64,
}

impl Level {
    pub(crate) fn of(gauge: &IntGauge) -> Self {
        Self { gauge: gauge.clone(), share: 0 }
    }

    pub(crate) fn set(&mut self, value: usize) {
        let value = i64::try_from(value).unwrap_or(i64::MAX);
        if value != self.share {
            self.gauge.add(value - self.share);
            self.share = value;
        }
    }
}

impl Drop for Level {
    fn drop(&mut self) {
        self.gauge.sub(self.share);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::node::stack::kinds;
    use crate::node::wire::check;

    #[test]
    fn a_node_has_few_series_and_all_from_the_start() {
        let metrics = Metrics::default();
        let kinds = kinds(&check::codec());
        let _ = metrics.counters().traffic(&kinds);
        let text = metrics.render();
        let series = text.lines().filter(|line| !line.starts_with('#')).count();
        assert!((50..500).contains(&series), "{series}");
        for kind in kinds.iter().filter(|kind| !kind.is_empty()) {
            assert!(text.contains(&format!("kind=\"{kind}\"")), "{kind}");
        }
    }

    #[test]
    fn shares_of_a_gauge_add_up() {
        let metrics = Metrics::default().counters();
        let (mut one, mut two) = (Level::of(&metrics.eager), Level::of(&metrics.eager));
        one.set(3);
        two.set(4);
        one.set(1);
        assert_eq!(metrics.eager.get(), 5);
        drop(two);
        assert_eq!(metrics.eager.get(), 1);
    }
}
