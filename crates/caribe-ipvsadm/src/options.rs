//! Every word that starts with a dash.

/// A command, as its letter or long name asks for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verb {
    AddService,
    EditService,
    DeleteService,
    Flush,
    List,
    AddServer,
    DeleteServer,
    EditServer,
    Set,
    StartDaemon,
    StopDaemon,
    Restore,
    Save,
    Zero,
    Help,
    Version,
}

impl Verb {
    /// The name in messages.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Verb::AddService => "add-service",
            Verb::EditService => "edit-service",
            Verb::DeleteService => "delete-service",
            Verb::Flush => "flush",
            Verb::List => "list",
            Verb::AddServer => "add-server",
            Verb::DeleteServer => "delete-server",
            Verb::EditServer => "edit-server",
            Verb::Set => "set",
            Verb::StartDaemon => "start-daemon",
            Verb::StopDaemon => "stop-daemon",
            Verb::Restore => "restore",
            Verb::Save => "save",
            Verb::Zero => "zero",
            Verb::Help => "help",
            Verb::Version => "version",
        }
    }
}

/// What an option counts as: `-t`, `-u` and `-f` are one, and so are `-g`, `-i` and `-m`. The
/// order is the one in which [`crate::validity`] looks at them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Counted {
    Numeric,
    Connection,
    ServiceAddress,
    Scheduler,
    Persistent,
    Netmask,
    RealServer,
    ForwardingMethod,
    Weight,
    UpperThreshold,
    LowerThreshold,
    MulticastInterface,
    Timeout,
    Daemon,
    Stats,
    Rate,
    Thresholds,
    PersistentConnections,
    Nosort,
    SyncId,
    Exact,
    Ops,
    Engine,
    SchedulerFlags,
    MulticastGroup,
    MulticastPort,
    MulticastTtl,
    SyncMaxlen,
    TunnelInfo,
    TunnelType,
    TunnelPort,
    TunnelNocsum,
    TunnelCsum,
    TunnelRemcsum,
}

impl Counted {
    /// All, in the order in which they are checked.
    pub(crate) const ALL: [Counted; 34] = [
        Counted::Numeric,
        Counted::Connection,
        Counted::ServiceAddress,
        Counted::Scheduler,
        Counted::Persistent,
        Counted::Netmask,
        Counted::RealServer,
        Counted::ForwardingMethod,
        Counted::Weight,
        Counted::UpperThreshold,
        Counted::LowerThreshold,
        Counted::MulticastInterface,
        Counted::Timeout,
        Counted::Daemon,
        Counted::Stats,
        Counted::Rate,
        Counted::Thresholds,
        Counted::PersistentConnections,
        Counted::Nosort,
        Counted::SyncId,
        Counted::Exact,
        Counted::Ops,
        Counted::Engine,
        Counted::SchedulerFlags,
        Counted::MulticastGroup,
        Counted::MulticastPort,
        Counted::MulticastTtl,
        Counted::SyncMaxlen,
        Counted::TunnelInfo,
        Counted::TunnelType,
        Counted::TunnelPort,
        Counted::TunnelNocsum,
        Counted::TunnelCsum,
        Counted::TunnelRemcsum,
    ];

    /// The name in messages.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Counted::Numeric => "numeric",
            Counted::Connection => "connection",
            Counted::ServiceAddress => "service-address",
            Counted::Scheduler => "scheduler",
            Counted::Persistent => "persistent",
            Counted::Netmask => "netmask",
            Counted::RealServer => "real-server",
            Counted::ForwardingMethod => "forwarding-method",
            Counted::Weight => "weight",
            Counted::UpperThreshold => "u-threshold",
            Counted::LowerThreshold => "l-threshold",
            Counted::MulticastInterface => "mcast-interface",
            Counted::Timeout => "timeout",
            Counted::Daemon => "daemon",
            Counted::Stats => "stats",
            Counted::Rate => "rate",
            Counted::Thresholds => "thresholds",
            Counted::PersistentConnections => "persistent-conn",
            Counted::Nosort => "nosort",
            Counted::SyncId => "syncid",
            Counted::Exact => "exact",
            Counted::Ops => "ops",
            Counted::Engine => "pe",
            Counted::SchedulerFlags => "sched-flags",
            Counted::MulticastGroup => "mcast-group",
            Counted::MulticastPort => "mcast-port",
            Counted::MulticastTtl => "mcast-ttl",
            Counted::SyncMaxlen => "sync-maxlen",
            Counted::TunnelInfo => "tun-info",
            Counted::TunnelType => "tun-type",
            Counted::TunnelPort => "tun-port",
            Counted::TunnelNocsum => "tun-nocsum",
            Counted::TunnelCsum => "tun-csum",
            Counted::TunnelRemcsum => "tun-remcsum",
        }
    }
}

/// What a word means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Meaning {
    Verb(Verb),
    TcpService,
    UdpService,
    SctpService,
    FirewallMark,
    Ipv6,
    Direct,
    Tunnel,
    Masquerade,
    /// Accepted for old scripts: listings are sorted anyway.
    Sort,
    /// Any other option: it is what it counts as.
    Plain(Counted),
}

/// Whether an option has a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Value {
    None,
    Needed,
    /// The next word, unless it starts with a dash.
    Optional,
}

/// An option.
#[derive(Debug)]
pub(crate) struct Known {
    pub(crate) short: Option<char>,
    pub(crate) long: &'static str,
    pub(crate) value: Value,
    pub(crate) meaning: Meaning,
}

const fn verb(short: char, long: &'static str, verb: Verb) -> Known {
    Known {
        short: Some(short),
        long,
        value: Value::None,
        meaning: Meaning::Verb(verb),
    }
}

const fn both(short: char, long: &'static str, value: Value, meaning: Meaning) -> Known {
    Known {
        short: Some(short),
        long,
        value,
        meaning,
    }
}

const fn long(long: &'static str, value: Value, counted: Counted) -> Known {
    Known {
        short: None,
        long,
        value,
        meaning: Meaning::Plain(counted),
    }
}

const fn daemon(long: &'static str, verb: Verb) -> Known {
    Known {
        short: None,
        long,
        value: Value::Needed,
        meaning: Meaning::Verb(verb),
    }
}

/// Every option of ipvsadm 1.31.
pub(crate) const OPTIONS: &[Known] = &[
    verb('A', "add-service", Verb::AddService),
    verb('E', "edit-service", Verb::EditService),
    verb('D', "delete-service", Verb::DeleteService),
    verb('C', "clear", Verb::Flush),
    verb('L', "list", Verb::List),
    verb('l', "list", Verb::List),
    verb('Z', "zero", Verb::Zero),
    verb('a', "add-server", Verb::AddServer),
    verb('e', "edit-server", Verb::EditServer),
    verb('d', "delete-server", Verb::DeleteServer),
    verb('R', "restore", Verb::Restore),
    verb('S', "save", Verb::Save),
    verb('h', "help", Verb::Help),
    verb('v', "version", Verb::Version),
    Known {
        short: None,
        long: "set",
        value: Value::None,
        meaning: Meaning::Verb(Verb::Set),
    },
    daemon("start-daemon", Verb::StartDaemon),
    daemon("stop-daemon", Verb::StopDaemon),
    both('t', "tcp-service", Value::Needed, Meaning::TcpService),
    both('u', "udp-service", Value::Needed, Meaning::UdpService),
    Known {
        short: None,
        long: "sctp-service",
        value: Value::Needed,
        meaning: Meaning::SctpService,
    },
    both('f', "fwmark-service", Value::Needed, Meaning::FirewallMark),
    both('6', "ipv6", Value::None, Meaning::Ipv6),
    both(
        's',
        "scheduler",
        Value::Needed,
        Meaning::Plain(Counted::Scheduler),
    ),
    both(
        'p',
        "persistent",
        Value::Optional,
        Meaning::Plain(Counted::Persistent),
    ),
    both(
        'M',
        "netmask",
        Value::Needed,
        Meaning::Plain(Counted::Netmask),
    ),
    both(
        'r',
        "real-server",
        Value::Needed,
        Meaning::Plain(Counted::RealServer),
    ),
    both('m', "masquerading", Value::None, Meaning::Masquerade),
    both('i', "ipip", Value::None, Meaning::Tunnel),
    both('g', "gatewaying", Value::None, Meaning::Direct),
    both(
        'w',
        "weight",
        Value::Needed,
        Meaning::Plain(Counted::Weight),
    ),
    both(
        'x',
        "u-threshold",
        Value::Needed,
        Meaning::Plain(Counted::UpperThreshold),
    ),
    both(
        'y',
        "l-threshold",
        Value::Needed,
        Meaning::Plain(Counted::LowerThreshold),
    ),
    both(
        'n',
        "numeric",
        Value::None,
        Meaning::Plain(Counted::Numeric),
    ),
    both(
        'c',
        "connection",
        Value::None,
        Meaning::Plain(Counted::Connection),
    ),
    both('X', "exact", Value::None, Meaning::Plain(Counted::Exact)),
    both('o', "ops", Value::None, Meaning::Plain(Counted::Ops)),
    both(
        'b',
        "sched-flags",
        Value::Needed,
        Meaning::Plain(Counted::SchedulerFlags),
    ),
    long(
        "mcast-interface",
        Value::Needed,
        Counted::MulticastInterface,
    ),
    long("mcast-group", Value::Needed, Counted::MulticastGroup),
    long("mcast-port", Value::Needed, Counted::MulticastPort),
    long("mcast-ttl", Value::Needed, Counted::MulticastTtl),
    long("syncid", Value::Needed, Counted::SyncId),
    long("sync-maxlen", Value::Needed, Counted::SyncMaxlen),
    long("timeout", Value::None, Counted::Timeout),
    long("daemon", Value::None, Counted::Daemon),
    long("stats", Value::None, Counted::Stats),
    long("rate", Value::None, Counted::Rate),
    long("thresholds", Value::None, Counted::Thresholds),
    long(
        "persistent-conn",
        Value::None,
        Counted::PersistentConnections,
    ),
    long("nosort", Value::None, Counted::Nosort),
    Known {
        short: None,
        long: "sort",
        value: Value::None,
        meaning: Meaning::Sort,
    },
    long("pe", Value::Needed, Counted::Engine),
    long("tun-info", Value::None, Counted::TunnelInfo),
    long("tun-type", Value::Needed, Counted::TunnelType),
    long("tun-port", Value::Needed, Counted::TunnelPort),
    long("tun-nocsum", Value::None, Counted::TunnelNocsum),
    long("tun-csum", Value::None, Counted::TunnelCsum),
    long("tun-remcsum", Value::None, Counted::TunnelRemcsum),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_of_checks_is_the_order_of_the_type() {
        assert!(Counted::ALL.is_sorted());
    }

    #[test]
    fn no_name_means_two_things() {
        for (position, option) in OPTIONS.iter().enumerate() {
            for other in &OPTIONS[..position] {
                assert!(option.short.is_none() || option.short != other.short);
                assert!(option.long != other.long || option.meaning == other.meaning);
            }
        }
    }
}
