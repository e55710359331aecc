//! The output of `nft list ruleset`, with handles (`-a`) or without.

mod rule;
mod tokens;

use super::Untranslated;
use super::chain::{Chain, Entry, Found, Hook};

use tokens::{Token, tokens};

/// Reads the tables of a text.
pub(super) fn chains(text: &str) -> Vec<Chain> {
    let mut reader = Reader::default();
    for (number, line) in (1..).zip(text.lines()) {
        reader.line(number, line.trim());
    }
    reader.chains
}

/// Where in the text the reader is.
#[derive(Default)]
struct Reader {
    family: Family,
    chains: Vec<Chain>,
    /// What is open, outermost first.
    open: Vec<Opened>,
}

/// Family of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Family {
    Ip,
    Ip6,
    Inet,
    /// Packets pass its chains elsewhere.
    #[default]
    Other,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Opened {
    Table,
    Chain,
    /// A chain without a name, inside a rule.
    InnerChain,
    /// A set, a map or the like.
    Other,
}

impl Reader {
    fn line(&mut self, number: usize, line: &str) {
        let tokens = tokens(line);
        let opens = tokens.iter().filter(|token| token.is("{")).count();
        let closes = tokens.iter().filter(|token| token.is("}")).count();
        match (self.open.last(), closes > opens) {
            // `}` of a set that stands behind its last elements, or alone.
            (Some(_), true) => {
                for _ in opens..closes {
                    self.open.pop();
                }
            }
            (None | Some(Opened::Table), false) => self.head(&tokens, opens > closes),
            (Some(Opened::Chain), false) => {
                self.rule(number, line, &tokens, None);
                if opens > closes {
                    self.open.push(Opened::InnerChain);
                }
            }
            (Some(Opened::InnerChain), false) => {
                self.rule(
                    number,
                    line,
                    &tokens,
                    Some("it is in a chain inside a rule"),
                );
                if opens > closes {
                    self.open.push(Opened::InnerChain);
                }
            }
            (Some(Opened::Other), false) if opens > closes => self.open.push(Opened::Other),
            _ => {}
        }
    }

    /// The first line of a table, or of something in a table.
    fn head(&mut self, tokens: &[Token<'_>], opens: bool) {
        let word = |at: usize| tokens.get(at).and_then(Token::word);
        let opened = match word(0) {
            Some("table") => {
                self.family = match word(1) {
                    Some("ip") => Family::Ip,
                    Some("ip6") => Family::Ip6,
                    Some("inet") => Family::Inet,
                    _ => Family::Other,
                };
                Opened::Table
            }
            Some("chain") => {
                self.chains.push(Chain {
                    name: word(1).unwrap_or_default().to_owned(),
                    ..Chain::default()
                });
                Opened::Chain
            }
            _ => Opened::Other,
        };
        if opens {
            self.open.push(opened);
        }
    }

    fn rule(&mut self, number: usize, line: &str, tokens: &[Token<'_>], inside: Option<&str>) {
        let family = self.family;
        let Some(chain) = self.chains.last_mut() else {
            return;
        };
        if tokens.first().is_some_and(|token| token.is("type"))
            && tokens.iter().any(|token| token.is("hook"))
        {
            chain.entry = entry(family, tokens);
            return;
        }
        let found = match (rule::found(number, line, tokens, family), inside) {
            (Some(Found::Marks { rule, text, .. }), Some(reason)) => {
                Some(Found::Refused(Untranslated::new(rule.line, &text, reason)))
            }
            (Some(Found::Ends { .. }), Some(_)) => None, // the rule around it is told of
            (found, _) => found,
        };
        chain.rules.extend(found);
    }
}

/// Where packets come to the chain of a line such as `type filter hook prerouting priority
/// mangle + 5; policy accept;`.
fn entry(family: Family, tokens: &[Token<'_>]) -> Option<Entry> {
    let behind = |word: &str| {
        let at = tokens.iter().position(|token| token.is(word))?;
        Some(&tokens[at + 1..])
    };
    if family == Family::Other {
        return None;
    }
    let hook = match behind("hook")?.first()?.word()? {
        "prerouting" => Hook::Prerouting,
        "input" => Hook::Input,
        _ => return None,
    };
    let priority = behind("priority")?;
    let name = priority.first()?.word()?;
    let base = match name {
        "raw" => -300,
        "mangle" => -150,
        "dstnat" => -100,
        "filter" => 0,
        "security" => 50,
        "srcnat" => 100,
        number => number.parse().ok()?,
    };
    let offset: i32 = priority
        .get(2)
        .and_then(Token::word)
        .and_then(|number| number.parse().ok())
        .unwrap_or(0);
    let priority = match priority.get(1).and_then(Token::word) {
        Some("+") => base + offset,
        Some("-") => base - offset,
        _ => base,
    };
    Entry::before_ipvs(hook, priority)
}
