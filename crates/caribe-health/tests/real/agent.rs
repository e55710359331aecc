//! Agents: what they say, and what comes of it.

use caribe_health::probe::Code;
use caribe_health::probe::agent::{AgentHealth, AgentWish};

use crate::bed::{Bed, assert_says, check};
use crate::rogue::{Manner, Rogue};

const AGENT: &str = "127.0.0.1:9777";

#[test]
fn an_agents_words_are_handed_on() {
    for (number, (said, code)) in [
        (b"up ready 75%\n".as_slice(), Code::L7Ok),
        (b"drain,50%\r\n", Code::L7Ok),
        (b"maxconn:30", Code::L7Ok),
        (b"down # disk full\n", Code::L7Status),
        (b"stopped\n", Code::L7Status),
        (b"fail\n", Code::L7Status),
        (b"hello\n", Code::L7Response),
        (b"\n", Code::L7Response),
    ]
    .into_iter()
    .enumerate()
    {
        let bed = Bed::new(&format!("agent{number}"));
        let _rogue = Rogue::start(&bed.host, AGENT, Manner::SaysAndGoes(said));
        let asking = check(r#"{"agent":{"send":"status\\n"}}"#);
        let finding = bed.sees(code, &asking, AGENT);
        let report = finding.agent().cloned().unwrap_or_default();
        match number {
            0 => {
                assert_eq!(report.weight.map(u32::from), Some(75));
                assert_eq!(report.health, Some(AgentHealth::Up));
                assert_eq!(report.wish, Some(AgentWish::Ready));
            }
            1 => assert_eq!(report.wish, Some(AgentWish::Drain)),
            2 => assert_eq!(report.maxconn, Some(30)),
            3 => {
                assert_eq!(report.reason.expect("a reason").as_str(), "disk full");
                assert_says(&finding, "the agent said `down # disk full`");
            }
            4 | 5 => assert!(!report.serves()),
            _ => assert_eq!(finding.agent(), None),
        }
    }
}
