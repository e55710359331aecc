//! Handshakes with nginx.

use caribe_health::probe::{Check, Code};

use crate::bed::{AMPLE, Bed, assert_says, check, look, target};
use crate::web::{EXPIRED, PLAIN, SECURE, Web};

fn tls(settings: &str) -> Check {
    check(&format!(r#"{{"tls":{{"tls":{{{settings}}}}}}}"#))
}

#[test]
fn a_handshake_is_enough() {
    let bed = Bed::new("tls");
    let web = Web::start(&bed);
    let own = format!(
        r#""verify":{{"authorities":"{}"}}"#,
        web.authority.file().display()
    );
    let secure = format!("127.0.0.1:{SECURE}");
    let expired = format!("127.0.0.1:{EXPIRED}");
    let finding = bed.sees(Code::L6Ok, &tls(&own), &secure);
    assert_says(&finding, "speaks TLSv1_3");
    bed.sees(Code::L6Ok, &tls(""), &expired);
    assert_says(&bed.sees(Code::L6Response, &tls(&own), &expired), "expired");
    let wrong = format!(r#"{own},"server_name":"shop.example.org""#);
    assert_says(
        &bed.sees(Code::L6Response, &tls(&wrong), &secure),
        "not valid for name",
    );
    bed.sees(Code::L6Response, &tls(""), &format!("127.0.0.1:{PLAIN}"));
    // The authority of this test is none of this machine's.
    let system = tls(r#""verify":"system""#);
    let finding = look(&bed.host, &system, &target(&secure), AMPLE);
    let refused =
        finding.code == Code::L6Response && finding.text.as_str().contains("UnknownIssuer");
    let none = finding.code == Code::Local && finding.text.as_str().contains("ca-certificates");
    assert!(refused || none, "{finding}");
}
