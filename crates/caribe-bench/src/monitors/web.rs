//! The servers of HTTP checks: nginx on every address of their host. Its log says who was asked
//! for and when.

use std::fs;
use std::io::{Read, Seek, SeekFrom};
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use caribe_lab::wait::pause;
use caribe_lab::{Host, Process};

use super::bed::{PORT, number, server};
use super::intervals::Arrival;

/// How long nginx may keep lines of its log to itself, and what we add to that.
const FLUSH: Duration = Duration::from_millis(200);

/// The running nginx; ends when dropped.
pub(crate) struct Web {
    log: PathBuf,
    _process: Process,
}

/// Where a recording began: in the log, and in time since 1970.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Begin {
    offset: u64,
    moment: Duration,
}

impl Web {
    pub(crate) fn start(director: &Host, host: &Host, processor: usize) -> Result<Web> {
        let prefix = host.file("nginx");
        fs::create_dir_all(&prefix).context("cannot make nginx's directory")?;
        let log = prefix.join("checks.log");
        let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .iter()
            .map(|kind| format!("    {kind}_temp_path {kind};\n"))
            .collect();
        let text = format!(
            "daemon off;
user root;
worker_processes 1;
pid nginx.pid;
error_log stderr warn;
events {{ worker_connections 16384; }}
http {{
    log_format check '$msec $server_addr';
    access_log {} check buffer=64k flush={}ms;
{temporary}    server {{
        listen {PORT} backlog=65535;
        location / {{ return 200 \"good\\n\"; }}
    }}
}}
",
            log.display(),
            FLUSH.as_millis(),
        );
        let file = prefix.join("nginx.conf");
        fs::write(&file, text).context("cannot write nginx's configuration")?;
        let process = host
            .command("taskset")
            .package("util-linux")
            .args(["--cpu-list", &processor.to_string(), "nginx", "-p"])
            .arg(&prefix)
            .arg("-c")
            .arg(&file)
            .args(["-e", "stderr"])
            .spawn()?;
        director.wait_until_connects(server(0), Duration::from_secs(10))?;
        Ok(Web {
            log,
            _process: process,
        })
    }

    /// Begins to record.
    pub(crate) fn begin(&self) -> Result<Begin> {
        Ok(Begin {
            offset: fs::metadata(&self.log).map_or(0, |log| log.len()),
            moment: since_1970(),
        })
    }

    /// Ends the recording: the checks in order of time, and how long it was.
    pub(crate) fn end(&self, begin: Begin) -> Result<(Vec<Arrival>, Duration)> {
        let length = since_1970().saturating_sub(begin.moment);
        pause(FLUSH * 3);
        let context = || format!("cannot read {}", self.log.display());
        let mut file = fs::File::open(&self.log).with_context(context)?;
        file.seek(SeekFrom::Start(begin.offset))
            .with_context(context)?;
        let mut text = String::new();
        file.read_to_string(&mut text).with_context(context)?;
        let mut arrivals = Vec::new();
        for line in text.lines() {
            let arrival = arrival(line, begin.moment)
                .with_context(|| format!("nginx's log has a line `{line}`"))?;
            // What came before the beginning may have been written after it.
            arrivals.extend(arrival.filter(|arrival| arrival.at < length));
        }
        arrivals.sort_by_key(|arrival| arrival.at);
        Ok((arrivals, length))
    }
}

/// Reads a line of the log, e.g. `1700000000.123 10.96.0.7`; the inner `None` is a check from
/// before the beginning.
fn arrival(line: &str, begin: Duration) -> Option<Option<Arrival>> {
    let (moment, address) = line.split_once(' ')?;
    let (seconds, milliseconds) = moment.split_once('.')?;
    let moment = Duration::from_secs(seconds.parse().ok()?)
        + Duration::from_millis(milliseconds.parse().ok()?);
    let address: Ipv4Addr = address.parse().ok()?;
    Some(moment.checked_sub(begin).map(|at| Arrival {
        target: number(address),
        at,
    }))
}

#[expect(
    clippy::disallowed_methods,
    reason = "nginx's log has the wall clock's time"
)]
fn since_1970() -> Duration {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_the_log_is_a_check() {
        let begin = Duration::from_millis(1_000_500);
        let read = |line| arrival(line, begin);
        let second = Arrival {
            target: 258,
            at: Duration::from_millis(1500),
        };
        assert_eq!(read("1002.000 10.96.1.2"), Some(Some(second)));
        assert_eq!(read("1000.499 10.96.1.2"), Some(None));
        assert_eq!(read("1002.000"), None);
        assert_eq!(read("now 10.96.1.2"), None);
    }
}
