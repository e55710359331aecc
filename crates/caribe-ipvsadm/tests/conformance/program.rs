//! The program with a table in memory behind it.

use std::net::{IpAddr, Ipv4Addr};

use caribe_ipvsadm::{Names, Output, Protocol, program};

use crate::kernel::Memory;

/// What a run said.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Said {
    pub(crate) out: String,
    pub(crate) error: String,
    pub(crate) code: u8,
}

impl Output for Said {
    fn out(&mut self, text: &str) {
        self.out.push_str(text);
    }

    fn error(&mut self, text: &str) {
        self.error.push_str(text);
    }
}

/// A resolver that knows what a plain Debian does.
pub(crate) struct Debian;

impl Names for Debian {
    fn host(&self, address: IpAddr) -> Option<String> {
        (address == IpAddr::from([127, 0, 0, 1])).then(|| "localhost".to_owned())
    }

    fn service(&self, protocol: Protocol, port: u16) -> Option<String> {
        let (_, _, name) = *SERVICES
            .iter()
            .find(|(of, known, _)| *of == protocol && *known == port)?;
        Some(name.to_owned())
    }

    fn address(&self, host: &str) -> Option<Ipv4Addr> {
        (host == "localhost").then_some(Ipv4Addr::LOCALHOST)
    }

    fn port(&self, protocol: Protocol, name: &str) -> Option<u16> {
        let known = SERVICES
            .iter()
            .find(|(of, _, known)| *of == protocol && *known == name)?;
        Some(known.1)
    }
}

const SERVICES: [(Protocol, u16, &str); 6] = [
    (Protocol::Udp, 69, "tftp"),
    (Protocol::Tcp, 80, "http"),
    (Protocol::Tcp, 443, "https"),
    (Protocol::Udp, 443, "https"),
    (Protocol::Tcp, 53, "domain"),
    (Protocol::Udp, 53, "domain"),
];

impl Memory {
    /// Runs the program on these words, separated by blanks.
    pub(crate) fn run(&mut self, words: &str) -> Said {
        let words: Vec<&str> = words.split_whitespace().collect();
        self.run_words(&words, "")
    }

    /// Runs the program with `-R` on these lines.
    pub(crate) fn restore(&mut self, lines: &str) -> Said {
        self.run_words(&["-R"], lines)
    }

    pub(crate) fn run_words(&mut self, words: &[&str], input: &str) -> Said {
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        let mut said = Said::default();
        let mut read = || Ok(input.to_owned());
        said.code = program("CLI", &words, &Debian, self, &mut read, &mut said);
        said
    }

    /// Runs a command that must succeed, and say nothing.
    pub(crate) fn does(&mut self, words: &str) {
        assert_eq!(self.run(words), Said::default(), "{words}");
    }

    /// Runs a command that must be refused with exactly this.
    pub(crate) fn refuses(&mut self, words: &str, message: &str, code: u8) {
        let expected = Said {
            error: format!("{message}\n"),
            code,
            ..Said::default()
        };
        assert_eq!(self.run(words), expected, "{words}");
    }

    /// Runs a command that must print exactly this; `$` ends a line, since blanks before it count.
    pub(crate) fn shows(&mut self, words: &str, expected: &str) {
        let said = self.run(words);
        assert_eq!((said.error.as_str(), said.code), ("", 0), "{words}");
        assert_eq!(said.out, expected.replace("$\n", "\n"), "{words}");
    }
}
