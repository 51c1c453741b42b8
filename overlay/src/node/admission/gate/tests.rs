//! two gates, and what each makes of the other.

use std::time::{Duration, SystemTime};

use super::super::{AdmissionError, Authority, Revocations, Secret, Secrets};
use super::*;

fn node(byte: u8) -> NodeId {
    NodeId::from_bytes([byte; 32])
}

/// What a node with this admission makes of what another says, dialled by that one.
fn judged(ours: (&str, Admission), theirs: (&str, Admission)) -> Result<Pass, Denial> {
    let listener = Gate::new(node(1), ours.0, ours.1);
    let dialler = Gate::new(node(2), theirs.0, theirs.1);
    let claim = dialler.claim(node(1), Side::Dialler);
    listener.judge(&claim, node(2), Side::Listener)
}

fn soon(seconds: u64) -> SystemTime {
    std::time::UNIX_EPOCH + Duration::from_secs(now() + seconds)
}

fn certified(authority: &Authority, certificate: Certificate) -> Admission {
    let authorities = vec![authority.id()];
    Admission::Certified(Box::new(Certified {
        authorities,
        certificate,
        revocations: Revocations::default(),
    }))
}

#[test]
fn an_open_network_admits_who_knows_its_name() {
    assert_eq!(judged(("flock", Admission::Open), ("flock", Admission::Open)), Ok(Pass::Open));
    let other = judged(("flock", Admission::Open), ("herd", Admission::Open));
    assert_eq!(other, Err(Denial::Network));
}

#[test]
fn a_secret_is_proven_for_one_network_one_pair_and_one_direction() {
    let [secret, other] = [Secret::generate(), Secret::generate()];
    let with = |secret: &Secret| Admission::Secret(Secrets::new(secret.clone()));
    let ours = ("flock", with(&secret));
    assert_eq!(judged(ours.clone(), ("flock", with(&secret))), Ok(Pass::Secret(secret.id())));
    assert_eq!(judged(ours.clone(), ("herd", with(&secret))), Err(Denial::Network));
    assert_eq!(judged(ours.clone(), ("flock", with(&other))), Err(Denial::Secret));
    assert_eq!(
        judged(ours.clone(), ("herd", with(&other))),
        Err(Denial::Secret),
        "and nothing more"
    );
    assert_eq!(judged(ours.clone(), ("flock", Admission::Open)), Err(Denial::Mode));
    let gate = Gate::new(node(1), "flock", with(&secret));
    let said = Gate::new(node(2), "flock", with(&secret)).claim(node(1), Side::Dialler);
    assert!(gate.judge(&said, node(2), Side::Listener).is_ok());
    assert_eq!(gate.judge(&said, node(3), Side::Listener), Err(Denial::Secret), "by another");
    assert_eq!(gate.judge(&said, node(2), Side::Dialler), Err(Denial::Secret), "the other way");
    let third = Gate::new(node(3), "flock", with(&secret));
    assert_eq!(third.judge(&said, node(2), Side::Listener), Err(Denial::Secret), "passed on");
    let own = gate.claim(node(2), Side::Listener);
    assert_eq!(gate.judge(&own, node(2), Side::Listener), Err(Denial::Secret), "reflected");
    let pretended = Claim { network: NetworkHash::of("herd"), ..said };
    assert_eq!(gate.judge(&pretended, node(2), Side::Listener), Err(Denial::Secret));
}

#[test]
fn a_list_admits_who_is_on_it() {
    let list = |nodes: &[u8]| Admission::Allowlist(nodes.iter().map(|byte| node(*byte)).collect());
    assert_eq!(judged(("n", list(&[1, 2])), ("n", list(&[]))), Ok(Pass::Listed));
    assert_eq!(judged(("n", list(&[1, 3])), ("n", list(&[1, 2]))), Err(Denial::Unlisted));
    assert_eq!(judged(("n", list(&[2])), ("m", list(&[]))), Err(Denial::Network));
    assert_eq!(judged(("n", list(&[3])), ("m", list(&[]))), Err(Denial::Unlisted));
}

#[test]
fn a_certificate_is_of_its_owner_its_network_its_time_and_its_authority() {
    let [ours, other] = [Authority::generate(), Authority::generate()];
    let issue = |by: &Authority, network: &str, to, until| {
        certified(
            &ours,
            by.issue(network, node(to), SystemTime::UNIX_EPOCH..until, ["writer"]).expect("issued"),
        )
    };
    let listener = ("flock", issue(&ours, "flock", 1, soon(100)));
    let judge = |theirs| judged(listener.clone(), theirs);
    assert!(matches!(
        judge(("flock", issue(&ours, "flock", 2, soon(100)))),
        Ok(Pass::Certified(_))
    ));
    assert_eq!(judge(("flock", issue(&other, "flock", 2, soon(100)))), Err(Denial::Authority));
    assert_eq!(judge(("flock", issue(&ours, "flock", 3, soon(100)))), Err(Denial::Borrowed));
    assert_eq!(judge(("herd", issue(&ours, "herd", 2, soon(100)))), Err(Denial::Network));
    assert_eq!(judge(("herd", issue(&ours, "flock", 2, soon(100)))), Err(Denial::Network));
    let past = SystemTime::UNIX_EPOCH + Duration::from_secs(now() - 2);
    assert_eq!(judge(("flock", issue(&ours, "flock", 2, past))), Err(Denial::Expired));
}

#[tokio::test(start_paused = true)]
async fn who_is_connected_is_judged_again_when_admission_changes() {
    let [old, new] = [Secret::generate(), Secret::generate()];
    let mut secrets = Secrets::new(old.clone());
    let gate = Gate::new(node(1), "n", Admission::Secret(secrets.clone()));
    gate.note(node(2), Pass::Secret(old.id()));
    assert!(gate.still_admits(node(2)).is_ok() && !gate.asks_again(node(2)));
    secrets.install(new.clone()).expect("room");
    secrets.prefer(new.id()).expect("there");
    gate.replace(Admission::Secret(secrets.clone()));
    assert!(gate.still_admits(node(2)).is_ok());
    assert!(gate.asks_again(node(2)), "it may prove the new one");
    assert!(!gate.asks_again(node(2)), "it was asked");
    tokio::time::advance(PAUSE).await;
    assert!(gate.asks_again(node(2)), "it has not answered");
    secrets.remove(old.id()).expect("not in use");
    gate.replace(Admission::Secret(secrets));
    assert_eq!(gate.still_admits(node(2)), Err(Denial::Secret));
    gate.note(node(2), Pass::Secret(new.id()));
    assert!(gate.still_admits(node(2)).is_ok() && !gate.asks_again(node(2)));
}

#[tokio::test(start_paused = true)]
async fn certificates_of_those_that_are_connected_expire_and_are_revoked() {
    let authority = Authority::generate();
    let issue = |to, until| {
        authority
            .issue("n", node(to), SystemTime::UNIX_EPOCH..soon(until), ["writer"])
            .expect("issued")
    };
    let Admission::Certified(mut own) = certified(&authority, issue(1, 1_000)) else {
        panic!("it is certified")
    };
    let gate = Gate::new(node(1), "n", Admission::Certified(own.clone()));
    gate.note(node(2), Pass::Open);
    assert_eq!(gate.still_admits(node(2)), Err(Denial::Mode));
    gate.note(node(2), Pass::Certified(Box::new(issue(2, 30))));
    assert!(gate.still_admits(node(2)).is_ok() && gate.asks_again(node(2)), "it expires soon");
    assert!(gate.has_role(node(2), "writer") && !gate.has_role(node(2), "reader"));
    gate.note(node(2), Pass::Certified(Box::new(issue(2, 900))));
    assert!(!gate.asks_again(node(2)));
    own.revocations = authority.revoke(&own.revocations, node(2), soon(0)).expect("room");
    gate.replace(Admission::Certified(own));
    assert_eq!(gate.still_admits(node(2)), Err(Denial::Revoked));
    gate.retain(|_| false);
    assert!(gate.has_role(node(2), "writer"), "its connection may be about to be known");
    tokio::time::advance(PAUSE).await;
    gate.retain(|_| false);
    assert!(!gate.has_role(node(2), "writer"));
}

#[test]
fn a_node_is_told_what_others_would_say_of_its_certificate() {
    let [ours, other] = [Authority::generate(), Authority::generate()];
    let own = |by: &Authority, network, to, until| {
        let issued =
            by.issue(network, node(to), SystemTime::UNIX_EPOCH..until, []).expect("issued");
        certified(&ours, issued).check(node(1), "n")
    };
    assert_eq!(own(&ours, "n", 1, soon(10)), Ok(()));
    let refused = |denial| Err(AdmissionError::Certificate(denial));
    assert_eq!(own(&other, "n", 1, soon(10)), refused(Denial::Authority));
    assert_eq!(own(&ours, "m", 1, soon(10)), refused(Denial::Network));
    assert_eq!(own(&ours, "n", 2, soon(10)), refused(Denial::Borrowed));
    assert_eq!(own(&ours, "n", 1, SystemTime::UNIX_EPOCH), refused(Denial::Expired));
}
