//! What Piranha's keys mean as checks.

use caribe_model::Protocol;

use super::command_line::{CommandLine, CommandLineError};
use super::expect::Expect;
use super::pattern::PatternError;
use super::ping::PingCheck;
use super::program::{ProgramCheck, ProgramOutput, ProgramVerdict};
use super::send_expect::SendExpectCheck;
use super::ssh::SshCheck;
use super::tcp::TcpCheck;
use super::udp::{UdpCheck, UdpExpect};
use super::{Check, Octets, Pattern};

/// The keys of a virtual service that say how its servers are checked, read: their escapes are
/// expanded, and the program's line is split into words.
#[derive(Debug, Clone, Copy)]
pub struct PiranhaKeys<'a> {
    /// `protocol`.
    pub protocol: Protocol,
    /// `port`: the service's, not the server's.
    pub port: u16,
    /// `send`.
    pub send: Option<&'a [u8]>,
    /// `expect`.
    pub expect: Option<&'a str>,
    /// `use_regex`.
    pub use_regex: bool,
    /// `send_program`.
    pub send_program: Option<&'a [String]>,
}

/// Keys that make no check.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PiranhaError {
    /// The program cannot be run.
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
        if let Some(words) = self.send_program {
            return Ok(Check::Program(ProgramCheck {
                command: CommandLine::new(words.to_vec())?,
                verdict: ProgramVerdict::Output(self.output()?),
            }));
        }
        let send = self.send.map(Octets::new);
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
                    _ if self.use_regex => Expect::Regex(Pattern::new(text)?),
                    _ => Expect::Prefix(text.into()),
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

/// What nanny asks when nothing is said and the service's port is 80.
fn web_page() -> SendExpectCheck {
    SendExpectCheck {
        send: Some("GET / HTTP/1.0\r\n\r\n".into()),
        expect: Some(Expect::Prefix("HTTP".into())),
    }
}

/// `load_monitor = uptime`: the words of `rsh_command`, the server's address, and `uptime`. What is
/// plain `ssh` gets the options that keep it from asking anybody anything.
///
/// # Errors
///
/// The shell must be there.
pub fn uptime(shell: &[String]) -> Result<Check, PiranhaError> {
    if shell == ["ssh"] {
        return Ok(Check::Ssh(SshCheck::default()));
    }
    let command = CommandLine::new(shell.to_vec())?;
    Ok(Check::Program(ProgramCheck {
        command: command.with("%h")?.with("uptime")?,
        verdict: ProgramVerdict::Load,
    }))
}

/// A `load_monitor` of one's own: a program that gets the server's address and prints its load.
///
/// # Errors
///
/// The program must be there.
pub fn load_program(words: &[String]) -> Result<Check, PiranhaError> {
    Ok(Check::Program(ProgramCheck {
        command: CommandLine::new(words.to_vec())?.with("%h")?,
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

    fn words(line: &str) -> Vec<String> {
        line.split(' ').map(str::to_owned).collect()
    }

    #[test]
    fn an_expectation_is_a_prefix_or_an_expression() {
        let keys = PiranhaKeys {
            send: Some(b"GET / HTTP/1.0\r\n\r\n"),
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
        let any = PiranhaKeys {
            expect: Some("*"),
            ..keys
        };
        let Ok(Check::SendExpect(check)) = any.check() else {
            panic!("nothing sent");
        };
        assert_eq!(check.expect, Some(Expect::Anything));
    }

    #[test]
    fn a_program_comes_first_and_must_print_what_is_expected() {
        let program = words("/usr/local/bin/check %h");
        let keys = PiranhaKeys {
            send: Some(b"ignored"),
            expect: Some("OK"),
            send_program: Some(&program),
            ..NOTHING
        };
        let expected = ProgramCheck {
            command: CommandLine::new(program.clone()).expect("a line"),
            verdict: ProgramVerdict::Output(Some(ProgramOutput::Exactly("OK".into()))),
        };
        assert_eq!(keys.check(), Ok(Check::Program(expected)));
        let empty = PiranhaKeys {
            send_program: Some(&[]),
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
            send: Some(b"hello"),
            ..sctp
        };
        assert_eq!(text.check(), Err(PiranhaError::Sctp));
    }

    #[test]
    fn load_is_told_by_a_shell_or_a_program() {
        assert_eq!(uptime(&words("ssh")), Ok(Check::Ssh(SshCheck::default())));
        let server = "192.0.2.1:80".parse().expect("an address");
        for (check, line) in [
            (uptime(&words("rsh")), "rsh 192.0.2.1 uptime"),
            (
                uptime(&words("ssh -l nanny")),
                "ssh -l nanny 192.0.2.1 uptime",
            ),
            (
                load_program(&words("/opt/load -x")),
                "/opt/load -x 192.0.2.1",
            ),
        ] {
            let Ok(Check::Program(check)) = check else {
                panic!("no program: {line}");
            };
            assert_eq!(check.command.expand(server).join(" "), line);
            assert_eq!(check.verdict, ProgramVerdict::Load);
        }
        assert!(uptime(&[]).is_err());
        assert!(load_program(&[]).is_err());
    }
}
