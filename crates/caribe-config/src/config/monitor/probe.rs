//! What a `monitor` block checks.

use std::fmt;
use std::path::PathBuf;

use super::Http;

/// What is checked, by the kind of the block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Probe {
    /// A SYN is answered: `tcp` with `handshake = half` and nothing to send or to expect.
    Syn,
    /// A TCP connection is made.
    Tcp {
        /// What is sent then.
        send: Option<Vec<u8>>,
        /// What is expected then.
        expect: Option<Expectation>,
    },
    /// An HTTP request is answered: `http`, and `https` with TLS.
    Http(Box<Http>),
    /// A TLS handshake succeeds.
    Tls(Tls),
    /// A datagram is answered, or at least not refused.
    Udp {
        /// What is sent.
        payload: Vec<u8>,
        /// What is expected; `None`: anything but that the port is unreachable.
        expect: Option<Expectation>,
    },
    /// A DNS query is answered.
    Dns {
        /// Type of the records.
        record: RecordType,
        /// Domain name.
        name: String,
        /// What one of the records must be; `None`: an answer without an error.
        answer: Option<String>,
    },
    /// An SMTP server greets.
    Smtp {
        /// Name that is said in EHLO.
        helo: String,
    },
    /// An ICMP echo is answered.
    Ping,
    /// A program ends with exit code 0.
    Script(CommandLine),
    /// gRPC's health service says that a service serves.
    Grpc {
        /// The service; empty: the server as a whole.
        service: String,
        /// Inside TLS.
        tls: Option<Tls>,
    },
    /// An agent says how the server is (HAProxy's `agent-check`).
    Agent {
        /// What is sent to it first.
        send: Option<Vec<u8>>,
    },
}

impl Probe {
    /// The kind, as the name of the block.
    pub fn kind(&self) -> &'static str {
        match self {
            Probe::Syn | Probe::Tcp { .. } => "tcp",
            Probe::Http(http) if http.tls.is_some() => "https",
            Probe::Http(_) => "http",
            Probe::Tls(_) => "tls",
            Probe::Udp { .. } => "udp",
            Probe::Dns { .. } => "dns",
            Probe::Smtp { .. } => "smtp",
            Probe::Ping => "ping",
            Probe::Script(_) => "script",
            Probe::Grpc { .. } => "grpc",
            Probe::Agent { .. } => "agent",
        }
    }

    /// Whether it is sent to a port.
    pub fn needs_port(&self) -> bool {
        !matches!(self, Probe::Ping | Probe::Script(_))
    }
}

/// What an answer must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expectation {
    /// There is one.
    Anything,
    /// It begins with this.
    Prefix(Vec<u8>),
    /// This regular expression, a legal one, matches somewhere in it.
    Regex(String),
}

/// Types of DNS records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "they are named as in DNS")]
pub enum RecordType {
    A,
    Aaaa,
    Cname,
    Mx,
    Ns,
    Ptr,
    Soa,
    Srv,
    Txt,
}

/// How TLS is spoken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tls {
    /// `sni`; `None`: none is sent, and a verified certificate must be for the server's address.
    pub server_name: Option<String>,
    /// `verify` and `ca`.
    pub trust: Trust,
    /// `certificate` and `key`.
    pub identity: Option<TlsIdentity>,
}

/// Which certificates of the server are good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trust {
    /// Any.
    Any,
    /// Valid ones that the system trusts.
    System,
    /// Valid ones issued by those in this PEM file.
    Issuers(PathBuf),
}

/// The client's own certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsIdentity {
    /// PEM file of the certificate, with its chain.
    pub certificate: PathBuf,
    /// PEM file of the private key.
    pub key: PathBuf,
}

/// A program with its arguments, never empty. `%h` and `%p` in it stand for the server's address
/// and port; they are replaced when it is run.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct CommandLine {
    words: Vec<String>,
}

impl CommandLine {
    /// From program and arguments; `None` when there is no program.
    pub fn new(words: Vec<String>) -> Option<Self> {
        (!words.is_empty()).then_some(CommandLine { words })
    }

    /// The program and its arguments, one word at least.
    pub fn words(&self) -> &[String] {
        &self.words
    }
}

impl fmt::Display for CommandLine {
    /// The words with blanks between them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.words.join(" "))
    }
}
