//! One kernel network namespace, kept alive by a file under `/run/netns`.

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::thread;

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, setns, unshare};

use crate::LabError;

/// Where `ip netns` looks for namespaces, so that a user can enter them by name.
pub(crate) const DIRECTORY: &str = "/run/netns";

/// A handle on a namespace; the lab that made it removes it.
#[derive(Debug, Clone)]
pub(crate) struct Namespace {
    name: String,
}

impl Namespace {
    /// Makes a namespace and its file.
    pub(crate) fn create(name: String) -> Result<Namespace, LabError> {
        prepare_directory()?;
        let namespace = Namespace { name };
        let path = namespace.path();
        File::create_new(&path).map_err(LabError::io(format!("create {}", path.display())))?;
        on_a_thread(|| {
            unshare(CloneFlags::CLONE_NEWNET).map_err(LabError::errno(format!(
                "make network namespace {}",
                namespace.name
            )))?;
            // Resolved by the thread that does the mounting: its own, new namespace.
            mount(
                Some("/proc/thread-self/ns/net"),
                &path,
                None::<&str>,
                MsFlags::MS_BIND,
                None::<&str>,
            )
            .map_err(LabError::errno(format!("keep {}", path.display())))
        })?;
        Ok(namespace)
    }

    /// Its name, as `ip netns` shows it.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The file that keeps it.
    pub(crate) fn path(&self) -> PathBuf {
        Path::new(DIRECTORY).join(&self.name)
    }

    /// An open handle, for netlink messages that name a namespace.
    pub(crate) fn open(&self) -> Result<File, LabError> {
        let path = self.path();
        File::open(&path).map_err(LabError::io(format!("open {}", path.display())))
    }

    /// Runs `work` on a fresh thread inside the namespace. Sockets made and children spawned
    /// there stay in the namespace for life, wherever they are used from.
    pub(crate) fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T, LabError> {
        let file = self.open()?;
        on_a_thread(|| {
            setns(&file, CloneFlags::CLONE_NEWNET)
                .map_err(LabError::errno(format!("enter {}", self.path().display())))?;
            Ok(work())
        })
    }
}

/// Makes the directory a shared mount of its own, as `ip netns add` does. If the lab did not, the
/// next `ip netns add` would mount the directory over itself with all namespaces in it, and
/// those below could not be removed any more.
fn prepare_directory() -> Result<(), LabError> {
    let failed = || format!("prepare {DIRECTORY}");
    fs::create_dir_all(DIRECTORY).map_err(LabError::io(failed()))?;
    let directory = File::open(DIRECTORY).map_err(LabError::io(failed()))?;
    // The lock that `ip netns add` takes for the same.
    let _lock = Flock::lock(directory, FlockArg::LockExclusive)
        .map_err(|(_, error)| LabError::errno(failed())(error))?;
    let share = || {
        let flags = MsFlags::MS_SHARED | MsFlags::MS_REC;
        mount(None::<&str>, DIRECTORY, None::<&str>, flags, None::<&str>)
    };
    match share() {
        // It is no mount yet.
        Err(Errno::EINVAL) => {
            let flags = MsFlags::MS_BIND | MsFlags::MS_REC;
            mount(
                Some(DIRECTORY),
                DIRECTORY,
                None::<&str>,
                flags,
                None::<&str>,
            )
            .and_then(|()| share())
        }
        outcome => outcome,
    }
    .map_err(LabError::errno(failed()))
}

/// Runs `work` on a thread of its own, so that the caller's namespace stays as it is; a panic
/// goes on in the caller.
fn on_a_thread<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    thread::scope(|scope| match scope.spawn(work).join() {
        Ok(value) => value,
        Err(panic) => std::panic::resume_unwind(panic),
    })
}

/// Removes a namespace's file; the namespace ends with its last process. One that is already
/// gone is fine: two labs may clean up the same leftover.
pub(crate) fn remove(path: &Path) -> Result<(), LabError> {
    match umount2(path, MntFlags::MNT_DETACH) {
        Ok(()) | Err(Errno::EINVAL | Errno::ENOENT) => {}
        Err(error) => {
            return Err(LabError::errno(format!("unmount {}", path.display()))(
                error,
            ));
        }
    }
    match fs::remove_file(path) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(LabError::io(format!("remove {}", path.display()))(error)),
    }
}

/// What makes a namespace unique: device and inode of its file.
pub(crate) fn identity(path: &Path) -> Option<(u64, u64)> {
    let metadata = fs::metadata(path).ok()?;
    Some((metadata.dev(), metadata.ino()))
}
