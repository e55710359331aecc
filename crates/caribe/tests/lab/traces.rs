//! What must not remain: of a lab on the machine, of a director in the kernel.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use aya::maps::{MapInfo, loaded_maps};
use aya::programs::{ProgramInfo, loaded_links, loaded_programs};
use caribe_lab::{Host, wait};
use nix::ifaddrs::getifaddrs;

/// Everything on this machine that bears a lab's name: namespaces, files, mounts, processes.
pub(crate) fn traces(id: &str) -> Vec<String> {
    let mut found = Vec::new();
    for directory in ["/run/netns", "/run/caribe-lab"] {
        let paths = entries(Path::new(directory)).into_iter();
        found.extend(
            paths
                .map(|path| path.display().to_string())
                .filter(|path| path.contains(id)),
        );
    }
    let mounts = fs::read_to_string("/proc/self/mounts").expect("mounts");
    found.extend(
        mounts
            .lines()
            .filter(|line| line.contains(id))
            .map(str::to_owned),
    );
    for path in entries(Path::new("/proc")) {
        let line = fs::read_to_string(path.join("cmdline")).unwrap_or_default();
        if line.contains(id) {
            found.push(format!("{}: {line}", path.display()));
        }
    }
    found
}

/// Programs, maps and links of a director, by the kernel's own numbers.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct KernelObjects {
    pub(crate) programs: BTreeSet<u32>,
    pub(crate) maps: BTreeSet<u32>,
    pub(crate) links: BTreeSet<u32>,
}

impl KernelObjects {
    /// What a director has pinned below a directory: the program (`director`), every map that it
    /// uses, pinned or not, every map that is pinned, and every link that has the program. The
    /// kernel does not tell by a pin of what kind it is; its place and name do.
    pub(crate) fn of(pins: &Path) -> KernelObjects {
        let mut objects = KernelObjects::default();
        for path in files_below(pins) {
            if path.is_dir() || path.parent().is_some_and(|it| it.ends_with("links")) {
                continue;
            }
            if path.ends_with("director") {
                let program = ProgramInfo::from_pin(&path).expect("a program");
                objects.programs.insert(program.id());
                let maps = program.map_ids().expect("the kernel tells its maps");
                objects.maps.extend(maps.into_iter().flatten());
            } else {
                objects
                    .maps
                    .insert(MapInfo::from_pin(&path).expect("a map").id());
            }
        }
        let links = loaded_links().map(|link| link.expect("a link"));
        objects.links = links
            .filter(|link| objects.programs.contains(&link.program_id()))
            .map(|link| link.id())
            .collect();
        objects
    }

    /// The maps that outlive a director. The array of chapters, and the maps in which a program
    /// hands a packet on to a chapter, belong to one object's programs and change with them.
    pub(crate) fn lasting_maps(pins: &Path) -> BTreeSet<u32> {
        files_below(pins)
            .into_iter()
            .filter(|path| {
                let place = path.parent().and_then(Path::file_name);
                !path.is_dir()
                    && !path.ends_with("director")
                    && place.is_none_or(|place| place != "links" && place != "chapters")
            })
            .map(|path| MapInfo::from_pin(&path).expect("a map").id())
            .collect()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.programs.is_empty() || self.maps.is_empty() || self.links.is_empty()
    }

    /// Those that the kernel still has.
    pub(crate) fn alive(&self) -> KernelObjects {
        // Other tests on this machine come and go meanwhile: what vanishes while it is looked
        // at is none of these.
        let programs = loaded_programs().filter_map(Result::ok);
        let maps = loaded_maps().filter_map(Result::ok);
        let links = loaded_links().filter_map(Result::ok);
        let both = |ids: &BTreeSet<u32>, alive: BTreeSet<u32>| {
            ids.intersection(&alive).copied().collect::<BTreeSet<u32>>()
        };
        KernelObjects {
            programs: both(&self.programs, programs.map(|it| it.id()).collect()),
            maps: both(&self.maps, maps.map(|it| it.id()).collect()),
            links: both(&self.links, links.map(|it| it.id()).collect()),
        }
    }

    /// Proves that the kernel has none of them any more. It frees maps in its own time, some
    /// milliseconds after the last user has gone.
    ///
    /// The first look comes late on purpose. To look at maps is to open them, and closing the
    /// last descriptor of an array of programs has the kernel empty it in the background; when
    /// that is asked for a second time while the first is pending, the kernel (6.18) loses a
    /// reference, and the empty array stays for ever.
    pub(crate) fn must_be_gone(&self) {
        wait::pause(Duration::from_secs(1));
        wait::until(
            "the kernel to free all of it",
            Duration::from_secs(5),
            || {
                let alive = self.alive();
                (alive == KernelObjects::default())
                    .then_some(())
                    .ok_or(format!("{alive:?}"))
            },
        )
        .expect("nothing is left in the kernel");
    }
}

/// Every address of a host, with the interface, from the kernel itself.
pub(crate) fn addresses(host: &Host) -> BTreeSet<String> {
    host.run(|| {
        getifaddrs()
            .expect("addresses")
            .filter_map(|it| {
                let address = it.address?;
                let address = match (address.as_sockaddr_in(), address.as_sockaddr_in6()) {
                    (Some(v4), _) => v4.ip().to_string(),
                    (_, Some(v6)) => v6.ip().to_string(),
                    _ => return None,
                };
                Some(format!("{address} {}", it.interface_name))
            })
            .collect()
    })
    .expect("the host can be entered")
}

/// Every file and directory below a directory, which need not exist.
pub(crate) fn files_below(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for path in entries(directory) {
        if path.is_dir() {
            found.extend(files_below(&path));
        }
        found.push(path);
    }
    found
}

fn entries(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).into_iter().flatten();
    entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .collect()
}
