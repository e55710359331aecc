//! HTTP and HTTPS against nginx.

use caribe_health::probe::{Check, Code};

use crate::bed::{Bed, START, assert_says, check, socket};
use crate::web::{CLIENTS, EXPIRED, ONE_ONLY, PLAIN, PRIOR_KNOWLEDGE, SECURE, Web};

fn http(settings: &str) -> Check {
    check(&format!(r#"{{"http":{{{settings}}}}}"#))
}

fn at(port: u16) -> String {
    format!("127.0.0.1:{port}")
}

#[test]
fn status_and_body_decide() {
    let bed = Bed::new("http");
    let _web = Web::start(&bed);
    for (settings, code, says) in [
        ("", Code::L7Ok, "status 200 (OK)"),
        (
            r#""path":"/sick""#,
            Code::L7Status,
            "status 503 (Service Unavailable) is none of 200-399",
        ),
        (r#""path":"/missing""#, Code::L7Status, "status 404"),
        (
            r#""path":"/missing","status":"404""#,
            Code::L7Ok,
            "status 404",
        ),
        (r#""path":"/moved""#, Code::L7Ok, "status 301"),
        (
            r#""path":"/moved","status":"200-299""#,
            Code::L7Status,
            "status 301",
        ),
        (
            r#""path":"/odd","status":"200-299""#,
            Code::L7Ok,
            "status 299 (unnamed)",
        ),
        (
            r#""path":"/health","body":[{"contains":"all is well"}]"#,
            Code::L7Ok,
            "status 200",
        ),
        (
            r#""path":"/health","body":[{"contains":"unwell"}]"#,
            Code::L7Response,
            "no `unwell`",
        ),
        (
            r#""path":"/health","body":[{"matches":"^state: +all"}]"#,
            Code::L7Ok,
            "status 200",
        ),
        (
            r#""path":"/sick","status":"503","body":[{"contains":"unwell"}]"#,
            Code::L7Ok,
            "503",
        ),
        (
            r#""path":"/method","method":"DELETE","body":[{"contains":"DELETE HTTP/1.1"}]"#,
            Code::L7Ok,
            "",
        ),
        (r#""method":"HEAD""#, Code::L7Ok, "status 200"),
        (
            r#""body":[{"contains":"host=127.0.0.1 user-agent=caribe/"}]"#,
            Code::L7Ok,
            "",
        ),
        (
            r#""host":"shop.example.org","headers":["X-Probe: yes"],"body":[{"matches":"host=shop.example.org .* x=yes"}]"#,
            Code::L7Ok,
            "",
        ),
    ] {
        let finding = bed.sees(code, &http(settings), &at(PLAIN));
        assert_says(&finding, says);
    }
    let six = r#""body":[{"contains":"host=[::1]"}]"#;
    bed.sees(Code::L7Ok, &http(six), &format!("[::1]:{PLAIN}"));
}

#[test]
fn http_2_is_spoken_with_and_without_tls() {
    let bed = Bed::new("http2");
    let web = Web::start(&bed);
    let two = r#""version":"2","path":"/method","body":[{"contains":"GET HTTP/2.0"}]"#;
    bed.sees(Code::L7Ok, &http(two), &at(PRIOR_KNOWLEDGE));
    bed.sees(
        Code::L7Ok,
        &http(&format!(r#"{two},"tls":{{}}"#)),
        &at(SECURE),
    );
    bed.sees(
        Code::L7Status,
        &http(r#""version":"2","path":"/sick""#),
        &at(PRIOR_KNOWLEDGE),
    );
    // A server of the other version gives no answer that could be read.
    bed.sees(Code::L7Response, &http(two), &at(PLAIN));
    bed.sees(Code::L7Response, &http(""), &at(PRIOR_KNOWLEDGE));
    let secure = http(&format!(r#"{two},"tls":{{}}"#));
    let finding = bed.sees(Code::L6Response, &secure, &at(ONE_ONLY));
    assert_says(&finding, "NoApplicationProtocol");
    // A server that does not even know how to disagree.
    let pair = web.authority.issue("plain", &["127.0.0.1"]);
    let server = bed
        .host
        .command("openssl")
        .args(["s_server", "-accept", "127.0.0.1:9443", "-www", "-cert"])
        .args([
            pair.certificate.as_os_str(),
            "-key".as_ref(),
            pair.key.as_os_str(),
        ])
        .spawn()
        .expect("openssl");
    bed.host
        .wait_until_connects(socket("127.0.0.1:9443"), START)
        .unwrap_or_else(|error| panic!("{error}: {}", server.log()));
    let finding = bed.sees(Code::L6Response, &secure, "127.0.0.1:9443");
    assert_says(&finding, "does not speak HTTP/2: no ALPN for h2");
    bed.sees(Code::L7Ok, &http(r#""tls":{}"#), "127.0.0.1:9443");
}

#[test]
fn https_goes_by_name_authority_and_date() {
    let bed = Bed::new("https");
    let web = Web::start(&bed);
    let verify = format!(
        r#""verify":{{"authorities":"{}"}}"#,
        web.authority.file().display()
    );
    let https = |tls: &str| http(&format!(r#""path":"/health","tls":{{{tls}}}"#));
    bed.sees(Code::L7Ok, &https(""), &at(SECURE));
    bed.sees(Code::L7Ok, &https(&verify), &at(SECURE));
    bed.sees(Code::L7Ok, &https(&verify), &format!("[::1]:{SECURE}"));
    let named = format!(r#"{verify},"server_name":"www.example.org""#);
    bed.sees(Code::L7Ok, &https(&named), &at(SECURE));
    // An expired certificate matters only to those who look.
    bed.sees(Code::L7Ok, &https(""), &at(EXPIRED));
    let finding = bed.sees(Code::L6Response, &https(&verify), &at(EXPIRED));
    assert_says(&finding, "expired");
    let other = format!(r#"{verify},"server_name":"shop.example.org""#);
    let finding = bed.sees(Code::L6Response, &https(&other), &at(SECURE));
    assert_says(&finding, "not valid for name");
    let finding = bed.sees(Code::L6Response, &https(""), &at(PLAIN));
    assert_says(&finding, "TLS handshake with 127.0.0.1:8080 failed");
    // nginx tells those who speak plainly to it, in plain words.
    bed.sees(Code::L7Status, &http(""), &at(SECURE));
}

#[test]
fn a_client_certificate_is_shown_to_those_who_ask() {
    let bed = Bed::new("client");
    let web = Web::start(&bed);
    let client = web.authority.issue_to_client("monitor.example.org");
    let identity = format!(
        r#""tls":{{"identity":{{"certificate":"{}","key":"{}"}}}}"#,
        client.certificate.display(),
        client.key.display()
    );
    bed.sees(Code::L7Ok, &http(&identity), &at(CLIENTS));
    bed.sees(Code::L7Ok, &http(&identity), &at(SECURE));
    // nginx shakes hands all the same, and then says 400.
    let finding = bed.sees(Code::L7Status, &http(r#""tls":{}"#), &at(CLIENTS));
    assert_says(&finding, "status 400");
}
