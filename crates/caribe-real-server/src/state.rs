//! The state file: what `up` did, so that `down` can undo exactly that. Whoever can write it
//! could make `down` do things, so it is hostile until parsed.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Write};
use std::net::IpAddr;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::fcntl::{Flock, FlockArg};
use serde::{Deserialize, Serialize};

use crate::error::RealServerError;
use crate::plan::Undo;
use crate::request::{ArpMode, Method, Request};
use crate::setting::Scope;

/// The version of the format that this program reads and writes.
const VERSION: u32 = 1;
/// Larger files are not ours.
const LARGEST: u64 = 1 << 20;

/// What `up` did and has not been undone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct State {
    version: u32,
    /// The interface.
    pub interface: String,
    /// How ARP is silenced.
    pub arp: ArpMode,
    /// Where the decapsulating program is pinned.
    pub pins: PathBuf,
    /// The VIPs, and how packets for each come.
    pub vips: BTreeMap<IpAddr, Method>,
    /// The ways back, in the order in which the ways there were taken.
    pub undo: Vec<Undo>,
}

impl State {
    /// The state of a request of which nothing is done yet.
    pub(crate) fn new(request: &Request, pins: &Path) -> Self {
        State {
            version: VERSION,
            interface: request.interface.clone(),
            arp: request.arp,
            pins: pins.to_owned(),
            vips: BTreeMap::new(),
            undo: Vec::new(),
        }
    }

    /// What is in place, as one request.
    pub(crate) fn request(&self) -> Request {
        Request {
            vips: self.vips.clone(),
            interface: self.interface.clone(),
            arp: self.arp,
        }
    }

    /// Text to state.
    ///
    /// # Errors
    ///
    /// What is wrong with the text.
    pub fn parse(text: &str) -> Result<Self, String> {
        let state: State = serde_json::from_str(text).map_err(|error| error.to_string())?;
        if state.version != VERSION {
            return Err(format!(
                "it has version {}, this program knows version {VERSION}",
                state.version
            ));
        }
        is_name(&state.interface)?;
        if !state.pins.is_absolute() {
            return Err(format!(
                "the pin directory {} is not absolute",
                state.pins.display()
            ));
        }
        for undo in &state.undo {
            state.check(undo)?;
        }
        Ok(state)
    }

    /// Refuses everything that `up` could not have written.
    fn check(&self, undo: &Undo) -> Result<(), String> {
        match undo {
            Undo::Restore {
                setting,
                former,
                given,
            } => {
                let largest = setting.key.largest();
                if (*former).max(*given) > largest {
                    return Err(format!("{setting} is at most {largest}"));
                }
                match &setting.scope {
                    Scope::All => Ok(()),
                    Scope::Interface(name) if *name == self.interface => Ok(()),
                    Scope::Interface(_) => Err(format!("{setting} is of another interface")),
                }
            }
            Undo::RemoveAddress { interface, vip } => {
                if interface != "lo" && *interface != self.interface {
                    return Err(format!("{vip} is on another interface"));
                }
                self.knows(*vip)
            }
            Undo::Forget { vip } => self.knows(*vip),
            Undo::ArpRules { .. } | Undo::Detach => Ok(()),
        }
    }

    fn knows(&self, vip: IpAddr) -> Result<(), String> {
        if self.vips.contains_key(&vip) {
            Ok(())
        } else {
            Err(format!("{vip} is none of the VIPs"))
        }
    }
}

/// An interface's name as the kernel allows it: it becomes part of a path.
fn is_name(name: &str) -> Result<(), String> {
    let wrong = |c: char| c == '/' || c == ':' || c.is_whitespace() || c.is_control();
    if name.is_empty() || name.len() > 15 || name == "." || name == ".." || name.contains(wrong) {
        return Err(format!("`{}` is no interface name", name.escape_default()));
    }
    Ok(())
}

/// The state file, held by one command at a time.
pub(crate) struct StateFile {
    path: PathBuf,
    _lock: Flock<File>,
}

impl StateFile {
    /// Takes the file for this command; it need not exist.
    ///
    /// # Errors
    ///
    /// Another command holds it, or its directory cannot be written.
    pub(crate) fn lock(path: &Path) -> Result<Self, RealServerError> {
        let failed = |source: io::Error, hint| RealServerError::State {
            action: "lock",
            path: path.to_owned(),
            source,
            hint,
        };
        let directory = path.parent().unwrap_or(Path::new("/"));
        std::fs::create_dir_all(directory)
            .map_err(|error| failed(error, "; this needs root, or another --state"))?;
        let mut beside = path.as_os_str().to_owned();
        beside.push(".lock");
        let file = File::options()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .custom_flags(nix::fcntl::OFlag::O_NOFOLLOW.bits())
            .open(beside)
            .map_err(|error| failed(error, "; this needs root, or another --state"))?;
        let lock = Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|(_, error)| {
            failed(
                error.into(),
                "; another `caribe real-server` is at work, try again when it is done",
            )
        })?;
        Ok(StateFile {
            path: path.to_owned(),
            _lock: lock,
        })
    }

    /// Writes the state.
    pub(crate) fn save(&self, state: &State) -> Result<(), RealServerError> {
        self.write(state)
            .map_err(|source| self.failed("write", source))
    }

    /// Removes the file: there is nothing left to undo.
    pub(crate) fn remove(&self) -> Result<(), RealServerError> {
        match std::fs::remove_file(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(self.failed("remove", error))
            }
            _ => Ok(()),
        }
    }

    fn write(&self, state: &State) -> io::Result<()> {
        // Whole or not at all: written beside, then renamed. Made with mode 0600.
        let directory = self.path.parent().unwrap_or(Path::new("/"));
        let mut file = tempfile::NamedTempFile::new_in(directory)?;
        serde_json::to_writer_pretty(&mut file, state)?;
        file.write_all(b"\n")?;
        file.as_file().sync_all()?;
        file.persist(&self.path).map_err(|error| error.error)?;
        Ok(())
    }

    fn failed(&self, action: &'static str, source: io::Error) -> RealServerError {
        RealServerError::State {
            action,
            path: self.path.clone(),
            source,
            hint: "",
        }
    }
}

/// Reads the state file; `None` when there is none.
///
/// # Errors
///
/// It cannot be read, somebody else could have written it, or it is not what `up` writes.
pub(crate) fn read(path: &Path) -> Result<Option<State>, RealServerError> {
    let failed = |source: io::Error| RealServerError::State {
        action: "use",
        path: path.to_owned(),
        source,
        hint: "; if it was damaged, undo by hand what `caribe real-server status` shows, and \
               remove it",
    };
    let file = match File::options()
        .read(true)
        .custom_flags(nix::fcntl::OFlag::O_NOFOLLOW.bits())
        .open(path)
    {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    let metadata = file.metadata().map_err(failed)?;
    let owner = metadata.uid();
    if (owner != 0 && owner != nix::unistd::geteuid().as_raw()) || metadata.mode() & 0o022 != 0 {
        return Err(failed(io::Error::other(
            "others than root may write it, so what it says cannot be trusted",
        )));
    }
    let mut text = String::new();
    let mut limited = file.take(LARGEST + 1);
    limited.read_to_string(&mut text).map_err(failed)?;
    if text.len() as u64 > LARGEST {
        return Err(failed(io::Error::other("it is larger than 1 MiB")));
    }
    State::parse(&text)
        .map(Some)
        .map_err(|reason| failed(io::Error::new(io::ErrorKind::InvalidData, reason)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What `up` writes for two VIPs of both families through a tunnel.
    const WRITTEN: &str = r#"{
        "version": 1,
        "interface": "eth0",
        "arp": "sysctl",
        "pins": "/sys/fs/bpf/caribe-real-server",
        "vips": {"192.0.2.80": "tunnel", "2001:db8::80": "direct"},
        "undo": [
            {"restore": {"setting": {"key": "arp_ignore", "scope": "all"}, "former": 0, "given": 1}},
            {"restore": {"setting": {"key": "rp_filter", "scope": {"interface": "eth0"}},
                         "former": 1, "given": 2}},
            "detach",
            {"forget": {"vip": "192.0.2.80"}},
            {"arp_rules": {"before": [{"ignore": {"vip": "192.0.2.79"}}]}},
            {"arp_rules": {"before": null}},
            {"remove_address": {"interface": "lo", "vip": "2001:db8::80"}}
        ]
    }"#;

    #[test]
    fn what_up_writes_is_read_back() {
        let state = State::parse(WRITTEN).expect("legal");
        assert_eq!(state.undo.len(), 7);
        let text = serde_json::to_string(&state).expect("JSON");
        assert_eq!(State::parse(&text), Ok(state));
    }

    #[test]
    fn what_up_could_not_have_written_is_refused() {
        for (written, forged, reason) in [
            ("\"version\": 1", "\"version\": 2", "version 2"),
            ("\"version\": 1", "\"version\": -1", "invalid value"),
            (
                "\"interface\": \"eth0\",",
                "\"interface\": \"../..\",",
                "no interface name",
            ),
            (
                "\"interface\": \"eth0\",",
                "\"interface\": \"..\",",
                "no interface name",
            ),
            (
                "\"interface\": \"eth0\",",
                "\"interface\": \"\",",
                "no interface name",
            ),
            (
                "\"interface\": \"eth0\",",
                "\"interface\": \"sixteen-bytes-xx\",",
                "no interface name",
            ),
            (
                "\"interface\": \"eth0\",",
                "\"interface\": \"eth0\\u0000\",",
                "no interface name",
            ),
            (
                "\"/sys/fs/bpf/caribe-real-server\"",
                "\"bpf\"",
                "not absolute",
            ),
            ("\"arp_ignore\"", "\"ip_forward\"", "unknown variant"),
            ("\"former\": 0", "\"former\": 9", "at most 8"),
            ("\"given\": 2", "\"given\": 256", "invalid value"),
            (
                "{\"interface\": \"eth0\"}",
                "{\"interface\": \"eth1\"}",
                "another interface",
            ),
            (
                "{\"interface\": \"eth0\"}",
                "{\"interface\": \"../../..\"}",
                "another interface",
            ),
            (
                "\"interface\": \"lo\"",
                "\"interface\": \"eth1\"",
                "another interface",
            ),
            (
                "\"lo\", \"vip\": \"2001:db8::80\"",
                "\"lo\", \"vip\": \"192.0.2.1\"",
                "none of the VIPs",
            ),
            (
                "{\"forget\": {\"vip\": \"192.0.2.80\"}}",
                "{\"forget\": {}}",
                "missing field",
            ),
            ("\"detach\"", "\"reboot\"", "unknown variant"),
            (
                "\"arp\": \"sysctl\",",
                "\"arp\": \"sysctl\", \"x\": 1,",
                "unknown field",
            ),
            ("\"direct\"", "\"nat\"", "unknown variant"),
            (
                "\"2001:db8::80\": ",
                "\"2001:db8::800000\": ",
                "invalid IP address",
            ),
        ] {
            let text = WRITTEN.replacen(written, forged, 1);
            assert_ne!(text, WRITTEN, "{written} is in the text");
            let refused = State::parse(&text).expect_err(forged);
            assert!(refused.contains(reason), "{forged}: {refused}");
        }
    }

    #[test]
    fn a_torn_file_is_refused() {
        for length in 0..WRITTEN.len() {
            State::parse(&WRITTEN[..length]).expect_err("torn");
        }
    }
}
