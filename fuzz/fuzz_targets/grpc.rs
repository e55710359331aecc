//! Any body as the answer to a gRPC health check.
#![no_main]

use caribe_health::probe::grpc::judge;
use caribe_health::probe::http::Answer;
use http::{HeaderMap, HeaderValue, StatusCode};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Some((first, body)) = bytes.split_first() else {
        return;
    };
    let mut trailers = HeaderMap::new();
    // What cannot be a field's value does not come through HTTP/2 either.
    if let Ok(status) = HeaderValue::from_bytes(&[*first]) {
        trailers.insert("grpc-status", status);
    }
    let answer = Answer {
        status: StatusCode::OK,
        headers: HeaderMap::new(),
        body: body.to_vec(),
        trailers,
    };
    let (code, _) = judge(&answer);
    assert!(!code.passed() || *first == b'0');
});
