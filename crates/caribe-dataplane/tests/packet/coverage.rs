//! All cases together: no verdict is left out.

use caribe_packet::verdict::Verdict;
use libtest_mimic::{Failed, Trial};

use crate::bench::Sent;

/// Verdicts that no case can reach, each with the reason.
const UNREACHABLE: [(Verdict, &str); 0] = [];

/// The tests of what was sent.
pub(crate) fn trials(sent: &[Sent]) -> Vec<Trial> {
    let reached: Vec<Verdict> = sent.iter().map(|sent| sent.verdict).collect();
    let emitting: Vec<_> = sent
        .iter()
        .filter(|sent| sent.emitted.is_some())
        .cloned()
        .collect();
    vec![
        Trial::test("coverage::every verdict is reached", move || {
            every_verdict(&reached)
        }),
        Trial::test(
            "coverage::only what is forwarded or answered leaves",
            move || only_some_leave(&emitting),
        ),
    ]
}

fn every_verdict(reached: &[Verdict]) -> Result<(), Failed> {
    for verdict in Verdict::ALL {
        let count = reached.iter().filter(|one| *one == verdict).count();
        let reason = UNREACHABLE
            .iter()
            .find(|(one, _)| one == verdict)
            .map(|(_, reason)| reason);
        match (count, reason) {
            (0, None) => return Err(format!("no case reaches {}", verdict.name()).into()),
            (1.., Some(reason)) => {
                let text = format!("{} was reached after all, though {reason}", verdict.name());
                return Err(text.into());
            }
            _ => {}
        }
    }
    Ok(())
}

/// The name of a verdict says what becomes of a packet.
fn only_some_leave(emitting: &[Sent]) -> Result<(), Failed> {
    for sent in emitting {
        let name = sent.verdict.name();
        if !name.starts_with("forwarded_") && !name.starts_with("answered_") {
            return Err(format!("{}: a frame left as {name}", sent.case).into());
        }
    }
    Ok(())
}
