//! Any bytes as a reply by Sun RPC, and as rstatd's statistics.
#![no_main]

use caribe_health::probe::Load;
use caribe_health::probe::rstat::{RpcReply, load};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Some((call, _)) = bytes.split_first_chunk() else {
        return;
    };
    let call = u32::from_be_bytes(*call);
    assert_eq!(RpcReply::read(!call, bytes), RpcReply::Stray);
    if let RpcReply::Success(words) = RpcReply::read(call, bytes) {
        assert!(words.len() * 4 <= bytes.len());
        if let Some(load) = load(&words) {
            assert!(load.value() <= Load::HIGHEST);
        }
    }
});
