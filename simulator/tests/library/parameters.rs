//! Every parameter is in the schema and in the reference, and guarded in every scenario.

use std::time::Duration;

use murmurate::broadcast::{anti_entropy, flood, gossip, plumtree};
use murmurate::membership::parameters::{Parameter, ParameterSet as _, ValueKind};
use murmurate::membership::{cyclon, full_mesh, hyparview, scamp, static_overlay};
use murmurate_simulator::experiment::scenario::{Document, reference};

/// Of each strategy: a scenario that has it, the section, and its parameters.
const STRATEGIES: [(&str, &str, &[Parameter]); 9] = [
    ("membership.strategy = 'hyparview'", "membership", hyparview::Parameters::PARAMETERS),
    ("membership.strategy = 'full-mesh'", "membership", full_mesh::Parameters::PARAMETERS),
    ("membership.strategy = 'static'", "membership", static_overlay::Parameters::PARAMETERS),
    ("membership.strategy = 'cyclon'", "membership", cyclon::Parameters::PARAMETERS),
    ("membership.strategy = 'scamp'", "membership", scamp::Parameters::PARAMETERS),
    ("broadcast.strategy = 'plumtree'", "broadcast", plumtree::Parameters::PARAMETERS),
    ("broadcast.strategy = 'flood'", "broadcast", flood::Parameters::PARAMETERS),
    ("broadcast.strategy = 'gossip'", "broadcast", gossip::Parameters::PARAMETERS),
    ("[anti_entropy]", "anti_entropy", anti_entropy::Parameters::PARAMETERS),
];

fn says(text: &str, assignment: &str) -> Option<String> {
    let mut document = Document::parse("f", text).expect("TOML");
    document.set(assignment).expect("a key");
    document.scenario().err().map(|error| error.to_string())
}

#[test]
fn what_is_just_outside_a_range_is_refused_with_its_name_and_the_range() {
    let reference = reference();
    let mut tried = 0;
    for (text, section, table) in STRATEGIES {
        for of in table {
            let key = format!("{section}.{}", of.name);
            let about = of.about.trim_end_matches('.');
            assert!(reference.contains(&format!("| `{}` | {about}", of.name)), "{key}");
            let (inside, outside, allowed) = match of.kind {
                ValueKind::Switch => {
                    (vec!["true".into()], vec!["1".into()], "true or false".into())
                }
                ValueKind::Number { least, most } => {
                    let least = if of.can_be_off { 0 } else { least as i64 };
                    let outside = vec![(least - 1).to_string(), (most as i64 + 1).to_string()];
                    (vec![], outside, format!("from {least} to {most}"))
                }
                ValueKind::Time { least: Duration::ZERO } => {
                    (vec!["'0s'".into()], vec![], String::new())
                }
                ValueKind::Time { .. } => {
                    (vec![], vec!["\"0s\"".into(), "\"1ns\"".into()], "at least 1ms".into())
                }
            };
            for value in inside.iter().chain(of.can_be_off.then_some(&"'off'".to_owned())) {
                let said: Option<String> = says(text, &format!("{key}={value}"));
                assert_eq!(said, None, "{key}");
            }
            for value in outside {
                let said = says(text, &format!("{key}={value}")).expect(&key);
                let expected = format!("{key} = {value}: allowed is ");
                assert!(said.contains(&expected) && said.contains(&allowed), "{said}");
                tried += 1;
            }
        }
    }
    assert!(tried > 70, "{tried}");
}
