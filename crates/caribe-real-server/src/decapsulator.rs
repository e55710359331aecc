//! Our decapsulating XDP program: loaded, attached and pinned, so that it stays when the command
//! ends; examined and removed by its pins.

use std::error::Error;
use std::io;
use std::net::{IpAddr, Ipv6Addr};
use std::path::{Path, PathBuf};

use aya::Ebpf;
use aya::maps::{HashMap, Map, MapData, PerCpuArray};
use aya::programs::links::{FdLink, PinnedLink};
use aya::programs::xdp::XdpMode;
use aya::programs::{ProgramInfo, Xdp};
use nix::sys::statfs::{BPF_FS_MAGIC, statfs};

use crate::error::RealServerError;
use crate::facts::{Counts, Decapsulator};

/// The program in the object of `caribe-dataplane`.
const PROGRAM: &str = "decapsulate";
/// Its map of VIPs: an address, IPv4 as IPv4-mapped IPv6, to 1.
const VIPS: &str = "DECAPSULATE_VIPS";
/// Its map of counters.
const COUNTS: &str = "DECAPSULATE_COUNTS";

/// The files in the pin directory. Nothing else in it is ever touched.
struct Pins {
    directory: PathBuf,
}

impl Pins {
    fn program(&self) -> PathBuf {
        self.directory.join("program")
    }

    fn link(&self) -> PathBuf {
        self.directory.join("link")
    }

    fn vips(&self) -> PathBuf {
        self.directory.join("vips")
    }

    fn counts(&self) -> PathBuf {
        self.directory.join("counts")
    }
}

fn pins(directory: &Path) -> Pins {
    Pins {
        directory: directory.to_owned(),
    }
}

/// Where in the machine the program runs.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// In the driver.
    Native,
    /// In the stack.
    Generic {
        /// Why the driver did not take it.
        reason: String,
    },
}

/// What is pinned in the directory; `None` when no program is.
///
/// # Errors
///
/// What the kernel refused, such as a pin of something else.
pub(crate) fn examine(directory: &Path) -> Result<Option<Decapsulator>, RealServerError> {
    let pins = pins(directory);
    if !exists(&pins.program())? {
        return Ok(None);
    }
    let read = |what: &str| format!("read the {what} pinned in {}", directory.display());
    let program = ProgramInfo::from_pin(pins.program()).map_err(|e| failed(read("program"), e))?;
    let mut decapsulator = Decapsulator {
        program: program.id(),
        ..Decapsulator::default()
    };
    // The pins are made one after the other; what is not there yet holds nothing.
    if exists(&pins.vips())? {
        let map = vips(&pins).map_err(|e| failed(read("VIPs"), e))?;
        for key in map.keys() {
            let key = key.map_err(|e| failed(read("VIPs"), e))?;
            decapsulator.vips.insert(address(key));
        }
    }
    if exists(&pins.counts())? {
        decapsulator.counts = counts(&pins).map_err(|e| failed(read("counters"), e))?;
    }
    Ok(Some(decapsulator))
}

/// Loads the program, attaches it to the interface in native mode or, where the driver cannot,
/// in generic mode, and pins it. Whatever an earlier run left in the directory goes.
///
/// # Errors
///
/// What the kernel refused, with the verifier's log; nothing stays behind then.
pub(crate) fn attach(directory: &Path, interface: &str) -> Result<Mode, RealServerError> {
    create(directory)?;
    detach(directory)?;
    create(directory)?;
    let pins = pins(directory);
    let attached = load_and_pin(&pins, interface);
    if attached.is_err() {
        // The first failure is the one to tell; nothing is attached without its link's pin.
        if let Err(error) = detach(directory) {
            tracing::warn!(directory = %directory.display(), %error, "cannot clear the pins");
        }
    }
    attached
}

fn load_and_pin(pins: &Pins, interface: &str) -> Result<Mode, RealServerError> {
    let load = || "load the decapsulating program".to_owned();
    let mut object = Ebpf::load(caribe_dataplane::object::BYTES).map_err(|e| failed(load(), e))?;
    let absent = |what: &str| {
        failed(
            load(),
            io::Error::other(format!("`{what}` is not in the built-in BPF object")),
        )
    };
    let pin = |what: &str, path: &Path| format!("pin the {what} at {}", path.display());
    for (map, path) in [(VIPS, pins.vips()), (COUNTS, pins.counts())] {
        let map = object.map(map).ok_or_else(|| absent(map))?;
        map.pin(&path).map_err(|e| failed(pin("map", &path), e))?;
    }
    let program: &mut Xdp = object
        .program_mut(PROGRAM)
        .ok_or_else(|| absent(PROGRAM))?
        .try_into()
        .map_err(|e| failed(load(), e))?;
    program.load().map_err(|e| failed(load(), e))?;
    let path = pins.program();
    program
        .pin(&path)
        .map_err(|e| failed(pin("program", &path), e))?;

    let action = || format!("attach the decapsulating program to `{interface}`");
    let (link, mode) = match program.attach(interface, XdpMode::Driver) {
        Ok(link) => (link, Mode::Native),
        Err(refusal) => {
            let link = program.attach(interface, XdpMode::Skb);
            let reason = with_causes(&refusal);
            (
                link.map_err(|e| failed(action(), e))?,
                Mode::Generic { reason },
            )
        }
    };
    let link = program.take_link(link).map_err(|e| failed(action(), e))?;
    let link: FdLink = link.try_into().map_err(|e| failed(action(), e))?;
    let path = pins.link();
    link.pin(&path).map_err(|e| failed(pin("link", &path), e))?;
    Ok(mode)
}

/// Takes the program off its interface and removes the pins and their directory. What is not
/// there need not be removed.
///
/// # Errors
///
/// What the file system refused.
pub(crate) fn detach(directory: &Path) -> Result<(), RealServerError> {
    if !exists(directory)? {
        return Ok(());
    }
    // The path may come from the state file: nothing is removed elsewhere than among pins.
    on_bpf_file_system(directory)?;
    let pins = pins(directory);
    let link = pins.link();
    if exists(&link)? {
        let action = || format!("take the program pinned at {} off", link.display());
        // While the link is held open, removing its pin does not end it. Closing it then does,
        // at once; ended by its pin, it would be taken off some time later.
        let held = PinnedLink::from_pin(&link).map_err(|e| failed(action(), e))?;
        drop(held.unpin().map_err(|e| failed(action(), e))?);
    }
    for path in [pins.program(), pins.vips(), pins.counts()] {
        remove(&path, std::fs::remove_file(&path))?;
    }
    match std::fs::remove_dir(directory) {
        // Somebody else's files are theirs.
        Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => Ok(()),
        result => remove(directory, result),
    }
}

fn remove(path: &Path, result: io::Result<()>) -> Result<(), RealServerError> {
    match result {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(failed(format!("remove {}", path.display()), error))
        }
        _ => Ok(()),
    }
}

/// Has the pinned program unwrap packets for a VIP.
///
/// # Errors
///
/// What the kernel refused, such as more VIPs than the map has room for.
pub(crate) fn add(directory: &Path, vip: IpAddr) -> Result<(), RealServerError> {
    let action = || format!("add {vip} to the VIPs pinned in {}", directory.display());
    let mut map = vips(&pins(directory)).map_err(|e| failed(action(), e))?;
    map.insert(key(vip), 1, 0).map_err(|e| failed(action(), e))
}

/// Has the pinned program forget a VIP, if it is there and knows it.
///
/// # Errors
///
/// What the kernel refused.
pub(crate) fn forget(directory: &Path, vip: IpAddr) -> Result<(), RealServerError> {
    let action = || {
        format!(
            "remove {vip} from the VIPs pinned in {}",
            directory.display()
        )
    };
    let pins = pins(directory);
    if !exists(&pins.vips())? {
        return Ok(());
    }
    let mut map = vips(&pins).map_err(|e| failed(action(), e))?;
    match map.remove(&key(vip)) {
        Err(aya::maps::MapError::KeyNotFound) => Ok(()),
        result => result.map_err(|e| failed(action(), e)),
    }
}

type VipMap = HashMap<MapData, [u8; 16], u32>;

fn vips(pins: &Pins) -> Result<VipMap, aya::maps::MapError> {
    let data = MapData::from_pin(pins.vips())?;
    Map::HashMap(data).try_into()
}

fn counts(pins: &Pins) -> Result<Counts, aya::maps::MapError> {
    let data = MapData::from_pin(pins.counts())?;
    let counts: PerCpuArray<MapData, u64> = Map::PerCpuArray(data).try_into()?;
    let sum =
        |index| -> Result<u64, aya::maps::MapError> { Ok(counts.get(&index, 0)?.iter().sum()) };
    Ok(Counts {
        decapsulated: sum(0)?,
        passed: sum(1)?,
        refused: sum(2)?,
        corrupt: sum(3)?,
        congested: sum(4)?,
    })
}

fn key(vip: IpAddr) -> [u8; 16] {
    match vip {
        IpAddr::V4(vip) => vip.to_ipv6_mapped().octets(),
        IpAddr::V6(vip) => vip.octets(),
    }
}

fn address(key: [u8; 16]) -> IpAddr {
    Ipv6Addr::from(key).to_canonical()
}

fn exists(path: &Path) -> Result<bool, RealServerError> {
    path.try_exists()
        .map_err(|error| failed(format!("look for {}", path.display()), error))
}

/// Makes the directory, on a BPF file system.
fn create(directory: &Path) -> Result<(), RealServerError> {
    let action = || format!("make the pin directory {}", directory.display());
    std::fs::create_dir_all(directory).map_err(|e| failed(action(), e))?;
    let checked = on_bpf_file_system(directory);
    if checked.is_err() {
        remove(directory, std::fs::remove_dir(directory))?;
    }
    checked
}

fn on_bpf_file_system(directory: &Path) -> Result<(), RealServerError> {
    let action = || format!("use the pin directory {}", directory.display());
    let system = statfs(directory).map_err(|e| failed(action(), io::Error::from(e)))?;
    if system.filesystem_type() == BPF_FS_MAGIC {
        return Ok(());
    }
    let reason = "it is not on a BPF file system (mount -t bpf bpf /sys/fs/bpf)";
    Err(failed(action(), io::Error::other(reason)))
}

/// An error with those that caused it: aya's own words name the call, not the reason.
fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let deeper = error.to_string();
        if !text.contains(&deeper) {
            text = format!("{text}: {deeper}");
        }
        cause = error.source();
    }
    text
}

fn failed(action: String, source: impl Into<Box<dyn Error + Send + Sync>>) -> RealServerError {
    let source = source.into();
    let reason = with_causes(source.as_ref());
    let denied = reason.contains("Operation not permitted") || reason.contains("Permission denied");
    RealServerError::Decapsulator {
        action,
        source: reason.into(),
        hint: if denied {
            "; this needs root, or the capabilities CAP_BPF and CAP_NET_ADMIN"
        } else {
            ""
        },
    }
}
