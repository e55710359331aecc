//! `bench limits`: a data plane at the sizes that Caribe promises, filled for real: ten million
//! established connections on ten thousand services with a hundred thousand servers, then more
//! strangers than fit. What starting, sweeping, listing and a change take then is measured, and
//! no established connection may be lost.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use caribe_dataplane::xdp::{Options, XdpDataplane};
use caribe_dataplane::{Dataplane as _, Snapshot};
use caribe_lab::Lab;
use caribe_model::{Forwarding, Timeouts, Tuning};
use caribe_packet::settings::LAYOUT;

use crate::flows::{Shape, next_hop};
use crate::generator::{ACK, Flows, Generator, SYN, Traffic, pinned};
use crate::{page, processors, usage};

/// Arguments of `limits`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Connections that the table has room for, of each family; so many are made.
    #[arg(long, default_value_t = 10_000_000, value_parser = clap::value_parser!(u32).range(10_000..=50_000_000))]
    connections: u32,
    /// Virtual services.
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u16).range(1..=60_000))]
    services: u16,
    /// Real servers of each.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u16).range(1..=1_000))]
    servers: u16,
    /// The object with the generator; `cargo xtask bench` builds it.
    #[arg(long, env = "CARIBE_BENCH_OBJECT")]
    object: PathBuf,
    /// Writes the figures into this page.
    #[arg(long)]
    write: Option<PathBuf>,
}

/// At most this share of new connections may find no room before the table is full.
const MOST_REFUSED: f64 = 0.001;
/// A sweep comes every second, and should be done by then.
const LONGEST_SWEEP: Duration = Duration::from_secs(1);
/// Listing goes in pages, between which everything else has its turn.
const LONGEST_PAGE: Duration = Duration::from_millis(100);
const PAGE: usize = 1000;
/// New connections a second from which on there is a flood.
const GUARD: u32 = 10_000;

/// What was found.
#[derive(Default)]
struct Found {
    rows: Vec<Vec<String>>,
    missed: bool,
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    processors::pin_to_last()?;
    let lab = Lab::new("bench-limits").context("cannot make a lab for the bench's pins")?;
    let mut generator = Generator::load(&arguments.object, 1)?;
    let shape = Shape {
        services: arguments.services,
        servers: arguments.servers,
    };
    let options = Options {
        pin_directory: lab.pin_directory("plane")?,
        connections: arguments.connections,
        services: u32::from(shape.services),
        servers: shape.entries(),
        slots: Options::slots_for(u32::from(shape.services), shape.entries()),
        timeouts: Timeouts {
            tcp: Duration::from_secs(86_400),
            ..Timeouts::default()
        },
        ..Options::default()
    };
    let mut found = Found::default();
    let begin = now();
    let mut dataplane = XdpDataplane::open(&options)?;
    found.time("start of the data plane", begin.elapsed(), None);
    let measured = measure(&mut generator, &mut dataplane, &options, shape, &mut found);
    dataplane.remove()?;
    measured?;
    let text = found.markdown(arguments);
    print!("{text}");
    if let Some(path) = &arguments.write {
        page::write(path, "limits", &text)?;
    }
    Ok(match found.missed {
        false => ExitCode::SUCCESS,
        true => ExitCode::FAILURE,
    })
}

fn measure(
    generator: &mut Generator,
    dataplane: &mut XdpDataplane,
    options: &Options,
    shape: Shape,
    found: &mut Found,
) -> Result<()> {
    let mut table = shape.table(Forwarding::Direct)?;
    for host in shape.hosts() {
        dataplane.set_next_hop(host, Some(next_hop()))?;
    }
    let begin = now();
    dataplane.apply(&table)?;
    found.time(
        &format!(
            "{} services with {} servers applied",
            shape.services,
            shape.entries()
        ),
        begin.elapsed(),
        None,
    );
    let room = dataplane.snapshot()?.room;
    found.row(
        "memory of all maps",
        format!("{} MiB", room.memory >> 20),
        None,
    );

    let program = options
        .pin_directory
        .join(format!("v{LAYOUT}"))
        .join("director");
    let target = generator.add_target(&pinned(&program)?)?;
    let flows = |first, flags| Traffic {
        target,
        flows: Flows::Ascending(first),
        flags,
        is_reply: false,
        services: shape.services,
    };
    let wanted = options.connections;
    generator.send(&flows(0, SYN), wanted)?;
    let filled = dataplane.snapshot()?;
    let refused = verdict(&filled, "dropped_table_full")?;
    let made = u64::from(wanted) - refused;
    found.row(
        "connections made",
        format!("{made}, {refused} found no room"),
        Some(refused as f64 <= f64::from(wanted) * MOST_REFUSED),
    );
    let established = forwarded(generator, dataplane, &flows(0, ACK), wanted)?;
    ensure!(
        established == made,
        "{established} of {made} connections got to their end"
    );

    sweep_and_list(dataplane, made, "full of established connections", found)?;
    let first = table.services().next().map(|(key, _)| *key);
    let key = first.context("the table has no service")?;
    let mut changed = table.remove(&key).context("the service is gone")?;
    changed.servers[0].weight += 1;
    table.insert(key, changed)?;
    let begin = now();
    dataplane.apply(&table)?;
    found.time("a change of one server", begin.elapsed(), None);

    flood(generator, dataplane, options, &flows(0, ACK), made, found)?;
    generator.remove_target(target)?;
    found.row(
        "memory of the process beside the maps",
        format!("{} MiB", usage::private()? >> 10),
        None,
    );
    Ok(())
}

/// More strangers than there is room for, and then everybody who was there before.
fn flood(
    generator: &mut Generator,
    dataplane: &mut XdpDataplane,
    options: &Options,
    established: &Traffic,
    made: u64,
    found: &mut Found,
) -> Result<()> {
    dataplane.set_tuning(Tuning {
        flood_guard: GUARD,
        ..Tuning::default()
    })?;
    let wanted = options.connections;
    let before = dataplane.snapshot()?;
    let strangers = Traffic {
        flows: Flows::Ascending(wanted),
        flags: SYN,
        ..*established
    };
    let served = forwarded(generator, dataplane, &strangers, wanted)?;
    let after = dataplane.snapshot()?;
    let full = verdict(&after, "dropped_table_full")? - verdict(&before, "dropped_table_full")?;
    let displaced = event(&after, "displaced_embryonic")? - event(&before, "displaced_embryonic")?;
    ensure!(
        served + full == u64::from(wanted),
        "of {wanted} strangers {served} were served and {full} refused"
    );
    found.row(
        &format!("{wanted} strangers' SYNs more"),
        format!("{served} served, {displaced} of them in another stranger's place; {full} refused"),
        None,
    );
    let kept = forwarded(generator, dataplane, established, wanted)?;
    found.row(
        "established connections that go on",
        format!("{kept} of {made}"),
        Some(kept == made),
    );
    let alive = made + served - displaced;
    sweep_and_list(dataplane, alive, "full to the brim", found)
}

/// Sends packets of flows in order; gives how many were forwarded.
fn forwarded(
    generator: &mut Generator,
    dataplane: &XdpDataplane,
    traffic: &Traffic,
    packets: u32,
) -> Result<u64> {
    let before = verdict(&dataplane.snapshot()?, "forwarded_direct")?;
    generator.send(traffic, packets)?;
    Ok(verdict(&dataplane.snapshot()?, "forwarded_direct")? - before)
}

/// What the director does with the table every second, and what an administrator may ask for.
fn sweep_and_list(
    dataplane: &mut XdpDataplane,
    connections: u64,
    when: &str,
    found: &mut Found,
) -> Result<()> {
    let begin = now();
    let swept = dataplane.sweep()?;
    let time = begin.elapsed();
    // What got no further than its SYN may expire meanwhile.
    ensure!(
        swept.alive + swept.removed == connections,
        "a sweep counts {} connections and removes {}; {connections} were made",
        swept.alive,
        swept.removed
    );
    found.time(&format!("a sweep, {when}"), time, Some(LONGEST_SWEEP));
    let (mut longest, mut listed, mut place) = (Duration::ZERO, 0, Some(0));
    let whole = now();
    while let Some(from) = place {
        let begin = now();
        let mut page = 0;
        place = dataplane.connections_from(from, &mut |_| {
            page += 1;
            page < PAGE
        })?;
        longest = longest.max(begin.elapsed());
        listed += page;
    }
    let whole = whole.elapsed();
    ensure!(
        u64::try_from(listed)? == swept.alive,
        "{listed} of {} connections are listed",
        swept.alive
    );
    found.time(
        &format!("the longest page of a listing, {when}"),
        longest,
        Some(LONGEST_PAGE),
    );
    found.time(&format!("all {listed} connections listed"), whole, None);
    Ok(())
}

fn verdict(snapshot: &Snapshot, name: &str) -> Result<u64> {
    let count = snapshot.verdicts.get(name).copied();
    count.with_context(|| format!("there is no verdict `{name}`"))
}

fn event(snapshot: &Snapshot, name: &str) -> Result<u64> {
    let count = snapshot.events.get(name).copied();
    count.with_context(|| format!("there is no event `{name}`"))
}

impl Found {
    fn row(&mut self, what: &str, value: String, holds: Option<bool>) {
        self.missed |= holds == Some(false);
        let verdict = holds.map(page::verdict).unwrap_or_default().to_owned();
        println!("{what}: {value} {verdict}");
        self.rows.push(vec![what.to_owned(), value, verdict]);
    }

    fn time(&mut self, what: &str, time: Duration, most: Option<Duration>) {
        let holds = most.map(|most| time <= most);
        self.row(what, format!("{:.1} ms", time.as_secs_f64() * 1e3), holds);
    }

    fn markdown(&self, arguments: &Arguments) -> String {
        format!(
            "## Limits\n\nA data plane with room for {} connections of each family, {} services \
             and {} servers, and IPv4's table filled by packets through the built program. \
             Targets: of the connections up to the table's size at most one in a thousand finds \
             no room; a sweep takes at most {:?}, a page of {PAGE} connections at most {:?}; \
             nobody loses an established connection.\n\n{}",
            arguments.connections,
            arguments.services,
            u32::from(arguments.services) * u32::from(arguments.servers),
            LONGEST_SWEEP,
            LONGEST_PAGE,
            page::table(&["what", "measured:", "target"], &self.rows)
        )
    }
}

#[expect(clippy::disallowed_methods, reason = "a bench measures real time")]
fn now() -> Instant {
    Instant::now()
}
