//! Values of `caribe-packet` as aya moves them in and out of maps.

use caribe_packet::locality::{Destination, DestinationKey};
use caribe_packet::policy::Policy;
use caribe_packet::server::{NatEnd, Server};
use caribe_packet::service::{Service, ServiceKey4, ServiceKey6, Slot};
use caribe_packet::settings::Settings;
use caribe_packet::verdict::Counters;

/// A value that may be copied to and from a map byte by byte.
#[derive(Debug, Clone, Copy)]
#[repr(transparent)]
pub(crate) struct Plain<T>(pub(crate) T);

macro_rules! plain {
    ($($type:ty),+ $(,)?) => {
        $(
            // SAFETY: made of integers and arrays of them, `repr(C)`, without padding: every
            // pattern of bytes is a value, and every byte of a value is initialised.
            unsafe impl aya::Pod for Plain<$type> {}
        )+
    };
}

plain!(
    Counters,
    Destination,
    DestinationKey,
    NatEnd,
    Policy,
    Server,
    Service,
    ServiceKey4,
    ServiceKey6,
    Settings,
    Slot,
);
