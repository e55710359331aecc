//! The network namespace in which no VIP is local, and sockets made there.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::thread;
use std::time::Duration;

use netlink_packet_route::address::{AddressAttribute, AddressFlags};
use netlink_packet_route::route::RouteScope;
use nix::sched::{CloneFlags, unshare};
use rtnetlink::{Handle, LinkUnspec, RouteMessageBuilder};
use socket2::{Domain, Socket};
use tokio::sync::{mpsc, oneshot};
use tun_rs::{DeviceBuilder, Layer, SyncDevice};

use super::packet::Transport;

/// What every packet comes from inside: the dummy address of RFC 7600, which no network has. It
/// is replaced on the way out.
pub(super) const INSIDE_V4: Ipv4Addr = Ipv4Addr::new(192, 0, 0, 8);
/// The same in IPv6, of the prefix to discard (RFC 6666).
pub(super) const INSIDE_V6: Ipv6Addr = Ipv6Addr::new(0x100, 0, 0, 0, 0, 0, 0, 8);

/// The least that IPv6 needs, so that a packet fits into every tunnel on the way.
const MTU: u16 = 1280;

/// The way to the thread that lives in the namespace, which is there as long as the thread is.
#[derive(Debug, Clone)]
pub(super) struct Inside {
    requests: mpsc::UnboundedSender<Request>,
}

#[derive(Debug)]
struct Request {
    transport: Transport,
    local: SocketAddr,
    answer: oneshot::Sender<io::Result<Socket>>,
}

impl Inside {
    /// Starts the thread; also its TUN device, which can be read anywhere.
    pub(super) async fn start() -> io::Result<(Inside, SyncDevice)> {
        let (requests, inbox) = mpsc::unbounded_channel();
        let (made, device) = oneshot::channel();
        thread::Builder::new()
            .name("probe-path".to_owned())
            .spawn(move || match furnish() {
                Ok((device, v6)) => {
                    if made.send(Ok(device)).is_ok() {
                        serve(inbox, v6.as_ref().err());
                    }
                }
                // Who has hung up does not want to know.
                Err(error) => drop(made.send(Err(error))),
            })?;
        let device = device
            .await
            .map_err(|_| io::Error::other("the thread broke down"))??;
        Ok((Inside { requests }, device))
    }

    /// A socket with this port, which never blocks.
    pub(super) async fn socket(
        &self,
        transport: Transport,
        v6: bool,
        port: u16,
    ) -> io::Result<Socket> {
        let gone = || io::Error::other("the thread in the namespace has ended");
        let (answer, socket) = oneshot::channel();
        let address: IpAddr = if v6 {
            INSIDE_V6.into()
        } else {
            INSIDE_V4.into()
        };
        let request = Request {
            transport,
            local: SocketAddr::new(address, port),
            answer,
        };
        self.requests.send(request).map_err(|_| gone())?;
        socket.await.map_err(|_| gone())?
    }
}

/// Takes this thread into a new namespace and puts a device with all routes there. The second
/// result is about IPv6, without which a machine may do.
fn furnish() -> io::Result<(SyncDevice, io::Result<()>)> {
    unshare(CloneFlags::CLONE_NEWNET)?;
    let device = DeviceBuilder::new()
        .name("probes")
        .layer(Layer::L3)
        .mtu(MTU)
        .enable(false)
        .build_sync()?;
    device.set_nonblocking(true)?;
    let index = device.if_index()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()?;
    let v6 = runtime.block_on(async {
        let (connection, handle, _) = rtnetlink::new_connection()?;
        tokio::spawn(connection);
        let up = LinkUnspec::new_with_index(index).up().build();
        let up = handle.link().set(up).execute().await;
        up.map_err(|error| io::Error::other(format!("set the device up: {error}")))?;
        settle(&handle, index, INSIDE_V4.into()).await?;
        Ok::<_, io::Error>(settle(&handle, index, INSIDE_V6.into()).await)
    })?;
    Ok((device, v6))
}

/// Gives the device an address, and all routes of its family.
async fn settle(handle: &Handle, index: u32, address: IpAddr) -> io::Result<()> {
    let failed = |what: &'static str| {
        move |error: rtnetlink::Error| io::Error::other(format!("{what} for {address}: {error}"))
    };
    let prefix = if address.is_ipv4() { 32 } else { 128 };
    let mut add = handle.address().add(index, address, prefix);
    if address.is_ipv6() {
        // Nobody else is here who could have it.
        let flags = AddressAttribute::Flags(AddressFlags::Nodad);
        add.message_mut().attributes.push(flags);
    }
    let added = add.execute().await;
    added.map_err(failed("add the address"))?;
    let everything = match address {
        IpAddr::V4(_) => RouteMessageBuilder::<Ipv4Addr>::new()
            .output_interface(index)
            .scope(RouteScope::Link)
            .build(),
        IpAddr::V6(_) => RouteMessageBuilder::<Ipv6Addr>::new()
            .output_interface(index)
            .build(),
    };
    let add = handle.route().add(everything).execute();
    add.await.map_err(failed("add the routes"))
}

fn serve(mut inbox: mpsc::UnboundedReceiver<Request>, no_v6: Option<&io::Error>) {
    while let Some(request) = inbox.blocking_recv() {
        let socket = match no_v6 {
            Some(error) if request.local.is_ipv6() => Err(io::Error::other(error.to_string())),
            _ => open(request.transport, request.local),
        };
        // A probe whose time is up has hung up.
        drop(request.answer.send(socket));
    }
}

fn open(transport: Transport, local: SocketAddr) -> io::Result<Socket> {
    let (kind, protocol) = transport.socket();
    let socket = Socket::new(Domain::for_address(local), kind, Some(protocol))?;
    socket.set_nonblocking(true)?;
    socket.set_reuse_address(true)?;
    if transport == Transport::Tcp {
        // Closed by a reset, as HAProxy's checks are: a port that lingered in TIME_WAIT could
        // not be lent again for a minute.
        socket.set_linger(Some(Duration::ZERO))?;
    }
    socket.bind(&local.into())?;
    Ok(socket)
}
