//! The line that a connection gets.

use super::words::Words;

/// What is free of a machine, 0 to 100.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Percent(u8);

impl Percent {
    /// Nothing to do at all.
    pub(super) const FULL: Percent = Percent(100);

    /// So many percent; more than 100 count as 100.
    pub(super) fn new(percent: u64) -> Percent {
        // At most 100, which fits.
        Percent(percent.min(100) as u8)
    }
}

/// The administrator's words first, then `up` unless they say how the machine is, then the
/// percentage, then the reason.
pub(super) fn line(free: Percent, words: &Words) -> String {
    let mut line = words.to_string();
    if !words.tell_health() {
        line.push_str(if line.is_empty() { "up" } else { " up" });
    }
    line.push_str(&format!(" {}%", free.0));
    if let Some(reason) = words.reason() {
        line.push_str(&format!(" # {reason}"));
    }
    line.push('\n');
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_everything_once() {
        let said = |words: &str| line(Percent::new(87), &words.parse().expect("words"));
        assert_eq!(line(Percent::new(87), &Words::default()), "up 87%\n");
        assert_eq!(said(""), "ready up 87%\n");
        assert_eq!(said("drain"), "drain up 87%\n");
        assert_eq!(said("maint, maxconn:30"), "maint maxconn:30 up 87%\n");
        assert_eq!(said("down # disk full"), "ready down 87% # disk full\n");
        assert_eq!(line(Percent::new(250), &Words::default()), "up 100%\n");
    }
}
