//! `uptime` on the server, by the system's ssh: what Piranha did.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::deadline::Deadline;
use super::finding::{Found, Step};
use super::program::ProgramVerdict;
use super::{Target, process};

/// Runs `ssh SERVER uptime` and reads the load average. The director's user must be able to log in
/// without a password; settings beyond these go into ssh's own configuration.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SshCheck {
    /// The port.
    #[serde(default = "SshCheck::port")]
    pub port: u16,
    /// The user to log in as.
    #[serde(default)]
    pub user: Option<SshWord>,
    /// File of the private key.
    #[serde(default)]
    pub identity: Option<PathBuf>,
    /// File of the host keys that are believed, in place of the user's own.
    #[serde(default)]
    pub known_hosts: Option<SshWord>,
}

/// A word that ssh takes for nothing else: no option, no quotes, no blanks, no `%`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SshWord(String);

/// A word that ssh might take for something else.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` cannot be given to ssh: no leading `-`, and no blanks, quotes, `%`, `$` or control characters"
)]
pub struct SshWordError(String);

impl TryFrom<String> for SshWord {
    type Error = SshWordError;

    fn try_from(word: String) -> Result<SshWord, SshWordError> {
        let legal = |c: char| !c.is_whitespace() && !c.is_control() && !"'\"\\%$".contains(c);
        if !word.is_empty() && !word.starts_with('-') && word.chars().all(legal) {
            Ok(SshWord(word))
        } else {
            Err(SshWordError(word))
        }
    }
}

impl From<SshWord> for String {
    fn from(word: SshWord) -> String {
        word.0
    }
}

impl Default for SshCheck {
    fn default() -> SshCheck {
        SshCheck {
            port: SshCheck::port(),
            user: None,
            identity: None,
            known_hosts: None,
        }
    }
}

impl SshCheck {
    fn port() -> u16 {
        22
    }

    /// The words to run. It never asks anybody anything.
    fn words(&self, target: &Target, deadline: &Deadline) -> Vec<String> {
        let seconds = deadline.left().as_secs().max(1);
        let mut words: Vec<String> = ["ssh", "-T", "-o", "BatchMode=yes"]
            .map(str::to_owned)
            .into();
        words.extend(["-o".to_owned(), format!("ConnectTimeout={seconds}")]);
        words.extend(["-p".to_owned(), self.port.to_string()]);
        if let Some(user) = &self.user {
            words.extend(["-l".to_owned(), user.0.clone()]);
        }
        if let Some(identity) = &self.identity {
            let identity = identity.to_string_lossy().into_owned();
            words.extend(["-i".to_owned(), identity]);
        }
        if let Some(file) = &self.known_hosts {
            words.extend(["-o".to_owned(), format!("UserKnownHostsFile={}", file.0)]);
        }
        if let Some(source) = target.source {
            words.extend(["-b".to_owned(), source.to_string()]);
        }
        if let Some(interface) = &target.interface {
            words.extend(["-B".to_owned(), interface.to_string()]);
        }
        let address = target.address.ip().to_string();
        words.extend(["--".to_owned(), address, "uptime".to_owned()]);
        words
    }

    pub(super) async fn run(&self, target: &Target, deadline: &Deadline) -> Step<Found> {
        let words = self.words(target, deadline);
        let ran = process::run(&words, &[("LC_ALL", "C")], deadline).await?;
        ProgramVerdict::Load.judge(&ran)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn the_words_are_sshs() {
        let check = SshCheck {
            user: Some(SshWord::try_from("nanny".to_owned()).expect("a word")),
            ..SshCheck::default()
        };
        let mut target = Target::new("[2001:db8::1]:80".parse().expect("an address"));
        target.source = Some("2001:db8::2".parse().expect("an address"));
        let words = check.words(&target, &Deadline::after(Duration::from_millis(10)));
        assert_eq!(
            words.join(" "),
            "ssh -T -o BatchMode=yes -o ConnectTimeout=1 -p 22 -l nanny -b 2001:db8::2 -- \
             2001:db8::1 uptime"
        );
    }

    #[test]
    fn no_word_is_an_option() {
        for word in ["", "-oProxyCommand=x", "a b", "a\nb", "a\"b", "%d/hosts"] {
            assert!(SshWord::try_from(word.to_owned()).is_err(), "{word:?}");
        }
    }
}
