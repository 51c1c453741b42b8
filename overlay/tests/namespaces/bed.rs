//! Namespaces joined by a bridge, and the faults of that network.
//!
//! The bridge lives in a namespace of its own, the hub, so nothing of the machine's own network is
//! touched and scenarios may use the same addresses. Faults are rules where packets enter the hub:
//! the sender does not notice them, as with a real cable.

use std::io::Write;
use std::process::{Command, Stdio};

use crate::flock::lasts;

/// The namespaces of a scenario; dropped, they are gone.
#[derive(Debug)]
pub(crate) struct Bed {
    tag: String,
    homes: usize,
}

/// All names begin with this and the process id of the test in hex.
const PREFIX: &str = "mm-";

/// Runs a command to its end.
fn run(command: &[&str], input: &str) -> Result<(), String> {
    let failed = |why: String| format!("{}: {why}", command.join(" "));
    let mut child = Command::new(command[0])
        .args(&command[1..])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| failed(error.to_string()))?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(input.as_bytes()).map_err(|error| failed(error.to_string()))?;
    }
    let ended = child.wait_with_output().map_err(|error| failed(error.to_string()))?;
    if ended.status.success() {
        return Ok(());
    }
    Err(failed(String::from_utf8_lossy(&ended.stderr).into_owned()))
}

/// Whether namespaces can be made here, and faults in them.
pub(crate) fn works() -> Result<(), String> {
    let bed = Bed::make("try", 1, 0);
    let shaped = bed.and_then(|bed| bed.shape(0, Some("8mbit")));
    shaped.map_err(|why| format!("no network namespaces here, which take root: {why}"))
}

/// Removes what tests left that were killed too hard to clean up.
pub(crate) fn sweep() {
    let Ok(entries) = std::fs::read_dir("/run/netns") else { return };
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let owner = name.strip_prefix(PREFIX).and_then(|rest| rest.split('-').next());
        let Some(pid) = owner.and_then(|hex| u32::from_str_radix(hex, 16).ok()) else { continue };
        if !std::path::Path::new(&format!("/proc/{pid}")).exists() {
            let _ = run(&["ip", "netns", "del", &name], "");
        }
    }
}

fn hardware(home: usize) -> String {
    format!("02:00:00:00:00:{:02x}", home + 1)
}

impl Bed {
    /// Makes a bridge with so many namespaces around it, each with so many bridges of its own that
    /// lead nowhere, as containers have them: with the same addresses everywhere.
    pub(crate) fn make(scenario: &str, homes: usize, own: usize) -> Result<Self, String> {
        // From here on Drop cleans up, whatever fails.
        let bed = Self { tag: format!("{PREFIX}{:x}-{scenario}", std::process::id()), homes };
        let hub = bed.hub();
        let mut names = format!("netns add {hub}\n");
        for home in 0..homes {
            names.push_str(&format!("netns add {}\n", bed.home(home)));
        }
        run(&["ip", "-batch", "-"], &names)?;
        for home in 0..homes {
            let bridge = |n| {
                format!(
                    "link add br{n} type bridge\naddr add 172.{n}.0.1/16 dev br{n}\n\
                     link set br{n} up\n"
                )
            };
            let bridges: String = (17..17 + own).map(bridge).collect();
            run(&["ip", "-n", &bed.home(home), "-batch", "-"], &bridges)?;
        }
        let mut links = "link add br0 type bridge\nlink set br0 up\n".to_owned();
        let mut chains = "table netdev faults {\n".to_owned();
        for home in 0..homes {
            let name = bed.home(home);
            links.push_str(&format!(
                "link add port{home} type veth peer name eth0 address {} netns {name}\n\
                 link set port{home} master br0 up\n",
                hardware(home)
            ));
            chains.push_str(&format!(
                "chain from{home} {{ type filter hook ingress device port{home} priority 0; }}\n"
            ));
        }
        chains.push_str("}\n");
        run(&["ip", "-n", &hub, "-batch", "-"], &links)?;
        run(&["ip", "netns", "exec", &hub, "nft", "-f", "-"], &chains)?;
        for home in 0..homes {
            let address = bed.address(home);
            let mut inside =
                format!("addr add {address}/16 dev eth0\nlink set lo up\nlink set eth0 up\n");
            // The kernel's table of neighbours is one for all namespaces: ten scenarios at once
            // overflow it, and what is learnt is forgotten. These entries do not count.
            for other in (0..homes).filter(|other| *other != home) {
                let (address, hardware) = (bed.address(other), hardware(other));
                let entry = format!("neigh add {address} lladdr {hardware} dev eth0\n");
                inside.push_str(&entry);
            }
            run(&["ip", "-n", &bed.home(home), "-batch", "-"], &inside)?;
        }
        Ok(bed)
    }

    fn hub(&self) -> String {
        format!("{}-hub", self.tag)
    }

    pub(crate) fn home(&self, home: usize) -> String {
        format!("{}-{home}", self.tag)
    }

    pub(crate) fn address(&self, home: usize) -> String {
        format!("10.0.0.{}", home + 1)
    }

    /// Everything that comes from `home` and matches is dropped.
    pub(crate) fn drop_from(&self, home: usize, matching: &str) {
        let rule = format!("add rule netdev faults from{home} {matching} drop\n");
        self.nft(&rule);
    }

    /// Everything for `home` is dropped.
    pub(crate) fn drop_to(&self, home: usize) {
        let to = format!("ip daddr {}", self.address(home));
        for from in (0..self.homes).filter(|from| *from != home) {
            self.drop_from(from, &to);
        }
    }

    /// So many packets of a hundred are lost, on all links, in both directions.
    pub(crate) fn lose(&self, percent: u32) {
        for home in 0..self.homes {
            self.drop_from(home, &format!("numgen random mod 100 < {percent}"));
        }
    }

    /// Cuts the first `size` homes from the others.
    pub(crate) fn split(&self, size: usize) {
        let first = format!("10.0.0.1-{}", self.address(size - 1));
        let others = format!("{}-{}", self.address(size), self.address(self.homes - 1));
        for home in 0..self.homes {
            let beyond = if home < size { &others } else { &first };
            self.drop_from(home, &format!("ip daddr {beyond}"));
        }
    }

    /// Resets every TCP connection of `home` that speaks, for so long.
    pub(crate) fn reset(&self, home: usize, time: std::time::Duration) {
        let inside = |rules: &str| {
            run(&["ip", "netns", "exec", &self.home(home), "nft", "-f", "-"], rules)
                .expect("rules");
        };
        inside(
            "table inet faults { chain out { type filter hook output priority 0; \
             meta l4proto tcp reject with tcp reset; }; }",
        );
        lasts(time);
        inside("delete table inet faults");
    }

    /// No faults any more.
    pub(crate) fn heal(&self) {
        let rules: String =
            (0..self.homes).map(|home| format!("flush chain netdev faults from{home}\n")).collect();
        self.nft(&rules);
    }

    fn nft(&self, rules: &str) {
        run(&["ip", "netns", "exec", &self.hub(), "nft", "-f", "-"], rules).expect("rules");
    }

    /// Limits the rate at which `home` gets anything, or lifts the limit.
    pub(crate) fn shape(&self, home: usize, rate: Option<&str>) -> Result<(), String> {
        let (hub, port) = (self.hub(), format!("port{home}"));
        let mut command = vec!["tc", "-n", &hub, "qdisc"];
        match rate {
            None => command.extend(["del", "dev", &port, "root"]),
            Some(rate) => command.extend([
                "add", "dev", &port, "root", "tbf", "rate", rate, "burst", "10kb", "limit", "60kb",
            ]),
        }
        run(&command, "")
    }
}

impl Drop for Bed {
    fn drop(&mut self) {
        for home in 0..self.homes {
            let _ = run(&["ip", "netns", "del", &self.home(home)], "");
        }
        let _ = run(&["ip", "netns", "del", &self.hub()], "");
    }
}
