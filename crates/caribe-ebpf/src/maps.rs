//! The maps. Their sizes here are placeholders: the director sets them when it loads the object.

use aya_ebpf::btf_maps::{Array, HashMap, LpmTrie, LruHashMap, PerCpuArray, ProgramArray};
use aya_ebpf::macros::btf_map;
use caribe_packet::chapter;
use caribe_packet::classify::{self, Destination, Ports};
use caribe_packet::connection::{Connection4, Connection6};
use caribe_packet::fragment::{FirstFragment, FragmentKey};
use caribe_packet::locality::{
    DESTINATIONS as MOST_DESTINATIONS, Destination as Remembered, DestinationKey,
};
use caribe_packet::policy::Policy;
use caribe_packet::server::{Flow, NatEnd, Server};
use caribe_packet::service::{Service, ServiceKey4, ServiceKey6, Slot};
use caribe_packet::settings::Settings;
use caribe_packet::table::WAYS;
use caribe_packet::trace::Trace;
use caribe_packet::verdict::Counters;

use crate::locality::Sheet;
use crate::pending::Pending;

/// BPF_F_MMAPABLE: the director maps these arrays and reads and writes them in place.
const MAPPED: usize = 1024;

/// BPF_F_NO_PREALLOC: an element takes memory once it is there.
const NOT_PREALLOCATED: usize = 1;

/// One element.
#[btf_map]
pub static SETTINGS: Array<Settings, 1, MAPPED> = Array::new();

/// The programs that tail calls go to, by [`chapter::Chapter`]. The kernel empties it when user
/// space lets go of it, so it is pinned.
#[btf_map]
pub static CHAPTERS: ProgramArray<{ chapter::CHAPTERS }> = ProgramArray::new();

/// What a chapter leaves for the next of an IPv4 packet.
#[btf_map]
pub static PENDING4: PerCpuArray<Pending<[u8; 4]>, 1> = PerCpuArray::new();

/// What a chapter leaves for the next of an IPv6 packet.
#[btf_map]
pub static PENDING6: PerCpuArray<Pending<[u8; 16]>, 1> = PerCpuArray::new();

/// IPv4 virtual services.
#[btf_map]
pub static SERVICES4: HashMap<ServiceKey4, Service, 1024> = HashMap::new();

/// IPv6 virtual services.
#[btf_map]
pub static SERVICES6: HashMap<ServiceKey6, Service, 1024> = HashMap::new();

/// Addresses of virtual services, IPv4 as IPv4-mapped IPv6.
#[btf_map]
pub static VIPS: HashMap<[u8; 16], u32, 1024> = HashMap::new();

/// Runs of slots, from which a service chooses.
#[btf_map]
pub static SLOTS: Array<Slot, 1024, MAPPED> = Array::new();

/// Picks that a rotation has made.
#[btf_map]
pub static CURSORS: Array<u64, 1024, MAPPED> = Array::new();

/// Real servers.
#[btf_map]
pub static SERVERS: Array<Server, 1024, MAPPED> = Array::new();

/// Connections by server: [`caribe_packet::server::Load`].
#[btf_map]
pub static LOADS: Array<u64, 1024, MAPPED> = Array::new();

/// How many connections each server takes: [`caribe_packet::server::Bounds`].
#[btf_map]
pub static BOUNDS: Array<u64, 1024, MAPPED> = Array::new();

/// How services treat connections at the edges of their lives, by id.
#[btf_map]
pub static POLICIES: Array<Policy, 1024, MAPPED> = Array::new();

/// What clients sent, a row of servers for each processor.
#[btf_map]
pub static TRAFFIC_IN: Array<Flow, 1024, MAPPED> = Array::new();

/// What clients got, a row of servers for each processor.
#[btf_map]
pub static TRAFFIC_OUT: Array<Flow, 1024, MAPPED> = Array::new();

/// Connections that were started, a row of servers for each processor.
#[btf_map]
pub static STARTED: Array<u64, 1024, MAPPED> = Array::new();

/// What was done with a packet that is explained.
#[btf_map]
pub static TRACE: PerCpuArray<Trace, 1> = PerCpuArray::new();

/// Verdicts.
#[btf_map]
pub static COUNTERS: PerCpuArray<Counters, 1> = PerCpuArray::new();

/// The director's own notes by server; no program reads them.
#[btf_map]
pub static ROSTER: Array<u64, 1024, MAPPED> = Array::new();

/// A bit for each address (by its hash) that a NAT connection was ever sent to: only packets from
/// such an address are looked up as replies. Set by the packet path; a bit too many costs a
/// look-up, nothing else.
#[btf_map]
pub static NAT_SERVERS: Array<u64, { caribe_packet::filter::WORDS }, MAPPED> = Array::new();

/// Where NAT servers answer from, with `nat_icmp_send`; else it is empty.
#[btf_map]
pub static NAT_ENDS: HashMap<NatEnd, u32, 1024, NOT_PREALLOCATED> = HashMap::new();

/// First fragments, for those that follow. The least recently used makes room for a new one.
#[btf_map]
pub static FRAGMENTS: LruHashMap<FragmentKey, FirstFragment, 16384> = LruHashMap::new();

/// Which servers services with lblc and lblcr remember for a destination. The least recently used
/// makes room for a new one.
#[btf_map]
pub static DESTINATIONS: LruHashMap<DestinationKey, Remembered, { MOST_DESTINATIONS as usize }> =
    LruHashMap::new();

/// Where [`crate::locality`] puts a destination together.
#[btf_map]
pub static DESTINATION_SHEET: PerCpuArray<Sheet, 1> = PerCpuArray::new();

/// Which generation of the rules for firewall marks is in force; see [`caribe_packet::classify`].
#[btf_map]
pub static MARK_RULES: Array<u64, 1, MAPPED> = Array::new();

/// What ports get, by runs: [`classify::Interval`].
#[btf_map]
pub static MARK_INTERVALS: Array<u64, { classify::INTERVALS as usize * 2 }, MAPPED> = Array::new();

/// IPv4 networks with a mark.
#[btf_map]
pub static MARKS4: LpmTrie<Destination<[u8; 4]>, Ports, 24576> = LpmTrie::new();

/// IPv6 networks with a mark.
#[btf_map]
pub static MARKS6: LpmTrie<Destination<[u8; 16]>, Ports, 24576> = LpmTrie::new();

/// Tags of the IPv4 connection table, a word per bucket.
#[btf_map]
pub static TAGS4: Array<u64, 1024, MAPPED> = Array::new();

/// Slots of the IPv4 connection table.
#[btf_map]
pub static CONNECTIONS4: Array<Connection4, 8192, MAPPED> = Array::new();

/// Reply index of the IPv4 connection table.
#[btf_map]
pub static REPLIES4: Array<[u64; WAYS as usize], 1024, MAPPED> = Array::new();

/// Tags of the IPv6 connection table, a word per bucket.
#[btf_map]
pub static TAGS6: Array<u64, 1024, MAPPED> = Array::new();

/// Slots of the IPv6 connection table.
#[btf_map]
pub static CONNECTIONS6: Array<Connection6, 8192, MAPPED> = Array::new();

/// Reply index of the IPv6 connection table.
#[btf_map]
pub static REPLIES6: Array<[u64; WAYS as usize], 1024, MAPPED> = Array::new();

/// VIPs whose packets [`crate::decapsulate`] unwraps, IPv4 as IPv4-mapped IPv6.
#[btf_map]
pub static DECAPSULATE_VIPS: HashMap<[u8; 16], u32, 256> = HashMap::new();

/// Packets unwrapped, passed untouched, refused because the inner packet is for no VIP, dropped
/// for a wrong checksum, and dropped because a mark of congestion could not be carried over.
#[btf_map]
pub static DECAPSULATE_COUNTS: PerCpuArray<u64, 5> = PerCpuArray::new();
