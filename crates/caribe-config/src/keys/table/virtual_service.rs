//! Virtual services.

use caribe_model::{SchedulerFlags, TableSize};

use crate::keys::{Fallback, Key, Kind};

use super::{FORWARDING, INT_MAX, SECONDS, TUNNEL, TUNNEL_CHECKSUM, TUNNEL_PORT, in_virtual};

/// The longest that ipvsadm takes: 31 days.
const PERSISTENCE: Kind = Kind::Integer {
    min: 0,
    max: 31 * 24 * 3_600,
};

pub(super) const KEYS: &[Key] = &[
    in_virtual("active", Kind::Boolean)
        .default("0")
        .meaning("1: the service runs. An inactive service is skipped completely."),
    in_virtual("address", Kind::Floating)
        .fallback(Fallback::Required)
        .meaning("The VIP, and the interface or alias that carries it, e.g. `eth0:1`."),
    in_virtual("vip_nmask", Kind::Netmask)
        .fallback(Fallback::Derived(
            "that of the first service with the same VIP, else 255.255.255.255, or 128 for IPv6",
        ))
        .meaning("Netmask of the VIP. 0.0.0.0 leaves it unset."),
    in_virtual(
        "port",
        Kind::Port {
            min: 0,
            piranha_takes_names: true,
        },
    )
    .default("80")
    .meaning(
        "Port of the service. 0: all ports of the VIP, for a service that is `persistent` or has \
         an `fwmark` only, as in IPVS.",
    ),
    in_virtual("protocol", Kind::Word(&["tcp", "udp", "sctp"]))
        .default("tcp")
        .meaning("Transport protocol."),
    in_virtual("scheduler", Kind::Scheduler)
        .default("wlc")
        .meaning("How the real server of a new connection is chosen."),
    in_virtual("scheduler_flags", Kind::Words(&SchedulerFlags::NAMES))
        .caribe()
        .meaning(
            "Flags of the schedulers `sh` and `mh`. `sh-fallback`, `mh-fallback`: when the server \
             of a client is quiesced (weight 0), the client gets another one; without it, as in \
             IPVS, its new connections fail until the server is back or removed. `sh-port`, \
             `mh-port`: the client's port counts too, so that its connections are spread.",
        ),
    in_virtual("mh_table_size", Kind::Word(&TableSize::WORDS))
        .caribe()
        .default("4093")
        .meaning(
            "Slots of the table of `mh`, each 8 bytes. About a hundred for each server keeps \
             shares even and moves hardly a client when servers come and go; directors that \
             share a service need the same.",
        ),
    in_virtual("forward", FORWARDING)
        .caribe()
        .fallback(Fallback::Derived("`network`"))
        .meaning("Forwarding method of the servers of this service that have no `forward`."),
    in_virtual(
        "fwmark",
        Kind::Integer {
            min: 0,
            max: u32::MAX as i64,
        },
    )
    .default("0")
    .meaning("Firewall mark that keys the service instead of protocol, VIP and port; 0: none."),
    in_virtual("sorry_server", Kind::Address)
        .neutral(&["0.0.0.0"])
        .meaning(
            "Address of the server that serves while no real server can; see `quorum`. It is not \
             watched.",
        ),
    in_virtual(
        "sorry_port",
        Kind::Port {
            min: 0,
            piranha_takes_names: false,
        },
    )
    .caribe()
    .fallback(Fallback::Derived("the service's port"))
    .meaning("Its port. Only NAT can change it."),
    in_virtual(
        "sorry_weight",
        Kind::Integer {
            min: 1,
            max: INT_MAX,
        },
    )
    .caribe()
    .default("1")
    .meaning("Its weight."),
    in_virtual("sorry_forward", FORWARDING)
        .caribe()
        .fallback(Fallback::Derived("the service's"))
        .meaning("Forwarding method to it; a tunnel is as the service's `tunnel` says."),
    in_virtual("persistent", PERSISTENCE)
        .default("0")
        .seconds()
        .meaning("How long a client keeps its server; 0: not at all."),
    in_virtual("pmask", Kind::Netmask)
        .neutral(&["255.255.255.255", "0.0.0.0", "128"])
        .meaning("Netmask that groups clients for `persistent`; 255.255.255.255 leaves it unset."),
    in_virtual("one_packet", Kind::Boolean)
        .caribe()
        .default("0")
        .meaning(
            "1: every datagram of a UDP service (or one with an `fwmark`) is scheduled by itself \
             and no connection is kept, as for DNS or RADIUS from few clients (ipvsadm's \
             `--ops`). Replies of NAT servers are not translated then.",
        ),
    in_virtual("mss_clamp", Kind::Mss)
        .caribe()
        .default("0")
        .unit("bytes")
        .meaning(
            "The largest segment size that a SYN may announce; a larger one is lowered. In the \
             client's SYN, by every method, it limits the segments of the server; in the SYN/ACK \
             of a NAT server, those of the client. By direct routing and tunnels the server's \
             SYN/ACK does not pass the director, so what the client sends through a tunnel has to \
             be limited on the server (`ip route change ... advmss`). `auto`: what fits the path \
             to the server, its tunnel's headers counted; 0: nothing is lowered.",
        ),
    in_virtual("drain_timeout", SECONDS)
        .caribe()
        .default("0")
        .seconds()
        .meaning(
            "How long a server that leaves the file, or becomes inactive, may finish its \
             connections: it gets no new ones and is removed when they are over, at the latest \
             after this time. 0: it is removed at once.",
        ),
    in_virtual("tunnel", TUNNEL)
        .caribe()
        .default("ipip")
        .meaning("Kind of tunnel to servers of this service that have no `tunnel`."),
    in_virtual("tunnel_port", TUNNEL_PORT)
        .caribe()
        .meaning("UDP port of their GUE tunnels."),
    in_virtual("tunnel_checksum", TUNNEL_CHECKSUM)
        .caribe()
        .default("none")
        .meaning("Checksum of their GUE and GRE tunnels."),
];
