//! The sub-command `caribe real-server`: what was typed, and what it means.

use std::collections::BTreeMap;
use std::io::Write;
use std::net::IpAddr;
use std::path::PathBuf;

use caribe_network::Network;

use crate::agent;
use crate::error::RealServerError;
use crate::execute::{Places, down, up};
use crate::inspect::inspect;
use crate::request::{ArpMode, Method, Request};
use crate::state;
use crate::status::status;

/// Prepare this machine as a real server for direct routing or tunnelling.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
    /// File that remembers what there is to undo
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        default_value = "/run/caribe/real-server.json"
    )]
    state: PathBuf,
    /// Directory on a BPF file system that holds the decapsulating program
    #[arg(
        long,
        global = true,
        value_name = "DIRECTORY",
        default_value = "/sys/fs/bpf/caribe-real-server"
    )]
    pins: PathBuf,
    /// Directory where a director on this machine would pin its data plane
    #[arg(long, global = true, hide = true, default_value = "/sys/fs/bpf/caribe")]
    director_pins: PathBuf,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Put everything in place; what is there already is left alone. VIPs of the other method may
    /// be added by another `up`
    Up(Wanted),
    /// Undo exactly what `up` did
    Down,
    /// Tell whether everything is in place, from the live system; exit code 1 when it is not
    Status(Asked),
    Agent(agent::Arguments),
}

#[derive(Debug, clap::Args)]
struct Wanted {
    /// A VIP, IPv4 or IPv6; may be repeated
    #[arg(long = "vip", required = true, value_name = "ADDRESS")]
    vips: Vec<IpAddr>,
    /// The interface that the director's packets come in by
    #[arg(long, value_name = "NAME")]
    interface: String,
    /// How the director's packets for these VIPs come; tunnels may be IP in IP, GUE (any port) or
    /// GRE
    #[arg(long, value_enum, default_value_t = Method::Direct)]
    method: Method,
    /// How the machine is kept from answering ARP requests for the VIPs
    #[arg(long, value_enum, default_value_t = ArpMode::Sysctl)]
    arp: ArpMode,
}

#[derive(Debug, clap::Args)]
struct Asked {
    /// A VIP to look for; without one, those that `up` was given
    #[arg(long = "vip", value_name = "ADDRESS", requires = "interface")]
    vips: Vec<IpAddr>,
    /// The interface that the director's packets come in by
    #[arg(long, value_name = "NAME", requires = "vips")]
    interface: Option<String>,
    /// How the director's packets for these VIPs come
    #[arg(long, value_enum, default_value_t = Method::Direct)]
    method: Method,
    /// How the machine is kept from answering ARP requests for the VIPs
    #[arg(long, value_enum, default_value_t = ArpMode::Sysctl)]
    arp: ArpMode,
    /// Answer in JSON
    #[arg(long)]
    json: bool,
}

/// Runs the sub-command in the network namespace of the calling thread, which must not be inside
/// a tokio runtime. Returns the exit code: 0, or 1 from `status` when something is missing.
///
/// # Errors
///
/// Whatever keeps the command from being done, for the caller to print.
pub fn run(args: Args, output: &mut impl Write) -> Result<u8, RealServerError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(RealServerError::Runtime)?;
    runtime.block_on(execute(args, output))
}

async fn execute(args: Args, output: &mut impl Write) -> Result<u8, RealServerError> {
    let places = Places {
        state: args.state,
        pins: args.pins,
        director_pins: args.director_pins,
    };
    match args.command {
        Command::Up(wanted) => {
            let (network, _changes) = Network::connect()?;
            let request = Request {
                vips: by_one_method(wanted.vips, wanted.method),
                interface: wanted.interface,
                arp: wanted.arp,
            };
            let done = up(&network, &request, &places).await?;
            tell(output, &done, "everything is in place already")
        }
        Command::Down => {
            let (network, _changes) = Network::connect()?;
            let undone = down(&network, &places).await?;
            tell(output, &undone, "there is nothing to undo")
        }
        Command::Status(asked) => {
            let (network, _changes) = Network::connect()?;
            answer(&network, asked, &places, output).await
        }
        Command::Agent(arguments) => agent::run(arguments, output).await,
    }
}

fn by_one_method(vips: Vec<IpAddr>, method: Method) -> BTreeMap<IpAddr, Method> {
    vips.into_iter().map(|vip| (vip, method)).collect()
}

fn tell(output: &mut impl Write, lines: &[String], nothing: &str) -> Result<u8, RealServerError> {
    let text = if lines.is_empty() {
        nothing.to_owned()
    } else {
        lines.join("\n")
    };
    writeln!(output, "{text}").map_err(RealServerError::Output)?;
    Ok(0)
}

async fn answer(
    network: &Network,
    asked: Asked,
    places: &Places,
    output: &mut impl Write,
) -> Result<u8, RealServerError> {
    let (request, pins) = match asked.interface {
        Some(interface) => {
            let request = Request {
                vips: by_one_method(asked.vips, asked.method),
                interface,
                arp: asked.arp,
            };
            (request, places.pins.clone())
        }
        None => match state::read(&places.state)? {
            Some(state) => (state.request(), state.pins.clone()),
            None => {
                let nothing = if asked.json {
                    r#"{"in_place":false,"vips":[]}"#
                } else {
                    "this machine is not prepared as a real server"
                };
                writeln!(output, "{nothing}").map_err(RealServerError::Output)?;
                return Ok(1);
            }
        },
    };
    let facts = inspect(network, &request.interface, &pins, &places.director_pins).await?;
    let status = status(&request, &facts);
    let text = if asked.json {
        // A value that we made ourselves, without maps keyed by anything but text.
        let json = serde_json::to_string_pretty(&status);
        json.map_err(|error| RealServerError::Output(error.into()))? + "\n"
    } else {
        status.to_text()
    };
    output
        .write_all(text.as_bytes())
        .map_err(RealServerError::Output)?;
    Ok(u8::from(!status.in_place))
}
