//! Any bytes as a packet of rwhod.
#![no_main]

use caribe_health::probe::Load;
use caribe_health::probe::rwho::RwhoPacket;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(packet) = RwhoPacket::parse(bytes) {
        assert!(packet.load.value() <= Load::HIGHEST);
        assert!(packet.host.as_str().chars().all(|c| !c.is_control()));
    }
});
