//! The columns of each view.

use super::amount::amount;
use super::properties;
use crate::{
    Checksum, Forwarding, LiveDestination, LiveService, Rates, Statistics, Table, Tunnel, View,
};

const PLAIN_SERVICES: &str = "Prot LocalAddress:Port Scheduler Flags\n";

/// The header lines of a view.
pub(super) fn header(view: View) -> String {
    let wide = "Prot LocalAddress:Port";
    let remote = "  -> RemoteAddress:Port";
    match view {
        View::Plain => {
            format!("{PLAIN_SERVICES}{remote:<33} Forward Weight ActiveConn InActConn\n")
        }
        View::Tunnels => format!(
            "{PLAIN_SERVICES}{remote:<33} Forward TunnelInfo    Weight ActiveConn InActConn\n"
        ),
        View::Statistics => format!(
            "{wide:<33} {:>8} {:>8} {:>8} {:>8} {:>8}\n{remote}\n",
            "Conns", "InPkts", "OutPkts", "InBytes", "OutBytes"
        ),
        View::Rates => format!(
            "{wide:<33} {:>8} {:>8} {:>8} {:>8} {:>8}\n{remote}\n",
            "CPS", "InPPS", "OutPPS", "InBPS", "OutBPS"
        ),
        View::Thresholds => format!(
            "{wide:<33} {:<10} {:<10} {:<10} {:<10}\n{remote}\n",
            "Uthreshold", "Lthreshold", "ActiveConn", "InActConn"
        ),
        View::Persistent => format!(
            "{wide:<33} {:<9} {:<11} {:<10} {:<10}\n{remote}\n",
            "Weight", "PersistConn", "ActiveConn", "InActConn"
        ),
    }
}

/// The line of a service.
pub(super) fn service(live: &LiveService, name: &str, table: &Table) -> String {
    match table.view {
        View::Statistics => {
            let numbers = statistics(&live.statistics, table.exact);
            format!("{name:<33}{numbers}\n")
        }
        View::Rates => {
            let rates = &live.rates;
            let numbers = [
                rates.connections,
                rates.packets_in,
                rates.packets_out,
                rates.bytes_in,
                rates.bytes_out,
            ];
            let numbers = numbers.map(|number| amount(number, table.exact)).concat();
            format!("{name:<33}{numbers}\n")
        }
        _ => format!("{name} {}\n", properties(&live.service)),
    }
}

/// The line of a server.
pub(super) fn destination(live: &LiveDestination, name: &str, table: &Table) -> String {
    let server = &live.destination;
    let (method, weight) = (server.forwarding.name(), server.weight);
    let (active, inactive) = (live.active, live.inactive);
    match table.view {
        View::Plain => {
            format!("  -> {name:<28} {method:<7} {weight:<6} {active:<10} {inactive:<10}\n")
        }
        View::Tunnels => format!(
            "  -> {name:<28} {method:<7} {:<13} {weight:<6} {active:<10} {inactive:<10}\n",
            tunnel(server.forwarding)
        ),
        View::Statistics => {
            let numbers = statistics(&live.statistics, table.exact);
            format!("  -> {name:<28}{numbers}\n")
        }
        View::Rates => {
            let Rates {
                connections,
                packets_in,
                packets_out,
                bytes_in,
                bytes_out,
            } = live.rates;
            // Only bytes are scaled.
            format!(
                "  -> {name:<28} {connections:>8} {packets_in:>8} {packets_out:>8}{}{}\n",
                amount(bytes_in, table.exact),
                amount(bytes_out, table.exact)
            )
        }
        View::Thresholds => format!(
            "  -> {name:<28} {:<10} {:<10} {active:<10} {inactive:<10}\n",
            server.upper_threshold, server.lower_threshold
        ),
        View::Persistent => format!(
            "  -> {name:<28} {weight:<9} {:<11} {active:<10} {inactive:<10}\n",
            live.persistent
        ),
    }
}

fn statistics(statistics: &Statistics, exact: bool) -> String {
    [
        statistics.connections,
        statistics.packets_in,
        statistics.packets_out,
        statistics.bytes_in,
        statistics.bytes_out,
    ]
    .map(|number| amount(number, exact))
    .concat()
}

fn tunnel(forwarding: Forwarding) -> String {
    let flag = |checksum| match checksum {
        Checksum::Without => "-c",
        Checksum::With => "+c",
        Checksum::Remote => "r+c",
    };
    match forwarding {
        Forwarding::Tunnel(Tunnel::Ipip) => "ipip".to_owned(),
        Forwarding::Tunnel(Tunnel::Gue { port, checksum }) => {
            format!("gue:{port}:{}", flag(checksum))
        }
        Forwarding::Tunnel(Tunnel::Gre { checksum }) => format!("gre:{}", flag(checksum)),
        _ => "n/a".to_owned(),
    }
}
