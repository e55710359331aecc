//! What can be typed.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// Where a director keeps its socket unless told otherwise.
pub(crate) const RUNTIME_DIR: &str = "/run/caribe";

/// Linux Virtual Server as one program: balances TCP and UDP connections between real servers
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
    #[arg(value_name = "PROTO")]
    pub(crate) protocol: ProtocolName,
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
pub(crate) enum ProtocolName {
    Tcp,
    Udp,
    Sctp,
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
    fn words_of_ipvsadm_are_not_taken_for_options_of_ours() {
        let arguments =
            Arguments::try_parse_from(["caribe", "ipvsadm", "-L", "--help", "-n"]).expect("taken");
        let Command::Ipvsadm(arguments) = arguments.command else {
            panic!("another command");
        };
        assert_eq!(arguments.words, ["-L", "--help", "-n"]);
    }
}
