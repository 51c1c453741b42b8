//! Files that are there whole or not at all.

use std::fs;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

/// How many broken files of a kind are kept.
const KEPT: usize = 3;
/// How an unfinished file's name ends.
const UNFINISHED: &str = ".unfinished";

pub(super) enum Content {
    Missing,
    TooLarge,
    Bytes(Vec<u8>),
}

/// Creates a directory that nobody else may look into, unless it exists.
pub(super) fn create(dir: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(dir)
}

/// Nobody else may have put there what is there.
#[cfg(unix)]
pub(super) fn check_private(dir: &Path) -> Result<(), String> {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    // Whoever cannot look will not write either, and says why.
    let Ok(metadata) = fs::metadata(dir) else { return Ok(()) };
    let mode = metadata.permissions().mode() & 0o7777;
    if mode & 0o022 != 0 {
        return Err(format!("has mode {mode:o}"));
    }
    #[cfg(target_os = "linux")]
    if ![rustix::process::geteuid().as_raw(), 0].contains(&metadata.uid()) {
        return Err(format!("belongs to user {}", metadata.uid()));
    }
    Ok(())
}

#[cfg(not(unix))]
pub(super) fn check_private(_: &Path) -> Result<(), String> {
    Ok(())
}

/// Opens a file for writing, or creates it; a link to one elsewhere is an error.
pub(super) fn open_own(path: &Path) -> io::Result<fs::File> {
    let mut options = fs::OpenOptions::new();
    options.create(true).truncate(false).write(true);
    #[cfg(target_os = "linux")]
    {
        let no_link = rustix::fs::OFlags::NOFOLLOW.bits().cast_signed();
        std::os::unix::fs::OpenOptionsExt::custom_flags(&mut options, no_link);
    }
    options.open(path)
}

pub(super) fn read(path: &Path, limit: u64) -> io::Result<Content> {
    match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Content::Missing),
        Err(error) => return Err(error),
        // Opening a pipe could wait for ever.
        Ok(metadata) if !metadata.is_file() => {
            return Err(io::Error::other("not a regular file"));
        }
        Ok(_) => {}
    }
    let mut bytes = Vec::new();
    fs::File::open(path)?.take(limit + 1).read_to_end(&mut bytes)?;
    Ok(if bytes.len() as u64 > limit { Content::TooLarge } else { Content::Bytes(bytes) })
}

/// Replaces a file: whatever happens meanwhile, it holds the old bytes or the new. Its owner alone
/// may read it.
pub(super) fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    commit(prepare(path, bytes)?, path)
}

/// Writes the new file beside the old one, down to the disk.
fn prepare(path: &Path, bytes: &[u8]) -> io::Result<NamedTempFile> {
    let name = path.file_name().unwrap_or_default();
    let mut prefix = name.to_owned();
    prefix.push(".");
    let mut builder = tempfile::Builder::new();
    builder.prefix(&prefix).suffix(UNFINISHED);
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o600));
    let mut file = builder.tempfile_in(folder(path))?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    Ok(file)
}

/// Puts the new file into the old one's place, and the directory down to the disk.
fn commit(file: NamedTempFile, path: &Path) -> io::Result<()> {
    file.persist(path).map_err(|error| error.error)?;
    sync(folder(path))
}

fn folder(path: &Path) -> &Path {
    path.parent().filter(|parent| *parent != Path::new("")).unwrap_or(Path::new("."))
}

#[cfg(unix)]
fn sync(folder: &Path) -> io::Result<()> {
    fs::File::open(folder)?.sync_all()
}

/// Elsewhere directories cannot be opened, or need no such care.
#[cfg(not(unix))]
fn sync(_: &Path) -> io::Result<()> {
    Ok(())
}

/// Removes what a crash left unfinished. That it stays would be no harm.
pub(super) fn remove_unfinished(dir: &Path, names: &[&str]) {
    for name in names {
        let unfinished = |file: &str| {
            let rest = file.strip_prefix(name).and_then(|rest| rest.strip_prefix('.'));
            rest.is_some_and(|rest| rest.ends_with(UNFINISHED)).then_some(())
        };
        for (path, ()) in files(dir, unfinished) {
            let _ = fs::remove_file(path);
        }
    }
}

/// The files of a directory whose names mean something.
fn files<T>(dir: &Path, meaning: impl Fn(&str) -> Option<T>) -> Vec<(PathBuf, T)> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    let meant = entries.filter_map(|entry| {
        let meaning = meaning(entry.file_name().to_str()?)?;
        Some((entry.path(), meaning))
    });
    meant.collect()
}

/// Renames a broken file, and removes the oldest of those before if there are too many.
pub(super) fn set_aside(path: &Path) -> io::Result<PathBuf> {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let prefix = format!("{name}.corrupt-");
    let number = |file: &str| file.strip_prefix(&prefix)?.parse::<u32>().ok();
    let mut before = files(folder(path), number);
    before.sort_by_key(|(_, number)| *number);
    let next = before.last().map_or(1, |(_, last)| last.saturating_add(1));
    let moved_to = path.with_file_name(format!("{prefix}{next}"));
    fs::rename(path, &moved_to)?;
    let too_many = before.len().saturating_sub(KEPT - 1);
    for (old, _) in before.iter().take(too_many).filter(|(old, _)| *old != moved_to) {
        let _ = fs::remove_file(old);
    }
    sync(folder(path))?;
    Ok(moved_to)
}

/// Takes a secret out of others' sight.
#[cfg(unix)]
pub(super) fn keep_private(path: &Path) {
    use std::os::unix::fs::PermissionsExt;
    let Ok(metadata) = fs::metadata(path) else { return };
    if metadata.permissions().mode() & 0o077 != 0 {
        tracing::warn!(?path, "a secret key that others could read: it is now its owner's alone");
        if let Err(error) = fs::set_permissions(path, fs::Permissions::from_mode(0o600)) {
            tracing::warn!(?path, %error, "others can still read it");
        }
    }
}

#[cfg(not(unix))]
pub(super) fn keep_private(_: &Path) {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crash_before_the_rename_leaves_the_old_file() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("peers.json");
        replace(&path, b"old").expect("written");
        let unfinished = prepare(&path, b"new").expect("written");
        // The crash: nobody renames it, nobody removes it.
        let (_, left) = unfinished.keep().expect("kept");
        assert!(matches!(read(&path, 9), Ok(Content::Bytes(bytes)) if bytes == b"old"));
        assert!(left.exists());
        fs::write(dir.path().join("peers.json.corrupt-1"), "").expect("written");
        remove_unfinished(dir.path(), &["identity", "peers.json"]);
        assert!(!left.exists());
        assert_eq!(fs::read_dir(dir.path()).expect("readable").count(), 2);
    }

    #[test]
    fn a_reader_never_sees_half_a_file() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("peers.json");
        let contents = [vec![b'a'; 100_000], vec![b'b'; 100_000]];
        replace(&path, &contents[0]).expect("written");
        std::thread::scope(|scope| {
            let writer = scope.spawn(|| {
                for round in 0..100 {
                    replace(&path, &contents[round % 2]).expect("written");
                }
            });
            while !writer.is_finished() {
                let seen = fs::read(&path).expect("always there");
                assert!(contents.contains(&seen), "{} bytes", seen.len());
            }
        });
    }

    #[test]
    fn the_last_three_broken_files_are_kept() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("peers.json");
        let named = |n: usize| dir.path().join(format!("peers.json.corrupt-{n}"));
        for n in 1..=12 {
            fs::write(&path, n.to_string()).expect("written");
            assert_eq!(set_aside(&path).expect("renamed"), named(n));
        }
        for n in 1..=12 {
            let content = fs::read_to_string(named(n)).ok();
            assert_eq!(content, (n > 9).then(|| n.to_string()));
        }
    }

    #[test]
    fn what_is_no_file_is_not_read() {
        let dir = tempfile::tempdir().expect("a directory");
        assert!(read(dir.path(), 9).is_err());
        assert!(matches!(read(&dir.path().join("x"), 9), Ok(Content::Missing)));
        let path = dir.path().join("y");
        fs::write(&path, [0; 10]).expect("written");
        assert!(matches!(read(&path, 10), Ok(Content::Bytes(_))));
        assert!(matches!(read(&path, 9), Ok(Content::TooLarge)));
    }

    #[cfg(unix)]
    #[test]
    fn a_pipe_is_not_waited_for() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&path).status().expect("mkfifo runs");
        assert!(made.success());
        let (send, receive) = std::sync::mpsc::channel();
        std::thread::spawn(move || send.send(read(&path, 9).is_err()));
        let soon = std::time::Duration::from_secs(10);
        assert_eq!(receive.recv_timeout(soon), Ok(true));
    }
}
