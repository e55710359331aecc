//! The frames that tell a segment where an address lives now: gratuitous ARP (RFC 826, RFC 5227)
//! and unsolicited neighbour advertisements (RFC 4861). Pure: bytes only.

use std::net::{Ipv4Addr, Ipv6Addr};

use caribe_model::MacAddress;

/// Length of an ARP announcement: an Ethernet frame of the least length, without its checksum.
pub(crate) const ARP_FRAME: usize = 60;
/// Length of a neighbour advertisement with the target link-layer address option.
pub(crate) const ADVERTISEMENT_FRAME: usize = 14 + 40 + ICMP;

const ICMP: usize = 32;

/// The two forms of a gratuitous ARP. Some switches and hosts heed only one of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ArpForm {
    /// Operation 1; the target hardware address is zero (RFC 5227, section 1.1).
    Request,
    /// Operation 2; the target hardware address is the sender's own, as Piranha's `send_arp`.
    Reply,
}

/// A broadcast ARP frame that says `address` is at `mac`.
pub fn gratuitous_arp(form: ArpForm, mac: MacAddress, address: Ipv4Addr) -> [u8; ARP_FRAME] {
    let (operation, target) = match form {
        ArpForm::Request => (1, [0; 6]),
        ArpForm::Reply => (2, mac.0),
    };
    let mut frame = [0; ARP_FRAME];
    frame[0..6].copy_from_slice(&[0xff; 6]);
    frame[6..12].copy_from_slice(&mac.0);
    frame[12..14].copy_from_slice(&0x0806_u16.to_be_bytes());
    frame[14..16].copy_from_slice(&1_u16.to_be_bytes());
    frame[16..18].copy_from_slice(&0x0800_u16.to_be_bytes());
    frame[18] = 6;
    frame[19] = 4;
    frame[20..22].copy_from_slice(&u16::to_be_bytes(operation));
    frame[22..28].copy_from_slice(&mac.0);
    frame[28..32].copy_from_slice(&address.octets());
    frame[32..38].copy_from_slice(&target);
    frame[38..42].copy_from_slice(&address.octets());
    frame
}

/// An unsolicited neighbour advertisement to all nodes of the link, with the override flag, that
/// says `address` is at `mac`; `router` sets the flag of a machine that forwards.
pub fn unsolicited_advertisement(
    mac: MacAddress,
    address: Ipv6Addr,
    router: bool,
) -> [u8; ADVERTISEMENT_FRAME] {
    const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
    let mut frame = [0; ADVERTISEMENT_FRAME];
    frame[0..6].copy_from_slice(&[0x33, 0x33, 0, 0, 0, 1]);
    frame[6..12].copy_from_slice(&mac.0);
    frame[12..14].copy_from_slice(&0x86dd_u16.to_be_bytes());
    // IPv6: version 6, payload length, ICMPv6, hop limit 255 (RFC 4861, 7.1.2 demands it).
    frame[14] = 0x60;
    frame[18..20].copy_from_slice(&(ICMP as u16).to_be_bytes());
    frame[20] = 58;
    frame[21] = 255;
    frame[22..38].copy_from_slice(&address.octets());
    frame[38..54].copy_from_slice(&ALL_NODES.octets());
    // ICMPv6: neighbour advertisement; flags router (0x80) and override (0x20), not solicited.
    frame[54] = 136;
    frame[58] = if router { 0xa0 } else { 0x20 };
    frame[62..78].copy_from_slice(&address.octets());
    // Option: target link-layer address, one unit of 8 bytes.
    frame[78] = 2;
    frame[79] = 1;
    frame[80..86].copy_from_slice(&mac.0);
    let checksum = icmpv6_checksum(&frame[22..54], &frame[54..]);
    frame[56..58].copy_from_slice(&checksum.to_be_bytes());
    frame
}

/// The checksum over pseudo-header (RFC 8200, 8.1) and message, whose own field is zero.
fn icmpv6_checksum(addresses: &[u8], message: &[u8]) -> u16 {
    let words = addresses.chunks(2).chain(message.chunks(2));
    let mut sum: u32 = words
        .map(|word| u32::from(word[0]) << 8 | u32::from(word.get(1).copied().unwrap_or(0)))
        .sum();
    sum += message.len() as u32 + 58;
    while sum > 0xffff {
        sum = (sum >> 16) + (sum & 0xffff);
    }
    !(sum as u16)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAC: MacAddress = MacAddress([0x02, 0x00, 0x5e, 0x10, 0x20, 0x30]);

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn reply_form_is_the_frame_of_send_arp() {
        let frame = gratuitous_arp(ArpForm::Reply, MAC, Ipv4Addr::new(192, 0, 2, 80));
        let expected = concat!(
            "ffffffffffff",
            "02005e102030",
            "0806",
            "0001080006040002",
            "02005e102030",
            "c0000250",
            "02005e102030",
            "c0000250",
            "000000000000000000000000000000000000",
        );
        assert_eq!(hex(&frame), expected);
    }

    #[test]
    fn request_form_has_no_target_hardware_address() {
        let frame = gratuitous_arp(ArpForm::Request, MAC, Ipv4Addr::new(192, 0, 2, 80));
        let expected = concat!(
            "ffffffffffff",
            "02005e102030",
            "0806",
            "0001080006040001",
            "02005e102030",
            "c0000250",
            "000000000000",
            "c0000250",
            "000000000000000000000000000000000000",
        );
        assert_eq!(hex(&frame), expected);
    }

    #[test]
    fn advertisement_overrides_and_sums_up() {
        let address = "2001:db8::80".parse().expect("an address");
        let frame = unsolicited_advertisement(MAC, address, false);
        let expected = concat!(
            "333300000001",
            "02005e102030",
            "86dd",
            "60000000",
            "0020",
            "3aff",
            "20010db8000000000000000000000080",
            "ff020000000000000000000000000001",
            "8800",
            "79ed",
            "20000000",
            "20010db8000000000000000000000080",
            "0201",
            "02005e102030",
        );
        assert_eq!(hex(&frame), expected);
        // Summed with its checksum in place, a message gives zero.
        assert_eq!(icmpv6_checksum(&frame[22..54], &frame[54..]), 0);
    }

    #[test]
    fn a_router_says_so() {
        let frame = unsolicited_advertisement(MAC, Ipv6Addr::LOCALHOST, true);
        assert_eq!(frame[58], 0xa0);
        assert_eq!(icmpv6_checksum(&frame[22..54], &frame[54..]), 0);
    }
}
