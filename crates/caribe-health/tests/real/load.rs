//! Load averages from rstatd, rwhod and sshd, as the kernel has them.

use std::fs;
use std::time::Duration;

use caribe_health::Clock;
use caribe_health::probe::rwho::RwhoListener;
use caribe_health::probe::{Code, Finding, Prober};
use caribe_lab::{Lab, Port, wait};

use crate::bed::{AMPLE, Bed, SHORT, START, assert_says, check, look, socket, target};

/// The load is the machine's, whatever the namespace; it moves while the test looks.
fn assert_plausible(finding: &Finding) {
    let told = finding.load().expect("a load").value();
    let text = fs::read_to_string("/proc/loadavg").expect("a load");
    let kernel: f64 = text
        .split(' ')
        .next()
        .and_then(|word| word.parse().ok())
        .expect("a number");
    // A daemon may have read it a while ago, and loads fall by half in 40 s.
    let near = (told - kernel).abs() <= 0.5 * kernel.max(told) + 2.0;
    assert!(near, "told {told}, the kernel says {kernel}");
}

#[test]
fn rstatd_is_asked_through_the_portmapper() {
    let bed = Bed::new("rstat");
    let rup = check(r#"{"rstat":{}}"#);
    let finding = bed.sees(Code::L4Refused, &rup, "127.0.0.1:80");
    assert_says(&finding, "portmapper");
    // Both keep files below /run, which is theirs alone here.
    let start = |line: &str| {
        bed.host
            .command("unshare")
            .package("rpcbind, rstatd")
            .args([
                "--mount",
                "sh",
                "-c",
                &format!("mount -t tmpfs tmpfs /run && {line}"),
            ])
            .spawn()
            .expect("unshare")
    };
    let portmapper = start("exec rpcbind -f -w");
    let registered = || look(&bed.host, &rup, &target("127.0.0.1:80"), SHORT);
    wait::until_true("the portmapper to answer", START, || {
        registered().code == Code::L7Status
    })
    .unwrap_or_else(|error| panic!("{error}: {}, {}", registered(), portmapper.log()));
    assert_says(&registered(), "no rstatd of version 2 or 3 is registered");
    drop(portmapper);
    let both = start("rpcbind -w && rpc.rstatd && sleep 600");
    wait::until_true("rstatd to answer", START, || registered().passed())
        .unwrap_or_else(|error| panic!("{error}: {}, {}", registered(), both.log()));
    let finding = bed.sees(Code::L7Ok, &rup, "127.0.0.1:80");
    assert_plausible(&finding);
    bed.sees(Code::Local, &rup, "[::1]:80");
}

#[test]
fn rwhod_is_heard() {
    let mut lab = Lab::new("rwho").expect("a lab");
    let lan = lab.switch("lan").expect("a switch");
    let director = lab.host("director").expect("a host");
    let server = lab.host("server").expect("a host");
    let port = |address: &str| Port::new("eth0").address(address);
    director
        .connect(&lan, port("10.8.0.1/24"))
        .expect("connected");
    server
        .connect(&lan, port("10.8.0.2/24"))
        .expect("connected");
    server
        .command("ip")
        .args([
            "addr",
            "change",
            "10.8.0.2/24",
            "broadcast",
            "10.8.0.255",
            "dev",
            "eth0",
        ])
        .run()
        .expect("an address with a broadcast address");
    let ruptime = check(r#"{"rwho":{}}"#);
    let silent = look(&director, &ruptime, &target("10.8.0.2:80"), SHORT);
    assert_eq!(silent.code, Code::L7Timeout, "{silent}");
    let heard = director
        .run(|| {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("a runtime");
            runtime.block_on(async {
                let listener = RwhoListener::start(Clock::start(), None).expect("a listener");
                let prober = Prober::prepare(ruptime)
                    .await
                    .expect("ready")
                    .with_rwho(listener);
                let found = |address: &'static str| {
                    let prober = &prober;
                    async move { prober.probe(&target(address), AMPLE).await }
                };
                let before = found("10.8.0.2:80").await;
                assert_eq!(before.code, Code::L7Timeout, "{before}");
                assert!(before.latency < Duration::from_secs(5), "it only looks up");
                let _rwhod = server
                    .command("rwhod")
                    .args(["-i", "eth0"])
                    .spawn()
                    .expect("rwhod");
                let deadline = wait::Deadline::after(START);
                while !found("10.8.0.2:80").await.passed() && !deadline.passed() {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                let stranger = found("10.8.0.3:80").await;
                assert_eq!(stranger.code, Code::L7Timeout, "{stranger}");
                found("10.8.0.2:80").await
            })
        })
        .expect("the host is there");
    assert_eq!(heard.code, Code::L7Ok, "{heard}");
    assert_plausible(&heard);
}

#[test]
fn uptime_is_run_by_ssh() {
    let bed = Bed::new("ssh");
    // Not the lab's own, which is below /run.
    let directory = tempfile::tempdir().expect("a directory");
    let file = |name: &str| directory.path().join(name);
    for key in ["host", "client", "stranger"] {
        bed.host
            .command("ssh-keygen")
            .package("openssh-client")
            .args(["-q", "-t", "ed25519", "-N", "", "-f"])
            .arg(file(key))
            .run()
            .expect("a key");
    }
    let public = |key: &str| fs::read_to_string(file(&format!("{key}.pub"))).expect("a key");
    fs::write(file("authorized"), public("client")).expect("written");
    fs::write(
        file("known"),
        format!("[127.0.0.1]:2222 {}", public("host")),
    )
    .expect("written");
    let configuration = format!(
        "Port 2222\nListenAddress 127.0.0.1\nHostKey {}\nAuthorizedKeysFile {}\nPidFile none\n\
         PermitRootLogin prohibit-password\nUsePAM no\nStrictModes no\n",
        file("host").display(),
        file("authorized").display()
    );
    fs::write(file("sshd_config"), configuration).expect("written");
    // sshd separates its privileges in a directory that its service would make.
    let sshd = bed
        .host
        .command("unshare")
        .package("openssh-server")
        .args(["--mount", "sh", "-c"])
        .arg(format!(
            "mount -t tmpfs tmpfs /run && mkdir -m 755 /run/sshd && exec /usr/sbin/sshd -D -e -f {}",
            file("sshd_config").display()
        ))
        .spawn()
        .expect("sshd");
    bed.host
        .wait_until_connects(socket("127.0.0.1:2222"), START)
        .unwrap_or_else(|error| panic!("{error}: {}", sshd.log()));
    let ssh = |key: &str, known: &str| {
        check(&format!(
            r#"{{"ssh":{{"port":2222,"user":"root","identity":"{}","known_hosts":"{}"}}}}"#,
            file(key).display(),
            file(known).display()
        ))
    };
    let finding = look(
        &bed.host,
        &ssh("client", "known"),
        &target("127.0.0.1:80"),
        AMPLE,
    );
    assert_eq!(finding.code, Code::ProgramOk, "{finding}: {}", sshd.log());
    assert_plausible(&finding);
    let finding = bed.sees(
        Code::ProgramError,
        &ssh("stranger", "known"),
        "127.0.0.1:80",
    );
    assert_says(&finding, "exited with 255");
    assert_says(&finding, "Permission denied");
    let finding = bed.sees(Code::ProgramError, &ssh("client", "nobody"), "127.0.0.1:80");
    assert_says(&finding, "Host key verification failed");
}
