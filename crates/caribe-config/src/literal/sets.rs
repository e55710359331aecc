//! Values that stand for several: networks, lists of ports, limits.

use std::net::IpAddr;

use caribe_model::MssClamp;

use crate::network::Network;
use crate::port_set::PortSet;

use super::{Host, host};

/// The kernel's smallest maximum segment size (`TCP_MIN_MSS`).
pub(crate) const SMALLEST_MSS: u16 = 88;
/// What the largest IPv4 packet leaves behind headers of 20 bytes each.
pub(crate) const LARGEST_MSS: u16 = 65_495;

/// A network, with what its writing may have hidden.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct WrittenNetwork {
    pub(crate) network: Network,
    /// There are bits behind the prefix, which do not count.
    pub(crate) has_host_bits: bool,
}

/// Reads an address, or an address with the length of a prefix.
///
/// What it refuses comes back as a hint.
pub(crate) fn network(text: &[u8]) -> Result<WrittenNetwork, &'static str> {
    const LENGTH: &str = "the length of a prefix is at most 32 for IPv4 and 128 for IPv6";
    let at = text.iter().position(|byte| *byte == b'/');
    let (before, length) = match at {
        Some(at) => (&text[..at], Some(&text[at + 1..])),
        None => (text, None),
    };
    let address = match host(before)? {
        Host::Address(address) => address,
        Host::Name(_) => return Err("a host name cannot be used here: write its address"),
    };
    let full = match address {
        IpAddr::V4(_) => 32,
        IpAddr::V6(_) => 128,
    };
    let length = match length {
        None => full,
        Some(digits) if digits.contains(&b'.') => {
            return Err("write the length of the prefix, e.g. `192.0.2.0/24`");
        }
        Some(digits) => plain_number(digits)
            .and_then(|length| u8::try_from(length).ok())
            .ok_or(LENGTH)?,
    };
    let network = Network::new(address, length).ok_or(LENGTH)?;
    Ok(WrittenNetwork {
        network,
        has_host_bits: network.address() != address,
    })
}

/// Reads port numbers and ranges of them, as in `80,443,1024-65535`.
///
/// What it refuses comes back as a hint.
pub(crate) fn ports(text: &[u8]) -> Result<PortSet, &'static str> {
    const USUAL: &str = "write numbers from 0 to 65535 and ranges, such as `80,443,1024-65535`, \
                         without blanks";
    let text = std::str::from_utf8(text).map_err(|_| USUAL)?;
    if text.contains(':') {
        return Err("a range is written with `-`, as in `1024-65535`");
    }
    let ranges = text.split(',').map(|piece| {
        let (first, last) = piece.split_once('-').unwrap_or((piece, piece));
        let port = |text: &str| {
            plain_number(text.as_bytes())
                .and_then(|number| u16::try_from(number).ok())
                .ok_or(USUAL)
        };
        match (port(first)?, port(last)?) {
            (first, last) if first > last => Err("a range begins with its smaller port"),
            (first, last) => Ok(first..=last),
        }
    });
    let ranges = ranges.collect::<Result<Vec<_>, _>>()?;
    match PortSet::new(ranges).ok_or(USUAL)? {
        set if set.ranges().len() > PortSet::MAX_RANGES => {
            Err("at most 64 ranges are taken: put the others into a block of their own")
        }
        set => Ok(set),
    }
}

/// Reads a limit of the maximum segment size: `auto`, 0, or bytes.
pub(crate) fn mss(text: &[u8]) -> Option<MssClamp> {
    if text == b"auto" {
        return Some(MssClamp::Auto);
    }
    match u16::try_from(plain_number(text)?).ok()? {
        0 => Some(MssClamp::Off),
        bytes @ SMALLEST_MSS..=LARGEST_MSS => Some(MssClamp::Bytes(bytes)),
        _ => None,
    }
}

/// Up to nine decimal digits.
fn plain_number(text: &[u8]) -> Option<u32> {
    let plain = (1..=9).contains(&text.len()) && text.iter().all(u8::is_ascii_digit);
    let text = std::str::from_utf8(text).ok().filter(|_| plain)?;
    text.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_are_addresses_or_prefixes() {
        let read = |text: &str| {
            network(text.as_bytes()).map(|read| (read.network.to_string(), read.has_host_bits))
        };
        let plain = |text: &str| Ok((text.to_owned(), false));
        assert_eq!(read("192.0.2.1"), plain("192.0.2.1"));
        assert_eq!(read("192.0.2.0/24"), plain("192.0.2.0/24"));
        assert_eq!(read("192.0.2.9/24"), Ok(("192.0.2.0/24".to_owned(), true)));
        assert_eq!(read("192.0.2.1/32"), plain("192.0.2.1"));
        assert_eq!(read("0.0.0.0/0"), plain("0.0.0.0/0"));
        assert_eq!(read("2001:db8::/64"), plain("2001:db8::/64"));
        for bad in [
            "",
            "/",
            "/24",
            "192.0.2.0/",
            "192.0.2.0/33",
            "192.0.2.0/-1",
            "192.0.2.0/ 24",
            "192.0.2.0/24/1",
            "192.0.2.0/255.255.255.0",
            "::/129",
            "web.example/24",
            "::1%lo/64",
            "192.0.2.0/99999999999",
        ] {
            assert!(network(bad.as_bytes()).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn ports_are_numbers_and_ranges() {
        let read = |text: &str| ports(text.as_bytes()).map(|ports| ports.to_string());
        assert_eq!(read("80"), Ok("80".to_owned()));
        assert_eq!(
            read("443,80,1024-65535"),
            Ok("80,443,1024-65535".to_owned())
        );
        assert_eq!(read("0-65535"), Ok("0-65535".to_owned()));
        assert_eq!(read("80,80-82"), Ok("80-82".to_owned()));
        for bad in [
            "", ",", "80,", "-", "80-", "-80", "9-8", "65536", "80:90", "http", "0x50", "1-2-3",
            "80 443", "+80", "\u{661}",
        ] {
            assert!(read(bad).is_err(), "{bad:?}");
        }
        let odd = |count: u16| {
            (0..count)
                .map(|at| (2 * at + 1).to_string())
                .collect::<Vec<_>>()
        };
        assert!(read(&odd(64).join(",")).is_ok());
        assert!(read(&odd(65).join(",")).is_err());
    }

    #[test]
    fn segment_sizes_have_bounds() {
        assert_eq!(mss(b"auto"), Some(MssClamp::Auto));
        assert_eq!(mss(b"0"), Some(MssClamp::Off));
        assert_eq!(mss(b"88"), Some(MssClamp::Bytes(88)));
        assert_eq!(mss(b"65495"), Some(MssClamp::Bytes(65_495)));
        for bad in ["", "87", "65496", "-1", "Auto", "1460b"] {
            assert_eq!(mss(bad.as_bytes()), None, "{bad:?}");
        }
    }
}
