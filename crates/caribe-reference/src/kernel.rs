//! The reference: a kernel with ip_vs, booted in an emulator, and what runs in it.
//!
//! [`play_in_guests`] runs on this machine and boots; [`agent`] is what the guests run: the same
//! program, which finds its scenarios in a file and tells what it saw on its console. The guests'
//! clocks are virtual, so that what a scenario shows does not depend on how fast the machine is,
//! and waiting costs nothing.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use caribe_lab::guest::{Guest, Initramfs, Kernel};
use caribe_lab::wait;
use nix::sched::{CloneFlags, unshare};

use crate::netfilter;
use crate::network;
use crate::play::{Director, Rules, Said, Transcript, ip_batch, play, restore, succeed};
use crate::scenario::Scenario;
use crate::wire::Wire;
use crate::{GuestError, PlayError};

/// Where a guest finds its scenarios, one in a line.
const SCENARIOS: &str = "/scenarios";
/// Where it finds its program.
const PROGRAM: &str = "/bin/agent";
/// What a line of the console begins with that carries a transcript.
const TRANSCRIPT: &str = "@@transcript ";

/// What the kernel needs as modules, besides what those need.
const MODULES: &[&str] = &[
    // What libcrc32c asks for by its name in the cryptographic tables.
    "crc32c_generic",
    "tun",
    "ip_vs",
    "ip_vs_rr",
    "ip_vs_wrr",
    "ip_vs_lc",
    "ip_vs_wlc",
    "ip_vs_fo",
    "ip_vs_ovf",
    "ip_vs_sed",
    "ip_vs_nq",
    "ip_vs_dh",
    "ip_vs_sh",
    "ip_vs_mh",
    "ip_vs_lblc",
    "ip_vs_lblcr",
    "nf_tables",
    // What the rules of iptables are made of.
    "nft_compat",
    "xt_mark",
    "xt_tcpudp",
    "xt_multiport",
    "xt_comment",
    "xt_sctp",
];

/// Loaded when this machine's kernel has SCTP, too: packets that are nobody's go to the director's
/// own stack, and what that says is no matter of the director's.
const SCTP: &str = "sctp";
/// What is there in every namespace of a kernel that has SCTP.
const HAS_SCTP: &str = "/proc/net/sctp";

/// How long a guest may take: it boots in half a minute and plays a scenario in less than a
/// second; a busy machine takes several times that.
const fn time_limit(scenarios: usize) -> Duration {
    Duration::from_secs(300 + 10 * scenarios as u64)
}

/// More than a tick of the kernel's clock: a connection that a packet ends goes with the next one.
const TICK: Duration = Duration::from_millis(5);

/// The estimator takes the counters every two seconds.
const COUNTED: Duration = Duration::from_millis(2100);

/// Plays scenarios to the kernel of Debian, in so many guests at a time; the transcripts are in the
/// order of the scenarios. `program` is the caller's own, which must call [`agent`] when its only
/// argument is `agent`.
///
/// # Errors
///
/// When a guest cannot be booted or does not come to its end, or a scenario cannot be played.
pub fn play_in_guests(
    kernel: &Kernel,
    program: &Path,
    scenarios: &[Scenario],
    guests: usize,
) -> Result<Vec<Transcript>, GuestError> {
    let share = scenarios.len().div_ceil(guests.max(1)).max(1);
    std::thread::scope(|scope| {
        let guests: Vec<_> = scenarios
            .chunks(share)
            .map(|share| scope.spawn(move || play_in_guest(kernel, program, share)))
            .collect();
        let mut transcripts = Vec::new();
        for guest in guests {
            let played = guest
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
            transcripts.extend(played);
        }
        Ok(transcripts)
    })
}

fn play_in_guest(
    kernel: &Kernel,
    program: &Path,
    scenarios: &[Scenario],
) -> Result<Vec<Transcript>, GuestError> {
    let mut files = Initramfs::with_busybox()?;
    files.program(Path::new(PROGRAM), program)?;
    for name in ["ipvsadm", "ip", "nft"] {
        files.program(&Path::new("/bin").join(name), &find(name)?)?;
    }
    netfilter::add_tools(&mut files, &find(netfilter::IPTABLES)?)?;
    let mut insert = String::new();
    let mut modules = MODULES.to_vec();
    if Path::new(HAS_SCTP).exists() {
        modules.push(SCTP);
    }
    for module in kernel.modules_for(&modules)? {
        let to = Path::new("/modules").join(module.file_name().unwrap_or_default());
        files.file(&to, &module)?;
        insert += &format!("insmod {} || exit 1\n", to.display());
    }
    let mut text = String::new();
    for scenario in scenarios {
        text += &serde_json::to_string(scenario)?;
        text.push('\n');
    }
    files.content(Path::new(SCENARIOS), text.as_bytes());
    let said = Guest::new(kernel)
        .virtual_time()
        .memory(512)
        .time_limit(time_limit(scenarios.len()))
        .run(files, &format!("{insert}exec {PROGRAM} agent"))?;
    let lines = said.output.lines();
    let transcripts: Vec<Transcript> = lines
        .filter_map(|line| line.strip_prefix(TRANSCRIPT))
        .map(serde_json::from_str)
        .collect::<Result<_, _>>()?;
    let numbers = |numbers: &mut dyn Iterator<Item = u32>| numbers.collect::<Vec<_>>();
    let asked = numbers(&mut scenarios.iter().map(|it| it.number));
    let played = numbers(&mut transcripts.iter().map(|it| it.number));
    if said.status != 0 || asked != played {
        let said = said
            .output
            .lines()
            .filter(|line| !line.starts_with(TRANSCRIPT));
        return Err(GuestError::NotPlayed {
            played: played.len(),
            asked: asked.len(),
            said: said.collect::<Vec<_>>().join("\n"),
        });
    }
    Ok(transcripts)
}

/// A program of this machine, where Debian keeps those of the administrator.
fn find(name: &'static str) -> Result<PathBuf, GuestError> {
    let places = ["/usr/sbin", "/sbin", "/usr/bin", "/bin"];
    let mut places = places.iter().map(|place| Path::new(place).join(name));
    places
        .find(|path| path.is_file())
        .ok_or(GuestError::NoProgram(name))
}

/// What runs in a guest: plays all scenarios and tells what it saw.
///
/// # Errors
///
/// The first thing that could not be done; the scenarios after it are not played.
pub fn agent() -> Result<(), PlayError> {
    let text =
        fs::read_to_string(SCENARIOS).map_err(PlayError::system(format!("read {SCENARIOS}")))?;
    set_sysctls(OF_ALL_NAMESPACES)?;
    let mut console = std::io::stdout().lock();
    for line in text.lines() {
        let unreadable = |error: serde_json::Error| PlayError::Unreadable {
            what: format!("a scenario in {SCENARIOS}"),
            reason: error.to_string(),
        };
        let scenario: Scenario = serde_json::from_str(line).map_err(unreadable)?;
        let transcript = play_here(&scenario)?;
        let text = serde_json::to_string(&transcript).map_err(unreadable)?;
        writeln!(console, "{TRANSCRIPT}{text}").map_err(PlayError::system("write the console"))?;
    }
    Ok(())
}

/// Plays one in a network namespace of its own, where ip_vs is new.
fn play_here(scenario: &Scenario) -> Result<Transcript, PlayError> {
    unshare(CloneFlags::CLONE_NEWNET).map_err(PlayError::system("make a network namespace"))?;
    set_sysctls(SYSCTLS)?;
    let wire = Wire::open()?;
    ip_batch(&(network::commands() + &network::vip_commands("add", scenario.number)))?;
    play(scenario, &wire, &mut KernelDirector)
}

fn set_sysctls(values: &[(&str, &str)]) -> Result<(), PlayError> {
    for (key, value) in values {
        let path = format!("/proc/sys/net/{key}");
        let written = fs::write(&path, value);
        written.map_err(PlayError::system(format!("write `{value}` to {path}")))?;
    }
    Ok(())
}

/// What Debian's kernel has once for all network namespaces.
const OF_ALL_NAMESPACES: &[(&str, &str)] = &[
    ("ipv4/icmp_msgs_per_sec", "1000000"),
    ("ipv4/icmp_msgs_burst", "1000000"),
];

/// A router that says what it has to say, at once and as often as it has to.
const SYSCTLS: &[(&str, &str)] = &[
    ("ipv4/ip_forward", "1"),
    ("ipv4/conf/all/rp_filter", "0"),
    ("ipv4/conf/default/rp_filter", "0"),
    ("ipv4/conf/all/send_redirects", "0"),
    ("ipv4/conf/default/send_redirects", "0"),
    ("ipv4/icmp_ratelimit", "0"),
    ("ipv6/conf/all/forwarding", "1"),
    ("ipv6/conf/all/accept_dad", "0"),
    ("ipv6/conf/default/accept_dad", "0"),
    ("ipv6/icmp/ratelimit", "0"),
];

/// ip_vs in this network namespace.
struct KernelDirector;

impl Director for KernelDirector {
    fn ipvsadm(&mut self, lines: &[&str]) -> Result<Said, PlayError> {
        restore(Command::new("ipvsadm"), lines)
    }

    fn begin(&mut self, scenario: &Scenario) -> Result<Option<Rules>, PlayError> {
        for (key, value) in &scenario.settings {
            let path = format!("/proc/sys/net/ipv4/vs/{key}");
            let written = fs::write(&path, value.to_string());
            written.map_err(PlayError::system(format!("write `{value}` to {path}")))?;
        }
        if let Some(netfilter) = &scenario.netfilter {
            return netfilter::load(netfilter).map(Some);
        }
        if scenario.marks.is_empty() {
            return Ok(None);
        }
        let mut rules = String::from(
            "add table inet marks\n\
             add chain inet marks before { type filter hook prerouting priority mangle; }\n",
        );
        for rule in &scenario.marks {
            let family = match rule.family {
                network::Family::V4 => "ip",
                network::Family::V6 => "ip6",
            };
            let vip = network::vip(rule.family, scenario.number, rule.vip);
            let protocol = rule.protocol.to_string().to_lowercase();
            rules += &format!(
                "add rule inet marks before {family} daddr {vip} {protocol} dport {} meta mark \
                 set {}\n",
                rule.port,
                network::mark(scenario.number, rule.mark),
            );
        }
        succeed(Command::new("nft").args(["-f", "-"]), &rules)?;
        Ok(None)
    }

    fn settle(&mut self) -> Result<(), PlayError> {
        // ipvsadm returns when it is done.
        Ok(())
    }

    fn finish_packet(&mut self) {
        wait::pause(TICK);
    }

    fn count(&mut self) {
        wait::pause(COUNTED);
    }

    fn count_templates(&mut self) {
        // They are counted as they are made.
    }
}
