//! Chapters: what becomes of a packet whose way leads on in another program.

use caribe_packet::chapter::Chapter;
use caribe_packet::verdict::Verdict;

use crate::bench::{Cases, Expected, NewServer, Side};
use crate::flow::{Flow, Net, routed};

pub(crate) fn cases(cases: &mut Cases) {
    for flow in Flow::ALL {
        cases.add(
            format!("chapters::one that is missing is counted {}", flow.name()),
            move |bench| {
                let index = bench.server(NewServer::direct(flow.net.server(1)));
                bench.rotating(flow.vip(), flow.number(), &[index]);
                bench.expect(
                    Side::Front,
                    &flow.request(1),
                    Expected::Redirected(Verdict::ForwardedDirect, routed(&flow.request(1), index)),
                );
                bench.plane.remove_chapter(match flow.net {
                    Net::V4 => Chapter::Drawing4,
                    Net::V6 => Chapter::Drawing6,
                });
                let missing = Expected::Dropped(Verdict::DroppedNoChapter);
                bench.expect(Side::Front, &flow.request(2), missing);
                // What is established, and what is not ours, needs no other chapter.
                bench.expect(
                    Side::Front,
                    &flow.later(1),
                    Expected::Redirected(Verdict::ForwardedDirect, routed(&flow.later(1), index)),
                );
                let elsewhere = flow
                    .request(3)
                    .with(|frame| frame.packet.destination = flow.net.elsewhere());
                let passed = Expected::Passed(Verdict::PassedNotOurs);
                bench.expect(Side::Front, &elsewhere, passed);
                bench.plane.put_chapters();
                bench.expect(
                    Side::Front,
                    &flow.request(2),
                    Expected::Redirected(Verdict::ForwardedDirect, routed(&flow.request(2), index)),
                );
            },
        );
    }
}
