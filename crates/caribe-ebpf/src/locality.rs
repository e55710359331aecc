//! Which server gets a new connection by lblc and lblcr: one that is remembered for the packet's
//! destination address, else the one that wlc chooses.
//!
//! What is remembered is replaced as a whole, never changed in place (but for the time of its last
//! use), so that every packet sees a set that once was. Of two packets that change the same set at
//! once, one is forgotten: its server joins the next time.

use aya_ebpf::bindings::BPF_ANY;
use caribe_packet::least::{Candidate, MOST_SLOTS, Rule};
use caribe_packet::locality::{
    Destination, DestinationKey, MOST_MEMBERS, burden, has_room_to_spare, is_crowded,
    is_more_loaded,
};
use caribe_packet::server::{IN_SERVICE, Load, Server};
use caribe_packet::service::{Choice, Service};
use caribe_packet::trace::{GIVEN_UP, REMEMBERED};

use crate::atomic;
use crate::choose::{Choose, least, loaded};
use crate::clock::Moment;
use crate::explain::{explains, note};
use crate::family::Family;
use crate::maps::{DESTINATION_SHEET, DESTINATIONS, LOADS, SERVERS};
use crate::packet::Packet;

/// Where a destination and its servers are put together: they are too large for the stack.
#[repr(C)]
pub struct Sheet {
    key: DestinationKey,
    destination: Destination,
}

/// By what is remembered for the destination.
pub enum Remembered {}

impl Choose for Remembered {
    #[inline(always)]
    fn server<F: Family<WORDS>, const WORDS: usize>(
        service: &Service,
        packet: &Packet<F::Address>,
        moment: &Moment,
    ) -> u32 {
        let Some(sheet) = sheet() else {
            return 0;
        };
        sheet.key.address = F::wide(packet.destination);
        sheet.key.service = service.id;
        let Some(known) = DESTINATIONS.get_ptr_mut(&sheet.key) else {
            let server = lightest(service);
            if server != 0 {
                remember_one(server, moment.now);
            }
            return server;
        };
        // SAFETY: an element of a map, of which only this word changes in place.
        unsafe {
            if !explains() {
                (*known).last_use = moment.now;
            }
            sheet.destination = *known;
        }
        note(|trace| {
            trace.met |= REMEMBERED;
            trace.members = sheet.destination.members;
        });
        let first = sheet.destination.members[0];
        let is_settled = sheet
            .destination
            .is_settled(moment.now, moment.settings.lblcr_expiration);
        if service.choice == Choice::Replicated as u8 {
            of_several(service, is_settled, moment.now)
        } else {
            of_one(service, first, moment.now)
        }
    }
}

/// This processor's sheet.
#[inline(always)]
fn sheet() -> Option<&'static mut Sheet> {
    let sheet = DESTINATION_SHEET.get_ptr_mut(0)?;
    // SAFETY: the element belongs to this processor, and XDP does not nest on it.
    Some(unsafe { &mut *sheet })
}

/// lblc's server for the destination on the sheet.
#[inline(always)]
fn of_one(service: &Service, known: u32, now: u32) -> u32 {
    if let Some((server, load)) = member(known, service.id)
        && server.weight > 0
        && !is_given_up(service, server, load)
    {
        return known;
    }
    note(|trace| trace.met |= GIVEN_UP);
    let server = lightest(service);
    if server != 0 && server != known {
        remember_one(server, now);
    }
    server
}

/// lblcr's server for the destination on the sheet.
#[inline(always)]
fn of_several(service: &Service, is_settled: bool, now: u32) -> u32 {
    let known = least_loaded(service.id);
    if is_settled {
        leave(service.id, now);
    }
    let is_good = match member(known, service.id) {
        Some((server, load)) => !is_given_up(service, server, load),
        None => false,
    };
    if !is_good {
        note(|trace| trace.met |= GIVEN_UP);
    }
    let server = if is_good { known } else { lightest(service) };
    // One function after the other, since one that calls another needs the stack of both.
    let place = if is_good || server == 0 {
        THERE
    } else {
        place_for(server)
    };
    if place == FULL {
        leave(service.id, now);
    }
    if place != THERE {
        join(server, now);
    }
    if is_settled || place != THERE {
        remember();
    }
    server
}

/// The server that wlc chooses; 0 for none.
#[inline(always)]
fn lightest(service: &Service) -> u32 {
    if service.length == 0 {
        0
    } else {
        least(service.base, service.length, Rule::OVERHEAD.0)
    }
}

/// Remembers one server for the destination on the sheet, and no other.
#[inline(always)]
fn remember_one(server: u32, now: u32) {
    let Some(sheet) = sheet() else {
        return;
    };
    sheet.destination = Destination::new(server, now);
    remember();
}

/// Remembers what the sheet says. Without room it is just not remembered, as in IPVS.
#[inline(always)]
fn remember() {
    if explains() {
        return;
    }
    if let Some(sheet) = sheet() {
        let _without_room = DESTINATIONS.insert(&sheet.key, &sheet.destination, u64::from(BPF_ANY));
    }
}

/// A server that is remembered, if it still is one of the service's.
#[inline(always)]
fn member(number: u32, service: u32) -> Option<(&'static Server, Load)> {
    let (server, load) = former(number, service)?;
    if server.flags & IN_SERVICE == 0 {
        return None;
    }
    Some((server, load))
}

/// The same, if it ever was one.
#[inline(always)]
fn former(number: u32, service: u32) -> Option<(&'static Server, Load)> {
    if number == 0 {
        return None;
    }
    let server = SERVERS.get(number)?;
    if server.service != service {
        return None;
    }
    let load = LOADS.get_ptr(number)?;
    // SAFETY: a word of a map.
    Some((server, Load(unsafe { atomic::load(load) })))
}

/// True when a server is crowded while another one of the service has room to spare.
#[inline(always)]
fn is_given_up(service: &Service, server: &Server, load: Load) -> bool {
    is_crowded(load, server.weight) && anybody_has_room(service.base, service.length) != 0
}

/// 1 if a server of a run of slots has room to spare, else 0.
#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn anybody_has_room(base: u32, length: u32) -> u64 {
    let mut found = 0;
    for at in 0..MOST_SLOTS {
        if at >= length {
            break;
        }
        let Some((slot, load)) = loaded(base.wrapping_add(at)) else {
            break;
        };
        found |= has_room_to_spare(load, slot.weight);
    }
    found
}

/// The member that wlc would choose; 0 for none.
#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn least_loaded(service: u32) -> u32 {
    let Some(sheet) = sheet() else {
        return 0;
    };
    let mut best = 0;
    let mut best_candidate = Candidate::NOBODY;
    for at in 0..MOST_MEMBERS {
        let number = sheet.destination.members[at];
        let Some((server, load)) = member(number, service) else {
            continue;
        };
        let candidate = Rule::OVERHEAD.candidate(load, server.weight);
        if candidate.beats(best_candidate) {
            best = number;
            best_candidate = candidate;
        }
    }
    best
}

/// The place of the member with a weight that has the most load for it, whatever else is the matter
/// with it; [`MOST_MEMBERS`] for none.
#[inline(always)]
fn most_loaded(service: u32, destination: &Destination) -> u32 {
    let mut most = MOST_MEMBERS as u32;
    let mut most_candidate = Candidate { cost: 0, weight: 0 };
    for at in 0..MOST_MEMBERS {
        let Some((server, load)) = former(destination.members[at], service) else {
            continue;
        };
        if is_more_loaded(load, server.weight, most_candidate) {
            most = at as u32;
            most_candidate = burden(load, server.weight);
        }
    }
    most
}

/// Takes the most loaded member off the sheet, if there is one.
#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn leave(service: u32, now: u32) -> u32 {
    let Some(sheet) = sheet() else {
        return 0;
    };
    let place = most_loaded(service, &sheet.destination);
    if place < MOST_MEMBERS as u32 {
        sheet.destination.remove(place as usize, now);
    }
    place
}

/// What is to be done to have a server on the sheet: [`THERE`], [`FULL`] or [`ROOM`].
#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn place_for(server: u32) -> u32 {
    let Some(sheet) = sheet() else {
        return THERE;
    };
    if sheet.destination.place(server) < MOST_MEMBERS {
        THERE
    } else if sheet.destination.is_full() {
        FULL
    } else {
        ROOM
    }
}

/// It is on the sheet.
const THERE: u32 = 0;
/// Somebody has to leave.
const FULL: u32 = 1;
/// There is room for it.
const ROOM: u32 = 2;

/// Puts a server on the sheet.
#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn join(server: u32, now: u32) -> u32 {
    if let Some(sheet) = sheet() {
        sheet.destination.add(server, now);
    }
    server
}
