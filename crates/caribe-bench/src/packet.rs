//! `bench packet`: what the built program costs per packet, net of what a frame costs anyway.
//!
//! A generator writes each frame and calls the program; the sink's time, which is generator,
//! call and frame, is subtracted round by round. The reference parses and looks the flow up in
//! the kernel's hash map with keys, values and capacity like ours: the least that a stateful
//! balancer on BPF's own maps could do.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};
use aya::maps::MapInfo;
use caribe_dataplane::Dataplane as _;
use caribe_dataplane::xdp::{Options, XdpDataplane};
use caribe_lab::Lab;
use caribe_model::{Forwarding, Timeouts};
use caribe_packet::settings::LAYOUT;
use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;

use crate::figures::{Figures, Row};
use crate::flows::{SERVER, next_hop, table};
use crate::generator::{
    ACK, Flows, Generator, REFERENCE, REFERENCE_INSERT, SINK, SYN, Target, Traffic, pinned,
};
use crate::sample::Samples;

/// Arguments of `packet`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Rounds; the median counts.
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..=1000))]
    rounds: u32,
    /// Packets in each measurement.
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u32).range(1000..))]
    packets: u32,
    /// The object with the generator; `cargo xtask bench` builds it.
    #[arg(long, env = "CARIBE_BENCH_OBJECT")]
    object: PathBuf,
    /// Writes the figures to this file, in Markdown.
    #[arg(long)]
    write: Option<PathBuf>,
}

/// Capacity of every table.
const CAPACITY: u32 = 1 << 20;
/// Established flows.
const FLOWS: [u32; 3] = [1, 10_000, 500_000];
/// Packets of new flows in each measurement, and most rounds of them: so few that all fit into the
/// tables beside the established ones.
const NEW_FLOWS: u32 = 80_000;
const MOST_NEW_ROUNDS: u32 = 5;

/// At most so many times the reference, for an established packet of one of 500,000 flows.
const MOST_OVER_REFERENCE: f64 = 1.6;
/// At most so many nanoseconds above the sink, for one hot flow.
const MOST_FOR_ONE_FLOW: f64 = 130.0;
/// At most so many bytes for an IPv4 connection.
const MOST_BYTES: f64 = 128.0;

/// A data plane of its own for a forwarding method.
struct Plane {
    name: &'static str,
    dataplane: XdpDataplane,
    directory: PathBuf,
    target: Target,
}

/// What is measured.
struct Case {
    name: String,
    traffic: Traffic,
    samples: Samples,
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    pin_to_last_processor()?;
    let lab = Lab::new("bench").context("cannot make a lab for the bench's pins")?;
    let mut generator = Generator::load(&arguments.object, CAPACITY)?;
    let mut planes = Vec::new();
    let measured = open_planes(&mut generator, &mut planes, &lab)
        .and_then(|()| measure(&mut generator, &planes, arguments));
    for plane in planes {
        plane.dataplane.remove()?;
    }
    let figures = measured?;
    print!("{figures}");
    if let Some(path) = &arguments.write {
        fs::write(path, figures.markdown())
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(if figures.all_hold() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// One processor throughout, and not the first, which most interrupts go to.
fn pin_to_last_processor() -> Result<()> {
    let allowed = nix::sched::sched_getaffinity(Pid::from_raw(0))?;
    let last = (0..CpuSet::count())
        .rev()
        .find(|processor| allowed.is_set(*processor).unwrap_or(false))
        .context("no processor to run on")?;
    let mut one = CpuSet::new();
    one.set(last)?;
    sched_setaffinity(Pid::from_raw(0), &one).context("cannot bind to one processor")
}

fn open_planes(generator: &mut Generator, planes: &mut Vec<Plane>, lab: &Lab) -> Result<()> {
    for (name, forwarding) in [
        ("direct routing", Forwarding::Direct),
        ("tunnel (IPIP)", Forwarding::Tunnel),
        ("NAT", Forwarding::Nat),
    ] {
        let directory = lab.pin_directory(&forwarding.to_string())?;
        let mut dataplane = XdpDataplane::open(&Options {
            pin_directory: directory.clone(),
            connections: CAPACITY,
            // The bench takes minutes; nothing is to expire under it.
            timeouts: Timeouts {
                tcp: std::time::Duration::from_secs(86_400),
                ..Timeouts::default()
            },
            ..Options::default()
        })?;
        dataplane.set_next_hop(SERVER.into(), Some(next_hop()))?;
        dataplane.apply(&table(forwarding)?)?;
        let target = generator.add_target(&pinned(&layout(&directory).join("director"))?)?;
        planes.push(Plane {
            name,
            dataplane,
            directory,
            target,
        });
    }
    Ok(())
}

fn measure(generator: &mut Generator, planes: &[Plane], arguments: &Arguments) -> Result<Figures> {
    let most = FLOWS[FLOWS.len() - 1];
    let ascending = |target, flags| Traffic {
        target,
        flows: Flows::Ascending(0),
        flags,
        is_reply: false,
    };
    generator.send(&ascending(REFERENCE_INSERT, SYN), most)?;
    for plane in planes {
        generator.send(&ascending(plane.target, SYN), most)?;
        generator.send(&ascending(plane.target, ACK), most)?;
    }

    let mut figures = Figures::default();
    for flows in FLOWS {
        let mut cases = established(planes, Flows::Random(flows));
        for _ in 0..arguments.rounds {
            for case in &mut cases {
                let time = generator.send(&case.traffic, arguments.packets)?;
                case.samples.push(time.as_nanos() as f64);
            }
        }
        let title = format!(
            "established, {flows} flow{}",
            if flows == 1 { "" } else { "s" }
        );
        report(&mut figures, &title, &cases, |net, reference| match flows {
            1 => Some(net <= MOST_FOR_ONE_FLOW),
            500_000 => Some(net <= MOST_OVER_REFERENCE * reference),
            _ => None,
        });
    }
    let mut cases = new_flows(planes);
    for round in 0..arguments.rounds.min(MOST_NEW_ROUNDS) {
        for case in &mut cases {
            case.traffic.flows = Flows::Ascending(most + round * NEW_FLOWS);
            let time = generator.send(&case.traffic, NEW_FLOWS)?;
            case.samples.push(time.as_nanos() as f64);
        }
    }
    report(
        &mut figures,
        "a new flow with every packet",
        &cases,
        |_, _| None,
    );

    for plane in planes {
        check_that_all_was_forwarded(plane)?;
    }
    let bytes = bytes_per_connection(&planes[0].directory)?;
    figures.note(format!(
        "an IPv4 connection takes {bytes:.1} bytes of the table, NAT or not"
    ));
    figures.note(format!(
        "targets: at 500,000 flows at most {MOST_OVER_REFERENCE} times the reference; on one \
         flow at most {MOST_FOR_ONE_FLOW} ns above the sink; at most {MOST_BYTES} bytes"
    ));
    figures.require(bytes <= MOST_BYTES);
    Ok(figures)
}

fn established(planes: &[Plane], flows: Flows) -> Vec<Case> {
    let traffic = |target, is_reply| Traffic {
        target,
        flows,
        flags: ACK,
        is_reply,
    };
    let mut cases = vec![
        Case::new("sink", traffic(SINK, false)),
        Case::new("reference: parse and look up", traffic(REFERENCE, false)),
    ];
    for plane in planes {
        cases.push(Case::new(plane.name, traffic(plane.target, false)));
    }
    if let Some(nat) = planes.last() {
        cases.push(Case::new("NAT, replies", traffic(nat.target, true)));
    }
    cases
}

fn new_flows(planes: &[Plane]) -> Vec<Case> {
    let traffic = |target| Traffic {
        target,
        flows: Flows::Ascending(0),
        flags: SYN,
        is_reply: false,
    };
    let mut cases = vec![
        Case::new("sink", traffic(SINK)),
        Case::new("reference: parse and insert", traffic(REFERENCE_INSERT)),
    ];
    cases.extend(
        planes
            .iter()
            .map(|plane| Case::new(plane.name, traffic(plane.target))),
    );
    cases
}

impl Case {
    fn new(name: &str, traffic: Traffic) -> Self {
        Case {
            name: name.to_owned(),
            traffic,
            samples: Samples::default(),
        }
    }
}

/// Adds a group of rows: each case above the sink, and beside the reference.
fn report(
    figures: &mut Figures,
    title: &str,
    cases: &[Case],
    holds: impl Fn(f64, f64) -> Option<bool>,
) {
    let [sink, reference, others @ ..] = cases else {
        return;
    };
    let reference_net = reference.samples.above(&sink.samples).median();
    figures.group(title, sink.samples.median());
    figures.row(Row {
        name: reference.name.clone(),
        net: reference.samples.above(&sink.samples),
        ratio: 1.0,
        holds: None,
    });
    for case in others {
        let net = case.samples.above(&sink.samples);
        let median = net.median();
        figures.row(Row {
            name: case.name.clone(),
            ratio: median / reference_net,
            holds: holds(median, reference_net),
            net,
        });
    }
}

/// A figure for packets that were dropped would be worth nothing.
fn check_that_all_was_forwarded(plane: &Plane) -> Result<()> {
    let verdicts = plane.dataplane.snapshot()?.verdicts;
    let stray: Vec<_> = verdicts
        .iter()
        .filter(|(name, count)| **count > 0 && !name.starts_with("forwarded_"))
        .collect();
    anyhow::ensure!(
        stray.is_empty(),
        "{}: not every packet was forwarded: {stray:?}",
        plane.name
    );
    Ok(())
}

/// Where the pins of this version are.
fn layout(directory: &Path) -> PathBuf {
    directory.join(format!("v{LAYOUT}"))
}

/// All memory of the IPv4 table over its capacity.
fn bytes_per_connection(directory: &Path) -> Result<f64> {
    let mut bytes = 0.0;
    for map in ["TAGS4", "CONNECTIONS4", "REPLIES4"] {
        let path = layout(directory).join(map);
        let info = MapInfo::from_pin(&path)
            .with_context(|| format!("cannot read the size of {}", path.display()))?;
        bytes += f64::from(info.value_size()) * f64::from(info.max_entries());
    }
    Ok(bytes / f64::from(CAPACITY))
}
