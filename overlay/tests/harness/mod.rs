//! Tests that need what not every machine has. Where it is missing, each of them is reported as ignored, by
//! its name and with the reason. The standard harness cannot: what it ignores is known when it is built.

#![allow(dead_code, reason = "each test uses what it needs")]

use std::process::{Command, ExitCode, Stdio};
use std::sync::{Arc, OnceLock};

use libtest_mimic::{Arguments, Completion, Trial};

/// These functions and their names, for [`run`]. One that is not listed is unused code.
macro_rules! tests {
    ($($test:path),* $(,)?) => { [$((stringify!($test), $test as fn())),*] };
}
pub(crate) use tests;

/// Runs these tests, or ignores them if something is missing here: the error says what. It is looked for
/// once, and not before a test is about to run.
pub(crate) fn run<const TESTS: usize>(
    tests: [(&'static str, fn()); TESTS],
    missing: fn() -> Result<(), String>,
) -> ExitCode {
    run_as_told(&Arguments::from_args(), tests, missing)
}

/// As [`run`], so many at a time if the command line does not say how many.
pub(crate) fn run_at_a_time<const TESTS: usize>(
    at_a_time: usize,
    tests: [(&'static str, fn()); TESTS],
    missing: fn() -> Result<(), String>,
) -> ExitCode {
    let mut arguments = Arguments::from_args();
    arguments.test_threads.get_or_insert(at_a_time);
    run_as_told(&arguments, tests, missing)
}

fn run_as_told<const TESTS: usize>(
    arguments: &Arguments,
    tests: [(&'static str, fn()); TESTS],
    missing: fn() -> Result<(), String>,
) -> ExitCode {
    let found = Arc::new(OnceLock::new());
    let trial = |(name, test): (&str, fn())| {
        let found = Arc::clone(&found);
        Trial::ignorable_test(name, move || match found.get_or_init(missing) {
            Ok(()) => {
                test();
                Ok(Completion::Completed)
            }
            Err(why) => Ok(Completion::ignored_with(why)),
        })
    };
    let trials = tests.map(trial).into();
    libtest_mimic::run(arguments, trials).exit_code()
}

/// What `works` says, if need be once these packages of Debian are installed.
pub(crate) fn debian(
    packages: &[&str],
    works: impl Fn() -> Result<(), String>,
) -> Result<(), String> {
    let again = |why| if installed(packages) { works() } else { Err(why) };
    let failed = |why: String| {
        let why: Vec<&str> = why.lines().collect();
        format!("{}: apt-get install {}", why.join(": "), packages.join(" "))
    };
    works().or_else(again).map_err(failed)
}

fn installed(packages: &[&str]) -> bool {
    let apt = |arguments: &[&str]| {
        let mut apt = Command::new("apt-get");
        apt.args(arguments).env("DEBIAN_FRONTEND", "noninteractive");
        // Another test may be at it.
        apt.args(["-o", "DPkg::Lock::Timeout=300"]);
        succeeds(&mut apt).is_ok()
    };
    let is_root = Command::new("id").arg("-u").output().is_ok_and(|id| id.stdout == b"0\n");
    let install = ["install", "-y", "--no-install-recommends"];
    is_root && apt(&["update"]) && apt(&[&install[..], packages].concat())
}

/// Runs a command to its end, which has to be a good one.
pub(crate) fn succeeds(command: &mut Command) -> Result<(), String> {
    let quiet = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    match quiet.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("{command:?}: {status}")),
        Err(error) => Err(format!("{}: {error}", command.get_program().display())),
    }
}
