//! Who is in the table: several monitors, orders, the sorry server.

use caribe_config::config::{Config, RealServer};
use caribe_health::Order;
use caribe_model::Forwarding;

use super::tests::{address, at, config, down, id, judged, loaded, logs, running, server, service};
use super::tests::{setup, up, weights};
use super::*;
use crate::{HistoryQuery, OrderRefusal, OrderRequest, ServerState, Status, What};

fn two_servers() -> Config {
    config(vec![service(1, vec![server(1, 8), server(2, 8)])])
}

/// A director whose two servers serve.
fn serving() -> Director {
    let mut director = running(setup(), two_servers());
    director.handle_all([up(id(1, 1)), up(id(1, 2))], at(1));
    director
}

fn in_table(director: &Director) -> Vec<(u8, u32)> {
    let host = |text: String| {
        text.rsplit('.')
            .next()
            .expect("a number")
            .parse()
            .expect("small")
    };
    let weights = weights(director);
    weights
        .into_iter()
        .map(|(server, weight)| (host(server), weight))
        .collect()
}

fn order(director: &mut Director, host: u8, order: Option<Order>) -> Vec<Effect> {
    let id = id(1, host);
    let request = OrderRequest { id, order };
    director
        .order(request, "root (uid 0)", 1_700_000_000, at(5))
        .expect("taken")
}

fn status(director: &Director) -> Status {
    director.status(&Snapshot::default(), &[], at(9))
}

#[test]
fn orders_change_the_table_and_are_kept_until_they_are_lifted() {
    let mut director = serving();
    let effects = order(&mut director, 1, Some(Order::Drain));
    assert_eq!(in_table(&director), [(1, 0), (2, 8)]);
    assert_eq!(
        logs(&effects),
        ["10.0.0.1:80 in TCP 192.0.2.1:80: drain, ordered by root (uid 0)"]
    );
    let kept = effects.iter().find_map(|effect| match effect {
        Effect::KeepOrders(orders) => Some(orders.clone()),
        _ => None,
    });
    let kept = kept.expect("orders are kept");
    assert_eq!(kept[&id(1, 1)].order, Order::Drain);
    let shown = &status(&director).services[0].servers[0];
    assert_eq!(shown.state, ServerState::Quiesced);
    assert_eq!(
        shown.reason.as_deref(),
        Some("drain, ordered by root (uid 0)")
    );
    assert_eq!(
        shown.watch.order.as_ref().map(|given| given.given),
        Some(1_700_000_000)
    );

    // Over a reload.
    director.handle(Event::Applied(Ok(Default::default())), at(6));
    director.handle(Event::ReloadRequested, at(6));
    director.handle(loaded(two_servers()), at(6));
    assert_eq!(in_table(&director), [(1, 0), (2, 8)]);

    // Over a restart.
    let restarted = Setup {
        orders: kept,
        ..setup()
    };
    let mut director = running(restarted, two_servers());
    director.handle_all([up(id(1, 1)), up(id(1, 2))], at(1));
    assert_eq!(in_table(&director), [(1, 0), (2, 8)]);

    order(&mut director, 1, Some(Order::Maintenance));
    assert_eq!(in_table(&director), [(2, 8)]);
    let shown = status(&director);
    assert_eq!(shown.services[0].servers[0].state, ServerState::Maintenance);
    order(&mut director, 1, Some(Order::Weight(3)));
    assert_eq!(in_table(&director), [(1, 3), (2, 8)]);
    let effects = order(&mut director, 1, None);
    assert!(effects.contains(&Effect::KeepOrders(BTreeMap::new())));
    assert_eq!(in_table(&director), [(1, 8), (2, 8)]);
    let history = director.history(&HistoryQuery::default(), at(9));
    let ordered = history[0]
        .past
        .iter()
        .filter(|past| matches!(past.what, caribe_health::Occurrence::Order { .. }));
    assert_eq!(ordered.count(), 3);
}

#[test]
fn an_order_about_nobody_is_refused_and_changes_nothing() {
    let mut director = serving();
    let before = director.desired().clone();
    let mut refused = |id, order| {
        let request = OrderRequest { id, order };
        director
            .order(request, "root", 0, at(2))
            .expect_err("refused")
    };
    let stranger = id(1, 9);
    assert_eq!(
        refused(stranger, Some(Order::Drain)),
        OrderRefusal::NoServer(stranger)
    );
    assert_eq!(refused(stranger, None), OrderRefusal::NoServer(stranger));
    let heavy = u32::MAX;
    assert_eq!(
        refused(id(1, 1), Some(Order::Weight(heavy))),
        OrderRefusal::Weight(heavy)
    );
    assert_eq!(*director.desired(), before);
    assert!(director.orders.is_empty());
}

#[test]
fn an_order_about_a_server_that_left_the_file_can_be_lifted() {
    let mut director = serving();
    order(&mut director, 1, Some(Order::Maintenance));
    director.handle(Event::Applied(Ok(Default::default())), at(6));
    director.handle(Event::ReloadRequested, at(6));
    director.handle(loaded(config(vec![service(1, vec![server(2, 8)])])), at(6));
    assert_eq!(in_table(&director), [(2, 8)]);
    let effects = order(&mut director, 1, None);
    assert!(effects.contains(&Effect::KeepOrders(BTreeMap::new())));
}

#[test]
fn the_sorry_server_comes_when_all_are_down_and_goes_when_one_is_back() {
    let mut file = two_servers();
    // With a weight and a method of its own.
    let sorry = RealServer {
        forwarding: Forwarding::Direct,
        ..server(9, 7)
    };
    assert_ne!(file.services[0].servers[0].forwarding, sorry.forwarding);
    std::sync::Arc::make_mut(&mut file.services[0]).sorry_server = Some(sorry);
    let mut director = running(setup(), file);
    assert!(
        director
            .intent
            .as_ref()
            .is_some_and(|intent| { intent.server_addresses().contains(&address("10.0.0.9")) })
    );
    assert_eq!(in_table(&director), []);
    director.handle(down(id(1, 1)), at(1));
    assert_eq!(in_table(&director), [], "the other may turn out well");
    let effects = director.handle(down(id(1, 2)), at(2));
    assert_eq!(in_table(&director), [(9, 7)]);
    let placed = |(_, service): (_, &caribe_model::Service)| {
        let sorry = &service.servers[0];
        (sorry.key.port, sorry.forwarding)
    };
    let placed: Vec<_> = director.desired().services().map(placed).collect();
    assert_eq!(placed, [(80, Forwarding::Direct)]);
    let line = "Virtual Server service1: No real servers; activate sorry_server 10.0.0.9:80";
    assert!(
        logs(&effects).contains(&line.to_owned()),
        "{:?}",
        logs(&effects)
    );
    assert!(status(&director).services[0].quorum.lost);
    let applied: Vec<_> = effects
        .iter()
        .filter(|effect| matches!(effect, Effect::Apply(_)))
        .collect();
    assert_eq!(applied.len(), 1);
    let effects = director.handle(up(id(1, 1)), at(60));
    assert_eq!(in_table(&director), [(1, 1)]);
    let told: Vec<&What> = effects
        .iter()
        .filter_map(|effect| match effect {
            Effect::Tell(happening, _) => Some(&happening.what),
            _ => None,
        })
        .collect();
    assert!(told.contains(&&What::Quorum { lost: false }), "{told:?}");
    order(&mut director, 1, Some(Order::Drain));
    assert_eq!(
        in_table(&director),
        [(1, 0), (9, 7)],
        "a drained server is none"
    );
}

#[test]
fn news_of_a_monitor_that_is_gone_are_no_news() {
    let mut director = serving();
    let before = director.desired().clone();
    let effects = director.handle(Event::Report(judged(id(1, 1), "http", false)), at(2));
    assert_eq!(effects, []);
    assert_eq!(*director.desired(), before);
    assert_eq!(director.handle(down(id(1, 9)), at(2)), []);
}

#[test]
fn happenings_are_numbered_without_a_gap_and_name_the_server() {
    let mut director = running(setup(), two_servers());
    let mut effects = director.handle_all([up(id(1, 1)), up(id(1, 2))], at(1));
    effects.extend(director.handle(down(id(1, 1)), at(2)));
    let told: Vec<(u64, &str, Option<&str>)> = effects
        .iter()
        .filter_map(|effect| match effect {
            Effect::Tell(happening, _) => Some((
                happening.number,
                happening.what.word(),
                happening.server_name.as_deref(),
            )),
            _ => None,
        })
        .collect();
    let (web1, web2) = (Some("web1"), Some("web2"));
    assert_eq!(
        told,
        [
            (1, "verdict", web1),
            (2, "server", web1),
            (3, "verdict", web2),
            (4, "server", web2),
            (5, "verdict", web1),
            (6, "server", web1),
        ]
    );
}
