//! The thread against real sockets on the loopback interface.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use caribe_model::{Protocol, ServerKey, ServiceKey};
use tokio::net::TcpListener;
use tokio::time::timeout;

use super::*;
use crate::probe::tcp::TcpCheck;
use crate::probe::tls::{TlsCheck, TlsOptions};
use crate::probe::{Check, Target};
use crate::{MonitorName, News, Timing};

fn watch(target: SocketAddr) -> ServerId {
    ServerId {
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

fn settings(target: SocketAddr, check: Check) -> Arc<Settings> {
    Arc::new(Settings {
        name: MonitorName::from("tcp"),
        check: Arc::new(check),
        target: Target::new(target),
        timing: Timing::piranha(Duration::from_millis(100), Duration::from_millis(200)),
        advises: false,
    })
}

fn tcp() -> Check {
    Check::Tcp(TcpCheck::default())
}

fn start() -> (MonitorsHandle, mpsc::Receiver<Report>) {
    spawn(Clock::start(), Limits::default(), 3).expect("a thread")
}

/// Code and verdict of the next report.
async fn next(reports: &mut mpsc::Receiver<Report>) -> (bool, Code) {
    let report = timeout(Duration::from_secs(10), reports.recv())
        .await
        .expect("a verdict within ten seconds")
        .expect("the thread runs");
    match report.news {
        News::Verdict { passed, finding } => (passed, finding.code),
        News::Reading(reading) => panic!("nobody was asked: {reading:?}"),
    }
}

#[tokio::test]
async fn a_real_listener_comes_up_goes_down_and_returns() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("its address");
    let (handle, mut reports) = start();
    handle.start(
        watch(address),
        settings(address, tcp()),
        Presumption::Unknown,
    );
    assert_eq!(next(&mut reports).await, (true, Code::L4Ok));
    drop(listener);
    assert_eq!(next(&mut reports).await, (false, Code::L4Refused));
    let latest = handle.latest().await;
    assert_eq!(latest.len(), 1);
    assert_eq!(latest[0].0.server, watch(address));
    assert_eq!(latest[0].1.code, Code::L4Refused);
    let _listener = TcpListener::bind(address)
        .await
        .expect("the same port again");
    assert_eq!(next(&mut reports).await, (true, Code::L4Ok));
}

#[tokio::test]
async fn a_probe_that_hangs_costs_only_itself() {
    // It accepts and says nothing, for as long as the limit lets it.
    let mute = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let mute_address = mute.local_addr().expect("its address");
    let good = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let good_address = good.local_addr().expect("its address");
    let (handle, mut reports) = start();
    let smtp = Check::Smtp(Default::default());
    let patient = Settings {
        timing: Timing::piranha(Duration::from_secs(3), Duration::ZERO),
        ..Settings::clone(&settings(mute_address, smtp))
    };
    handle.start(watch(mute_address), Arc::new(patient), Presumption::Unknown);
    handle.start(
        watch(good_address),
        settings(good_address, tcp()),
        Presumption::Unknown,
    );
    assert_eq!(next(&mut reports).await, (true, Code::L4Ok));
    drop(good);
    assert_eq!(next(&mut reports).await, (false, Code::L4Refused));
    assert_eq!(next(&mut reports).await, (false, Code::L7Timeout));
}

#[tokio::test]
async fn a_check_whose_files_are_missing_judges_nobody_until_they_are_there() {
    let address = SocketAddr::from(([127, 0, 0, 1], 1));
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("ca.pem");
    let check = Check::Tls(TlsCheck {
        tls: TlsOptions {
            verify: crate::probe::tls::Verify::Authorities(file.clone()),
            ..TlsOptions::default()
        },
    });
    let (handle, mut reports) = start();
    handle.start(
        watch(address),
        settings(address, check),
        Presumption::Unknown,
    );
    let latest = loop {
        match handle.latest().await.pop() {
            Some(latest) => break latest,
            None => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    };
    assert_eq!(latest.1.code, Code::Local, "{}", latest.1);
    assert!(
        reports.try_recv().is_err(),
        "nothing was learnt of the server"
    );
    let authority = rcgen::generate_simple_self_signed(vec!["ca".to_owned()]).expect("one");
    std::fs::write(&file, authority.cert.pem()).expect("written");
    handle.reread();
    assert_eq!(next(&mut reports).await, (false, Code::L4Refused));
}

#[tokio::test]
async fn dropping_the_handle_ends_the_thread() {
    let (handle, mut reports) = start();
    drop(handle);
    let end = timeout(Duration::from_secs(10), reports.recv()).await;
    assert_eq!(end.expect("within ten seconds"), None);
}
