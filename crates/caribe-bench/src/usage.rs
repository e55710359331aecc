//! What threads and processes use, as the kernel counts it.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};

/// A process, or one thread of this one.
#[derive(Debug, Clone)]
pub(crate) enum Used {
    /// A process with all its threads, those that have ended included.
    Process(PathBuf),
    /// A thread.
    Thread(PathBuf),
    /// A process of one thread, with its children, which are the same.
    Family(u32),
}

impl Used {
    /// A process.
    pub(crate) fn by_process(pid: u32) -> Used {
        Used::Process(PathBuf::from(format!("/proc/{pid}/stat")))
    }

    /// The threads of this process with that name: where their accounts are.
    pub(crate) fn threads(name: &str) -> Result<BTreeSet<PathBuf>> {
        let mut threads = BTreeSet::new();
        for task in fs::read_dir("/proc/self/task").context("cannot list threads")? {
            let path = task?.path();
            // A thread may end between the two looks.
            if fs::read_to_string(path.join("comm")).is_ok_and(|comm| comm.trim_end() == name) {
                threads.insert(path.join("schedstat"));
            }
        }
        Ok(threads)
    }

    /// Time on a processor so far; that of a process comes in hundredths of a second.
    pub(crate) fn processor_time(&self) -> Result<Duration> {
        match self {
            Used::Process(path) => read(path, of_process),
            Used::Thread(path) => read(path, of_thread),
            Used::Family(pid) => {
                let account = |pid| PathBuf::from(format!("/proc/{pid}/schedstat"));
                let times = family(*pid)?.into_iter().map(account);
                times.map(|path| read(&path, of_thread)).sum()
            }
        }
    }
}

/// A process and its children.
pub(crate) fn family(pid: u32) -> Result<Vec<u32>> {
    let path = format!("/proc/{pid}/task/{pid}/children");
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
    let children = text.split_whitespace().map(str::parse);
    let children: Result<Vec<u32>, _> = children.collect();
    let children = children.with_context(|| format!("{path} has no processes: {text}"))?;
    Ok([vec![pid], children].concat())
}

/// The times of an account.
fn read(path: &Path, times: impl Fn(&str) -> Option<Duration>) -> Result<Duration> {
    let text = fs::read_to_string(path);
    let text = text.with_context(|| format!("cannot read {}", path.display()))?;
    times(&text).with_context(|| format!("{} has no times: {text}", path.display()))
}

/// `utime` and `stime` of `stat`, in ticks, of which Linux has a hundred a second.
fn of_process(text: &str) -> Option<Duration> {
    // The name before the parenthesis may have anything in it.
    let (_, rest) = text.rsplit_once(')')?;
    let mut fields = rest.split_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(Duration::from_millis((user + system) * 10))
}

/// The first number of `schedstat`: nanoseconds on a processor.
fn of_thread(text: &str) -> Option<Duration> {
    let first = text.split(' ').next()?;
    Some(Duration::from_nanos(first.parse().ok()?))
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

/// Connections that this network namespace has begun so far.
pub(crate) fn connections() -> Result<u64> {
    const PATH: &str = "/proc/net/snmp";
    let text = fs::read_to_string(PATH).context("cannot count connections")?;
    of_tcp(&text, "ActiveOpens").with_context(|| format!("{PATH} has no count of connections"))
}

/// A number of TCP's line of `/proc/net/snmp`, above which stands a line of names.
fn of_tcp(text: &str, name: &str) -> Option<u64> {
    let mut lines = text.lines().filter(|line| line.starts_with("Tcp:"));
    let (names, numbers) = (lines.next()?, lines.next()?);
    let place = names.split(' ').position(|found| found == name)?;
    numbers.split(' ').nth(place)?.parse().ok()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_accounts_are_read() {
        let stat = "7 (a) b) S 1 7 7 0 -1 4194560 100 0 3 0 250 50 0 0 20 0 5 0 99 0";
        assert_eq!(of_process(stat), Some(Duration::from_secs(3)));
        assert_eq!(of_thread("1500 20 3\n"), Some(Duration::from_nanos(1500)));
        assert_eq!(of_process("7 (a) S 1"), None);
        assert_eq!(of_thread(""), None);
        let snmp = "Ip: Forwarding\nIp: 1\nTcp: MaxConn ActiveOpens PassiveOpens\nTcp: -1 70 9\n";
        assert_eq!(of_tcp(snmp, "ActiveOpens"), Some(70));
        assert_eq!(of_tcp(snmp, "Forwarding"), None);
    }
}
