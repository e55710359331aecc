//! What threads and processes use, as the kernel counts it.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};

/// A process, or one thread of this one.
#[derive(Debug, Clone)]
pub(crate) struct Used(PathBuf);

impl Used {
    /// A process with all its threads.
    pub(crate) fn by_process(pid: u32) -> Used {
        Used(PathBuf::from(format!("/proc/{pid}/task")))
    }

    /// The thread of this process with that name.
    pub(crate) fn by_thread(name: &str) -> Result<Used> {
        for task in fs::read_dir("/proc/self/task").context("cannot list threads")? {
            let path = task?.path();
            // A thread may end between the two looks.
            if fs::read_to_string(path.join("comm")).is_ok_and(|comm| comm.trim_end() == name) {
                return Ok(Used(path));
            }
        }
        anyhow::bail!("this process has no thread `{name}`")
    }

    /// Time on a processor so far.
    pub(crate) fn processor_time(&self) -> Result<Duration> {
        if self.0.ends_with("task") {
            let mut sum = Duration::ZERO;
            for task in fs::read_dir(&self.0).with_context(|| self.context())? {
                sum += time_of(&task?.path())?;
            }
            return Ok(sum);
        }
        time_of(&self.0)
    }

    fn context(&self) -> String {
        format!("cannot read {}", self.0.display())
    }
}

/// The first number of `schedstat`: nanoseconds on a processor.
fn time_of(task: &Path) -> Result<Duration> {
    let path = task.join("schedstat");
    let context = || format!("cannot read {}", path.display());
    let text = fs::read_to_string(&path).with_context(context)?;
    let first = text.split(' ').next().unwrap_or_default();
    Ok(Duration::from_nanos(first.parse().with_context(context)?))
}

/// KiB of memory that a process has; 0 is this one.
pub(crate) fn resident(pid: u32) -> Result<u64> {
    status(pid, "VmRSS:")
}

/// KiB of memory that this process shares with no file and no map.
pub(crate) fn private() -> Result<u64> {
    status(0, "RssAnon:")
}

/// A number of KiB from the kernel's account of a process.
fn status(pid: u32, field: &str) -> Result<u64> {
    let process = match pid {
        0 => "self".to_owned(),
        pid => pid.to_string(),
    };
    let path = format!("/proc/{process}/status");
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
    let line = text.lines().find_map(|line| line.strip_prefix(field));
    let number = line.and_then(|line| line.trim().strip_suffix(" kB"));
    let number = number.with_context(|| format!("{path} has no {field}"))?;
    let context = || format!("{field} of {path}");
    number.trim().parse().with_context(context)
}

/// Sockets that this process has open.
pub(crate) fn sockets() -> Result<usize> {
    let mut count = 0;
    for file in fs::read_dir("/proc/self/fd").context("cannot list open files")? {
        // It may be closed between the two looks.
        let target = fs::read_link(file?.path());
        count += usize::from(target.is_ok_and(|to| to.to_string_lossy().starts_with("socket:")));
    }
    Ok(count)
}
