//! The socket, with real HTTP on it and a small actor behind.

use std::os::unix::net::UnixStream as BlockingStream;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

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
