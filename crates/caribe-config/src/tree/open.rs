//! The first line of a block: its keyword, its name, and whether it can stand where it does.

use crate::diagnostic::shown;
use crate::lexer::{Line, Token, TokenKind};
use crate::resemblance::closest;
use crate::source::Span;

use super::build::Builder;
use super::{Block, BlockKind, Body, Node};

/// The deepest nesting that is followed. A `monitor` in a `server` is 3; the rest is room for
/// files with an error, bounded so that a hostile one cannot exhaust the stack.
const MAX_DEPTH: usize = 4;

impl Builder<'_, '_> {
    pub(super) fn missing_brace(&mut self, header: Line, trivia: Vec<u8>) {
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

    pub(super) fn open_block(&mut self, head: Line, brace: Option<(Vec<u8>, Line)>) {
        let keyword = head.tokens[0]; // a header has at least its keyword
        let word = head.bytes(keyword);
        let likely = match BlockKind::from_keyword(word) {
            Some(kind) => {
                self.known_to_piranha(kind, &head);
                self.nesting(kind, &head);
                Some(kind)
            }
            None => self.unknown_block(&head, keyword),
        };
        if self.open.len() >= MAX_DEPTH {
            self.refuse(
                head,
                "nesting",
                "blocks are nested too deeply".to_owned(),
                "a `server` stands in a `virtual`, and a `monitor` in either of them",
            );
            if let Some((trivia, line)) = brace {
                self.trivia(&trivia);
                self.push(Node::Faulty(line));
            }
            return;
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
            None => "blocks are `virtual NAME {`, in it `server NAME {` and `monitor KIND {`, and \
                     `mark NAME {`"
                .to_owned(),
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
            if !kind.is_outermost() {
                let word = kind.keyword();
                self.report
                    .error(
                        keyword,
                        "misplaced-block",
                        format!("`{word}` block outside a `virtual` block"),
                    )
                    .hint("move it into the `virtual` block of its service; is a `}` too many?");
            }
            return;
        };
        if outer.kind.may_hold(kind) {
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
        let holder = self
            .open
            .iter()
            .rposition(|block| block.kind.may_hold(kind));
        let keep = match holder {
            Some(holder) => holder + 1,
            None if kind.is_outermost() => 0,
            None => self.open.len(),
        };
        while self.open.len() > keep {
            self.pop(None);
        }
    }

    fn known_to_piranha(&mut self, kind: BlockKind, head: &Line) {
        if !kind.is_piranhas() {
            let keyword = kind.keyword();
            self.report
                .strict(
                    head.span(head.tokens[0]),
                    "strict-caribe-block",
                    format!("`{keyword}` blocks are Caribe's own: old Piranha refuses them"),
                )
                .hint("leave it out of a file that old Piranha must read");
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
                .hint(match kind {
                    BlockKind::Monitor => {
                        "write `monitor KIND {`, e.g. `monitor http {`".to_owned()
                    }
                    _ => format!("write `{keyword} NAME {{`"),
                });
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
}

fn last_end(line: &Line) -> usize {
    line.tokens
        .last()
        .map_or(line.text.len(), |token| token.end)
}
