//! What a probe can find, as a closed vocabulary of short words.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The result of a probe: the layer at which it ended, and how. The words are those that
/// HAProxy made known, with `L3` for pings beside them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "&'static str")]
pub enum Code {
    /// The address answered a ping.
    L3Ok,
    /// The address did not answer a ping in time.
    L3Timeout,
    /// The network says that the address cannot be reached.
    L3Unreachable,
    /// The port takes connections; nothing above was asked, or nothing had to answer.
    L4Ok,
    /// No connection within the limit.
    L4Timeout,
    /// The connection was refused or reset, or the address cannot be reached.
    L4Refused,
    /// The TLS handshake succeeded; nothing above was asked.
    L6Ok,
    /// The TLS handshake did not end within the limit.
    L6Timeout,
    /// The TLS handshake failed: a bad certificate, no common version, or no TLS at all.
    L6Response,
    /// The service answered as it should.
    L7Ok,
    /// The service did not answer, or not completely, within the limit.
    L7Timeout,
    /// The service's answer is none: garbage, too short, cut off, or not what was expected.
    L7Response,
    /// The service answered, well-formed, that it is not well.
    L7Status,
    /// The program ended as it should.
    ProgramOk,
    /// The program did not end within the limit and was killed.
    ProgramTimeout,
    /// The program could not be run, failed, died of a signal or said something else.
    ProgramError,
    /// The director could not even ask: no descriptors left, no such interface or source
    /// address, an unreadable certificate. It says nothing about the server.
    Local,
}

impl Code {
    /// Every code, in the order of the layers.
    pub const ALL: [Code; 17] = [
        Code::L3Ok,
        Code::L3Timeout,
        Code::L3Unreachable,
        Code::L4Ok,
        Code::L4Timeout,
        Code::L4Refused,
        Code::L6Ok,
        Code::L6Timeout,
        Code::L6Response,
        Code::L7Ok,
        Code::L7Timeout,
        Code::L7Response,
        Code::L7Status,
        Code::ProgramOk,
        Code::ProgramTimeout,
        Code::ProgramError,
        Code::Local,
    ];

    /// The word for listings, events and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Code::L3Ok => "L3OK",
            Code::L3Timeout => "L3TOUT",
            Code::L3Unreachable => "L3CON",
            Code::L4Ok => "L4OK",
            Code::L4Timeout => "L4TOUT",
            Code::L4Refused => "L4CON",
            Code::L6Ok => "L6OK",
            Code::L6Timeout => "L6TOUT",
            Code::L6Response => "L6RSP",
            Code::L7Ok => "L7OK",
            Code::L7Timeout => "L7TOUT",
            Code::L7Response => "L7RSP",
            Code::L7Status => "L7STS",
            Code::ProgramOk => "PROCOK",
            Code::ProgramTimeout => "PROCTOUT",
            Code::ProgramError => "PROCERR",
            Code::Local => "SOCKERR",
        }
    }

    /// The layer at which the probe ended.
    pub const fn layer(self) -> Layer {
        match self {
            Code::L3Ok | Code::L3Timeout | Code::L3Unreachable => Layer::Network,
            Code::L4Ok | Code::L4Timeout | Code::L4Refused => Layer::Transport,
            Code::L6Ok | Code::L6Timeout | Code::L6Response => Layer::Presentation,
            Code::L7Ok | Code::L7Timeout | Code::L7Response | Code::L7Status => Layer::Application,
            Code::ProgramOk | Code::ProgramTimeout | Code::ProgramError => Layer::Program,
            Code::Local => Layer::Director,
        }
    }

    /// True when the server passed.
    pub const fn passed(self) -> bool {
        matches!(
            self,
            Code::L3Ok | Code::L4Ok | Code::L6Ok | Code::L7Ok | Code::ProgramOk
        )
    }

    /// True when the director itself was in the way, so that nothing was learnt of the server.
    pub const fn is_local(self) -> bool {
        matches!(self, Code::Local)
    }
}

/// Where a probe ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Layer {
    /// Layer 3: pings.
    Network,
    /// Layer 4: connections.
    Transport,
    /// Layer 6: TLS.
    Presentation,
    /// Layer 7: what the service says.
    Application,
    /// A program that ran on the director.
    Program,
    /// The director itself.
    Director,
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A word that is none of the vocabulary.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no result of a probe; the words are L3OK, L4TOUT, L7STS and their like")]
pub struct UnknownCode(String);

impl FromStr for Code {
    type Err = UnknownCode;

    fn from_str(word: &str) -> Result<Code, UnknownCode> {
        Code::ALL
            .into_iter()
            .find(|code| code.as_str() == word)
            .ok_or_else(|| UnknownCode(word.chars().take(32).collect()))
    }
}

impl TryFrom<String> for Code {
    type Error = UnknownCode;

    fn try_from(word: String) -> Result<Code, UnknownCode> {
        word.parse()
    }
}

impl From<Code> for &'static str {
    fn from(code: Code) -> &'static str {
        code.as_str()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_word_is_read_back_as_its_code() {
        for code in Code::ALL {
            assert_eq!(code.as_str().parse(), Ok(code));
        }
        assert!("l4ok".parse::<Code>().is_err());
        assert!("".parse::<Code>().is_err());
    }

    #[test]
    fn the_words_tell_layer_and_verdict() {
        for code in Code::ALL {
            let word = code.as_str();
            assert_eq!(code.passed(), word.ends_with("OK"), "{word}");
            let layer = match &word[..2] {
                "L3" => Layer::Network,
                "L4" => Layer::Transport,
                "L6" => Layer::Presentation,
                "L7" => Layer::Application,
                "PR" => Layer::Program,
                _ => Layer::Director,
            };
            assert_eq!(code.layer(), layer, "{word}");
        }
    }
}
