//! One line of text to tokens. Nothing here knows a key.
//!
//! The lexer always reads leniently; what old Piranha would have refused or misread is reported
//! on the way when the report is strict (see [`crate::diagnostic::Report::strict`]).

mod characters;
mod quoted;

use crate::diagnostic::{Report, shown};
use crate::source::{Source, Span};

/// Most tokens that Piranha's parser takes on one line.
const PIRANHA_MAX_TOKENS: usize = 99;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TokenKind {
    /// Anything without blanks.
    Word,
    /// Text between two of this quotation mark, which are part of the token.
    Quoted(u8),
    /// The `=` between key and values.
    Equals,
    /// `{` at the end of a block's first line.
    OpenBrace,
    /// `}` at the start of a line.
    CloseBrace,
}

/// A token, by its place inside its line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) kind: TokenKind,
    pub(crate) start: usize,
    pub(crate) end: usize,
}

/// A line with its tokens; comment, blanks and line end are what lies between and after them.
#[derive(Debug, Clone)]
pub(crate) struct Line {
    /// Offset in the source from which the line was read.
    pub(crate) start: usize,
    /// The bytes, line end included.
    pub(crate) text: Vec<u8>,
    pub(crate) tokens: Vec<Token>,
    /// Something was refused; the tokens are not to be trusted.
    pub(crate) faulty: bool,
}

impl Line {
    pub(crate) fn bytes(&self, token: Token) -> &[u8] {
        &self.text[token.start..token.end]
    }

    pub(crate) fn span(&self, token: Token) -> Span {
        Span::new(self.start + token.start, self.start + token.end)
    }

    /// From the first token to the last.
    pub(crate) fn tokens_span(&self) -> Span {
        match (self.tokens.first(), self.tokens.last()) {
            (Some(first), Some(last)) => self.span(*first).to(self.span(*last)),
            _ => Span::new(self.start, self.start),
        }
    }

    /// The end of the last token: where something is missing.
    pub(crate) fn after_tokens(&self) -> Span {
        let end = self.tokens_span().end;
        Span::new(end, end)
    }
}

/// The text of a token without its quotation marks; a quotation mark of the same kind may stand
/// in it as `\"` (or `\'`), every other backslash is kept.
pub(crate) fn unquoted(kind: TokenKind, bytes: &[u8]) -> Vec<u8> {
    let TokenKind::Quoted(quote) = kind else {
        return bytes.to_vec();
    };
    let inner = &bytes[1..bytes.len() - 1];
    let mut text = Vec::with_capacity(inner.len());
    let mut at = 0;
    while let Some(byte) = inner.get(at) {
        match (byte, inner.get(at + 1)) {
            (b'\\', Some(next)) if *next == quote => {
                text.push(quote);
                at += 2;
            }
            (b'\\', Some(b'\\')) => {
                text.extend(b"\\\\");
                at += 2;
            }
            _ => {
                text.push(*byte);
                at += 1;
            }
        }
    }
    text
}

/// Reads one line, `start` being its offset in the source and `text` its bytes with line end.
pub(crate) fn lex(start: usize, text: &[u8], report: &mut Report<'_>) -> Line {
    let body = text.strip_suffix(b"\n").unwrap_or(text);
    let body = body.strip_suffix(b"\r").unwrap_or(body);
    let mut lexer = Lexer {
        body,
        start,
        at: 0,
        tokens: Vec::new(),
        comment: None,
        faulty: false,
        report,
    };
    if body.len() > Source::MAX_LINE {
        let blanks = body.iter().take_while(|byte| is_blank(**byte)).count();
        if body.get(blanks) != Some(&b'#') {
            lexer.too_long();
        }
    } else {
        lexer.line();
        lexer.characters();
    }
    Line {
        start,
        text: text.to_vec(),
        tokens: lexer.tokens,
        faulty: lexer.faulty,
    }
}

struct Lexer<'l, 'r, 's> {
    body: &'l [u8],
    start: usize,
    at: usize,
    tokens: Vec<Token>,
    /// Where a comment begins.
    comment: Option<usize>,
    faulty: bool,
    report: &'r mut Report<'s>,
}

impl Lexer<'_, '_, '_> {
    fn line(&mut self) {
        self.skip_blanks();
        match self.peek() {
            None => return,
            Some(b'#') => {
                self.comment = Some(self.at);
                return;
            }
            Some(b'}') => self.single(TokenKind::CloseBrace),
            Some(b'{') => self.single(TokenKind::OpenBrace),
            Some(b'=') => self.equals(),
            Some(_) => {
                self.token(|byte| is_blank(byte) || matches!(byte, b'=' | b'{'));
                self.skip_blanks();
                if self.peek() == Some(b'=') {
                    self.equals();
                }
            }
        }
        let statement = self
            .tokens
            .last()
            .is_some_and(|token| token.kind == TokenKind::Equals);
        while self.another_token() {
            match self.peek() {
                Some(b'{') if !statement => {
                    self.single(TokenKind::OpenBrace);
                    self.blank_before_brace();
                }
                _ if statement => self.token(is_blank),
                _ => self.token(|byte| is_blank(byte) || byte == b'{'),
            }
        }
        if self.tokens.len() > PIRANHA_MAX_TOKENS {
            let line = Span::new(self.start, self.start + self.body.len());
            self.report.strict(
                line,
                "strict-tokens",
                format!(
                    "{} words on one line: old Piranha takes at most {PIRANHA_MAX_TOKENS}",
                    self.tokens.len()
                ),
            );
        }
    }

    /// Skips blanks and a comment; false at the end of the line.
    fn another_token(&mut self) -> bool {
        let before = self.at;
        self.skip_blanks();
        match self.peek() {
            None => false,
            Some(b'#') if self.at > before || self.last_kind() == Some(TokenKind::Equals) => {
                self.comment = Some(self.at);
                self.report
                    .strict(
                        self.span(self.at, self.body.len()),
                        "strict-comment",
                        "comment behind a statement: old Piranha takes it for further values \
                         and refuses the line",
                    )
                    .hint("put the comment on a line of its own");
                false
            }
            Some(_) => true,
        }
    }

    fn equals(&mut self) {
        let at = self.at;
        let before = at > 0 && is_blank(self.body[at - 1]);
        let after = self.body.get(at + 1).is_some_and(|byte| is_blank(*byte));
        self.single(TokenKind::Equals);
        if !before || !after {
            self.report
                .strict(
                    self.span(at, at + 1),
                    "strict-blanks",
                    "no blank before or after `=`: old Piranha does not see the `=`",
                )
                .hint("write `key = value`");
        }
    }

    fn blank_before_brace(&mut self) {
        let at = self.at - 1;
        if at > 0 && !is_blank(self.body[at - 1]) {
            self.report
                .strict(
                    self.span(at, at + 1),
                    "strict-blanks",
                    "no blank before `{`: old Piranha takes it for a part of the name",
                )
                .hint("write `virtual NAME {`");
        }
    }

    fn single(&mut self, kind: TokenKind) {
        self.push(kind, self.at, self.at + 1);
        self.at += 1;
    }

    /// A word up to a byte that `ends` it, or a quoted text.
    fn token(&mut self, ends: impl Fn(u8) -> bool) {
        let start = self.at;
        let first = self.body[start]; // callers have peeked: there is a byte
        if matches!(first, b'"' | b'\'') {
            return self.quoted(first);
        }
        while self.peek().is_some_and(|byte| !ends(byte)) {
            self.at += 1;
        }
        self.push(TokenKind::Word, start, self.at);
        let word = &self.body[start..self.at];
        if let Some(quote) = word.iter().position(|byte| matches!(byte, b'"' | b'\'')) {
            self.faulty = true;
            self.report
                .error(
                    self.span(start + quote, start + quote + 1),
                    "quote-in-word",
                    format!("quotation mark inside the word {}", shown(word)),
                )
                .hint("put quotation marks round the whole value; inside it write `\\\"`");
        }
    }

    fn too_long(&mut self) {
        self.faulty = true;
        self.report
            .error(
                self.span(0, 0),
                "line-too-long",
                format!(
                    "the line has {} bytes: at most {} are accepted",
                    self.body.len(),
                    Source::MAX_LINE
                ),
            )
            .hint("is this a text file?");
    }

    fn push(&mut self, kind: TokenKind, start: usize, end: usize) {
        self.tokens.push(Token { kind, start, end });
    }

    fn last_kind(&self) -> Option<TokenKind> {
        self.tokens.last().map(|token| token.kind)
    }

    fn skip_blanks(&mut self) {
        while self.peek().is_some_and(is_blank) {
            self.at += 1;
        }
    }

    fn peek(&self) -> Option<u8> {
        self.body.get(self.at).copied()
    }

    fn span(&self, start: usize, end: usize) -> Span {
        Span::new(self.start + start, self.start + end)
    }
}

pub(crate) fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Mode;

    fn tokens(text: &str) -> Vec<String> {
        let source = Source::new("lvs.cf", text);
        let mut report = Report::new(&source, Mode::Lenient);
        let line = lex(0, text.as_bytes(), &mut report);
        assert_eq!(report.finish(), []);
        line.tokens
            .iter()
            .map(|token| String::from_utf8_lossy(line.bytes(*token)).into_owned())
            .collect()
    }

    #[test]
    fn blanks_round_the_equals_sign_are_optional() {
        assert_eq!(tokens("port = 80\n"), ["port", "=", "80"]);
        assert_eq!(tokens("port=80"), ["port", "=", "80"]);
        assert_eq!(tokens("\tport =80  \r\n"), ["port", "=", "80"]);
        assert_eq!(tokens("load_monitor = a=b"), ["load_monitor", "=", "a=b"]);
    }

    #[test]
    fn a_comment_begins_after_a_blank() {
        assert_eq!(tokens("# all of it"), [""; 0]);
        assert_eq!(tokens("port = 80 # web"), ["port", "=", "80"]);
        assert_eq!(tokens("send_program = a#b"), ["send_program", "=", "a#b"]);
        assert_eq!(tokens("send = \"a # b\""), ["send", "=", "\"a # b\""]);
        assert_eq!(tokens("} # shop"), ["}"]);
    }

    #[test]
    fn braces_are_tokens_in_headers_only() {
        assert_eq!(tokens("virtual a {"), ["virtual", "a", "{"]);
        assert_eq!(tokens("virtual a{"), ["virtual", "a", "{"]);
        assert_eq!(tokens("expect = {x}"), ["expect", "=", "{x}"]);
    }

    #[test]
    fn quotes_can_stand_in_quoted_text() {
        assert_eq!(
            tokens(r#"send = "a \"b\" \\" # c"#),
            ["send", "=", r#""a \"b\" \\""#]
        );
        let quoted = TokenKind::Quoted(b'"');
        assert_eq!(
            unquoted(quoted, br#""a \"b\" \\ \r""#),
            br#"a "b" \\ \r"#.to_vec()
        );
        assert_eq!(
            unquoted(TokenKind::Quoted(b'\''), br#"'it\'s \"'"#),
            br#"it's \""#.to_vec()
        );
    }
}
