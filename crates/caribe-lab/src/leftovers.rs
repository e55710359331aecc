//! Taking a lab down from what it left on disk: used by its owner, and by the next lab when the
//! owner was killed.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::errno::Errno;
use nix::mount::{MntFlags, umount2};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::{LabError, namespace, wait};

/// Every lab keeps a directory here, with its logs, its bpffs and the mark of its owner.
pub(crate) const DIRECTORY: &str = "/run/caribe-lab";

/// The file in a lab's directory that names the process which owns it.
pub(crate) const OWNER: &str = "owner";

/// Mount point of the lab's own bpffs, below its directory.
pub(crate) const BPFFS: &str = "bpf";

/// What every namespace of the lab `id` has before its host's name.
pub(crate) fn namespace_prefix(id: &str) -> String {
    format!("caribe-{id}-")
}

/// A process, safe against the reuse of its number: number and start time.
pub(crate) fn process_mark(pid: u32) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name may hold blanks and parentheses; fields are counted from its end.
    let fields = &stat[stat.rfind(')')? + 1..];
    let state = fields.split_whitespace().next()?;
    let start_time = fields.split_whitespace().nth(19)?;
    (state != "Z").then(|| format!("{pid} {start_time}"))
}

/// Removes every lab whose owner is dead. Gives the names of those removed.
///
/// # Errors
///
/// Reports the first lab that could not be removed; the others are gone.
pub(crate) fn remove_dead_labs() -> Result<Vec<String>, LabError> {
    let entries = match fs::read_dir(DIRECTORY) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(LabError::io(format!("list {DIRECTORY}"))(error)),
    };
    let mut removed = Vec::new();
    let mut outcome = Ok(());
    for entry in entries {
        let entry = entry.map_err(LabError::io(format!("list {DIRECTORY}")))?;
        let Ok(id) = entry.file_name().into_string() else {
            continue;
        };
        if owner_is_dead(&entry.path()) {
            tracing::info!(lab = %id, "removing what a killed lab left behind");
            match remove(&id) {
                Ok(()) => removed.push(id),
                Err(error) => outcome = outcome.and(Err(error)),
            }
        }
    }
    outcome.map(|()| removed)
}

/// True when the directory's owner is known and gone. A directory vanishing meanwhile is being
/// removed by somebody else.
fn owner_is_dead(directory: &Path) -> bool {
    let Ok(mark) = fs::read_to_string(directory.join(OWNER)) else {
        return false;
    };
    let pid = mark.split_whitespace().next();
    match pid.and_then(|pid| pid.parse().ok()) {
        Some(pid) => process_mark(pid).as_deref() != Some(mark.trim()),
        None => true,
    }
}

/// Takes the lab `id` down: its processes, its bpffs with every pin in it, its namespaces, its
/// directory.
///
/// # Errors
///
/// Reports what could not be removed; the rest is gone.
pub(crate) fn remove(id: &str) -> Result<(), LabError> {
    let directory = Path::new(DIRECTORY).join(id);
    let namespaces = namespaces(id)?;
    let processes = end_processes(&namespaces);
    let bpffs = unmount(&directory.join(BPFFS));
    // Every one is tried, whatever became of the one before.
    let mut removed = Ok(());
    for path in &namespaces {
        removed = removed.and(namespace::remove(path));
    }
    processes.and(bpffs).and(removed)?;
    match fs::remove_dir_all(&directory) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(LabError::io(format!(
            "remove {}",
            directory.display()
        ))(error)),
        _ => Ok(()),
    }
}

/// The files of the lab's namespaces.
fn namespaces(id: &str) -> Result<Vec<PathBuf>, LabError> {
    let entries = match fs::read_dir(namespace::DIRECTORY) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => {
            return Err(LabError::io(format!("list {}", namespace::DIRECTORY))(
                error,
            ));
        }
    };
    let prefix = namespace_prefix(id);
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry.map_err(LabError::io(format!("list {}", namespace::DIRECTORY)))?;
        // The host's name holds no dash, so `a-1-2` is not taken for a part of lab `a-1`.
        let name = entry.file_name();
        let host = name.to_str().and_then(|name| name.strip_prefix(&prefix));
        if host.is_some_and(|host| !host.contains('-')) {
            found.push(entry.path());
        }
    }
    Ok(found)
}

/// Kills whatever still runs in the namespaces, by pid, until nothing does.
fn end_processes(namespaces: &[PathBuf]) -> Result<(), LabError> {
    let identities: Vec<_> = namespaces
        .iter()
        .filter_map(|path| namespace::identity(path))
        .collect();
    wait::until(
        "the lab's processes to end",
        Duration::from_secs(10),
        || {
            let running = processes_in(&identities);
            for pid in &running {
                match kill(*pid, Signal::SIGKILL) {
                    Ok(()) | Err(Errno::ESRCH) => {}
                    Err(error) => return Err(format!("cannot kill {pid}: {error}")),
                }
            }
            if running.is_empty() {
                Ok(())
            } else {
                Err(format!("still there: {running:?}"))
            }
        },
    )
}

/// Processes inside one of the namespaces, this one excepted. Those that have ended and only
/// wait to be reaped have no namespace any more.
fn processes_in(identities: &[(u64, u64)]) -> Vec<Pid> {
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<i32>().ok())
        .filter(|pid| *pid != Pid::this().as_raw())
        .filter(|pid| {
            namespace::identity(Path::new(&format!("/proc/{pid}/ns/net")))
                .is_some_and(|identity| identities.contains(&identity))
        })
        .map(Pid::from_raw)
        .collect()
}

/// Unmounts the lab's bpffs, if there is one.
fn unmount(path: &Path) -> Result<(), LabError> {
    match umount2(path, MntFlags::MNT_DETACH) {
        Ok(()) | Err(Errno::EINVAL | Errno::ENOENT) => Ok(()),
        Err(error) => Err(LabError::errno(format!("unmount {}", path.display()))(
            error,
        )),
    }
}
