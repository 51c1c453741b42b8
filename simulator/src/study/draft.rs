//! Files that appear when they are complete. Until then the previous file stays.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

/// A file that is being written, beside where it is to be.
#[derive(Debug)]
pub(crate) struct Draft {
    path: PathBuf,
    /// Where it is written, if not in its place: a device or a pipe is one already.
    beside: Option<PathBuf>,
}

impl Draft {
    /// Begins one.
    ///
    /// # Errors
    /// If it cannot be created.
    pub(crate) fn create(path: &Path) -> io::Result<(Self, File)> {
        let (path, beside) = match path.canonicalize() {
            Ok(path) if !path.is_file() => (path, None),
            // A link stays one.
            Ok(path) => (path.clone(), Some(beside(&path))),
            Err(_) => (path.to_owned(), Some(beside(path))),
        };
        let file = File::create(beside.as_ref().unwrap_or(&path))?;
        Ok((Self { path, beside }, file))
    }

    /// Puts it in its place.
    ///
    /// # Errors
    /// If it cannot be moved there.
    pub(crate) fn finish(mut self) -> io::Result<()> {
        match self.beside.take() {
            Some(beside) => std::fs::rename(beside, &self.path),
            None => Ok(()),
        }
    }
}

/// It was not finished: remove it.
impl Drop for Draft {
    fn drop(&mut self) {
        if let Some(beside) = &self.beside {
            // It is in nobody's way.
            let _ = std::fs::remove_file(beside);
        }
    }
}

fn beside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    name.into()
}
