//! What the operator is shown: short, and fit for any terminal, log and web page.

use std::fmt::{self, Write};

use serde::{Deserialize, Serialize};

/// A line of text, parts of which a server may have chosen: at most [`Text::LONGEST`] bytes,
/// without control characters or anything that changes how the rest is shown.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(from = "String")]
pub struct Text(String);

impl Text {
    /// In bytes, the mark of a cut included.
    pub const LONGEST: usize = 300;

    /// What a cut text ends with.
    const CUT: &'static str = "...";

    /// Makes whatever is displayed fit.
    pub fn new(shown: impl fmt::Display) -> Text {
        let mut writer = Writer {
            text: String::new(),
            cut: false,
        };
        // It only fails to stop a text that is long enough.
        let _ = write!(writer, "{shown}");
        let mut text = writer.text;
        if writer.cut {
            text.push_str(Text::CUT);
        }
        Text(text)
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl From<String> for Text {
    fn from(text: String) -> Text {
        Text::new(text)
    }
}

/// Escapes, and stops when full, so that no text costs more than its first bytes.
struct Writer {
    text: String,
    cut: bool,
}

impl Writer {
    fn push(&mut self, escaped: impl Iterator<Item = char> + Clone) -> fmt::Result {
        let size: usize = escaped.clone().map(char::len_utf8).sum();
        if self.text.len() + size > Text::LONGEST - Text::CUT.len() {
            self.cut = true;
            return Err(fmt::Error);
        }
        self.text.extend(escaped);
        Ok(())
    }
}

impl Write for Writer {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for character in text.chars() {
            if is_harmless(character) {
                self.push(std::iter::once(character))?;
            } else {
                self.push(character.escape_default())?;
            }
        }
        Ok(())
    }
}

/// Letters, digits and ASCII's own signs. The rest of Unicode has characters that reorder, hide
/// or combine.
fn is_harmless(character: char) -> bool {
    character == ' ' || character.is_ascii_graphic() || character.is_alphanumeric()
}

/// Bytes from a server, as quoted text: what is no UTF-8 is shown in hexadecimal.
#[derive(Debug, Clone, Copy)]
pub(super) struct Quoted<'a>(pub(super) &'a [u8]);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        /// No text shows more.
        const MOST: usize = 80;
        let (shown, rest) = self.0.split_at(self.0.len().min(MOST));
        f.write_char('`')?;
        for chunk in shown.utf8_chunks() {
            for character in chunk.valid().chars() {
                if is_harmless(character) {
                    f.write_char(character)?;
                } else {
                    write!(f, "{}", character.escape_default())?;
                }
            }
            for byte in chunk.invalid() {
                write!(f, "\\x{byte:02x}")?;
            }
        }
        f.write_char('`')?;
        if !rest.is_empty() {
            write!(f, " and {} bytes more", rest.len())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn nothing_gets_through_that_moves_the_cursor_or_turns_the_text() {
        let text = Text::new("a\x1b[2J\r\nb\u{202e}c é 東");
        assert_eq!(text.as_str(), "a\\u{1b}[2J\\r\\nb\\u{202e}c é 東");
    }

    #[test]
    fn a_long_text_is_cut_and_says_so() {
        let text = Text::new("x".repeat(1 << 20));
        assert_eq!(text.as_str().len(), Text::LONGEST);
        assert!(text.as_str().ends_with("x..."));
    }

    #[test]
    fn bytes_are_quoted_with_what_is_no_text_in_hexadecimal() {
        assert_eq!(
            Quoted(b"HTTP/1.0 200\r\n\xff").to_string(),
            "`HTTP/1.0 200\\r\\n\\xff`"
        );
        let long = Quoted(&[b'a'; 100]).to_string();
        assert!(long.ends_with("a` and 20 bytes more"), "{long}");
    }

    proptest! {
        #[test]
        fn every_text_is_bounded_and_harmless(text in ".*") {
            let text = Text::new(&text);
            prop_assert!(text.as_str().len() <= Text::LONGEST);
            prop_assert!(text.as_str().chars().all(is_harmless));
        }

        #[test]
        fn a_text_that_fits_once_fits_again(text in ".*") {
            let once = Text::new(&text);
            prop_assert_eq!(Text::new(&once), once);
        }
    }
}
