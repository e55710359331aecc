//! curl as a client.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use crate::{Digest, Host, LabError};

/// curl on a host.
#[derive(Debug, Clone)]
pub struct Curl {
    host: Host,
    limit: Duration,
    /// Bytes per second.
    rate: Option<u32>,
}

/// The text of an answer.
pub type Body = String;

/// What came of many requests.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Burst {
    /// How often each body came, e.g. each server's name.
    pub answers: BTreeMap<Body, usize>,
    /// How often each failure came, as curl tells it: exit code, HTTP status, message.
    pub failures: BTreeMap<String, usize>,
}

impl Burst {
    /// Requests that were answered with success.
    pub fn answered(&self) -> usize {
        self.answers.values().sum()
    }

    /// Requests that were not.
    pub fn failed(&self) -> usize {
        self.failures.values().sum()
    }
}

/// Marks the line that curl writes after each transfer; no body holds it.
const MARK: &str = "\u{1}transfer ";

impl Curl {
    /// curl on `host`, with 5 s for each request.
    pub fn on(host: &Host) -> Curl {
        Curl {
            host: host.clone(),
            limit: Duration::from_secs(5),
            rate: None,
        }
    }

    /// At most so many bytes per second in each direction, for a transfer that takes its time.
    pub fn rate(self, bytes: u32) -> Curl {
        Curl {
            rate: Some(bytes),
            ..self
        }
    }

    /// How long a request may take.
    pub fn time_limit(self, limit: Duration) -> Curl {
        Curl { limit, ..self }
    }

    /// Gets `url`.
    ///
    /// # Errors
    ///
    /// [`LabError::Failed`] for anything but a status of success.
    pub fn get(&self, url: &str) -> Result<Body, LabError> {
        self.command(&["--fail", url]).run()
    }

    /// Gets `url` and gives the digest of its body, which may be of any size.
    ///
    /// # Errors
    ///
    /// As [`Curl::get`].
    pub fn digest(&self, url: &str) -> Result<Digest, LabError> {
        let mut digest = None;
        self.command(&["--fail", "--no-buffer", url])
            .stream(|from| {
                digest = Some(Digest::of(from)?);
                Ok(())
            })?;
        digest.ok_or_else(|| LabError::Output {
            program: "curl",
            reason: "no body was read".to_owned(),
            said: String::new(),
        })
    }

    /// Puts a file to `url`.
    ///
    /// # Errors
    ///
    /// As [`Curl::get`].
    pub fn put(&self, url: &str, file: &Path) -> Result<(), LabError> {
        let file = file.to_string_lossy();
        self.command(&["--fail", "--upload-file", &file, url])
            .run()
            .map(drop)
    }

    /// Gets `url` `count` times, each over a connection of its own, `at_once` at a time.
    ///
    /// # Errors
    ///
    /// Fails when curl itself cannot run, or tells of more or fewer requests than asked for;
    /// failed requests are told in the [`Burst`].
    pub fn burst(&self, url: &str, count: usize, at_once: usize) -> Result<Burst, LabError> {
        let count = count.max(1);
        let numbered = format!("{url}?[1-{count}]");
        let mark = format!("{MARK}%{{exitcode}} %{{http_code}} %{{errormsg}}\n");
        let parallel = at_once.clamp(1, 300).to_string();
        let mut arguments = vec!["--fail", "--header", "Connection: close"];
        arguments.extend(["--write-out", &mark]);
        if at_once > 1 {
            arguments.extend([
                "--parallel",
                "--parallel-immediate",
                "--parallel-max",
                &parallel,
            ]);
        }
        arguments.push(&numbered);
        // --silent: the failures are in what is written out. Its exit code is only the last one.
        let limit = Duration::from_secs(60).max(self.limit * 4);
        let finished = self.command(&arguments).time_limit(limit).finish()?;
        let burst = count_transfers(&finished.stdout);
        if burst.answered() + burst.failed() == count {
            return Ok(burst);
        }
        Err(LabError::Output {
            program: "curl",
            reason: format!("told of {burst:?}, not of {count} requests"),
            said: finished.stderr,
        })
    }

    fn command(&self, arguments: &[&str]) -> crate::Command {
        let seconds = self.limit.as_secs_f64().to_string();
        // --noproxy: a test's environment must not send its requests elsewhere. --globoff is not
        // for bursts, and URLs of IPv6 pass curl's globbing unharmed.
        let rate = self.rate.map(|bytes| bytes.to_string());
        let rate = rate.iter().flat_map(|rate| ["--limit-rate", rate]);
        self.host
            .command("curl")
            .args(rate)
            .args([
                "--silent",
                "--show-error",
                "--noproxy",
                "*",
                "--max-time",
                &seconds,
            ])
            .args(arguments)
            .time_limit(self.limit + Duration::from_secs(5))
    }
}

/// Reads what the transfers wrote: a body of one line where there was one, then the mark.
fn count_transfers(text: &str) -> Burst {
    let mut burst = Burst::default();
    let mut answered = BTreeMap::<Body, usize>::new();
    for line in text.lines() {
        match line.split_once(MARK) {
            None => *answered.entry(line.to_owned()).or_default() += 1,
            Some((body, told)) => {
                if !body.is_empty() {
                    *answered.entry(body.to_owned()).or_default() += 1;
                }
                if !told.starts_with("0 2") {
                    *burst.failures.entry(told.to_owned()).or_default() += 1;
                }
            }
        }
    }
    burst.answers = answered;
    burst
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_and_failures_are_told_apart() {
        let text = "web1\n\u{1}transfer 0 200 \nweb2\u{1}transfer 0 200 \nweb1\n\
                    \u{1}transfer 0 200 \n\u{1}transfer 7 000 Failed to connect\n\
                    \u{1}transfer 22 502 The requested URL returned error: 502\n";
        let burst = count_transfers(text);
        assert_eq!(burst.answers["web1"], 2);
        assert_eq!(burst.answers["web2"], 1);
        assert_eq!(burst.answered(), 3);
        assert_eq!(burst.failures["7 000 Failed to connect"], 1);
        assert_eq!(burst.failed(), 2);
    }
}
