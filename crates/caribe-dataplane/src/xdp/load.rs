//! Opening: from nothing, or onto what runs.

use std::collections::{BTreeMap, BTreeSet};

use aya::maps::{Map, MapData, MapInfo};
use aya::{Ebpf, EbpfLoader};
use caribe_model::Tuning;
use caribe_packet::settings::{LAYOUT, Settings, ticks_of_seconds};
use caribe_packet::table::{WAYS, buckets_for};

use super::adopt;
use super::error::{OpenError, kernel};
use super::interfaces::{PROGRAM, program};
use super::maps::{CURSOR_WORDS, Maps, Sizes};
use super::pins::Pins;
use super::sweep::Audit;
use super::{Options, XdpDataplane, encoding, memory, policies};
use crate::destinations::Housekeeping;
use crate::mapped::MappedArray;
use crate::table::{LiveTable, Room, Terms};
use crate::{DataplaneError, object};

/// What the pins are.
enum Found {
    /// Nothing, or the beginnings of a start that was cut short.
    Nothing,
    /// Maps of the right layout.
    Running(Sizes),
    /// Maps that do not fit, and why.
    Unfit(String),
}

impl XdpDataplane {
    /// Starts a data plane, or adopts the one that is pinned in the directory: its maps with all
    /// connections stay, the program is replaced, on every interface at once, by the one in this
    /// binary. Afterwards the program is on exactly the interfaces of the options.
    ///
    /// Maps that cannot be adopted are replaced if no interface has the program; if one has,
    /// nothing is touched.
    ///
    /// # Errors
    ///
    /// See [`OpenError`]. A fresh start that fails leaves nothing behind.
    pub fn open(options: &Options) -> Result<Self, OpenError> {
        let fresh_sizes = sizes(options)?;
        let pins = Pins::open(&options.pin_directory)?;
        let attached = !pins.attachments()?.is_empty();
        let running = match find(&pins) {
            Found::Running(sizes) => Some(sizes),
            Found::Nothing if !attached => None,
            Found::Nothing => return Err(damaged(&pins, "its settings are missing".to_owned())),
            Found::Unfit(problem) if attached => return Err(damaged(&pins, problem)),
            Found::Unfit(problem) => {
                tracing::warn!(%problem, "discarding pinned maps that no interface uses");
                None
            }
        };
        match running {
            Some(sizes) => {
                if sizes != fresh_sizes {
                    tracing::warn!(
                        running = ?sizes,
                        wanted = ?fresh_sizes,
                        "the running data plane keeps its capacities; others take effect after a \
                         clean stop"
                    );
                }
                Self::adopt(options, pins, sizes)
            }
            None => Self::start(options, pins, fresh_sizes),
        }
    }

    fn start(options: &Options, pins: Pins, sizes: Sizes) -> Result<Self, OpenError> {
        let memory = sizes.memory();
        tracing::info!(
            connections = options.connections,
            services = options.services,
            servers = options.servers,
            slots = options.slots,
            connections_mib = memory.connections >> 20,
            table_mib = memory.table >> 20,
            "memory of the data plane"
        );
        memory::check(memory)?;
        pins.clear()?;
        let loaded = load(&pins, sizes);
        let (mut ebpf, maps) = match loaded {
            Ok(loaded) => loaded,
            Err(error) => {
                remove_after(pins.remove());
                return Err(error.into());
            }
        };
        let started = || -> Result<(), DataplaneError> {
            maps.settings.write(0, &settings(options, sizes)?);
            pins.pin_chapters(chapters(&mut ebpf)?)?;
            let path = pins.path(PROGRAM);
            let pinned = program(&mut ebpf).and_then(|program| Ok(program.pin(&path)?));
            pinned.map_err(kernel(format!("pin the program at {}", path.display())))
        }();
        let mut dataplane = XdpDataplane {
            ebpf,
            maps,
            pins,
            live: LiveTable::new(sizes.room),
            torn: false,
            next_hops: BTreeMap::new(),
            attached: BTreeMap::new(),
            wanted: BTreeSet::new(),
            audit: Audit::default(),
            housekeeping: Housekeeping::default(),
            tuning: Tuning::default(),
            alive: 0,
            persistent: BTreeMap::new(),
            adopted: false,
        };
        let attached = started.and_then(|()| dataplane.attach(&options.interfaces));
        match attached {
            Ok(()) => Ok(dataplane),
            Err(error) => {
                remove_after(dataplane.remove());
                Err(error.into())
            }
        }
    }

    fn adopt(options: &Options, pins: Pins, sizes: Sizes) -> Result<Self, OpenError> {
        let (mut ebpf, maps) = load(&pins, sizes)?;
        // The programs that run keep the chapters that they were started with.
        let chapters = pins.pin_chapters(chapters(&mut ebpf)?)?;
        let found = adopt::read(&maps, sizes.room, super::now()?)?;
        let (live, steps) = found.map_err(|problem| damaged(&pins, problem))?;
        let mut dataplane = XdpDataplane {
            ebpf,
            next_hops: adopt::next_hops(&maps),
            maps,
            pins,
            live,
            torn: false,
            attached: BTreeMap::new(),
            wanted: BTreeSet::new(),
            audit: Audit::default(),
            housekeeping: Housekeeping::default(),
            tuning: Tuning::default(),
            alive: 0,
            persistent: BTreeMap::new(),
            adopted: true,
        };
        for step in &steps {
            dataplane.take(step)?;
        }
        dataplane.correct_vips()?;
        dataplane.put_wide_services(dataplane.live.wide_services());
        dataplane.recount();
        let running = dataplane.maps.settings.read(0);
        let changed = Settings {
            timeouts: encoding::timeouts(&options.timeouts),
            icmp_limit: options.icmp_limit,
            ..running
        };
        dataplane.maps.settings.write(0, &changed);
        dataplane.adopt_links()?;
        dataplane.pin_program_anew()?;
        dataplane.pins.keep_chapters(&chapters)?;
        dataplane.set_interfaces(&options.interfaces)?;
        tracing::info!(
            services = dataplane.live.services.len(),
            servers = dataplane.live.servers.len(),
            "adopted the running data plane"
        );
        Ok(dataplane)
    }

    /// Puts our program in the place of the one that was pinned.
    fn pin_program_anew(&mut self) -> Result<(), DataplaneError> {
        let (path, next) = (self.pins.path(PROGRAM), self.pins.path("director_next"));
        let mut replace = || -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
            if next.exists() {
                std::fs::remove_file(&next)?;
            }
            program(&mut self.ebpf)?.pin(&next)?;
            std::fs::rename(&next, &path)?;
            Ok(())
        };
        replace().map_err(kernel(format!("pin the program at {}", path.display())))
    }
}

/// The array of the chapters of a loaded object.
fn chapters(ebpf: &mut Ebpf) -> Result<&mut Map, DataplaneError> {
    ebpf.map_mut(object::CHAPTERS)
        .ok_or("the object has no such map")
        .map_err(kernel(format!("open the map {}", object::CHAPTERS)))
}

/// Processors that the machine may have: their numbers are below this one.
fn processors() -> Result<u32, DataplaneError> {
    let count = aya::util::nr_cpus().map_err(|(path, error)| kernel(format!("read {path}"))(error));
    u32::try_from(count?).map_err(kernel("count the processors"))
}

/// Tells of an error while cleaning up after another error, which is the one to be returned.
fn remove_after(removed: Result<(), DataplaneError>) {
    if let Err(error) = removed {
        tracing::error!(%error, "could not clean up after a start that failed");
    }
}

fn damaged(pins: &Pins, problem: String) -> OpenError {
    OpenError::Damaged {
        directory: pins.directory().to_owned(),
        problem,
    }
}

/// Sizes for a fresh start.
fn sizes(options: &Options) -> Result<Sizes, OpenError> {
    let buckets = buckets_for(options.connections);
    // No map may have more than 2^32 elements, nor more bytes than the kernel allows: 2^32 slots
    // of 128 bytes are far beyond either.
    let limits = [
        ("connections", options.connections, 1, 1 << 28),
        ("services", options.services, 1, 1 << 20),
        ("servers", options.servers, 1, 1 << 24),
        ("slots", options.slots, 1, 1 << 28),
    ];
    for (what, value, least, most) in limits {
        if !(least..=most).contains(&value) {
            return Err(OpenError::Size {
                what,
                value,
                least,
                most,
            });
        }
    }
    let room = Room {
        services: options.services,
        servers: options.servers,
        slots: options.slots,
        // A service changes its cursor with each change, and the former ones rest for a second.
        cursors: options.services * 4 + 1,
    };
    Ok(Sizes {
        room,
        buckets,
        processors: processors()?,
    })
}

/// Looks at the pins without touching them.
fn find(pins: &Pins) -> Found {
    let path = pins.path("SETTINGS");
    if !path.exists() {
        return Found::Nothing;
    }
    let settings = MapData::from_pin(&path)
        .map_err(|error| error.to_string())
        .and_then(|map| {
            let array = MappedArray::<Settings>::new(std::os::fd::AsFd::as_fd(map.fd()), 1);
            array.map_err(|error| error.to_string())
        })
        .map(|array| array.read(0));
    let settings = match settings {
        Ok(settings) => settings,
        Err(error) => return Found::Unfit(format!("its settings cannot be read: {error}")),
    };
    if settings.layout == 0 {
        return Found::Nothing;
    }
    if settings.layout != LAYOUT {
        return Found::Unfit(format!(
            "its maps have layout {}, not {LAYOUT}",
            settings.layout
        ));
    }
    match pinned_sizes(pins) {
        Ok(sizes) if (settings.buckets4, settings.buckets6) == (sizes.buckets, sizes.buckets) => {
            Found::Running(sizes)
        }
        Ok(_) => Found::Unfit("its settings contradict the size of its maps".to_owned()),
        Err(problem) => Found::Unfit(problem),
    }
}

/// Sizes of the pinned maps, every one of which has to fit the others.
fn pinned_sizes(pins: &Pins) -> Result<Sizes, String> {
    let info = |name: &str| {
        MapInfo::from_pin(pins.path(name)).map_err(|error| format!("map {name}: {error}"))
    };
    let entries = |name: &str| info(name).map(|info| info.max_entries());
    let sizes = Sizes {
        room: Room {
            services: entries("SERVICES4")?,
            servers: entries("SERVERS")?.saturating_sub(1) / 2,
            slots: entries("SLOTS")?,
            cursors: entries("CURSORS")? / CURSOR_WORDS,
        },
        buckets: entries("TAGS4")?,
        processors: processors().map_err(|error| error.to_string())?,
    };
    if sizes.buckets > u32::MAX / WAYS || sizes.room.cursors > u32::MAX / CURSOR_WORDS {
        return Err("its maps are larger than any that Caribe makes".to_owned());
    }
    for shape in sizes.shapes() {
        let found = info(shape.name)?;
        let found = (found.max_entries(), found.key_size(), found.value_size());
        if found != (shape.entries, shape.key, shape.value) {
            return Err(format!(
                "map {} has {} elements with keys of {} and values of {} bytes",
                shape.name, found.0, found.1, found.2
            ));
        }
    }
    Ok(sizes)
}

/// Loads the object of this binary, with maps that are pinned: those that are there, else new
/// ones.
fn load(pins: &Pins, sizes: Sizes) -> Result<(Ebpf, Maps), DataplaneError> {
    let mut loader = EbpfLoader::new();
    for shape in sizes.shapes() {
        loader.map_max_entries(shape.name, shape.entries);
        loader.map_pin_path(shape.name, pins.path(shape.name));
    }
    let mut ebpf = loader
        .load(object::BYTES)
        .map_err(kernel("load the BPF object"))?;
    object::load_director(&mut ebpf).map_err(kernel("load the programs of the BPF object"))?;
    let maps = Maps::take(&mut ebpf, sizes)?;
    // Connections of a service that is gone are treated as IPVS would by itself.
    maps.policies.write(0, &policies::encode(&Terms::default()));
    Ok((ebpf, maps))
}

/// Settings for a fresh start, with secrets of its own.
fn settings(options: &Options, sizes: Sizes) -> Result<Settings, DataplaneError> {
    let random = || getrandom::u64().map_err(kernel("draw a random seed"));
    Ok(Settings {
        seed: [random()?, random()?],
        reply_seed: [random()?, random()?],
        buckets4: sizes.buckets,
        buckets6: sizes.buckets,
        timeouts: encoding::timeouts(&options.timeouts),
        icmp_limit: options.icmp_limit,
        flood_guard: 0,
        drop_rate: 0,
        flags: 0,
        wide_services: 0,
        lblcr_expiration: ticks_of_seconds(Tuning::default().lblcr_expiration),
        row: sizes.row(),
        layout: LAYOUT,
    })
}
