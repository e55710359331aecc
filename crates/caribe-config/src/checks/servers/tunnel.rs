//! Keys of tunnels where there is no tunnel, or another one.

use caribe_model::{Encapsulation, Forwarding};

use crate::config::RealServer;
use crate::diagnostic::Report;
use crate::settings::Section;

pub(super) fn check(server: &RealServer, section: &Section<'_>, report: &mut Report<'_>) {
    if !section.knows(&["forward", "tunnel"]) {
        return;
    }
    for key in ["tunnel", "tunnel_port", "tunnel_checksum"] {
        if section.get(key).is_none() {
            continue;
        }
        let why = match (server.forwarding, server.encapsulation) {
            (Forwarding::Nat | Forwarding::Direct, _) => {
                format!(
                    "server `{}` is forwarded by `{}`",
                    server.name, server.forwarding
                )
            }
            (_, Encapsulation::Ipip) if key != "tunnel" => "IPIP has none".to_owned(),
            (_, Encapsulation::Gre { .. }) if key == "tunnel_port" => "GRE has none".to_owned(),
            _ => continue,
        };
        report
            .warning(
                section.span(key),
                "tunnel-key-unused",
                format!("`{key}` has no effect: {why}"),
            )
            .hint("remove it, or set `forward = tunnel` and the `tunnel` that it belongs to");
    }
}
