//! How requests spread over the real servers.

use std::collections::BTreeMap;

use caribe_lab::{Curl, Host, UdpClient};

use crate::lvs_cf::Balanced;

/// How often each server answered.
pub(crate) type Spread = BTreeMap<String, usize>;

/// These servers, each so often.
pub(crate) fn shares(shares: &[(&str, usize)]) -> Spread {
    shares
        .iter()
        .map(|(server, count)| ((*server).to_owned(), *count))
        .collect()
}

/// Sends `count` requests to a service, each over a connection or flow of its own, all of which
/// must succeed.
pub(crate) fn ask(client: &Host, service: Balanced, count: usize) -> Spread {
    if service.udp {
        return ask_by_udp(client, service, count);
    }
    let burst = Curl::on(client)
        .burst(&service.url(), count, 1)
        .expect("curl runs");
    assert_eq!(burst.failed(), 0, "{service}: {:?}", burst.failures);
    assert_eq!(burst.answered(), count, "{service}: {:?}", burst.answers);
    burst.answers
}

fn ask_by_udp(client: &Host, service: Balanced, count: usize) -> Spread {
    let mut spread = Spread::new();
    for number in 0..count {
        let flow = UdpClient::connect(client, service.place()).expect("a socket");
        let question = format!("datagram {number}");
        let answer = flow
            .exchange(question.as_bytes())
            .unwrap_or_else(|error| panic!("{service}: {error}"));
        let answer = String::from_utf8(answer).expect("text");
        let (server, echo) = answer.split_once(' ').expect("a name and an echo");
        assert_eq!(echo, question);
        *spread.entry(server.to_owned()).or_default() += 1;
    }
    spread
}
