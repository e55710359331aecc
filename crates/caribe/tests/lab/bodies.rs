//! Large bodies arrive whole, down and up.

use std::fs::{self, File};
use std::time::Duration;

use caribe_lab::{Curl, Digest, Payload};

use crate::bed::Bed;
use crate::lvs_cf::{Balanced, LvsCf, Way};

/// Far more than any of these transfers takes.
const LIMIT: Duration = Duration::from_secs(90);

#[test]
fn a_gigabyte_comes_down_whole_by_every_method() {
    let file = LvsCf::rr(&Balanced::every_tcp());
    let bed = Bed::with_body("down", &file, 1_000_000_000);
    let wanted = bed.body.as_ref().expect("a body").digest().clone();
    let curl = Curl::on(bed.client()).time_limit(LIMIT);
    for service in file.services() {
        let got = curl.digest(&format!("{}big", service.url()));
        assert_eq!(got.expect("a body"), wanted, "{service}");
    }
    bed.leave();
}

#[test]
fn an_upload_finds_the_mtu_of_its_way() {
    let file = LvsCf::rr(&Balanced::every_tcp());
    let bed = Bed::start("up", &file);
    let path = bed.net.lab.directory().join("upload");
    let payload = Payload::create(&path, 200_000_000).expect("a body");
    let curl = Curl::on(bed.client()).time_limit(LIMIT);
    let mut too_big = bed.director.verdict("answered_too_big");
    for service in file.services() {
        let name = service.to_string();
        curl.put(&format!("{}upload/{name}", service.url()), &path)
            .unwrap_or_else(|error| panic!("{service}: {error}"));
        let nginxes = bed
            .servers
            .iter()
            .filter_map(|server| server.nginx.as_ref());
        let files: Vec<_> = nginxes
            .map(|nginx| nginx.upload(&name))
            .filter(|path| path.exists())
            .collect();
        let [uploaded] = &files[..] else {
            panic!("{service}: uploaded to {files:?}");
        };
        let mut uploaded_file = File::open(uploaded).expect("the upload");
        let got = Digest::of(&mut uploaded_file).expect("the upload is read");
        assert_eq!(&got, payload.digest(), "{service}");
        fs::remove_file(uploaded).expect("the upload is removed");

        // A packet of the full MTU has no room for an outer header. The client is told so once
        // or a few times, and remembers.
        let now = bed.director.verdict("answered_too_big");
        let told = now - too_big;
        too_big = now;
        match service.way {
            Way::Nat | Way::Direct => assert_eq!(told, 0, "{service}"),
            Way::Tunnel | Way::TunnelOver6 => {
                assert!((1..1000).contains(&told), "{service}: told {told} times");
            }
        }
    }
    assert_eq!(bed.director.verdict("dropped_too_big"), 0);
    bed.leave();
}
