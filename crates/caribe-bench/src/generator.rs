//! The generator in front of the program that is measured: `bench.rs` of `caribe-ebpf`.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use aya::maps::{Array, PerCpuArray, PerCpuValues, ProgramArray};
use aya::programs::{ProgramFd, TestRun as _, TestRunAttrs, TestRunOptions, Xdp};
use aya::{Ebpf, EbpfLoader};

use crate::flows::{PORT, SERVER, VIP};

/// Frames that the kernel takes through the program at once, as a driver does.
const BATCH: u32 = 64;

/// TCP flags of a connection's first packet.
pub(crate) const SYN: u32 = 0x02;
/// TCP flags of an established connection's packet.
pub(crate) const ACK: u32 = 0x10;

/// A program that the generator calls, by its place in the object's table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Target(u32);

/// Does nothing.
pub(crate) const SINK: Target = Target(0);
/// Parses, and looks the flow up in the kernel's hash map.
pub(crate) const REFERENCE: Target = Target(1);
/// Parses, and enters the flow into the kernel's hash map.
pub(crate) const REFERENCE_INSERT: Target = Target(2);

/// What packets to make.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Traffic {
    /// The program that gets them.
    pub(crate) target: Target,
    /// Which flows they are of.
    pub(crate) flows: Flows,
    /// TCP flags.
    pub(crate) flags: u32,
    /// Replies of the server instead of clients' packets.
    pub(crate) is_reply: bool,
    /// Services among which the flows are spread.
    pub(crate) services: u16,
}

/// Which flows packets are of.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Flows {
    /// Each a random one of so many.
    Random(u32),
    /// One after the other, from a first one.
    Ascending(u32),
}

/// The loaded generator.
pub(crate) struct Generator {
    ebpf: Ebpf,
    targets: u32,
}

impl Generator {
    /// Loads the generator with a reference table of so many entries.
    pub(crate) fn load(object: &Path, entries: u32) -> Result<Self> {
        let mut ebpf = EbpfLoader::new()
            .map_max_entries("REFERENCE", entries)
            .load_file(object)
            .with_context(|| format!("cannot load {}", object.display()))?;
        let mut generator = {
            program(&mut ebpf, "generator")?
                .load()
                .context("cannot load the generator")?;
            Generator { ebpf, targets: 0 }
        };
        for name in ["sink", "reference", "reference_insert"] {
            let program = program(&mut generator.ebpf, name)?;
            program
                .load()
                .with_context(|| format!("cannot load {name}"))?;
            let fd = program.fd()?.try_clone()?;
            generator.add_target(&fd)?;
        }
        Ok(generator)
    }

    /// Makes a program callable.
    pub(crate) fn add_target(&mut self, program: &ProgramFd) -> Result<Target> {
        let index = self.targets;
        let mut targets: ProgramArray<_> = self.map("TARGETS")?.try_into()?;
        targets
            .set(index, program, 0)
            .context("cannot enter a program to be measured")?;
        self.targets += 1;
        Ok(Target(index))
    }

    /// Takes a program out again, so that nothing holds it; those that were added after it are to
    /// follow.
    pub(crate) fn remove_target(&mut self, target: Target) -> Result<()> {
        let mut targets: ProgramArray<_> = self.map("TARGETS")?.try_into()?;
        targets
            .clear_index(&target.0)
            .context("cannot take a measured program out again")?;
        self.targets = self.targets.min(target.0);
        Ok(())
    }

    /// Sends packets; gives the time of each.
    #[expect(clippy::disallowed_methods, reason = "a bench reads the clock")]
    pub(crate) fn send(&mut self, traffic: &Traffic, packets: u32) -> Result<Duration> {
        self.configure(traffic)?;
        let program: &Xdp = self
            .ebpf
            .program("generator")
            .context("the object has no generator")?
            .try_into()?;
        let frame = [0; 64];
        let options = TestRunOptions {
            data_in: Some(&frame),
            repeat: packets,
            attrs: TestRunAttrs::new().xdp_live_frames(BATCH),
            ..TestRunOptions::new()
        };
        let start = Instant::now();
        program
            .test_run(options)
            .context("the kernel cannot run live frames (Linux 5.18 can)")?;
        Ok(start.elapsed() / packets)
    }

    fn configure(&mut self, traffic: &Traffic) -> Result<()> {
        let (flows, first) = match traffic.flows {
            Flows::Random(flows) => (flows, 0),
            Flows::Ascending(first) => (0, first),
        };
        let local = if traffic.is_reply { SERVER } else { VIP };
        let port = u32::from(u16::from_le_bytes(PORT.to_be_bytes()));
        // The fields of `Traffic` in bench.rs, in their order.
        let fields = [
            flows,
            traffic.flags,
            u32::from_le_bytes(local.octets()),
            port,
            traffic.target.0,
            first,
            u32::from(traffic.is_reply),
            u32::from(traffic.services),
        ];
        let mut settings: Array<_, [u32; 8]> = self.map("TRAFFIC")?.try_into()?;
        settings.set(0, fields, 0)?;
        let processors = aya::util::nr_cpus().map_err(|(what, error)| {
            anyhow::Error::from(error).context(format!("cannot read {what}"))
        })?;
        let mut packets: PerCpuArray<_, u64> = self.map("PACKETS")?.try_into()?;
        if let Flows::Ascending(_) = traffic.flows {
            packets.set(0, PerCpuValues::try_from(vec![0; processors])?, 0)?;
        }
        Ok(())
    }

    fn map(&mut self, name: &str) -> Result<&mut aya::maps::Map> {
        self.ebpf
            .map_mut(name)
            .with_context(|| format!("the object has no map {name}"))
    }
}

fn program<'a>(ebpf: &'a mut Ebpf, name: &str) -> Result<&'a mut Xdp> {
    let program = ebpf
        .program_mut(name)
        .with_context(|| format!("the object has no {name}"))?;
    Ok(program.try_into()?)
}

/// A program that is pinned.
pub(crate) fn pinned(path: &Path) -> Result<ProgramFd> {
    let program = Xdp::from_pin(path, aya_obj::programs::XdpAttachType::Interface)
        .with_context(|| format!("cannot open the program at {}", path.display()))?;
    Ok(program.fd()?.try_clone()?)
}
