//! What ipvsadm printed, line by line, with the connections apart.

use std::net::{IpAddr, SocketAddr};

use crate::network;

/// A line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Line {
    /// A connection.
    Connection(Connection),
    /// Anything else.
    Text(String),
}

/// A row of `-L -c`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Connection {
    /// The row without its time.
    pub(crate) row: String,
    /// Seconds left.
    pub(crate) left: u32,
}

/// Reads what ipvsadm printed. Connections of other scenarios are left out; those of this one are
/// sorted, because the order of a hash table says nothing.
pub(crate) fn lines(printed: &str, scenario: u32) -> Vec<Line> {
    let mut lines = Vec::new();
    let mut connections = Vec::new();
    for line in printed.lines() {
        match connection(line) {
            Some((client, connection)) => {
                if network::is_client_of(scenario, client) {
                    connections.push(connection);
                }
            }
            None => {
                flush(&mut connections, &mut lines);
                lines.push(Line::Text(line.to_owned()));
            }
        }
    }
    flush(&mut connections, &mut lines);
    lines
}

fn flush(connections: &mut Vec<Connection>, lines: &mut Vec<Line>) {
    connections.sort();
    lines.extend(connections.drain(..).map(Line::Connection));
}

/// Reads `TCP 14:59  ESTABLISHED 192.168.1.5:50082  10.0.0.1:80        10.10.10.11:80`.
fn connection(line: &str) -> Option<(IpAddr, Connection)> {
    let (protocol, rest) = line.split_once(' ')?;
    if !["TCP", "UDP", "SCTP", "IP"].contains(&protocol) {
        return None;
    }
    let mut words = rest.split_whitespace();
    let time = words.next()?;
    let (minutes, seconds) = time.split_once(':')?;
    let left = minutes.parse::<u32>().ok()? * 60 + seconds.parse::<u32>().ok()?;
    let client: SocketAddr = words.nth(1)?.parse().ok()?;
    Some((
        client.ip(),
        Connection {
            // Blanks stay, so that columns are compared.
            row: line.replacen(time, &"_".repeat(time.len()), 1),
            left,
        },
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_are_sorted_and_others_left_out() {
        let printed = "\
IPVS connection entries
pro expire state       source             virtual            destination
TCP 14:59  ESTABLISHED 11.0.7.2:1024      10.128.0.28:80     10.2.0.11:80
IP  00:59  NONE        11.0.7.1:0         0.0.0.7:0          10.2.0.12:0
TCP 00:58  SYN_RECV    11.0.8.1:1024      10.128.0.32:80     10.2.0.11:80
";
        let read = lines(printed, 7);
        let expected = [
            Line::Text("IPVS connection entries".to_owned()),
            Line::Text(printed.lines().nth(1).expect("a line").to_owned()),
            Line::Connection(Connection {
                row: "IP  _____  NONE        11.0.7.1:0         0.0.0.7:0          10.2.0.12:0"
                    .to_owned(),
                left: 59,
            }),
            Line::Connection(Connection {
                row: "TCP _____  ESTABLISHED 11.0.7.2:1024      10.128.0.28:80     10.2.0.11:80"
                    .to_owned(),
                left: 899,
            }),
        ];
        assert_eq!(read, expected);
    }

    #[test]
    fn services_are_no_connections() {
        let text = "TCP  10.0.0.1:80 rr";
        assert_eq!(lines(text, 7), [Line::Text(text.to_owned())]);
    }
}
