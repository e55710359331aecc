//! HAProxy's agent protocol: a server that reports its own state and load in a line of text.

use serde::{Deserialize, Serialize};
use tokio::io::AsyncReadExt;

use super::deadline::Deadline;
use super::finding::{Found, Reading, Step};
use super::send_expect::write;
use super::text::Quoted;
use super::way::Way;
use super::{Code, Octets, Text, socket};

/// Connects to an agent and reads its line.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AgentCheck {
    /// What is sent first, if anything (HAProxy's `agent-send`).
    #[serde(default)]
    pub send: Option<Octets>,
}

/// What an agent said. Each part is there only if it was said: what is not stays as it was.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AgentReport {
    /// Percentage of the configured weight.
    #[serde(default)]
    pub weight: Option<Percentage>,
    /// The most connections that the server wants (`maxconn:30`).
    #[serde(default)]
    pub maxconn: Option<u32>,
    /// What the server says of its health.
    #[serde(default)]
    pub health: Option<AgentHealth>,
    /// What the server's administrator wants.
    #[serde(default)]
    pub wish: Option<AgentWish>,
    /// Why, from behind a `#`.
    #[serde(default)]
    pub reason: Option<Text>,
}

/// A percentage of a weight, 0 to [`Percentage::HIGHEST`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
pub struct Percentage(u32);

/// The word for a server's health.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AgentHealth {
    /// It serves.
    Up,
    /// It does not serve.
    Down,
    /// It failed a check of its own.
    Fail,
    /// It was stopped on purpose.
    Stopped,
}

/// The word for what a server's administrator wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AgentWish {
    /// Back to normal.
    Ready,
    /// No new connections.
    Drain,
    /// Out of the pool, and not checked.
    Maint,
}

/// A line that is no agent's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AgentError {
    /// Nothing on the line.
    #[error("the agent said nothing")]
    Empty,
    /// A word that the protocol does not have.
    #[error(
        "the agent said {word}, which is none of up, down, fail, stopped, ready, drain, maint, N% and maxconn:N"
    )]
    Unknown {
        /// The word, quoted.
        word: String,
    },
    /// Two words that contradict each other.
    #[error("the agent said {word} after another word of its kind")]
    Contradiction {
        /// The second word, quoted.
        word: String,
    },
    /// A number out of range.
    #[error("the agent said {word}: out of range")]
    Range {
        /// The word, quoted.
        word: String,
    },
}

impl Percentage {
    /// 256 times the configured weight.
    pub const HIGHEST: u32 = 25_600;

    /// The number.
    pub fn get(self) -> u32 {
        self.0
    }
}

impl TryFrom<u32> for Percentage {
    type Error = String;

    fn try_from(number: u32) -> Result<Percentage, String> {
        if number <= Percentage::HIGHEST {
            Ok(Percentage(number))
        } else {
            let highest = Percentage::HIGHEST;
            Err(format!("{number} % is more than {highest} %"))
        }
    }
}

impl From<Percentage> for u32 {
    fn from(percentage: Percentage) -> u32 {
        percentage.0
    }
}

impl AgentReport {
    /// No more than this is read of a line.
    pub const LONGEST: usize = 1024;

    /// Reads an agent's first line: words between blanks, tabs and commas, in any order and case,
    /// up to the first `\r` or `\n`; after a `#` follows a reason.
    ///
    /// # Errors
    ///
    /// Unlike HAProxy, which warns and goes on, a line with anything unknown or contradictory in
    /// it is refused as a whole: half an order is none.
    pub fn parse(bytes: &[u8]) -> Result<AgentReport, AgentError> {
        let end = bytes.iter().position(|byte| matches!(byte, b'\r' | b'\n'));
        let line = &bytes[..end.unwrap_or(bytes.len())];
        let mut halves = line.splitn(2, |byte| *byte == b'#');
        let words = halves.next().unwrap_or_default();
        let mut report = AgentReport::default();
        let mut empty = true;
        for word in words
            .split(|byte| matches!(byte, b' ' | b'\t' | b','))
            .filter(|word| !word.is_empty())
        {
            report.take(word)?;
            empty = false;
        }
        if empty {
            return Err(AgentError::Empty);
        }
        report.reason = halves
            .next()
            .map(|reason| Text::new(String::from_utf8_lossy(reason.trim_ascii())))
            .filter(|reason| !reason.as_str().is_empty());
        Ok(report)
    }

    fn take(&mut self, word: &[u8]) -> Result<(), AgentError> {
        let quoted = || Quoted(word).to_string();
        let unknown = || AgentError::Unknown { word: quoted() };
        let text = std::str::from_utf8(word).map_err(|_| unknown())?;
        let lower = text.to_ascii_lowercase();
        let new = match lower.as_str() {
            "up" => self.health.replace(AgentHealth::Up).is_none(),
            "down" => self.health.replace(AgentHealth::Down).is_none(),
            "fail" => self.health.replace(AgentHealth::Fail).is_none(),
            "stopped" => self.health.replace(AgentHealth::Stopped).is_none(),
            "ready" => self.wish.replace(AgentWish::Ready).is_none(),
            "drain" => self.wish.replace(AgentWish::Drain).is_none(),
            "maint" => self.wish.replace(AgentWish::Maint).is_none(),
            other => {
                let (number, is_weight) = match other.strip_suffix('%') {
                    Some(number) => (number, true),
                    None => (other.strip_prefix("maxconn:").ok_or_else(unknown)?, false),
                };
                if number.is_empty() || !number.bytes().all(|digit| digit.is_ascii_digit()) {
                    return Err(unknown());
                }
                let out_of_range = || AgentError::Range { word: quoted() };
                let number: u32 = number.parse().map_err(|_| out_of_range())?;
                if is_weight {
                    let weight = Percentage::try_from(number).map_err(|_| out_of_range())?;
                    self.weight.replace(weight).is_none()
                } else {
                    self.maxconn.replace(number).is_none()
                }
            }
        };
        if new {
            Ok(())
        } else {
            Err(AgentError::Contradiction { word: quoted() })
        }
    }

    /// True unless the server says that it does not serve.
    pub fn serves(&self) -> bool {
        matches!(self.health, None | Some(AgentHealth::Up))
    }
}

impl AgentCheck {
    pub(super) async fn run(&self, target: &Way<'_>, deadline: &Deadline) -> Step<Found> {
        let address = target.address;
        let mut stream = socket::connect_tcp(target, deadline).await?;
        if let Some(send) = &self.send {
            write(&mut stream, send.as_bytes(), target, deadline).await?;
        }
        let mut line = Vec::new();
        let mut buffer = [0; 256];
        loop {
            let room = buffer.len().min(AgentReport::LONGEST - line.len());
            let received = deadline
                .bound(
                    Code::L7Timeout,
                    format_args!("READ to the agent at {address}"),
                    stream.read(&mut buffer[..room]),
                )
                .await?
                .map_err(|error| {
                    Found::new(
                        Code::L7Response,
                        format_args!("READ from the agent at {address} failed: {error}"),
                    )
                })?;
            let came = &buffer[..received];
            line.extend(came);
            if received == 0 || came.contains(&b'\n') || came.contains(&b'\r') {
                return judge(&line);
            }
            if line.len() >= AgentReport::LONGEST {
                return Err(Found::new(
                    Code::L7Response,
                    format_args!("the agent's line has no end: {}", Quoted(&line)),
                ));
            }
        }
    }
}

fn judge(line: &[u8]) -> Step<Found> {
    let report = AgentReport::parse(line).map_err(|error| Found::new(Code::L7Response, error))?;
    let code = if report.serves() {
        Code::L7Ok
    } else {
        Code::L7Status
    };
    let said = Quoted(line.trim_ascii());
    Ok(Found::new(code, format_args!("the agent said {said}")).with(Reading::Agent(report)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(line: &str) -> Result<AgentReport, AgentError> {
        AgentReport::parse(line.as_bytes())
    }

    #[test]
    fn each_word_has_its_meaning() {
        let weight = |report: AgentReport| report.weight.map(Percentage::get);
        assert_eq!(weight(parse("75%\n").expect("read")), Some(75));
        assert_eq!(weight(parse("0%").expect("read")), Some(0));
        for (word, health) in [
            ("up", AgentHealth::Up),
            ("DOWN", AgentHealth::Down),
            ("fail", AgentHealth::Fail),
            ("stopped", AgentHealth::Stopped),
        ] {
            assert_eq!(parse(word).expect("read").health, Some(health));
        }
        for (word, wish) in [
            ("ready", AgentWish::Ready),
            ("Drain", AgentWish::Drain),
            ("maint", AgentWish::Maint),
        ] {
            assert_eq!(parse(word).expect("read").wish, Some(wish));
        }
        assert_eq!(parse("maxconn:30").expect("read").maxconn, Some(30));
    }

    #[test]
    fn words_come_in_any_order_with_a_reason_behind() {
        let report =
            parse("ready,\tup  50% maxconn:7 # all, is well: 100%\r\ndown\n").expect("read");
        let expected = AgentReport {
            weight: Some(Percentage(50)),
            maxconn: Some(7),
            health: Some(AgentHealth::Up),
            wish: Some(AgentWish::Ready),
            reason: Some(Text::new("all, is well: 100%")),
        };
        assert_eq!(report, expected);
        assert!(report.serves());
        assert!(!parse("down#disk full").expect("read").serves());
    }

    #[test]
    fn anything_else_is_refused() {
        for line in [
            "",
            "\n",
            " ,\t",
            "#up",
            "ok",
            "75",
            "%",
            "-1%",
            "+1%",
            "7.5%",
            "maxconn:",
            "maxconn: 3",
            "maxconn:-3",
            "up down",
            "up up",
            "10% 20%",
            "ready drain",
            "25601%",
            "99999999999%",
            "maxconn:99999999999",
            "up \u{e9}",
        ] {
            assert!(parse(line).is_err(), "{line:?}");
        }
        assert!(AgentReport::parse(b"\xff\xfe").is_err());
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes: Vec<u8>) {
            let _ = AgentReport::parse(&bytes);
        }

        #[test]
        fn any_words_are_read_or_refused(line in "(up|down|ready|drain|[0-9]{1,6}%|maxconn:[0-9]{1,12}|[ ,#])*") {
            let _ = AgentReport::parse(line.as_bytes());
        }
    }
}
