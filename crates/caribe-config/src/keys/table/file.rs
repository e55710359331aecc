//! What a file says of itself, of forwarding, and of the size of things.

use crate::keys::{Fallback, Key, Kind};

use super::{ANY_INTEGER, FORWARDING, IDLE_TIMEOUT, global};

pub(super) const KEYS: &[Key] = &[
    global("serial_no", ANY_INTEGER)
        .default("0")
        .informs()
        .meaning("The administrator's version counter of the file."),
    global("service", Kind::Word(&["lvs", "fos"]))
        .default("lvs")
        .meaning("Which family of blocks runs. Only `lvs` is supported; `fos` is refused."),
    global("network", FORWARDING).default("nat").meaning(
        "Forwarding method of every server for which neither its own block nor that of its \
             service has a `forward`.",
    ),
    global("nat_router", Kind::Floating).meaning(
        "Floating inside address, and the interface or alias that carries it; servers behind NAT \
         use it as their gateway. Ignored, with a warning, when nothing is forwarded by NAT.",
    ),
    global("nat_nmask", Kind::Netmask)
        .fallback(Fallback::Derived("255.255.255.255, or 128 for IPv6"))
        .meaning("Netmask of `nat_router`. 0.0.0.0 leaves it unset."),
    global("interface", Kind::Interfaces).caribe().meaning(
        "Interfaces on which the data plane works, besides those that carry a floating \
             address.",
    ),
    global("keep_overrides", Kind::Boolean)
        .caribe()
        .default("0")
        .meaning(
            "1: a reload of this file leaves in place what was changed by hand, with `ipvsadm`; \
             0: it drops it.",
        ),
    global("control_group", Kind::Text).caribe().meaning(
        "Name or number of the group whose members may ask and order the director as root may: \
             `caribe status`, `ipvsadm` and so on. Without it root alone may.",
    ),
    global("tcp_timeout", IDLE_TIMEOUT)
        .default("0")
        .seconds()
        .meaning("Idle timeout of an established TCP connection; 0 leaves the default of 900."),
    global("tcpfin_timeout", IDLE_TIMEOUT)
        .default("0")
        .seconds()
        .meaning("Idle timeout of a TCP connection after a FIN; 0 leaves the default of 120."),
    global("udp_timeout", IDLE_TIMEOUT)
        .default("0")
        .seconds()
        .meaning("Idle timeout of UDP; 0 leaves the default of 300."),
];
