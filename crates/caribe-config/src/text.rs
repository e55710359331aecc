//! Texts that stand for something else: backslash sequences of `send` and `expect`, command
//! lines.

/// Expands `\\`, `\n`, `\r`, `\t`, `\'` and `\"`, as nanny does. Any other sequence is kept as
/// it is, so that `\.` can be used in a regular expression (nanny never came back from those).
pub(crate) fn expand(text: &[u8]) -> Vec<u8> {
    let mut expanded = Vec::with_capacity(text.len());
    let mut bytes = text.iter().copied();
    while let Some(byte) = bytes.next() {
        if byte != b'\\' {
            expanded.push(byte);
            continue;
        }
        match bytes.next() {
            Some(b'n') => expanded.push(b'\n'),
            Some(b'r') => expanded.push(b'\r'),
            Some(b't') => expanded.push(b'\t'),
            Some(same @ (b'\\' | b'\'' | b'"')) => expanded.push(same),
            Some(other) => expanded.extend([b'\\', other]),
            None => expanded.push(b'\\'),
        }
    }
    expanded
}

/// The same, and `\xHH` for any byte.
pub(crate) fn expand_bytes(text: &[u8]) -> Vec<u8> {
    let mut expanded = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.windows(2).position(|pair| pair[0] == b'\\') {
        let hex = rest.get(at + 2..at + 4).filter(|_| rest[at + 1] == b'x');
        let byte = hex
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()))
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        let end = match byte {
            Some(_) => at + 4,
            None => at + 2,
        };
        match byte {
            Some(byte) => {
                expanded.extend(&rest[..at]);
                expanded.push(byte);
            }
            None => expanded.extend(expand(&rest[..end])),
        }
        rest = &rest[end..];
    }
    expanded.extend(rest);
    expanded
}

/// The words of a command line, split at blanks as nanny does, without quotation.
pub(crate) fn words(line: &str) -> Vec<String> {
    line.split([' ', '\t'])
        .filter(|word| !word.is_empty())
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_sequences_are_expanded_and_others_kept() {
        assert_eq!(expand(br#"a\r\n\t\\\'\"z"#), b"a\r\n\t\\'\"z");
        assert_eq!(expand(br"HTTP/1\.[01]\"), br"HTTP/1\.[01]\");
        assert_eq!(expand(br"\\n"), br"\n");
    }

    #[test]
    fn any_byte_can_be_written() {
        assert_eq!(expand_bytes(br"a\x00\xfFb\n"), b"a\x00\xffb\n");
        assert_eq!(expand_bytes(br"\\x41\x41"), br"\x41A");
        assert_eq!(expand_bytes(br"\xg1 \x4"), br"\xg1 \x4");
        assert_eq!(expand_bytes(br"\x+1\"), br"\x+1\");
    }
}
