//! Two transcripts of a scenario, compared.

use std::collections::BTreeSet;
use std::fmt;

use crate::deviations::{DEVIATIONS, Rule};
use crate::listing::{Connection, Line, lines};
use crate::play::{Observed, Rules, Said, Transcript};
use crate::scenario::Scenario;
use crate::seen::Seen;

/// The first place where two directors did different things.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The number of the scenario's step after which it was seen; past the last step for the
    /// closing listings.
    pub step: usize,
    /// What the reference did.
    pub reference: String,
    /// What the other did.
    pub other: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Difference {
            reference, other, ..
        } = self;
        writeln!(
            f,
            "the kernel:\n{}\nhere:\n{}",
            indented(reference),
            indented(other)
        )
    }
}

fn indented(text: &str) -> String {
    let lines = text.lines().map(|line| format!("    {line}"));
    lines.collect::<Vec<_>>().join("\n")
}

/// Finds the first difference that is not meant.
pub fn compare(
    scenario: &Scenario,
    reference: &Transcript,
    other: &Transcript,
) -> Option<Difference> {
    if let Some(difference) = left_out(reference, other) {
        return Some(difference);
    }
    let (mut left, mut right) = (reference.observed.iter(), other.observed.iter());
    let mut view = View {
        scenario,
        outgoing_counters: true,
    };
    loop {
        match (left.next(), right.next()) {
            (None, None) => return None,
            (Some((step, reference)), Some((other_step, other))) if step == other_step => {
                view.learn(reference);
                if !view.alike(reference, other) {
                    let step = *step;
                    let (reference, other) = told_apart(scenario.number, reference, other);
                    return Some(Difference {
                        step,
                        reference,
                        other,
                    });
                }
            }
            // The same scenario is played in the same steps; a broken transcript is a difference.
            (reference, other) => {
                let step = reference.or(other).map_or(0, |(step, _)| *step);
                let told = |it: Option<&(usize, Observed)>| format!("{it:?}");
                let (reference, other) = (told(reference), told(other));
                return Some(Difference {
                    step,
                    reference,
                    other,
                });
            }
        }
    }
}

/// Where the rules differ that no `mark` block stands for.
fn left_out(reference: &Transcript, other: &Transcript) -> Option<Difference> {
    let (Some(reference), Some(other)) = (&reference.rules, &other.rules) else {
        return None;
    };
    if reference.left_out == other.left_out {
        return None;
    }
    let lines = || (1..).zip(reference.text.lines());
    let told = |by: &Rules| {
        let named = lines().filter(|(number, _)| by.left_out.contains(number));
        let named = named.map(|(number, line)| format!("line {number} without a block: {line}"));
        named.collect::<Vec<_>>().join("\n")
    };
    Some(Difference {
        step: 0,
        reference: told(reference),
        other: told(other),
    })
}

/// What is compared of a scenario, at a point of it.
struct View<'a> {
    scenario: &'a Scenario,
    /// Whether counters of what went to clients mean something.
    outgoing_counters: bool,
}

impl View<'_> {
    /// Takes notice of what the reference did.
    fn learn(&mut self, reference: &Observed) {
        for deviation in DEVIATIONS {
            if let Rule::OutgoingCounters(differ) = deviation.rule
                && differ(self.scenario, reference)
            {
                self.outgoing_counters = false;
            }
        }
    }

    fn alike(&self, reference: &Observed, other: &Observed) -> bool {
        match (reference, other) {
            (Observed::Said(reference), Observed::Said(other)) => {
                let read = |said: &Said| self.lines(&said.out);
                let (mut left, mut right) = (read(reference), read(other));
                let invalid = clients_of_invalid_templates(&left);
                if !invalid.is_empty() && leaves_out_invalid_templates() {
                    without_templates(&mut left, &invalid);
                    without_templates(&mut right, &invalid);
                }
                reference.code == other.code
                    && reference.error == other.error
                    && left.len() == right.len()
                    && left
                        .iter()
                        .zip(&right)
                        .all(|(left, right)| same_line(left, right))
            }
            (Observed::Sent(reference), Observed::Sent(other)) => {
                masked(reference) == masked(other)
            }
            (reference, other) => reference == other,
        }
    }

    fn lines(&self, printed: &str) -> Vec<Line> {
        let mut lines = lines(printed, self.scenario.number);
        for line in &mut lines {
            let Line::Connection(template) = line else {
                continue;
            };
            if !ends(template).is_some_and(|(client, _)| client.ends_with(":0")) {
                continue;
            }
            for deviation in DEVIATIONS {
                if let Rule::TemplateTime(differs) = deviation.rule
                    && differs(self.scenario)
                {
                    template.left = 0;
                }
            }
        }
        if !self.outgoing_counters {
            for line in &mut lines {
                if let Line::Text(text) = line {
                    *text = without_outgoing_counters(text);
                }
            }
        }
        lines
    }
}

/// A line of `--stats` without the third and the fifth of its five numbers; another as it is.
fn without_outgoing_counters(line: &str) -> String {
    let words: Vec<&str> = line.split_whitespace().collect();
    let is_number = |word: &&str| word.bytes().all(|byte| byte.is_ascii_digit());
    let Some(first) = words.len().checked_sub(5) else {
        return line.to_owned();
    };
    let (head, numbers) = words.split_at(first);
    // A service or server has two words, that of an IPv6 mark three.
    if !(2..=3).contains(&head.len()) || !numbers.iter().all(is_number) {
        return line.to_owned();
    }
    format!(
        "{} {} {} _ {} _",
        head.join(" "),
        numbers[0],
        numbers[1],
        numbers[3]
    )
}

fn same_line(left: &Line, right: &Line) -> bool {
    match (left, right) {
        (Line::Connection(left), Line::Connection(right)) => {
            left.row == right.row && left.left.abs_diff(right.left) <= time_left()
        }
        (left, right) => left == right,
    }
}

/// By how much the time left may differ.
fn time_left() -> u32 {
    let bounds = DEVIATIONS
        .iter()
        .filter_map(|deviation| match deviation.rule {
            Rule::TimeLeft(seconds) => Some(seconds),
            Rule::Frame(_)
            | Rule::OutgoingCounters(_)
            | Rule::InvalidTemplates
            | Rule::TemplateTime(_)
            | Rule::Avoided => None,
        });
    bounds.max().unwrap_or(0)
}

fn leaves_out_invalid_templates() -> bool {
    let mut deviations = DEVIATIONS.iter();
    deviations.any(|deviation| matches!(deviation.rule, Rule::InvalidTemplates))
}

/// The client's end of templates that are listed as invalid, with the port 65535 as the VIP's.
fn clients_of_invalid_templates(lines: &[Line]) -> BTreeSet<String> {
    let connections = lines.iter().filter_map(|line| match line {
        Line::Connection(connection) => Some(connection),
        Line::Text(_) => None,
    });
    connections
        .filter_map(|connection| {
            let (client, vip) = ends(connection)?;
            (client.ends_with(":0") && vip.ends_with(":65535")).then(|| client.to_owned())
        })
        .collect()
}

/// The client's and the VIP's end of a row.
fn ends(connection: &Connection) -> Option<(&str, &str)> {
    let mut words = connection.row.split_whitespace().skip(3);
    Some((words.next()?, words.next()?))
}

/// Leaves out the templates of these clients, and how many templates each server has.
fn without_templates(lines: &mut Vec<Line>, clients: &BTreeSet<String>) {
    lines.retain(|line| match line {
        Line::Connection(connection) => {
            ends(connection).is_none_or(|(client, _)| !clients.contains(client))
        }
        Line::Text(_) => true,
    });
    let mut counted = false;
    for line in lines {
        let Line::Text(text) = line else { continue };
        if text.starts_with("Prot LocalAddress:Port") {
            counted = text.contains("PersistConn");
        } else if counted && text.starts_with("  -> ") {
            let mut words: Vec<&str> = text.split_whitespace().collect();
            if let Some(templates) = words.get_mut(3) {
                *templates = "_";
            }
            *text = words.join(" ");
        }
    }
}

/// Frames without what is not compared.
fn masked(frames: &[Seen]) -> Vec<Seen> {
    let mut frames = frames.to_vec();
    for frame in &mut frames {
        for deviation in DEVIATIONS {
            if let Rule::Frame(mask) = deviation.rule {
                mask(frame);
            }
        }
    }
    frames
}

/// Both sides as text; of long listings only what differs.
fn told_apart(scenario: u32, reference: &Observed, other: &Observed) -> (String, String) {
    match (reference, other) {
        (Observed::Said(left), Observed::Said(right)) => {
            let (left_lines, right_lines) = (said(scenario, left), said(scenario, right));
            let same = left_lines
                .iter()
                .zip(&right_lines)
                .take_while(|(l, r)| l == r)
                .count();
            let rest = |lines: &[String]| lines[same..].join("\n");
            (rest(&left_lines), rest(&right_lines))
        }
        (left, right) => (told(scenario, left), told(scenario, right)),
    }
}

fn told(scenario: u32, observed: &Observed) -> String {
    match observed {
        Observed::Said(it) => said(scenario, it).join("\n"),
        Observed::Sent(frames) if frames.is_empty() => "sends nothing".to_owned(),
        Observed::Sent(frames) => {
            let frames = frames.iter().map(|frame| format!("sends {frame}"));
            frames.collect::<Vec<_>>().join("\n")
        }
        Observed::NoAnswer => "no server of it answers through the director".to_owned(),
    }
}

fn said(scenario: u32, said: &Said) -> Vec<String> {
    let lines = lines(&said.out, scenario)
        .into_iter()
        .map(|line| match line {
            Line::Text(text) => text,
            Line::Connection(connection) => format!("{} ({} s)", connection.row, connection.left),
        });
    let errors = said.error.lines().map(|line| format!("error: {line}"));
    let code = said
        .code
        .map_or("a signal".to_owned(), |code| code.to_string());
    lines
        .chain(errors)
        .chain([format!("ended with {code}")])
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_lines_of_counters_lose_some() {
        let masked = without_outgoing_counters("  -> 10.2.0.12:80      8   8   1   320    68");
        assert_eq!(masked, "-> 10.2.0.12:80 8 8 _ 320 _");
        for line in [
            "  -> 10.2.0.11:80              Masq    1      0          0         ",
            "",
        ] {
            assert_eq!(without_outgoing_counters(line), line);
        }
    }

    #[test]
    fn invalid_templates_are_left_out_with_their_number() {
        let persistent = |templates: u32| {
            format!(
                "Prot LocalAddress:Port            Weight    PersistConn ActiveConn InActConn\n  \
                 -> RemoteAddress:Port\n\
                 TCP  10.128.0.28:80 rr persistent 360\n  \
                 -> 10.2.0.16:80                 1         {templates}           1          0         \n\
                 IPVS connection entries\n"
            )
        };
        let row = |client: &str, vip: &str, server: u8| {
            format!("TCP 05:59  ASSURED     {client:<18} {vip:<18} 10.2.0.{server}:80\n")
        };
        let (client, vip) = ("11.0.7.0:0", "10.128.0.28:80");
        let other = row("11.0.7.16:0", vip, 12);
        let invalid = row(client, "10.128.0.28:65535", 11);
        let kernel = [
            persistent(2),
            invalid.clone(),
            row(client, vip, 16),
            other.clone(),
        ]
        .concat();
        let caribe = [persistent(1), row(client, vip, 16), other.clone()].concat();
        let scenario = scenario();
        assert_eq!(
            compare(&scenario, &listing(&kernel), &listing(&caribe)),
            None
        );
        // Others still count, and so does everything where no template is invalid.
        let less = [persistent(1), row(client, vip, 16)].concat();
        assert!(compare(&scenario, &listing(&kernel), &listing(&less)).is_some());
        let valid = kernel.replace(&invalid, "");
        assert!(compare(&scenario, &listing(&valid), &listing(&caribe)).is_some());
    }

    fn scenario() -> Scenario {
        Scenario {
            number: 7,
            marks: Vec::new(),
            netfilter: None,
            settings: Vec::new(),
            steps: Vec::new(),
        }
    }

    fn listing(out: &str) -> Transcript {
        let said = Said {
            out: out.to_owned(),
            error: String::new(),
            code: Some(0),
        };
        Transcript {
            number: 7,
            rules: None,
            observed: vec![(0, Observed::Said(said))],
        }
    }

    #[test]
    fn a_state_differs_and_a_second_does_not() {
        let scenario = scenario();
        let row = |time: &str, state: &str| {
            listing(&format!(
                "TCP {time}  {state} 11.0.7.2:1024      10.128.0.28:80     10.2.0.11:80\n"
            ))
        };
        let reference = row("01:00", "SYN_RECV   ");
        let differs = |other: &Transcript| compare(&scenario, &reference, other);
        assert_eq!(differs(&row("00:58", "SYN_RECV   ")), None);
        assert!(differs(&row("00:30", "SYN_RECV   ")).is_some());
        assert!(differs(&row("01:00", "ESTABLISHED")).is_some());
        assert!(differs(&listing("")).is_some());
    }
}
