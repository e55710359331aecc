//! The order in which rules are applied: in lvs.cf the last rule that matches counts, and in
//! netfilter a rule may end its chain.

use super::Untranslated;
use super::rule::Rule;

/// A chain of rules.
#[derive(Debug, Default)]
pub(super) struct Chain {
    pub(super) name: String,
    /// Where the packets of clients come to it on their way to IPVS, if they do.
    pub(super) entry: Option<Entry>,
    pub(super) rules: Vec<Found>,
}

/// Where packets come to a base chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Entry {
    pub(super) hook: Hook,
    /// Chains of a hook are passed in this order.
    pub(super) priority: i32,
}

/// A hook that the packets of clients pass on their way to IPVS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Hook {
    Prerouting,
    Input,
}

impl Entry {
    /// A chain of this hook and priority; `None` if IPVS takes its packets before. The kernel's
    /// does so at the hook of input, one step before `srcnat`. Of a chain at this very step nobody
    /// can tell.
    pub(super) fn before_ipvs(hook: Hook, priority: i32) -> Option<Entry> {
        const IPVS: i32 = 99;
        (hook < Hook::Input || priority < IPVS).then_some(Entry { hook, priority })
    }
}

/// A rule as it was found.
#[derive(Debug)]
pub(super) enum Found {
    /// It sets a mark.
    Marks {
        rule: Rule,
        /// It ends the chain for its packets.
        ends: bool,
        text: String,
    },
    /// It does something to marks that cannot be translated.
    Refused(Untranslated),
    /// It sets no mark, and ends the chain for some packets.
    Ends { line: usize, text: String },
}

/// The rules, those that count last; and what cannot be translated.
pub(super) fn in_order(mut chains: Vec<Chain>) -> (Vec<Rule>, Vec<Untranslated>) {
    // Chains without an entry come last: none of their rules is translated.
    chains.sort_by_key(|chain| (chain.entry.is_none(), chain.entry));
    refuse_what_no_order_is_told_of(&mut chains);
    let mut rules = Vec::new();
    let mut untranslated = Vec::new();
    for chain in chains {
        if chain.entry.is_none() {
            not_passed(chain, &mut untranslated);
            continue;
        }
        let last = chain
            .rules
            .iter()
            .rposition(|found| matches!(found, Found::Marks { .. }));
        // A rule that ends its chain counts for its packets, whatever follows: it goes behind
        // all that follow, and the first of several such behind the others.
        let mut ended = Vec::new();
        for (at, found) in chain.rules.into_iter().enumerate() {
            match found {
                Found::Marks {
                    rule, ends: false, ..
                } => rules.push(rule),
                Found::Marks {
                    rule, ends: true, ..
                } => ended.push(rule),
                Found::Refused(refused) => untranslated.push(refused),
                Found::Ends { line, text } if last.is_some_and(|last| at < last) => {
                    untranslated.push(Untranslated::new(
                        line,
                        &text,
                        "its packets may not come to the rules behind it that set marks, and a \
                         `mark` block knows no exceptions",
                    ));
                }
                Found::Ends { .. } => {}
            }
        }
        rules.extend(ended.into_iter().rev());
    }
    (rules, untranslated)
}

/// Of two chains of one hook and priority the kernel passes the one first that came last, which the
/// text does not tell. Rules there that mark the same packets otherwise have no order.
fn refuse_what_no_order_is_told_of(chains: &mut [Chain]) {
    let mut unordered = Vec::new();
    for same in chains.chunk_by(|left, right| left.entry.is_some() && left.entry == right.entry) {
        for (at, chain) in same.iter().enumerate() {
            let others = || same[at + 1..].iter().flat_map(Chain::marking);
            for rule in chain.marking() {
                for other in others().filter(|other| rule.contradicts(other)) {
                    unordered.extend([rule.line, other.line]);
                }
            }
        }
    }
    let rules = chains.iter_mut().flat_map(|chain| &mut chain.rules);
    for found in rules {
        if let Found::Marks { rule, text, .. } = &*found
            && unordered.contains(&rule.line)
        {
            *found = Found::Refused(Untranslated::new(
                rule.line,
                text,
                "a chain of the same hook and priority marks some of its packets otherwise, and \
                 the order of the two is not told",
            ));
        }
    }
}

impl Chain {
    fn marking(&self) -> impl Iterator<Item = &Rule> {
        self.rules.iter().filter_map(|found| match found {
            Found::Marks { rule, .. } => Some(rule),
            Found::Refused(_) | Found::Ends { .. } => None,
        })
    }
}

fn not_passed(chain: Chain, untranslated: &mut Vec<Untranslated>) {
    for found in chain.rules {
        match found {
            Found::Marks { rule, text, .. } => untranslated.push(Untranslated::new(
                rule.line,
                &text,
                format!(
                    "the packets of clients do not pass chain {} by themselves before IPVS takes \
                     them",
                    super::shown_rule(&chain.name)
                ),
            )),
            Found::Refused(refused) => untranslated.push(refused),
            Found::Ends { .. } => {}
        }
    }
}
