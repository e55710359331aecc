//! The text of a file, and where a byte of it is.

use std::io::Read;
use std::path::Path;
use std::sync::{Arc, OnceLock};

/// A piece of the source: byte offsets, the end excluded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) start: usize,
    pub(crate) end: usize,
}

impl Span {
    pub(crate) fn new(start: usize, end: usize) -> Self {
        Span { start, end }
    }

    /// From the start of this piece to the end of another.
    pub(crate) fn to(self, other: Span) -> Self {
        Span::new(self.start, other.end)
    }
}

/// A configuration text with the name to call it by in messages.
///
/// The text is bytes: an old lvs.cf may hold comments in any encoding, and they are kept.
#[derive(Debug, Clone)]
pub struct Source {
    name: Arc<str>,
    /// Shared: a director keeps what it has loaded in more than one place.
    text: Arc<Vec<u8>>,
    /// Offset of the first byte of every line, to find a line by bisection; once it is asked for.
    line_starts: OnceLock<Vec<usize>>,
}

/// Why a configuration file could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The file could not be opened or read.
    #[error("cannot read configuration file {path}: {source}")]
    Io {
        /// The file.
        path: String,
        /// The system's answer.
        source: std::io::Error,
    },
    /// Not a regular file.
    #[error("cannot read configuration file {path}: it is not a regular file")]
    NotAFile {
        /// The path.
        path: String,
    },
}

impl Source {
    /// The largest text that is accepted, in bytes: 64 MiB; ten thousand services with ten servers
    /// each take about 12.
    pub const MAX_SIZE: usize = 64 << 20;

    /// The longest line that is accepted, in bytes, comments excepted.
    pub const MAX_LINE: usize = 64 << 10;

    /// A text from memory.
    pub fn new(name: impl Into<Arc<str>>, text: impl Into<Vec<u8>>) -> Self {
        Source {
            name: name.into(),
            text: Arc::new(text.into()),
            line_starts: OnceLock::new(),
        }
    }

    /// Reads a file. Of a file over [`Source::MAX_SIZE`] only one byte more than that is read,
    /// and [`crate::parse`] refuses it.
    ///
    /// # Errors
    ///
    /// Reports a file that cannot be opened or read, and a path that is not a regular file.
    pub fn read(path: &Path) -> Result<Self, ReadError> {
        let name = path.display().to_string();
        let failed = |source| ReadError::Io {
            path: name.clone(),
            source,
        };
        // Looked at before it is opened: opening a pipe would wait for its writer.
        if !std::fs::metadata(path).map_err(failed)?.is_file() {
            return Err(ReadError::NotAFile { path: name });
        }
        let mut text = Vec::new();
        std::fs::File::open(path)
            .and_then(|file| file.take(Self::MAX_SIZE as u64 + 1).read_to_end(&mut text))
            .map_err(failed)?;
        Ok(Source::new(name, text))
    }

    /// The name for messages, usually the path.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The bytes.
    pub fn text(&self) -> &[u8] {
        &self.text
    }

    pub(crate) fn shared_name(&self) -> Arc<str> {
        Arc::clone(&self.name)
    }

    /// Offsets at which lines begin. A text that ends in a line feed has an empty last line.
    pub(crate) fn line_starts(&self) -> &[usize] {
        self.line_starts.get_or_init(|| {
            let ends = self.text.iter().enumerate();
            let ends = ends.filter(|(_, byte)| **byte == b'\n');
            std::iter::once(0)
                .chain(ends.map(|(at, _)| at + 1))
                .collect()
        })
    }

    /// A line (counted from 1) without its line end.
    pub(crate) fn line(&self, number: usize) -> &[u8] {
        let Some(start) = number
            .checked_sub(1)
            .and_then(|index| self.line_starts().get(index))
        else {
            return &[];
        };
        let end = self
            .line_starts()
            .get(number)
            .map_or(self.text.len(), |next| next - 1);
        let line = &self.text[*start..end];
        line.strip_suffix(b"\r").unwrap_or(line)
    }

    /// Line and column of a byte, both from 1; columns are characters, a tab being one.
    pub(crate) fn position(&self, offset: usize) -> (usize, usize) {
        let line = self.line_starts().partition_point(|start| *start <= offset);
        let start = self.line_starts()[line - 1]; // line >= 1: the first start is 0
        let end = offset.min(self.text.len());
        (line, characters(&self.text[start..end]) + 1)
    }

    /// Length of a piece in characters.
    pub(crate) fn characters(&self, span: Span) -> usize {
        characters(&self.text[span.start..span.end])
    }
}

/// Characters of a text, each wrong byte sequence of it counted as it will be shown.
fn characters(text: &[u8]) -> usize {
    String::from_utf8_lossy(text).chars().count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_count_from_one_and_columns_are_characters() {
        let source = Source::new("lvs.cf", "a = 1\n\tñ x\r\nlast");
        assert_eq!(source.position(0), (1, 1));
        assert_eq!(source.position(4), (1, 5));
        assert_eq!(source.position(6), (2, 1));
        let x = "a = 1\n\tñ ".len();
        assert_eq!(source.position(x), (2, 4));
        assert_eq!(source.line(2), "\tñ x".as_bytes());
        assert_eq!(source.line(3), b"last");
        assert_eq!(source.position(source.text().len()), (3, 5));
    }

    #[test]
    fn a_missing_file_and_a_directory_are_told_apart() {
        let missing = Source::read(Path::new("/nonexistent/lvs.cf"));
        assert!(matches!(missing, Err(ReadError::Io { .. })));
        let directory = Source::read(Path::new("/"));
        assert!(matches!(directory, Err(ReadError::NotAFile { .. })));
    }
}
