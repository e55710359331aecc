//! `monitor` blocks.

use crate::keys::{Fallback, Key, Kind};

use super::{INT_MAX, in_monitor};

const COUNT: Kind = Kind::Integer {
    min: 1,
    max: INT_MAX,
};
const HTTP: &[&str] = &["http", "https"];
const TLS: &[&str] = &["https", "tls", "grpc"];
const WITH_PORT: &[&str] = &[
    "tcp", "http", "https", "tls", "udp", "dns", "smtp", "script", "grpc", "agent",
];
const WITH_PATH: &[&str] = &["tcp", "http", "https", "tls", "udp", "dns", "smtp", "grpc"];
const WITH_SOCKET: &[&str] = &[
    "tcp", "http", "https", "tls", "udp", "dns", "smtp", "ping", "grpc", "agent",
];

pub(super) const KEYS: &[Key] = &[
    // Of every kind.
    in_monitor("interval", Kind::Time)
        .fallback(Fallback::Derived("`timeout` of the service"))
        .meaning("From the start of one check to the start of the next."),
    in_monitor("timeout", Kind::Time)
        .fallback(Fallback::Derived("`interval`"))
        .meaning("The longest that a check may take."),
    in_monitor("rise", COUNT)
        .fallback(Fallback::Derived(
            "`reentry` of the service divided by `interval`, at least 1",
        ))
        .meaning(
            "Good checks in a row that bring a failed server back. The first good one is enough \
             for a server of which nothing is known yet.",
        ),
    in_monitor("fall", COUNT)
        .default("1")
        .meaning("Bad checks in a row that put a server out."),
    in_monitor("fast_interval", Kind::Time)
        .fallback(Fallback::Derived("`interval`"))
        .meaning("The interval while the state is about to change, so that it changes soon."),
    in_monitor("jitter", Kind::Integer { min: 0, max: 50 })
        .default("10")
        .unit("percent of the interval")
        .meaning("Each wait is up to so much longer or shorter, so that checks drift apart."),
    in_monitor("initial", Kind::Word(&["checking", "up", "last-known"]))
        .default("last-known")
        .meaning(
            "What holds before the first check. `checking`: the server stays out until it is \
             found good; `up`: it serves until it fails; `last-known`: what was so before a \
             restart of the director, and for new servers as `checking`.",
        ),
    in_monitor(
        "port",
        Kind::Port {
            min: 1,
            piranha_takes_names: false,
        },
    )
    .monitors(WITH_PORT)
    .fallback(Fallback::Derived(
        "the server's; for `script` it is what `%p` stands for",
    ))
    .meaning("Port that is checked."),
    in_monitor("through", Kind::Word(&["server", "vip"]))
        .default("server")
        .monitors(WITH_PATH)
        .meaning(
            "`vip`: the check is addressed to the VIP and goes the way of the data to this \
             server, so that a server which does not accept the VIP, a broken tunnel, or with \
             NAT a wrong gateway is found. `port` is then one of the VIP's.",
        ),
    in_monitor("source", Kind::Address)
        .monitors(WITH_SOCKET)
        .fallback(Fallback::Derived("what the route says"))
        .meaning(
            "Source address of the checks, one of the director's own. With `through = vip` and \
             NAT it is the VIP where that is here.",
        ),
    in_monitor("interface", Kind::Interface)
        .monitors(WITH_SOCKET)
        .fallback(Fallback::Derived("what the route says"))
        .meaning("Interface that the checks leave by."),
    // tcp and udp.
    in_monitor("handshake", Kind::Word(&["half", "full"]))
        .default("half")
        .monitors(&["tcp"])
        .meaning(
            "`half`: the server's answer to a SYN is enough; it gets a reset, and the program \
             behind the port never learns of it. `full`: the handshake is completed and the \
             connection closed in order, for servers and firewalls that log or punish resets. \
             With `send` or `expect` it is always `full`.",
        ),
    in_monitor("send", Kind::Bytes)
        .monitors(&["tcp", "agent"])
        .meaning("What is sent after the connect."),
    in_monitor("payload", Kind::Bytes)
        .monitors(&["udp"])
        .default("")
        .meaning("What is sent; empty: a datagram without content."),
    in_monitor("expect", Kind::Bytes)
        .monitors(&["tcp", "udp"])
        .meaning(
            "What the answer begins with; `*`: any answer. Without it a `tcp` server is good \
             when it takes the connection, and a `udp` server unless it answers that the port \
             is unreachable.",
        ),
    in_monitor("use_regex", Kind::Boolean)
        .default("0")
        .monitors(&["tcp", "udp"])
        .meaning("1: `expect` is a regular expression that matches somewhere in the answer."),
    // http and https.
    in_monitor("method", Kind::Word(&["GET", "HEAD", "OPTIONS", "POST"]))
        .default("GET")
        .monitors(HTTP)
        .meaning("Method of the request."),
    in_monitor("path", Kind::UrlPath)
        .default("/")
        .monitors(HTTP)
        .meaning("Path of the request, with its query."),
    in_monitor("host", Kind::Name)
        .monitors(HTTP)
        .fallback(Fallback::Derived("the server's address"))
        .meaning("Host that is asked for: `Host`, or `:authority`."),
    in_monitor("header", Kind::Header)
        .monitors(HTTP)
        .repeatable()
        .meaning("A further header, `\"Name: value\"`. May stand several times."),
    in_monitor("status", Kind::Statuses)
        .default("200-299")
        .monitors(HTTP)
        .meaning("Status codes that are good, such as `200-299,301`."),
    in_monitor("body", Kind::Text)
        .monitors(HTTP)
        .meaning("Text that the answer's body must contain."),
    in_monitor("body_regex", Kind::Regex)
        .monitors(HTTP)
        .meaning("Regular expression that must match in the answer's body."),
    in_monitor("version", Kind::Word(&["1.1", "2"]))
        .default("1.1")
        .monitors(HTTP)
        .meaning("Version of HTTP; 2 without TLS is spoken at once, without an upgrade."),
    // TLS.
    in_monitor("tls", Kind::Boolean)
        .default("0")
        .monitors(&["grpc"])
        .meaning("1: gRPC inside TLS."),
    in_monitor("sni", Kind::Name)
        .monitors(TLS)
        .fallback(Fallback::Derived("`host` if it is a name, else none"))
        .meaning("Server name that is sent, and that a verified certificate must have."),
    in_monitor("verify", Kind::Boolean)
        .monitors(TLS)
        .fallback(Fallback::Derived("1 with a `ca`, else 0"))
        .meaning(
            "1: the certificate must be valid, now, for the name, and issued by `ca` or one that \
             the system trusts. 0: any will do.",
        ),
    in_monitor("ca", Kind::File)
        .monitors(TLS)
        .meaning("PEM file of the issuers that are trusted, instead of the system's."),
    in_monitor("certificate", Kind::File)
        .monitors(TLS)
        .meaning("PEM file of the client certificate, with its chain; needs `key`."),
    in_monitor("key", Kind::File)
        .monitors(TLS)
        .meaning("PEM file of its private key."),
    // The other kinds.
    in_monitor(
        "type",
        Kind::Word(&["A", "AAAA", "CNAME", "MX", "NS", "PTR", "SOA", "SRV", "TXT"]),
    )
    .default("A")
    .monitors(&["dns"])
    .meaning("Type of the records that are asked for."),
    in_monitor("name", Kind::Name)
        .monitors(&["dns"])
        .fallback(Fallback::Required)
        .meaning("Domain name that is asked for; `.` is the root."),
    in_monitor("answer", Kind::Text)
        .monitors(&["dns"])
        .fallback(Fallback::Derived("any answer without an error"))
        .meaning("What one of the records must be, as `dig +short` writes it."),
    in_monitor("helo", Kind::Name)
        .default("localhost")
        .monitors(&["smtp"])
        .meaning("Name that is said in EHLO."),
    in_monitor("command", Kind::Command)
        .monitors(&["script"])
        .fallback(Fallback::Required)
        .meaning(
            "Program with arguments, split at blanks, run without a shell; `%h` and `%p` \
             stand for the server's address and port. Exit code 0 is good.",
        ),
    in_monitor("service", Kind::Text)
        .default("")
        .monitors(&["grpc"])
        .meaning(
            "Service that gRPC's health service is asked about; empty: the server as a whole.",
        ),
];
