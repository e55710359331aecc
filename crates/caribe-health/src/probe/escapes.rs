//! The backslashes of Piranha's `send` and `expect`.

/// Replaces `\\`, `\n`, `\r`, `\t`, `\'` and `\"`. Any other sequence stays as it is, so that a
/// regular expression may say `\.`; in Piranha it made nanny loop for ever.
pub fn expand(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'\\' {
            bytes.push(byte);
            continue;
        }
        match rest.next() {
            Some(b'n') => bytes.push(b'\n'),
            Some(b'r') => bytes.push(b'\r'),
            Some(b't') => bytes.push(b'\t'),
            Some(same @ (b'\\' | b'\'' | b'"')) => bytes.push(same),
            Some(other) => bytes.extend([b'\\', other]),
            None => bytes.push(b'\\'),
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_known_sequences_are_replaced() {
        assert_eq!(
            expand(r#"GET / HTTP/1.0\r\n\r\n\t\\\'\""#),
            b"GET / HTTP/1.0\r\n\r\n\t\\'\""
        );
    }

    #[test]
    fn unknown_sequences_stay() {
        assert_eq!(expand(r"1\.0 \d\q\"), br"1\.0 \d\q\");
        assert_eq!(expand(r"\é"), r"\é".as_bytes());
    }

    proptest! {
        #[test]
        fn text_without_backslashes_stays(text in "[^\\\\]*") {
            prop_assert_eq!(expand(&text), text.as_bytes());
        }

        #[test]
        fn nothing_grows(text in ".*") {
            prop_assert!(expand(&text).len() <= text.len());
        }
    }
}
