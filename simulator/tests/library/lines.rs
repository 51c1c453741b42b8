//! Lines that overflow, and faults of links: what streams promise, and whom faults reach.

use std::num::NonZeroUsize;

use murmurate_simulator::engine::watch::{EventKind, Filter, Record};
use murmurate_simulator::experiment::runner::{self, Report};
use murmurate_simulator::experiment::scenario::{Document, Scenario};

fn scenario(text: &str) -> Scenario {
    let document = Document::parse("test", text).unwrap_or_else(|error| panic!("{error}"));
    document.scenario().unwrap_or_else(|error| panic!("{error}\n{text}"))
}

fn run(text: &str) -> Report {
    runner::run(&scenario(text), &mut ()).expect("it runs")
}

/// The broadcasts that nodes deliver, as they do.
#[derive(Default)]
struct Delivered(Vec<u32>);

impl runner::Observer for Delivered {
    fn wants_events(&self) -> Option<Filter> {
        Some(Filter::default())
    }

    fn events(&mut self, records: &[Record]) {
        let delivered = records.iter().filter(|record| record.kind == EventKind::Deliver);
        self.0.extend(delivered.filter_map(|record| record.broadcast));
    }
}

/// Node 0 publishes small and large broadcasts for node 1, over these links. What node 1 delivers.
fn deliveries(links: &str) -> (Vec<u32>, Report) {
    let text = format!(
        "duration = '90s'\nnodes = {{ count = 2, joining = '1s' }}\nmembership.strategy = 'full-mesh'\n\
         broadcast.strategy = 'flood'\n\
         workload = [{{ from = '5s', until = '15s', pace.poisson = 30.0, payload = 100, sender.node = 0 }},\n\
         {{ from = '5s', until = '15s', pace.poisson = 30.0, payload = 15000, sender.node = 0 }}]\n{links}"
    );
    let mut seen = Delivered::default();
    let report = runner::run(&scenario(&text), &mut seen).expect("it runs");
    (seen.0, report)
}

const UNEVEN: &str = "latency = { model = 'uniform', from = '5ms', to = '100ms' }\n";

/// A small message that takes long is not overtaken by a large one behind it that takes less, though the
/// large one's first bit could come first.
#[test]
fn order_is_kept_on_the_way_to_a_shared_line() {
    for transport in ["datagrams", "streams"] {
        let (order, report) = deliveries(&format!(
            "[links]\n{UNEVEN}transport = '{transport}'\n\
             bandwidth = {{ up = '5 Mbit/s', down = '1 Gbit/s', queue = '8 MiB' }}\n\
             [[classes]]\nname = 'one'\nwho.nodes = [0]\n\
             shared = {{ up = '6 Mbit/s', down = '1 Gbit/s', queue = '8 MiB' }}\n"
        ));
        assert!(order.is_sorted(), "{transport}: {order:?}");
        assert!(order.len() > 400 && report.shed == 0, "{transport}: {}", order.len());
    }
}

/// On streams all arrives in the end, in order, whichever line it did not fit at first. Each time it is sent
/// again counts as a message.
#[test]
fn streams_bring_what_did_not_fit() {
    let line = "bandwidth = { up = '50 Mbit/s', down = '5 Mbit/s', queue = '40 kB' }";
    let shared = "shared = { up = '5 Mbit/s', down = '5 Mbit/s', queue = '40 kB' }";
    for (at, lines) in [
        ("the receiver", format!("{line}\n")),
        ("a shared line", format!("[[classes]]\nname = 'one'\nwho.nodes = [0]\n{shared}\n")),
        (
            "two shared lines",
            format!(
                "[[classes]]\nname = 'one'\nwho.nodes = [0]\n{shared}\n\
                 [[classes]]\nname = 'other'\nwho.nodes = [1]\n{shared}\n"
            ),
        ),
    ] {
        let (order, report) =
            deliveries(&format!("[links]\n{UNEVEN}transport = 'streams'\n{lines}"));
        assert!(order.is_sorted(), "{at}: {order:?}");
        let published = report.phases.iter().map(|phase| phase.broadcasts).sum::<usize>();
        assert_eq!(order.len(), published, "{at}");
        assert!(report.shed > 20, "{at}: {}", report.shed);
        let sent = report.messages.iter().map(|sent| sent.count).max().unwrap_or(0);
        assert!(
            sent > published as u64 + 20,
            "{at}: {sent} for {published}: {:?}",
            report.messages
        );
    }
}

/// A line that is busy for two minutes refuses a frame of a channel eight times in 25 s. Then the stream is
/// broken, at both ends; the next one carries what is sent later.
#[test]
fn a_stream_breaks_if_a_line_refuses_it_for_long() {
    let busy = "{ up = '8 kbit/s', down = '1 Gbit/s', queue = 1 }";
    for (at, class) in [
        ("a shared line", format!("who.nodes = [0]\nshared = {busy}")),
        (
            "the receiver",
            "who.nodes = [1]\nbandwidth = { up = '1 Gbit/s', down = '8 kbit/s', queue = 1 }".into(),
        ),
    ] {
        let text = format!(
            "duration = '220s'\nnodes = {{ count = 2, joining = '1s' }}\n\
             membership = {{ strategy = 'static' , keepalive_interval = '1h' }}\ngraph.model = 'ring'\n\
             broadcast.strategy = 'flood'\n\
             channels = [{{ name = 'c', kind = 'best-effort' }}]\n\
             [[workload]]\nfrom = '5s'\ncount = 1\nsender.node = 0\npayload = 100\n\
             send = {{ channel = 'c', to.node = 1 }}\n\
             [[workload]]\nfrom = '10s'\ncount = 1\nsender.node = 0\npayload = 125000\n\
             [[workload]]\nfrom = '12s'\nuntil = '200s'\npace.rate = 0.2\nsender.node = 0\npayload = 100\n\
             send = {{ channel = 'c', to.node = 1 }}\n\
             [[classes]]\nname = 'narrow'\n{class}\n"
        );
        let report = run(&text);
        assert_eq!(report.violation, None, "{at}");
        let channel = &report.channels[0];
        // From 135 s on the line is free.
        assert!(
            channel.delivered >= 10 && channel.delivered < channel.messages,
            "{at}: {channel:?}"
        );
        // Eight times each, and a few greetings.
        assert!((8..300).contains(&report.shed), "{at}: {}", report.shed);
    }
}

/// Each message under way counts once, also while it waits for a shared line.
#[test]
fn pending_counts_messages() {
    let text = "duration = '30s'\nnodes = { count = 2, joining = '1s' }\n\
         membership = { strategy = 'static' , keepalive_interval = '1h' }\ngraph.model = 'ring'\n\
         broadcast.strategy = 'flood'\nworkload = [{ from = '5s', count = 1000, pace.rate = 1000000.0, sender.node = 0 }]\n\
         links.latency = { model = 'constant', time = '100ms' }\n";
    let lines = "[[classes]]\nname = 'one'\nwho.nodes = [0]\n\
         shared = { up = '100 Mbit/s', down = '1 Gbit/s', queue = '8 MiB' }\n\
         [[classes]]\nname = 'other'\nwho.nodes = [1]\n\
         shared = { up = '1 Gbit/s', down = '1 Gbit/s', queue = '8 MiB' }\n";
    let pending = |text: &str| run(text).peak_pending;
    let (plain, shared) = (pending(text), pending(&format!("{text}{lines}")));
    assert!((1_000..1_020).contains(&plain), "{plain}");
    assert!(plain.abs_diff(shared) < 20, "{plain}, {shared}");
}

/// A fault of links that names nodes reaches those that are down when it begins, and one of all reaches all.
#[test]
fn faults_of_links_reach_who_starts_later() {
    let holds = |fault: &str, assertion: &str| {
        let text = format!(
            "duration = '40s'\nnodes = {{ count = 20, joining = '5s' }}\nassertions = [\"{assertion}\"]\n\
             workload = [{{ from = '20s', pace.rate = 5.0, until = '30s' }}]\n\
             faults = [{{ at = '0s', do = {fault} }}]\n"
        );
        let report = run(&text);
        assert!(report.holds(), "{fault}: {:?}", report.verdicts);
    };
    holds("{ latency = { who = 'all', times = 10.0 } }", "latency_p50 >= 100ms");
    let all: Vec<u32> = (0..20).collect();
    holds(
        &format!("{{ latency = {{ who.nodes = {all:?}, times = 10.0 }} }}"),
        "latency_p50 >= 100ms",
    );
    holds("{ partition = { who.nodes = [3, 4] } }", "components > 1 from 20s");
    holds("{ flap = { who = 'all', up = '1s', down = '1s', for = '39s' } }", "lost > 100");
}

/// The loss of the timeline is that of all messages, also of those of classes with a loss of their own.
#[test]
fn a_loss_is_of_all_messages() {
    for (class, share) in [(0.9, 0.0), (0.0, 0.9)] {
        let bound = if share == 0.0 { "lost == 0" } else { "lost >= 100" };
        let text = format!(
            "duration = '40s'\nnodes = {{ count = 20, joining = '5s' }}\nassertions = [\"{bound} from 20s\"]\n\
             workload = [{{ from = '5s', pace.rate = 5.0, until = '30s' }}]\n\
             faults = [{{ at = '15s', do.loss.share = {share} }}]\n\
             [[classes]]\nname = 'all'\nwho.share = 1.0\nloss = {class}\n"
        );
        let report = run(&text);
        assert!(report.holds(), "{class}, {share}: {:?}", report.verdicts);
    }
}

/// What overflows comes to the same on any number of threads.
#[test]
fn lines_that_overflow_are_the_same_on_any_number_of_threads() {
    let text = "duration = '30s'\nnodes = { count = 60, joining = '5s' }\n\
         channels = [{ name = 'c', kind = 'acknowledged' }]\n\
         [links]\ntransport = 'streams'\nconnections = {}\n\
         bandwidth = { up = '5 Mbit/s', down = '1 Mbit/s', queue = '6 kB' }\n\
         [[workload]]\nfrom = '8s'\nuntil = '20s'\npace.rate = 20.0\npayload = 4000\n\
         [[workload]]\nfrom = '8s'\nuntil = '20s'\npace.rate = 50.0\npayload = 2000\n\
         send = { channel = 'c' }\n\
         [[classes]]\nname = 'one'\nwho.share = '40%'\n\
         shared = { up = '400 kbit/s', down = '400 kbit/s', queue = '3 kB' }\n\
         [[classes]]\nname = 'other'\nwho.share = '40%'\n\
         shared = { up = '400 kbit/s', down = '400 kbit/s', queue = '3 kB' }\n";
    let scenario = scenario(text);
    let reports: Vec<_> = [1, 2, 3]
        .into_iter()
        .filter_map(NonZeroUsize::new)
        .map(|threads| runner::run_on_threads(threads, &scenario, &mut ()).expect("it runs"))
        .collect();
    assert!(reports[0].shed > 100, "{}", reports[0].shed);
    for report in &reports {
        assert_eq!(report.violation, None);
        let counted = |report: &Report| (report.digest.clone(), report.shed, report.lost);
        assert_eq!(counted(report), counted(&reports[0]));
    }
}
