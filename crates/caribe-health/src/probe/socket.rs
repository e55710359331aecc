//! Sockets that go a target's way, and what their errors mean.

use std::io::{self, ErrorKind};
use std::net::{SocketAddr, UdpSocket as StdUdpSocket};
use std::time::Duration;

use nix::errno::Errno;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpSocket, TcpStream, UdpSocket};

use super::deadline::Deadline;
use super::finding::{Found, Step};
use super::{Code, Target};

/// A socket bound to the target's source, interface and mark, that never blocks.
pub(super) fn open(target: &Target, kind: Type, protocol: Option<Protocol>) -> Step<Socket> {
    let failed = |what: String| {
        move |error: io::Error| Found::new(Code::Local, format_args!("cannot {what}: {error}"))
    };
    let socket = Socket::new(Domain::for_address(target.address), kind, protocol)
        .map_err(failed("open a socket".to_owned()))?;
    socket
        .set_nonblocking(true)
        .map_err(failed("open a socket that does not block".to_owned()))?;
    if let Some(interface) = &target.interface {
        socket
            .bind_device(Some(interface.as_str().as_bytes()))
            .map_err(failed(format!("send by interface {interface}")))?;
    }
    if let Some(mark) = target.mark {
        socket
            .set_mark(mark)
            .map_err(failed(format!("mark packets with {mark}")))?;
    }
    if let Some(source) = target.source {
        socket
            .bind(&SocketAddr::new(source, 0).into())
            .map_err(failed(format!("send from {source}")))?;
    }
    Ok(socket)
}

/// Connects to the target. The wording is nanny's.
pub(super) async fn connect_tcp(target: &Target, deadline: &Deadline) -> Step<TcpStream> {
    let address = target.address;
    let socket = open(target, Type::STREAM, Some(Protocol::TCP))?;
    let connecting = TcpSocket::from_std_stream(socket.into()).connect(address);
    let connected = deadline
        .bound(
            Code::L4Timeout,
            format_args!("CONNECT to {address}"),
            connecting,
        )
        .await?;
    let stream = connected.map_err(|error| connect_failure(address, &error))?;
    // Requests are written whole; waiting for more would only add to the latency.
    stream
        .set_nodelay(true)
        .map_err(|error| connect_failure(address, &error))?;
    Ok(stream)
}

/// A UDP socket that hears the target only, errors from the network included.
pub(super) fn connect_udp(target: &Target) -> Step<UdpSocket> {
    let address = target.address;
    let socket = open(target, Type::DGRAM, Some(Protocol::UDP))?;
    socket
        .connect(&address.into())
        .map_err(|error| connect_failure(address, &error))?;
    UdpSocket::from_std(StdUdpSocket::from(socket)).map_err(|error| {
        Found::new(
            Code::Local,
            format_args!("cannot wait for a socket: {error}"),
        )
    })
}

/// Closes with a reset, so that no TIME_WAIT is left behind.
pub(super) fn reset(stream: TcpStream) -> io::Result<()> {
    stream
        .into_std()
        .map(Socket::from)?
        .set_linger(Some(Duration::ZERO))
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
