//! Values of `monitor` blocks and of the keys beside them.

use crate::keys::{Key, Kind};
use crate::literal;
use crate::text;
use crate::tree::Word;
use crate::value::Value;

use super::Reader;

impl Reader<'_, '_> {
    pub(super) fn of_a_monitor(&mut self, key: &Key, word: &Word<'_>) -> Option<Value> {
        let written = word.text();
        let value = match key.kind {
            Kind::Bytes => return Some(Value::Expanded(text::expand_bytes(word.inner()))),
            Kind::Regex => return self.regex(key, word),
            Kind::Header => return self.header(key, word),
            Kind::Command => {
                let line = self.utf8(key, word)?;
                return Some(Value::Command(text::words(&line)));
            }
            Kind::Time => literal::time(&written).map(Value::Time),
            Kind::TimeOr(words) => words
                .iter()
                .find(|known| known.as_bytes() == written)
                .map(|known| Value::Word(known))
                .or_else(|| literal::time(&written).map(Value::Time)),
            Kind::Statuses => literal::statuses(&written).map(Value::Statuses),
            Kind::File => self
                .utf8(key, word)
                .map(|path| path.starts_with('/').then_some(Value::Text(path)))?,
            Kind::UrlPath => self
                .utf8(key, word)
                .map(|path| literal::is_url_path(&path).then_some(Value::Text(path)))?,
            _ => self
                .utf8(key, word)
                .map(|name| literal::is_name(&name).then_some(Value::Text(name)))?,
        };
        if value.is_none() {
            self.refuse(key, word, "bad-value", None);
        }
        value
    }

    fn header(&mut self, key: &Key, word: &Word<'_>) -> Option<Value> {
        match literal::header(&word.text()) {
            Ok((name, value)) => Some(Value::Header(name, value)),
            Err(hint) => {
                self.refuse(key, word, "bad-header", Some(hint.to_owned()));
                None
            }
        }
    }

    fn regex(&mut self, key: &Key, word: &Word<'_>) -> Option<Value> {
        let pattern = self.utf8(key, word)?;
        match literal::regex_fault(&pattern) {
            None => Some(Value::Text(pattern)),
            Some(fault) => {
                self.refuse(key, word, "bad-regex", Some(fault));
                None
            }
        }
    }
}
