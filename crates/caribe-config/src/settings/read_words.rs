//! Values that are one of a closed set of words, schedulers among them.

use std::fmt::Display;

use caribe_model::Scheduler;

use crate::Mode;
use crate::keys::{Key, Place};
use crate::resemblance::closest;
use crate::tree::Word;
use crate::value::Value;

use super::Reader;

/// What Piranha knew, in the order of its manual.
const PIRANHA_SCHEDULERS: [&str; 8] = ["rr", "wrr", "lc", "wlc", "lblc", "lblcr", "dh", "sh"];

impl Reader<'_, '_> {
    pub(super) fn word(
        &mut self,
        key: &Key,
        word: &Word<'_>,
        words: &[&'static str],
    ) -> Option<Value> {
        let text = word.text();
        match words.iter().find(|known| known.as_bytes() == text) {
            Some(known) => {
                if key.name == "protocol" && *known == "sctp" && key.place == Place::Virtual {
                    self.report
                        .strict(
                            word.span(),
                            "strict-protocol",
                            "old Piranha does not know the protocol `sctp`",
                        )
                        .hint("it knows tcp and udp");
                }
                Some(Value::Word(known))
            }
            None => {
                let near = closest(&text, words.iter().copied());
                let hint = near.map(|near| format!("did you mean `{near}`?"));
                self.refuse(key, word, "bad-word", hint);
                None
            }
        }
    }

    pub(super) fn words(
        &mut self,
        key: &Key,
        words: &[Word<'_>],
        known: &[&'static str],
    ) -> Option<Value> {
        let read: Vec<Option<Value>> = words
            .iter()
            .map(|word| self.word(key, word, known))
            .collect();
        let found: Option<Vec<&'static str>> = read
            .into_iter()
            .map(|value| match value? {
                Value::Word(word) => Some(word),
                _ => None,
            })
            .collect();
        found.map(Value::Words)
    }

    pub(super) fn scheduler(&mut self, key: &Key, word: &Word<'_>) -> Option<Value> {
        let text = word.text();
        let known = Scheduler::ALL
            .into_iter()
            .find(|scheduler| scheduler.name().as_bytes() == text);
        if let Some(scheduler) = known {
            if !PIRANHA_SCHEDULERS.contains(&scheduler.name()) {
                self.report
                    .strict(
                        word.span(),
                        "strict-scheduler",
                        format!("old Piranha does not know the scheduler `{scheduler}`"),
                    )
                    .hint(format!("it knows {}", PIRANHA_SCHEDULERS.join(", ")));
            }
            return Some(Value::Scheduler(scheduler));
        }
        if text == b"pcc" {
            let message = "`pcc` is the name that `lc` had before September 2000";
            match self.report.mode() {
                Mode::Strict => self.report.error(word.span(), "misnomer", message),
                Mode::Lenient => {
                    self.report
                        .warning(word.span(), "misnomer", format!("{message}: read as `lc`"))
                }
            }
            .hint("write `lc`");
            return Some(Value::Scheduler(Scheduler::Lc));
        }
        let near = closest(&text, available());
        let hint = near.map(|near| format!("did you mean `{near}`?"));
        self.refuse(key, word, "bad-word", hint);
        None
    }
}

pub(super) fn available() -> Vec<&'static str> {
    Scheduler::ALL.map(Scheduler::name).to_vec()
}

pub(super) fn listed(words: &[impl Display]) -> String {
    words
        .iter()
        .map(|word| format!("`{word}`"))
        .collect::<Vec<_>>()
        .join(", ")
}
