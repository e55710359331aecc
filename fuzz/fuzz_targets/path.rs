//! Any bytes as a packet that may be the answer to a probe through a VIP.
#![no_main]

use caribe_health::path::packet::{End, IcmpError, Segment};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let to = ["10.0.0.1:1", "[2001:db8::1]:1"].map(|place| place.parse().expect("a place"));
    let mut bytes = bytes.to_vec();
    let length = bytes.len();
    if let Some(segment) = Segment::parse(&bytes) {
        assert!(segment.end <= length);
        segment.finish_checksum(&mut bytes);
        for to in to {
            segment.rewrite(&mut bytes, End::Source, to);
            segment.rewrite(&mut bytes, End::Destination, to);
        }
        assert_eq!(Segment::parse(&bytes), Some(segment));
    }
    if let Some(error) = IcmpError::parse(&bytes) {
        assert!(error.end <= length);
        for to in to {
            error.rewrite(&mut bytes, to, to);
        }
        // Its checksum is right again.
        assert_eq!(IcmpError::parse(&bytes), Some(error));
    }
});
