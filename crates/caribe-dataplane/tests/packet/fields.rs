//! Frames for human eyes: every field by name, and two frames side by side.

use std::fmt::Write as _;
use std::net::{Ipv4Addr, Ipv6Addr};

/// A field: its name, and where it is.
struct Field {
    name: String,
    start: usize,
    end: usize,
}

/// The fields of a frame, as far as it can be read; the last ones may be cut short.
fn fields(frame: &[u8]) -> Vec<Field> {
    let mut walk = Walk {
        frame,
        at: 0,
        depth: String::new(),
        fields: Vec::new(),
    };
    walk.take("ethernet.destination", 6);
    walk.take("ethernet.source", 6);
    walk.take("ethernet.type", 2);
    match frame.get(12..14) {
        Some([0x08, 0x00]) => walk.ip(4),
        Some([0x86, 0xdd]) => walk.ip(41),
        _ => {}
    }
    walk.take("rest", usize::MAX);
    walk.fields
}

struct Walk<'a> {
    frame: &'a [u8],
    at: usize,
    depth: String,
    fields: Vec<Field>,
}

impl Walk<'_> {
    /// Names the next bytes.
    fn take(&mut self, name: &str, length: usize) {
        let end = self.at.saturating_add(length).min(self.frame.len());
        if end > self.at {
            let name = format!("{}{name}", self.depth);
            self.fields.push(Field {
                name,
                start: self.at,
                end,
            });
        }
        self.at = end;
    }

    fn all(&mut self, fields: &[(&str, usize)]) {
        for (name, length) in fields {
            self.take(name, *length);
        }
    }

    fn byte(&self, offset: usize) -> u8 {
        self.frame.get(self.at + offset).copied().unwrap_or(0)
    }

    fn ip(&mut self, number: u8) {
        if number == 4 {
            let header = usize::from(self.byte(0) & 15) * 4;
            let protocol = self.byte(9);
            self.all(&[
                ("ip.version_and_length", 1),
                ("ip.tos", 1),
                ("ip.total_length", 2),
                ("ip.id", 2),
                ("ip.fragment", 2),
                ("ip.ttl", 1),
                ("ip.protocol", 1),
                ("ip.checksum", 2),
                ("ip.source", 4),
                ("ip.destination", 4),
                ("ip.options", header.saturating_sub(20)),
            ]);
            self.body(protocol);
        } else {
            let next = self.byte(6);
            self.all(&[
                ("ip6.version_class_label", 4),
                ("ip6.payload_length", 2),
                ("ip6.next_header", 1),
                ("ip6.hop_limit", 1),
                ("ip6.source", 16),
                ("ip6.destination", 16),
            ]);
            self.body(next);
        }
    }

    fn body(&mut self, protocol: u8) {
        match protocol {
            6 => {
                let header = usize::from(self.byte(12) >> 4) * 4;
                self.all(&[
                    ("tcp.source_port", 2),
                    ("tcp.destination_port", 2),
                    ("tcp.sequence", 4),
                    ("tcp.acknowledgement", 4),
                    ("tcp.data_offset", 1),
                    ("tcp.flags", 1),
                    ("tcp.window", 2),
                    ("tcp.checksum", 2),
                    ("tcp.urgent", 2),
                    ("tcp.options", header.saturating_sub(20)),
                ]);
            }
            17 => self.all(&[
                ("udp.source_port", 2),
                ("udp.destination_port", 2),
                ("udp.length", 2),
                ("udp.checksum", 2),
            ]),
            132 => self.all(&[
                ("sctp.source_port", 2),
                ("sctp.destination_port", 2),
                ("sctp.tag", 4),
                ("sctp.checksum", 4),
                ("sctp.chunk", 1),
                ("sctp.chunk_flags", 1),
                ("sctp.chunk_length", 2),
            ]),
            1 | 58 => {
                let is_error = if protocol == 1 {
                    matches!(self.byte(0), 3 | 4 | 5 | 11 | 12)
                } else {
                    self.byte(0) < 128
                };
                let checksum = ("icmp.checksum", 2);
                self.all(&[
                    ("icmp.type", 1),
                    ("icmp.code", 1),
                    checksum,
                    ("icmp.rest", 4),
                ]);
                if is_error && !self.depth.contains("quoted") {
                    self.depth.push_str("quoted ");
                    self.ip(if protocol == 1 { 4 } else { 41 });
                }
            }
            4 | 41 if self.depth.len() < 24 => {
                self.depth.push_str("inner ");
                self.ip(protocol);
            }
            _ => {}
        }
    }
}

/// A frame in lines: field, bytes, and what they mean where that helps.
pub(crate) fn describe(frame: &[u8]) -> String {
    let mut text = String::new();
    for field in fields(frame) {
        let bytes = &frame[field.start..field.end];
        let _ = writeln!(
            text,
            "    {:<34} {} {}",
            field.name,
            hex(bytes, 24),
            meaning(&field.name, bytes)
        );
    }
    text
}

/// Two frames by the fields of the first, with a mark at each line that differs.
pub(crate) fn compare(expected: &[u8], actual: &[u8]) -> String {
    let mut text = format!(
        "    {:<34} {:<36} actual ({} and {} bytes)\n",
        "field",
        "expected",
        expected.len(),
        actual.len()
    );
    for field in fields(expected) {
        let wanted = &expected[field.start..field.end];
        let range = field.start.min(actual.len())..field.end.min(actual.len());
        let got = &actual[range];
        let mark = if wanted == got { "" } else { "  <-- differs" };
        let _ = writeln!(
            text,
            "    {:<34} {:<36} {}{mark}",
            field.name,
            hex(wanted, 16),
            hex(got, 16)
        );
    }
    if actual.len() > expected.len() {
        let _ = writeln!(
            text,
            "    {:<34} {:<36} {}  <-- differs",
            "beyond the end",
            "",
            hex(&actual[expected.len()..], 16)
        );
    }
    text
}

/// A line for scapy's prompt that shows the frame.
pub(crate) fn scapy(frame: &[u8]) -> String {
    format!("Ether(bytes.fromhex('{}')).show2()", hex(frame, usize::MAX))
}

/// Bytes in hexadecimal, the first `most` of them.
pub(crate) fn hex(bytes: &[u8], most: usize) -> String {
    let mut text = String::new();
    for byte in bytes.iter().take(most) {
        let _ = write!(text, "{byte:02x}");
    }
    if bytes.len() > most {
        let _ = write!(text, "... {} bytes", bytes.len());
    }
    text
}

fn meaning(name: &str, bytes: &[u8]) -> String {
    match *bytes {
        [a, b, c, d] if name.ends_with("source") || name.ends_with("destination") => {
            format!("= {}", Ipv4Addr::new(a, b, c, d))
        }
        [a, b] if name.ends_with("port") || name.ends_with("length") || name.ends_with(".type") => {
            format!("= {}", u16::from_be_bytes([a, b]))
        }
        [flags] if name.ends_with("tcp.flags") => {
            let names = ["FIN", "SYN", "RST", "PSH", "ACK", "URG", "ECE", "CWR"];
            let set = names
                .iter()
                .enumerate()
                .filter(|(bit, _)| flags >> bit & 1 == 1);
            format!(
                "= {}",
                set.map(|(_, name)| *name).collect::<Vec<_>>().join("+")
            )
        }
        [one] => format!("= {one}"),
        _ => match <[u8; 16]>::try_from(bytes) {
            Ok(address) if name.contains("ip6.") => format!("= {}", Ipv6Addr::from(address)),
            _ => String::new(),
        },
    }
}
