//! Deliberate bugs that test the checks: patches, in this crate's folder.
//!
//! The first line of a patch says what the bug is, the second one what must find it. The swarm must find a
//! bug in a protocol. The line names what its plans focus on, so that it finds the bug sooner:
//!
//! ```text
//! A payload goes back to whom it came from.
//! Drawn with: plumtree
//!
//! --- a/broadcast/src/plumtree/mod.rs
//! +++ b/broadcast/src/plumtree/mod.rs
//! @@ ...
//! ```
//!
//! Tests must find a bug in the code that judges runs, and one in the state that clusters share. The line has the
//! arguments of `cargo test`, and first `-p` and the package if it is not the simulator:
//!
//! ```text
//! A look is taken before what happens at its moment.
//! Judged by: --test verdicts
//! ```

use std::path::{Path, PathBuf};

use murmurate_simulator::study::swarm::Focus;

/// Where the patches are, from the root of the repository.
pub(crate) const FOLDER: &str = "simulator/mutants";

/// A deliberate bug.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mutant {
    /// Its name: that of the file.
    pub(crate) name: String,
    /// What it is, in a line.
    pub(crate) about: String,
    /// What must find it.
    pub(crate) finder: Finder,
    /// The files that it changes, from the root of the repository.
    pub(crate) files: Vec<PathBuf>,
    /// The patch, as `git apply` reads it.
    pub(crate) patch: String,
}

/// What must find a bug.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Finder {
    /// The swarm, with this focus.
    Swarm(Vec<Focus>),
    /// One of the tests that `cargo test` runs with these arguments.
    Tests(Vec<String>),
}

impl Finder {
    /// What stands in the second line of a patch.
    fn parse(line: &str) -> Result<Self, String> {
        if let Some(arguments) = line.strip_prefix("Judged by:") {
            return Ok(Self::Tests(arguments.split_whitespace().map(Into::into).collect()));
        }
        let list = line.strip_prefix("Drawn with:");
        let list = list.ok_or("the second line must begin with Drawn with: or Judged by:")?;
        list.split(',').map(|one| one.trim().parse()).collect::<Result<_, _>>().map(Self::Swarm)
    }
}

impl Mutant {
    /// What stands in a patch.
    ///
    /// # Errors
    /// What is missing in it or makes no sense.
    pub(crate) fn parse(name: &str, patch: &str) -> Result<Self, String> {
        let wrong = |what: String| format!("{name}.patch: {what}");
        let mut lines = patch.lines();
        let is_about = |line: &&str| !line.is_empty() && !line.starts_with(['-', '+', '@', ' ']);
        let about = lines.next().filter(is_about);
        let about = about.ok_or_else(|| wrong("the first line must say what the bug is".into()))?;
        let finder = Finder::parse(lines.next().unwrap_or_default()).map_err(wrong)?;
        let files = patch.lines().filter_map(|line| line.strip_prefix("+++ b/"));
        let files: Vec<PathBuf> = files.map(PathBuf::from).collect();
        if files.is_empty() {
            return Err(wrong("no file is changed: no line begins with +++ b/".into()));
        }
        Ok(Self {
            name: name.to_owned(),
            about: about.trim_end_matches('.').to_owned(),
            finder,
            files,
            patch: patch.to_owned(),
        })
    }

    /// All in a folder, by name.
    ///
    /// # Errors
    /// The file that cannot be read, and why.
    pub(crate) fn all(folder: &Path) -> Result<Vec<Self>, String> {
        let cannot = |path: &Path, error: std::io::Error| format!("{}: {error}", path.display());
        let mut all = Vec::new();
        for entry in folder.read_dir().map_err(|error| cannot(folder, error))? {
            let path = entry.map_err(|error| cannot(folder, error))?.path();
            let Some(name) = path.file_stem().and_then(|name| name.to_str()) else { continue };
            if path.extension().is_some_and(|extension| extension == "patch") {
                let text = std::fs::read_to_string(&path).map_err(|error| cannot(&path, error))?;
                all.push(Self::parse(name, &text)?);
            }
        }
        all.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(all)
    }
}

/// The mutants with these names, or all if there are none.
///
/// # Errors
/// The name that is none, and which was meant.
pub(crate) fn select(all: Vec<Mutant>, names: &[String]) -> Result<Vec<Mutant>, String> {
    if names.is_empty() {
        return Ok(all);
    }
    let find = |name: &String| {
        let found = all.iter().find(|mutant| mutant.name == *name).cloned();
        found.ok_or_else(|| format!("{name:?} is not a mutant: {}", hint(&all, name)))
    };
    names.iter().map(find).collect()
}

/// Which was meant by a name that is none, or all there are.
fn hint(all: &[Mutant], name: &str) -> String {
    let names = || all.iter().map(|mutant| mutant.name.as_str());
    let likeness = |known| (strsim::jaro_winkler(name, known), known);
    match names().map(likeness).max_by(|a, b| a.0.total_cmp(&b.0)) {
        Some((likeness, nearest)) if likeness > 0.75 => format!("did you mean {nearest}?"),
        _ => format!("there are {}", names().collect::<Vec<_>>().join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    const PATCH: &str = "A payload goes back.\nDrawn with: plumtree, late\n\n\
        --- a/broadcast/src/lib.rs\n+++ b/broadcast/src/lib.rs\n@@ -1 +1 @@\n-a\n+b\n\
        --- a/broadcast/src/id.rs\n+++ b/broadcast/src/id.rs\n@@ -1 +1 @@\n-a\n+b\n";

    #[test]
    fn a_patch_says_what_it_is() {
        let mutant = Mutant::parse("echo", PATCH).expect("a patch");
        assert_eq!((mutant.name.as_str(), mutant.about.as_str()), ("echo", "A payload goes back"));
        assert_eq!(mutant.finder, Finder::Swarm(vec![Focus::Strategy("plumtree"), Focus::Late]));
        let files = ["broadcast/src/lib.rs", "broadcast/src/id.rs"].map(PathBuf::from);
        assert_eq!(mutant.files, files);
        let judge = PATCH.replace("Drawn with: plumtree, late", "Judged by: --lib estimate");
        let tests = ["--lib", "estimate"].map(String::from).into();
        assert_eq!(Mutant::parse("judge", &judge).expect("a patch").finder, Finder::Tests(tests));
    }

    #[test]
    fn what_is_missing_in_a_patch_is_named() {
        let says = |patch: &str| Mutant::parse("echo", patch).expect_err("broken");
        let diff = &PATCH[PATCH.find("---").expect("a diff")..];
        assert!(says("").contains("what the bug is"));
        assert!(says(diff).contains("echo.patch: the first line must say what the bug is"));
        assert!(says(&format!("It is.\n{diff}")).contains("Drawn with:"));
        let with = says(&PATCH.replace("late", "latr"));
        assert!(with.starts_with("echo.patch: \"latr\" is not one of"), "{with}");
        assert!(says("It is.\nDrawn with: late\n").contains("no file is changed"));
    }

    #[test]
    fn a_name_that_is_none_is_guessed() {
        let all: Vec<_> =
            ["echo", "batch-once"].map(|n| Mutant::parse(n, PATCH).expect("a patch")).into();
        let names = |names: &[&str]| {
            let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
            let chosen = select(all.clone(), &names)?;
            Ok::<_, String>(chosen.into_iter().map(|mutant| mutant.name).collect::<Vec<_>>())
        };
        assert_eq!(names(&[]).as_deref(), Ok(["echo", "batch-once"].map(String::from).as_slice()));
        assert_eq!(names(&["batch-once"]).as_deref(), Ok(["batch-once".to_owned()].as_slice()));
        let said = |wrong| names(&[wrong]).expect_err("no such mutant");
        assert_eq!(said("batch-onc"), "\"batch-onc\" is not a mutant: did you mean batch-once?");
        assert_eq!(said("xyz"), "\"xyz\" is not a mutant: there are echo, batch-once");
    }

    #[test]
    fn every_patch_applies() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
        let root = folder.join("../..");
        for mutant in Mutant::all(folder).expect("patches") {
            let patch = format!("simulator/mutants/{}.patch", mutant.name);
            let git =
                Command::new("git").args(["apply", "--check", &patch]).current_dir(&root).output();
            let git = git.expect("git");
            assert!(git.status.success(), "{patch}: {}", String::from_utf8_lossy(&git.stderr));
            // From elsewhere git would leave it out and say nothing.
            for file in &mutant.files {
                assert!(root.join(file).is_file(), "{patch}: {}", file.display());
            }
        }
    }

    #[test]
    fn every_patch_says_what_it_is() {
        let all = Mutant::all(Path::new(env!("CARGO_MANIFEST_DIR"))).expect("patches");
        assert!(all.len() >= 58 + 23 + 13, "{} are left", all.len());
        for Mutant { name, about, finder, files, .. } in all {
            let is_name =
                name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
            assert!(is_name && name.len() <= 24, "{name}");
            assert!(
                about.len() > 10 && about.starts_with(|c: char| c.is_uppercase()),
                "{name}: {about}"
            );
            let of = |folder: &str| files.iter().all(|file| file.starts_with(folder));
            let part = match &finder {
                Finder::Swarm(with) => match with.first() {
                    Some(Focus::Strategy("hyparview")) => of("membership/src/hyparview"),
                    Some(Focus::Strategy("full-mesh")) => {
                        let files =
                            of("membership/src/full_mesh") || of("membership/src/redial.rs");
                        files && name.starts_with("mesh-")
                    }
                    Some(Focus::Strategy("static")) => {
                        of("membership/src/static_overlay") && name.starts_with("static-")
                    }
                    Some(Focus::Strategy("plumtree")) => of("broadcast/src/plumtree"),
                    Some(Focus::AntiEntropy) => of("broadcast/src/anti_entropy"),
                    _ => false,
                },
                Finder::Tests(_) if name.starts_with("state-") => of("overlay/services/src"),
                Finder::Tests(_) => of("simulator/src") == name.starts_with("judge-"),
            };
            assert!(part, "{name} is for {finder:?} and changes {files:?}");
        }
    }
}
