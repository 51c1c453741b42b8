//! What no single value of a scenario tells: whether its parts fit together.

use std::collections::BTreeSet;
use std::time::Duration;

use super::churn_trace;
use super::{
    Churn, Fault, Figure, LatencyModel, Members, Scenario, Sender, Span, To, What, Who, Window,
    Workload, gallery, nearest, origin, probe, protocols,
};
use crate::engine::{Dialling, lanes};
use crate::model::machine::ProcessorModel;
use crate::model::matrix::Matrix;
use crate::model::network::{BurstModel, Latency, LinkModel, Network, Placement};
use crate::model::node::SimPeer;

/// The path of a key, and what is wrong with its value.
type Broken = (String, String);

/// Round trips between AWS regions.
const AWS: &str = include_str!("../../model/network/aws.csv");

/// All that is wrong with how the values of a scenario go together, as far as these are right.
pub(super) fn check(scenario: &Scenario, is_right: impl Fn(&str) -> bool) -> Vec<Broken> {
    let are_right = |sections: &[&str]| sections.iter().all(|section| is_right(section));
    let mut broken = Vec::new();
    if are_right(&["membership", "anti_entropy", "broadcast"]) {
        broken.extend(protocols::check(scenario));
    }
    if are_right(&["graph", "nodes", "membership"]) {
        broken.extend(scenario.contact_graph().err());
    }
    let mut regions = None;
    if are_right(&["links", "regions"]) {
        match scenario.network() {
            Ok(network) => regions = Some(network.placement().names().to_vec()),
            Err(problem) => broken.push(problem),
        }
    }
    let regions = regions.as_deref();
    if are_right(&["channels"]) {
        broken.extend(channels(scenario));
    }
    if are_right(&["workload", "channels", "nodes", "faults", "duration"]) {
        broken.extend(workload(scenario, regions));
    }
    if are_right(&["faults", "nodes", "classes", "duration"]) {
        broken.extend(faults(scenario, regions));
    }
    if are_right(&["classes", "nodes", "faults"]) {
        broken.extend(classes(scenario));
    }
    if are_right(&["measure", "duration"]) {
        broken.extend(phases(scenario));
    }
    if are_right(&[
        "measure",
        "duration",
        "nodes",
        "classes",
        "membership",
        "broadcast",
        "anti_entropy",
    ]) {
        broken.extend(probe(scenario, regions));
    }
    if are_right(&["assertions", "channels", "faults", "graph", "duration"]) {
        broken.extend(assertions(scenario));
    }
    if are_right(&["from", "workload", "faults", "measure", "duration"])
        && are_right(&origin::DECISIVE)
    {
        broken.extend(origin::starting(scenario));
    }
    broken
}

impl Scenario {
    /// The network that the links and regions stand for.
    ///
    /// # Errors
    /// The path of the key that is wrong, and what is wrong with it.
    pub fn network(&self) -> Result<Network, (String, String)> {
        let (latency, placement) = self.latency()?;
        let at = |key: &str| {
            let key = key.to_owned();
            move |error: crate::model::network::NetworkError| (key, error.to_string())
        };
        let network = Network::new(self.seed, latency, self.links.loss.get())
            .map_err(at("links.latency"))?
            .with(&self.links())
            .map_err(at("links"))?;
        let network = match placement {
            Some(placement) => network.placed(placement),
            None => network,
        };
        if self.classes.is_empty() {
            return Ok(network);
        }
        let classes = self.network_classes(|name| network.placement().find(name));
        let classes = classes.map_err(|(key, message)| match key.ends_with("who.region") {
            true => (key, message + &there_are(network.placement().names())),
            false => (key, message),
        })?;
        network.classed(classes, self.overlay_seed()).map_err(at("classes"))
    }

    fn links(&self) -> LinkModel {
        let links = &self.links;
        LinkModel {
            jitter: links.jitter.unwrap_or_default().0,
            fifo: links.order == super::Order::Fifo,
            bursts: links.bursts.map(|bursts| BurstModel {
                share: bursts.share.get(),
                length: bursts.length.0,
                loss: bursts.loss.get(),
            }),
            duplicate: links.duplicate.get(),
            reorder: links.reorder.map(|reorder| (reorder.share.get(), reorder.by.0)),
            bandwidth: links.bandwidth.map(Into::into),
            streams: links.transport == super::Transport::Streams,
            changing: self.faults.iter().any(|f| matches!(f.what, What::Latency { .. })),
        }
    }

    /// What a node's processor takes, if anything.
    #[must_use]
    pub fn processor(&self) -> Option<ProcessorModel> {
        self.nodes.processor.map(Into::into)
    }

    /// What it takes to make a connection, if anything.
    #[must_use]
    pub fn dialling(&self) -> Option<Dialling> {
        let of = self.links.connections?;
        Some(Dialling { round_trips: of.round_trips, timeout: of.timeout.0, idle: of.idle.0 })
    }

    /// The latency, and where the nodes stand if anybody says so.
    fn latency(&self) -> Result<(Latency, Option<Placement>), Broken> {
        let here = |message: String| ("links.latency".to_owned(), message);
        self.region_names()?;
        let regions: Vec<_> = self.regions.iter().map(|r| (r.name.clone(), r.weight)).collect();
        let placement = (!regions.is_empty()).then(|| Placement::regions(&regions));
        let latency = match &self.links.latency {
            LatencyModel::Constant { time } => Latency::Constant(time.0),
            LatencyModel::Uniform { from, to } => Latency::Uniform(from.0, to.0),
            LatencyModel::LogNormal { median, sigma } => {
                Latency::LogNormal { median: median.0, sigma: *sigma }
            }
            LatencyModel::Regions { round_trips_ms } => {
                let names: Vec<String> = regions.into_iter().map(|(name, _)| name).collect();
                let rows: Vec<Vec<f64>> = round_trips_ms
                    .iter()
                    .map(|row| row.iter().map(|round_trip| round_trip.0).collect())
                    .collect();
                let matrix = (!names.is_empty())
                    .then(|| Matrix::of_round_trips(&names, &rows))
                    .flatten()
                    .ok_or_else(|| {
                        let count = names.len();
                        let message = format!(
                            "the matrix must have a row and a column for each of the {count} regions"
                        );
                        ("links.latency.round_trips_ms".to_owned(), message)
                    })?;
                Latency::Matrix(matrix)
            }
            LatencyModel::Matrix { file } => {
                let wrong = |error: &dyn std::fmt::Display| {
                    let file = file.display();
                    ("links.latency.file".to_owned(), format!("{file}: {error}"))
                };
                let reader = gallery::open(file).map_err(|error| wrong(&error))?;
                let matrix = Matrix::from_csv(reader).map_err(|error| wrong(&error))?;
                return self.sites(matrix, placement);
            }
            LatencyModel::Aws {} => {
                let matrix = Matrix::from_csv(AWS.as_bytes()).map_err(|e| here(e.to_string()))?;
                return self.sites(matrix, placement);
            }
        };
        Ok((latency, placement))
    }

    /// A matrix with those of its sites that are regions here, or all.
    fn sites(
        &self,
        matrix: Matrix,
        placement: Option<Placement>,
    ) -> Result<(Latency, Option<Placement>), Broken> {
        if self.regions.is_empty() {
            let names: Vec<_> = matrix.names().iter().map(|name| (name.clone(), 1.0)).collect();
            let placement = (!names.is_empty()).then(|| Placement::regions(&names));
            return Ok((Latency::Matrix(matrix), placement));
        }
        let names = self.regions.iter().map(|region| region.name.as_str());
        match matrix.only(names) {
            Ok(matrix) => Ok((Latency::Matrix(matrix), placement)),
            Err(name) => {
                let at = self.regions.iter().position(|region| region.name == name);
                Err((
                    format!("regions.{}.name", at.unwrap_or(0)),
                    format!(
                        "{name:?} is not a site of the latency matrix{}",
                        known(matrix.names())
                    ),
                ))
            }
        }
    }

    /// Regions have names of their own.
    fn region_names(&self) -> Result<(), Broken> {
        let mut seen = BTreeSet::new();
        for (at, region) in self.regions.iter().enumerate() {
            if region.name.is_empty() || !seen.insert(&region.name) {
                let message = format!("{:?} must be a name of its own", region.name);
                return Err((format!("regions.{at}.name"), message));
            }
        }
        Ok(())
    }

    /// Nodes that there are at most, unless churn brings more.
    fn most_nodes(&self) -> u64 {
        let joins = self.faults.iter().map(|fault| match fault.what {
            What::Join { count, .. } => u64::from(count),
            _ => 0,
        });
        u64::from(self.nodes.count) + joins.sum::<u64>()
    }
}

fn known(names: &[String]) -> String {
    match names {
        [] => ", which has no names".into(),
        names => format!("; they are {}", names.join(", ")),
    }
}

fn there_are(names: &[String]) -> String {
    if names.is_empty() { ": there are none".into() } else { known(names) }
}

/// What is wrong with the nodes of classes.
fn classes(scenario: &Scenario) -> Vec<Broken> {
    let mut broken = Vec::new();
    for (at, class) in scenario.classes.iter().enumerate() {
        if let Members::Nodes(nodes) = &class.who {
            let path = || format!("classes.{at}.who.nodes");
            broken.extend(nodes.iter().find_map(|index| node(path(), *index, scenario)));
        }
    }
    broken
}

/// What is wrong with the times of latencies that change.
fn swing(path: &str, what: &What) -> Option<Broken> {
    let What::Latency { over, lasting, every, .. } = what else { return None };
    let most = lasting.map_or(Duration::MAX, |lasting| lasting.0 / 2);
    if over.0 > most {
        let message = format!("{over}: allowed is half of for at most, {}", Span(most));
        return Some((format!("{path}.over"), message));
    }
    let every = (*every)?;
    let message = match lasting {
        None => "what comes again must end: set for, too".to_owned(),
        Some(lasting) if *lasting > every => format!("{every} is less than for, {lasting}"),
        Some(_) if every.0.is_zero() => "0s: allowed is any time above it".to_owned(),
        Some(_) => return None,
    };
    Some((format!("{path}.every"), message))
}

/// What is wrong with the name of a class.
fn class(path: String, name: &str, scenario: &Scenario) -> Option<Broken> {
    let names: Vec<String> = scenario.classes.iter().map(|class| class.name.clone()).collect();
    let message = || format!("{name:?} is not a class{}", there_are(&names));
    (!names.iter().any(|known| known == name)).then(|| (path, message()))
}

/// What is wrong with the name of a region, if the regions are known.
fn region(path: String, name: &str, regions: Option<&[String]>) -> Option<Broken> {
    let regions = regions?;
    let there = regions.iter().any(|region| region == name);
    (!there).then(|| (path, format!("{name:?} is not a region{}", there_are(regions))))
}

fn node(path: String, index: u32, scenario: &Scenario) -> Option<Broken> {
    let most = scenario.most_nodes();
    (u64::from(index) >= most)
        .then(|| (path, format!("there is no node {index}: there are {most}, from 0")))
}

/// A region, a class or a node that does not exist.
fn who(path: &str, who: &Who, scenario: &Scenario, regions: Option<&[String]>) -> Option<Broken> {
    match who {
        Who::Region(name) => region(format!("{path}.region"), name, regions),
        Who::Class(name) => class(format!("{path}.class"), name, scenario),
        Who::Nodes(nodes) => {
            nodes.iter().find_map(|index| node(format!("{path}.nodes"), *index, scenario))
        }
        Who::All | Who::Share(_) | Who::Count(_) => None,
    }
}

/// What is wrong with a time that must lie within the run.
fn within(path: String, time: Span, scenario: &Scenario) -> Option<Broken> {
    let end = scenario.duration;
    (time > end).then(|| (path, format!("{time} is after the end at {end}")))
}

fn workload(scenario: &Scenario, regions: Option<&[String]>) -> Vec<Broken> {
    let mut broken = Vec::new();
    for (at, workload) in scenario.workload.iter().enumerate() {
        let path = format!("workload.{at}");
        broken.extend(within(format!("{path}.from"), workload.from, scenario));
        if let Some(until) = workload.until
            && until <= workload.from
        {
            let from = workload.from;
            broken.push((format!("{path}.until"), format!("{until} is not after from, {from}")));
        }
        match &workload.sender {
            Sender::Region(name) => {
                broken.extend(region(format!("{path}.sender.region"), name, regions));
            }
            Sender::Node(index) => {
                broken.extend(node(format!("{path}.sender.node"), *index, scenario));
            }
            Sender::Random | Sender::One | Sender::All => {}
        }
        broken.extend(sends(&path, workload, scenario, regions));
    }
    broken
}

/// The most that a frame's three bytes of length can say.
const MOST_SENT: u32 = (1 << 24) - 1;

/// What is wrong with a size of what travels on a channel.
fn size(path: String, bytes: u32) -> Option<Broken> {
    let allowed = lanes::LEAST_BYTES as u32..=MOST_SENT;
    let what =
        format!("{bytes} bytes: on a channel allowed are {allowed:?}").replace("..=", " to ");
    (!allowed.contains(&bytes)).then_some((path, what))
}

/// A channel's name, or the nearest or all there are.
fn channel(path: String, name: &str, scenario: &Scenario) -> Option<Broken> {
    let names: Vec<String> = scenario.channels.iter().map(|c| c.name.clone()).collect();
    if names.iter().any(|known| known == name) {
        return None;
    }
    let instead = match (nearest(name, &names), names.is_empty()) {
        (Some(nearest), _) => format!("did you mean {nearest}?"),
        (None, true) => "there are none".into(),
        (None, false) => format!("they are {}", names.join(", ")),
    };
    Some((path, format!("{name:?} is not a channel: {instead}")))
}

/// What is wrong with what a workload sends on a channel, or with whom it looks for.
fn sends(
    path: &str,
    workload: &Workload,
    scenario: &Scenario,
    regions: Option<&[String]>,
) -> Vec<Broken> {
    let at = |key: &str| format!("{path}.{key}");
    let mut broken = Vec::new();
    let (to, key) = match (&workload.send, &workload.look_up) {
        (None, None) => return broken,
        (Some(_), Some(_)) => {
            broken.push((at("look_up"), "it sends on a channel already: write two".into()));
            return broken;
        }
        (Some(send), None) => {
            broken.extend(channel(at("send.channel"), &send.channel, scenario));
            broken.extend(size(at("payload"), workload.payload.0));
            (&send.to, "send.to")
        }
        (None, Some(look_up)) => {
            let most = murmurate::router::Parameters::default().datagram_bytes;
            if look_up.relay && workload.payload.0 as usize > most {
                let message = format!("a datagram has at most {most} bytes");
                broken.push((at("payload"), message));
            }
            (&look_up.to, "look_up.to")
        }
    };
    match to {
        To::Random => {}
        To::Region(name) => broken.extend(region(at(&format!("{key}.region")), name, regions)),
        To::Node(index) => {
            broken.extend(node(at(&format!("{key}.node")), *index, scenario));
            if workload.sender == Sender::Node(*index) {
                let does = if workload.send.is_some() { "send to" } else { "look for" };
                let message = format!("node {index} does not {does} itself");
                broken.push((at(&format!("{key}.node")), message));
            }
        }
    }
    broken
}

/// Channels have names that assertions can say, each its own, and answers that can be sent.
fn channels(scenario: &Scenario) -> Vec<Broken> {
    let mut seen = BTreeSet::new();
    let mut broken = Vec::new();
    let is_fine = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    for (at, channel) in scenario.channels.iter().enumerate() {
        let (name, path) = (&channel.name, format!("channels.{at}"));
        if name.is_empty() || name.len() > 64 || !name.chars().all(is_fine) {
            let message =
                format!("{name:?}: allowed are 1 to 64 letters, digits, \".\", \"_\" and \"-\"");
            broken.push((format!("{path}.name"), message));
        } else if !seen.insert(name) {
            broken.push((format!("{path}.name"), format!("{name:?} must be a name of its own")));
        }
        if channel.queue_bytes.0 == 0 {
            let message = "0: allowed is at least 1 byte".to_owned();
            broken.push((format!("{path}.queue_bytes"), message));
        }
        broken.extend(size(format!("{path}.answer"), channel.answer.0));
    }
    let most = 1 << 16;
    if scenario.channels.len() > most {
        broken.push(("channels".into(), format!("allowed are {most}")));
    }
    broken
}

fn faults(scenario: &Scenario, regions: Option<&[String]>) -> Vec<Broken> {
    let mut broken = Vec::new();
    if scenario.most_nodes() > SimPeer::MAX_NODES as u64 {
        let message =
            format!("{} nodes with those that join: allowed are 16777216", scenario.most_nodes());
        broken.push(("nodes.count".to_owned(), message));
    }
    for (at, fault) in scenario.faults.iter().enumerate() {
        let path = format!("faults.{at}");
        broken.extend(within(format!("{path}.at"), fault.at, scenario));
        let path = format!("{path}.do.{}", fault.what.kind());
        for (key, who) in [("who", fault.what.who()), ("to", fault.what.to())] {
            broken.extend(
                who.and_then(|who| self::who(&format!("{path}.{key}"), who, scenario, regions)),
            );
        }
        broken.extend(swing(&path, &fault.what));
        if let What::Churn { how: Churn::Trace { file }, .. } = &fault.what {
            let path = format!("{path}.how.trace.file");
            let named = |message: String| (path.clone(), format!("{}: {message}", file.display()));
            match churn_trace::read(file) {
                Err(error) => broken.push(named(error.to_string())),
                Ok(changes) => {
                    let highest = changes.iter().map(|change| change.node).max().unwrap_or(0);
                    if highest as u64 >= scenario.most_nodes() {
                        let most = scenario.most_nodes();
                        let message = format!("node {highest} of {most}, which count from 0");
                        broken.push(named(message));
                    }
                }
            }
        }
    }
    broken
}

fn phases(scenario: &Scenario) -> Vec<Broken> {
    let phases = &scenario.measure.phases;
    let path = |at: usize| format!("measure.phases.{at}.from");
    let mut broken: Vec<Broken> = phases
        .iter()
        .enumerate()
        .filter_map(|(at, phase)| within(path(at), phase.from, scenario))
        .collect();
    for (at, pair) in phases.windows(2).enumerate() {
        if pair[1].from <= pair[0].from {
            let (name, from) = (&pair[0].name, pair[0].from);
            let message = format!("{} is not after {name:?}, which begins at {from}", pair[1].from);
            broken.push((path(at + 1), message));
        }
    }
    broken
}

fn probe(scenario: &Scenario, regions: Option<&[String]>) -> Vec<Broken> {
    let Some(probe) = &scenario.measure.probe else { return Vec::new() };
    let path = |key: &str| format!("measure.probe.{key}");
    let mut broken = probe::check(scenario);
    broken.extend(within(path("from"), probe.from, scenario));
    broken.extend(probe.until.and_then(|until| within(path("until"), until, scenario)));
    broken.extend(who(&path("nodes"), &probe.nodes, scenario, regions));
    broken
}

fn assertions(scenario: &Scenario) -> Vec<Broken> {
    let mut broken = Vec::new();
    for (at, assertion) in scenario.assertions.iter().enumerate() {
        let path = format!("assertions.{at}");
        if assertion.figure == Figure::Pending && assertion.window != Window::Whole {
            let message = "pending is counted over the whole run: it takes no window";
            broken.push((path.clone(), message.to_owned()));
        }
        if assertion.figure == Figure::MissingLinks && scenario.graph.is_none() {
            let message = "missing_links are those of a graph, and there is none: set graph.model";
            broken.push((path.clone(), message.to_owned()));
        }
        let is_of_attackers = Figure::OF_ATTACKERS.contains(&assertion.figure);
        let attack = |fault: &Fault| matches!(fault.what, What::Eclipse { .. });
        if is_of_attackers && !scenario.faults.iter().any(attack) {
            let name = assertion.figure.name();
            let message = format!("{name} is of attackers, and nobody attacks: set do.eclipse");
            broken.push((path.clone(), message));
        }
        if let Some(name) = &assertion.channel {
            broken.extend(channel(path.clone(), name, scenario));
        }
        match &assertion.window {
            Window::Whole => {}
            Window::Between(from, until) => {
                broken.extend(within(path.clone(), until.unwrap_or(*from), scenario));
                if until.is_some_and(|until| until <= *from) {
                    broken.push((path, "the window ends before it begins".into()));
                }
            }
            Window::At(time) => broken.extend(within(path, *time, scenario)),
            Window::Within(time, event) if event.parse::<Span>().is_ok() => {
                let moment = event.parse::<Span>().unwrap_or_default();
                broken.extend(within(path, Span(moment.0.saturating_add(time.0)), scenario));
            }
            Window::Within(time, event) => {
                let mut named = scenario.faults.iter().filter(|fault| fault.label() == event);
                match named.clone().count() {
                    1 => {}
                    0 => {
                        let labels: Vec<_> = scenario.faults.iter().map(Fault::label).collect();
                        let known = match labels.is_empty() {
                            true => "there are none".into(),
                            false => format!("they are {}", labels.join(", ")),
                        };
                        let message =
                            format!("no entry of the timeline is called {event:?}: {known}");
                        broken.push((path.clone(), message));
                    }
                    many => broken.push((
                        path.clone(),
                        format!("{many} entries of the timeline are called {event:?}: name one"),
                    )),
                }
                if let Some(fault) = named.next_back() {
                    let until = Span(fault.at.0.saturating_add(time.0));
                    broken.extend(within(path, until, scenario));
                }
            }
        }
    }
    broken
}
