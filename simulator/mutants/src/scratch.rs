//! A copy of the repository: bugs are applied there, and the simulator is built from it.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use murmurate_simulator::study::swarm::Focus;

use crate::args::Args;
use crate::mutant::Mutant;
use crate::table::{Broken, Found, Said};

/// The copy.
#[derive(Debug)]
pub(crate) struct Scratch {
    /// What it is a copy of.
    root: PathBuf,
    /// The copy of the sources.
    tree: PathBuf,
    /// What is built of it.
    target: PathBuf,
    /// What swarms find.
    found: PathBuf,
    /// Held while this exists, so that no other run applies its bugs here.
    lock: fs::File,
}

impl Scratch {
    /// Copies this repository to this folder. Files that are equal already are left alone, so that they are
    /// not built again.
    pub(crate) fn of(root: &Path, folder: &Path) -> Result<Self, String> {
        let cannot = |error: std::io::Error| format!("{}: {error}", folder.display());
        fs::create_dir_all(folder).map_err(cannot)?;
        let folder = folder.canonicalize().map_err(cannot)?;
        let lock = fs::File::create(folder.join("lock")).map_err(cannot)?;
        lock.try_lock().map_err(|_| format!("{}: in use by another run", folder.display()))?;
        let root = root.canonicalize().map_err(cannot)?;
        let in_folder = |name| folder.join(name);
        let (tree, target, found) = (in_folder("tree"), in_folder("target"), in_folder("found"));
        let scratch = Self { root, tree, target, found, lock };
        let files: BTreeSet<PathBuf> = scratch.sources()?.into_iter().collect();
        scratch.restore(files.iter())?;
        let mut copied = Vec::new();
        walk(&scratch.tree, Path::new(""), &mut copied).map_err(cannot)?;
        for gone in copied.iter().filter(|file| !files.contains(*file)) {
            fs::remove_file(scratch.tree.join(gone)).map_err(cannot)?;
        }
        Ok(scratch)
    }

    /// The files that git tracks or would add. Without git, all files except build output.
    fn sources(&self) -> Result<Vec<PathBuf>, String> {
        let listed = Command::new("git")
            .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
            .current_dir(&self.root)
            .output();
        let mut files: Vec<PathBuf> = match listed {
            Ok(output) if output.status.success() => {
                let text = String::from_utf8_lossy(&output.stdout).into_owned();
                text.split('\0').filter(|name| !name.is_empty()).map(PathBuf::from).collect()
            }
            _ => {
                let mut files = Vec::new();
                let cannot = |error| format!("{}: {error}", self.root.display());
                walk(&self.root, Path::new(""), &mut files).map_err(cannot)?;
                files
            }
        };
        // What was deleted and git was not told of.
        files.retain(|file| self.root.join(file).is_file());
        Ok(files)
    }

    /// Makes these files those of the repository again.
    pub(crate) fn restore(
        &self,
        files: impl IntoIterator<Item = impl AsRef<Path>>,
    ) -> Result<(), String> {
        for file in files {
            let (from, to) = (self.root.join(&file), self.tree.join(&file));
            let copy = || {
                let text = fs::read(&from)?;
                if fs::read(&to).is_ok_and(|copied| copied == text) {
                    return Ok(());
                }
                to.parent().map_or(Ok(()), fs::create_dir_all)?;
                fs::write(&to, text)
            };
            copy().map_err(|error| format!("{}: {error}", from.display()))?;
        }
        Ok(())
    }

    /// Puts a bug in.
    pub(crate) fn apply(&self, mutant: &Mutant) -> Result<(), Broken> {
        let failed = |what: String| Broken::Apply(format!("{}.patch: {what}", mutant.name));
        let output =
            git_apply(&self.tree, &mutant.patch).map_err(|error| failed(error.to_string()))?;
        if !output.status.success() {
            return Err(failed(said(&output)));
        }
        // Within another repository git leaves out what it does not take for its own, and says nothing.
        let differs = |file: &PathBuf| {
            fs::read(self.root.join(file)).ok() != fs::read(self.tree.join(file)).ok()
        };
        match mutant.files.iter().find(|file| !differs(file)) {
            Some(file) => Err(failed(format!("{} is as it was", file.display()))),
            None => Ok(()),
        }
    }

    /// Has cargo do something with the simulator.
    /// Runs cargo on the simulator, unless the arguments begin with another package.
    fn cargo(&self, what: &str, arguments: &[&str]) -> Result<Output, Broken> {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut command = Command::new(cargo);
        command.args([what, "--locked", "--profile", "mutants", "--target-dir"]).arg(&self.target);
        if arguments.first() != Some(&"-p") {
            command.args(["-p", "murmurate-simulator"]);
        }
        command.arg("--no-default-features").args(arguments);
        // A bug may leave something unused; and what did not change is kept, whoever calls.
        command.current_dir(&self.tree).env_remove("RUSTFLAGS").env_remove("CARGO_INCREMENTAL");
        command.output().map_err(|error| Broken::Build(error.to_string()))
    }

    /// Runs these tests. The first that fails.
    pub(crate) fn test(&self, arguments: &[String]) -> Result<Option<String>, Broken> {
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let output = self.cargo("test", &arguments)?;
        let text = String::from_utf8_lossy(&output.stdout);
        let failed =
            |line: &str| line.strip_prefix("test ")?.strip_suffix(" ... FAILED").map(Into::into);
        match text.lines().find_map(failed) {
            None if !output.status.success() => Err(Broken::Build(said(&output))),
            // Without any test nothing could have been found.
            None if !text.lines().any(|line| line.ends_with(" ... ok")) => {
                Err(Broken::Run(format!("there is no test {}", arguments.join(" "))))
            }
            failed => Ok(failed),
        }
    }

    /// Builds the simulator and says where it is.
    pub(crate) fn build(&self) -> Result<PathBuf, Broken> {
        let output = self.cargo("build", &["--quiet", "--bin", "murmurate-sim"])?;
        if !output.status.success() {
            return Err(Broken::Build(said(&output)));
        }
        let program = format!("murmurate-sim{}", std::env::consts::EXE_SUFFIX);
        Ok(self.target.join("mutants").join(program))
    }

    /// Runs the swarm until it finds something.
    pub(crate) fn swarm(
        &self,
        program: &Path,
        args: &Args,
        mutant: &Mutant,
        with: &[Focus],
    ) -> Result<Option<Found>, Broken> {
        let with: Vec<_> = with.iter().map(|with| with.name()).collect();
        let mut command = Command::new(program);
        command.args(["swarm", "--json", "--with", &with.join(",")]);
        command.args(["--seeds", &args.seeds.to_string(), "--shrink", &args.shrink.to_string()]);
        command.arg("--out").arg(&self.found);
        if let Some(jobs) = args.jobs {
            command.args(["--jobs", &jobs.to_string()]);
        }
        let output = command.output().map_err(|error| Broken::Run(error.to_string()))?;
        let status = output.status.code();
        if !matches!(status, Some(0 | 1)) {
            return Err(Broken::Run(format!("{}: {}", output.status, said(&output))));
        }
        let text = serde_json::from_slice::<Said>(&output.stdout);
        let said = text.map_err(|error| Broken::Run(error.to_string()))?;
        Ok(said.violation.map(|found| Found { mutant: mutant.name.clone(), ..found }))
    }

    /// Makes sure that the scenario file reproduces the failure.
    pub(crate) fn shows(&self, program: &Path, file: &Path) -> Result<(), Broken> {
        let output = Command::new(program).args(["run", "--json"]).arg(file).output();
        let output = output.map_err(|error| Broken::Run(error.to_string()))?;
        if output.status.code() == Some(1) {
            return Ok(());
        }
        let file = file.display();
        Err(Broken::Run(format!("{file} does not show it: {}: {}", output.status, said(&output))))
    }

    /// Keeps the file of what was found, and has it say how to see it again.
    pub(crate) fn keep(
        &self,
        found: &Found,
        mutant: &Mutant,
        out: &Path,
    ) -> Result<PathBuf, Broken> {
        let to = out.join(format!("{}.toml", mutant.name));
        let keep = || {
            let text = fs::read_to_string(&found.file)?;
            fs::create_dir_all(out)?;
            fs::write(&to, format!("{}{text}", header(&mutant.name)))
        };
        keep().map_err(|error| Broken::Run(format!("{}: {error}", to.display())))?;
        Ok(to)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // By dropping the file alone it would go on as long as a copy of it: a process that another thread
        // is about to start has one until it runs its program.
        let _ = self.lock.unlock();
    }
}

fn header(name: &str) -> String {
    format!(
        "# It shows a deliberate bug: git apply simulator/mutants/{name}.patch and build again.\n"
    )
}

/// The same whatever repository the folder is in.
fn git_apply(folder: &Path, patch: &str) -> std::io::Result<Output> {
    let ceiling = folder.parent().map_or(OsStr::new("/"), Path::as_os_str);
    let mut git = Command::new("git")
        .args(["apply", "-"])
        .current_dir(folder)
        .env("GIT_CEILING_DIRECTORIES", ceiling)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    if let Some(mut stdin) = git.stdin.take() {
        stdin.write_all(patch.as_bytes())?;
    }
    git.wait_with_output()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).trim().to_owned()
}

/// Every file below a folder but for what is built and what is hidden by git itself.
fn walk(root: &Path, folder: &Path, files: &mut Vec<PathBuf>) -> std::io::Result<()> {
    for entry in fs::read_dir(root.join(folder))? {
        let entry = entry?;
        let path = folder.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            if !["target", ".git"].iter().any(|skipped| path.ends_with(skipped)) {
                walk(root, &path, files)?;
            }
        } else {
            files.push(path);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATCH: &str = "It says no.\nDrawn with: plumtree\n\n--- a/some/code.rs\n\
        +++ b/some/code.rs\n@@ -1,3 +1,3 @@\n one\n-yes\n+no\n three\n";

    fn tree(root: &Path, code: &str) {
        for (file, text) in [("some/code.rs", code), ("target/built", "b"), ("Cargo.toml", "c")] {
            let path = root.join(file);
            fs::create_dir_all(path.parent().expect("a folder")).expect("made");
            fs::write(path, text).expect("written");
        }
    }

    #[test]
    fn a_bug_is_put_in_and_taken_out() {
        let (root, folder) = (tempfile::tempdir().expect("one"), tempfile::tempdir().expect("two"));
        tree(root.path(), "one\nyes\nthree\n");
        let mutant = Mutant::parse("no", PATCH).expect("a patch");
        let scratch = Scratch::of(root.path(), folder.path()).expect("a copy");
        let copied = |file: &str| fs::read_to_string(folder.path().join("tree").join(file)).ok();
        assert_eq!(copied("Cargo.toml").as_deref(), Some("c"));
        assert_eq!(copied("target/built"), None, "what is built is left out");
        scratch.apply(&mutant).expect("it applies");
        assert_eq!(copied("some/code.rs").as_deref(), Some("one\nno\nthree\n"));
        assert!(matches!(scratch.apply(&mutant), Err(Broken::Apply(_))), "it is there already");
        scratch.restore(&mutant.files).expect("restored");
        assert_eq!(copied("some/code.rs").as_deref(), Some("one\nyes\nthree\n"));

        // What an earlier call left there is made right.
        scratch.apply(&mutant).expect("it applies");
        drop(scratch);
        fs::write(folder.path().join("tree/more"), "m").expect("written");
        Scratch::of(root.path(), folder.path()).expect("a copy");
        assert_eq!(copied("some/code.rs").as_deref(), Some("one\nyes\nthree\n"));
        assert_eq!(copied("more"), None);
    }

    #[test]
    fn no_two_runs_share_a_copy() {
        let (root, folder) = (tempfile::tempdir().expect("one"), tempfile::tempdir().expect("two"));
        tree(root.path(), "one\nyes\nthree\n");
        let scratch = Scratch::of(root.path(), folder.path()).expect("a copy");
        let said = Scratch::of(root.path(), folder.path()).expect_err("it is in use");
        assert!(said.ends_with("in use by another run"), "{said}");
        // As a process has it that is being started elsewhere meanwhile.
        let _copy = scratch.lock.try_clone().expect("a copy");
        drop(scratch);
        Scratch::of(root.path(), folder.path()).expect("it is free again");
    }

    #[test]
    fn a_patch_that_does_not_apply_is_named() {
        let (root, folder) = (tempfile::tempdir().expect("one"), tempfile::tempdir().expect("two"));
        tree(root.path(), "one\nmaybe\nthree\n");
        let mutant = Mutant::parse("no", PATCH).expect("a patch");
        let scratch = Scratch::of(root.path(), folder.path()).expect("a copy");
        let said = scratch.apply(&mutant).expect_err("other code").to_string();
        assert!(said.starts_with("DOES NOT APPLY: no.patch: "), "{said}");
        assert!(said.contains("some/code.rs"), "{said}");
    }

    #[test]
    fn a_folder_in_a_repository_is_a_folder() {
        let root = tempfile::tempdir().expect("a folder");
        let git = Command::new("git").arg("init").current_dir(root.path()).output().expect("git");
        assert!(git.status.success());
        tree(root.path(), "one\nyes\nthree\n");
        fs::write(root.path().join(".gitignore"), "target\n").expect("written");
        let mutant = Mutant::parse("no", PATCH).expect("a patch");
        let folder = root.path().join("target/mutants");
        let scratch = Scratch::of(root.path(), &folder).expect("a copy");
        scratch.apply(&mutant).expect("it applies");
        assert!(folder.join("tree/some/code.rs").is_file());
        assert!(!folder.join("tree/target").exists(), "what is ignored is left out");
    }
}
