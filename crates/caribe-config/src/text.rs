//! Backslash sequences of `send` and `expect`.

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_sequences_are_expanded_and_others_kept() {
        assert_eq!(expand(br#"a\r\n\t\\\'\"z"#), b"a\r\n\t\\'\"z");
        assert_eq!(expand(br"HTTP/1\.[01]\"), br"HTTP/1\.[01]\");
        assert_eq!(expand(br"\\n"), br"\n");
    }
}
