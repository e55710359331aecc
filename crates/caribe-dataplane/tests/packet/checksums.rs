//! Every checksum of a frame, computed in full by `etherparse` (and `crc`) and compared with the frame's.

use etherparse::{Icmpv4Header, Icmpv6Header, Ipv4Header, Ipv6Header, TcpHeader, UdpHeader};

use crate::frame::crc32c;

/// How many checksums a frame carries, if all of them are right: those of IP, TCP, UDP,
/// SCTP and ICMP,
/// inside tunnels too, and the IP header's that an ICMP error quotes.
pub(crate) fn verify(frame: &[u8]) -> Result<usize, String> {
    let (_, rest) = frame
        .split_first_chunk::<12>()
        .ok_or("no Ethernet header")?;
    match rest {
        [0x08, 0x00, packet @ ..] => ipv4(packet),
        [0x86, 0xdd, packet @ ..] => ipv6(packet),
        _ => Err(format!("not IP: {rest:02x?}")),
    }
}

/// The port of GUE in all cases.
pub(crate) const GUE: u16 = 6080;

/// The checksum of GRE, if there is one, and those inside.
fn gre(payload: &[u8]) -> Result<usize, String> {
    let (inner, own) = match payload {
        [0, 0, high, low, inner @ ..] => ((*high, *low, inner), 0),
        [0x80, 0, high, low, _, _, 0, 0, inner @ ..] => {
            let sum = etherparse::checksum::Sum16BitWords::new().add_slice(payload);
            same("GRE", sum.ones_complement(), 0)?;
            ((*high, *low, inner), 1)
        }
        _ => return Err(format!("no GRE: {payload:02x?}")),
    };
    Ok(own
        + match inner {
            (0x08, 0x00, packet) => ipv4(packet)?,
            (0x86, 0xdd, packet) => ipv6(packet)?,
            other => return Err(format!("GRE carries {other:02x?}")),
        })
}

fn ipv4(packet: &[u8]) -> Result<usize, String> {
    let (header, _) = Ipv4Header::from_slice(packet).map_err(|error| error.to_string())?;
    same(
        "IPv4 header",
        header.header_checksum,
        header.calc_header_checksum(),
    )?;
    let end = usize::from(header.total_len);
    let payload = packet
        .get(header.header_len()..end)
        .ok_or_else(|| format!("total length {end} of {} bytes", packet.len()))?;
    let (source, destination) = (header.source, header.destination);
    let inside = match header.protocol.0 {
        6 => {
            let (tcp, data) = TcpHeader::from_slice(payload).map_err(|error| error.to_string())?;
            let right = tcp.calc_checksum_ipv4_raw(source, destination, data);
            same(
                "TCP",
                tcp.checksum,
                right.map_err(|error| error.to_string())?,
            )?
        }
        17 => {
            let (udp, data) = udp(payload)?;
            if udp.checksum == 0 {
                0
            } else {
                let right = udp.calc_checksum_ipv4_raw(source, destination, data);
                same(
                    "UDP",
                    udp.checksum,
                    right.map_err(|error| error.to_string())?,
                )?
            }
        }
        1 => {
            let (icmp, data) =
                Icmpv4Header::from_slice(payload).map_err(|error| error.to_string())?;
            let right = icmp.icmp_type.calc_checksum(data);
            same("ICMP", icmp.checksum, right)? + quoted(data)?
        }
        132 => sctp(payload)?,
        4 => ipv4(payload)?,
        41 => ipv6(payload)?,
        47 => gre(payload)?,
        other => return Err(format!("emitted IPv4 protocol {other}")),
    };
    Ok(1 + inside)
}

fn ipv6(packet: &[u8]) -> Result<usize, String> {
    let (header, rest) = Ipv6Header::from_slice(packet).map_err(|error| error.to_string())?;
    let length = usize::from(header.payload_length);
    let payload = rest
        .get(..length)
        .ok_or_else(|| format!("payload length {length} of {} bytes", rest.len()))?;
    let (source, destination) = (header.source, header.destination);
    match header.next_header.0 {
        6 => {
            let (tcp, data) = TcpHeader::from_slice(payload).map_err(|error| error.to_string())?;
            let right = tcp.calc_checksum_ipv6_raw(source, destination, data);
            same(
                "TCP",
                tcp.checksum,
                right.map_err(|error| error.to_string())?,
            )
        }
        17 => {
            let (udp, data) = udp(payload)?;
            if udp.checksum == 0 && udp.destination_port == GUE {
                // Allowed for tunnels (RFC 6935).
                return Ok(0);
            }
            let right = udp.calc_checksum_ipv6_raw(source, destination, data);
            same(
                "UDP",
                udp.checksum,
                right.map_err(|error| error.to_string())?,
            )
        }
        58 => {
            let (icmp, data) =
                Icmpv6Header::from_slice(payload).map_err(|error| error.to_string())?;
            let right = icmp.icmp_type.calc_checksum(source, destination, data);
            same(
                "ICMPv6",
                icmp.checksum,
                right.map_err(|error| error.to_string())?,
            )
        }
        132 => sctp(payload),
        4 => ipv4(payload),
        41 => ipv6(payload),
        47 => gre(payload),
        other => Err(format!("emitted IPv6 next header {other}")),
    }
}

/// The datagram by its own length, which may be shorter than the IP payload.
fn udp(payload: &[u8]) -> Result<(UdpHeader, &[u8]), String> {
    let (header, rest) = UdpHeader::from_slice(payload).map_err(|error| error.to_string())?;
    let data = usize::from(header.length)
        .checked_sub(8)
        .and_then(|length| rest.get(..length))
        .ok_or_else(|| format!("UDP length {} of {} bytes", header.length, payload.len()))?;
    Ok((header, data))
}

/// An SCTP packet, whose checksum covers all of it.
fn sctp(payload: &[u8]) -> Result<usize, String> {
    let carried = payload
        .get(8..12)
        .and_then(|bytes| bytes.first_chunk())
        .ok_or_else(|| format!("no SCTP: {payload:02x?}"))?;
    let mut without = payload.to_vec();
    without[8..12].fill(0);
    let (carried, right) = (u32::from_le_bytes(*carried), crc32c(&without));
    if carried == right {
        Ok(1)
    } else {
        Err(format!(
            "the SCTP checksum is {carried:#010x} where {right:#010x} is right"
        ))
    }
}

/// The IP header that an error quotes; what follows it is cut short, so its checksum says nothing.
fn quoted(data: &[u8]) -> Result<usize, String> {
    let (header, _) = Ipv4Header::from_slice(data).map_err(|error| error.to_string())?;
    same(
        "quoted IPv4 header",
        header.header_checksum,
        header.calc_header_checksum(),
    )
}

fn same(what: &str, carried: u16, right: u16) -> Result<usize, String> {
    if carried == right {
        Ok(1)
    } else {
        Err(format!(
            "the {what} checksum is {carried:#06x} where {right:#06x} is right"
        ))
    }
}
