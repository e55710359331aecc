//! Bytes to send or to expect.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Bytes that are written as text wherever a person reads them: printable ASCII as it is, the
/// rest as `\r`, `\n`, `\t`, `\\` or `\xNN`.
#[derive(Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Octets(Vec<u8>);

/// Text that is not in the form of [`Octets`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OctetsError {
    /// A backslash without one of the known letters behind it.
    #[error("`\\{0}` is no escape; known are \\r \\n \\t \\0 \\\\ \\' \\\" and \\xNN")]
    Escape(String),
}

impl Octets {
    /// These bytes.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Octets {
        Octets(bytes.into())
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Reads the written form.
    ///
    /// # Errors
    ///
    /// A backslash must begin a known escape.
    pub fn parse(text: &str) -> Result<Octets, OctetsError> {
        let mut bytes = Vec::with_capacity(text.len());
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('\\') {
            bytes.extend(before.as_bytes());
            let (byte, length) = escape(after).ok_or_else(|| {
                let length = if after.starts_with('x') { 3 } else { 1 };
                OctetsError::Escape(after.chars().take(length).collect())
            })?;
            bytes.push(byte);
            rest = &after[length..];
        }
        bytes.extend(rest.as_bytes());
        Ok(Octets(bytes))
    }
}

/// The byte that is meant, and how many bytes of text say it.
fn escape(text: &str) -> Option<(u8, usize)> {
    let byte = match *text.as_bytes().first()? {
        b'r' => b'\r',
        b'n' => b'\n',
        b't' => b'\t',
        b'0' => 0,
        same @ (b'\\' | b'\'' | b'"') => same,
        b'x' => {
            let digits = text.get(1..3)?;
            // `from_str_radix` would take a sign.
            if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
                return None;
            }
            return Some((u8::from_str_radix(digits, 16).ok()?, 3));
        }
        _ => return None,
    };
    Some((byte, 1))
}

impl fmt::Display for Octets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.escape_ascii())
    }
}

impl fmt::Debug for Octets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.0.escape_ascii())
    }
}

impl From<&str> for Octets {
    /// The text's own bytes; nothing is an escape.
    fn from(text: &str) -> Octets {
        Octets(text.into())
    }
}

impl TryFrom<String> for Octets {
    type Error = OctetsError;

    fn try_from(text: String) -> Result<Octets, OctetsError> {
        Octets::parse(&text)
    }
}

impl From<Octets> for String {
    fn from(octets: Octets) -> String {
        octets.to_string()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn escapes_are_read() {
        let octets = Octets::parse(r"GET / HTTP/1.0\r\n\x00\0\\\'").expect("read");
        assert_eq!(octets.as_bytes(), b"GET / HTTP/1.0\r\n\0\0\\'");
    }

    #[test]
    fn what_is_no_escape_is_refused() {
        for text in [r"\", r"\q", r"\x1", r"\xg0", r"\x+1", r"\é", r"\xé"] {
            assert!(Octets::parse(text).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(bytes: Vec<u8>) {
            let octets = Octets::new(bytes);
            prop_assert_eq!(Octets::parse(&octets.to_string()), Ok(octets));
        }

        #[test]
        fn any_text_is_read_or_refused(text in ".*") {
            let _ = Octets::parse(&text);
        }
    }
}
