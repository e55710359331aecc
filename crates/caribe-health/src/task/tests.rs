//! The task against real sockets on the loopback interface.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use caribe_model::{Protocol, ServerKey, ServiceKey};
use tokio::net::TcpListener;
use tokio::time::timeout;

use super::*;
use crate::Check;

fn watch(target: SocketAddr) -> MonitorId {
    MonitorId {
        service: ServiceKey::Address {
            protocol: Protocol::Tcp,
            address: IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)),
            port: 80,
        },
        server: ServerKey {
            address: target.ip(),
            port: target.port(),
        },
    }
}

fn settings(check: Check) -> Settings {
    Settings {
        check,
        timeout: Duration::from_millis(100),
        reentry: Duration::from_millis(200),
    }
}

async fn next(reports: &mut mpsc::Receiver<Report>) -> Report {
    timeout(Duration::from_secs(10), reports.recv())
        .await
        .expect("a verdict within ten seconds")
        .expect("the task runs")
}

#[tokio::test]
async fn a_real_listener_comes_up_goes_down_and_returns() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("its address");
    let id = watch(address);
    let (handle, mut reports) = spawn(Clock::start(), Limits::default(), 3);
    handle.start(id, settings(Check::Tcp), Presumption::Unknown);
    assert_eq!(
        next(&mut reports).await,
        Report {
            id,
            verdict: Verdict::Up
        }
    );

    drop(listener);
    let refused = ProbeFailure::Refused { target: address };
    assert_eq!(
        next(&mut reports).await,
        Report {
            id,
            verdict: Verdict::Down(refused)
        }
    );

    let _listener = TcpListener::bind(address)
        .await
        .expect("the same port again");
    assert_eq!(
        next(&mut reports).await,
        Report {
            id,
            verdict: Verdict::Up
        }
    );
}

#[tokio::test]
async fn a_full_backlog_times_out() {
    // A listener that never accepts, with the smallest backlog, filled up: its kernel ignores
    // further SYNs, as a dead host would.
    let socket = tokio::net::TcpSocket::new_v4().expect("a socket");
    socket
        .bind(SocketAddr::from(([127, 0, 0, 1], 0)))
        .expect("a free port");
    let listener = socket.listen(0).expect("listening");
    let address = listener.local_addr().expect("its address");
    let mut held = Vec::new();
    while let Ok(Ok(stream)) = timeout(
        Duration::from_millis(200),
        tokio::net::TcpStream::connect(address),
    )
    .await
    {
        held.push(stream);
        assert!(held.len() < 64, "the backlog never fills");
    }
    let id = watch(address);
    let (handle, mut reports) = spawn(Clock::start(), Limits::default(), 3);
    handle.start(id, settings(Check::Tcp), Presumption::Serving);
    let expected = ProbeFailure::TimedOut {
        target: address,
        limit: Duration::from_millis(100),
    };
    assert_eq!(
        next(&mut reports).await,
        Report {
            id,
            verdict: Verdict::Down(expected)
        }
    );
}

#[tokio::test]
async fn an_unchecked_server_is_reported_up() {
    let id = watch(SocketAddr::from(([127, 0, 0, 1], 1)));
    let (handle, mut reports) = spawn(Clock::start(), Limits::default(), 3);
    handle.start(id, settings(Check::None), Presumption::Unknown);
    assert_eq!(
        next(&mut reports).await,
        Report {
            id,
            verdict: Verdict::Up
        }
    );
}
