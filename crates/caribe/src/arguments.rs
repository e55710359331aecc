//! What can be typed.

use std::ffi::OsString;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;

use caribe_model::Protocol;
use clap::{Args, Parser, Subcommand, ValueEnum};

/// Where a director keeps its socket unless told otherwise.
pub(crate) const RUNTIME_DIR: &str = "/run/caribe";

/// Linux Virtual Server as one program: balances TCP, UDP and SCTP connections between real servers
/// from an lvs.cf.
#[derive(Debug, Parser)]
#[command(name = "caribe", version, max_term_width = 100)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the director in the foreground.
    Director(DirectorArguments),
    /// Check a configuration file, showing every error and warning.
    ///
    /// Exits with 0 when the file is usable and with 1 when it is not.
    Check(CheckArguments),
    /// Show services, real servers, rates and verdicts of the running director.
    Status(StatusArguments),
    /// Show what happened to services and real servers: who came and went, what each check found,
    /// what was ordered.
    Events(EventsArguments),
    /// List connections of the running director, all or some of them.
    ///
    /// A connection has to meet all that is asked for. Connections that begin or end meanwhile may
    /// be missing.
    Connections(ConnectionsArguments),
    /// Give orders about real servers: they stand over reloads and restarts until they are lifted.
    Server(ServerArguments),
    /// Tell which real server a packet would get now, and why. Nothing is sent or changed.
    ///
    /// The answer comes from the programs that balance, on the running director's own tables.
    /// Exits with 0 whatever becomes of the packet, and with 1 when that cannot be told.
    Explain(ExplainArguments),
    /// Prepare this machine as a real server for direct routing or tunnelling, undo it, or tell
    /// whether it is in place.
    RealServer(caribe_real_server::cli::Args),
    /// Turn the rules of other tools into lvs.cf.
    #[command(subcommand)]
    Import(ImportCommand),
    /// Write what was changed by hand into the configuration file.
    ///
    /// Only what differs is changed; comments stay. Refuses when the file is not the one that
    /// the director has loaded. Exits with 0 when all was saved, and with 1 when nothing or not
    /// all could be.
    Save(SaveArguments),
    /// List and change the live table as ipvsadm does (`caribe ipvsadm -L -n`).
    Ipvsadm(IpvsadmArguments),
}

/// SIGHUP reloads the configuration; a file with errors changes nothing. SIGTERM and SIGINT stop:
/// floating addresses, data plane and control socket are removed.
#[derive(Debug, Args)]
pub(crate) struct DirectorArguments {
    /// The configuration file.
    #[arg(short, long, value_name = "FILE", default_value = "/etc/caribe/lvs.cf")]
    pub(crate) config: PathBuf,
    /// Attach the data plane here too, besides the interfaces that carry a floating address and
    /// those of the file's key `interface`. May be repeated.
    #[arg(short, long, value_name = "NAME")]
    pub(crate) interface: Vec<String>,
    /// Directory of the lock, the control socket and the memory of own addresses.
    #[arg(long, value_name = "DIR", default_value = RUNTIME_DIR)]
    pub(crate) runtime_dir: PathBuf,
    /// Directory of what outlives a reboot: operators' orders about servers.
    #[arg(long, value_name = "DIR", default_value = "/var/lib/caribe")]
    pub(crate) state_dir: PathBuf,
    /// Directory on a BPF file system where the data plane is pinned.
    #[arg(long, value_name = "DIR", default_value = "/sys/fs/bpf/caribe")]
    pub(crate) pin_dir: PathBuf,
    /// On stop, leave the data plane forwarding and the floating addresses up; the next director
    /// takes them over.
    #[arg(long)]
    pub(crate) keep_dataplane: bool,
    /// How to write the log. `auto`: to the journal when standard error leads there, for people
    /// on a terminal, as JSON otherwise. The environment variable CARIBE_LOG filters, e.g.
    /// `debug` or `caribe_health=trace`.
    #[arg(long, value_name = "FORMAT", default_value = "auto")]
    pub(crate) log_format: LogFormat,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    Auto,
    Human,
    Json,
    Journald,
}

#[derive(Debug, Args)]
pub(crate) struct CheckArguments {
    /// Refuse what Piranha 0.8.6 would have refused, Caribe's own keys included.
    #[arg(long)]
    pub(crate) strict: bool,
    /// The configuration file.
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ImportCommand {
    /// Turn netfilter's rules that set marks into `mark` blocks.
    ///
    /// Reads what `iptables-save`, `ip6tables-save` or `nft list ruleset` printed, and prints the
    /// blocks. Every rule that bears on marks and cannot be translated is named on standard
    /// error, with its line and the reason. Exits with 0 when all were translated, with 1 when
    /// some were not, and with 2 when the text cannot be read.
    Marks(ImportMarksArguments),
}

#[derive(Debug, Args)]
pub(crate) struct ImportMarksArguments {
    /// The list of rules; `-` is standard input.
    #[arg(value_name = "FILE", default_value = "-")]
    pub(crate) file: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct StatusArguments {
    /// Print the whole status as JSON.
    #[arg(long)]
    pub(crate) json: bool,
    /// Runtime directory of the director.
    #[arg(long, value_name = "DIR", default_value = RUNTIME_DIR)]
    pub(crate) runtime_dir: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct ExplainArguments {
    /// Transport protocol.
    #[arg(value_name = "PROTO", value_parser = protocol)]
    pub(crate) protocol: Protocol,
    /// Where the packet comes from: `198.51.100.7:40000` or `[2001:db8::7]:40000`.
    #[arg(value_name = "CLIENT:PORT")]
    pub(crate) client: SocketAddr,
    /// Where it goes.
    #[arg(value_name = "VIP:PORT")]
    pub(crate) vip: SocketAddr,
    /// TCP's flags.
    #[arg(
        long,
        value_name = "FLAG,...",
        value_delimiter = ',',
        default_value = "syn"
    )]
    pub(crate) flags: Vec<TcpFlag>,
    /// Bytes behind the transport header, up to 1400: whether it fits the way to the server.
    #[arg(long, value_name = "BYTES", default_value_t = 0)]
    pub(crate) payload: u16,
    /// The interface by which it comes in [default: the first that the director balances on].
    #[arg(long, value_name = "NAME")]
    pub(crate) interface: Option<String>,
    /// Print the answer as JSON.
    #[arg(long)]
    pub(crate) json: bool,
    /// Runtime directory of the director.
    #[arg(long, value_name = "DIR", default_value = RUNTIME_DIR)]
    pub(crate) runtime_dir: PathBuf,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum TcpFlag {
    Fin,
    Syn,
    Rst,
    Psh,
    Ack,
    None,
}

#[derive(Debug, Args)]
pub(crate) struct EventsArguments {
    /// Go on showing what happens, until interrupted.
    #[arg(short, long)]
    pub(crate) follow: bool,
    /// Print each event as one line of JSON.
    #[arg(long)]
    pub(crate) json: bool,
    /// Runtime directory of the director.
    #[arg(long, value_name = "DIR", default_value = RUNTIME_DIR)]
    pub(crate) runtime_dir: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct ConnectionsArguments {
    /// Only those of this client.
    #[arg(long, value_name = "ADDRESS[:PORT]")]
    pub(crate) client: Option<End>,
    /// Only those to this VIP, or to this port of it.
    #[arg(long, value_name = "VIP[:PORT]")]
    pub(crate) service: Option<End>,
    /// Only those to this real server.
    #[arg(long, value_name = "ADDRESS[:PORT]")]
    pub(crate) server: Option<End>,
    /// Only those of this protocol: tcp, udp or sctp.
    #[arg(long, value_name = "PROTOCOL", value_parser = protocol)]
    pub(crate) protocol: Option<Protocol>,
    /// Only those in this state, as it is shown: ESTABLISHED, SYN_RECV and so on.
    #[arg(long, value_name = "STATE")]
    pub(crate) state: Option<String>,
    /// At most so many.
    #[arg(long, value_name = "NUMBER")]
    pub(crate) limit: Option<u64>,
    /// Print a line of JSON for each.
    #[arg(long)]
    pub(crate) json: bool,
    /// Runtime directory of the director.
    #[arg(long, value_name = "DIR", default_value = RUNTIME_DIR)]
    pub(crate) runtime_dir: PathBuf,
}

fn protocol(text: &str) -> Result<Protocol, String> {
    let all = [Protocol::Tcp, Protocol::Udp, Protocol::Sctp];
    let mut all = all.into_iter();
    all.find(|protocol| protocol.to_string().eq_ignore_ascii_case(text))
        .ok_or_else(|| "needs tcp, udp or sctp".to_owned())
}

/// An address, with a port or without.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct End {
    pub(crate) address: IpAddr,
    pub(crate) port: Option<u16>,
}

impl FromStr for End {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bare = text
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'))
            .unwrap_or(text);
        if let Ok(address) = bare.parse() {
            let port = None;
            return Ok(End { address, port });
        }
        let end: SocketAddr = text.parse().map_err(|_| {
            "needs an address such as 192.0.2.1 or 2001:db8::1, or one with a port such as \
             192.0.2.1:80 or [2001:db8::1]:80"
                .to_owned()
        })?;
        Ok(End {
            address: end.ip(),
            port: Some(end.port()),
        })
    }
}

#[derive(Debug, Args)]
pub(crate) struct ServerArguments {
    #[command(subcommand)]
    pub(crate) verb: ServerVerb,
    /// Runtime directory of the director.
    #[arg(long, global = true, value_name = "DIR", default_value = RUNTIME_DIR)]
    pub(crate) runtime_dir: PathBuf,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ServerVerb {
    /// No new connections; those that are there go on (weight 0).
    Drain(Whom),
    /// Take it out of the table at once.
    Maintenance(Whom),
    /// Lift the order that stands: its monitors and the file decide again.
    Ready(Whom),
    /// Use another weight than the configured one.
    Weight {
        #[command(flatten)]
        whom: Whom,
        /// The weight; 0 sends no new connections.
        #[arg(value_name = "WEIGHT")]
        weight: u32,
    },
    /// Show what happened to it in the last day.
    History(Whom),
}

#[derive(Debug, Args)]
pub(crate) struct Whom {
    /// The virtual service: its name in the file, its VIP (all services of it), or VIP:PORT.
    #[arg(value_name = "VIP")]
    pub(crate) service: String,
    /// The real server: its name in the file, its address, or ADDRESS:PORT.
    #[arg(value_name = "RIP")]
    pub(crate) server: String,
}

#[derive(Debug, Args)]
pub(crate) struct SaveArguments {
    /// Runtime directory of the director.
    #[arg(long, value_name = "DIR", default_value = RUNTIME_DIR)]
    pub(crate) runtime_dir: PathBuf,
}

#[derive(Debug, Args)]
#[command(disable_help_flag = true)]
pub(crate) struct IpvsadmArguments {
    /// Words of ipvsadm: `-h` tells them all.
    #[arg(
        value_name = "WORDS",
        trailing_var_arg = true,
        allow_hyphen_values = true,
        num_args = 0..
    )]
    pub(crate) words: Vec<OsString>,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn an_end_is_an_address_with_or_without_a_port() {
        let end = |text: &str| text.parse::<End>();
        let read = |address: &str, port| {
            Ok(End {
                address: address.parse().expect("an address"),
                port,
            })
        };
        assert_eq!(end("192.0.2.1"), read("192.0.2.1", None));
        assert_eq!(end("192.0.2.1:80"), read("192.0.2.1", Some(80)));
        assert_eq!(end("2001:db8::1"), read("2001:db8::1", None));
        assert_eq!(end("[2001:db8::1]"), read("2001:db8::1", None));
        assert_eq!(end("[2001:db8::1]:80"), read("2001:db8::1", Some(80)));
        for wrong in ["", "web1", "192.0.2.1:", "192.0.2.1:x", "192.0.2.1:65536"] {
            assert!(end(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn words_of_ipvsadm_are_not_taken_for_options_of_ours() {
        let arguments =
            Arguments::try_parse_from(["caribe", "ipvsadm", "-L", "--help", "-n"]).expect("taken");
        let Command::Ipvsadm(arguments) = arguments.command else {
            panic!("another command");
        };
        assert_eq!(arguments.words, ["-L", "--help", "-n"]);
    }
}
