//! `bench packet`: what the built program costs per packet, net of what a frame costs anyway.
//!
//! A generator writes each frame and calls the program; the sink's time, which is generator,
//! call and frame, is subtracted round by round. The reference parses and looks the flow up in
//! the kernel's hash map with keys, values and capacity like ours: the least that a stateful
//! balancer on BPF's own maps could do.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};
use aya::maps::MapInfo;
use caribe_dataplane::Dataplane as _;
use caribe_dataplane::xdp::{Options, XdpDataplane};
use caribe_lab::Lab;
use caribe_model::{Forwarding, Timeouts};
use caribe_packet::settings::LAYOUT;

use crate::figures::{Figures, Row};
use crate::flows::{Shape, next_hop};
use crate::generator::{
    ACK, Flows, Generator, REFERENCE, REFERENCE_INSERT, SINK, SYN, Target, Traffic, pinned,
};
use crate::sample::Samples;
use crate::{page, processors};

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
/// At most so many times the cheapest of the same group, however many services or servers.
const MOST_OVER_CHEAPEST: f64 = 1.15;
/// At most so many bytes for an IPv4 connection.
const MOST_BYTES: f64 = 128.0;

/// Numbers of services with a server each.
const SERVICES: [u16; 3] = [10, 1_000, 10_000];
/// Numbers of servers of one service.
const SERVERS: [u16; 3] = [10, 100, 1_000];

/// A data plane of its own for a forwarding method and a table.
struct Plane {
    name: String,
    shape: Shape,
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
    // One processor throughout, and not the first, which most interrupts go to.
    processors::pin_to_last()?;
    let lab = Lab::new("bench").context("cannot make a lab for the bench's pins")?;
    let mut generator = Generator::load(&arguments.object, CAPACITY)?;
    let mut figures = Figures::default();
    with_planes(&mut generator, &lab, &methods(), |generator, planes| {
        measure(generator, planes, arguments, &mut figures)
    })?;
    // One after the other, so that their tables need not all be in memory at a time.
    for (title, shapes) in [
        (
            "established, 500000 flows, by the number of services",
            SERVICES.map(|services| Shape {
                services,
                servers: 1,
            }),
        ),
        (
            "established, 500000 flows, by the number of servers of one service",
            SERVERS.map(|servers| Shape {
                services: 1,
                servers,
            }),
        ),
    ] {
        let plans = shapes.map(Plan::of_shape);
        with_planes(&mut generator, &lab, &plans, |generator, planes| {
            measure_shapes(generator, planes, arguments, title, &mut figures)
        })?;
    }
    figures.note(format!(
        "targets: at 500,000 flows at most {MOST_OVER_REFERENCE} times the reference; on one \
         flow at most {MOST_FOR_ONE_FLOW} ns above the sink; with any number of services and \
         servers at most {MOST_OVER_CHEAPEST} times the cheapest row of the group; at most \
         {MOST_BYTES} bytes"
    ));
    print!("{figures}");
    if let Some(path) = &arguments.write {
        page::write(path, "packet", &figures.markdown())?;
    }
    Ok(if figures.all_hold() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// What plane to open.
struct Plan {
    name: String,
    forwarding: Forwarding,
    shape: Shape,
}

impl Plan {
    fn of_shape(shape: Shape) -> Plan {
        let name = match shape.services {
            1 => format!("{} servers", shape.servers),
            services => format!("{services} services"),
        };
        Plan {
            name,
            forwarding: Forwarding::Direct,
            shape,
        }
    }
}

/// A plane for each forwarding method.
fn methods() -> [Plan; 3] {
    [
        ("direct routing", Forwarding::Direct),
        ("tunnel (IPIP)", Forwarding::Tunnel),
        ("NAT", Forwarding::Nat),
    ]
    .map(|(name, forwarding)| Plan {
        name: name.to_owned(),
        forwarding,
        shape: Shape::SMALLEST,
    })
}

/// Opens planes, measures them, and removes them whatever came of it.
fn with_planes(
    generator: &mut Generator,
    lab: &Lab,
    plans: &[Plan],
    measure: impl FnOnce(&mut Generator, &[Plane]) -> Result<()>,
) -> Result<()> {
    let mut planes = Vec::new();
    let opened = plans.iter().enumerate().try_for_each(|(number, plan)| {
        let directory = lab.pin_directory(&format!("plane{number}"))?;
        planes.push(open(generator, plan, directory)?);
        Ok(())
    });
    let measured = opened.and_then(|()| measure(generator, &planes));
    for plane in planes {
        generator.remove_target(plane.target)?;
        plane.dataplane.remove()?;
    }
    measured
}

fn open(generator: &mut Generator, plan: &Plan, directory: PathBuf) -> Result<Plane> {
    let entries = plan.shape.entries();
    let mut dataplane = XdpDataplane::open(&Options {
        pin_directory: directory.clone(),
        connections: CAPACITY,
        services: u32::from(plan.shape.services),
        servers: entries,
        slots: Options::slots_for(u32::from(plan.shape.services), entries),
        // The bench takes minutes; nothing is to expire under it.
        timeouts: Timeouts {
            tcp: std::time::Duration::from_secs(86_400),
            ..Timeouts::default()
        },
        ..Options::default()
    })?;
    for host in plan.shape.hosts() {
        dataplane.set_next_hop(host, Some(next_hop()))?;
    }
    dataplane.apply(&plan.shape.table(plan.forwarding)?)?;
    let target = generator.add_target(&pinned(&layout(&directory).join("director"))?)?;
    Ok(Plane {
        name: plan.name.clone(),
        shape: plan.shape,
        dataplane,
        directory,
        target,
    })
}

/// Flows that were never seen before, one after the other.
fn ascending(target: Target, flags: u32, services: u16) -> Traffic {
    Traffic {
        target,
        flows: Flows::Ascending(0),
        flags,
        is_reply: false,
        services,
    }
}

/// Established packets of many flows, through tables of several sizes.
fn measure_shapes(
    generator: &mut Generator,
    planes: &[Plane],
    arguments: &Arguments,
    title: &str,
    figures: &mut Figures,
) -> Result<()> {
    let most = FLOWS[FLOWS.len() - 1];
    let mut cases = established(&[], Flows::Random(most));
    for plane in planes {
        let services = plane.shape.services;
        generator.send(&ascending(plane.target, SYN, services), most)?;
        generator.send(&ascending(plane.target, ACK, services), most)?;
        let traffic = Traffic {
            flows: Flows::Random(most),
            ..ascending(plane.target, ACK, services)
        };
        cases.push(Case::new(&plane.name, traffic));
    }
    run_rounds(generator, &mut cases, arguments)?;
    let net = |case: &Case| case.samples.above(&cases[0].samples).median();
    let cheapest = cases[2..].iter().map(net).fold(f64::INFINITY, f64::min);
    report(figures, title, &cases, |net, _| {
        Some(net <= MOST_OVER_CHEAPEST * cheapest)
    });
    planes.iter().try_for_each(check_that_all_was_forwarded)
}

fn run_rounds(generator: &mut Generator, cases: &mut [Case], arguments: &Arguments) -> Result<()> {
    for _ in 0..arguments.rounds {
        for case in &mut *cases {
            let time = generator.send(&case.traffic, arguments.packets)?;
            case.samples.push(time.as_nanos() as f64);
        }
    }
    Ok(())
}

fn measure(
    generator: &mut Generator,
    planes: &[Plane],
    arguments: &Arguments,
    figures: &mut Figures,
) -> Result<()> {
    let most = FLOWS[FLOWS.len() - 1];
    generator.send(&ascending(REFERENCE_INSERT, SYN, 1), most)?;
    for plane in planes {
        generator.send(&ascending(plane.target, SYN, 1), most)?;
        generator.send(&ascending(plane.target, ACK, 1), most)?;
    }

    for flows in FLOWS {
        let mut cases = established(planes, Flows::Random(flows));
        run_rounds(generator, &mut cases, arguments)?;
        let title = format!(
            "established, {flows} flow{}",
            if flows == 1 { "" } else { "s" }
        );
        report(figures, &title, &cases, |net, reference| match flows {
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
    report(figures, "a new flow with every packet", &cases, |_, _| None);

    for plane in planes {
        check_that_all_was_forwarded(plane)?;
    }
    let bytes = bytes_per_connection(&planes[0].directory)?;
    figures.note(format!(
        "an IPv4 connection takes {bytes:.1} bytes of the table, NAT or not"
    ));
    figures.require(bytes <= MOST_BYTES);
    Ok(())
}

fn established(planes: &[Plane], flows: Flows) -> Vec<Case> {
    let traffic = |target, is_reply| Traffic {
        target,
        flows,
        flags: ACK,
        is_reply,
        services: 1,
    };
    let mut cases = vec![
        Case::new("sink", traffic(SINK, false)),
        Case::new("reference: parse and look up", traffic(REFERENCE, false)),
    ];
    for plane in planes {
        cases.push(Case::new(&plane.name, traffic(plane.target, false)));
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
        services: 1,
    };
    let mut cases = vec![
        Case::new("sink", traffic(SINK)),
        Case::new("reference: parse and insert", traffic(REFERENCE_INSERT)),
    ];
    cases.extend(
        planes
            .iter()
            .map(|plane| Case::new(&plane.name, traffic(plane.target))),
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
