//! A copy of the repository that bugs are put into, and the simulator built of it.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use murmurate_simulator::mutants::Mutant;

use crate::args::Args;
use crate::table::{Caught, Said};

/// Why nothing can be said of a bug.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Broken {
    /// The code that it changes is not there any more.
    #[error("DOES NOT APPLY: {0}")]
    Apply(String),
    /// The compiler refuses it.
    #[error("CANNOT BE BUILT:\n{0}")]
    Build(String),
    /// The simulator did not say what came of it.
    #[error("CANNOT BE RUN: {0}")]
    Run(String),
}

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
}

impl Scratch {
    /// A copy of this repository in this folder. What is the same there already is left as it is, so that
    /// it is not built again.
    pub(crate) fn of(root: &Path, folder: &Path) -> Result<Self, String> {
        let cannot = |error: std::io::Error| format!("{}: {error}", folder.display());
        fs::create_dir_all(folder).map_err(cannot)?;
        let folder = folder.canonicalize().map_err(cannot)?;
        let root = root.canonicalize().map_err(cannot)?;
        let in_folder = |name| folder.join(name);
        let (tree, target, found) = (in_folder("tree"), in_folder("target"), in_folder("found"));
        let scratch = Self { root, tree, target, found };
        let files: BTreeSet<PathBuf> = scratch.sources()?.into_iter().collect();
        scratch.restore(files.iter())?;
        let mut copied = Vec::new();
        walk(&scratch.tree, Path::new(""), &mut copied).map_err(cannot)?;
        for gone in copied.iter().filter(|file| !files.contains(*file)) {
            fs::remove_file(scratch.tree.join(gone)).map_err(cannot)?;
        }
        Ok(scratch)
    }

    /// What git knows or would add, or else whatever is there but for what is built.
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

    /// Builds the simulator and says where it is.
    pub(crate) fn build(&self) -> Result<PathBuf, Broken> {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let output = Command::new(cargo)
            .args(["build", "--quiet", "--locked", "--profile", "mutants", "--target-dir"])
            .arg(&self.target)
            .args(["-p", "murmurate-simulator", "--no-default-features", "--bin", "murmurate-sim"])
            .current_dir(&self.tree)
            // A bug may leave something unused; and what did not change is kept, whoever calls.
            .env_remove("RUSTFLAGS")
            .env_remove("CARGO_INCREMENTAL")
            .output()
            .map_err(|error| Broken::Build(error.to_string()))?;
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
    ) -> Result<Option<Caught>, Broken> {
        let with: Vec<_> = mutant.with.iter().map(|with| with.name()).collect();
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
        Ok(said.violation.map(|found| Caught { mutant: mutant.name.clone(), ..found }))
    }

    /// Keeps the file of what was found, and has it say how to see it again.
    pub(crate) fn keep(
        &self,
        found: &Caught,
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
