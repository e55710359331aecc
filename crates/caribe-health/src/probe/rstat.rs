//! `rup` without rup: the load average from a server's rstatd, by Sun RPC over UDP.
//!
//! The portmapper (RFC 1833, version 2) tells the port of program 100001, whose procedure 1 then
//! tells the statistics. XDR (RFC 4506) is words of four bytes, the first the highest.

use serde::{Deserialize, Serialize};
use tokio::net::UdpSocket;

use super::deadline::Deadline;
use super::finding::{Found, Reading, Step};
use super::way::Way;
use super::{Code, Load, datagram, socket};

/// Asks rstatd for the load average.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RstatCheck {
    /// The portmapper's port.
    #[serde(default = "RstatCheck::portmapper")]
    pub portmapper: u16,
}

impl RstatCheck {
    fn portmapper() -> u16 {
        111
    }
}

impl Default for RstatCheck {
    fn default() -> RstatCheck {
        RstatCheck {
            portmapper: RstatCheck::portmapper(),
        }
    }
}

/// A remote procedure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Procedure {
    program: u32,
    version: u32,
    number: u32,
}

const PORTMAPPER: u32 = 100_000;
const RSTATD: u32 = 100_001;
const GETPORT: Procedure = Procedure {
    program: PORTMAPPER,
    version: 2,
    number: 3,
};
/// UDP's number, as the portmapper wants it.
const UDP: u32 = 17;

/// The versions of rstatd whose statistics have the load average in the same place; the newest
/// first.
const VERSIONS: [u32; 2] = [3, 2];

/// Where the one-minute average stands in the statistics.
const AVENRUN: usize = 18;

/// The load average's unit: 256ths.
const UNIT: f64 = 256.0;

/// The answer to a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RpcReply {
    /// Not an answer to this call.
    Stray,
    /// The result, in words.
    Success(Vec<u32>),
    /// The server speaks other versions of the program.
    OtherVersion,
    /// The server refused; the reason.
    Refused(String),
}

impl RpcReply {
    /// Reads the answer to the call with this number (RFC 5531, 9).
    pub fn read(call: u32, bytes: &[u8]) -> RpcReply {
        let mut words = Words(bytes);
        if words.next() != Some(call) || words.next() != Some(1) {
            return RpcReply::Stray;
        }
        RpcReply::read_body(&mut words)
            .unwrap_or_else(|| RpcReply::Refused("the reply is cut off".to_owned()))
    }

    fn read_body(words: &mut Words<'_>) -> Option<RpcReply> {
        /// RFC 5531 lets a verifier have no more bytes.
        const LONGEST_VERIFIER: u32 = 400;
        if words.next()? != 0 {
            return Some(RpcReply::Refused("the call was denied".to_owned()));
        }
        let _flavour = words.next()?;
        let length = words.next()?;
        if length > LONGEST_VERIFIER {
            return Some(RpcReply::Refused("the verifier is too long".to_owned()));
        }
        for _ in 0..length.div_ceil(4) {
            words.next()?;
        }
        Some(match words.next()? {
            0 => RpcReply::Success(words.by_ref().collect()),
            1 => RpcReply::Refused("no such program".to_owned()),
            2 => RpcReply::OtherVersion,
            3 => RpcReply::Refused("no such procedure".to_owned()),
            4 => RpcReply::Refused("the arguments were not understood".to_owned()),
            5 => RpcReply::Refused("the server is in trouble".to_owned()),
            other => RpcReply::Refused(format!("unknown state {other}")),
        })
    }
}

/// XDR's words. What is left at the end and is none is ignored.
struct Words<'a>(&'a [u8]);

impl Iterator for Words<'_> {
    type Item = u32;

    fn next(&mut self) -> Option<u32> {
        let (word, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(u32::from_be_bytes(*word))
    }
}

impl Procedure {
    fn call(self, number: u32, arguments: &[u32]) -> Vec<u8> {
        const CALL: u32 = 0;
        const RPC_VERSION: u32 = 2;
        let head = [
            number,
            CALL,
            RPC_VERSION,
            self.program,
            self.version,
            self.number,
        ];
        // No credentials and no verifier: flavour 0, length 0, twice.
        let words = head.iter().chain(&[0; 4]).chain(arguments);
        words.flat_map(|word| word.to_be_bytes()).collect()
    }
}

/// The one-minute load average in rstatd's statistics.
pub fn load(statistics: &[u32]) -> Option<Load> {
    let average = *statistics.get(AVENRUN)?;
    // All three must be there, or it is no such structure.
    statistics.get(AVENRUN + 2)?;
    Load::new(f64::from(average) / UNIT).ok()
}

impl RstatCheck {
    pub(super) async fn run(&self, target: &Way<'_>, deadline: &Deadline) -> Step<Found> {
        let address = target.address.ip();
        if address.is_ipv6() {
            return Err(Found::new(
                Code::Local,
                format_args!("rstatd is asked over IPv4 only, and {address} is IPv6"),
            ));
        }
        let at_portmapper = target.at_port(self.portmapper);
        let portmapper = socket::connect_udp(&Way::plain(&at_portmapper), deadline).await?;
        for version in VERSIONS {
            let what = format!("READ to the portmapper of {address}");
            let arguments = [RSTATD, version, UDP, 0];
            let port = match call(&portmapper, GETPORT, &arguments, &what, deadline).await? {
                RpcReply::Success(words) => words.first().copied().unwrap_or(0),
                reply => return Err(refused("the portmapper", &reply)),
            };
            let port = match u16::try_from(port) {
                Ok(0) => continue,
                Ok(port) => port,
                Err(_) => {
                    return Err(Found::new(
                        Code::L7Response,
                        format_args!("the portmapper of {address} tells port {port}"),
                    ));
                }
            };
            let statistics = Procedure {
                program: RSTATD,
                version,
                number: 1,
            };
            let rstatd = socket::connect_udp(&Way::plain(&target.at_port(port)), deadline).await?;
            let what = format!("READ to rstatd of {address}");
            match call(&rstatd, statistics, &[], &what, deadline).await? {
                RpcReply::Success(words) => {
                    let load = load(&words).ok_or_else(|| {
                        Found::new(
                            Code::L7Response,
                            format_args!("rstatd of {address} tells no load average"),
                        )
                    })?;
                    return Ok(Found::new(Code::L7Ok, format_args!("load {load}"))
                        .with(Reading::Load(load)));
                }
                RpcReply::OtherVersion => {}
                reply => return Err(refused("rstatd", &reply)),
            }
        }
        Err(Found::new(
            Code::L7Status,
            format_args!("no rstatd of version 2 or 3 is registered on {address}"),
        ))
    }
}

fn refused(who: &str, reply: &RpcReply) -> Found {
    let reason = match reply {
        RpcReply::Refused(reason) => reason,
        RpcReply::OtherVersion => "it speaks another version",
        RpcReply::Success(_) | RpcReply::Stray => "no answer",
    };
    Found::new(Code::L7Status, format_args!("{who} refused: {reason}"))
}

async fn call(
    socket: &UdpSocket,
    procedure: Procedure,
    arguments: &[u32],
    what: &str,
    deadline: &Deadline,
) -> Step<RpcReply> {
    let number = getrandom::u32().map_err(|error| {
        Found::new(
            Code::Local,
            format_args!("cannot draw a number for a call: {error}"),
        )
    })?;
    let question = procedure.call(number, arguments);
    datagram::ask(socket, &question, what, deadline, |bytes| {
        Some(RpcReply::read(number, bytes)).filter(|reply| *reply != RpcReply::Stray)
    })
    .await
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn bytes(words: &[u32]) -> Vec<u8> {
        words.iter().flat_map(|word| word.to_be_bytes()).collect()
    }

    #[test]
    fn a_call_is_as_the_rfc_has_it() {
        let call = GETPORT.call(7, &[RSTATD, 3, UDP, 0]);
        let expected = [7, 0, 2, 100_000, 2, 3, 0, 0, 0, 0, 100_001, 3, 17, 0];
        assert_eq!(call, bytes(&expected));
    }

    #[test]
    fn the_first_average_is_the_eighteenth_word() {
        let mut reply = vec![7, 1, 0, 0, 0, 0];
        reply.extend(0..18);
        reply.extend([128, 512, 256, 0, 0, 0, 0, 0]);
        let RpcReply::Success(words) = RpcReply::read(7, &bytes(&reply)) else {
            panic!("no success");
        };
        assert_eq!(words.len(), 26);
        assert_eq!(load(&words), Load::new(0.5).ok());
        assert_eq!(load(&words[..20]), None);
    }

    #[test]
    fn a_verifier_is_skipped() {
        let reply = bytes(&[7, 1, 0, 1, 5, 0xdead, 0xbeef, 0, 42]);
        assert_eq!(RpcReply::read(7, &reply), RpcReply::Success(vec![42]));
    }

    #[test]
    fn what_is_no_success_is_told() {
        assert_eq!(
            RpcReply::read(7, &bytes(&[8, 1, 0, 0, 0, 0])),
            RpcReply::Stray
        );
        assert_eq!(
            RpcReply::read(7, &bytes(&[7, 0, 0, 0, 0, 0])),
            RpcReply::Stray
        );
        assert_eq!(
            RpcReply::read(7, &bytes(&[7, 1, 0, 0, 0, 2, 2, 4])),
            RpcReply::OtherVersion
        );
        for words in [
            [7, 1, 1, 0, 0, 0].as_slice(),
            &[7, 1, 0, 0, 0],
            &[7, 1, 0, 0, 401, 0],
            &[7, 1, 0, 0, u32::MAX, 0],
            &[7, 1, 0, 0, 0, 1],
            &[7, 1, 0, 0, 0, 99],
        ] {
            let reply = RpcReply::read(7, &bytes(words));
            assert!(matches!(reply, RpcReply::Refused(_)), "{words:?}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read(bytes: Vec<u8>, call: u32) {
            if let RpcReply::Success(words) = RpcReply::read(call, &bytes) {
                let _ = load(&words);
            }
        }
    }
}
