//! `bench table`: how long a director takes for ten thousand services of ten servers each: to put
//! them in place, to put one change in place, to list them, and to restore them with ipvsadm.
//!
//! The director is the real program in a namespace of its own. It tells a service manager when a
//! reload has begun and when it is in force; here the service manager is the bench.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use caribe_lab::topology::{FIRST_SERVER, FIRST_VIP, TwoArmed, inside_v4, lan_v4};
use caribe_lab::{Host, Lab, Process};
use nix::sys::signal::Signal;

use crate::usage::Used;
use crate::{page, usage};

/// Arguments of `table`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Virtual services.
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u16).range(1..=60_000))]
    services: u16,
    /// Real servers of each.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u8).range(1..=100))]
    servers: u8,
    /// The program; `cargo xtask bench` builds it.
    #[arg(long, env = "CARIBE_BENCH_PROGRAM")]
    program: PathBuf,
    /// Writes the figures into this page.
    #[arg(long)]
    write: Option<PathBuf>,
}

/// At most so long until the whole table is in place.
const MOST_FOR_ALL: Duration = Duration::from_secs(3);
/// At most so long until one change is.
const MOST_FOR_ONE: Duration = Duration::from_millis(300);
/// When a director that says nothing is given up.
const PATIENCE: Duration = Duration::from_secs(120);
/// Reloads that change one server; the median counts.
const RELOADS: u32 = 5;

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    let lab = Lab::new("bench-table").context("cannot make a lab")?;
    let net = TwoArmed::build(lab, 1, 1500).context("cannot make a network")?;
    // All servers are behind one router.
    let servers = "10.100.0.0/16".parse().context("a network")?;
    net.director
        .add_route(servers, inside_v4(FIRST_SERVER).into())?;
    let mut director = Director::start(&net, &arguments.program, arguments)?;
    let mut rows = Vec::new();
    let mut holds = true;
    let mut row = |what: &str, taken: Taken, most: Option<Duration>| {
        let seconds = |time: Duration| format!("{:.2} s", time.as_secs_f64());
        let kept = most.is_none_or(|most| taken.time <= most);
        let target = most.map(|most| format!("{}: {}", seconds(most), page::verdict(kept)));
        let cells = [
            what.to_owned(),
            seconds(taken.time),
            seconds(taken.used),
            target.unwrap_or_default(),
        ];
        println!(
            "{}: {}, {} of a processor {}",
            cells[0], cells[1], cells[2], cells[3]
        );
        holds &= kept;
        rows.push(cells.to_vec());
    };

    let entries = usize::from(arguments.services) * usize::from(arguments.servers);
    let begin = director.begin()?;
    let mut all = director.reload(&lvs_cf(arguments, 2, 1))?;
    let wanted = usize::from(arguments.services) + entries;
    // Servers may still be waiting for their monitors: they are not in place then.
    let (listed, listing) = loop {
        let (listed, listing) = director.list()?;
        if listed == wanted {
            break (listed, listing);
        }
        ensure!(
            begin.0.elapsed() < PATIENCE,
            "{listed} services and servers are listed, not {wanted}"
        );
        all = director.taken(begin)?;
    };
    let what = format!(
        "{} services, {entries} servers in place",
        arguments.services
    );
    row(&what, all, Some(MOST_FOR_ALL));

    let mut times = Vec::new();
    for reload in 0..RELOADS {
        times.push(director.reload(&lvs_cf(arguments, 3 + reload, 2 + reload))?);
    }
    times.sort_unstable_by_key(|taken| taken.time);
    row(
        "a reload that changes one server",
        times[times.len() / 2],
        Some(MOST_FOR_ONE),
    );
    row("listed by `ipvsadm -Ln`", listing, None);
    let restore = director.restore()?;
    let restored = director.list()?.0;
    ensure!(restored == listed, "restored are {restored} of {listed}");
    row("restored by `ipvsadm -R`", restore, None);
    let status = director.status()?;
    let mut notes: Vec<String> = status
        .lines()
        .filter(|line| line.starts_with("connections ") || line.starts_with("room for "))
        .map(str::to_owned)
        .collect();
    notes.push(format!(
        "memory of the director's process: {} MiB",
        usage::resident(director.process.pid())? >> 10
    ));
    let Director { process, .. } = director;
    process.stop(PATIENCE).context("the director did not end")?;
    net.lab.remove()?;
    for note in &notes {
        println!("{note}");
    }
    if let Some(path) = &arguments.write {
        page::write(path, "table", &markdown(&rows, &notes))?;
    }
    Ok(if holds {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn markdown(rows: &[Vec<String>], notes: &[String]) -> String {
    let mut text = format!(
        "## A large table\n\nA real director reads its `lvs.cf`; a reload is timed from the signal \
         until the director says that it is in force (the median of {RELOADS}). Beside the time is that of the \
         director on a processor: on a busy machine the two differ.\n\n"
    );
    text += &page::table(&["what", "time:", "of a processor:", "target"], rows);
    text.push('\n');
    for note in notes {
        text += &format!("- {note}\n");
    }
    text
}

/// The file with all services; the first server of the first has this weight.
fn lvs_cf(arguments: &Arguments, serial: u32, weight: u32) -> String {
    let mut text = head(arguments, serial);
    let vip = lan_v4(FIRST_VIP);
    for service in 0..arguments.services {
        let port = service + 1;
        // Writing to a string does not fail.
        let _ = write!(
            text,
            "virtual service{service} {{\n\tactive = 1\n\taddress = {vip} eth0:1\n\
             \tport = {port}\n\tforward = direct\n\tscheduler = wlc\n\tmonitor = none\n"
        );
        for server in 0..arguments.servers {
            let number = u32::from(service) * 10 + u32::from(server);
            let weight = if number == 0 { weight } else { 1 };
            let _ = write!(
                text,
                "\tserver s{server} {{\n\t\tactive = 1\n\t\taddress = 10.100.{}.{}\n\
                 \t\tweight = {weight}\n\t}}\n",
                number % 4,
                number / 4 % 250 + 1
            );
        }
        text.push_str("}\n");
    }
    text
}

fn head(arguments: &Arguments, serial: u32) -> String {
    let servers = u32::from(arguments.services) * u32::from(arguments.servers);
    format!(
        "serial_no = {serial}\nservice = lvs\nnetwork = direct\ninterface = eth1\n\
         connections = 100000\nmax_services = {}\nmax_servers = {servers}\n",
        arguments.services
    )
}

/// How long something took, and for how long of that the director was on a processor.
#[derive(Debug, Clone, Copy)]
struct Taken {
    time: Duration,
    used: Duration,
}

/// A director, and the service manager that it talks to.
struct Director<'a> {
    process: Process,
    used: Used,
    manager: UnixDatagram,
    host: &'a Host,
    program: &'a Path,
    file: PathBuf,
    runtime: PathBuf,
}

impl<'a> Director<'a> {
    fn start(net: &'a TwoArmed, program: &'a Path, arguments: &Arguments) -> Result<Self> {
        let host = &net.director;
        let directory = net.lab.directory();
        let (file, runtime) = (directory.join("lvs.cf"), host.file("run"));
        fs::write(&file, head(arguments, 1)).context("cannot write the file")?;
        let socket = directory.join("notify");
        let manager = UnixDatagram::bind(&socket).context("cannot listen to the director")?;
        manager.set_read_timeout(Some(PATIENCE))?;
        let pins = net.lab.pin_directory("director")?;
        let process = host
            .command(&program.display().to_string())
            .args(["director", "--log-format", "human", "--config"])
            .arg(&file)
            .arg("--runtime-dir")
            .arg(&runtime)
            .arg("--pin-dir")
            .arg(pins.join("pins"))
            .env("NOTIFY_SOCKET", &socket)
            .spawn()?;
        let mut director = Director {
            used: Used::by_process(process.pid()),
            process,
            manager,
            host,
            program,
            file,
            runtime,
        };
        director.wait_for("READY=1")?;
        Ok(director)
    }

    /// Now, and the director's time on a processor until now.
    fn begin(&self) -> Result<(Instant, Duration)> {
        Ok((now(), self.used.processor_time()?))
    }

    /// What has been taken since.
    fn taken(&self, (moment, used): (Instant, Duration)) -> Result<Taken> {
        Ok(Taken {
            time: moment.elapsed(),
            used: self.used.processor_time()?.saturating_sub(used),
        })
    }

    /// Waits until the director says a word to its manager.
    fn wait_for(&mut self, word: &str) -> Result<()> {
        let mut buffer = vec![0; 1 << 16];
        loop {
            if let Some(status) = self.process.ended()? {
                bail!("the director ended ({status}): {}", self.process.log());
            }
            let length = self
                .manager
                .recv(&mut buffer)
                .with_context(|| format!("the director did not say {word}"))?;
            let message = String::from_utf8_lossy(&buffer[..length]);
            if message.lines().any(|line| line == word) {
                return Ok(());
            }
        }
    }

    /// Loads another file; the time until it is in force.
    fn reload(&mut self, text: &str) -> Result<Taken> {
        fs::write(&self.file, text).context("cannot write the file")?;
        let begin = self.begin()?;
        self.process.signal(Signal::SIGHUP)?;
        self.wait_for("RELOADING=1")?;
        self.wait_for("READY=1")?;
        self.taken(begin)
    }

    fn command(&self) -> caribe_lab::Command {
        self.host
            .command(&self.program.display().to_string())
            .env("CARIBE_RUNTIME_DIR", &self.runtime)
            .time_limit(PATIENCE)
    }

    /// How many services and servers ipvsadm lists, and how long that takes.
    fn list(&self) -> Result<(usize, Taken)> {
        let begin = self.begin()?;
        let text = self.command().args(["ipvsadm", "-Ln"]).run()?;
        // The version, and two lines of heads.
        Ok((text.lines().count().saturating_sub(3), self.taken(begin)?))
    }

    /// Saves the table, and restores it over itself; the time of the latter.
    fn restore(&self) -> Result<Taken> {
        let saved = self.command().args(["ipvsadm", "-S", "-n"]).run()?;
        let file = self.host.file("saved");
        fs::write(&file, format!("-C\n{saved}")).context("cannot write the saved table")?;
        let begin = self.begin()?;
        let shell = format!("{} ipvsadm -R < {}", self.program.display(), file.display());
        let shell = self.host.command("sh").args(["-c", &shell]);
        shell
            .env("CARIBE_RUNTIME_DIR", &self.runtime)
            .time_limit(PATIENCE)
            .run()?;
        self.taken(begin)
    }

    fn status(&self) -> Result<String> {
        let command = self.command().args(["status", "--runtime-dir"]);
        Ok(command.arg(&self.runtime).run()?)
    }
}

#[expect(clippy::disallowed_methods, reason = "a bench measures real time")]
fn now() -> Instant {
    Instant::now()
}
