//! A greeting to msmtpd, and to servers that play one.

use std::net::SocketAddr;

use caribe_health::probe::Code;
use caribe_lab::{Host, Process};

use crate::bed::{Bed, START, assert_says, check, socket};
use crate::rogue::{Manner, Rogue};

const SERVER: &str = "127.0.0.1:2525";

/// Starts the server.
pub(crate) fn start_on(host: &Host, address: SocketAddr) -> Process {
    let server = host
        .command("msmtpd")
        .package("msmtp-mta")
        .arg(format!("--interface={}", address.ip()))
        .arg(format!("--port={}", address.port()))
        .arg("--command=cat %F")
        .spawn()
        .expect("msmtpd");
    host.wait_until_connects(address, START)
        .unwrap_or_else(|error| panic!("{error}: {}", server.log()));
    server
}

#[test]
fn a_mail_server_greets_back() {
    let bed = Bed::new("smtp");
    let _server = start_on(&bed.host, socket(SERVER));
    let finding = bed.sees(Code::L7Ok, &check(r#"{"smtp":{}}"#), SERVER);
    assert_says(&finding, "220 ");
    let named = r#"{"smtp":{"name":"director.example.org"}}"#;
    bed.sees(Code::L7Ok, &check(named), SERVER);
}

#[test]
fn a_server_that_declines_is_not_well() {
    for (number, (said, code)) in [
        (b"554 no service here\r\n".as_slice(), Code::L7Status),
        (b"421 too busy\r\n", Code::L7Status),
        (b"220 hello\r\n502 what\r\n500 what\r\n", Code::L7Status),
        (b"220 hello\r\n250 well\r\n500 stay\r\n", Code::L7Status),
        (b"220 hello\r\n250-well\r\n251 or not\r\n", Code::L7Response),
        (b"SSH-2.0-OpenSSH_9.2\r\n", Code::L7Response),
    ]
    .into_iter()
    .enumerate()
    {
        let bed = Bed::new(&format!("decline{number}"));
        let _rogue = Rogue::start(&bed.host, SERVER, Manner::Says(said));
        bed.sees(code, &check(r#"{"smtp":{}}"#), SERVER);
    }
}

#[test]
fn a_server_without_extensions_is_greeted_the_old_way() {
    let bed = Bed::new("helo");
    let said = b"220-old\r\n220 server\r\n502 no EHLO\r\n250 hello\r\n221 bye\r\n";
    let _rogue = Rogue::start(&bed.host, SERVER, Manner::Says(said));
    let finding = bed.sees(Code::L7Ok, &check(r#"{"smtp":{}}"#), SERVER);
    assert_says(&finding, "220-old\\r\\n220 server");
}
