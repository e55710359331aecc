//! Texts in quotation marks.

use crate::Mode;
use crate::diagnostic::shown;

use super::{Lexer, TokenKind, is_blank};

impl Lexer<'_, '_, '_> {
    pub(super) fn quoted(&mut self, quote: u8) {
        let start = self.at;
        self.at += 1;
        loop {
            match (self.peek(), self.body.get(self.at + 1).copied()) {
                (None, _) => return self.unterminated(start, quote),
                (Some(b'\\'), Some(b'\\')) => self.at += 2,
                (Some(b'\\'), Some(next)) if next == quote => {
                    self.report
                        .strict(
                            self.span(self.at, self.at + 2),
                            "strict-escaped-quote",
                            "quotation mark inside a quoted text: old Piranha ends the text here \
                             and refuses the line",
                        )
                        .hint("there is no way to write this for old Piranha");
                    self.at += 2;
                }
                (Some(byte), _) if byte == quote => break,
                (Some(_), _) => self.at += 1,
            }
        }
        self.at += 1;
        self.push(TokenKind::Quoted(quote), start, self.at);
        if self.peek().is_some_and(|byte| !is_blank(byte)) {
            self.faulty = true;
            let from = self.at;
            while self.peek().is_some_and(|byte| !is_blank(byte)) {
                self.at += 1;
            }
            let text = shown(&self.body[from..self.at]);
            self.report
                .error(
                    self.span(from, self.at),
                    "text-after-quote",
                    format!("unexpected {text} right behind a quoted text"),
                )
                .hint("inside a quoted text write a quotation mark as `\\\"`");
            return;
        }
        self.quoted_as_piranha_reads_it(start, quote);
    }

    fn quoted_as_piranha_reads_it(&mut self, start: usize, quote: u8) {
        let token = self.span(start, self.at);
        let inner = &self.body[start + 1..self.at - 1];
        if !inner.iter().any(|byte| is_blank(*byte)) && self.peek().is_some() {
            self.report
                .strict(
                    token,
                    "strict-blank-after-quote",
                    "blank behind a quoted text that has no blank inside: old Piranha refuses it",
                )
                .hint("end the line right behind the quotation mark");
        }
        if quote == b'\'' && self.report.mode() == Mode::Strict {
            self.report
                .warning(
                    token,
                    "strict-single-quotes",
                    "text in single quotes: old Piranha keeps the quotes as a part of the text",
                )
                .hint("use double quotes");
        }
    }

    fn unterminated(&mut self, start: usize, quote: u8) {
        self.faulty = true;
        self.push(TokenKind::Word, start, self.at);
        let escaped = self.body.ends_with(&[b'\\', quote]);
        let quote = char::from(quote);
        self.report
            .error(
                self.span(start, start + 1),
                "unterminated-quote",
                format!("the text that begins with this {quote} has no {quote} at its end"),
            )
            .hint(if escaped {
                format!(
                    "`\\{quote}` at the end is a quotation mark inside the text; \
                     for a backslash at the end write `\\\\`"
                )
            } else {
                format!("close it with {quote} on the same line")
            });
    }
}
