//! A UDP echo that says who it is, and a client that asks.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::{Host, LabError};

/// How often a waiting echo looks whether it shall end.
const LOOK: Duration = Duration::from_millis(50);

/// Answers each datagram with `NAME PAYLOAD`, from the address that it came to. Ends when
/// dropped: the port is then closed, as after a crash.
#[derive(Debug)]
pub struct UdpEcho {
    ending: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl UdpEcho {
    /// Starts an echo on each of `addresses`, which must be the host's own: a socket that is
    /// bound to every address would answer a VIP's datagram from another one.
    ///
    /// # Errors
    ///
    /// Reports an address that cannot be bound.
    pub fn start(host: &Host, addresses: &[SocketAddr]) -> Result<UdpEcho, LabError> {
        let ending = Arc::new(AtomicBool::new(false));
        let mut echo = UdpEcho {
            ending: Arc::clone(&ending),
            threads: Vec::new(),
        };
        for address in addresses {
            let socket = socket(host, *address, LOOK)?;
            let (name, ending) = (host.name().to_owned(), Arc::clone(&ending));
            echo.threads
                .push(thread::spawn(move || serve(&socket, &name, &ending)));
        }
        Ok(echo)
    }
}

impl Drop for UdpEcho {
    fn drop(&mut self) {
        self.ending.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!("a UDP echo ended with a panic");
            }
        }
    }
}

/// Echoes until told to end. Errors of single datagrams (an ICMP answer to an earlier reply) are
/// the network's business, not the echo's.
fn serve(socket: &UdpSocket, name: &str, ending: &AtomicBool) {
    let mut buffer = vec![0; 1 << 16];
    while !ending.load(Ordering::Relaxed) {
        match socket.recv_from(&mut buffer) {
            Ok((length, client)) => {
                let mut reply = format!("{name} ").into_bytes();
                reply.extend_from_slice(&buffer[..length]);
                if let Err(error) = socket.send_to(&reply, client) {
                    tracing::debug!(%client, %error, "cannot echo");
                }
            }
            Err(error) if is_timeout(&error) => {}
            Err(error) => tracing::debug!(%error, "cannot receive"),
        }
    }
}

/// A UDP socket of a host, connected to one service: a flow of its own.
#[derive(Debug)]
pub struct UdpClient {
    host: String,
    server: SocketAddr,
    socket: UdpSocket,
}

/// The next port of a range below the one that the kernel chooses from.
fn fresh_port() -> u16 {
    const FIRST: u16 = 10_000;
    const PORTS: u16 = 20_000;
    static TAKEN: AtomicU32 = AtomicU32::new(0);
    let taken = TAKEN.fetch_add(1, Ordering::Relaxed) % u32::from(PORTS);
    // The remainder is below 20,000.
    FIRST + taken as u16
}

impl UdpClient {
    /// Opens a flow from a fresh port of `host` to `server`; each answer is awaited for three
    /// seconds.
    ///
    /// Fresh means that no flow of this process came from it lately: a director remembers UDP
    /// flows for minutes, and the kernel's random ports come round again.
    ///
    /// # Errors
    ///
    /// Reports what the system refused.
    pub fn connect(host: &Host, server: SocketAddr) -> Result<UdpClient, LabError> {
        let port = fresh_port();
        let any = if server.is_ipv4() {
            SocketAddr::from(([0, 0, 0, 0], port))
        } else {
            SocketAddr::from(([0u16; 8], port))
        };
        let socket = socket(host, any, Duration::from_secs(3))?;
        socket.connect(server).map_err(LabError::io(format!(
            "connect to {server} by UDP on {}",
            host.name()
        )))?;
        Ok(UdpClient {
            host: host.name().to_owned(),
            server,
            socket,
        })
    }

    /// How long an answer is awaited.
    ///
    /// # Errors
    ///
    /// Reports what the system refused.
    pub fn time_limit(self, limit: Duration) -> Result<UdpClient, LabError> {
        self.socket
            .set_read_timeout(Some(limit))
            .map_err(LabError::io("set the time limit of a UDP client"))?;
        Ok(self)
    }

    /// Its own address, as the server shall see it.
    ///
    /// # Errors
    ///
    /// Reports what the system refused.
    pub fn own_address(&self) -> Result<SocketAddr, LabError> {
        self.socket
            .local_addr()
            .map_err(LabError::io("ask for a UDP client's own address"))
    }

    /// Sends `payload` and gives the answer. Only an answer from the service's own address gets
    /// through: the socket is connected.
    ///
    /// # Errors
    ///
    /// Reports a refusal (an ICMP error), or that no answer came in time.
    pub fn exchange(&self, payload: &[u8]) -> Result<Vec<u8>, LabError> {
        let what = || {
            LabError::io(format!(
                "exchange {} bytes with {} by UDP from {}",
                payload.len(),
                self.server,
                self.host
            ))
        };
        self.socket.send(payload).map_err(what())?;
        let mut buffer = vec![0; 1 << 16];
        let length = self.socket.recv(&mut buffer).map_err(|error| {
            let error = if is_timeout(&error) {
                io::Error::new(io::ErrorKind::TimedOut, "no answer came in time")
            } else {
                error
            };
            what()(error)
        })?;
        buffer.truncate(length);
        Ok(buffer)
    }
}

/// A socket inside the host.
fn socket(host: &Host, address: SocketAddr, wait: Duration) -> Result<UdpSocket, LabError> {
    host.run(|| {
        let socket = UdpSocket::bind(address)?;
        socket.set_read_timeout(Some(wait))?;
        Ok(socket)
    })?
    .map_err(LabError::io(format!(
        "open a UDP socket on {address} of {}",
        host.name()
    )))
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
    )
}
