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
    let claim = dialler.claim(node(1), Side::Dialler, None);
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
    let said = Gate::new(node(2), "flock", with(&secret)).claim(node(1), Side::Dialler, None);
    assert!(gate.judge(&said, node(2), Side::Listener).is_ok());
    assert_eq!(gate.judge(&said, node(3), Side::Listener), Err(Denial::Secret), "by another");
    assert_eq!(gate.judge(&said, node(2), Side::Dialler), Err(Denial::Secret), "the other way");
    let third = Gate::new(node(3), "flock", with(&secret));
    assert_eq!(third.judge(&said, node(2), Side::Listener), Err(Denial::Secret), "passed on");
    let own = gate.claim(node(2), Side::Listener, None);
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
        Ok(Pass::Certified(..))
    ));
    assert_eq!(judge(("flock", issue(&other, "flock", 2, soon(100)))), Err(Denial::Authority));
    assert_eq!(judge(("flock", issue(&ours, "flock", 3, soon(100)))), Err(Denial::Borrowed));
    assert_eq!(judge(("herd", issue(&ours, "herd", 2, soon(100)))), Err(Denial::Network));
    assert_eq!(judge(("herd", issue(&ours, "flock", 2, soon(100)))), Err(Denial::Network));
    let past = SystemTime::UNIX_EPOCH + Duration::from_secs(now() - 2);
    assert_eq!(judge(("flock", issue(&ours, "flock", 2, past))), Err(Denial::Expired));
}

const STAYS: Verdict = Verdict::Stays;
const PROVES_AGAIN: Verdict = Verdict::ProvesAgain;

#[tokio::test(start_paused = true)]
async fn who_is_connected_is_judged_again_when_secrets_change() {
    let [old, new] = [Secret::generate(), Secret::generate()];
    let mut secrets = Secrets::new(old.clone());
    let gate = Gate::new(node(1), "n", Admission::Secret(secrets.clone()));
    assert_eq!(gate.judge_connected(node(2), true), Verdict::Goes(Denial::Mode), "by no proof");
    gate.note(node(2), Pass::Secret(old.id()));
    assert_eq!(gate.judge_connected(node(2), true), STAYS);
    secrets.install(new.clone()).expect("room");
    secrets.prefer(new.id()).expect("there");
    assert!(gate.replace(Admission::Secret(secrets.clone())) && gate.trusts(node(2)));
    assert!(!gate.replace(Admission::Secret(secrets.clone())), "the same again");
    assert_eq!(gate.judge_connected(node(2), false), STAYS, "too many are asked");
    assert_eq!(gate.judge_connected(node(2), true), PROVES_AGAIN, "it may prove the new one");
    assert_eq!(gate.judge_connected(node(2), true), STAYS, "it was asked");
    tokio::time::advance(PAUSE).await;
    assert_eq!(gate.judge_connected(node(2), true), PROVES_AGAIN, "it has not answered");
    secrets.remove(old.id()).expect("not in use");
    gate.replace(Admission::Secret(secrets));
    assert!(!gate.trusts(node(2)), "it is not told the new one");
    assert_eq!(gate.judge_connected(node(2), true), STAYS, "it was asked a moment ago");
    tokio::time::advance(GRACE).await;
    assert_eq!(gate.judge_connected(node(2), true), Verdict::Goes(Denial::Secret));
    gate.note(node(2), Pass::Secret(new.id()));
    assert_eq!(gate.judge_connected(node(2), true), STAYS);
    assert!(gate.trusts(node(2)));
}

/// Of two nodes that change the secrets at once, all choose the same.
#[test]
fn the_latest_secrets_count_on_all_nodes() {
    let [old, one, two] = [(); 3].map(|()| Secret::generate());
    let gates =
        [1, 2].map(|byte| Gate::new(node(byte), "n", Admission::Secret(Secrets::new(old.clone()))));
    let [first, second] = &gates;
    assert!(!first.heed(&second.notice().expect("secrets")), "the same");
    for (gate, secret) in gates.iter().zip([&one, &two]) {
        let mut secrets = Secrets::new(old.clone());
        secrets.install(secret.clone()).expect("room");
        assert!(gate.replace(Admission::Secret(secrets)));
    }
    let [of_first, of_second] = gates.each_ref().map(|gate| gate.notice().expect("secrets"));
    assert_ne!(first.heed(&of_second), second.heed(&of_first), "one of the two is later");
    assert_eq!(first.admission(), second.admission());
    assert_eq!(first.version(), second.version());
    let far = Secrets::new(one).numbered(now() + 2 * 3_600);
    assert!(!first.heed(&Notice::Secrets(far)), "nobody could replace it");
    let wrapped = Secrets::new(two).numbered(u64::MAX);
    assert!(!first.heed(&Notice::Secrets(wrapped)));
}

#[tokio::test(start_paused = true)]
async fn certificates_of_those_that_are_connected_expire_and_are_revoked() {
    let authority = Authority::generate();
    let issue = |to, until, roles: &[&str]| {
        let valid = SystemTime::UNIX_EPOCH..soon(until);
        authority.issue("n", node(to), valid, roles.iter().copied()).expect("issued")
    };
    let Admission::Certified(mut own) = certified(&authority, issue(1, 1_000, &[])) else {
        panic!("it is certified")
    };
    let pass = |certificate| Pass::Certified(Box::new(certificate), authority.id());
    let gate = Gate::new(node(1), "n", Admission::Certified(own.clone()));
    gate.note(node(2), Pass::Open);
    assert_eq!(gate.judge_connected(node(2), true), Verdict::Goes(Denial::Mode));
    gate.note(node(2), pass(issue(2, 30, &["writer"])));
    assert_eq!(gate.judge_connected(node(2), true), PROVES_AGAIN, "it expires soon");
    assert!(gate.has_role(node(2), "writer") && !gate.has_role(node(2), "reader"));
    gate.note(node(2), pass(issue(2, 900, &["reader", "writer"])));
    assert_eq!(gate.judge_connected(node(2), true), STAYS);
    gate.note(node(2), pass(issue(2, 900, &["reader"])));
    assert_eq!(gate.judge_connected(node(2), true), Verdict::Demoted, "it may not write any more");
    assert_eq!(gate.judge_connected(node(2), true), STAYS, "its channels were closed");
    tokio::time::advance(Duration::from_secs(1)).await;
    own.certificate = issue(1, 2_000, &[]);
    gate.replace(Admission::Certified(own.clone()));
    assert_eq!(gate.judge_connected(node(2), true), PROVES_AGAIN, "this node has a new one");
    own.revocations = authority.revoke(&own.revocations, node(2), soon(0)).expect("room");
    gate.replace(Admission::Certified(own.clone()));
    assert_eq!(gate.judge_connected(node(2), true), Verdict::Goes(Denial::Revoked));
    own.revocations = Revocations::default();
    gate.replace(Admission::Certified(own));
    assert_eq!(gate.judge_connected(node(2), true), Verdict::Goes(Denial::Revoked), "still");
    gate.retain(|_| false);
    assert!(gate.has_role(node(2), "reader"), "its connection may be about to be known");
    tokio::time::advance(PAUSE).await;
    gate.retain(|_| false);
    assert!(!gate.has_role(node(2), "reader"));
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
