//! Addresses as they are typed: `host`, `host:port`, `[v6]:port`, and a v6 address alone.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::number::{self, is_space};
use crate::{Names, Protocol};

/// An address with the port, if one was typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) address: IpAddr,
    pub(crate) port: Option<u16>,
}

/// Reads an address; a port's name is one of `protocol`, and without a protocol ports have none.
pub(crate) fn place(text: &str, protocol: Option<Protocol>, names: &dyn Names) -> Option<Place> {
    // Most likely a port without its address. That is also no address when it is empty.
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (host, rest) = rest.split_once(']')?;
            (host, Some(rest.strip_prefix(':')?))
        }
        None => (text, None),
    };
    let (address, port) = match host.parse::<Ipv6Addr>() {
        Ok(address) => (IpAddr::V6(address), port),
        Err(_) => {
            // What stood behind brackets that hold no IPv6 address counts for nothing: ipvsadm
            // reads the inside of `[192.0.2.1]:80` as if it stood alone.
            let (host, port) = match host.rsplit_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (host, None),
            };
            (IpAddr::V4(host_v4(host, names)?), port)
        }
    };
    let port = match port {
        None => None,
        Some(text) => Some(port_number(text, protocol, names)?),
    };
    Some(Place { address, port })
}

fn port_number(text: &str, protocol: Option<Protocol>, names: &dyn Names) -> Option<u16> {
    match number::within(text, 0, u64::from(u16::MAX)) {
        Some(number) => u16::try_from(number).ok(),
        None => names.port(protocol?, text),
    }
}

/// An IPv4 address in numbers, or that of a host.
pub(crate) fn host_v4(text: &str, names: &dyn Names) -> Option<Ipv4Addr> {
    inet_aton(text).or_else(|| names.address(text).filter(|_| !text.is_empty()))
}

/// One to four numbers, decimal, octal (`010`) or hexadecimal (`0x8`), the last of which fills
/// what is left of the address; a blank ends it (the C library's `inet_aton`).
pub(crate) fn inet_aton(text: &str) -> Option<Ipv4Addr> {
    let text = text.split(is_space).next().unwrap_or_default();
    let parts: Vec<&str> = text.split('.').collect();
    let (last, first) = parts.split_last()?;
    if first.len() > 3 {
        return None;
    }
    let mut bits = 0u64;
    for (position, part) in first.iter().enumerate() {
        let part = c_number(part).filter(|part| *part <= 0xff)?;
        bits |= part << (24 - 8 * position);
    }
    let room = 32 - 8 * first.len();
    let rest = c_number(last).filter(|rest| *rest >> room == 0)?;
    u32::try_from(bits | rest).ok().map(Ipv4Addr::from_bits)
}

fn c_number(text: &str) -> Option<u64> {
    let (digits, radix) = match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(digits) => (digits, 16),
        None if text.starts_with('0') => (text, 8),
        None => (text, 10),
    };
    // The parser of numbers would take a sign as well.
    if !digits.chars().all(|digit| digit.is_digit(radix)) {
        return None;
    }
    u64::from_str_radix(digits, radix).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Numeric;

    #[test]
    fn numbers_of_ipv4_as_the_c_library_reads_them() {
        for (text, address) in [
            ("10.1", Some([10, 0, 0, 1])),
            ("010.0.0.1", Some([8, 0, 0, 1])),
            ("0x7f.1", Some([127, 0, 0, 1])),
            ("167772161", Some([10, 0, 0, 1])),
            ("1.2.3", Some([1, 2, 0, 3])),
            ("1.2.65535", Some([1, 2, 255, 255])),
            ("1.2.3.4 x", Some([1, 2, 3, 4])),
            ("24", Some([0, 0, 0, 24])),
            ("0", Some([0, 0, 0, 0])),
            ("1.2.3.4.5", None),
            ("1.2.3.256", None),
            ("256.1.1.1", None),
            ("1.16777216", None),
            ("4294967296", None),
            ("08.1", None),
            ("0x", None),
            ("1.", None),
            (".1", None),
            ("+1", None),
            ("", None),
        ] {
            assert_eq!(inet_aton(text), address.map(Ipv4Addr::from), "{text:?}");
        }
    }

    #[test]
    fn the_forms_of_a_place() {
        let read = |text| place(text, Some(Protocol::Tcp), &Numeric);
        let expect = |address: &str, port| {
            Some(Place {
                address: address.parse().expect("an address"),
                port,
            })
        };
        assert_eq!(read("10.0.0.1"), expect("10.0.0.1", None));
        assert_eq!(read("10.0.0.1:80"), expect("10.0.0.1", Some(80)));
        assert_eq!(read("[2001:db8::1]:80"), expect("2001:db8::1", Some(80)));
        assert_eq!(read("2001:db8::1"), expect("2001:db8::1", None));
        assert_eq!(read("[10.0.0.1]:80"), expect("10.0.0.1", None));
        assert_eq!(read("[10.0.0.1:90]:80"), expect("10.0.0.1", Some(90)));
        for bad in [
            "",
            "80",
            "10.0.0.1:",
            "10.0.0.1:x",
            "10.0.0.1:65536",
            "10.0.0.1:0x50",
            "[::1]",
            "[::1]:",
            "[::1]80",
            "[::1",
            "[]:80",
            "host:80",
            "10.0.0.1:80:90",
        ] {
            assert_eq!(read(bad), None, "{bad:?}");
        }
    }
}
