//! Single values as text: numbers, addresses, masks, names of interfaces. Pure functions; what
//! they refuse is reported by [`crate::settings`].

mod monitors;
mod sets;

use std::net::{IpAddr, Ipv4Addr};

pub(crate) use monitors::{header, is_name, is_url_path, regex_fault, statuses, time};
pub(crate) use sets::{LARGEST_MSS, SMALLEST_MSS, mss, network, ports};

/// Bytes of an interface's name or label, the kernel's `IFNAMSIZ` without its closing zero.
pub(crate) const INTERFACE_NAME_MAX: usize = 15;

/// A whole number, with what its writing may have hidden.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Integer {
    pub(crate) value: i64,
    /// It has a leading 0, and that changes its value.
    pub(crate) surprisingly_octal: bool,
}

/// Why a text is no whole number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NotAnInteger {
    /// Other characters than digits.
    Malformed,
    /// A leading 0 makes it octal, and there is an 8 or a 9.
    NotOctal,
    /// Beyond 64 bits.
    TooLarge,
}

/// Reads a whole number as C does with base 0.
pub(crate) fn integer(text: &[u8]) -> Result<Integer, NotAnInteger> {
    let text = std::str::from_utf8(text).map_err(|_| NotAnInteger::Malformed)?;
    let (negative, digits) = match text.as_bytes() {
        [b'-', ..] => (true, &text[1..]),
        [b'+', ..] => (false, &text[1..]),
        _ => (false, text),
    };
    let (radix, digits) = match digits.as_bytes() {
        [b'0', b'x' | b'X', ..] => (16, &digits[2..]),
        [b'0', _, ..] => (8, &digits[1..]),
        _ => (10, digits),
    };
    let all = |radix| !digits.is_empty() && digits.chars().all(|c| c.is_digit(radix));
    if !all(radix) {
        return Err(match radix == 8 && all(10) {
            true => NotAnInteger::NotOctal,
            false => NotAnInteger::Malformed,
        });
    }
    let magnitude = i128::from_str_radix(digits, radix).map_err(|_| NotAnInteger::TooLarge)?;
    let value = i64::try_from(if negative { -magnitude } else { magnitude })
        .map_err(|_| NotAnInteger::TooLarge)?;
    Ok(Integer {
        value,
        surprisingly_octal: radix == 8 && magnitude > 7,
    })
}

/// What a text that should name a host is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Host {
    /// An address.
    Address(IpAddr),
    /// A name to resolve.
    Name(String),
}

/// Reads an address or the name of a host.
///
/// What it refuses comes back as a hint.
pub(crate) fn host(text: &[u8]) -> Result<Host, &'static str> {
    const USUAL: &str = "write an IPv4 address such as 192.0.2.1, an IPv6 address or a host name";
    let text = std::str::from_utf8(text).map_err(|_| USUAL)?;
    match text.parse::<IpAddr>() {
        Ok(IpAddr::V6(address)) if address.to_ipv4_mapped().is_some() => {
            return Err("write it as the IPv4 address that it stands for");
        }
        Ok(address) => return Ok(Host::Address(address)),
        Err(_) => {}
    }
    if text.contains('/') {
        return Err("write the address alone; the length of the prefix is a key of its own");
    }
    if text.starts_with('[') {
        return Err("write the IPv6 address without brackets; the port is a key of its own");
    }
    if text.contains('%') {
        return Err("an address with a zone cannot be used: take a global or unique local one");
    }
    if let Some((before, port)) = text.split_once(':')
        && before.parse::<Ipv4Addr>().is_ok()
        && port.parse::<u16>().is_ok()
    {
        return Err("write the address alone; the port is a key of its own");
    }
    if text.contains(':') {
        return Err("an IPv6 address has up to eight groups of hexadecimal digits");
    }
    if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit() || b == b'.') {
        return Err("an IPv4 address has four numbers from 0 to 255, without leading zeros");
    }
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
    };
    let name = text.strip_suffix('.').unwrap_or(text);
    if name.len() <= 253 && name.split('.').all(label) {
        return Ok(Host::Name(text.to_owned()));
    }
    Err(USUAL)
}

/// A netmask as written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mask {
    /// A dotted IPv4 mask, as the length of its prefix; 0 for 0.0.0.0.
    Dotted(u8),
    /// A length, 0 to 128.
    Length(u8),
}

impl Mask {
    /// The length, when it says one: a mask of 0 leaves it unset.
    pub(crate) fn length(self) -> Option<u8> {
        match self {
            Mask::Dotted(0) | Mask::Length(0) => None,
            Mask::Dotted(length) | Mask::Length(length) => Some(length),
        }
    }
}

/// Why a text is no netmask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NotAMask {
    /// Neither dotted nor a length.
    Malformed,
    /// A 1 behind a 0.
    NotContiguous,
}

/// Reads a netmask.
pub(crate) fn mask(text: &[u8]) -> Result<Mask, NotAMask> {
    let text = std::str::from_utf8(text).map_err(|_| NotAMask::Malformed)?;
    if let Ok(dotted) = text.parse::<Ipv4Addr>() {
        let bits = u32::from(dotted);
        let length = bits.leading_ones();
        return match bits.count_ones() == length {
            true => Ok(Mask::Dotted(length as u8)), // at most 32
            false => Err(NotAMask::NotContiguous),
        };
    }
    let plain = text.bytes().all(|b| b.is_ascii_digit()) && text.len() <= 3;
    match text.parse::<u8>() {
        Ok(length) if plain && length <= 128 => Ok(Mask::Length(length)),
        _ => Err(NotAMask::Malformed),
    }
}

/// Says what is wrong with the name of an interface, or of an alias such as `eth0:1` where one
/// may stand.
pub(crate) fn interface_fault(text: &[u8], alias: bool) -> Option<&'static str> {
    let name = text.split(|byte| *byte == b':').next().unwrap_or_default();
    if text.len() > INTERFACE_NAME_MAX {
        return Some("it has more than 15 characters, the most that the kernel takes");
    }
    if name.is_empty() {
        return Some("it is empty");
    }
    if matches!(name, b"." | b"..") {
        return Some("it names a directory");
    }
    if text
        .iter()
        .any(|byte| !byte.is_ascii_graphic() || *byte == b'/')
    {
        return Some("only printable ASCII characters without `/` can be in it");
    }
    if !alias && text.len() != name.len() {
        return Some("an alias cannot be used here: leave out `:` and what follows");
    }
    if text.last() == Some(&b':') {
        return Some("nothing follows the `:`");
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_are_read_as_in_c() {
        let value = |text: &str| integer(text.as_bytes()).map(|integer| integer.value);
        assert_eq!(value("0"), Ok(0));
        assert_eq!(value("-12"), Ok(-12));
        assert_eq!(value("+7"), Ok(7));
        assert_eq!(value("0x1F"), Ok(31));
        assert_eq!(value("010"), Ok(8));
        assert_eq!(value("9223372036854775807"), Ok(i64::MAX));
        assert_eq!(value("-9223372036854775808"), Ok(i64::MIN));
        assert_eq!(value("9223372036854775808"), Err(NotAnInteger::TooLarge));
        assert_eq!(value("09"), Err(NotAnInteger::NotOctal));
        for bad in ["", "-", "0x", "1x", "1.5", "--1", "-+1", " 1", "ten"] {
            assert_eq!(value(bad), Err(NotAnInteger::Malformed), "{bad:?}");
        }
        assert!(integer(b"010").is_ok_and(|integer| integer.surprisingly_octal));
        assert!(integer(b"07").is_ok_and(|integer| !integer.surprisingly_octal));
    }

    #[test]
    fn masks_are_contiguous() {
        assert_eq!(mask(b"255.255.254.0"), Ok(Mask::Dotted(23)));
        assert_eq!(mask(b"0.0.0.0"), Ok(Mask::Dotted(0)));
        assert_eq!(mask(b"64"), Ok(Mask::Length(64)));
        assert_eq!(mask(b"255.0.255.0"), Err(NotAMask::NotContiguous));
        for bad in ["129", "+24", "255.255.255", "/24", "0024", ""] {
            assert_eq!(mask(bad.as_bytes()), Err(NotAMask::Malformed), "{bad:?}");
        }
    }

    #[test]
    fn hosts_are_addresses_or_well_formed_names() {
        assert_eq!(
            host(b"::1"),
            Ok(Host::Address("::1".parse().expect("valid")))
        );
        assert_eq!(
            host(b"web-1.example."),
            Ok(Host::Name("web-1.example.".to_owned()))
        );
        for bad in [
            "",
            "10.0.0",
            "10.0.0.256",
            "010.0.0.1",
            "1.2.3.4:80",
            "1.2.3.4/24",
            "[::1]",
            "fe80::1%eth0",
            "::g",
            "::ffff:1.2.3.4",
            "a..b",
            "-a",
            "a b",
            "ñ.example",
        ] {
            assert!(host(bad.as_bytes()).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn names_of_interfaces_fit_the_kernel() {
        assert_eq!(interface_fault(b"eth0:1", true), None);
        assert_eq!(interface_fault(b"abcdefghijklmno", true), None);
        for bad in [
            "",
            ":1",
            "eth0:",
            "abcdefghijklmnop",
            "a/b",
            "..",
            "e\x7f",
            "ñ",
        ] {
            assert!(interface_fault(bad.as_bytes(), true).is_some(), "{bad:?}");
        }
        assert!(interface_fault(b"eth0:1", false).is_some());
    }
}
