//! Asking the data plane what would become of a packet.

use std::sync::Arc;

use caribe_dataplane::xdp::{Explainer, Whereabouts};
use caribe_dataplane::{Dataplane, Explanation, LiveInterface, Question};
use tokio::sync::Mutex;

use super::plane::Plane;
use crate::ExplainError;

/// The programs that explain: loaded when somebody asks for the first time, kept for the next
/// question. One question at a time.
#[derive(Debug, Clone, Default)]
pub(super) struct Explaining(Arc<Mutex<Option<Explainer>>>);

impl Explaining {
    pub(super) async fn explain(
        &self,
        plane: &Plane,
        question: Question,
    ) -> Result<Explanation, ExplainError> {
        question.check()?;
        let asked = plane.call(|plane| Ok((plane.whereabouts(), plane.snapshot()?.interfaces)));
        let (whereabouts, interfaces) = asked.await.map_err(failed)?;
        let interface = interface(question.interface.as_deref(), &interfaces)?;
        let explainer = Arc::clone(&self.0);
        let answer = tokio::task::spawn_blocking(move || {
            let mut explainer = explainer.blocking_lock();
            ask(&mut explainer, &whereabouts, &question, interface)
        });
        answer.await.map_err(failed)?
    }
}

fn ask(
    explainer: &mut Option<Explainer>,
    whereabouts: &Whereabouts,
    question: &Question,
    interface: u32,
) -> Result<Explanation, ExplainError> {
    let loaded = match explainer.take() {
        Some(loaded) => Ok(loaded),
        None => Explainer::load(whereabouts),
    };
    let mut loaded = loaded.map_err(failed)?;
    let answer = loaded.explain(question, Some(interface)).map_err(failed)?;
    // After a failure it is loaded anew.
    *explainer = Some(loaded);
    Ok(answer)
}

/// The index of the interface by which the packet comes in.
fn interface(name: Option<&str>, interfaces: &[LiveInterface]) -> Result<u32, ExplainError> {
    let first = interfaces.first().ok_or(ExplainError::NoInterface)?;
    let Some(name) = name else {
        return Ok(first.index);
    };
    let found = interfaces.iter().find(|interface| interface.name == name);
    found.map(|found| found.index).ok_or_else(|| {
        let known: Vec<&str> = interfaces.iter().map(|it| it.name.as_str()).collect();
        ExplainError::Interface {
            name: name.to_owned(),
            known: known.join(", "),
        }
    })
}

/// With everything that led to it.
fn failed(error: impl std::error::Error) -> ExplainError {
    let mut words = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        // The verifier's log is of no use here, and long.
        let more = more.lines().next().unwrap_or_default();
        if !words.contains(more) {
            words = format!("{words}: {more}");
        }
        cause = error.source();
    }
    ExplainError::Failed(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packet_comes_in_where_the_director_balances() {
        let interfaces = ["eth0", "eth1"].map(|name| LiveInterface {
            name: name.to_owned(),
            index: if name == "eth0" { 7 } else { 9 },
            mode: "native".to_owned(),
        });
        assert_eq!(interface(None, &interfaces), Ok(7));
        assert_eq!(interface(Some("eth1"), &interfaces), Ok(9));
        let refused = interface(Some("eth2"), &interfaces).expect_err("not there");
        let words = "the director does not balance on interface eth2, but on eth0, eth1";
        assert_eq!(refused.to_string(), words);
        assert_eq!(interface(None, &[]), Err(ExplainError::NoInterface));
    }
}
