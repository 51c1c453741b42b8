//! Where the admin socket is, and how it gets there.
//!
//! Whoever can open it commands the node, so it has mode 0600, and it never exists with another: it
//! is made in a private directory beside its place and moved there.

use std::io;
use std::os::unix::fs::{
    DirBuilderExt as _, FileTypeExt as _, MetadataExt as _, PermissionsExt as _,
};
use std::path::{Path, PathBuf};

use tokio::net::{UnixListener, UnixStream};

const NAME: &str = "admin.sock";

/// The user this process runs as.
fn user() -> Option<u32> {
    // What a process is in /proc belongs to its user; elsewhere a new file does.
    let own = std::fs::metadata("/proc/self").map(|own| own.uid());
    own.or_else(|_| tempfile::tempfile()?.metadata().map(|own| own.uid())).ok()
}

fn runtime_directory() -> Option<PathBuf> {
    let directory = PathBuf::from(std::env::var_os("XDG_RUNTIME_DIR")?);
    directory.is_dir().then(|| directory.join("murmurate"))
}

fn own_in_tmp() -> Option<PathBuf> {
    Some(PathBuf::from(format!("/tmp/murmurate-{}", user()?)))
}

const SYSTEM: &str = "/run/murmurate";

/// Where a node's socket is if it was not said.
pub(crate) fn default_for_node() -> io::Result<PathBuf> {
    let system = (user() == Some(0) && Path::new("/run").is_dir()) || Path::new(SYSTEM).is_dir();
    let directory = runtime_directory()
        .or_else(|| system.then(|| SYSTEM.into()))
        .or_else(own_in_tmp)
        .ok_or_else(|| io::Error::other("no directory for it: say where with --admin"))?;
    if !directory.exists() {
        std::fs::DirBuilder::new().mode(0o700).create(&directory)?;
    }
    if directory.starts_with("/tmp") && !is_own(&directory) {
        let why =
            format!("{} belongs to somebody else: say where with --admin", directory.display());
        return Err(io::Error::other(why));
    }
    Ok(directory.join(NAME))
}

/// A directory in a place that anybody can write to is used only if nobody else can write to it.
fn is_own(directory: &Path) -> bool {
    let is_own = |found: std::fs::Metadata| {
        found.is_dir() && Some(found.uid()) == user() && found.mode() & 0o077 == 0
    };
    std::fs::symlink_metadata(directory).is_ok_and(is_own)
}

/// Where to look for a node's socket if it was not said.
pub(crate) fn default_for_client() -> Option<PathBuf> {
    let system = Some(PathBuf::from(SYSTEM));
    let own = own_in_tmp().filter(|directory| is_own(directory));
    let places = [runtime_directory(), system, own];
    places.into_iter().flatten().map(|directory| directory.join(NAME)).find(|path| path.exists())
}

/// A listener whose file goes with it.
#[derive(Debug)]
pub(crate) struct Socket {
    pub(crate) listener: UnixListener,
    pub(crate) path: PathBuf,
    /// The file, so that another node's is left alone.
    inode: u64,
}

impl Socket {
    /// Listens on `path`. A file there is replaced only if it is a socket on which nobody answers.
    pub(crate) async fn bind(path: &Path) -> Result<Self, String> {
        let failed = |error: io::Error| format!("cannot listen on {}: {error}", path.display());
        match std::fs::symlink_metadata(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(failed(error)),
            Ok(found) if !found.file_type().is_socket() => {
                return Err(failed(io::Error::other("a file that is not a socket is there")));
            }
            Ok(_) => match UnixStream::connect(path).await {
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {}
                Err(error) => return Err(failed(error)),
                Ok(_) => return Err(failed(io::Error::other("another node answers there"))),
            },
        }
        Self::make(path).map_err(failed)
    }

    fn make(path: &Path) -> io::Result<Self> {
        let beside = match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        // Made with mode 0700.
        let private = tempfile::Builder::new().prefix(".").rand_bytes(6).tempdir_in(beside)?;
        let made = private.path().join("s");
        let listener = UnixListener::bind(&made)?;
        std::fs::set_permissions(&made, std::fs::Permissions::from_mode(0o600))?;
        let inode = std::fs::metadata(&made)?.ino();
        std::fs::rename(&made, path)?;
        let path = std::path::absolute(path)?;
        Ok(Self { listener, path, inode })
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        if std::fs::symlink_metadata(&self.path).is_ok_and(|found| found.ino() == self.inode) {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_socket_is_private_replaces_only_dead_ones_and_goes_with_its_owner() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a.sock");
        let one = Socket::bind(&path).await.expect("bound");
        let mode = std::fs::metadata(&path).expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let error = Socket::bind(&path).await.expect_err("in use");
        assert!(error.ends_with("another node answers there"), "{error}");
        // Killed: the file stays.
        let inode = one.inode;
        std::mem::forget(one.path.clone());
        let dead = folder.path().join("dead.sock");
        drop(std::os::unix::net::UnixListener::bind(&dead).expect("bound"));
        assert!(dead.exists());
        let two = Socket::bind(&dead).await.expect("nobody answers there");
        assert_ne!(two.inode, inode);
        drop(two);
        assert!(!dead.exists());
        // Somebody else's file is left alone.
        std::fs::remove_file(&path).expect("removed");
        std::fs::write(&path, "mine").expect("written");
        let error = Socket::bind(&path).await.expect_err("a file");
        assert!(error.ends_with("a file that is not a socket is there"), "{error}");
        drop(one);
        assert!(path.exists());
        let left = std::fs::read_dir(folder.path()).expect("readable").count();
        assert_eq!(left, 1, "nothing is left behind");
    }
}
