//! Every key of lvs.cf. Defaults, ranges and meaning of Piranha's keys are those of its 0.8.6
//! daemons; ranges that they did not check are those of IPVS.

use caribe_model::{SchedulerFlags, TableSize};

use super::{Fallback, Key, Kind, Place, Topic};

/// Largest C `int`: what Piranha could hold.
const INT_MAX: i64 = i32::MAX as i64;
/// IPVS refuses idle timeouts over `INT_MAX / HZ`; this is that bound at 1000 ticks a second.
const TIMEOUT_MAX: i64 = INT_MAX / 1_000;
/// Most connections that the table can be asked to hold, per address family.
const CONNECTIONS_MAX: i64 = 1 << 27;

const ANY_INTEGER: Kind = Kind::Integer {
    min: i64::MIN,
    max: i64::MAX,
};
const SECONDS: Kind = Kind::Integer {
    min: 0,
    max: INT_MAX,
};
const SECONDS_FROM_ONE: Kind = Kind::Integer {
    min: 1,
    max: INT_MAX,
};
const IDLE_TIMEOUT: Kind = Kind::Integer {
    min: 0,
    max: TIMEOUT_MAX,
};
const FORWARDING: Kind = Kind::Word(&["nat", "direct", "tunnel"]);

const fn global(name: &'static str, kind: Kind) -> Key {
    Key::new(Place::Global, name, kind)
}

const fn in_virtual(name: &'static str, kind: Kind) -> Key {
    Key::new(Place::Virtual, name, kind)
}

const fn in_server(name: &'static str, kind: Kind) -> Key {
    Key::new(Place::Server, name, kind)
}

const fn in_failover(name: &'static str, kind: Kind) -> Key {
    Key::new(Place::Failover, name, kind)
}

/// Every key, by place, in the order of the reference.
pub static KEYS: &[Key] = &[
    // The file and its services.
    global("serial_no", ANY_INTEGER)
        .default("0")
        .informs()
        .meaning("The administrator's version counter of the file."),
    global("service", Kind::Word(&["lvs", "fos"]))
        .default("lvs")
        .meaning("Which family of blocks runs. Only `lvs` is supported; `fos` is refused."),
    global("network", FORWARDING).default("nat").meaning(
        "Forwarding method of every server for which neither its own block nor that of its \
             service has a `forward`.",
    ),
    global("nat_router", Kind::Floating).meaning(
        "Floating inside address, and the interface or alias that carries it; servers behind NAT \
         use it as their gateway. Ignored, with a warning, when nothing is forwarded by NAT.",
    ),
    global("nat_nmask", Kind::Netmask)
        .fallback(Fallback::Derived("255.255.255.255, or 128 for IPv6"))
        .meaning("Netmask of `nat_router`. 0.0.0.0 leaves it unset."),
    global("interface", Kind::Interfaces).caribe().meaning(
        "Interfaces on which the data plane works, besides those that carry a floating \
             address.",
    ),
    global(
        "connections",
        Kind::Integer {
            min: 1,
            max: CONNECTIONS_MAX,
        },
    )
    .caribe()
    .fallback(Fallback::Derived("the data plane's own"))
    .meaning("Most connections that the table holds, for each address family."),
    global("keep_overrides", Kind::Boolean)
        .caribe()
        .default("0")
        .meaning(
            "1: a reload of this file leaves in place what was changed by hand, with `ipvsadm`; \
             0: it drops it.",
        ),
    global("tcp_timeout", IDLE_TIMEOUT)
        .default("0")
        .seconds()
        .meaning("Idle timeout of an established TCP connection; 0 leaves the default of 900."),
    global("tcpfin_timeout", IDLE_TIMEOUT)
        .default("0")
        .seconds()
        .meaning("Idle timeout of a TCP connection after a FIN; 0 leaves the default of 120."),
    global("udp_timeout", IDLE_TIMEOUT)
        .default("0")
        .seconds()
        .meaning("Idle timeout of UDP; 0 leaves the default of 300."),
    // The second director.
    global("primary", Kind::Host)
        .not_yet(Topic::Redundancy)
        .meaning("Own (not floating) address of the primary director. 0.0.0.0 is refused."),
    global("primary_private", Kind::Host)
        .not_yet(Topic::Redundancy)
        .meaning("Second heartbeat address of the primary director."),
    global("backup", Kind::Host)
        .default("0.0.0.0")
        .not_yet(Topic::Redundancy)
        .meaning("Own address of the backup director; 0.0.0.0 stands for none."),
    global("backup_private", Kind::Host)
        .not_yet(Topic::Redundancy)
        .neutral(&["0.0.0.0"])
        .meaning("Second heartbeat address of the backup director; needed with `primary_private`."),
    global("backup_active", Kind::Boolean)
        .default("0")
        .not_yet(Topic::Redundancy)
        .meaning("1: there is a backup director."),
    global("heartbeat", Kind::Boolean)
        .default("0")
        .not_yet(Topic::Redundancy)
        .meaning("Written as 1 by Piranha's web tool; its daemons never read it."),
    global(
        "heartbeat_port",
        Kind::Port {
            min: 1,
            piranha_takes_names: true,
        },
    )
    .default("539")
    .not_yet(Topic::Redundancy)
    .meaning("UDP port of the heartbeat, both ways."),
    global("keepalive", SECONDS_FROM_ONE)
        .default("2")
        .seconds()
        .not_yet(Topic::Redundancy)
        .meaning("Interval between heartbeats."),
    global("deadtime", SECONDS_FROM_ONE)
        .default("5")
        .seconds()
        .not_yet(Topic::Redundancy)
        .meaning("Silence after which the other director is taken for dead; over `keepalive`."),
    global("monitor_links", Kind::Boolean)
        .default("0")
        .not_yet(Topic::Redundancy)
        .meaning("1: give up activity when an own interface loses its link."),
    global("syncdaemon", Kind::Boolean)
        .default("0")
        .not_yet(Topic::Redundancy)
        .meaning("1: replicate connections to the other director."),
    global("syncd_iface", Kind::Interface)
        .default("eth0")
        .not_yet(Topic::Redundancy)
        .meaning("Interface on which connections are replicated."),
    global("syncd_id", Kind::Integer { min: 0, max: 255 })
        .default("0")
        .not_yet(Topic::Redundancy)
        .meaning("Identity of the replicating pair on its network."),
    global("active_cmd", Kind::Text)
        .not_yet(Topic::Redundancy)
        .meaning("Command that is started when the director becomes active."),
    global("inactive_cmd", Kind::Text)
        .not_yet(Topic::Redundancy)
        .meaning("Command that is started when the director becomes inactive, and at its start."),
    // Monitoring, for the whole file.
    global("rsh_command", Kind::Text)
        .default("rsh")
        .not_yet(Topic::Monitoring)
        .meaning("Remote shell for `load_monitor = uptime`."),
    // What belongs to parts of Piranha.
    global("hard_shutdown", Kind::Boolean)
        .default("1")
        .not_yet(Topic::Obsolete)
        .meaning("1: the death of a monitor process stopped Piranha's balancer."),
    global("ipvsadm", Kind::Text)
        .default("/sbin/ipvsadm")
        .not_yet(Topic::Obsolete)
        .meaning("Path of the program that Piranha set the kernel's table with."),
    global("debug_level", Kind::Text)
        .default("NONE")
        .not_yet(Topic::Obsolete)
        .meaning("Never read by Piranha's daemons."),
    global("sync", Kind::Boolean)
        .default("0")
        .not_yet(Topic::Obsolete)
        .meaning("Old switch for the copying of files between directors; never read."),
    global(
        "reservation_conflict_action",
        Kind::Word(&["nothing", "preempt"]),
    )
    .not_yet(Topic::Obsolete)
    .meaning("For shared SCSI disks in fos mode."),
    global("primary_shared", Kind::Text)
        .not_yet(Topic::Obsolete)
        .meaning("Shared SCSI disk of the primary director, in fos mode."),
    global("backup_shared", Kind::Text)
        .not_yet(Topic::Obsolete)
        .meaning("Shared SCSI disk of the backup director, in fos mode."),
    global("debug", Kind::Text)
        .misnomer("read as `debug_level`")
        .meaning("The name that Piranha's manual page has for `debug_level`."),
    // Virtual services.
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
    .meaning("Port of the service. 0 is refused unless there is an `fwmark`."),
    in_virtual("protocol", Kind::Word(&["tcp", "udp"]))
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
    in_virtual("monitor", Kind::Word(&["tcp", "none"]))
        .caribe()
        .fallback(Fallback::Derived("`tcp` for TCP services, `none` for UDP"))
        .meaning(
            "How a server is found good: `tcp` by connecting to its address and port by TCP (also \
             for a UDP service), `none` not at all: it is always taken as up.",
        ),
    in_virtual("timeout", SECONDS_FROM_ONE)
        .default("10")
        .seconds()
        .meaning("Interval between two checks of a server, and limit of each step of one."),
    in_virtual("reentry", SECONDS)
        .default("180")
        .seconds()
        .meaning("How long a server that failed must stay good before it serves again."),
    in_virtual("quiesce_server", Kind::Boolean)
        .default("0")
        .meaning("1: a failed server gets weight 0 instead of being removed."),
    in_virtual(
        "fwmark",
        Kind::Integer {
            min: 0,
            max: u32::MAX as i64,
        },
    )
    .default("0")
    .not_yet(Topic::Marks)
    .meaning("Firewall mark that keys the service instead of protocol, VIP and port; 0: none."),
    in_virtual("sorry_server", Kind::Address)
        .not_yet(Topic::SorryServers)
        .neutral(&["0.0.0.0"])
        .meaning("Address of the server that serves while no real server can."),
    in_virtual("persistent", IDLE_TIMEOUT)
        .default("0")
        .seconds()
        .not_yet(Topic::Persistence)
        .meaning("How long a client keeps its server; 0: not at all."),
    in_virtual("pmask", Kind::Netmask)
        .not_yet(Topic::Persistence)
        .neutral(&["255.255.255.255", "0.0.0.0", "128"])
        .meaning("Netmask that groups clients for `persistent`; 255.255.255.255 leaves it unset."),
    in_virtual("load_monitor", Kind::Text)
        .default("none")
        .not_yet(Topic::Monitoring)
        .meaning("`none`, `rup`, `ruptime`, `uptime`, or a command that prints a server's load."),
    in_virtual("send", Kind::EscapedText)
        .not_yet(Topic::Monitoring)
        .neutral(&[""])
        .meaning("Text that is sent after the connect."),
    in_virtual("expect", Kind::EscapedText)
        .not_yet(Topic::Monitoring)
        .neutral(&[""])
        .meaning("Text that is expected then, or from `send_program`."),
    in_virtual("use_regex", Kind::Boolean)
        .default("0")
        .not_yet(Topic::Monitoring)
        .meaning("1: `expect` is a POSIX extended regular expression."),
    in_virtual("send_program", Kind::Text)
        .not_yet(Topic::Monitoring)
        .neutral(&[""])
        .meaning("Program that checks a server instead of `send`; `%h` and `%p` are replaced."),
    in_virtual("client_monitor", Kind::Text)
        .default("/usr/sbin/nanny")
        .not_yet(Topic::Obsolete)
        .meaning("Path of Piranha's monitor program."),
    in_virtual("master", Kind::Host)
        .not_yet(Topic::Obsolete)
        .meaning("Of a file mirror that Piranha never finished."),
    in_virtual("dirs", Kind::List)
        .not_yet(Topic::Obsolete)
        .meaning("Of the same; a list, `[ a b ]`."),
    in_virtual("start_cmd", Kind::Text)
        .not_yet(Topic::Obsolete)
        .meaning("Start command of a `failover` service."),
    in_virtual("stop_cmd", Kind::Text)
        .not_yet(Topic::Obsolete)
        .meaning("Stop command of a `failover` service."),
    in_virtual("expect_program", Kind::EscapedText)
        .misnomer("read as `expect` when there is a `send_program`, and ignored otherwise")
        .meaning("Hidden field of Piranha's web tool."),
    in_virtual("deadtime", Kind::Anything)
        .misnomer("ignored")
        .meaning("Written here by some versions of Piranha's web tool."),
    // Real servers.
    in_server("address", Kind::Host)
        .default("0.0.0.0")
        .meaning("Address of the real server; an active one must have it."),
    in_server("active", Kind::Boolean)
        .default("0")
        .meaning("1: the server is watched and used."),
    in_server(
        "port",
        Kind::Port {
            min: 0,
            piranha_takes_names: false,
        },
    )
    .fallback(Fallback::Derived("the service's port"))
    .meaning("Port on the real server. Only NAT can change it."),
    in_server(
        "weight",
        Kind::Integer {
            min: 0,
            max: INT_MAX,
        },
    )
    .default("1")
    .meaning("Share of new connections; 0: none, while established ones go on."),
    in_server("forward", FORWARDING)
        .caribe()
        .fallback(Fallback::Derived("the service's"))
        .meaning("Forwarding method of this server."),
    in_server("nmask", Kind::Anything)
        .misnomer("ignored")
        .meaning("Written by some versions of Piranha's web tool."),
    // Failover services: parsed and ignored.
    in_failover("heartbeat", Kind::Anything)
        .misnomer("ignored")
        .meaning("Written by some versions of Piranha's web tool."),
];
