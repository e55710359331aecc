//! A mail server's greeting: banner, EHLO, QUIT.

use serde::{Deserialize, Serialize};
use tokio::io::AsyncReadExt;

use super::connection::Connection;
use super::deadline::Deadline;
use super::finding::{Found, Step};
use super::send_expect::write;
use super::text::Quoted;
use super::way::Way;
use super::{Code, socket};

/// Greets a mail server and takes leave.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SmtpCheck {
    /// The name that the probe gives itself in EHLO; `localhost` when nothing is said.
    #[serde(default)]
    pub name: SmtpName,
}

/// A name for EHLO: letters, digits, `-`, `.`, and the brackets and colons of addresses.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SmtpName(String);

/// Text that EHLO cannot give.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no name for EHLO: 1 to 255 letters, digits, `-`, `.`, `:`, `[` and `]`")]
pub struct SmtpNameError(String);

impl Default for SmtpName {
    fn default() -> SmtpName {
        SmtpName("localhost".to_owned())
    }
}

impl TryFrom<String> for SmtpName {
    type Error = SmtpNameError;

    fn try_from(name: String) -> Result<SmtpName, SmtpNameError> {
        let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"-.:[]".contains(&byte);
        if (1..=255).contains(&name.len()) && name.bytes().all(legal) {
            Ok(SmtpName(name))
        } else {
            Err(SmtpNameError(name))
        }
    }
}

impl From<SmtpName> for String {
    fn from(name: SmtpName) -> String {
        name.0
    }
}

/// What has come of a reply, which may have several lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SmtpReply {
    /// Its last line has not come yet.
    Unfinished,
    /// All of it.
    Complete {
        /// The three digits.
        code: u16,
        /// Bytes that it took.
        length: usize,
    },
    /// Not SMTP; the reason.
    Garbage(String),
}

impl SmtpReply {
    /// A reply has no more bytes than this; RFC 5321 has lines of 512, and EHLO has few.
    pub const LONGEST: usize = 16 * 1024;

    /// Reads a reply from the bytes that have come (RFC 5321, 4.2): lines of three digits, `-`
    /// on all but the last, the same digits on each.
    pub fn read(bytes: &[u8]) -> SmtpReply {
        let mut code = None;
        let mut length = 0;
        for line in bytes.split_inclusive(|byte| *byte == b'\n') {
            if !line.ends_with(b"\n") {
                // What is not a reply's beginning already will not become one.
                return match line.iter().take(3).all(u8::is_ascii_digit) {
                    true if bytes.len() < SmtpReply::LONGEST => SmtpReply::Unfinished,
                    true => SmtpReply::Garbage("the reply has no end".to_owned()),
                    false => SmtpReply::Garbage(format!("{} is no reply", Quoted(line))),
                };
            }
            length += line.len();
            let Some((number, more)) = digits(line) else {
                return SmtpReply::Garbage(format!("{} is no reply", Quoted(line.trim_ascii())));
            };
            if code.is_some_and(|code| code != number) {
                return SmtpReply::Garbage("the lines of a reply contradict each other".to_owned());
            }
            code = Some(number);
            if length > SmtpReply::LONGEST {
                return SmtpReply::Garbage("the reply has no end".to_owned());
            }
            if !more {
                return SmtpReply::Complete {
                    code: number,
                    length,
                };
            }
        }
        SmtpReply::Unfinished
    }
}

/// The number that a line begins with, and whether more lines follow.
fn digits(line: &[u8]) -> Option<(u16, bool)> {
    let line = line.trim_ascii_end();
    let (number, rest) = line.split_at_checked(3)?;
    let more = match rest.first() {
        None | Some(b' ') => false,
        Some(b'-') => true,
        Some(_) => return None,
    };
    let legal = matches!(number[0], b'2'..=b'5') && number.iter().all(u8::is_ascii_digit);
    let number = std::str::from_utf8(number).ok()?.parse().ok()?;
    legal.then_some((number, more))
}

impl SmtpCheck {
    pub(super) async fn run(&self, target: &Way<'_>, deadline: &Deadline) -> Step<Found> {
        let stream = socket::connect_tcp(target, deadline).await?;
        let mut talk = Talk {
            stream,
            target,
            deadline,
            unread: Vec::new(),
        };
        let banner = talk.reply("the banner", 220).await?;
        let greeting = format!("EHLO {}\r\n", self.name.0);
        match talk.say("EHLO", &greeting, 250).await {
            // A server that knows no extensions knows HELO (RFC 5321, 4.1.1.1).
            Err(found) if found.code == Code::L7Status => {
                let greeting = format!("HELO {}\r\n", self.name.0);
                talk.say("HELO", &greeting, 250).await?;
            }
            said => {
                said?;
            }
        }
        talk.say("QUIT", "QUIT\r\n", 221).await?;
        Ok(Found::new(Code::L7Ok, Quoted(banner.trim_ascii())))
    }
}

/// A conversation with a mail server.
struct Talk<'a> {
    stream: Connection,
    target: &'a Way<'a>,
    deadline: &'a Deadline,
    /// What came behind the last reply.
    unread: Vec<u8>,
}

impl Talk<'_> {
    async fn say(&mut self, what: &str, line: &str, expected: u16) -> Step<Vec<u8>> {
        write(
            &mut self.stream,
            line.as_bytes(),
            self.target,
            self.deadline,
        )
        .await?;
        self.reply(what, expected).await
    }

    /// Waits for a reply, which must have this code.
    async fn reply(&mut self, what: &str, expected: u16) -> Step<Vec<u8>> {
        let address = self.target.address;
        let mut buffer = [0; 1024];
        loop {
            match SmtpReply::read(&self.unread) {
                SmtpReply::Complete { code, length } => {
                    let reply: Vec<u8> = self.unread.drain(..length).collect();
                    if code == expected {
                        return Ok(reply);
                    }
                    let said = Quoted(reply.trim_ascii());
                    return Err(Found::new(
                        Code::L7Status,
                        format_args!("{address} answered {what} with {said}"),
                    ));
                }
                SmtpReply::Garbage(reason) => {
                    return Err(Found::new(
                        Code::L7Response,
                        format_args!("{address} answered {what} with what is no SMTP: {reason}"),
                    ));
                }
                SmtpReply::Unfinished => {}
            }
            let stage = format_args!("READ of {what} to {address}");
            let reading = self.stream.read(&mut buffer);
            let received = self.deadline.bound(Code::L7Timeout, stage, reading).await?;
            match received {
                Ok(0) => {
                    return Err(Found::new(
                        Code::L7Response,
                        format_args!("{address} closed the connection before {what} was answered"),
                    ));
                }
                Ok(length) => self.unread.extend(&buffer[..length]),
                Err(error) => {
                    return Err(Found::new(
                        Code::L7Response,
                        format_args!("READ of {what} from {address} failed: {error}"),
                    ));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn complete(code: u16, length: usize) -> SmtpReply {
        SmtpReply::Complete { code, length }
    }

    #[test]
    fn a_reply_ends_with_the_line_that_has_no_dash() {
        assert_eq!(SmtpReply::read(b"220 hello\r\n"), complete(220, 11));
        assert_eq!(SmtpReply::read(b"250\n250 x\n"), complete(250, 4));
        let long = b"250-mail.example\r\n250-SIZE 1\r\n250 HELP\r\n221 bye\r\n";
        assert_eq!(SmtpReply::read(long), complete(250, long.len() - 9));
    }

    #[test]
    fn an_unfinished_reply_is_waited_for() {
        for bytes in ["", "2", "220", "220 hel", "250-a\r\n", "250-a\r\n25"] {
            assert_eq!(
                SmtpReply::read(bytes.as_bytes()),
                SmtpReply::Unfinished,
                "{bytes:?}"
            );
        }
    }

    #[test]
    fn garbage_is_told() {
        let endless = vec![b'2'; SmtpReply::LONGEST];
        let lines = b"250-x\r\n".repeat(SmtpReply::LONGEST / 7 + 1);
        for bytes in [
            b"SSH-2.0-x\r\n".as_slice(),
            b"H",
            b"\n",
            b"22 x\n",
            b"2200 x\n",
            b"199 x\n",
            b"620 x\n",
            b"250-a\r\n251 b\r\n",
            b"\xff\xff\xff\xff",
            &endless,
            &lines,
        ] {
            assert!(
                matches!(SmtpReply::read(bytes), SmtpReply::Garbage(_)),
                "{:?}",
                &bytes[..bytes.len().min(20)]
            );
        }
    }

    #[test]
    fn a_name_cannot_break_the_line() {
        for name in ["", "a b", "a\r\nRSET", "é"] {
            assert!(SmtpName::try_from(name.to_owned()).is_err(), "{name:?}");
        }
        assert!(SmtpName::try_from("[IPv6:2001:db8::1]".to_owned()).is_ok());
    }

    proptest! {
        #[test]
        fn a_complete_reply_stays_complete(bytes in "(2[0-9]{2}[- ][a-z]{0,4}\r?\n){0,4}", more: Vec<u8>) {
            let mut longer = bytes.clone().into_bytes();
            longer.extend(more);
            if let SmtpReply::Complete { code, length } = SmtpReply::read(bytes.as_bytes()) {
                prop_assert!(length <= bytes.len());
                prop_assert_eq!(SmtpReply::read(&longer), complete(code, length));
            }
        }
    }
}
