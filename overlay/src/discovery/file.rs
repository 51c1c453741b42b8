//! Contacts from a file that may change.

use std::collections::VecDeque;
use std::fmt;
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::{self, BoxStream};
use libp2p::Multiaddr;
use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

use super::{Announcement, ContactError, Discovery, Finding, distinct, parse_contact};

/// The largest file, in bytes.
const MAX_BYTES: u64 = 1 << 20;
/// The most addresses taken from a file.
const MAX_ADDRESSES: usize = 1024;
/// The most bad lines a message lists.
const MAX_PROBLEMS: usize = 8;
/// How long a change is left to settle: files are often written in several steps.
const SETTLE: Duration = Duration::from_millis(50);

/// A file with one contact a line, as [`parse_contact`] reads it; `#` begins a comment.
///
/// Changes are found at once where the system tells of them, however the file is replaced, and at
/// the latest when it is next polled. A finding is made when what is found has changed. A file
/// with bad lines makes two: an error that names them, and then the contacts of the good lines.
/// At most 1 MiB is read, and at most 1024 contacts are used.
#[derive(Debug, Clone)]
pub struct File {
    path: PathBuf,
    poll: Duration,
}

/// Why a file does not give contacts, or not all of them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FileError {
    /// There is no such file. It is picked up when it appears.
    #[error("there is no contact file {0:?}")]
    Missing(PathBuf),
    /// It cannot be read.
    #[error("the contact file {path:?} cannot be read: {kind}")]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// What the system says.
        kind: io::ErrorKind,
    },
    /// A directory or a device.
    #[error("the contact file {0:?} is not a regular file")]
    NotAFile(PathBuf),
    /// More than 1 MiB. Nothing of it is used.
    #[error("the contact file {0:?} has more than {MAX_BYTES} bytes")]
    TooLarge(PathBuf),
    /// Some lines are no contacts. The others are used.
    #[error("the contact file {path:?}: {lines}")]
    Lines {
        /// Which file.
        path: PathBuf,
        /// Which lines.
        lines: BadLines,
    },
}

/// The lines of a file that are no contacts.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct BadLines {
    /// The first few: the number of the line, counted from 1, and what is wrong with it.
    pub first: Vec<(usize, LineError)>,
    /// How many more there are.
    pub more: usize,
}

/// What is wrong with a line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LineError {
    /// Not a contact.
    #[error(transparent)]
    Contact(#[from] ContactError),
    /// Not text.
    #[error("not UTF-8")]
    NotText,
    /// A contact too many: it and those after it are not used.
    #[error("more than {MAX_ADDRESSES} contacts: the rest are not used")]
    TooMany,
}

impl fmt::Display for BadLines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (line, error)) in self.first.iter().enumerate() {
            let separator = if at == 0 { "" } else { "; " };
            write!(f, "{separator}line {line}: {error}")?;
        }
        if self.more > 0 {
            write!(f, "; and {} more bad lines", self.more)?;
        }
        Ok(())
    }
}

impl File {
    /// Finds the contacts in the file at `path`, which need not exist yet.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), poll: Duration::from_secs(30) }
    }

    /// How often to look without being told of a change. 30 s by default, at least 10 ms.
    #[must_use]
    pub fn every(mut self, poll: Duration) -> Self {
        self.poll = poll.max(Duration::from_millis(10));
        self
    }
}

impl Discovery for File {
    fn name(&self) -> &'static str {
        "file"
    }

    fn watch(self: Box<Self>, _me: Announcement) -> BoxStream<'static, Finding> {
        let watching = Watching {
            file: *self,
            changed: Arc::new(Notify::new()),
            watcher: None,
            last: None,
            found: VecDeque::new(),
        };
        stream::unfold(watching, |mut watching| async {
            let finding = watching.next().await;
            Some((finding, watching))
        })
        .boxed()
    }
}

struct Watching {
    file: File,
    changed: Arc<Notify>,
    watcher: Option<RecommendedWatcher>,
    last: Option<Reading>,
    found: VecDeque<Finding>,
}

#[derive(Clone, PartialEq, Eq)]
struct Reading {
    addresses: Vec<Multiaddr>,
    error: Option<FileError>,
}

impl Watching {
    async fn next(&mut self) -> Finding {
        loop {
            if let Some(finding) = self.found.pop_front() {
                return finding;
            }
            if self.last.is_some() && timeout(self.file.poll, self.changed.notified()).await.is_ok()
            {
                sleep(SETTLE).await;
            }
            // First listen, then read: what changes in between is read again.
            self.listen();
            let path = self.file.path.clone();
            let Ok(reading) = tokio::task::spawn_blocking(move || read(&path)).await else {
                // The runtime is shutting down.
                return std::future::pending().await;
            };
            if self.last.as_ref() != Some(&reading) {
                self.last = Some(reading.clone());
                let usable = reading.error.as_ref().is_none_or(FileError::is_partial);
                self.found.extend(reading.error.map(|error| Err(error.into())));
                self.found.extend(usable.then_some(Ok(reading.addresses)));
            }
        }
    }

    /// Watches the directory, not the file: that is where a file is replaced. Without a watcher
    /// there is still the poll.
    fn listen(&mut self) {
        let parent = match self.file.path.parent() {
            Some(parent) if parent != Path::new("") => parent,
            _ => Path::new("."),
        };
        if !parent.is_dir() {
            self.watcher = None;
            return;
        }
        if self.watcher.is_some() {
            return;
        }
        let changed = self.changed.clone();
        let told = move |event: notify::Result<notify::Event>| {
            // Reading the file is an event, too. Any name will do: a mounted file may be a link to
            // another name in the directory.
            use notify::event::{AccessKind, AccessMode};
            let written = AccessKind::Close(AccessMode::Write);
            match event.map(|event| event.kind) {
                Ok(EventKind::Access(kind)) if kind != written => {}
                _ => changed.notify_one(),
            }
        };
        self.watcher = notify::recommended_watcher(told)
            .and_then(|mut watcher| {
                watcher.watch(parent, RecursiveMode::NonRecursive)?;
                Ok(watcher)
            })
            .inspect_err(|error| tracing::debug!(%error, ?parent, "not told of changes"))
            .ok();
    }
}

impl FileError {
    /// Whether there are good lines beside the bad.
    fn is_partial(&self) -> bool {
        matches!(self, Self::Lines { .. })
    }
}

fn read(path: &Path) -> Reading {
    match bytes(path) {
        Ok(bytes) => parse(path, &bytes),
        Err(error) => Reading { addresses: Vec::new(), error: Some(error) },
    }
}

fn bytes(path: &Path) -> Result<Vec<u8>, FileError> {
    let unreadable = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => FileError::Missing(path.into()),
        kind => FileError::Unreadable { path: path.into(), kind },
    };
    // Opening a pipe could wait for ever.
    if !fs::metadata(path).map_err(unreadable)?.is_file() {
        return Err(FileError::NotAFile(path.into()));
    }
    let mut bytes = Vec::new();
    let file = fs::File::open(path).map_err(unreadable)?;
    file.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(FileError::TooLarge(path.into()));
    }
    Ok(bytes)
}

fn parse(path: &Path, bytes: &[u8]) -> Reading {
    let bytes = bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(bytes);
    let mut addresses = Vec::new();
    let mut bad = BadLines { first: Vec::new(), more: 0 };
    for (at, line) in bytes.split(|byte| *byte == b'\n').enumerate() {
        let error = match contact(line) {
            None => continue,
            Some(Ok(_)) if addresses.len() >= MAX_ADDRESSES => LineError::TooMany,
            Some(Ok(address)) => {
                addresses.push(address);
                continue;
            }
            Some(Err(error)) => error,
        };
        let last = error == LineError::TooMany;
        if bad.first.len() < MAX_PROBLEMS || last {
            bad.first.push((at + 1, error));
        } else {
            bad.more += 1;
        }
        if last {
            break;
        }
    }
    let any = !bad.first.is_empty();
    let error = any.then(|| FileError::Lines { path: path.into(), lines: bad });
    Reading { addresses: distinct(addresses), error }
}

/// What a line names, if it is not empty.
fn contact(line: &[u8]) -> Option<Result<Multiaddr, LineError>> {
    let Ok(line) = str::from_utf8(line) else { return Some(Err(LineError::NotText)) };
    let text = line.split_once('#').map_or(line, |(before, _)| before).trim();
    (!text.is_empty()).then(|| parse_contact(text).map_err(Into::into))
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;

    use super::*;
    use crate::discovery::tests::me;

    /// Guards against waiting for ever, and decides nothing else.
    const SOON: Duration = Duration::from_secs(60);

    /// Watches, told of changes only: it never polls.
    fn told(path: &Path) -> BoxStream<'static, Finding> {
        Box::new(File::new(path).every(Duration::from_secs(3600))).watch(me())
    }

    async fn found(stream: &mut BoxStream<'static, Finding>) -> Result<Vec<String>, String> {
        let finding = timeout(SOON, stream.next()).await.expect("found in time").expect("goes on");
        let shown = |addresses: Vec<Multiaddr>| {
            addresses.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        finding.map(shown).map_err(|error| error.to_string())
    }

    fn write(path: &Path, text: &str) {
        fs::write(path, text).expect("written");
    }

    #[tokio::test]
    async fn changes_are_found_however_they_are_made() {
        let folder = tempfile::tempdir().expect("a directory");
        let path = folder.path().join("contacts");
        let mut stream = told(&path);
        let error = found(&mut stream).await.expect_err("not there yet");
        assert!(error.contains("no contact file") && error.contains("contacts"), "{error}");

        write(&path, "a:1\n\n # birds\r\n/ip4/192.0.2.1/tcp/2 # a pond\r\na:1");
        let both = ["/dns/a/tcp/1", "/ip4/192.0.2.1/tcp/2"];
        assert_eq!(found(&mut stream).await.expect("appears"), both);

        let new = folder.path().join("new");
        write(&new, "b:1");
        fs::rename(&new, &path).expect("renamed");
        assert_eq!(found(&mut stream).await.expect("replaced"), ["/dns/b/tcp/1"]);

        fs::remove_file(&path).expect("removed");
        found(&mut stream).await.expect_err("gone");
        write(&path, "");
        assert!(found(&mut stream).await.expect("empty is no error").is_empty());
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn a_mounted_file_is_a_link_to_a_link() {
        use std::os::unix::fs::symlink;
        let folder = tempfile::tempdir().expect("a directory");
        let at = |name: &str| folder.path().join(name);
        for (name, text) in [("one", "a:1"), ("two", "b:1")] {
            fs::create_dir(at(name)).expect("made");
            write(&at(name).join("contacts"), text);
        }
        symlink("one", at("..data")).expect("linked");
        symlink("..data/contacts", at("contacts")).expect("linked");
        let mut stream = told(&at("contacts"));
        assert_eq!(found(&mut stream).await.expect("there"), ["/dns/a/tcp/1"]);
        symlink("two", at("..next")).expect("linked");
        fs::rename(at("..next"), at("..data")).expect("renamed");
        assert_eq!(found(&mut stream).await.expect("swapped"), ["/dns/b/tcp/1"]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_poll_finds_what_nobody_tells() {
        let folder = tempfile::tempdir().expect("a directory");
        let parent = folder.path().join("not/yet");
        let path = parent.join("contacts");
        let poll = Duration::from_millis(20);
        let mut stream = Box::new(File::new(&path).every(poll)).watch(me());
        found(&mut stream).await.expect_err("not there yet");
        fs::create_dir_all(&parent).expect("made");
        write(&path, "a:1");
        assert_eq!(found(&mut stream).await.expect("appears"), ["/dns/a/tcp/1"]);
        // The same again is no news, however often it looks.
        write(&path, "a:1 # again");
        assert!(timeout(poll * 10, stream.next()).await.is_err());
    }

    #[tokio::test]
    async fn bad_lines_are_named_and_good_ones_found() {
        let folder = tempfile::tempdir().expect("a directory");
        let path = folder.path().join("contacts");
        fs::write(&path, b"\xef\xbb\xbfa:1\nstarling\nb:1\n\xff\n").expect("written");
        let mut stream = told(&path);
        let error = found(&mut stream).await.expect_err("bad lines");
        for word in ["contacts\"", "line 2: \"starling\"", "line 4: not UTF-8"] {
            assert!(error.contains(word), "{word}: {error}");
        }
        assert_eq!(found(&mut stream).await.expect("good"), ["/dns/a/tcp/1", "/dns/b/tcp/1"]);

        write(&path, &"x\n".repeat(100));
        let error = found(&mut stream).await.expect_err("bad lines");
        assert!(error.contains("and 92 more") && error.len() < 4000, "{error}");
        assert!(found(&mut stream).await.expect("none good").is_empty());
    }

    #[tokio::test]
    async fn files_are_bounded() {
        let folder = tempfile::tempdir().expect("a directory");
        let path = folder.path().join("contacts");
        let mut text = String::new();
        for port in 1..=2000 {
            writeln!(text, "a:{port}").expect("written");
        }
        write(&path, &text);
        let mut stream = told(&path);
        let error = found(&mut stream).await.expect_err("too many");
        assert!(error.contains("line 1025: more than 1024"), "{error}");
        assert_eq!(found(&mut stream).await.expect("the first").len(), 1024);

        write(&path, &"#".repeat(1 << 20));
        assert!(found(&mut stream).await.expect("just small enough").is_empty());
        write(&path, &"#".repeat((1 << 20) + 1));
        assert!(found(&mut stream).await.expect_err("too large").contains("1048576"));
        let error = found(&mut told(folder.path())).await.expect_err("a directory");
        assert!(error.contains("not a regular file"), "{error}");
    }

    #[cfg(unix)]
    #[test]
    fn a_pipe_is_not_waited_for() {
        let folder = tempfile::tempdir().expect("a directory");
        let path = folder.path().join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&path).status().expect("mkfifo runs");
        assert!(made.success());
        let (send, receive) = std::sync::mpsc::channel();
        std::thread::spawn(move || send.send(read(&path).error));
        let error = receive.recv_timeout(SOON).expect("read at once");
        assert!(matches!(error, Some(FileError::NotAFile(_))), "{error:?}");
    }
}
