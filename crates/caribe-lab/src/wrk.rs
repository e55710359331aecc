//! wrk as a client: as many requests as possible.

use std::time::Duration;

use crate::{Host, LabError};

/// A run of wrk.
#[derive(Debug, Clone)]
pub struct Wrk {
    connections: u32,
    close: bool,
}

/// What wrk counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct WrkReport {
    /// Answers received.
    pub requests: u64,
    /// Answers with a status that is no success.
    pub bad_status: u64,
    /// Connections that could not be made.
    pub connect_errors: u64,
    /// Connections that broke while an answer was awaited.
    pub read_errors: u64,
    /// Connections that broke while a request was sent.
    pub write_errors: u64,
    /// Requests without an answer in time.
    pub timeouts: u64,
}

impl WrkReport {
    /// Everything that is not a good answer.
    pub fn failures(&self) -> u64 {
        self.bad_status + self.connect_errors + self.read_errors + self.write_errors + self.timeouts
    }
}

impl Wrk {
    /// wrk with this many connections at once, kept for many requests each.
    pub fn new(connections: u32) -> Wrk {
        Wrk {
            connections,
            close: false,
        }
    }

    /// A connection of its own for every request.
    pub fn connection_per_request(self) -> Wrk {
        Wrk {
            close: true,
            ..self
        }
    }

    /// Runs it on `host` for `time`, in whole seconds.
    ///
    /// # Errors
    ///
    /// Fails when wrk cannot run; failed requests are told in the report.
    pub fn run(&self, host: &Host, url: &str, time: Duration) -> Result<WrkReport, LabError> {
        let seconds = time.as_secs().max(1);
        let mut command = host
            .command("wrk")
            .args([
                "--threads",
                "1",
                "--connections",
                &self.connections.to_string(),
            ])
            .args(["--duration", &format!("{seconds}s"), "--timeout", "5s"])
            .time_limit(Duration::from_secs(seconds + 15));
        if self.close {
            command = command.args(["--header", "Connection: close"]);
        }
        parse(&command.arg(url).run()?)
    }
}

/// Reads wrk's report. It leaves out the lines of errors that did not happen.
fn parse(text: &str) -> Result<WrkReport, LabError> {
    let missing = |reason: &str| LabError::Output {
        program: "wrk",
        reason: reason.to_owned(),
        said: text.to_owned(),
    };
    let number = |word: &str| {
        word.parse::<u64>()
            .map_err(|_| missing("a count is not a number"))
    };
    let mut report = WrkReport::default();
    let mut seen = false;
    for line in text.lines().map(str::trim) {
        if let Some((count, _)) = line.split_once(" requests in ") {
            report.requests = number(count)?;
            seen = true;
        } else if let Some(count) = line.strip_prefix("Non-2xx or 3xx responses:") {
            report.bad_status = number(count.trim())?;
        } else if let Some(errors) = line.strip_prefix("Socket errors:") {
            for part in errors.split(',') {
                let (kind, count) = part
                    .trim()
                    .split_once(' ')
                    .ok_or_else(|| missing("a socket error has no count"))?;
                let count = number(count)?;
                match kind {
                    "connect" => report.connect_errors = count,
                    "read" => report.read_errors = count,
                    "write" => report.write_errors = count,
                    "timeout" => report.timeouts = count,
                    _ => return Err(missing("a socket error of an unknown kind")),
                }
            }
        }
    }
    if seen {
        Ok(report)
    } else {
        Err(missing("the number of requests is not there"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_with_errors_is_read() {
        let text = "Running 5s test @ http://10.1.0.200/
  1 threads and 10 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency   635.91us    0.89ms  12.92ms   93.69%
  22464 requests in 5.00s, 17.76MB read
  Socket errors: connect 1, read 2, write 3, timeout 4
  Non-2xx or 3xx responses: 5
Requests/sec:   4492.80
";
        let report = parse(text).expect("a report");
        assert_eq!(report.requests, 22464);
        assert_eq!(report.failures(), 15);
    }

    #[test]
    fn what_is_no_report_is_refused() {
        assert!(parse("unable to connect to 10.1.0.200:80").is_err());
    }
}
