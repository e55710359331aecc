use super::*;

/// A check as the director's API would show it, and as it would be read from there.
fn read(json: &str) -> Result<Check, serde_json::Error> {
    serde_json::from_str(json)
}

#[test]
fn checks_are_read_and_written() {
    for json in [
        r#"{"tcp":{"orderly":false}}"#,
        r#"{"send-expect":{"send":"GET / HTTP/1.0\\r\\n\\r\\n","expect":{"prefix":"HTTP"}}}"#,
        r#"{"udp":{"send":"\\x00ping","expect":{"answer":"anything"}}}"#,
        r#"{"dns":{"name":"www.example.org.","kind":"AAAA","expect":"2001:db8::1"}}"#,
        r#"{"smtp":{"name":"director.example.org"}}"#,
        r#"{"ping":{}}"#,
        r#"{"program":{"command":["check","%h"],"verdict":{"output":{"exactly":"OK"}}}}"#,
        r#"{"agent":{"send":null}}"#,
        r#"{"rstat":{"portmapper":111}}"#,
        r#"{"rwho":{}}"#,
    ] {
        let check = read(json).expect(json);
        assert_eq!(serde_json::to_string(&check).expect("written"), json);
    }
    let https = r#"{"http":{"path":"/health","version":"2","status":"200,204",
        "headers":["x-probe: yes"],"body":[{"matches":"^ok"}],
        "tls":{"server_name":"www.example.org","verify":{"authorities":"/etc/ca.pem"}}}}"#;
    let check = read(https).expect("read");
    assert_eq!(check.kind(), "https");
    let again = read(&serde_json::to_string(&check).expect("written")).expect("read again");
    assert_eq!(again, check);
}

#[test]
fn what_no_check_can_do_is_not_read() {
    for json in [
        r#"{"telnet":{}}"#,
        r#"{"tcp":{"speed":1}}"#,
        r#"{"send-expect":{"send":"\\q"}}"#,
        r#"{"send-expect":{"expect":{"regex":"a("}}}"#,
        r#"{"http":{"path":"no slash"}}"#,
        r#"{"http":{"status":"2xx"}}"#,
        r#"{"http":{"headers":["Host: other"]}}"#,
        r#"{"tls":{"tls":{"server_name":"192.0.2.1"}}}"#,
        r#"{"dns":{"name":""}}"#,
        r#"{"smtp":{"name":"a\r\nRSET"}}"#,
        r#"{"program":{"command":[],"verdict":"exit"}}"#,
        r#"{"ssh":{"user":"-oProxyCommand=x"}}"#,
    ] {
        assert!(read(json).is_err(), "{json}");
    }
}

#[tokio::test]
async fn a_check_whose_files_are_missing_says_so_without_asking_the_server() {
    let check = read(r#"{"tls":{"tls":{"verify":{"authorities":"/nowhere/ca.pem"}}}}"#);
    let target = Target::new("127.0.0.1:1".parse().expect("an address"));
    let finding = probe(&check.expect("read"), &target, Duration::from_secs(5)).await;
    assert_eq!(finding.code, Code::Local);
    assert!(
        finding.text.as_str().contains("/nowhere/ca.pem"),
        "{finding}"
    );
}
