//! What a probe reports.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::agent::AgentReport;
use super::{Code, Load, Text};

/// The outcome of one probe.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// Layer and result.
    pub code: Code,
    /// What happened, for the operator.
    pub text: Text,
    /// From the start of the probe to its end.
    pub latency: Duration,
    /// What the server told of itself, if it was asked.
    pub reading: Option<Reading>,
}

/// What a server tells of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Reading {
    /// Its load average over one minute.
    Load(Load),
    /// An agent's words.
    Agent(AgentReport),
}

impl Finding {
    /// True when the server passed.
    pub fn passed(&self) -> bool {
        self.code.passed()
    }

    /// The load that was read.
    pub fn load(&self) -> Option<Load> {
        match &self.reading {
            Some(Reading::Load(load)) => Some(*load),
            _ => None,
        }
    }

    /// What an agent said.
    pub fn agent(&self) -> Option<&AgentReport> {
        match &self.reading {
            Some(Reading::Agent(report)) => Some(report),
            _ => None,
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.text)
    }
}

/// A finding before its latency is known: what the stages of a probe hand on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) code: Code,
    pub(super) text: Text,
    pub(super) reading: Option<Reading>,
}

/// A stage either gives what the next one needs, or ends the probe.
pub(super) type Step<T> = Result<T, Found>;

impl Found {
    pub(super) fn new(code: Code, text: impl fmt::Display) -> Found {
        Found {
            code,
            text: Text::new(text),
            reading: None,
        }
    }

    /// The finding of a probe that took so long.
    pub(super) fn after(self, latency: Duration) -> Finding {
        Finding {
            code: self.code,
            text: self.text,
            latency,
            reading: self.reading,
        }
    }

    pub(super) fn with(self, reading: Reading) -> Found {
        Found {
            reading: Some(reading),
            ..self
        }
    }
}
