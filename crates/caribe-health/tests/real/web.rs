//! Debian's nginx with everything that the probes can ask for.

use std::fmt::Write;
use std::fs;

use caribe_lab::{Host, Process};

use crate::bed::{Bed, START, socket};
use crate::certificates::{Authority, Pair};

/// Ports of the server, over both families.
pub(crate) const PLAIN: u16 = 8080;
/// HTTP/2 without TLS.
pub(crate) const PRIOR_KNOWLEDGE: u16 = 8081;
/// TLS with certificates by name: one for 127.0.0.1, one for `www.example.org`.
pub(crate) const SECURE: u16 = 8443;
/// A certificate that expired.
pub(crate) const EXPIRED: u16 = 8444;
/// A client must show a certificate.
pub(crate) const CLIENTS: u16 = 8445;
/// TLS that does not know HTTP/2.
pub(crate) const ONE_ONLY: u16 = 8446;

pub(crate) struct Web {
    pub(crate) authority: Authority,
    _nginx: Process,
}

impl Web {
    pub(crate) fn start(bed: &Bed) -> Web {
        Web::start_on(&bed.host)
    }

    /// On a host with a network of its own.
    pub(crate) fn start_on(host: &Host) -> Web {
        let prefix = host.file("web");
        fs::create_dir_all(&prefix).expect("a directory");
        let authority = Authority::new(&prefix);
        let configuration = prefix.join("nginx.conf");
        fs::write(&configuration, text(&authority)).expect("a configuration");
        let nginx = host
            .command("nginx")
            .package("nginx-light")
            .args(["-p".as_ref(), prefix.as_os_str()])
            .args(["-c".as_ref(), configuration.as_os_str()])
            .args(["-e", "stderr"])
            .spawn()
            .expect("nginx");
        for port in [PLAIN, PRIOR_KNOWLEDGE, SECURE, EXPIRED, CLIENTS, ONE_ONLY] {
            for loopback in ["127.0.0.1", "[::1]"] {
                let address = socket(&format!("{loopback}:{port}"));
                if let Err(error) = host.wait_until_connects(address, START) {
                    panic!("{error}: {}", nginx.log());
                }
            }
        }
        Web {
            authority,
            _nginx: nginx,
        }
    }
}

fn text(authority: &Authority) -> String {
    let own = authority.issue("own", &["127.0.0.1", "::1"]);
    let www = authority.issue("www", &["www.example.org"]);
    let old = authority.issue_expired("old", &["127.0.0.1"]);
    let ca = authority.file();
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .iter()
        .map(|kind| format!("{kind}_temp_path {kind};\n"))
        .collect();
    let locations = r#"
        location = / { return 200 "host=$host user-agent=$http_user_agent x=$http_x_probe\n"; }
        location = /health { return 200 "state: all is well\n"; }
        location = /sick { return 503 "state: unwell\n"; }
        location = /moved { return 301 http://www.example.org/; }
        location = /odd { return 299 "odd\n"; }
        location = /method { return 200 "$request_method $server_protocol\n"; }
    "#;
    let mut servers = String::new();
    let mut serve = |port: u16, options: &str, tls: Option<&Pair>, more: &str| {
        let tls = tls.map_or(String::new(), |pair| {
            format!(
                "ssl_certificate {}; ssl_certificate_key {};",
                pair.certificate.display(),
                pair.key.display()
            )
        });
        writeln!(
            servers,
            "server {{ listen {port} {options}; listen [::]:{port} {options} ipv6only=on; {tls} {more} {locations} }}"
        )
        .expect("a string takes all");
    };
    serve(PLAIN, "", None, "");
    serve(PRIOR_KNOWLEDGE, "http2", None, "");
    serve(
        SECURE,
        "ssl http2 default_server",
        Some(&own),
        "server_name own;",
    );
    serve(EXPIRED, "ssl", Some(&old), "");
    let clients = format!(
        "ssl_client_certificate {}; ssl_verify_client on;",
        ca.display()
    );
    serve(CLIENTS, "ssl", Some(&own), &clients);
    serve(ONE_ONLY, "ssl", Some(&own), "");
    // A second name on one port has the listening options from the first.
    writeln!(
        servers,
        "server {{ listen {SECURE} ssl http2; listen [::]:{SECURE} ssl http2; server_name www.example.org;
         ssl_certificate {}; ssl_certificate_key {}; {locations} }}",
        www.certificate.display(),
        www.key.display()
    )
    .expect("a string takes all");
    format!(
        "daemon off; user root; worker_processes 1; pid nginx.pid; error_log stderr warn;
         events {{ worker_connections 256; }}
         http {{ access_log off; default_type text/plain; server_tokens off; ssl_protocols TLSv1.2 TLSv1.3; {temporary} {servers} }}\n"
    )
}
