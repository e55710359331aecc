//! What the tests of this crate share: the names that the files of the corpus use.

use caribe_config::{FixedResolver, Mode, Parsed, Source, parse};
use caribe_model::Protocol;

/// The resolver of all tests. `broken.example` and `nosuch.example` are not in it on purpose.
pub(crate) fn resolver() -> FixedResolver {
    let address = |text: &str| text.parse().expect("a literal address");
    FixedResolver::default()
        .with_host("web1.example", address("192.0.2.101"))
        .with_host("www.example", address("192.0.2.80"))
        .with_host("director1.example", address("192.0.2.1"))
        .with_host("six.example", address("2001:db8::6"))
        .with_port("http", Protocol::Tcp, 80)
        .with_port("www", Protocol::Tcp, 80)
        .with_port("https-alt", Protocol::Tcp, 8443)
        .with_port("ftp", Protocol::Tcp, 21)
        .with_port("domain", Protocol::Tcp, 53)
        .with_port("domain", Protocol::Udp, 53)
        .with_port("tftp", Protocol::Udp, 69)
}

/// Parses a text under the name `lvs.cf`.
#[allow(dead_code, reason = "not every test binary uses it")]
pub(crate) fn parse_text(text: impl Into<Vec<u8>>, mode: Mode) -> Parsed {
    parse(&Source::new("lvs.cf", text), mode, &resolver())
}
