//! The socket, with real HTTP on it and a small actor behind.

use std::os::unix::net::UnixStream as BlockingStream;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use caribe_health::{Order, ServerId};
use caribe_model::{Protocol, ServerKey};

use super::*;

async fn exchange(path: &Path, request: &str) -> String {
    let mut stream = UnixStream::connect(path).await.expect("it listens");
    stream.write_all(request.as_bytes()).await.expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("answered");
    answer
}

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: caribe\r\nConnection: close\r\n\r\n")
}

fn send(method: &str, path: &str, body: &impl serde::Serialize) -> String {
    let body = serde_json::to_string(body).expect("JSON");
    let length = body.len();
    format!(
        "{method} {path} HTTP/1.1\r\nHost: caribe\r\nConnection: close\r\n\
         Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
    )
}

#[tokio::test]
async fn answers_what_the_actor_says_and_leaves_no_socket() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("caribe.sock");
    let stale = UnixListener::bind(&path).expect("left by a killed director");
    drop(stale);
    let (control, mut queries) = Control::listen(path.clone()).expect("listening");
    let mode = fs::metadata(&path).expect("there").permissions().mode();
    assert_eq!(mode & 0o777, 0o660);
    tokio::spawn(async move {
        while let Some(query) = queries.recv().await {
            match query {
                Query::Status(answer) => {
                    answer
                        .send(Err("no counters".to_owned()))
                        .expect("asked for");
                }
                Query::Snapshot(answer) => {
                    answer.send(Ok(Snapshot::default())).expect("asked for");
                }
                Query::Order(request, by, answer) => {
                    let uid = nix::unistd::getuid();
                    assert!(by.contains(&format!("uid {uid}")), "{by}");
                    let refused = Err(OrderRefusal::NoServer(request.id));
                    let ordered = if request.order.is_some() {
                        Ok(())
                    } else {
                        refused
                    };
                    answer.send(ordered).expect("asked for");
                }
                Query::History(query, answer) => {
                    assert_eq!(query.server, Some([10, 0, 0, 1].into()));
                    answer.send(Ok(Vec::new())).expect("asked for");
                }
                Query::Happenings(after, answer) => {
                    let (sender, more) = watch::channel(after);
                    let happenings = Vec::new();
                    let last = after + 1;
                    let page = HappeningsPage { last, happenings };
                    answer.send((page, more)).expect("asked for");
                    drop(sender);
                }
                Query::Connections(query, answer) => {
                    assert_eq!(query.limit, Some(7));
                    assert_eq!(query.protocol, Some(Protocol::Udp));
                    let page = ConnectionsPage {
                        connections: Vec::new(),
                        next: query.after.map(|after| after + 1),
                    };
                    answer.send(Ok(page)).expect("asked for");
                }
                Query::Change(changes, answer) => {
                    let results = changes.into_iter().map(|change| match change {
                        Change::RemoveService(key) => Err(ChangeRefusal::NoService(key)),
                        _ => Ok(()),
                    });
                    answer.send(results.collect()).expect("asked for");
                }
                Query::Explain(question, answer) => {
                    let said = match question.check() {
                        Ok(()) => Err(ExplainError::Failed("no kernel".to_owned())),
                        Err(impossible) => Err(ExplainError::from(impossible)),
                    };
                    answer.send(said).expect("asked for");
                }
                Query::Save(answer) => {
                    answer.send(Err("changed".to_owned())).expect("asked for");
                }
                Query::Zero(_, answer) => {
                    answer.send(Ok(())).expect("asked for");
                }
                Query::Table(answer) => {
                    answer.send(Err("no table".to_owned())).expect("asked for");
                }
            }
        }
    });

    let answer = exchange(&path, &get(ControlPaths::SNAPSHOT)).await;
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    let snapshot: Snapshot = serde_json::from_str(body).expect("a snapshot");
    assert_eq!(snapshot, Snapshot::default());

    let answer = exchange(&path, &get(ControlPaths::STATUS)).await;
    assert!(answer.starts_with("HTTP/1.1 500 "), "{answer}");
    assert!(answer.ends_with(r#"{"error":"no counters"}"#), "{answer}");

    let answer = exchange(&path, &get("/v1/connections?after=41&limit=7&protocol=udp")).await;
    assert!(
        answer.ends_with(r#"{"connections":[],"next":42}"#),
        "{answer}"
    );
    for wrong in ["limit=x", "protocol=ddp", "client=here", "unknown=1"] {
        let answer = exchange(&path, &get(&format!("/v1/connections?{wrong}"))).await;
        assert!(answer.starts_with("HTTP/1.1 400 "), "{wrong}: {answer}");
    }

    let key = ServiceKey::Address {
        protocol: Protocol::Tcp,
        address: [192, 0, 2, 1].into(),
        port: 80,
    };
    let answer = exchange(
        &path,
        &send("POST", ControlPaths::OVERRIDES, &Change::Clear),
    )
    .await;
    assert!(answer.starts_with("HTTP/1.1 204 "), "{answer}");
    let change = Change::RemoveService(key);
    let answer = exchange(&path, &send("POST", ControlPaths::OVERRIDES, &change)).await;
    assert!(answer.starts_with("HTTP/1.1 409 "), "{answer}");
    let (_, body) = answer.split_once("\r\n\r\n").expect("a body");
    let body: serde_json::Value = serde_json::from_str(body).expect("JSON");
    let refusal: ChangeRefusal =
        serde_json::from_value(body["refusal"].clone()).expect("a refusal");
    assert_eq!(refusal, ChangeRefusal::NoService(key));
    let batch = [Change::Clear, Change::RemoveService(key)];
    let answer = exchange(&path, &send("POST", ControlPaths::BATCH, &batch)).await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    let (_, body) = answer.split_once("\r\n\r\n").expect("a body");
    let refusals: Vec<Option<ChangeRefusal>> = serde_json::from_str(body).expect("refusals");
    assert_eq!(refusals, [None, Some(ChangeRefusal::NoService(key))]);
    let many = vec![Change::Clear; ControlPaths::LARGEST_BATCH + 1];
    let answer = exchange(&path, &send("POST", ControlPaths::BATCH, &many)).await;
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    let answer = exchange(&path, &send("DELETE", ControlPaths::OVERRIDES, &())).await;
    assert!(answer.starts_with("HTTP/1.1 204 "), "{answer}");
    let answer = exchange(&path, &send("POST", ControlPaths::ZERO, &Some(key))).await;
    assert!(answer.starts_with("HTTP/1.1 204 "), "{answer}");
    let id = ServerId {
        service: key,
        server: ServerKey {
            address: [10, 0, 0, 1].into(),
            port: 80,
        },
    };
    let order = |order| OrderRequest { id, order };
    let drain = send("POST", ControlPaths::ORDERS, &order(Some(Order::Drain)));
    let answer = exchange(&path, &drain).await;
    assert!(answer.starts_with("HTTP/1.1 204 "), "{answer}");
    let answer = exchange(&path, &send("POST", ControlPaths::ORDERS, &order(None))).await;
    assert!(answer.starts_with("HTTP/1.1 409 "), "{answer}");
    assert!(
        answer.contains("there is no active real server 10.0.0.1:80"),
        "{answer}"
    );
    let asked = |vip: &str| {
        let question = Question {
            protocol: Protocol::Tcp,
            client: "198.51.100.7:4000".parse().expect("an address"),
            vip: vip.parse().expect("an address"),
            tcp_flags: 2,
            payload: 0,
            interface: None,
        };
        send("POST", ControlPaths::EXPLAIN, &question)
    };
    let answer = exchange(&path, &asked("192.0.2.1:80")).await;
    assert!(answer.starts_with("HTTP/1.1 500 "), "{answer}");
    let answer = exchange(&path, &asked("[2001:db8::1]:80")).await;
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    assert!(answer.contains("not of one address family"), "{answer}");
    let wrong = send("POST", ControlPaths::EXPLAIN, &"tcp");
    let answer = exchange(&path, &wrong).await;
    assert!(answer.starts_with("HTTP/1.1 422 "), "{answer}");

    let wrong = send("POST", ControlPaths::ORDERS, &"drain");
    let answer = exchange(&path, &wrong).await;
    assert!(answer.starts_with("HTTP/1.1 422 "), "{answer}");

    let answer = exchange(&path, &get("/v1/events?after=6&wait=20")).await;
    assert!(
        answer.ends_with(r#"{"last":7,"happenings":[]}"#),
        "{answer}"
    );
    let answer = exchange(&path, &get("/v1/history?server=10.0.0.1")).await;
    assert!(answer.ends_with("[]"), "{answer}");
    for wrong in [
        "/v1/events?after=-1",
        "/v1/events?wait=x",
        "/v1/history?server=web",
    ] {
        let answer = exchange(&path, &get(wrong)).await;
        assert!(answer.starts_with("HTTP/1.1 400 "), "{wrong}: {answer}");
    }

    let answer = exchange(&path, &send("POST", ControlPaths::SAVE, &())).await;
    assert!(answer.starts_with("HTTP/1.1 409 "), "{answer}");
    assert!(answer.ends_with(r#"{"error":"changed"}"#), "{answer}");
    let nonsense = send("POST", ControlPaths::OVERRIDES, &"nonsense");
    let answer = exchange(&path, &nonsense).await;
    assert!(answer.starts_with("HTTP/1.1 422 "), "{answer}");

    let answer = exchange(&path, &get("/v1/nothing")).await;
    assert!(answer.starts_with("HTTP/1.1 404 "), "{answer}");

    let answer = exchange(&path, &get(ControlPaths::STATUS).replace("GET", "DELETE")).await;
    assert!(answer.starts_with("HTTP/1.1 405 "), "{answer}");

    let answer = exchange(&path, "what?\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");

    drop(control);
    BlockingStream::connect(&path).expect_err("gone");
}

#[tokio::test]
async fn a_director_that_goes_down_says_so() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("caribe.sock");
    let (_control, queries) = Control::listen(path.clone()).expect("listening");
    drop(queries);
    let answer = exchange(&path, &get(ControlPaths::STATUS)).await;
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
}
