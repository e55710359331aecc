//! Lines to a tree: which line opens a block, which closes one, and what is missing.

use crate::diagnostic::{Report, shown};
use crate::lexer::{Line, TokenKind, lex};
use crate::source::{Source, Span};

use super::{Block, BlockKind, Body, Document, Entry, Node};

pub(super) const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

pub(super) fn build(source: &Source, report: &mut Report<'_>) -> Document {
    let text = source.text();
    let start = Span::new(0, 0);
    if text.starts_with(b"\xff\xfe") || text.starts_with(b"\xfe\xff") {
        report
            .error(start, "encoding", "the file is UTF-16 text")
            .hint("save it as plain ASCII or UTF-8");
        return Document::refused(text);
    }
    let byte_order_mark = text.starts_with(BYTE_ORDER_MARK);
    if byte_order_mark {
        report
            .strict(
                start,
                "strict-byte-order-mark",
                "the file begins with a byte order mark: old Piranha takes it for a part of the \
                 first key",
            )
            .hint("save the file without it");
    }
    let mut builder = Builder {
        report,
        open: Vec::new(),
        header: None,
        top: Body::default(),
    };
    builder.line_ends(text);
    let starts = source.line_starts();
    for (number, line_start) in starts.iter().enumerate() {
        let end = starts.get(number + 1).copied().unwrap_or(text.len());
        let skip = if number == 0 && byte_order_mark {
            BYTE_ORDER_MARK.len()
        } else {
            0
        };
        let line_start = line_start + skip;
        if builder.report.gives_up() {
            builder.push(Node::Faulty(unread(line_start, &text[line_start..])));
            break;
        }
        if line_start < end {
            let line = lex(line_start, &text[line_start..end], builder.report);
            builder.line(line);
        }
    }
    builder.end(text.len());
    Document {
        byte_order_mark,
        body: builder.top,
    }
}

impl Document {
    /// A text that is no configuration at all, kept whole.
    fn refused(text: &[u8]) -> Document {
        Document {
            byte_order_mark: false,
            body: Body {
                nodes: vec![Node::Faulty(unread(0, text))],
            },
        }
    }
}

/// Text that is kept and not looked at.
fn unread(start: usize, text: &[u8]) -> Line {
    Line {
        start,
        text: text.to_vec(),
        tokens: Vec::new(),
        faulty: true,
    }
}

pub(super) struct Builder<'r, 's> {
    pub(super) report: &'r mut Report<'s>,
    /// The blocks that are open, outermost first.
    pub(super) open: Vec<Block>,
    /// A block's first line that has no brace, and comments and blank lines since.
    header: Option<(Line, Vec<u8>)>,
    /// What stands outside all blocks.
    top: Body,
}

impl Builder<'_, '_> {
    fn line_ends(&mut self, text: &[u8]) {
        let Some(at) = text.windows(2).position(|pair| pair == b"\r\n") else {
            return;
        };
        self.report
            .strict(
                Span::new(at, at),
                "strict-line-ends",
                "lines end in CR LF: old Piranha reads the first line alone and skips the rest \
                 without a word",
            )
            .hint("convert the file with dos2unix");
    }

    fn line(&mut self, line: Line) {
        if line.tokens.is_empty() && !line.faulty {
            return self.trivia(&line.text);
        }
        if let Some((header, trivia)) = self.header.take() {
            let brace_alone = line.tokens.len() == 1 && line.tokens[0].kind == TokenKind::OpenBrace;
            if brace_alone {
                self.report
                    .strict(
                        line.tokens_span(),
                        "strict-brace-line",
                        "`{` on a line of its own: old Piranha wants it behind the name",
                    )
                    .hint("write `virtual NAME {`");
                return self.open_block(header, Some((trivia, line)));
            }
            self.missing_brace(header, trivia);
        }
        if line.faulty {
            return self.push(Node::Faulty(line));
        }
        let kinds: Vec<TokenKind> = line.tokens.iter().map(|token| token.kind).collect();
        match kinds.as_slice() {
            [TokenKind::CloseBrace, ..] => self.close_block(line),
            [TokenKind::OpenBrace, ..] => self.refuse(
                line,
                "unexpected-brace",
                "`{` without the first line of a block before it".to_owned(),
                "a block begins with `virtual NAME {`, or `server NAME {` inside one",
            ),
            [TokenKind::Equals, ..] => self.refuse(
                line,
                "missing-key",
                "`=` without a key before it".to_owned(),
                "write `key = value`",
            ),
            [TokenKind::Quoted(_), ..] => self.refuse(
                line,
                "missing-key",
                "a statement cannot begin with a quoted text".to_owned(),
                "write `key = \"text\"`, the key without quotation marks",
            ),
            [_, TokenKind::Equals, ..] => self.push(Node::Entry(Entry { line })),
            [.., TokenKind::OpenBrace] => self.open_block(line, None),
            _ => self.no_equals(line),
        }
    }

    /// A line that has neither `=` nor `{`.
    fn no_equals(&mut self, line: Line) {
        let first = line.bytes(line.tokens[0]); // the caller has matched a first token
        let brace = line
            .tokens
            .iter()
            .find(|token| token.kind == TokenKind::OpenBrace);
        if let Some(brace) = brace {
            let rest = Span::new(line.span(*brace).end, line.after_tokens().end);
            self.report
                .error(rest, "unexpected-text", "unexpected text behind `{`")
                .hint("statements and `}` stand on lines of their own");
            let closed = line
                .tokens
                .last()
                .is_some_and(|last| line.bytes(*last) == b"}");
            return match closed {
                true => self.push(Node::Faulty(line)),
                false => self.open_block(line, None),
            };
        }
        if BlockKind::from_keyword(first).is_some() {
            self.header = Some((line, Vec::new()));
            return;
        }
        let key = shown(first);
        let hint = match line.tokens.get(1) {
            Some(value) => format!(
                "write `{} = {}`",
                String::from_utf8_lossy(first).escape_debug(),
                String::from_utf8_lossy(line.bytes(*value)).escape_debug()
            ),
            None => format!("write `{key} = ...`", key = key.trim_matches('`')),
        };
        self.report
            .error(
                line.tokens_span(),
                "missing-equals",
                format!("no `=` behind {key}"),
            )
            .hint(hint);
        self.push(Node::Faulty(line));
    }

    fn close_block(&mut self, line: Line) {
        if let Some(extra) = line.tokens.get(1) {
            let extra = line.span(*extra).to(line.after_tokens());
            self.report
                .error(
                    extra,
                    "unexpected-text",
                    "unexpected text behind `}`".to_owned(),
                )
                .hint("put every `}` on a line of its own");
        }
        if self.open.is_empty() {
            return self.refuse(
                line,
                "unmatched-brace",
                "`}` without a block that is open".to_owned(),
                "remove it, or restore the first line of the block that it closes",
            );
        }
        self.pop(Some(line));
    }

    /// The end of the file.
    fn end(&mut self, end: usize) {
        if let Some((header, trivia)) = self.header.take() {
            self.missing_brace(header, trivia);
            self.cut_off();
        }
        for block in &self.open {
            self.report
                .error(
                    block.head.tokens_span(),
                    "missing-close-brace",
                    format!(
                        "{} {} is never closed: the file ends on line {} without its `}}`",
                        block.kind.keyword(),
                        shown(block.name.as_bytes()),
                        self.report.line(Span::new(end, end)),
                    ),
                )
                .hint("add the missing `}`; is the file cut off?");
        }
        while !self.open.is_empty() {
            self.cut_off();
        }
    }

    /// Closes the innermost block at the end of the file.
    fn cut_off(&mut self) {
        if let Some(block) = self.open.last_mut() {
            block.cut_off = true;
        }
        self.pop(None);
    }

    pub(super) fn pop(&mut self, close: Option<Line>) {
        if let Some(mut block) = self.open.pop() {
            block.close = close;
            self.push(Node::Block(Box::new(block)));
        }
    }

    pub(super) fn refuse(&mut self, line: Line, code: &'static str, message: String, hint: &str) {
        self.report
            .error(line.tokens_span(), code, message)
            .hint(hint);
        self.push(Node::Faulty(line));
    }

    pub(super) fn trivia(&mut self, text: &[u8]) {
        if let Some((_, trivia)) = &mut self.header {
            return trivia.extend(text);
        }
        let nodes = &mut self.body().nodes;
        match nodes.last_mut() {
            Some(Node::Trivia(before)) => before.extend(text),
            _ => nodes.push(Node::Trivia(text.to_vec())),
        }
    }

    pub(super) fn push(&mut self, node: Node) {
        self.body().nodes.push(node);
    }

    fn body(&mut self) -> &mut Body {
        match self.open.last_mut() {
            Some(block) => &mut block.body,
            None => &mut self.top,
        }
    }
}
