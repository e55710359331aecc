//! Lines to a tree: which line opens a block, which closes one, and what is missing.

use crate::diagnostic::{Report, shown};
use crate::lexer::{Line, Token, TokenKind, lex};
use crate::resemblance::closest;
use crate::source::{Source, Span};

use super::{Block, BlockKind, Body, Document, Entry, Node};

pub(super) const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// The deepest nesting that is followed. A `server` in a `virtual` is 2; the rest is room for
/// files with an error, bounded so that a hostile one cannot exhaust the stack.
const MAX_DEPTH: usize = 4;

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
        let line = Line {
            start: 0,
            text: text.to_vec(),
            tokens: Vec::new(),
            faulty: true,
        };
        Document {
            byte_order_mark: false,
            body: Body {
                nodes: vec![Node::Faulty(line)],
            },
        }
    }
}

struct Builder<'r, 's> {
    report: &'r mut Report<'s>,
    /// The blocks that are open, outermost first.
    open: Vec<Block>,
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

    fn missing_brace(&mut self, header: Line, trivia: Vec<u8>) {
        self.report
            .error(
                header.after_tokens(),
                "missing-open-brace",
                format!(
                    "no `{{` behind {}",
                    shown(&header.text[header.tokens[0].start..last_end(&header)])
                ),
            )
            .hint("end the first line of a block with ` {`");
        // Read on as if the brace were there: the block's `}` will come.
        self.open_block(header, None);
        self.trivia(&trivia);
    }

    fn open_block(&mut self, head: Line, brace: Option<(Vec<u8>, Line)>) {
        let keyword = head.tokens[0]; // a header has at least its keyword
        let word = head.bytes(keyword);
        let likely = match BlockKind::from_keyword(word) {
            Some(kind) => {
                self.nesting(kind, &head);
                Some(kind)
            }
            None => self.unknown_block(&head, keyword),
        };
        if self.open.len() >= MAX_DEPTH {
            return self.refuse(
                head,
                "nesting",
                "blocks are nested too deeply".to_owned(),
                "only a `server` stands inside another block, in a `virtual`",
            );
        }
        let kind = likely.unwrap_or(match self.open.last() {
            Some(_) => BlockKind::Server,
            None => BlockKind::Virtual,
        });
        let (name, name_span) = self.block_name(&head, kind);
        self.open.push(Block {
            kind,
            name,
            name_span,
            head,
            brace,
            body: Body::default(),
            close: None,
            cut_off: false,
            unknown: likely.is_none(),
        });
    }

    /// Reports a keyword that is none, and tells which was probably meant.
    fn unknown_block(&mut self, head: &Line, keyword: Token) -> Option<BlockKind> {
        let word = head.bytes(keyword);
        let near = closest(word, BlockKind::ALL.iter().map(|kind| kind.keyword()));
        let hint = match near {
            Some(near) => format!("did you mean `{near}`?"),
            None => "blocks are `virtual NAME {`, and `server NAME {` inside one".to_owned(),
        };
        self.report
            .error(
                head.span(keyword),
                "unknown-block",
                format!("unknown kind of block {}", shown(word)),
            )
            .hint(hint);
        near.and_then(|near| BlockKind::from_keyword(near.as_bytes()))
    }

    /// Reports a block where it cannot stand, and closes those whose `}` was forgotten.
    fn nesting(&mut self, kind: BlockKind, head: &Line) {
        let keyword = head.span(head.tokens[0]);
        let Some(outer) = self.open.last() else {
            if kind == BlockKind::Server {
                self.report
                    .error(
                        keyword,
                        "misplaced-block",
                        "`server` block outside a `virtual` block",
                    )
                    .hint("move it into the `virtual` block of its service; is a `}` too many?");
            }
            return;
        };
        if kind == BlockKind::Server && outer.kind != BlockKind::Server {
            return;
        }
        let at = self.report.line(outer.head_span());
        let message = format!(
            "`{}` block inside {} {} that begins on line {at}",
            kind.keyword(),
            outer.kind.keyword(),
            shown(outer.name.as_bytes()),
        );
        self.report
            .error(keyword, "nesting", message)
            .hint("is a `}` missing before this line?");
        let keep = match kind {
            BlockKind::Server => self.open.len() - 1,
            BlockKind::Virtual | BlockKind::Failover => 0,
        };
        while self.open.len() > keep {
            self.pop(None);
        }
    }

    fn block_name(&mut self, head: &Line, kind: BlockKind) -> (String, Span) {
        let keyword = kind.keyword();
        let names: Vec<Token> = head.tokens[1..]
            .iter()
            .take_while(|token| token.kind != TokenKind::OpenBrace)
            .copied()
            .collect();
        let Some(name) = names.first().copied() else {
            let span = head.span(head.tokens[0]);
            self.report
                .error(
                    Span::new(span.end, span.end),
                    "missing-name",
                    format!("a `{keyword}` block without a name"),
                )
                .hint(format!("write `{keyword} NAME {{`"));
            return (String::new(), span);
        };
        let span = head.span(name);
        let bytes = head.bytes(name);
        if let Some(extra) = names.get(1) {
            let extra = head.span(*extra).to(head.span(names[names.len() - 1])); // there are at least two
            self.report
                .error(
                    extra,
                    "unexpected-text",
                    format!("unexpected text behind the name {}", shown(bytes)),
                )
                .hint("a name has no blanks: use `_` or `-`");
        } else if matches!(name.kind, TokenKind::Quoted(_)) {
            self.report
                .error(
                    span,
                    "bad-name",
                    format!("the name {} is in quotation marks", shown(bytes)),
                )
                .hint("a name is a bare word: use `_` for blanks");
        } else if std::str::from_utf8(bytes).is_err() {
            self.report
                .error(
                    span,
                    "not-utf8",
                    format!("the name {} is not UTF-8", shown(bytes)),
                )
                .hint("save the file as UTF-8, or use ASCII letters in names");
        }
        (String::from_utf8_lossy(bytes).into_owned(), span)
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

    fn pop(&mut self, close: Option<Line>) {
        if let Some(mut block) = self.open.pop() {
            block.close = close;
            self.push(Node::Block(Box::new(block)));
        }
    }

    fn refuse(&mut self, line: Line, code: &'static str, message: String, hint: &str) {
        self.report
            .error(line.tokens_span(), code, message)
            .hint(hint);
        self.push(Node::Faulty(line));
    }

    fn trivia(&mut self, text: &[u8]) {
        if let Some((_, trivia)) = &mut self.header {
            return trivia.extend(text);
        }
        let nodes = &mut self.body().nodes;
        match nodes.last_mut() {
            Some(Node::Trivia(before)) => before.extend(text),
            _ => nodes.push(Node::Trivia(text.to_vec())),
        }
    }

    fn push(&mut self, node: Node) {
        self.body().nodes.push(node);
    }

    fn body(&mut self) -> &mut Body {
        match self.open.last_mut() {
            Some(block) => &mut block.body,
            None => &mut self.top,
        }
    }
}

fn last_end(line: &Line) -> usize {
    line.tokens
        .last()
        .map_or(line.text.len(), |token| token.end)
}
