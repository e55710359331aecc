//! `ruptime` without ruptime: load averages from the packets that rwhod broadcasts.
//!
//! Nobody is asked. [`RwhoListener`] hears what servers tell every few minutes, [`RwhoTable`]
//! remembers it, and a probe looks it up. A packet proves nothing about who sent it: whoever may
//! broadcast on the network may move weights, as with Piranha.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket as StdUdpSocket};
use std::sync::Arc;
use std::time::Duration;

use caribe_model::Monotonic;
use serde::{Deserialize, Serialize};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::UdpSocket;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::deadline::Deadline;
use super::finding::{Found, Reading, Step};
use super::socket::code_of;
use super::target::InterfaceName;
use super::{Code, Load, Target, Text};
use crate::Clock;

/// Looks the load average up that the server broadcast last.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RwhoCheck {}

/// The port that rwhod sends from and to. Only root can send from it.
pub const RWHO_PORT: u16 = 513;

/// What counts here of a packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RwhoPacket {
    /// The name that the server gives itself.
    pub host: Text,
    /// Its load average over one minute.
    pub load: Load,
}

/// Bytes that are no packet of rwhod.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RwhoError {
    /// Less than a header.
    #[error("a packet of rwhod has a header of 60 bytes, this one has {0}")]
    Short(usize),
    /// Another version or another kind of packet.
    #[error("version {version}, kind {kind}: not the version 1, kind 1 of rwhod")]
    Kind {
        /// First byte.
        version: u8,
        /// Second byte.
        kind: u8,
    },
    /// A negative load.
    #[error("a load of {0} hundredths")]
    Load(i32),
}

impl RwhoPacket {
    /// Bytes of the header; who is logged in follows, and does not matter here.
    const HEADER: usize = 60;

    /// Reads a packet.
    ///
    /// # Errors
    ///
    /// It must have a whole header, of the one version that there is.
    pub fn parse(bytes: &[u8]) -> Result<RwhoPacket, RwhoError> {
        let header: &[u8; RwhoPacket::HEADER] =
            bytes.first_chunk().ok_or(RwhoError::Short(bytes.len()))?;
        let [version, kind] = [header[0], header[1]];
        if (version, kind) != (1, 1) {
            return Err(RwhoError::Kind { version, kind });
        }
        let name = header[12..44].split(|byte| *byte == 0).next();
        let hundredths = i32::from_be_bytes([header[44], header[45], header[46], header[47]]);
        let load =
            Load::new(f64::from(hundredths) / 100.0).map_err(|_| RwhoError::Load(hundredths))?;
        Ok(RwhoPacket {
            host: Text::new(String::from_utf8_lossy(name.unwrap_or_default())),
            load,
        })
    }
}

/// Who broadcast which load, and when.
#[derive(Debug, Clone, Default)]
pub struct RwhoTable {
    heard: BTreeMap<IpAddr, (Monotonic, Load)>,
}

impl RwhoTable {
    /// A server that was not heard for so long counts as silent, as ruptime has it.
    pub const SILENT_AFTER: Duration = Duration::from_secs(11 * 60);

    /// No more servers are remembered; strangers do not drive known ones out.
    pub const MOST: usize = 4096;

    /// Remembers a packet from this address.
    pub fn hear(&mut self, from: IpAddr, packet: &RwhoPacket, now: Monotonic) {
        if self.heard.len() >= RwhoTable::MOST && !self.heard.contains_key(&from) {
            self.heard
                .retain(|_, (at, _)| now.since(*at) < RwhoTable::SILENT_AFTER);
        }
        if self.heard.len() < RwhoTable::MOST || self.heard.contains_key(&from) {
            self.heard.insert(from, (now, packet.load));
        }
    }

    /// The load of a server, and how long ago it was told.
    pub fn load(&self, of: IpAddr, now: Monotonic) -> Option<(Load, Duration)> {
        let (at, load) = self.heard.get(&of)?;
        let age = now.since(*at);
        (age < RwhoTable::SILENT_AFTER).then_some((*load, age))
    }
}

/// Hears rwhod's packets for as long as it, or a clone of it, lives.
#[derive(Debug, Clone)]
pub struct RwhoListener {
    clock: Clock,
    table: watch::Receiver<RwhoTable>,
    _task: Arc<Task>,
}

#[derive(Debug)]
struct Task(JoinHandle<()>);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl RwhoListener {
    /// Begins to listen on UDP port 513, on one interface or on all, in the current runtime.
    ///
    /// # Errors
    ///
    /// The port may be taken, by a rwhod on the director for one.
    pub fn start(clock: Clock, interface: Option<&InterfaceName>) -> io::Result<RwhoListener> {
        let socket = socket(interface)?;
        let (sender, table) = watch::channel(RwhoTable::default());
        let task = tokio::spawn(async move {
            while let Ok((from, packet)) = next(&socket).await.inspect_err(|error| {
                tracing::error!(%error, "rwhod is not heard any more");
            }) {
                sender.send_modify(|table| table.hear(from, &packet, clock.now()));
            }
        });
        Ok(RwhoListener {
            clock,
            table,
            _task: Arc::new(Task(task)),
        })
    }

    fn load(&self, of: IpAddr) -> Option<(Load, Duration)> {
        self.table.borrow().load(of, self.clock.now())
    }
}

fn socket(interface: Option<&InterfaceName>) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_nonblocking(true)?;
    // A probe that listens for itself does not keep a listener out.
    socket.set_reuse_address(true)?;
    if let Some(interface) = interface {
        socket.bind_device(Some(interface.as_str().as_bytes()))?;
    }
    let everybody = SocketAddr::from((Ipv4Addr::UNSPECIFIED, RWHO_PORT));
    socket.bind(&everybody.into())?;
    UdpSocket::from_std(StdUdpSocket::from(socket))
}

/// The next good packet from a good port.
async fn next(socket: &UdpSocket) -> io::Result<(IpAddr, RwhoPacket)> {
    let mut buffer = [0; 2048];
    loop {
        let (length, from) = socket.recv_from(&mut buffer).await?;
        if from.port() != RWHO_PORT {
            tracing::debug!(%from, "a packet for rwhod from another port");
            continue;
        }
        match RwhoPacket::parse(&buffer[..length]) {
            Ok(packet) => return Ok((from.ip(), packet)),
            Err(error) => tracing::debug!(%from, %error, "no packet of rwhod"),
        }
    }
}

impl RwhoCheck {
    pub(super) async fn run(
        &self,
        listener: Option<&RwhoListener>,
        target: &Target,
        deadline: &Deadline,
    ) -> Step<Found> {
        let address = target.address.ip();
        let Some(listener) = listener else {
            return listen(target, deadline).await;
        };
        match listener.load(address) {
            Some((load, age)) => Ok(Found::new(
                Code::L7Ok,
                format_args!("load {load}, {} s ago", age.as_secs()),
            )
            .with(Reading::Load(load))),
            None => Err(Found::new(
                Code::L7Timeout,
                format_args!(
                    "rwhod of {address} was not heard in the last {} minutes",
                    RwhoTable::SILENT_AFTER.as_secs() / 60
                ),
            )),
        }
    }
}

/// Listens until the server is heard.
async fn listen(target: &Target, deadline: &Deadline) -> Step<Found> {
    let address = target.address.ip();
    let failed = |error: io::Error| {
        Found::new(
            code_of(&error),
            format_args!("cannot listen for rwhod on UDP port {RWHO_PORT}: {error}"),
        )
    };
    let socket = socket(target.interface.as_ref()).map_err(failed)?;
    let hearing = async {
        loop {
            let (from, packet) = next(&socket).await?;
            if from == address {
                return Ok(packet.load);
            }
        }
    };
    let stage = format_args!("listening for rwhod of {address}");
    let heard = deadline.bound(Code::L7Timeout, stage, hearing).await?;
    let load = heard.map_err(failed)?;
    Ok(Found::new(Code::L7Ok, format_args!("load {load}")).with(Reading::Load(load)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn packet(hundredths: i32) -> Vec<u8> {
        let mut bytes = vec![1, 1, 0, 0];
        bytes.extend([0; 8]);
        let mut name = *b"web1.example\0garbage............";
        name[31] = b'x';
        bytes.extend(name);
        for load in [hundredths, 50, 25] {
            bytes.extend(load.to_be_bytes());
        }
        bytes.extend([0; 4]);
        bytes
    }

    fn at(seconds: u64) -> Monotonic {
        Monotonic::after_origin(Duration::from_secs(seconds))
    }

    #[test]
    fn the_load_comes_in_hundredths() {
        let parsed = RwhoPacket::parse(&packet(175)).expect("a packet");
        assert_eq!(parsed.load, Load::new(1.75).expect("a load"));
        assert_eq!(parsed.host.as_str(), "web1.example");
    }

    #[test]
    fn what_is_no_packet_is_refused() {
        let good = packet(1);
        assert_eq!(RwhoPacket::parse(&good[..59]), Err(RwhoError::Short(59)));
        assert_eq!(RwhoPacket::parse(&packet(-1)), Err(RwhoError::Load(-1)));
        let mut other = good;
        other[0] = 2;
        let kind = RwhoError::Kind {
            version: 2,
            kind: 1,
        };
        assert_eq!(RwhoPacket::parse(&other), Err(kind));
    }

    #[test]
    fn a_server_is_silent_after_eleven_minutes() {
        let server = IpAddr::from([192, 0, 2, 1]);
        let mut table = RwhoTable::default();
        let heard = RwhoPacket::parse(&packet(50)).expect("a packet");
        table.hear(server, &heard, at(100));
        let age = Duration::from_secs(659);
        assert_eq!(table.load(server, at(759)), Some((heard.load, age)));
        assert_eq!(table.load(server, at(760)), None);
        assert_eq!(table.load(IpAddr::from([192, 0, 2, 2]), at(100)), None);
    }

    #[test]
    fn strangers_do_not_drive_servers_out() {
        let stranger = |number: u32| IpAddr::from(number.to_be_bytes());
        let heard = RwhoPacket::parse(&packet(50)).expect("a packet");
        let server = IpAddr::from([192, 0, 2, 1]);
        let mut table = RwhoTable::default();
        table.hear(server, &heard, at(0));
        for number in 0..10_000 {
            table.hear(stranger(number), &heard, at(1));
        }
        assert_eq!(table.heard.len(), RwhoTable::MOST);
        table.hear(server, &heard, at(2));
        assert_eq!(
            table.load(server, at(2)),
            Some((heard.load, Duration::ZERO))
        );
        table.hear(stranger(20_000), &heard, at(1000));
        assert_eq!(table.heard.len(), 1);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes: Vec<u8>) {
            let _ = RwhoPacket::parse(&bytes);
        }
    }
}
