//! What Piranha's keys mean as checks.

use caribe_model::Protocol;

use super::command_line::{CommandLine, CommandLineError};
use super::escapes::expand;
use super::expect::Expect;
use super::pattern::PatternError;
use super::ping::PingCheck;
use super::program::{ProgramCheck, ProgramOutput, ProgramVerdict};
use super::rstat::RstatCheck;
use super::rwho::RwhoCheck;
use super::send_expect::SendExpectCheck;
use super::ssh::SshCheck;
use super::tcp::TcpCheck;
use super::udp::{UdpCheck, UdpExpect};
use super::{Check, Octets, Pattern};

/// The keys of a virtual service that say how its servers are checked.
#[derive(Debug, Clone, Copy)]
pub struct PiranhaKeys<'a> {
    /// `protocol`.
    pub protocol: Protocol,
    /// `port`: the service's, not the server's.
    pub port: u16,
    /// `send`, as it is in the file.
    pub send: Option<&'a str>,
    /// `expect`, as it is in the file.
    pub expect: Option<&'a str>,
    /// `use_regex`.
    pub use_regex: bool,
    /// `send_program`.
    pub send_program: Option<&'a str>,
}

/// Keys that make no check.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PiranhaError {
    /// `send_program` or `load_monitor` cannot be run.
    #[error(transparent)]
    Program(#[from] CommandLineError),
    /// A connection over SCTP cannot be probed with text.
    #[error(
        "send and expect go over TCP and UDP only: check an SCTP service with `send_program`, or \
         not at all, which pings its servers"
    )]
    Sctp,
    /// With `use_regex`, `expect` must be an expression.
    #[error("expect: {0}")]
    Expect(#[from] PatternError),
}

impl PiranhaKeys<'_> {
    /// The check that nanny would make: the program if there is one, else what is sent and
    /// expected, else a web page if the service's port is 80, else a connection. Over UDP
    /// without `expect`, no ICMP error is good; over SCTP, the server must answer pings.
    ///
    /// # Errors
    ///
    /// A program must be there, and an expression well-formed.
    pub fn check(&self) -> Result<Check, PiranhaError> {
        if let Some(line) = self.send_program {
            return Ok(Check::Program(ProgramCheck {
                command: CommandLine::split(line)?,
                verdict: ProgramVerdict::Output(self.output()?),
            }));
        }
        let send = self.send.map(|text| Octets::new(expand(text)));
        let expect = self.expect()?;
        Ok(match self.protocol {
            Protocol::Udp => Check::Udp(UdpCheck {
                send: send.unwrap_or_default(),
                expect: expect.map_or(
                    UdpExpect::NoError {
                        patience: UdpExpect::PATIENCE,
                    },
                    UdpExpect::Answer,
                ),
            }),
            Protocol::Tcp if send.is_none() && expect.is_none() && self.port == 80 => {
                Check::SendExpect(web_page())
            }
            Protocol::Tcp if send.is_none() && expect.is_none() => Check::Tcp(TcpCheck::default()),
            Protocol::Tcp => Check::SendExpect(SendExpectCheck { send, expect }),
            // Piranha knew no SCTP; that the server is there is what can be seen without it.
            Protocol::Sctp if send.is_none() && expect.is_none() => {
                Check::Ping(PingCheck::default())
            }
            Protocol::Sctp => return Err(PiranhaError::Sctp),
        })
    }

    fn expect(&self) -> Result<Option<Expect>, PiranhaError> {
        self.expect
            .map(|text| {
                Ok(match text {
                    "*" => Expect::Anything,
                    _ if self.use_regex => Expect::Regex(pattern(text)?),
                    _ => Expect::Prefix(Octets::new(expand(text))),
                })
            })
            .transpose()
    }

    fn output(&self) -> Result<Option<ProgramOutput>, PiranhaError> {
        Ok(self.expect()?.map(|expect| match expect {
            Expect::Anything => ProgramOutput::Anything,
            Expect::Regex(pattern) => ProgramOutput::Regex(pattern),
            Expect::Prefix(octets) => ProgramOutput::Exactly(octets),
        }))
    }
}

fn pattern(text: &str) -> Result<Pattern, PatternError> {
    // Expansion leaves UTF-8 what it was.
    Pattern::new(&String::from_utf8_lossy(&expand(text)))
}

/// What nanny asks when nothing is said and the service's port is 80.
fn web_page() -> SendExpectCheck {
    SendExpectCheck {
        send: Some("GET / HTTP/1.0\r\n\r\n".into()),
        expect: Some(Expect::Prefix("HTTP".into())),
    }
}

/// What `load_monitor` means, with `rsh_command` standing for `uptime`: `None` for `none`; `rup`
/// and `ruptime` by clients of our own; `ssh` and `rsh` run the system's; anything else is a
/// program that gets the server's address.
///
/// # Errors
///
/// A program must be there.
pub fn load_monitor(word: &str, rsh_command: &str) -> Result<Option<Check>, PiranhaError> {
    let word = match word.trim() {
        "uptime" => rsh_command.trim(),
        other => other,
    };
    Ok(match word {
        "none" => None,
        "rup" => Some(Check::Rstat(RstatCheck::default())),
        "ruptime" => Some(Check::Rwho(RwhoCheck::default())),
        "ssh" => Some(Check::Ssh(SshCheck::default())),
        "rsh" => Some(load_program("rsh %h uptime")?),
        program => Some(Check::Program(ProgramCheck {
            command: CommandLine::split(program)?.with("%h")?,
            verdict: ProgramVerdict::Load,
        })),
    })
}

fn load_program(line: &str) -> Result<Check, CommandLineError> {
    Ok(Check::Program(ProgramCheck {
        command: CommandLine::split(line)?,
        verdict: ProgramVerdict::Load,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOTHING: PiranhaKeys<'static> = PiranhaKeys {
        protocol: Protocol::Tcp,
        port: 25,
        send: None,
        expect: None,
        use_regex: false,
        send_program: None,
    };

    #[test]
    fn without_keys_a_connection_will_do_except_on_port_80() {
        assert_eq!(NOTHING.check(), Ok(Check::Tcp(TcpCheck::default())));
        let web = PiranhaKeys {
            port: 80,
            ..NOTHING
        };
        assert_eq!(web.check(), Ok(Check::SendExpect(web_page())));
        let quiet = PiranhaKeys {
            port: 80,
            expect: Some("220"),
            ..NOTHING
        };
        let expected = SendExpectCheck {
            send: None,
            expect: Some(Expect::Prefix("220".into())),
        };
        assert_eq!(quiet.check(), Ok(Check::SendExpect(expected)));
    }

    #[test]
    fn send_and_expect_are_expanded() {
        let keys = PiranhaKeys {
            send: Some(r"GET / HTTP/1.0\r\n\r\n"),
            expect: Some(r"HTTP/1\.1"),
            use_regex: true,
            ..NOTHING
        };
        let expected = SendExpectCheck {
            send: Some("GET / HTTP/1.0\r\n\r\n".into()),
            expect: Some(Expect::Regex(Pattern::new(r"HTTP/1\.1").expect("compiles"))),
        };
        assert_eq!(keys.check(), Ok(Check::SendExpect(expected)));
        let bad = PiranhaKeys {
            expect: Some("a("),
            ..keys
        };
        assert!(matches!(bad.check(), Err(PiranhaError::Expect(_))));
    }

    #[test]
    fn a_program_comes_first_and_must_print_what_is_expected() {
        let keys = PiranhaKeys {
            send: Some("ignored"),
            expect: Some("OK"),
            send_program: Some("/usr/local/bin/check %h"),
            ..NOTHING
        };
        let expected = ProgramCheck {
            command: CommandLine::split("/usr/local/bin/check %h").expect("a line"),
            verdict: ProgramVerdict::Output(Some(ProgramOutput::Exactly("OK".into()))),
        };
        assert_eq!(keys.check(), Ok(Check::Program(expected)));
        let empty = PiranhaKeys {
            send_program: Some(" "),
            ..keys
        };
        assert!(matches!(empty.check(), Err(PiranhaError::Program(_))));
    }

    #[test]
    fn udp_without_expect_listens_for_errors() {
        let udp = PiranhaKeys {
            protocol: Protocol::Udp,
            ..NOTHING
        };
        let Ok(Check::Udp(check)) = udp.check() else {
            panic!("not UDP");
        };
        assert!(matches!(check.expect, UdpExpect::NoError { .. }));
        let answered = PiranhaKeys {
            expect: Some("*"),
            ..udp
        };
        let Ok(Check::Udp(check)) = answered.check() else {
            panic!("not UDP");
        };
        assert_eq!(check.expect, UdpExpect::Answer(Expect::Anything));
    }

    #[test]
    fn sctp_is_pinged_or_checked_by_a_program() {
        let sctp = PiranhaKeys {
            protocol: Protocol::Sctp,
            ..NOTHING
        };
        assert_eq!(sctp.check(), Ok(Check::Ping(PingCheck::default())));
        let text = PiranhaKeys {
            send: Some("hello"),
            ..sctp
        };
        assert_eq!(text.check(), Err(PiranhaError::Sctp));
    }

    #[test]
    fn load_monitors_have_their_names() {
        let meaning = |word| load_monitor(word, "rsh");
        assert_eq!(meaning("none"), Ok(None));
        assert!(matches!(meaning("rup"), Ok(Some(Check::Rstat(_)))));
        assert!(matches!(meaning("ruptime"), Ok(Some(Check::Rwho(_)))));
        assert!(matches!(meaning("ssh"), Ok(Some(Check::Ssh(_)))));
        let by_ssh = load_monitor("uptime", "ssh");
        assert!(matches!(by_ssh, Ok(Some(Check::Ssh(_)))));
        let server = "192.0.2.1:80".parse().expect("an address");
        for (word, line) in [
            ("rsh", "rsh 192.0.2.1 uptime"),
            ("uptime", "rsh 192.0.2.1 uptime"),
            ("/opt/load -x", "/opt/load -x 192.0.2.1"),
        ] {
            let Ok(Some(Check::Program(check))) = meaning(word) else {
                panic!("{word} is no program");
            };
            assert_eq!(check.command.expand(server).join(" "), line);
            assert_eq!(check.verdict, ProgramVerdict::Load);
        }
        assert!(meaning("").is_err());
    }
}
