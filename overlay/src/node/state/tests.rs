//! State survives what happens to disks.

use tempfile::TempDir;

use super::*;

fn dir() -> TempDir {
    tempfile::tempdir().expect("a directory")
}

fn somebody(addresses: &[&str]) -> KnownPeer {
    let node = NodeId::try_from(&Keypair::generate_ed25519().public()).expect("an ed25519 key");
    let addresses = addresses.iter().map(|text| text.parse().expect("an address")).collect();
    KnownPeer { node, addresses }
}

fn snapshot() -> Snapshot {
    let peers = vec![
        somebody(&["/ip4/10.0.0.1/tcp/7400", "/dns/roost.example/udp/7400/quic-v1"]),
        somebody(&[]),
    ];
    let origin = |of: &KnownPeer| Incarnation { node: of.node, started: 5 };
    let heard = peers.iter().map(|of| Heard { origin: origin(of), next: u64::MAX }).collect();
    Snapshot { started: 1_700_000_000_000, peers, heard }
}

/// A directory with an identity and peers.
fn filled() -> (TempDir, Keypair, Snapshot) {
    let (dir, snapshot) = (dir(), snapshot());
    let (mut state, loaded) = State::open(dir.path(), "flock").expect("opens");
    state.save(&snapshot).expect("saves");
    (dir, loaded.keypair, snapshot)
}

fn open(dir: &TempDir) -> Loaded {
    State::open(dir.path(), "flock").expect("opens").1
}

#[test]
fn what_is_saved_is_loaded() {
    let (dir, keypair, snapshot) = filled();
    for _ in 0..2 {
        let loaded = open(&dir);
        assert_eq!(loaded.keypair.public(), keypair.public());
        assert_eq!(loaded.last_started, Some(snapshot.started));
        assert_eq!(loaded.peers, snapshot.peers);
        assert_eq!(loaded.heard, snapshot.heard);
        assert_eq!((loaded.set_aside, loaded.other_network), (Vec::new(), None));
    }
}

#[test]
fn a_new_directory_is_created_with_a_new_identity() {
    let parent = dir();
    let dir = parent.path().join("a/b");
    let (state, loaded) = State::open(&dir, "flock").expect("opens");
    assert_eq!((loaded.last_started, loaded.peers.len()), (None, 0));
    assert!(loaded.set_aside.is_empty());
    drop(state);
    let (_, again) = State::open(&dir, "flock").expect("opens");
    assert_eq!(again.keypair.public(), loaded.keypair.public());
    let (_, other) = State::open(&parent.path().join("c"), "flock").expect("opens");
    assert_ne!(other.keypair.public(), loaded.keypair.public());
}

/// Breaks a file in every way, and looks at what opening makes of each: nothing but what was
/// there, or a file set aside.
fn broken(name: &str, check: impl Fn(&Loaded, bool, &(TempDir, Keypair, Snapshot))) {
    let filled = filled();
    let dir = &filled.0;
    let path = dir.path().join(name);
    let good = fs::read(&path).expect("readable");
    let truncated = (0..good.len()).map(|length| good[..length].to_vec());
    let flipped = (0..good.len()).flat_map(|at| {
        [0x01, 0x20, 0x80, 0xff].map(|bits| {
            let mut bytes = good.clone();
            bytes[at] ^= bits;
            bytes
        })
    });
    let mut aside = 0;
    for bytes in truncated.chain(flipped) {
        fs::write(&path, &bytes).expect("written");
        let loaded = open(dir);
        match loaded.set_aside.as_slice() {
            [] => check(&loaded, false, &filled),
            [one] => {
                aside += 1;
                check(&loaded, true, &filled);
                assert_eq!(one.path, path);
                assert!(!one.reason.is_empty());
                assert_eq!(fs::read(&one.moved_to).expect("kept"), bytes);
            }
            more => panic!("{more:?}"),
        }
        let left = fs::read_dir(dir.path()).expect("readable").count();
        assert!(left <= 6, "{left} files");
    }
    // What is left is truncated by the last line's end, which is no loss.
    assert!(aside >= good.len() * 5 - 1, "{aside} of {} set aside", good.len() * 5);
}

#[test]
fn broken_peers_are_set_aside() {
    broken(PEERS, |loaded, aside, (_, keypair, snapshot)| {
        assert_eq!(loaded.keypair.public(), keypair.public());
        assert_eq!(loaded.other_network, None);
        assert_eq!(loaded.last_started, (!aside).then_some(snapshot.started));
        assert_eq!(loaded.peers, if aside { Vec::new() } else { snapshot.peers.clone() });
    });
}

/// Whatever is wrong with it: it is the same node or an error, and never somebody else.
#[test]
fn a_broken_identity_is_an_error_and_stays_as_it_is() {
    let (dir, keypair, snapshot) = filled();
    let path = dir.path().join(IDENTITY);
    let good = fs::read(&path).expect("readable");
    let truncated = (0..good.len()).map(|length| good[..length].to_vec());
    let flipped = (0..good.len()).map(|at| {
        let mut bytes = good.clone();
        bytes[at] ^= 0x20;
        bytes
    });
    for bytes in truncated.chain(flipped).chain([vec![0; 1_025]]) {
        fs::write(&path, &bytes).expect("written");
        let error = State::open(dir.path(), "flock").expect_err("broken");
        assert!(matches!(error, StateError::Identity { .. }), "{error}");
        assert_eq!(fs::read(&path).expect("still there"), bytes);
    }
    fs::remove_file(&path).expect("moved away");
    let loaded = open(&dir);
    assert_ne!(loaded.keypair.public(), keypair.public(), "a new node");
    assert_eq!(loaded.peers, snapshot.peers);
}

#[cfg(unix)]
#[test]
fn a_directory_that_others_can_write_is_an_error() {
    use std::os::unix::fs::PermissionsExt;
    let (dir, _, _) = filled();
    let elsewhere = dir.path().join("elsewhere");
    let lock = dir.path().join(LOCK);
    fs::remove_file(&lock).expect("removed");
    std::os::unix::fs::symlink(&elsewhere, &lock).expect("linked");
    let error = State::open(dir.path(), "flock").expect_err("a link");
    assert!(matches!(error, StateError::Write { .. }), "{error}");
    assert!(!elsewhere.exists(), "it is not followed");
    fs::remove_file(&lock).expect("removed");
    for mode in [0o777, 0o770, 0o1777] {
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(mode)).expect("changed");
        let error = State::open(dir.path(), "flock").expect_err("exposed");
        assert!(error.to_string().contains(&format!("has mode {mode:o}")), "{error}");
        assert!(!lock.exists(), "nothing has been changed");
    }
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).expect("changed");
    open(&dir);
}

#[test]
fn other_nonsense_is_set_aside() {
    let (dir, keypair, _) = filled();
    let path = dir.path().join(PEERS);
    let good = fs::read_to_string(&path).expect("readable");
    let large = " ".repeat((512 << 10) + 1);
    let deep = "[".repeat(400_000);
    let newer = good.replace("\"format\": 1", "\"format\": 2");
    let unsigned = good.replace("\"checksum\"", "\"checksums\"");
    for (text, word) in [
        (large.as_str(), "more than 524288 bytes"),
        (&deep, "not the JSON"),
        ("null", "not the JSON"),
        (&newer, "format 2"),
        (&unsigned, "unknown field"),
    ] {
        fs::write(&path, text).expect("written");
        let loaded = open(&dir);
        assert_eq!(loaded.keypair.public(), keypair.public());
        let reason = &loaded.set_aside.first().expect("set aside").reason;
        assert!(reason.contains(word), "{reason}");
    }
}

#[test]
fn a_snapshot_is_cut_to_its_bounds() {
    let dir = dir();
    let (mut state, _) = State::open(dir.path(), "flock").expect("opens");
    let long = format!("/dns/{}/tcp/1", "a".repeat(600));
    let ports = ["/ip4/10.0.0.1/tcp/1", "/ip4/10.0.0.1/tcp/2", "/ip4/10.0.0.1/tcp/3"];
    let addresses = [&[long.as_str()], &ports[..], &ports[..]].concat();
    let peers = vec![somebody(&addresses); 100];
    let origin = Incarnation { node: peers[0].node, started: u64::MAX };
    let heard = vec![Heard { origin, next: u64::MAX }; 2 * MAX_HEARD];
    state
        .save(&Snapshot { started: u64::MAX, peers: peers.clone(), heard: heard.clone() })
        .expect("saves");
    drop(state);
    let loaded = open(&dir);
    assert_eq!(loaded.last_started, Some(u64::MAX));
    assert_eq!((loaded.peers.len(), loaded.heard.len()), (64, MAX_HEARD));
    assert_eq!(loaded.peers[63].addresses, peers[0].addresses[1..5]);
    assert_eq!(loaded.set_aside, []);
}

#[test]
fn the_largest_snapshot_is_read_again() {
    let dir = dir();
    let (mut state, _) = State::open(dir.path(), "flock").expect("opens");
    let longest = format!("/dns/{}/tcp/1", "a".repeat(501));
    let peers = vec![somebody(&[longest.as_str(); 4]); 64];
    let origin = Incarnation { node: peers[0].node, started: u64::MAX };
    let heard = vec![Heard { origin, next: u64::MAX }; MAX_HEARD];
    let snapshot = Snapshot { started: 1, peers: peers.clone(), heard: heard.clone() };
    state.save(&snapshot).expect("saves");
    drop(state);
    let loaded = open(&dir);
    assert_eq!((loaded.peers, loaded.heard), (peers, heard));
}

#[test]
fn peers_of_another_network_are_kept_but_not_used() {
    let (dir, keypair, theirs) = filled();
    let path = dir.path().join(PEERS);
    let before = fs::read(&path).expect("readable");
    let ours = Snapshot { started: 5, peers: Vec::new(), heard: Vec::new() };
    {
        let (mut state, loaded) = State::open(dir.path(), "other").expect("opens");
        assert_eq!(loaded.keypair.public(), keypair.public());
        assert_eq!((loaded.last_started, loaded.peers.len()), (None, 0));
        assert_eq!(loaded.other_network.as_deref(), Some("flock"));
        assert_eq!(loaded.set_aside, []);
        assert_eq!(fs::read(&path).expect("still there"), before);
        state.save(&ours).expect("saves");
        state.save(&ours).expect("saves again");
    }
    let moved = dir.path().join("peers.json.other-network");
    assert_eq!(fs::read(&moved).expect("moved"), before);
    let (_, loaded) = State::open(dir.path(), "other").expect("opens");
    assert_eq!(loaded.last_started, Some(5));
    fs::rename(moved, path).expect("back");
    assert_eq!(open(&dir).peers, theirs.peers);
}

#[test]
fn a_directory_has_one_node() {
    let dir = dir();
    let (state, _) = State::open(dir.path(), "flock").expect("opens");
    let error = State::open(dir.path(), "flock").expect_err("in use");
    assert!(matches!(error, StateError::Locked(_)), "{error}");
    let shown = error.to_string();
    assert!(shown.contains(dir.path().to_str().expect("text")), "{shown}");
    assert!(shown.contains("stop that one"), "{shown}");
    // As a process has it that is being started elsewhere meanwhile.
    let _copy = state.lock.try_clone().expect("a copy");
    drop(state);
    open(&dir);
}

#[test]
fn an_unusable_directory_is_an_error_that_says_what_to_do() {
    let dir = dir();
    let file = dir.path().join("file");
    fs::write(&file, "").expect("written");
    let error = State::open(&file.join("state"), "flock").expect_err("beneath a file");
    assert!(matches!(error, StateError::Create { .. }), "{error}");
    assert!(error.to_string().contains("give one"), "{error}");
    let error = State::open(&file, "flock").expect_err("a file");
    assert!(matches!(error, StateError::Create { .. }), "{error}");

    fs::create_dir(dir.path().join(IDENTITY)).expect("made");
    let error = State::open(dir.path(), "flock").expect_err("unreadable");
    assert!(matches!(error, StateError::Read { .. }), "{error}");
    fs::remove_dir(dir.path().join(IDENTITY)).expect("removed");
    fs::remove_file(dir.path().join(LOCK)).expect("removed");
    fs::create_dir(dir.path().join(LOCK)).expect("made");
    let error = State::open(dir.path(), "flock").expect_err("not writable");
    assert!(matches!(error, StateError::Write { .. }), "{error}");
}

#[cfg(target_os = "linux")]
#[test]
fn a_directory_that_nobody_can_write_is_an_error() {
    let error = State::open(Path::new("/proc/self"), "flock").expect_err("no disk");
    assert!(matches!(error, StateError::Write { .. }), "{error}");
    assert!(error.to_string().contains("/proc/self/lock"), "{error}");
}

#[cfg(unix)]
#[test]
fn the_identity_is_private() {
    use std::os::unix::fs::PermissionsExt;
    let (dir, _, _) = filled();
    let path = dir.path().join(IDENTITY);
    let mode = |path: &Path| fs::metadata(path).expect("there").permissions().mode() & 0o777;
    assert_eq!(mode(&path), 0o600);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).expect("changed");
    open(&dir);
    assert_eq!(mode(&path), 0o600);
    let inner = dir.path().join("new");
    State::open(&inner, "flock").expect("opens");
    assert_eq!(mode(&inner), 0o700);
}
