//! What a director does to a tunnelled packet, by hand: what the peer sends to the VIP is caught
//! on a veth pair, wrapped in an outer header and put on the segment in a frame to the real
//! server.

use std::io::ErrorKind;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use pnet_datalink::{Channel, Config, NetworkInterface};

use crate::lan::Lan;

/// What stands between the outer and the inner IP header.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Wrapping {
    /// Nothing.
    Ipip,
    /// GUE without a checksum, to this port.
    Gue(u16),
    /// GRE, with a checksum or without.
    Gre { checksum: bool },
}

impl Wrapping {
    /// The header for an inner packet, and the outer protocol.
    fn header(self, inner: &[u8]) -> (u8, Vec<u8>) {
        let is_ipv6 = inner[0] >> 4 == 6;
        let protocol = if is_ipv6 { 41 } else { 4 };
        let ether_type = if is_ipv6 { [0x86, 0xdd] } else { [0x08, 0x00] };
        match self {
            Wrapping::Ipip => (protocol, Vec::new()),
            Wrapping::Gue(port) => {
                let length = u16::try_from(12 + inner.len()).expect("a packet");
                let mut header = 54_321_u16.to_be_bytes().to_vec();
                header.extend(port.to_be_bytes());
                header.extend(length.to_be_bytes());
                header.extend([0, 0, 0, protocol, 0, 0]);
                (17, header)
            }
            Wrapping::Gre { checksum: false } => (47, [&[0, 0][..], &ether_type].concat()),
            Wrapping::Gre { checksum: true } => {
                let mut header = [&[0x80, 0][..], &ether_type, &[0; 4]].concat();
                let checksum = checksum(&[&header, inner].concat());
                header[4..6].copy_from_slice(&checksum);
                (47, header)
            }
        }
    }
}

fn checksum(bytes: &[u8]) -> [u8; 2] {
    let words = bytes
        .chunks(2)
        .map(|word| u32::from(word[0]) << 8 | u32::from(*word.get(1).unwrap_or(&0)));
    let mut sum: u32 = words.sum();
    while sum > 0xffff {
        sum = (sum >> 16) + (sum & 0xffff);
    }
    (!(sum as u16)).to_be_bytes()
}

pub(crate) struct Tunneller {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<u64>,
    clean: Box<dyn FnOnce()>,
}

impl Tunneller {
    /// Everything that the peer sends to `vip`, from its own address `source`, goes through a
    /// tunnel with these outer addresses to an interface of the real server from now on.
    pub(crate) fn start(
        lan: &Lan,
        interface: &str,
        vip: &str,
        source: &str,
        outer: (&str, &str),
        wrapping: Wrapping,
    ) -> Self {
        let peer = lan.peer.clone();
        let ip = move |words: &str| {
            let words = words.split(' ');
            peer.command("ip")
                .args(words)
                .run()
                .expect("ip is installed")
        };
        ip("link add caught type veth peer name catcher");
        // Without this, packets would be caught with half a checksum, and several in one.
        let ethtool = |name: &str| {
            lan.peer
                .command("ethtool")
                .args(["-K", name, "tx", "off"])
                .run()
                .expect("ethtool is installed")
        };
        ethtool("caught");
        ethtool("catcher");
        // Room for the outer headers.
        ip("link set caught mtu 1440 up");
        ip("link set catcher up");
        let family = if vip.contains(':') { "-6" } else { "-4" };
        ip(&format!("{family} route add {vip} dev caught src {source}"));
        ip(&format!(
            "neigh replace {vip} lladdr 02:00:00:00:00:01 dev caught"
        ));
        let real = lan.real.interface(interface).expect("it is there").mac;
        let outer = (parse(outer.0), parse(outer.1));
        let vip_address = parse(vip);
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let channels = lan
            .peer
            .run(|| (channel("catcher"), channel("eth0")))
            .expect("inside the namespace");
        let own = lan.peer.interface("eth0").expect("eth0").mac;
        let thread = std::thread::spawn(move || {
            let ((_, mut caught), (mut segment, _)) = channels;
            let mut sent = 0;
            loop {
                let frame = match caught.next() {
                    Ok(frame) => frame,
                    Err(error) if error.kind() == ErrorKind::TimedOut => {
                        if stopped.load(Ordering::Relaxed) {
                            return sent;
                        }
                        continue;
                    }
                    Err(error) => panic!("the catcher: {error}"),
                };
                let Some(wrapped) = wrap(frame, vip_address, outer, wrapping, [&own, &real]) else {
                    continue;
                };
                segment
                    .send_to(&wrapped, None)
                    .expect("the frame fits")
                    .expect("sent");
                sent += 1;
            }
        });
        Tunneller {
            stop,
            thread,
            clean: Box::new(move || drop(ip("link del caught"))),
        }
    }

    /// Ends the tunnel; tells how many packets went through it.
    pub(crate) fn stop(self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        let sent = self.thread.join().expect("the tunneller");
        (self.clean)();
        sent
    }
}

fn parse(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

type Ends = (
    Box<dyn pnet_datalink::DataLinkSender>,
    Box<dyn pnet_datalink::DataLinkReceiver>,
);

/// A packet socket in the namespace of the calling thread.
fn channel(name: &str) -> Ends {
    let interface: NetworkInterface = pnet_datalink::interfaces()
        .into_iter()
        .find(|interface| interface.name == name)
        .expect("the interface");
    let config = Config {
        read_timeout: Some(Duration::from_millis(100)),
        ..Config::default()
    };
    match pnet_datalink::channel(&interface, config).expect("a packet socket") {
        Channel::Ethernet(sender, receiver) => (sender, receiver),
        _ => panic!("an Ethernet interface"),
    }
}

/// The frame for the real server; `None` for what is not for the VIP.
fn wrap(
    frame: &[u8],
    vip: IpAddr,
    outer: (IpAddr, IpAddr),
    wrapping: Wrapping,
    [own, real]: [&[u8]; 2],
) -> Option<Vec<u8>> {
    let inner = frame.get(14..)?;
    let length = match (&frame[12..14], vip) {
        ([0x08, 0x00], IpAddr::V4(vip)) if inner.get(16..20)? == vip.octets() => {
            usize::from(u16::from_be_bytes([inner[2], inner[3]]))
        }
        ([0x86, 0xdd], IpAddr::V6(vip)) if inner.get(24..40)? == vip.octets() => {
            40 + usize::from(u16::from_be_bytes([inner[4], inner[5]]))
        }
        _ => return None,
    };
    let inner = inner.get(..length)?;
    let (protocol, between) = wrapping.header(inner);
    let length = between.len() + length;
    let mut wrapped = [real, own].concat();
    match outer {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            wrapped.extend([0x08, 0x00]);
            let total = u16::try_from(20 + length).expect("a packet").to_be_bytes();
            let mut header = vec![
                0x45, 0, total[0], total[1], 0, 0, 0x40, 0, 64, protocol, 0, 0,
            ];
            header.extend(from.octets());
            header.extend(to.octets());
            let checksum = checksum(&header);
            header[10..12].copy_from_slice(&checksum);
            wrapped.extend(header);
        }
        (IpAddr::V6(from), IpAddr::V6(to)) => {
            wrapped.extend([0x86, 0xdd, 0x60, 0, 0, 0]);
            wrapped.extend(u16::try_from(length).expect("a packet").to_be_bytes());
            wrapped.extend([protocol, 64]);
            wrapped.extend(from.octets());
            wrapped.extend(to.octets());
        }
        _ => panic!("both outer addresses are of one family"),
    }
    wrapped.extend(between);
    wrapped.extend(inner);
    Some(wrapped)
}
