//! The built BPF programs, loaded with small maps, in a network namespace of their own.

use std::mem::offset_of;
use std::net::IpAddr;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

use aya::maps::{Array, HashMap, MapData, PerCpuArray, PerCpuValues, ProgramArray};
use aya::programs::{TestRun as _, TestRunOptions, Xdp};
use aya::{Ebpf, EbpfLoader};
use caribe_dataplane::object::CHAPTERS;
use caribe_packet::chapter::Chapter;
use caribe_packet::connection::{Connection4, Connection6, Life, Meta};
use caribe_packet::event::Event;
use caribe_packet::filter::{Bit, bit4, bit6};
use caribe_packet::key::{Endpoints, Key4, Key6};
use caribe_packet::locality::{Destination, DestinationKey};
use caribe_packet::policy::{Policy, REUSE};
use caribe_packet::server::{Bounds, Load, NatEnd, Server, Traffic};
use caribe_packet::service::{Service, ServiceKey4, ServiceKey6, Slot};
use caribe_packet::settings::{LAYOUT, Settings, ticks_of_seconds};
use caribe_packet::state::{STATES, default_timeout};
use caribe_packet::table::{Place, WAYS, reply_entry, set_tag};
use caribe_packet::verdict::{COUNTERS, Counters};
use nix::sched::{CloneFlags, CpuSet, sched_getaffinity, sched_setaffinity, unshare};
use nix::time::ClockId;
use nix::unistd::Pid;

use crate::frame::{Body, Packet, leading, mapped};
use crate::pod::Plain;

/// How big the maps are.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sizes {
    /// Buckets of each connection table.
    pub(crate) buckets: u32,
    /// Real servers, index 0 unused.
    pub(crate) servers: u32,
    /// Slots of schedulers, and rotations.
    pub(crate) slots: u32,
}

/// What a case with the table of sh needs.
pub(crate) const HASHES: Sizes = Sizes {
    slots: 1024,
    ..SMALL
};

/// Services that have a policy, id 0 unused.
const SERVICES: u32 = 64;

/// The policy of a service for which nothing is set.
pub(crate) const IPVS: Policy = Policy {
    flags: REUSE,
    timeout: 0,
    mask: [0; 16],
    mss: 0,
    padding: [0; 6],
};

/// What most cases need.
pub(crate) const SMALL: Sizes = Sizes {
    buckets: 32,
    servers: 32,
    slots: 64,
};

/// An action of XDP, and ABORTED, which no program of ours may return.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    Aborted,
    Drop,
    Pass,
    Transmit,
    Redirect,
}

/// What a program did with a frame.
#[derive(Debug, Clone)]
pub(crate) struct Ran {
    pub(crate) action: Action,
    pub(crate) frame: Vec<u8>,
}

/// A slot of either table that is in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Entry {
    /// Its number.
    pub(crate) slot: u32,
    pub(crate) client: (IpAddr, u16),
    pub(crate) peer: (IpAddr, u16),
    pub(crate) protocol: u8,
    pub(crate) server: u32,
    pub(crate) server_address: IpAddr,
    pub(crate) server_port: u16,
    pub(crate) client_interface: u32,
    pub(crate) client_mac: [u8; 6],
    pub(crate) own_mac: [u8; 6],
    pub(crate) state: u8,
    pub(crate) flags: u16,
    pub(crate) life: u8,
    pub(crate) deadline: u32,
}

/// The programs and their maps.
pub(crate) struct Plane {
    ebpf: Ebpf,
    sizes: Sizes,
    /// Index of an interface that exists: where clients are.
    pub(crate) front: u32,
    /// Index of another: where servers are.
    pub(crate) back: u32,
    pub(crate) settings: Settings,
    settings_map: Array<MapData, Plain<Settings>>,
    services4: HashMap<MapData, Plain<ServiceKey4>, Plain<Service>>,
    services6: HashMap<MapData, Plain<ServiceKey6>, Plain<Service>>,
    vips: HashMap<MapData, [u8; 16], u32>,
    slots: Array<MapData, Plain<Slot>>,
    cursors: Array<MapData, u64>,
    servers: Array<MapData, Plain<Server>>,
    loads: Array<MapData, u64>,
    bounds: Array<MapData, u64>,
    policies: Array<MapData, Plain<Policy>>,
    /// What clients sent and got: packets and bytes, a row for each processor.
    traffic: [Array<MapData, [u64; 2]>; 2],
    /// Connections that were started, a row for each processor.
    started: Array<MapData, u64>,
    counters: PerCpuArray<MapData, Plain<Counters>>,
    tags: [Array<MapData, u64>; 2],
    connections4: Array<MapData, [u8; size_of::<Connection4>()]>,
    connections6: Array<MapData, [u8; size_of::<Connection6>()]>,
    replies: [Array<MapData, [u64; WAYS as usize]>; 2],
    nat_servers: Array<MapData, u64>,
    nat_ends: HashMap<MapData, Plain<NatEnd>, u32>,
    fragments: HashMap<MapData, [u8; 40], [u8; 12]>,
    destinations: HashMap<MapData, Plain<DestinationKey>, Plain<Destination>>,
    decapsulate_vips: HashMap<MapData, [u8; 16], u32>,
    decapsulate_counts: PerCpuArray<MapData, u64>,
}

/// A map that the object must have, as the type that it must be.
macro_rules! map {
    ($ebpf:expr, $name:literal) => {
        $ebpf
            .take_map($name)
            .unwrap_or_else(|| panic!("the object has no map {}", $name))
            .try_into()
            .unwrap_or_else(|error| panic!("map {}: {error}", $name))
    };
}

impl Plane {
    /// Loads the programs and moves the calling thread to a network namespace with two
    /// interfaces and to one processor, so that per-processor counts are in one place.
    ///
    /// # Panics
    ///
    /// Without root, `ip`, or a kernel that takes the programs: then nothing here can be tested.
    pub(crate) fn load(sizes: Sizes) -> Plane {
        let (front, back) = enter_namespace();
        stay_on_one_processor();
        let mut loader = EbpfLoader::new();
        for (name, entries) in [
            ("SLOTS", sizes.slots),
            ("CURSORS", sizes.slots),
            ("SERVERS", sizes.servers),
            ("LOADS", sizes.servers),
            ("BOUNDS", sizes.servers),
            ("TRAFFIC_IN", sizes.servers * processors()),
            ("TRAFFIC_OUT", sizes.servers * processors()),
            ("STARTED", sizes.servers * processors()),
            ("ROSTER", sizes.servers),
            ("TAGS4", sizes.buckets),
            ("TAGS6", sizes.buckets),
            ("REPLIES4", sizes.buckets),
            ("REPLIES6", sizes.buckets),
            ("CONNECTIONS4", sizes.buckets * WAYS),
            ("CONNECTIONS6", sizes.buckets * WAYS),
        ] {
            loader.map_max_entries(name, entries);
        }
        let mut ebpf = loader
            .load(caribe_dataplane::object::BYTES)
            .unwrap_or_else(|error| panic!("load the BPF object (root is needed): {error:?}"));
        caribe_dataplane::object::load_director(&mut ebpf)
            .unwrap_or_else(|error| panic!("the verifier refuses a program: {error:?}"));
        program(&mut ebpf, "decapsulate")
            .load()
            .unwrap_or_else(|error| panic!("the verifier refuses decapsulate: {error:?}"));
        Plane {
            settings_map: map!(ebpf, "SETTINGS"),
            services4: map!(ebpf, "SERVICES4"),
            services6: map!(ebpf, "SERVICES6"),
            vips: map!(ebpf, "VIPS"),
            slots: map!(ebpf, "SLOTS"),
            cursors: map!(ebpf, "CURSORS"),
            servers: map!(ebpf, "SERVERS"),
            loads: map!(ebpf, "LOADS"),
            bounds: map!(ebpf, "BOUNDS"),
            policies: map!(ebpf, "POLICIES"),
            traffic: [map!(ebpf, "TRAFFIC_IN"), map!(ebpf, "TRAFFIC_OUT")],
            started: map!(ebpf, "STARTED"),
            counters: map!(ebpf, "COUNTERS"),
            tags: [map!(ebpf, "TAGS4"), map!(ebpf, "TAGS6")],
            connections4: map!(ebpf, "CONNECTIONS4"),
            connections6: map!(ebpf, "CONNECTIONS6"),
            replies: [map!(ebpf, "REPLIES4"), map!(ebpf, "REPLIES6")],
            nat_servers: map!(ebpf, "NAT_SERVERS"),
            nat_ends: map!(ebpf, "NAT_ENDS"),
            fragments: map!(ebpf, "FRAGMENTS"),
            destinations: map!(ebpf, "DESTINATIONS"),
            decapsulate_vips: map!(ebpf, "DECAPSULATE_VIPS"),
            decapsulate_counts: map!(ebpf, "DECAPSULATE_COUNTS"),
            settings: default_settings(sizes),
            ebpf,
            sizes,
            front,
            back,
        }
    }

    /// Makes every map what it was when it was created, and the settings the usual ones.
    pub(crate) fn reset(&mut self) {
        let zeroed = "an element of the map";
        for bucket in 0..self.sizes.buckets {
            for family in 0..2 {
                self.tags[family].set(bucket, 0, 0).expect(zeroed);
                self.replies[family].set(bucket, [0; 8], 0).expect(zeroed);
            }
            for slot in bucket * WAYS..(bucket + 1) * WAYS {
                self.connections4.set(slot, [0; 64], 0).expect(zeroed);
                self.connections6.set(slot, [0; 128], 0).expect(zeroed);
            }
        }
        for server in 0..self.sizes.servers {
            self.servers
                .set(server, Plain(Server::default()), 0)
                .expect(zeroed);
            self.loads.set(server, 0, 0).expect(zeroed);
            self.bounds.set(server, 0, 0).expect(zeroed);
        }
        for at in 0..self.sizes.servers * processors() {
            for way in &mut self.traffic {
                way.set(at, [0; 2], 0).expect(zeroed);
            }
            self.started.set(at, 0, 0).expect(zeroed);
        }
        // No service has id 0.
        for service in 1..SERVICES {
            self.set_policy(service, IPVS);
        }
        for slot in 0..self.sizes.slots {
            self.slots
                .set(slot, Plain(Slot::default()), 0)
                .expect(zeroed);
            self.cursors.set(slot, 0, 0).expect(zeroed);
        }
        for key in self
            .services4
            .keys()
            .collect::<Result<Vec<_>, _>>()
            .expect("keys")
        {
            self.services4.remove(&key).expect("a key that is there");
        }
        for key in self
            .services6
            .keys()
            .collect::<Result<Vec<_>, _>>()
            .expect("keys")
        {
            self.services6.remove(&key).expect("a key that is there");
        }
        let ends = self.nat_ends.keys().collect::<Result<Vec<_>, _>>();
        for key in ends.expect("keys") {
            self.nat_ends.remove(&key).expect("a key that is there");
        }
        let fragments = self.fragments.keys().collect::<Result<Vec<_>, _>>();
        for key in fragments.expect("keys") {
            self.fragments.remove(&key).expect("a key that is there");
        }
        let destinations = self.destinations.keys().collect::<Result<Vec<_>, _>>();
        for key in destinations.expect("keys") {
            self.destinations.remove(&key).expect("a key that is there");
        }
        for map in [&mut self.vips, &mut self.decapsulate_vips] {
            for key in map.keys().collect::<Result<Vec<_>, _>>().expect("keys") {
                map.remove(&key).expect("a key that is there");
            }
        }
        for count in 0..5 {
            let zeroes =
                PerCpuValues::try_from(vec![0; processors() as usize]).expect("one per processor");
            self.decapsulate_counts.set(count, zeroes, 0).expect(zeroed);
        }
        self.set_counters(&Counters::default());
        self.settings = default_settings(self.sizes);
        self.write_settings();
    }

    /// Runs a program once on a frame that arrived by an interface. `metadata` is put in front of
    /// the frame, where it takes away room for headers.
    pub(crate) fn run(&mut self, name: &str, interface: u32, metadata: usize, frame: &[u8]) -> Ran {
        let data = [&vec![0; metadata][..], frame].concat();
        let mut out = vec![0; data.len() + 256];
        // struct xdp_md: data, data_end, data_meta, ingress_ifindex, rx_queue_index,
        // egress_ifindex.
        let context = [metadata as u32, data.len() as u32, 0, interface, 0, 0];
        let context = context.map(u32::to_ne_bytes).concat();
        let mut options = TestRunOptions::new();
        options.data_in = Some(&data);
        options.data_out = Some(&mut out);
        options.ctx_in = Some(&context);
        let ran = program(&mut self.ebpf, name)
            .test_run(options)
            .unwrap_or_else(|error| panic!("run {name} on {} bytes: {error}", frame.len()));
        out.truncate(ran.data_size_out as usize);
        Ran {
            action: match ran.return_value {
                0 => Action::Aborted,
                1 => Action::Drop,
                2 => Action::Pass,
                3 => Action::Transmit,
                4 => Action::Redirect,
                other => panic!("{name} returned {other}, which is no action of XDP"),
            },
            frame: out.split_off(metadata),
        }
    }

    /// Takes a chapter away from the program.
    pub(crate) fn remove_chapter(&mut self, chapter: Chapter) {
        self.chapters()
            .clear_index(&(chapter as u32))
            .expect("a chapter that is there");
    }

    /// Gives the program all its chapters again.
    pub(crate) fn put_chapters(&mut self) {
        for chapter in Chapter::ALL {
            let descriptor = program(&mut self.ebpf, chapter.program())
                .fd()
                .and_then(|descriptor| Ok(descriptor.try_clone()?))
                .expect("a loaded program");
            self.chapters()
                .set(*chapter as u32, &descriptor, 0)
                .expect("a chapter of the array");
        }
    }

    fn chapters(&mut self) -> ProgramArray<&mut MapData> {
        self.ebpf
            .map_mut(CHAPTERS)
            .expect("the object has chapters")
            .try_into()
            .expect("they are programs")
    }

    /// Runs a program on a frame without looking at what becomes of it.
    pub(crate) fn run_blind(&mut self, name: &str, frame: &[u8]) {
        let mut options = TestRunOptions::new();
        options.data_in = Some(frame);
        program(&mut self.ebpf, name)
            .test_run(options)
            .unwrap_or_else(|error| panic!("run {name}: {error}"));
    }

    /// Carries changes of `settings` to the map.
    pub(crate) fn write_settings(&mut self) {
        self.settings_map
            .set(0, Plain(self.settings), 0)
            .expect("the one element");
    }

    pub(crate) fn set_server(&mut self, index: u32, server: Server) {
        self.servers
            .set(index, Plain(server), 0)
            .expect("a server of the map");
    }

    pub(crate) fn server(&self, index: u32) -> Server {
        let Plain(server) = self.servers.get(&index, 0).expect("a server of the map");
        server
    }

    /// Which servers a service remembers for an address.
    pub(crate) fn destination(&self, service: u32, address: IpAddr) -> Option<Destination> {
        let address = leading(address);
        let key = DestinationKey { address, service };
        match self.destinations.get(&Plain(key), 0) {
            Ok(Plain(destination)) => Some(destination),
            Err(aya::maps::MapError::KeyNotFound) => None,
            Err(error) => panic!("look up a destination: {error}"),
        }
    }

    /// Lets a service remember servers for an address.
    pub(crate) fn set_destination(
        &mut self,
        service: u32,
        address: IpAddr,
        destination: Destination,
    ) {
        let address = leading(address);
        let key = DestinationKey { address, service };
        self.destinations
            .insert(Plain(key), Plain(destination), 0)
            .expect("room");
    }

    pub(crate) fn set_slot(&mut self, index: u32, slot: Slot) {
        self.slots
            .set(index, Plain(slot), 0)
            .expect("a slot of the map");
    }

    /// How a service treats connections at the edges of their lives.
    pub(crate) fn set_policy(&mut self, service: u32, policy: Policy) {
        self.policies
            .set(service, Plain(policy), 0)
            .expect("a service of the map");
    }

    /// How many connections a server takes.
    pub(crate) fn set_bounds(&mut self, server: u32, upper: u32, lower: u32) {
        self.bounds
            .set(server, Bounds::new(upper, lower).0, 0)
            .expect("a server of the map");
    }

    /// Enters a service, its VIP included.
    pub(crate) fn set_service(
        &mut self,
        address: IpAddr,
        port: u16,
        protocol: u8,
        service: Service,
    ) {
        let port = port.to_be_bytes();
        match address {
            IpAddr::V4(address) => {
                let key = ServiceKey4 {
                    address: address.octets(),
                    port,
                    protocol,
                    padding: 0,
                };
                self.services4
                    .insert(Plain(key), Plain(service), 0)
                    .expect("room");
            }
            IpAddr::V6(address) => {
                let key = ServiceKey6 {
                    address: address.octets(),
                    port,
                    protocol,
                    padding: 0,
                };
                self.services6
                    .insert(Plain(key), Plain(service), 0)
                    .expect("room");
            }
        }
        self.vips.insert(mapped(address), 1, 0).expect("room");
    }

    /// Removes a service; its VIP stays.
    pub(crate) fn remove_service(&mut self, address: IpAddr, port: u16, protocol: u8) {
        let port = port.to_be_bytes();
        let removed = match address {
            IpAddr::V4(address) => {
                let key = ServiceKey4 {
                    address: address.octets(),
                    port,
                    protocol,
                    padding: 0,
                };
                self.services4.remove(&Plain(key))
            }
            IpAddr::V6(address) => {
                let key = ServiceKey6 {
                    address: address.octets(),
                    port,
                    protocol,
                    padding: 0,
                };
                self.services6.remove(&Plain(key))
            }
        };
        removed.expect("a service that is there");
    }

    /// The load of a server.
    pub(crate) fn load_of(&self, server: u32) -> Load {
        Load(self.loads.get(&server, 0).expect("a server of the map"))
    }

    pub(crate) fn set_load(&mut self, server: u32, active: u32, inactive: u32) {
        let load = u64::from(active) << 32 | u64::from(inactive);
        self.loads
            .set(server, load, 0)
            .expect("a server of the map");
    }

    /// Marks a server as overloaded, whatever its load.
    pub(crate) fn overload(&mut self, server: u32) {
        let load = self.load_of(server).0 | Load::OVERLOADED;
        self.loads.set(server, load, 0).expect("a server");
    }

    /// The other way.
    pub(crate) fn relieve(&mut self, server: u32) {
        let load = self.load_of(server).0 & !Load::OVERLOADED;
        self.loads.set(server, load, 0).expect("a server");
        self.bounds.set(server, 0, 0).expect("a server");
    }

    /// Picks that a rotation has made.
    pub(crate) fn picks(&self, cursor: u32) -> u64 {
        self.cursors.get(&cursor, 0).expect("a cursor of the map")
    }

    pub(crate) fn set_picks(&mut self, cursor: u32, picks: u64) {
        self.cursors
            .set(cursor, picks, 0)
            .expect("a cursor of the map");
    }

    /// The traffic of a server on all processors.
    pub(crate) fn traffic_of(&self, server: u32) -> Traffic {
        let there = "an element of the map";
        let mut sum = Traffic::default();
        for processor in 0..processors() {
            let at = processor * self.sizes.servers + server;
            let [[packets_in, bytes_in], [packets_out, bytes_out]] =
                [0, 1].map(|way| self.traffic[way].get(&at, 0).expect(there));
            sum.connections += self.started.get(&at, 0).expect(there);
            sum.packets_in += packets_in;
            sum.bytes_in += bytes_in;
            sum.packets_out += packets_out;
            sum.bytes_out += bytes_out;
        }
        sum
    }

    /// Counters by verdict, on all processors.
    pub(crate) fn verdicts(&self) -> [u64; COUNTERS] {
        let values = self.counters.get(&0, 0).expect("the one element");
        let mut sum = [0; COUNTERS];
        for Plain(counters) in values.iter() {
            for (sum, count) in sum.iter_mut().zip(counters.verdicts) {
                *sum += count;
            }
        }
        sum
    }

    /// How often something happened, on all processors.
    pub(crate) fn event(&self, event: Event) -> u64 {
        let values = self.counters.get(&0, 0).expect("the one element");
        let counts = values.iter().map(|Plain(own)| own.events[event as usize]);
        counts.sum()
    }

    /// The window of the ICMP limit that a processor counts in: the latest of all processors'.
    pub(crate) fn icmp_window(&self) -> u32 {
        let values = self.counters.get(&0, 0).expect("the one element");
        values
            .iter()
            .map(|Plain(counters)| counters.icmp_window)
            .max()
            .expect("a processor")
    }

    /// Lets every processor begin a new window of the ICMP limit, whatever the time is.
    pub(crate) fn forget_icmp_window(&mut self) {
        let mut counters = Counters {
            verdicts: self.verdicts(),
            ..Counters::default()
        };
        // Verdicts are counted by processor, and the sum of all must stay.
        let processors = aya::util::nr_cpus().expect("the number of processors");
        let mut values = vec![Plain(counters)];
        counters.verdicts = [0; COUNTERS];
        values.resize(processors, Plain(counters));
        let values = PerCpuValues::try_from(values).expect("a value per processor");
        self.counters.set(0, values, 0).expect("the one element");
    }

    /// Sets the counters of every processor.
    pub(crate) fn set_counters(&mut self, counters: &Counters) {
        let processors = aya::util::nr_cpus().expect("the number of processors");
        let values = PerCpuValues::try_from(vec![Plain(*counters); processors]);
        self.counters
            .set(0, values.expect("a value per processor"), 0)
            .expect("the one element");
    }

    /// Lets `decapsulate` unwrap packets for an address.
    pub(crate) fn add_decapsulate_vip(&mut self, address: IpAddr) {
        self.decapsulate_vips
            .insert(mapped(address), 1, 0)
            .expect("room");
    }

    /// Packets unwrapped, passed and refused.
    pub(crate) fn decapsulated(&self) -> [u64; 3] {
        let [unwrapped, passed, refused, ..] = self.decapsulation();
        [unwrapped, passed, refused]
    }

    /// Packets unwrapped, passed, refused, dropped as corrupt and for congestion.
    pub(crate) fn decapsulation(&self) -> [u64; 5] {
        [0, 1, 2, 3, 4].map(|count| {
            let values = self.decapsulate_counts.get(&count, 0).expect("one of five");
            values.iter().sum()
        })
    }

    /// Every slot in use, of both families.
    pub(crate) fn entries(&self) -> Vec<Entry> {
        let mut entries = Vec::new();
        for slot in 0..self.sizes.buckets * WAYS {
            let bytes = self.connections4.get(&slot, 0).expect("a slot of the map");
            entries.extend(entry(slot, &bytes, &LAYOUT4));
            let bytes = self.connections6.get(&slot, 0).expect("a slot of the map");
            entries.extend(entry(slot, &bytes, &LAYOUT6));
        }
        entries
    }

    /// What a slot holds now whose entry was seen before.
    pub(crate) fn look_again(&self, seen: &Entry) -> Entry {
        let found = if seen.client.0.is_ipv4() {
            let bytes = self
                .connections4
                .get(&seen.slot, 0)
                .expect("a slot of the map");
            entry(seen.slot, &bytes, &LAYOUT4)
        } else {
            let bytes = self
                .connections6
                .get(&seen.slot, 0)
                .expect("a slot of the map");
            entry(seen.slot, &bytes, &LAYOUT6)
        };
        found.expect("only a sweeper frees a slot, and there is none here")
    }

    /// Sets the deadline of a connection.
    pub(crate) fn set_deadline(&mut self, entry: &Entry, deadline: u32) {
        self.set_meta(entry, entry.state, entry.flags, deadline);
    }

    /// Sets state, flags and deadline of a connection, which stays alive.
    pub(crate) fn set_meta(&mut self, entry: &Entry, state: u8, flags: u16, deadline: u32) {
        let meta = Meta::new(Life::Alive, state, flags, deadline)
            .0
            .to_le_bytes();
        if entry.client.0.is_ipv4() {
            let mut bytes = self.connections4.get(&entry.slot, 0).expect("a slot");
            bytes[LAYOUT4.meta..LAYOUT4.meta + 8].copy_from_slice(&meta);
            self.connections4.set(entry.slot, bytes, 0).expect("a slot");
        } else {
            let mut bytes = self.connections6.get(&entry.slot, 0).expect("a slot");
            bytes[LAYOUT6.meta..LAYOUT6.meta + 8].copy_from_slice(&meta);
            self.connections6.set(entry.slot, bytes, 0).expect("a slot");
        }
    }

    /// Words of the reply index that are in use.
    pub(crate) fn reply_entries(&self, is_ipv4: bool) -> usize {
        let replies = &self.replies[usize::from(!is_ipv4)];
        (0..self.sizes.buckets)
            .flat_map(|bucket| replies.get(&bucket, 0).expect("a bucket of the map"))
            .filter(|word| *word != 0)
            .count()
    }

    /// Makes a NAT server known that answers from an address and port; 0 is any protocol.
    pub(crate) fn put_nat_end(&mut self, server: (IpAddr, u16), protocol: u8) {
        let key = nat_end(server, protocol);
        self.nat_ends.insert(Plain(key), 1, 0).expect("room");
    }

    /// Makes of a NAT server that is known one of the other family, with the same bytes.
    pub(crate) fn turn_nat_end_to_the_other_family(&mut self, server: (IpAddr, u16), protocol: u8) {
        let key = nat_end(server, protocol);
        self.nat_ends.remove(&Plain(key)).expect("it is known");
        let version = 10 - key.version;
        let other = NatEnd { version, ..key };
        self.nat_ends.insert(Plain(other), 1, 0).expect("room");
    }

    /// Lets the packet path look packets from an address up as replies.
    pub(crate) fn expect_replies_from(&mut self, address: IpAddr) {
        let Bit { word, mask } = match address {
            IpAddr::V4(address) => bit4(address.octets()),
            IpAddr::V6(address) => bit6(address.octets()),
        };
        let bits = self
            .nat_servers
            .get(&word, 0)
            .expect("a word of the filter");
        self.nat_servers
            .set(word, bits | mask, 0)
            .expect("a word of the filter");
    }

    /// Makes the reply index lead a packet to a slot, as a collision of hashes would.
    pub(crate) fn collide_reply(&mut self, packet: &Packet, slot: u32) {
        let (source_port, destination_port) = packet.ports();
        let client = (packet.destination, destination_port);
        let hash = self.hash(packet, client, (packet.source, source_port), |settings| {
            settings.reply_seed
        });
        let place = Place::new(hash, self.settings.buckets4);
        let replies = &mut self.replies[usize::from(packet.source.is_ipv6())];
        let mut words = replies.get(&place.primary, 0).expect("a bucket of the map");
        let free = words.iter_mut().find(|word| **word == 0);
        *free.expect("a way that is free") = reply_entry(place.wide_tag, slot);
        replies
            .set(place.primary, words, 0)
            .expect("a bucket of the map");
    }

    /// Gives a slot the tag of another packet's flow, as a collision of hashes would. It must be
    /// in a bucket of that flow.
    pub(crate) fn collide_request(&mut self, packet: &Packet, slot: u32) {
        let (source_port, destination_port) = packet.ports();
        let client = (packet.source, source_port);
        let hash = self.hash(
            packet,
            client,
            (packet.destination, destination_port),
            |settings| settings.seed,
        );
        let place = Place::new(hash, self.settings.buckets4);
        assert_eq!(
            place.primary,
            slot / WAYS,
            "the slot is in the flow's bucket"
        );
        let tags = &mut self.tags[usize::from(packet.source.is_ipv6())];
        let word = tags.get(&place.primary, 0).expect("a bucket of the map");
        tags.set(place.primary, set_tag(word, slot % WAYS, place.tag), 0)
            .expect("a bucket of the map");
    }

    /// The hash of a flow, by which the packet path finds it.
    fn hash(
        &self,
        packet: &Packet,
        (client, client_port): (IpAddr, u16),
        (peer, peer_port): (IpAddr, u16),
        seed: impl Fn(&Settings) -> [u64; 2],
    ) -> u64 {
        let endpoints = Endpoints {
            client_port: client_port.to_be_bytes(),
            peer_port: peer_port.to_be_bytes(),
            protocol: match packet.body {
                Body::Tcp(_) => 6,
                Body::Sctp(_) => 132,
                _ => 17,
            },
        };
        let seed = seed(&self.settings);
        match (client, peer) {
            (IpAddr::V4(client), IpAddr::V4(peer)) => {
                Key4::new(client.octets(), peer.octets(), endpoints).hash(seed)
            }
            (IpAddr::V6(client), IpAddr::V6(peer)) => {
                Key6::new(client.octets(), peer.octets(), endpoints).hash(seed)
            }
            mixed => panic!("addresses of two families: {mixed:?}"),
        }
    }

    /// Fills the reply index with words that no flow has.
    pub(crate) fn occupy_reply_index(&mut self) {
        for bucket in 0..self.sizes.buckets {
            for replies in &mut self.replies {
                replies
                    .set(bucket, [1 << 32; 8], 0)
                    .expect("a bucket of the map");
            }
        }
    }
}

/// How many units of [`now`] the packet path's clock may be behind: it is read once a timer
/// interrupt, of which there are 100 a second at least.
pub(crate) const CLOCK_LAG: u32 = 10;

/// Now, by the packet path's clock: coarse monotonic time in units of 2^20 nanoseconds.
pub(crate) fn now() -> u32 {
    let time = ClockId::CLOCK_MONOTONIC_COARSE
        .now()
        .expect("Linux has this clock");
    ((time.tv_sec() as u64 * 1_000_000_000 + time.tv_nsec() as u64) >> 20) as u32
}

fn program<'a>(ebpf: &'a mut Ebpf, name: &str) -> &'a mut Xdp {
    ebpf.program_mut(name)
        .unwrap_or_else(|| panic!("the object has no program {name}"))
        .try_into()
        .unwrap_or_else(|error| panic!("program {name}: {error}"))
}

fn nat_end((address, port): (IpAddr, u16), protocol: u8) -> NatEnd {
    NatEnd {
        address: leading(address),
        port: port.to_be_bytes(),
        protocol,
        version: if address.is_ipv4() { 4 } else { 6 },
    }
}

/// Processors that the machine may have.
fn processors() -> u32 {
    aya::util::nr_cpus().expect("the number of processors") as u32
}

fn default_settings(sizes: Sizes) -> Settings {
    let timeouts = std::array::from_fn(|state| default_timeout(state as u8));
    let timeouts: [Option<u32>; STATES] = timeouts;
    let timeouts = timeouts.map(|seconds| seconds.map_or(0, ticks_of_seconds));
    Settings {
        seed: [0x0123_4567_89ab_cdef, 0xfedc_ba98_7654_3210],
        reply_seed: [0x1111_2222_3333_4444, 0x5555_6666_7777_8888],
        buckets4: sizes.buckets,
        buckets6: sizes.buckets,
        timeouts,
        icmp_limit: 1_000_000,
        flood_guard: 0,
        drop_rate: 0,
        flags: 0,
        wide_services: 0,
        lblcr_expiration: ticks_of_seconds(86_400),
        row: sizes.servers,
        layout: LAYOUT,
    }
}

/// Where the fields of a slot are.
struct SlotLayout {
    /// Bytes of an address.
    address: usize,
    meta: usize,
    server: usize,
    client_interface: usize,
    client_mac: usize,
    server_port: usize,
    own_mac: usize,
    server_address: usize,
}

macro_rules! slot_layout {
    ($connection:ty, $address:literal) => {
        SlotLayout {
            address: $address,
            meta: offset_of!($connection, meta),
            server: offset_of!($connection, server),
            client_interface: offset_of!($connection, client_interface),
            client_mac: offset_of!($connection, client_mac),
            server_port: offset_of!($connection, server_port),
            own_mac: offset_of!($connection, own_mac),
            server_address: offset_of!($connection, server_address),
        }
    };
}

const LAYOUT4: SlotLayout = slot_layout!(Connection4, 4);
const LAYOUT6: SlotLayout = slot_layout!(Connection6, 16);

/// What a slot holds, if it is in use.
fn entry(slot: u32, bytes: &[u8], layout: &SlotLayout) -> Option<Entry> {
    let u16_at = |at: usize| u16::from_be_bytes([bytes[at], bytes[at + 1]]);
    let u32_at = |at: usize| u32::from_le_bytes(array(&bytes[at..]));
    let address_at = |at: usize| match layout.address {
        4 => IpAddr::from(array::<4>(&bytes[at..])),
        _ => IpAddr::from(array::<16>(&bytes[at..])),
    };
    // The key: both addresses, both ports, the protocol.
    let ports = 2 * layout.address;
    let meta = Meta(u64::from_le_bytes(array(&bytes[layout.meta..])));
    (meta.0 != 0).then(|| Entry {
        slot,
        client: (address_at(0), u16_at(ports)),
        peer: (address_at(layout.address), u16_at(ports + 2)),
        protocol: bytes[ports + 4],
        server: u32_at(layout.server),
        server_address: address_at(layout.server_address),
        server_port: u16_at(layout.server_port),
        client_interface: u32_at(layout.client_interface),
        client_mac: array(&bytes[layout.client_mac..]),
        own_mac: array(&bytes[layout.own_mac..]),
        state: meta.state(),
        flags: meta.flags(),
        life: meta.life(),
        deadline: meta.deadline(),
    })
}

/// The first bytes of a slice that is long enough.
fn array<const LENGTH: usize>(bytes: &[u8]) -> [u8; LENGTH] {
    *bytes
        .first_chunk()
        .expect("a slot is longer than its fields")
}

/// Moves the thread to a fresh network namespace with a pair of interfaces. It ends with the
/// thread.
fn enter_namespace() -> (u32, u32) {
    unshare(CloneFlags::CLONE_NEWNET)
        .unwrap_or_else(|error| panic!("make a network namespace (root is needed): {error}"));
    let made = Command::new("ip")
        .args([
            "link", "add", "front", "type", "veth", "peer", "name", "back",
        ])
        .output()
        .unwrap_or_else(|error| panic!("run ip (of Debian's iproute2): {error}"));
    assert!(
        made.status.success(),
        "ip link add: {}",
        String::from_utf8_lossy(&made.stderr)
    );
    let index = |name| nix::net::if_::if_nametoindex(name).expect("an interface that was made");
    (index("front"), index("back"))
}

/// Keeps the thread on one processor; the next thread gets the next one.
fn stay_on_one_processor() {
    static THREADS: AtomicUsize = AtomicUsize::new(0);
    let this_thread = Pid::from_raw(0);
    let allowed = sched_getaffinity(this_thread).expect("a thread may ask where it may run");
    let processors: Vec<_> = (0..CpuSet::count())
        .filter(|processor| allowed.is_set(*processor).unwrap_or(false))
        .collect();
    let mut only = CpuSet::new();
    only.set(processors[THREADS.fetch_add(1, Ordering::Relaxed) % processors.len()])
        .expect("a processor of the set");
    sched_setaffinity(this_thread, &only).expect("a thread may stay where it may run");
}
