//! The lossless tree of a file: every comment, blank line and odd spacing is kept, and
//! [`Document::to_bytes`] gives back what was read, byte for byte.
//!
//! A tree is changed through [`Body::set`] and its like and written back; what it means is found by parsing what
//! was written. `build` makes it from text, `edit` changes it.

mod build;
mod edit;
mod open;

use crate::Mode;
use crate::diagnostic::{Diagnostic, Report};
use crate::lexer::{Line, Token, TokenKind, unquoted};
use crate::source::{Source, Span};

pub use edit::EditError;

/// What kind of block a `{` opens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BlockKind {
    /// A virtual service.
    Virtual,
    /// A service of Piranha's fos mode.
    Failover,
    /// A real server.
    Server,
    /// A rule that gives packets a firewall mark; Caribe's own.
    Mark,
    /// A way to watch real servers, named after its kind; Caribe's own.
    Monitor,
}

impl BlockKind {
    /// All of them.
    pub const ALL: [BlockKind; 5] = [
        BlockKind::Virtual,
        BlockKind::Failover,
        BlockKind::Server,
        BlockKind::Mark,
        BlockKind::Monitor,
    ];

    /// The word that opens such a block.
    pub const fn keyword(self) -> &'static str {
        match self {
            BlockKind::Virtual => "virtual",
            BlockKind::Failover => "failover",
            BlockKind::Server => "server",
            BlockKind::Mark => "mark",
            BlockKind::Monitor => "monitor",
        }
    }

    /// Whether it stands outside all blocks.
    pub const fn is_outermost(self) -> bool {
        !matches!(self, BlockKind::Server | BlockKind::Monitor)
    }

    /// Whether a block of that kind may stand in it.
    pub const fn may_hold(self, inner: BlockKind) -> bool {
        matches!(
            (self, inner),
            (BlockKind::Virtual | BlockKind::Failover, BlockKind::Server)
                | (BlockKind::Virtual | BlockKind::Server, BlockKind::Monitor)
        )
    }

    /// Whether old Piranha knows it.
    pub(crate) const fn is_piranhas(self) -> bool {
        !matches!(self, BlockKind::Mark | BlockKind::Monitor)
    }

    fn from_keyword(word: &[u8]) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.keyword().as_bytes() == word)
    }
}

/// A whole file as a tree.
#[derive(Debug, Clone)]
pub struct Document {
    /// The file began with a byte order mark.
    byte_order_mark: bool,
    body: Body,
}

/// What stands in a file or in a block, in order.
#[derive(Debug, Clone, Default)]
pub struct Body {
    pub(crate) nodes: Vec<Node>,
}

/// One thing in a body.
#[derive(Debug, Clone)]
pub(crate) enum Node {
    /// Blank lines and comments.
    Trivia(Vec<u8>),
    /// `key = value ...`.
    Entry(Entry),
    /// `keyword name { ... }`.
    Block(Box<Block>),
    /// A line that could not be read, kept as it is.
    Faulty(Line),
}

/// A statement: key, `=`, values.
#[derive(Debug, Clone)]
pub struct Entry {
    line: Line,
}

/// A block: first line, body, closing line.
#[derive(Debug, Clone)]
pub struct Block {
    pub(crate) kind: BlockKind,
    name: String,
    name_span: Span,
    head: Line,
    /// When the brace stands on a later line: comments and blank lines before it, and its line.
    brace: Option<(Vec<u8>, Line)>,
    pub(crate) body: Body,
    /// `None` when the `}` is missing.
    close: Option<Line>,
    /// The file ends inside this block: what it lacks may have been meant to follow.
    pub(crate) cut_off: bool,
    /// The keyword is none, and resembles none: `kind` is a mere guess.
    pub(crate) unknown: bool,
}

impl Document {
    /// Reads a text into a tree, with what is wrong in its shape. Keys and values are not
    /// looked at; that is what [`crate::parse`] is for.
    pub fn read(source: &Source, mode: Mode) -> (Document, Vec<Diagnostic>) {
        let mut report = Report::new(source, mode);
        let document = build::build(source, &mut report);
        (document, report.finish())
    }

    pub(crate) fn build(source: &Source, report: &mut Report<'_>) -> Document {
        build::build(source, report)
    }

    /// The text of the tree; for a tree that was not changed, exactly what was read.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut text = Vec::new();
        if self.byte_order_mark {
            text.extend(build::BYTE_ORDER_MARK);
        }
        self.body.write(&mut text);
        text
    }

    /// What stands outside all blocks, and the blocks.
    pub fn body(&self) -> &Body {
        &self.body
    }

    /// The same, to change it.
    pub fn body_mut(&mut self) -> &mut Body {
        &mut self.body
    }
}

impl Body {
    /// True when there are only comments and blank lines.
    pub fn is_empty(&self) -> bool {
        self.nodes
            .iter()
            .all(|node| matches!(node, Node::Trivia(_)))
    }

    /// The statements, in order.
    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.nodes.iter().filter_map(|node| match node {
            Node::Entry(entry) => Some(entry),
            _ => None,
        })
    }

    /// The blocks, in order.
    pub fn blocks(&self) -> impl Iterator<Item = &Block> {
        self.nodes.iter().filter_map(|node| match node {
            Node::Block(block) => Some(block.as_ref()),
            _ => None,
        })
    }

    /// The values of a key, without quotation marks; of its last statement, which is the one
    /// that counts. Bytes that are not UTF-8 are replaced.
    pub fn values(&self, key: &str) -> Option<Vec<String>> {
        let entry = self.entries().filter(|entry| entry.is(key)).last()?;
        Some(
            entry
                .values()
                .map(|value| String::from_utf8_lossy(&value.text()).into_owned())
                .collect(),
        )
    }

    /// There is a line that could not be read.
    pub(crate) fn is_faulty(&self) -> bool {
        self.nodes
            .iter()
            .any(|node| matches!(node, Node::Faulty(_)))
    }

    /// The first word of each line that could not be read.
    pub(crate) fn faulty(&self) -> impl Iterator<Item = &[u8]> {
        self.nodes.iter().filter_map(|node| match node {
            Node::Faulty(line) => line.tokens.first().map(|token| line.bytes(*token)),
            _ => None,
        })
    }

    fn write(&self, text: &mut Vec<u8>) {
        for node in &self.nodes {
            match node {
                Node::Trivia(bytes) => text.extend(bytes),
                Node::Entry(entry) => text.extend(&entry.line.text),
                Node::Faulty(line) => text.extend(&line.text),
                Node::Block(block) => block.write(text),
            }
        }
    }
}

impl Entry {
    /// The key as written.
    pub fn key(&self) -> &[u8] {
        self.line.bytes(self.line.tokens[0]) // an entry is built from key and `=`
    }

    fn is(&self, key: &str) -> bool {
        self.key() == key.as_bytes()
    }

    pub(crate) fn key_span(&self) -> Span {
        self.line.span(self.line.tokens[0]) // as above
    }

    pub(crate) fn values(&self) -> impl Iterator<Item = Word<'_>> {
        self.line.tokens[2..].iter().map(|token| Word {
            line: &self.line,
            token: *token,
        })
    }

    /// Where a further value would stand.
    pub(crate) fn end_span(&self) -> Span {
        self.line.after_tokens()
    }
}

/// A value of an entry, with its place.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Word<'t> {
    line: &'t Line,
    token: Token,
}

impl Word<'_> {
    /// As written, quotation marks included.
    pub(crate) fn raw(&self) -> &[u8] {
        self.line.bytes(self.token)
    }

    /// Between the quotation marks, with its backslash sequences.
    pub(crate) fn inner(&self) -> &[u8] {
        let raw = self.raw();
        match self.token.kind {
            TokenKind::Quoted(_) => &raw[1..raw.len() - 1],
            _ => raw,
        }
    }

    /// Without quotation marks.
    pub(crate) fn text(&self) -> Vec<u8> {
        unquoted(self.token.kind, self.raw())
    }

    pub(crate) fn span(&self) -> Span {
        self.line.span(self.token)
    }
}

impl Block {
    /// What it is; for an unknown keyword, which is an error, the likeliest.
    pub fn kind(&self) -> BlockKind {
        self.kind
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What stands in it.
    pub fn body(&self) -> &Body {
        &self.body
    }

    /// The same, to change it.
    pub fn body_mut(&mut self) -> &mut Body {
        &mut self.body
    }

    /// Where it is in the source, all of its lines; `None` when its `}` is missing.
    pub(crate) fn place(&self) -> Option<std::ops::Range<usize>> {
        let close = self.close.as_ref()?;
        Some(self.head.start..close.start + close.text.len())
    }

    pub(crate) fn name_span(&self) -> Span {
        self.name_span
    }

    /// The first line without comment.
    pub(crate) fn head_span(&self) -> Span {
        self.head.tokens_span()
    }

    fn write(&self, text: &mut Vec<u8>) {
        text.extend(&self.head.text);
        if let Some((trivia, line)) = &self.brace {
            text.extend(trivia);
            text.extend(&line.text);
        }
        self.body.write(text);
        if let Some(close) = &self.close {
            text.extend(&close.text);
        }
    }
}
