//! The runtime directory, and the lock that keeps a second director away.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use nix::fcntl::{Flock, FlockArg};

use super::{ControlPaths, DirectorError};

/// The runtime directory of one director, locked for as long as this lives.
#[derive(Debug)]
pub(super) struct RuntimeDir {
    path: PathBuf,
    _lock: Flock<File>,
}

impl RuntimeDir {
    /// Makes the directory if need be, and locks it.
    pub(super) fn lock(path: &Path) -> Result<Self, DirectorError> {
        fs::create_dir_all(path).map_err(failed("create directory", path))?;
        let file = path.join("caribe.lock");
        let mut open = OpenOptions::new();
        open.read(true).write(true).create(true).truncate(false);
        let opened = open
            .mode(0o644)
            .open(&file)
            .map_err(failed("open lock file", &file))?;
        match Flock::lock(opened, FlockArg::LockExclusiveNonblock) {
            Ok(mut lock) => {
                // For people, and for the message of the next director.
                let noted = lock
                    .set_len(0)
                    .and_then(|()| lock.rewind())
                    .and_then(|()| writeln!(lock, "{}", std::process::id()));
                noted.map_err(failed("write lock file", &file))?;
                Ok(RuntimeDir {
                    path: path.to_owned(),
                    _lock: lock,
                })
            }
            Err((mut held, nix::errno::Errno::EWOULDBLOCK)) => {
                let mut pid = String::new();
                // Without a readable process id the message just does not name it.
                let pid = match held.read_to_string(&mut pid) {
                    Ok(_) => pid.trim().parse().ok(),
                    Err(_) => None,
                };
                Err(DirectorError::Locked {
                    path: path.to_owned(),
                    pid,
                })
            }
            Err((_, error)) => Err(failed("lock", &file)(error.into())),
        }
    }

    /// The socket that status and listing come from.
    pub(super) fn control(&self) -> PathBuf {
        ControlPaths::in_runtime_dir(&self.path).socket
    }

    /// Where own addresses are remembered.
    pub(super) fn memory(&self) -> PathBuf {
        self.path.join("addresses.json")
    }
}

fn failed(action: &'static str, path: &Path) -> impl Fn(std::io::Error) -> DirectorError {
    let path = path.to_owned();
    move |source| DirectorError::RuntimeDir {
        action,
        path: path.clone(),
        source,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_lock_is_refused_and_names_the_first() {
        let directory = tempfile::tempdir().expect("a directory");
        let first = RuntimeDir::lock(directory.path()).expect("free");
        let error = RuntimeDir::lock(directory.path()).expect_err("taken");
        assert_eq!(
            error.to_string(),
            format!(
                "another director (process {}) uses {}: stop it, or give this one a directory of \
                 its own with --runtime-dir",
                std::process::id(),
                directory.path().display()
            )
        );
        drop(first);
        RuntimeDir::lock(directory.path()).expect("free again");
    }
}
