//! Why words are refused: ipvsadm's messages and exit codes.

/// Why words are no command.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The first word is no command. Its message names the program, see [`Refusal::message`].
    #[error("no command")]
    NoCommand,
    /// There is no such option; the word as typed.
    #[error("{0}: unknown option")]
    UnknownOption(String),
    /// An option without its value; the word as typed.
    #[error("{0}: missing argument")]
    MissingArgument(String),
    /// A value for an option that takes none; the word as typed.
    #[error("{0}: option does not take an argument")]
    UnwantedArgument(String),
    /// A command where an option should be.
    #[error("invalid option `{0}'")]
    SecondCommand(String),
    /// An option that was given before.
    #[error("multiple '{0}' options specified")]
    Repeated(&'static str),
    /// A word that belongs to nothing.
    #[error("unexpected argument {0}")]
    Unexpected(String),
    /// An option that the command needs.
    #[error("You need to supply the '{option}' option for the '{command}' command")]
    Missing {
        /// The option.
        option: &'static str,
        /// The command.
        command: &'static str,
    },
    /// An option that the command does not have.
    #[error("Illegal '{option}' option with the '{command}' command")]
    Illegal {
        /// The option.
        option: &'static str,
        /// The command.
        command: &'static str,
    },
    /// Two options of which the command takes one.
    #[error(
        "The option '{option}' conflicts with the '{earlier}' option in the '{command}' command"
    )]
    Conflict {
        /// The option.
        option: &'static str,
        /// The one before.
        earlier: &'static str,
        /// The command.
        command: &'static str,
    },
    /// An option that the type of tunnel needs.
    #[error("You need to supply the '{option}' option for the '{tunnel}' tunnel type")]
    TunnelMissing {
        /// The option.
        option: &'static str,
        /// The type.
        tunnel: &'static str,
    },
    /// An option that the type of tunnel does not have.
    #[error("Illegal '{option}' option with the '{tunnel}' tunnel type")]
    TunnelIllegal {
        /// The option.
        option: &'static str,
        /// The type.
        tunnel: &'static str,
    },
    /// Two options of which the type of tunnel takes one.
    #[error(
        "The option '{option}' conflicts with the '{earlier}' option in the '{tunnel}' tunnel type"
    )]
    TunnelConflict {
        /// The option.
        option: &'static str,
        /// The one before.
        earlier: &'static str,
        /// The type.
        tunnel: &'static str,
    },
    /// `-t`, `-u`, `--sctp-service`.
    #[error("illegal virtual server address[:port] specified")]
    Service,
    /// `-r`.
    #[error("illegal real server address[:port] specified")]
    RealServer,
    /// `-f`.
    #[error("invalid fwmark value `{0}' specified")]
    Mark(String),
    /// `-6`; ipvsadm's message has a newline of its own.
    #[error("-6 used before -f\n")]
    Ipv6BeforeMark,
    /// `-p`, `--set`.
    #[error("invalid timeout value `{0}' specified")]
    Timeout(String),
    /// `-M` of an IPv4 service.
    #[error("illegal virtual server persistent mask specified")]
    Netmask4,
    /// `-M` of an IPv6 service.
    #[error("illegal ipv6 netmask specified")]
    Netmask6,
    /// `-b`: no such flag.
    #[error("invalid scheduler flag `{0}'")]
    Flag(String),
    /// `-b`: another scheduler's flag.
    #[error("incompatible scheduler flag `{0}'")]
    IncompatibleFlag(String),
    /// A number that is none, or out of its range; which.
    #[error("illegal {0} specified")]
    Number(&'static str),
    /// `--mcast-group` without a colon.
    #[error("invalid IPv4 mcast-group `{0}'")]
    Group4(String),
    /// `--mcast-group` with a colon.
    #[error("invalid IPv6 mcast-group `{0}'")]
    Group6(String),
    /// `--set`.
    #[error("--set option requires 3 timeout values")]
    ThreeTimeouts,
    /// `--start-daemon`.
    #[error("illegal start-daemon parameter specified")]
    StartDaemon,
    /// `--stop-daemon`; the message names the other option, as ipvsadm's does.
    #[error("illegal start_daemon specified")]
    StopDaemon,
    /// `-A`, `-E`.
    #[error("Zero port specified for non-persistent service")]
    ZeroPort,
    /// `-o`.
    #[error("One-Packet Scheduling is only for UDP virtual services")]
    OnePacket,
    /// `-r` of the other family.
    #[error("Different address family is allowed only for tunneling servers")]
    Family,
    /// Options of tunnels without `-i`.
    #[error("Tunnel options conflict with forward method")]
    NoTunnel,
    /// Listings that do not go together.
    #[error("options conflicts in the list command")]
    List,
}

impl Refusal {
    /// The message, without the newline at its end, of the program of that name.
    pub fn message(&self, program: &str) -> String {
        match self {
            Refusal::NoCommand => {
                format!("Try `{program} -h' or '{program} --help' for more information.")
            }
            other => other.to_string(),
        }
    }

    /// The exit code.
    pub fn code(&self) -> u8 {
        match self {
            Refusal::NoCommand
            | Refusal::UnknownOption(_)
            | Refusal::MissingArgument(_)
            | Refusal::UnwantedArgument(_) => 255,
            _ => 2,
        }
    }

    /// Whether `-R` goes on with the next line. Only what popt refuses in a line is survived.
    pub fn ends_restore(&self) -> bool {
        !matches!(
            self,
            Refusal::UnknownOption(_) | Refusal::MissingArgument(_) | Refusal::UnwantedArgument(_)
        )
    }
}
