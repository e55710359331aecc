//! A host for real servers, and probes sent from it.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use caribe_health::probe::{Check, Code, Finding, Target, probe};
use caribe_lab::wait::Deadline;
use caribe_lab::{Host, Lab};
use tokio::runtime;

/// The limit of probes that are to end by themselves: a busy machine never needs it.
pub(crate) const AMPLE: Duration = Duration::from_secs(20);

/// The limit of probes that are to run into it.
pub(crate) const SHORT: Duration = Duration::from_secs(1);

/// What a busy machine may add to a limit before a test complains.
const GRACE: Duration = Duration::from_secs(5);

/// How long a real program may take to start.
pub(crate) const START: Duration = Duration::from_secs(20);

/// One host, whose loopback is all the network that most tests need.
pub(crate) struct Bed {
    pub(crate) host: Host,
    // Last: it removes the host.
    _lab: Lab,
}

impl Bed {
    /// A bed with a name that no other test has.
    pub(crate) fn new(name: &str) -> Bed {
        let mut lab = Lab::new(name).expect("a lab");
        let host = lab.host("server").expect("a host");
        Bed { host, _lab: lab }
    }

    /// Writes a file of the host's and gives its path.
    pub(crate) fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.host.file(name);
        fs::write(&path, text).expect("a file of the lab");
        path
    }

    /// Probes something that is to end by itself, and with this code.
    pub(crate) fn sees(&self, code: Code, check: &Check, address: &str) -> Finding {
        self.sees_by(code, check, &target(address))
    }

    /// As [`Bed::sees`], by a way of its own.
    pub(crate) fn sees_by(&self, code: Code, check: &Check, target: &Target) -> Finding {
        let finding = look(&self.host, check, target, AMPLE);
        assert_eq!(finding.code, code, "{finding}");
        assert!(
            finding.latency < AMPLE,
            "took {:?}: {finding}",
            finding.latency
        );
        finding
    }

    /// Probes something that never ends by itself: the limit ends it, with this code.
    pub(crate) fn waits_in_vain(&self, code: Code, check: &Check, address: &str) -> Finding {
        let finding = look(&self.host, check, &target(address), SHORT);
        assert_eq!(finding.code, code, "{finding}");
        assert!(finding.latency >= SHORT, "{:?}: {finding}", finding.latency);
        finding
    }
}

/// Probes once from a host.
pub(crate) fn look(host: &Host, check: &Check, target: &Target, limit: Duration) -> Finding {
    let whole = Deadline::after(limit + GRACE);
    let finding = host
        .run(|| {
            let runtime = runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("a runtime");
            runtime.block_on(probe(check, target, limit))
        })
        .expect("the host is there");
    assert!(
        !whole.passed(),
        "{} took {:?}, its limit was {limit:?}: {finding}",
        check.kind(),
        whole.elapsed()
    );
    finding
}

pub(crate) fn target(address: &str) -> Target {
    Target::new(socket(address))
}

pub(crate) fn socket(address: &str) -> SocketAddr {
    address.parse().expect("an address with a port")
}

/// A check as an operator would write it.
pub(crate) fn check(json: &str) -> Check {
    serde_json::from_str(json).unwrap_or_else(|error| panic!("{error}: {json}"))
}

/// True when the text for the operator says this.
#[track_caller]
pub(crate) fn assert_says(finding: &Finding, words: &str) {
    assert!(
        finding.text.as_str().contains(words),
        "no `{words}` in: {finding}"
    );
}
