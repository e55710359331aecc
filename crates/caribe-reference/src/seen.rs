//! Frames that came out of a director, told so that two of them can be compared, and read.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde::{Deserialize, Serialize};

use crate::frame::crc32c;
use crate::network::{self, Family, Side};

/// A frame: its fields in the order of its bytes, outer headers before inner ones.
///
/// It is kept as its text: a guest's console is slow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub struct Seen {
    /// Names and values. A header's fields begin with its name as a field of its own: `ip`,
    /// `tcp`, `udp`, `sctp`, `icmp`, `quote`.
    pub fields: Vec<(String, String)>,
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (name, value)) in self.fields.iter().enumerate() {
            if index > 0 {
                f.write_str(" ")?;
            }
            write!(f, "{name}={value}")?;
        }
        Ok(())
    }
}

impl From<Seen> for String {
    fn from(seen: Seen) -> String {
        seen.to_string()
    }
}

impl From<String> for Seen {
    fn from(text: String) -> Seen {
        let fields = text.split(' ').filter(|field| !field.is_empty());
        let pairs = fields.map(|field| field.split_once('=').unwrap_or((field, "")));
        Seen {
            fields: pairs
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect(),
        }
    }
}

impl Seen {
    /// Reads a frame that a director sent on one of its sides.
    pub(crate) fn read(side: Side, frame: &[u8]) -> Seen {
        let mut seen = Seen { fields: Vec::new() };
        seen.field("by", side.interface());
        let to = frame
            .get(..6)
            .map_or_else(|| "nobody".to_owned(), neighbour);
        seen.field("to", to);
        let own = frame.get(6..12) == Some(&side.mac()[..]);
        if !own {
            seen.field("from", "another");
        }
        match frame.get(12..14) {
            Some([0x08, 0x00] | [0x86, 0xdd]) => seen.ip(&frame[14..], true),
            _ => seen.field("type", hex(frame)),
        }
        seen
    }

    /// A field's value.
    pub fn get(&self, name: &str) -> Option<&str> {
        let mut fields = self.fields.iter();
        fields
            .find(|(field, _)| field == name)
            .map(|(_, value)| value.as_str())
    }

    fn field(&mut self, name: &str, value: impl Into<String>) {
        self.fields.push((name.to_owned(), value.into()));
    }

    /// An IP packet; `whole` when nothing may be missing from its end.
    fn ip(&mut self, packet: &[u8], whole: bool) {
        match packet.first().map(|byte| byte >> 4) {
            Some(4) if packet.len() >= 20 => self.ipv4(packet, whole),
            Some(6) if packet.len() >= 40 => self.ipv6(packet, whole),
            _ => self.field("garbage", hex(packet)),
        }
    }

    fn ipv4(&mut self, packet: &[u8], whole: bool) {
        let source = Ipv4Addr::from([packet[12], packet[13], packet[14], packet[15]]);
        let destination = Ipv4Addr::from([packet[16], packet[17], packet[18], packet[19]]);
        let header = usize::from(packet[0] & 15) * 4;
        let length = usize::from(word(packet, 2));
        self.field("ip", "4");
        self.field("source", source.to_string());
        self.field("destination", destination.to_string());
        self.field("ttl", packet[8].to_string());
        self.field("tos", format!("{:#04x}", packet[1]));
        self.field("id", word(packet, 4).to_string());
        self.field("fragment", format!("{:#06x}", word(packet, 6)));
        self.field("length", length.to_string());
        self.field("options", (header.saturating_sub(20)).to_string());
        let Some(sum) = packet.get(..header).map(|header| sum(header, 0)) else {
            return self.field("garbage", hex(packet));
        };
        self.field("sum", if sum == 0xffff { "right" } else { "wrong" });
        if whole && length > packet.len() {
            self.field("cut", packet.len().to_string());
        }
        let end = length.clamp(header, packet.len());
        let ends = (source.into(), destination.into());
        self.content(packet[9], ends, &packet[header..end], whole);
    }

    fn ipv6(&mut self, packet: &[u8], whole: bool) {
        let address = |at: usize| {
            let mut octets = [0; 16];
            octets.copy_from_slice(&packet[at..at + 16]);
            Ipv6Addr::from(octets)
        };
        let (source, destination) = (address(8), address(24));
        let length = usize::from(word(packet, 4));
        self.field("ip", "6");
        self.field("source", source.to_string());
        self.field("destination", destination.to_string());
        self.field("ttl", packet[7].to_string());
        self.field("tos", format!("{:#04x}", word(packet, 0) >> 4 & 0xff));
        self.field("length", length.to_string());
        if whole && length + 40 > packet.len() {
            self.field("cut", packet.len().to_string());
        }
        let end = (length + 40).min(packet.len());
        let ends = (source.into(), destination.into());
        self.content(packet[6], ends, &packet[40..end], whole);
    }

    /// What an IP packet carries.
    fn content(&mut self, protocol: u8, ends: (IpAddr, IpAddr), bytes: &[u8], whole: bool) {
        match protocol {
            4 | 41 => self.ip(bytes, whole),
            6 | 17 if bytes.len() >= 8 => self.transport(protocol, ends, bytes, whole),
            132 if bytes.len() >= 8 => self.sctp(bytes, whole),
            1 | 58 if bytes.len() >= 8 => self.icmp(protocol, ends, bytes),
            _ => {
                self.field("protocol", protocol.to_string());
                self.field("content", hex(bytes));
            }
        }
    }

    fn transport(&mut self, protocol: u8, ends: (IpAddr, IpAddr), bytes: &[u8], whole: bool) {
        self.field(if protocol == 6 { "tcp" } else { "udp" }, "");
        self.field("sport", word(bytes, 0).to_string());
        self.field("dport", word(bytes, 2).to_string());
        if !whole {
            return;
        }
        let checksum_at = if protocol == 6 { 16 } else { 6 };
        if bytes.len() < checksum_at + 2 {
            return self.field("garbage", hex(bytes));
        }
        if word(bytes, checksum_at) == 0 && protocol == 17 {
            self.field("checksum", "none");
        } else {
            let right = sum(bytes, pseudo(ends, protocol, bytes.len())) == 0xffff;
            self.field("checksum", if right { "right" } else { "wrong" });
        }
        let payload = if protocol == 6 && bytes.len() >= 20 {
            self.field("flags", format!("{:#04x}", bytes[13]));
            self.field("numbers", hex(&bytes[4..12]));
            self.field("window", word(bytes, 14).to_string());
            let header = usize::from(bytes[12] >> 4) * 4;
            bytes.get(header..).unwrap_or_default()
        } else {
            &bytes[8..]
        };
        self.field("payload", payload.len().to_string());
        let untouched = payload
            .iter()
            .zip(0u16..)
            .all(|(byte, number)| *byte == number as u8);
        if !untouched {
            self.field("content", hex(payload));
        }
    }

    fn sctp(&mut self, bytes: &[u8], whole: bool) {
        self.field("sctp", "");
        self.field("sport", word(bytes, 0).to_string());
        self.field("dport", word(bytes, 2).to_string());
        self.field("tag", hex(&bytes[4..8]));
        if !whole {
            return;
        }
        let Some([chunk, payload @ ..]) = bytes.get(12..).filter(|rest| rest.len() >= 4) else {
            return self.field("garbage", hex(bytes));
        };
        let mut without = bytes.to_vec();
        without[8..12].fill(0);
        let right = crc32c(&without).to_le_bytes() == bytes[8..12];
        self.field("checksum", if right { "right" } else { "wrong" });
        self.field("chunk", chunk.to_string());
        self.field("payload", hex(payload));
    }

    fn icmp(&mut self, protocol: u8, ends: (IpAddr, IpAddr), bytes: &[u8]) {
        self.field("icmp", format!("{}/{}", bytes[0], bytes[1]));
        let start = if protocol == 58 {
            pseudo(ends, protocol, bytes.len())
        } else {
            0
        };
        let right = sum(bytes, start) == 0xffff;
        self.field("checksum", if right { "right" } else { "wrong" });
        self.field("rest", hex(&bytes[4..8]));
        let is_error = match protocol {
            1 => matches!(bytes[0], 3 | 4 | 5 | 11 | 12),
            _ => bytes[0] < 128,
        };
        if is_error {
            self.field("quote", (bytes.len() - 8).to_string());
            self.ip(&bytes[8..], false);
        } else {
            self.field("content", hex(&bytes[8..]));
        }
    }
}

/// To whom a MAC address belongs.
fn neighbour(mac: &[u8]) -> String {
    if mac == network::GATEWAY_MAC {
        return "clients".to_owned();
    }
    let mut servers = 0..network::SERVERS;
    match servers.find(|server| mac == network::server_mac(*server)) {
        Some(server) => network::server(Family::V4, server).to_string(),
        None => hex(mac),
    }
}

/// The sum of the words of a pseudo header.
fn pseudo(ends: (IpAddr, IpAddr), protocol: u8, length: usize) -> u32 {
    let address = |address: IpAddr| match address {
        IpAddr::V4(address) => sum(&address.octets(), 0),
        IpAddr::V6(address) => sum(&address.octets(), 0),
    };
    // Frames are of a few thousand bytes.
    address(ends.0) + address(ends.1) + u32::from(protocol) + length as u32
}

/// The internet checksum's sum (RFC 1071): 0xffff over something that carries its checksum.
fn sum(bytes: &[u8], start: u32) -> u32 {
    let words = bytes
        .chunks(2)
        .map(|pair| u32::from(pair[0]) << 8 | u32::from(pair.get(1).copied().unwrap_or(0)));
    let mut sum = words.fold(start, |sum, word| sum + word);
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum
}

/// A word at a place that is inside.
fn word(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::frame;
    use crate::scenario::{Flags, Packet, Protocol};

    fn sent(protocol: Protocol, from: &str, to: &str) -> Vec<u8> {
        let (from, to) = (from.parse().expect("an end"), to.parse().expect("an end"));
        let macs = (Side::Back.mac(), network::server_mac(2));
        let packet = Packet::new(Flags::SYN).payload(5);
        frame(macs, protocol, from, to, &packet).expect("a frame")
    }

    #[test]
    fn a_frame_is_told_in_full() {
        let bytes = sent(Protocol::Tcp, "11.0.0.1:1024", "10.2.0.13:80");
        let text = Seen::read(Side::Back, &bytes).to_string();
        let expected = "by=eth1 to=10.2.0.13 ip=4 source=11.0.0.1 destination=10.2.0.13 ttl=64 \
                        tos=0x00 id=77 fragment=0x4000 length=45 options=0 sum=right tcp= \
                        sport=1024 dport=80 checksum=right flags=0x02 \
                        numbers=000f424000000000 window=4096 payload=5";
        assert_eq!(text, expected);
        assert_eq!(Seen::from(text), Seen::read(Side::Back, &bytes));
    }

    #[test]
    fn every_changed_byte_shows() {
        for (from, to) in [
            ("11.0.0.1:1024", "10.2.0.13:80"),
            ("[2001:db8::1]:9", "[fd00:2::13]:8"),
        ] {
            for protocol in [Protocol::Tcp, Protocol::Udp, Protocol::Sctp] {
                let bytes = sent(protocol, from, to);
                let told = Seen::read(Side::Back, &bytes);
                for at in 0..bytes.len() {
                    let mut changed = bytes.clone();
                    changed[at] ^= 0x10;
                    // IPv6's flow label, which nobody looks at.
                    if (15..18).contains(&at) && from.starts_with('[') {
                        continue;
                    }
                    assert_ne!(
                        Seen::read(Side::Back, &changed),
                        told,
                        "byte {at} of {from}"
                    );
                }
            }
        }
    }

    #[test]
    fn what_is_cut_short_is_told_without_a_panic() {
        let bytes = sent(Protocol::Tcp, "11.0.0.1:1024", "10.2.0.13:80");
        let told = Seen::read(Side::Back, &bytes);
        for length in 0..bytes.len() {
            assert_ne!(Seen::read(Side::Back, &bytes[..length]), told);
        }
    }
}
