//! Checks that real nodes can do all that a scenario asks for, and that the results can be compared.

use std::ops::RangeInclusive;

use murmurate::{Builder, Node};
use murmurate_simulator::experiment::runner::Observed;
use murmurate_simulator::experiment::scenario::{Death, Scenario, Share, What};

use crate::error::Unsupported;
use crate::strategies;

/// The most nodes there may be, whenever they start: each is a process.
pub(crate) const MOST_NODES: usize = 512;

/// Bytes of a broadcast: its number at least, and at most what fits a frame.
const PAYLOAD: RangeInclusive<u32> = 4..=(1 << 20) - 1024;

/// Checks that real nodes support all of the scenario.
pub(crate) fn check(scenario: &Scenario) -> Result<(), Unsupported> {
    let no = |key: &str, why: &str| Err(Unsupported::new(key, why));
    if scenario.from.is_some() {
        return no("from", "real nodes start with nothing");
    }
    if scenario.nodes.count as usize > MOST_NODES {
        let why = format!("{}: at most {MOST_NODES} real nodes run", scenario.nodes.count);
        return no("nodes.count", &why);
    }
    let _: Builder = strategies::choose(Node::builder(), scenario)?;
    if let Some(at) = scenario.classes.iter().position(|class| class.nat.is_some()) {
        return no(&format!("classes.{at}.nat"), "real nodes run without NATs here");
    }
    if let Some(at) = scenario.classes.iter().position(|class| class.shared.is_some()) {
        return no(&format!("classes.{at}.shared"), "real nodes have lines of their own here");
    }
    for (at, channel) in scenario.channels.iter().enumerate() {
        if channel.relayed != Share::NONE {
            let why = "real nodes find out by themselves which paths lead over others";
            return no(&format!("channels.{at}.relayed"), why);
        }
        if !channel.work.0.is_zero() {
            let why = "real nodes take each message at once here";
            return no(&format!("channels.{at}.work"), why);
        }
    }
    for (at, workload) in scenario.workload.iter().enumerate() {
        if workload.look_up.is_some() {
            let why = "only broadcasts and channels are run in both worlds";
            return no(&format!("workload.{at}.look_up"), why);
        }
        if workload.send.is_none() && !PAYLOAD.contains(&workload.payload.0) {
            let (least, most) = (PAYLOAD.start(), PAYLOAD.end());
            let why =
                format!("{}: real nodes take {least} to {most} bytes here", workload.payload.0);
            return no(&format!("workload.{at}.payload"), &why);
        }
    }
    let discovers = scenario.faults.iter().any(|fault| matches!(fault.what, What::Discover { .. }));
    for (at, fault) in scenario.faults.iter().enumerate() {
        if discovers && matches!(fault.what, What::Leave { linger, .. } if !linger.0.is_zero()) {
            let why = "a real node that has left does not come back when it is told of others";
            return no(&format!("faults.{at}.do.leave.linger"), why);
        }
        if let Some(why) = why_not(&fault.what) {
            return no(&format!("faults.{at}.do.{}", fault.what.kind()), why);
        }
    }
    match Observed::untold(scenario) {
        Some(figure) => no("assertions", &format!("{figure} is not known of real nodes")),
        None => Ok(()),
    }
}

fn why_not(what: &What) -> Option<&'static str> {
    match what {
        What::ClockDrift { .. } | What::ClockJump { .. } => {
            Some("all processes of a machine have one clock")
        }
        What::Withhold { .. } => Some("a real node passes on what it should"),
        What::Eclipse { .. } => Some("a real node asks for the links that it needs"),
        What::Slow { .. } => {
            Some("a real process has no time for each message that could be set; stall it instead")
        }
        What::Recycle { .. } => Some(
            "a real host closes the connections of a process that ends; crash and join instead",
        ),
        What::Crash { notice: Death::Reset, .. } | What::Churn { notice: Death::Reset, .. } => {
            Some(
                "a real host closes the connections of a process that ends: notice = \"closed\", or \
             \"silent\" for a machine that is gone",
            )
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use murmurate_simulator::experiment::scenario::Document;

    fn says(text: &str) -> String {
        let document = Document::parse("test", text).expect("TOML");
        let scenario = document.scenario().expect("a scenario");
        check(&scenario).map_or_else(|why| why.to_string(), |()| "possible".into())
    }

    #[test]
    fn what_real_nodes_cannot_have_is_named_with_its_key() {
        let few = "nodes.count = 20\n";
        assert_eq!(says(few), "possible");
        assert_eq!(says("nodes.count = 513"), "nodes.count: 513: at most 512 real nodes run");
        for (text, starts) in [
            (
                "faults = [{ at = \"1s\", do.clock-jump = { who = \"all\", by = \"1s\" } }]",
                "faults.0.do.clock-jump: all",
            ),
            (
                "faults = [{ at = \"1s\", do.recycle = { who = \"all\" } }]",
                "faults.0.do.recycle: a real host",
            ),
            (
                "faults = [{ at = \"1s\", do.crash = { who = \"all\", notice = \"reset\" } }]",
                "faults.0.do.crash: a real host",
            ),
            ("assertions = [\"pending < 9\"]", "assertions: pending is not known"),
            (
                "links.connections = {}\nclasses = [{ name = \"a\", who.share = 1, nat = \"drop\" }]",
                "classes.0.nat: real nodes run without NATs here",
            ),
            (
                "classes = [{ name = \"a\", who.share = 1, shared = { up = \"1 Mbit/s\", down = \"1 Mbit/s\" } }]",
                "classes.0.shared: real nodes have lines of their own here",
            ),
            ("workload = [{ payload = 2 }]", "workload.0.payload: 2: real nodes take 4 to 1047552"),
            ("workload = [{ look_up = {} }]", "workload.0.look_up: only broadcasts"),
            (
                "channels = [{ name = \"a\", kind = \"latest\", relayed = 0.5 }]",
                "channels.0.relayed: real nodes find out",
            ),
            (
                "channels = [{ name = \"a\", kind = \"latest\", work = \"1ms\" }]",
                "channels.0.work: real nodes take",
            ),
        ] {
            let said = says(&format!("{few}{text}"));
            assert!(said.starts_with(starts), "{said}");
        }
    }
}
