//! Characters that have no place in a statement: those that are no text, and those that merely
//! look like blanks and quotation marks.

use super::{Lexer, Token, TokenKind};

impl Lexer<'_, '_, '_> {
    /// Refuses bytes that are not text outside comments, and blanks that are not ASCII blanks.
    pub(super) fn characters(&mut self) {
        let end = self.comment.unwrap_or(self.body.len());
        let control = |byte: &u8| *byte != b'\t' && byte.is_ascii_control();
        if let Some(at) = self.body[..end].iter().position(control) {
            self.faulty = true;
            let what = match self.body[at] {
                b'\r' => "carriage return in the middle of a line".to_owned(),
                byte => format!("control character 0x{byte:02x}"),
            };
            self.report
                .error(self.span(at, at + 1), "control-character", what)
                .hint("remove it; in `send` and `expect` write `\\r`, `\\n` and `\\t`");
        }
        for token in self.tokens.clone() {
            if token.kind == TokenKind::Word {
                self.look_alike(token);
            }
        }
    }

    fn look_alike(&mut self, token: Token) {
        let Ok(word) = std::str::from_utf8(&self.body[token.start..token.end]) else {
            return; // the reader of the value refuses what is not UTF-8, where that matters
        };
        let found = word.char_indices().find_map(|(at, character)| {
            let instead = match character {
                '\u{201c}' | '\u{201d}' | '\u{201e}' => "an ASCII quotation mark `\"`",
                '\u{2018}' | '\u{2019}' => "an ASCII apostrophe",
                '\u{200b}' | '\u{feff}' => "nothing at all",
                _ if !character.is_ascii() && character.is_whitespace() => "an ASCII blank",
                _ => return None,
            };
            Some((at, character, instead))
        });
        if let Some((at, character, instead)) = found {
            self.faulty = true;
            let start = token.start + at;
            self.report
                .error(
                    self.span(start, start + character.len_utf8()),
                    "look-alike",
                    format!("character U+{:04X} outside quotes", u32::from(character)),
                )
                .hint(format!(
                    "it looks like {instead}: put that in its place (text copied from a web page \
                     or a word processor?)"
                ));
        }
    }
}
