//! The maps, opened: arrays mapped into memory, the others through system calls.

use std::net::IpAddr;
use std::os::fd::AsFd as _;

use aya::Ebpf;
use aya::maps::{HashMap, Map, MapData, PerCpuArray, PerCpuValues};
use caribe_model::ServiceKey;
use caribe_packet::classify;
use caribe_packet::connection::{Connection4, Connection6};
use caribe_packet::filter;
use caribe_packet::locality::{DESTINATIONS, Destination, DestinationKey};
use caribe_packet::policy::Policy;
use caribe_packet::server::{Flow, ROW, Server};
use caribe_packet::service::{Service, Slot};
use caribe_packet::settings::Settings;
use caribe_packet::table::WAYS;
use caribe_packet::verdict::Counters;

use super::connection_table::{ConnectionTable, V4, V6};
use super::destinations;
use super::encoding::{self, Key};
use super::error::kernel;
use super::marks::Marks;
use super::nat_ends::{self, NatEnds};
use super::traffic::TrafficMaps;
use crate::mapped::{Mapped, MappedArray};
use crate::marks::NETWORKS;
use crate::table::Room;
use crate::{DataplaneError, Traffic};

/// Words between two cursors: each has a cache line of its own. The first word counts picks, the
/// second is the director's note of the state from which the run starts.
pub(super) const CURSOR_WORDS: u32 = 8;

/// What a map has to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Shape {
    /// Name in the object.
    pub(super) name: &'static str,
    /// Number of elements.
    pub(super) entries: u32,
    /// Bytes of a key.
    pub(super) key: u32,
    /// Bytes of a value, on one processor.
    pub(super) value: u32,
}

/// What the sizes of all maps follow from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sizes {
    /// Room for services, servers, slots and cursors.
    pub(super) room: Room,
    /// Buckets of each connection table.
    pub(super) buckets: u32,
    /// Processors that the machine may have.
    pub(super) processors: u32,
}

impl Sizes {
    /// Every map that is pinned.
    pub(super) fn shapes(&self) -> Vec<Shape> {
        let Sizes { room, buckets, .. } = *self;
        let counters = self.row().saturating_mul(self.processors);
        let servers = room.servers * 2 + 1;
        let shape = |name, entries, value: usize| Shape {
            name,
            entries,
            key: 4,
            // Sizes of a few fixed types.
            value: value as u32,
        };
        let hash = |name, key, value: usize| Shape {
            key,
            ..shape(name, room.services, value)
        };
        vec![
            shape("SETTINGS", 1, size_of::<Settings>()),
            hash("SERVICES4", 8, size_of::<Service>()),
            hash("SERVICES6", 20, size_of::<Service>()),
            hash("VIPS", 16, 4),
            Shape {
                key: size_of::<nat_ends::KeyBytes>() as u32,
                ..shape("NAT_ENDS", room.servers, 4)
            },
            shape("SLOTS", room.slots, size_of::<Slot>()),
            shape("CURSORS", room.cursors * CURSOR_WORDS, 8),
            shape("SERVERS", servers, size_of::<Server>()),
            shape("LOADS", servers, 8),
            shape("BOUNDS", servers, 8),
            shape("POLICIES", room.services + 1, size_of::<Policy>()),
            shape("TRAFFIC_IN", counters, size_of::<Flow>()),
            shape("TRAFFIC_OUT", counters, size_of::<Flow>()),
            shape("STARTED", counters, 8),
            shape("COUNTERS", 1, size_of::<CounterWords>()),
            shape("ROSTER", servers, 8),
            // The packet path's own; pinned, so that replies are still known after an adoption.
            shape("NAT_SERVERS", filter::WORDS as u32, 8),
            shape("MARK_RULES", 1, 8),
            shape("MARK_INTERVALS", classify::INTERVALS * 2, 8),
            Shape {
                key: 12,
                ..shape("MARKS4", NETWORKS, 8)
            },
            Shape {
                key: 24,
                ..shape("MARKS6", NETWORKS, 8)
            },
            Shape {
                key: size_of::<DestinationKey>() as u32,
                ..shape("DESTINATIONS", DESTINATIONS, size_of::<Destination>())
            },
            shape("TAGS4", buckets, 8),
            shape("CONNECTIONS4", buckets * WAYS, size_of::<Connection4>()),
            shape("REPLIES4", buckets, 64),
            shape("TAGS6", buckets, 8),
            shape("CONNECTIONS6", buckets * WAYS, size_of::<Connection6>()),
            shape("REPLIES6", buckets, 64),
        ]
    }

    /// Index of the first ledger in a row of counters, behind the servers; a service's is its id
    /// further on, less one.
    fn first_ledger(&self) -> u32 {
        self.room.servers * 2 + 1
    }

    /// Elements of each processor in the arrays of traffic.
    pub(super) fn row(&self) -> u32 {
        let elements = self.first_ledger() + self.room.services;
        elements.next_multiple_of(ROW)
    }
}

/// Counters as words: verdicts first, then what the processor keeps for itself.
pub(super) type CounterWords = [u64; size_of::<Counters>() / size_of::<u64>()];

/// All maps of a data plane.
pub(super) struct Maps {
    pub(super) sizes: Sizes,
    pub(super) settings: MappedArray<Settings>,
    pub(super) slots: MappedArray<Slot>,
    cursors: MappedArray<u64>,
    pub(super) servers: MappedArray<Server>,
    pub(super) loads: MappedArray<u64>,
    /// [`caribe_packet::server::Bounds`] by server.
    pub(super) bounds: MappedArray<u64>,
    /// By id of the service.
    pub(super) policies: MappedArray<Policy>,
    /// Sequence number of each server's addition.
    pub(super) roster: MappedArray<u64>,
    pub(super) connections4: ConnectionTable<V4>,
    pub(super) connections6: ConnectionTable<V6>,
    /// The rules for firewall marks.
    pub(super) marks: Marks,
    /// What lblc and lblcr remember.
    pub(super) destinations: Hash<destinations::KeyWords, destinations::Words>,
    services4: Hash<encoding::Key4, encoding::ServiceWords>,
    services6: Hash<encoding::Key6, encoding::ServiceWords>,
    vips: Hash<[u8; 16], u32>,
    /// Where NAT servers answer from.
    pub(super) nat_ends: NatEnds,
    traffic: TrafficMaps,
    pub(super) counters: PerCpu<CounterWords>,
}

impl Maps {
    /// Takes the maps out of a loaded object.
    ///
    /// # Errors
    ///
    /// When the object lacks one, or the kernel refuses to map it.
    pub(super) fn take(ebpf: &mut Ebpf, sizes: Sizes) -> Result<Self, DataplaneError> {
        let entries = |name: &str| {
            let shape = sizes.shapes().into_iter().find(|shape| shape.name == name);
            shape.map_or(0, |shape| shape.entries)
        };
        let mut array = Arrays {
            ebpf: &mut *ebpf,
            entries: &entries,
        };
        Ok(Maps {
            sizes,
            settings: array.map("SETTINGS")?,
            slots: array.map("SLOTS")?,
            cursors: array.map("CURSORS")?,
            servers: array.map("SERVERS")?,
            loads: array.map("LOADS")?,
            bounds: array.map("BOUNDS")?,
            policies: array.map("POLICIES")?,
            traffic: TrafficMaps {
                incoming: array.map("TRAFFIC_IN")?,
                outgoing: array.map("TRAFFIC_OUT")?,
                started: array.map("STARTED")?,
                row: sizes.row(),
            },
            roster: array.map("ROSTER")?,
            connections4: ConnectionTable {
                tags: array.map("TAGS4")?,
                slots: array.map("CONNECTIONS4")?,
                replies: array.map("REPLIES4")?,
            },
            connections6: ConnectionTable {
                tags: array.map("TAGS6")?,
                slots: array.map("CONNECTIONS6")?,
                replies: array.map("REPLIES6")?,
            },
            marks: {
                let (rules, intervals) = (array.map("MARK_RULES")?, array.map("MARK_INTERVALS")?);
                Marks::take(ebpf, rules, intervals)?
            },
            destinations: Hash::take(ebpf, "DESTINATIONS")?,
            services4: Hash::take(ebpf, "SERVICES4")?,
            services6: Hash::take(ebpf, "SERVICES6")?,
            vips: Hash::take(ebpf, "VIPS")?,
            nat_ends: NatEnds::take(Hash::take(ebpf, "NAT_ENDS")?)?,
            counters: PerCpu::take(ebpf, "COUNTERS")?,
        })
    }

    /// Writes a service; packets see it whole.
    pub(super) fn put_service(
        &mut self,
        key: &ServiceKey,
        service: &Service,
    ) -> Result<(), DataplaneError> {
        let words = encoding::service_words(service);
        match encoding::service_key(key) {
            Key::V4(bytes) => self.services4.put(&bytes, &words),
            Key::V6(bytes) => self.services6.put(&bytes, &words),
        }
    }

    /// Takes a service away.
    pub(super) fn delete_service(&mut self, key: &ServiceKey) -> Result<(), DataplaneError> {
        match encoding::service_key(key) {
            Key::V4(bytes) => self.services4.delete(&bytes),
            Key::V6(bytes) => self.services6.delete(&bytes),
        }
    }

    /// Every service; `None` in place of a key that no director writes.
    pub(super) fn services(&self) -> Result<Vec<(Option<ServiceKey>, Service)>, DataplaneError> {
        let of4 = self.services4.all()?;
        let of6 = self.services6.all()?;
        let of4 = of4
            .into_iter()
            .map(|(key, words)| (encoding::key_from4(key), words));
        let of6 = of6
            .into_iter()
            .map(|(key, words)| (encoding::key_from6(key), words));
        Ok(of4
            .chain(of6)
            .map(|(key, words)| (key, encoding::service_from_words(words)))
            .collect())
    }

    /// Marks an address as that of a service.
    pub(super) fn put_vip(&mut self, address: IpAddr) -> Result<(), DataplaneError> {
        self.vips.put(&encoding::mapped(address), &1)
    }

    /// Unmarks an address.
    pub(super) fn delete_vip(&mut self, address: IpAddr) -> Result<(), DataplaneError> {
        self.vips.delete(&encoding::mapped(address))
    }

    /// Every marked address.
    pub(super) fn vips(&self) -> Result<Vec<IpAddr>, DataplaneError> {
        Ok(self
            .vips
            .all()?
            .into_iter()
            .map(|(bytes, _)| encoding::from_mapped(bytes))
            .collect())
    }

    /// Picks that a rotation has made since its run began.
    pub(super) fn picks(&self, cursor: u32) -> u64 {
        self.cursors
            .word(cursor * CURSOR_WORDS)
            .load(std::sync::atomic::Ordering::Acquire)
    }

    /// The state from which a cursor's run starts.
    pub(super) fn cursor_state(&self, cursor: u32) -> u64 {
        self.cursors
            .word(cursor * CURSOR_WORDS + 1)
            .load(std::sync::atomic::Ordering::Acquire)
    }

    /// Starts a cursor that no packet uses yet.
    pub(super) fn put_cursor(&self, cursor: u32, state: u64) {
        self.cursors.write(cursor * CURSOR_WORDS, &0);
        self.cursors.write(cursor * CURSOR_WORDS + 1, &state);
    }

    /// What a service remembers as its cursor: the index of the word that counts.
    pub(super) fn cursor_index(cursor: u32) -> u32 {
        cursor * CURSOR_WORDS
    }

    /// The other way; `None` when it is the index of no cursor.
    pub(super) fn cursor_of(&self, index: u32) -> Option<u32> {
        (index.is_multiple_of(CURSOR_WORDS) && index < self.cursors.len())
            .then_some(index / CURSOR_WORDS)
    }

    /// Traffic of a server, over all processors.
    pub(super) fn traffic(&self, server: u32) -> Traffic {
        self.traffic.sum(server)
    }

    /// Traffic of the servers that a service no longer has.
    pub(super) fn ledger(&self, service: u32) -> Traffic {
        self.traffic.sum(self.ledger_index(service))
    }

    /// Sets a server's traffic to zero, adding what it was to a service's ledger.
    pub(super) fn close_traffic(&self, server: u32, service: Option<u32>) {
        if let Some(service) = service {
            let index = self.ledger_index(service);
            let sum = self.traffic.sum(index).plus(&self.traffic.sum(server));
            self.traffic.set(index, &sum);
        }
        self.traffic.set(server, &Traffic::default());
    }

    /// Empties a service's ledger.
    pub(super) fn open_ledger(&self, service: u32) {
        self.traffic
            .set(self.ledger_index(service), &Traffic::default());
    }

    fn ledger_index(&self, service: u32) -> u32 {
        self.sizes.first_ledger() + service.saturating_sub(1)
    }

    /// Packets by verdict, over all processors.
    pub(super) fn counters(&self) -> Result<CounterWords, DataplaneError> {
        self.counters.sum(0)
    }
}

/// Takes array maps out of an object and maps them.
struct Arrays<'a> {
    ebpf: &'a mut Ebpf,
    entries: &'a dyn Fn(&str) -> u32,
}

impl Arrays<'_> {
    fn map<T: Mapped>(&mut self, name: &'static str) -> Result<MappedArray<T>, DataplaneError> {
        let action = format!("map the array {name} into memory");
        match self.ebpf.take_map(name) {
            Some(Map::Array(data)) => {
                MappedArray::new(data.fd().as_fd(), (self.entries)(name)).map_err(kernel(action))
            }
            _ => Err(kernel(action)("the BPF object has no such array")),
        }
    }
}

/// A hash map, with errors that name it.
pub(super) struct Hash<K: aya::Pod, V: aya::Pod> {
    name: &'static str,
    map: HashMap<MapData, K, V>,
}

impl<K: aya::Pod, V: aya::Pod> Hash<K, V> {
    fn take(ebpf: &mut Ebpf, name: &'static str) -> Result<Self, DataplaneError> {
        let action = || format!("open the map {name}");
        let map = ebpf
            .take_map(name)
            .ok_or("the BPF object has no such map")
            .map_err(kernel(action()))?;
        Ok(Hash {
            name,
            map: HashMap::try_from(map).map_err(kernel(action()))?,
        })
    }

    pub(super) fn put(&mut self, key: &K, value: &V) -> Result<(), DataplaneError> {
        self.map
            .insert(key, value, 0)
            .map_err(kernel(format!("write to the map {}", self.name)))
    }

    /// Removing what is not there is fine: a step may be taken twice.
    pub(super) fn delete(&mut self, key: &K) -> Result<(), DataplaneError> {
        match self.map.remove(key) {
            Err(aya::maps::MapError::SyscallError(error))
                if error.io_error.raw_os_error() == Some(libc::ENOENT) =>
            {
                Ok(())
            }
            Err(aya::maps::MapError::KeyNotFound) => Ok(()),
            other => other.map_err(kernel(format!("delete from the map {}", self.name))),
        }
    }

    pub(super) fn all(&self) -> Result<Vec<(K, V)>, DataplaneError> {
        self.map
            .iter()
            .collect::<Result<_, _>>()
            .map_err(kernel(format!("read the map {}", self.name)))
    }
}

/// A map with a value for each processor, with errors that name it.
pub(super) struct PerCpu<V: aya::Pod> {
    name: &'static str,
    map: PerCpuArray<MapData, V>,
}

impl<const N: usize> PerCpu<[u64; N]> {
    pub(super) fn take(ebpf: &mut Ebpf, name: &'static str) -> Result<Self, DataplaneError> {
        let action = || format!("open the map {name}");
        let map = ebpf
            .take_map(name)
            .ok_or("the BPF object has no such map")
            .map_err(kernel(action()))?;
        Ok(PerCpu {
            name,
            map: PerCpuArray::try_from(map).map_err(kernel(action()))?,
        })
    }

    /// The words of an element, each summed over all processors.
    fn sum(&self, index: u32) -> Result<[u64; N], DataplaneError> {
        let values = self.map.get(&index, 0).map_err(kernel(format!(
            "read element {index} of the map {}",
            self.name
        )))?;
        let mut sums = [0u64; N];
        for value in values.iter() {
            for (sum, word) in sums.iter_mut().zip(value) {
                *sum = sum.wrapping_add(*word);
            }
        }
        Ok(sums)
    }
}

impl<V: aya::Pod> PerCpu<V> {
    /// An element of every processor.
    pub(super) fn every(&self, index: u32) -> Result<PerCpuValues<V>, DataplaneError> {
        self.map.get(&index, 0).map_err(kernel(format!(
            "read element {index} of the map {}",
            self.name
        )))
    }

    /// Sets an element of every processor.
    pub(super) fn set_every(
        &mut self,
        index: u32,
        values: PerCpuValues<V>,
    ) -> Result<(), DataplaneError> {
        self.map.set(index, values, 0).map_err(kernel(format!(
            "write element {index} of the map {}",
            self.name
        )))
    }
}
