//! Changing a tree while everything that is not changed stays as its author wrote it.

use crate::Mode;
use crate::diagnostic::Report;
use crate::lexer::{Line, is_blank, lex};
use crate::source::Source;

use super::{Block, BlockKind, Body, Entry, Node, Word};

/// Indentation of the statements of an outer block, as Piranha's web tool writes it.
const BLOCK_INDENT: &str = "     ";
/// Indentation of the statements of a `server` block, likewise.
const SERVER_INDENT: &str = "         ";

/// Why a change cannot be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EditError {
    /// No way of quoting lets this value be read back as it is.
    #[error(
        "the value {value:?} cannot be written in an lvs.cf: it holds a line end, a control \
         character, or both kinds of quotation mark with backslashes before them"
    )]
    UnwritableValue {
        /// The value.
        value: String,
    },
    /// The tree has changed under the one who changes it.
    #[error("a block that was there is gone: read the file again")]
    NoSuchBlock,
    /// Not a name that a block, or a key that a statement can have.
    #[error("{word:?} cannot be the name of a block or a key: use letters, digits, `_` and `-`")]
    UnwritableWord {
        /// The refused word.
        word: String,
    },
}

impl Body {
    /// Sets a key to values: changes its last statement where it stands, keeping indentation and
    /// a comment behind it, or adds one behind the other statements.
    ///
    /// Values are given without quotation marks; `send` and `expect` with their backslash
    /// sequences.
    ///
    /// # Errors
    ///
    /// Refuses a key or value that could not be read back; nothing is changed then.
    pub fn set(&mut self, key: &str, values: &[&str]) -> Result<(), EditError> {
        let statement = statement(key, values)?;
        let last = self.nodes.iter().rposition(is_entry_of(key));
        if let Some(at) = last
            && let Node::Entry(entry) = &mut self.nodes[at]
        {
            entry.replace(&statement);
            return Ok(());
        }
        let indent = self.indent();
        let line = read(&format!("{indent}{statement}\n"));
        let after_entries = self
            .nodes
            .iter()
            .rposition(|node| matches!(node, Node::Entry(_)))
            .map(|at| at + 1);
        let before_blocks = self
            .nodes
            .iter()
            .position(|node| matches!(node, Node::Block(_)));
        let at = after_entries.or(before_blocks).unwrap_or(self.nodes.len());
        self.insert(at, Node::Entry(Entry { line }));
        Ok(())
    }

    /// Removes all statements of a key; tells how many there were.
    pub fn remove(&mut self, key: &str) -> usize {
        let before = self.nodes.len();
        let of_key = is_entry_of(key);
        self.nodes.retain(|node| !of_key(node));
        before - self.nodes.len()
    }

    /// The blocks, in order, to change them.
    pub fn blocks_mut(&mut self) -> impl Iterator<Item = &mut Block> {
        self.nodes.iter_mut().filter_map(|node| match node {
            Node::Block(block) => Some(block.as_mut()),
            _ => None,
        })
    }

    /// Adds an empty block at the end, indented as the last one of its kind.
    ///
    /// # Errors
    ///
    /// Refuses a name that could not be read back.
    pub fn add_block(&mut self, kind: BlockKind, name: &str) -> Result<&mut Block, EditError> {
        word(name)?;
        let alike = self.blocks().filter(|block| block.kind == kind).last();
        let indent = match (alike, kind) {
            (Some(block), _) => leading(&block.head),
            (None, BlockKind::Server | BlockKind::Monitor) => BLOCK_INDENT.to_owned(),
            (None, BlockKind::Virtual | BlockKind::Failover | BlockKind::Mark) => String::new(),
        };
        let head = read(&format!("{indent}{} {name} {{\n", kind.keyword()));
        let name_span = head.span(head.tokens[1]); // keyword, name, brace
        let block = Block {
            kind,
            name: name.to_owned(),
            name_span,
            head,
            brace: None,
            body: Body::default(),
            close: Some(read(&format!("{indent}}}\n"))),
            cut_off: false,
            unknown: false,
        };
        let at = self.nodes.len();
        self.insert(at, Node::Block(Box::new(block)));
        match self.nodes.last_mut() {
            Some(Node::Block(block)) => Ok(block),
            _ => unreachable!("a block was just put there"),
        }
    }

    /// Removes the block at this position, counted from 0 among the blocks; tells whether there
    /// was one.
    pub fn remove_block(&mut self, position: usize) -> bool {
        let at = self
            .nodes
            .iter()
            .enumerate()
            .filter(|(_, node)| matches!(node, Node::Block(_)))
            .map(|(at, _)| at)
            .nth(position);
        match at {
            Some(at) => {
                self.nodes.remove(at);
                true
            }
            None => false,
        }
    }

    /// The indentation of the statements that are here already, or that of Piranha's tool.
    fn indent(&self) -> String {
        let of_entry = self.entries().last().map(|entry| leading(&entry.line));
        let of_block = self
            .blocks()
            .last()
            .map(|block| (leading(&block.head), block.kind));
        match (of_entry, of_block) {
            (Some(indent), _) | (None, Some((indent, _))) => indent,
            (None, None) => String::new(),
        }
    }

    fn insert(&mut self, at: usize, node: Node) {
        if let Some(before) = at.checked_sub(1) {
            self.nodes[before].end_line();
        }
        self.nodes.insert(at, node);
    }
}

impl Block {
    /// Like [`Body::set`], with the indentation of a fresh block where there is no statement yet.
    ///
    /// # Errors
    ///
    /// As [`Body::set`].
    pub fn set(&mut self, key: &str, values: &[&str]) -> Result<(), EditError> {
        if !self.body.nodes.is_empty() {
            return self.body.set(key, values);
        }
        let outer = leading(&self.head);
        let indent = match (outer.as_str(), self.kind) {
            (BLOCK_INDENT, BlockKind::Server | BlockKind::Monitor) => SERVER_INDENT.to_owned(),
            ("", _) => BLOCK_INDENT.to_owned(),
            (tabs, _) if tabs.ends_with('\t') => format!("{outer}\t"),
            _ => format!("{outer}    "),
        };
        let line = read(&format!("{indent}{}\n", statement(key, values)?));
        self.body.nodes.push(Node::Entry(Entry { line }));
        Ok(())
    }
}

impl Node {
    /// Makes sure that what comes next starts on a line of its own.
    fn end_line(&mut self) {
        let text = match self {
            Node::Trivia(text) => text,
            Node::Entry(entry) => &mut entry.line.text,
            Node::Faulty(line) => &mut line.text,
            Node::Block(block) => match &mut block.close {
                Some(close) => &mut close.text,
                None => return,
            },
        };
        if !text.ends_with(b"\n") {
            text.push(b'\n');
        }
    }
}

impl Entry {
    /// Puts another statement in the place of this one, between indentation and what follows.
    fn replace(&mut self, statement: &str) {
        let indent = leading(&self.line);
        let end = self.line.tokens.last().map_or(0, |token| token.end);
        let mut text = indent.into_bytes();
        text.extend(statement.as_bytes());
        text.extend(&self.line.text[end..]);
        self.line = lex_alone(&text);
    }
}

fn is_entry_of(key: &str) -> impl Fn(&Node) -> bool {
    move |node| matches!(node, Node::Entry(entry) if entry.is(key))
}

fn leading(line: &Line) -> String {
    line.text
        .iter()
        .take_while(|byte| is_blank(**byte))
        .map(|byte| char::from(*byte))
        .collect()
}

fn statement(key: &str, values: &[&str]) -> Result<String, EditError> {
    word(key)?;
    let mut text = format!("{key} =");
    for value in values {
        text.push(' ');
        text.push_str(&written(value)?);
    }
    Ok(text)
}

/// A value as it must be written to be read back: bare, in double or in single quotes.
fn written(value: &str) -> Result<String, EditError> {
    [
        value.to_owned(),
        format!("\"{}\"", value.replace('"', "\\\"")),
        format!("'{value}'"),
    ]
    .into_iter()
    .find(|candidate| reads_back(candidate, value))
    .ok_or_else(|| EditError::UnwritableValue {
        value: value.to_owned(),
    })
}

fn reads_back(candidate: &str, value: &str) -> bool {
    let text = format!("key = {candidate}\n");
    // A bare `=` would be taken for the one behind the key.
    if candidate.contains(['\n', '\r']) || candidate == "=" {
        return false;
    }
    let line = lex_alone(text.as_bytes());
    !line.faulty
        && line.tokens.len() == 3
        && Word {
            line: &line,
            token: line.tokens[2],
        }
        .text()
            == value.as_bytes()
}

fn word(word: &str) -> Result<(), EditError> {
    let writable = !word.is_empty()
        && !word.starts_with('#')
        && word
            .chars()
            .all(|c| c.is_ascii_graphic() && !matches!(c, '{' | '}' | '=' | '"' | '\''));
    match writable {
        true => Ok(()),
        false => Err(EditError::UnwritableWord {
            word: word.to_owned(),
        }),
    }
}

/// A line that this module has made itself.
fn read(text: &str) -> Line {
    lex_alone(text.as_bytes())
}

fn lex_alone(text: &[u8]) -> Line {
    let source = Source::new("", text);
    lex(0, text, &mut Report::new(&source, Mode::Lenient))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::Document;

    const TEXT: &str = "# our shop\nserial_no = 1   # keep\n\n\tprimary=10.0.0.1\nvirtual a {\n  \
                        port = 80\n  server x {\n      weight = 1\n  }\n}";

    fn document() -> Document {
        let (document, diagnostics) = Document::read(&Source::new("lvs.cf", TEXT), Mode::Lenient);
        assert_eq!(diagnostics, []);
        document
    }

    fn text(document: &Document) -> String {
        String::from_utf8(document.to_bytes()).expect("the test's text is UTF-8")
    }

    #[test]
    fn a_changed_value_leaves_everything_else_as_it_was() {
        let mut document = document();
        let body = document.body_mut();
        body.set("serial_no", &["2"]).expect("writable");
        let service = body.blocks_mut().next().expect("one block");
        service.set("port", &["443"]).expect("writable");
        let expected = TEXT
            .replace("serial_no = 1 ", "serial_no = 2 ")
            .replace("port = 80", "port = 443");
        assert_eq!(text(&document), expected);
    }

    #[test]
    fn added_statements_take_the_indentation_of_their_neighbours() {
        let mut document = document();
        let service = document.body_mut().blocks_mut().next().expect("one block");
        service.set("send", &["GET / \"x\" #1"]).expect("writable");
        let server = service.body_mut().blocks_mut().next().expect("one server");
        server.set("active", &["1"]).expect("writable");
        assert_eq!(server.body().values("active"), Some(vec!["1".to_owned()]));
        let text = text(&document);
        assert!(
            text.contains("  port = 80\n  send = \"GET / \\\"x\\\" #1\"\n"),
            "{text}"
        );
        assert!(
            text.contains("      weight = 1\n      active = 1\n"),
            "{text}"
        );
    }

    #[test]
    fn blocks_come_and_go() {
        let mut document = document();
        let service = document
            .body_mut()
            .add_block(BlockKind::Virtual, "b")
            .expect("writable");
        service.set("port", &["53"]).expect("writable");
        let server = service
            .body_mut()
            .add_block(BlockKind::Server, "y")
            .expect("writable");
        server.set("weight", &["2"]).expect("writable");
        let added =
            "\nvirtual b {\n     port = 53\n     server y {\n         weight = 2\n     }\n}\n";
        assert_eq!(text(&document), format!("{TEXT}{added}"));
        assert!(document.body_mut().remove_block(1));
        assert!(!document.body_mut().remove_block(1));
        assert_eq!(document.body_mut().remove("primary"), 1);
        let expected = TEXT.replace("\tprimary=10.0.0.1\n", "") + "\n";
        assert_eq!(text(&document), expected);
    }

    #[test]
    fn what_could_not_be_read_back_is_refused() {
        let mut document = document();
        let body = document.body_mut();
        for value in ["two\nlines", "it's \\\"", "a\\ \u{7}"] {
            assert!(
                matches!(
                    body.set("send", &[value]),
                    Err(EditError::UnwritableValue { .. })
                ),
                "{value:?}"
            );
        }
        assert!(body.set("a b", &["1"]).is_err());
        assert!(body.add_block(BlockKind::Virtual, "x}").is_err());
        assert_eq!(text(&document), TEXT);
    }
}
