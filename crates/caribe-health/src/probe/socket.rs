//! Sockets that go a target's way, and what their errors mean.

use std::io::{self, ErrorKind};
use std::net::{SocketAddr, UdpSocket as StdUdpSocket};
use std::time::Duration;

use nix::errno::Errno;
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tokio::net::{TcpSocket, TcpStream, UdpSocket};

use super::connection::{Connection, Datagrams};
use super::deadline::Deadline;
use super::finding::{Found, Step};
use super::way::Way;
use super::{Code, Target};
use crate::path::{Lease, Passage, PathError, Transport};

/// A socket bound to the target's source and interface, that never blocks.
pub(super) fn open(target: &Target, kind: Type, protocol: Option<Protocol>) -> Step<Socket> {
    let failed = |what: String| {
        move |error: io::Error| Found::new(Code::Local, format_args!("cannot {what}: {error}"))
    };
    let domain = Domain::for_address(target.address);
    let socket = Socket::new(domain, kind.nonblocking(), protocol)
        .map_err(failed("open a socket".to_owned()))?;
    if let Some(interface) = &target.interface {
        socket
            .bind_device(Some(interface.as_str().as_bytes()))
            .map_err(failed(format!("send by interface {interface}")))?;
    }
    if let Some(source) = target.source {
        socket
            .bind(&SocketAddr::new(source, 0).into())
            .map_err(failed(format!("send from {source}")))?;
    }
    Ok(socket)
}

/// A socket for the target's way, and what keeps that way open.
async fn on_the_way(
    way: &Way<'_>,
    transport: Transport,
    deadline: &Deadline,
) -> Step<(Socket, Option<Lease>)> {
    let plain = || {
        let (kind, protocol) = transport.socket();
        open(way, kind, Some(protocol)).map(|socket| (socket, None))
    };
    let Some(through) = &way.through else {
        return plain();
    };
    let local = |error: PathError| Found::new(Code::Local, error);
    let Some(path) = way.path() else {
        return Err(Found::new(
            Code::Local,
            "there is no data path to probe through",
        ));
    };
    let server = through.server.ip();
    let stage = format_args!("no way to {server} (no route, or no MAC address): the wait for it");
    let hop = deadline.bound(Code::L4Timeout, stage, path.way(server));
    let hop = hop.await?.map_err(local)?;
    let stage = "opening a socket for the way through the VIP";
    let passage = path.socket(transport, way.address, through, way.source, hop);
    let passage = deadline.bound(Code::Local, stage, passage).await?;
    match passage.map_err(local)? {
        Passage::Inside(socket, lease) => Ok((socket, Some(lease))),
        Passage::Local => plain(),
    }
}

/// Connects to the target, and closes the connection in order: nothing is sent.
pub(super) async fn shake_hands(way: &Way<'_>, deadline: &Deadline) -> Step<()> {
    let (socket, lease) = on_the_way(way, Transport::Tcp, deadline).await?;
    let stream = connect(socket, way.address, deadline).await?;
    drop(Connection::new(stream, lease));
    Ok(())
}

/// Connects to the target, to talk with it.
pub(super) async fn connect_tcp(way: &Way<'_>, deadline: &Deadline) -> Step<Connection> {
    let (socket, lease) = on_the_way(way, Transport::Tcp, deadline).await?;
    let stream = connect(socket, way.address, deadline).await?;
    // Requests are written whole; waiting for more would only add to the latency.
    stream
        .set_nodelay(true)
        .map_err(|error| connect_failure(way.address, &error))?;
    Ok(Connection::new(stream, lease))
}

/// Connects to a target that is asked one question: three packets are sent, the question and the
/// reset that ends it among them, and nothing of it stays behind on either side.
pub(super) async fn connect_to_ask(way: &Way<'_>, deadline: &Deadline) -> Step<Connection> {
    let (stream, lease) = connect_briefly(way, deadline).await?;
    // The kernel gave that up with the handshake: what is received is not acknowledged at once,
    // either.
    let brief = SockRef::from(&stream).set_tcp_quickack(false);
    brief.map_err(|error| no_reset(&error))?;
    Ok(Connection::new(stream, lease).that_resets())
}

/// Sees whether the target takes connections, and has none: what its SYN-ACK gets is a reset.
/// So the program behind the port is not troubled at all, there are two packets less, and nothing
/// of it stays behind on either side.
pub(super) async fn knock(way: &Way<'_>, deadline: &Deadline) -> Step<()> {
    let (stream, lease) = connect_briefly(way, deadline).await?;
    drop(Connection::new(stream, lease));
    Ok(())
}

/// Puts off the acknowledgement that completes the handshake, so that it comes with what is sent
/// first, or never if that is the reset; and has the connection end with one.
async fn connect_briefly(way: &Way<'_>, deadline: &Deadline) -> Step<(TcpStream, Option<Lease>)> {
    let (socket, lease) = on_the_way(way, Transport::Tcp, deadline).await?;
    let brief = socket
        .set_linger(Some(Duration::ZERO))
        .and_then(|()| socket.set_tcp_quickack(false));
    brief.map_err(|error| no_reset(&error))?;
    let stream = connect(socket, way.address, deadline).await?;
    Ok((stream, lease))
}

fn no_reset(error: &io::Error) -> Found {
    Found::new(
        Code::Local,
        format_args!("cannot prepare a connection's reset: {error}"),
    )
}

/// The wording is nanny's.
async fn connect(socket: Socket, address: SocketAddr, deadline: &Deadline) -> Step<TcpStream> {
    let connecting = TcpSocket::from_std_stream(socket.into()).connect(address);
    let connected = deadline
        .bound(
            Code::L4Timeout,
            format_args!("CONNECT to {address}"),
            connecting,
        )
        .await?;
    connected.map_err(|error| connect_failure(address, &error))
}

/// A UDP socket that hears the target only, errors from the network included.
pub(super) async fn connect_udp(way: &Way<'_>, deadline: &Deadline) -> Step<Datagrams> {
    let address = way.address;
    let (socket, lease) = on_the_way(way, Transport::Udp, deadline).await?;
    socket
        .connect(&address.into())
        .map_err(|error| connect_failure(address, &error))?;
    let socket = UdpSocket::from_std(StdUdpSocket::from(socket)).map_err(|error| {
        Found::new(
            Code::Local,
            format_args!("cannot wait for a socket: {error}"),
        )
    })?;
    Ok(Datagrams::new(socket, lease))
}

/// What a failed connection tells.
pub(super) fn connect_failure(address: SocketAddr, error: &io::Error) -> Found {
    match code_of(error) {
        Code::L4Timeout => Found::new(
            Code::L4Timeout,
            format_args!("CONNECT to {address} timed out by the kernel's own count"),
        ),
        Code::L4Refused if error.kind() == ErrorKind::ConnectionRefused => Found::new(
            Code::L4Refused,
            format_args!("CONNECT to {address} was refused: nothing listens on that port"),
        ),
        code => Found::new(code, format_args!("CONNECT to {address} failed: {error}")),
    }
}

/// Tells the network's and the server's errors from the director's own.
pub(super) fn code_of(error: &io::Error) -> Code {
    let remote = [
        ErrorKind::ConnectionRefused,
        ErrorKind::ConnectionReset,
        ErrorKind::ConnectionAborted,
        ErrorKind::HostUnreachable,
        ErrorKind::NetworkUnreachable,
        ErrorKind::BrokenPipe,
        ErrorKind::UnexpectedEof,
    ];
    // What Rust has no kind for: EHOSTDOWN, EPROTO and ENOPROTOOPT come from ICMP messages.
    let by_icmp = [Errno::EHOSTDOWN, Errno::EPROTO, Errno::ENOPROTOOPT];
    let number = error.raw_os_error().map(Errno::from_raw);
    if error.kind() == ErrorKind::TimedOut {
        Code::L4Timeout
    } else if remote.contains(&error.kind())
        || number.is_some_and(|number| by_icmp.contains(&number))
    {
        Code::L4Refused
    } else {
        Code::Local
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_of_the_server_are_told_from_our_own() {
        let code = |number: Errno| code_of(&io::Error::from_raw_os_error(number as i32));
        for number in [
            Errno::ECONNREFUSED,
            Errno::ECONNRESET,
            Errno::EHOSTUNREACH,
            Errno::ENETUNREACH,
            Errno::EHOSTDOWN,
        ] {
            assert_eq!(code(number), Code::L4Refused, "{number}");
        }
        assert_eq!(code(Errno::ETIMEDOUT), Code::L4Timeout);
        for number in [
            Errno::EMFILE,
            Errno::EADDRNOTAVAIL,
            Errno::EPERM,
            Errno::ENODEV,
            Errno::ENOBUFS,
        ] {
            assert_eq!(code(number), Code::Local, "{number}");
        }
    }
}
