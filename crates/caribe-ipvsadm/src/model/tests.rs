//! What a command line says comes back as it was from the model.

use super::*;
use crate::{Command, Numeric, parse};

fn command(words: &str) -> Command {
    let words: Vec<String> = words.split(' ').map(str::to_owned).collect();
    parse(&words, &Numeric).expect("legal words")
}

#[test]
fn services_come_back_as_they_were() {
    for words in [
        "-A -t 192.0.2.1:80",
        "-A -u 192.0.2.1:53 -s rr -o",
        "-A --sctp-service 192.0.2.1:3868 -s wrr -p 60",
        "-A -t 192.0.2.1:0 -s wlc -p 120",
        "-A -t [2001:db8::1]:3868 -s sh -b sh-port,flag-3 -p 60 -M 64",
        "-A -f 7 -s mh -b mh-fallback -p 2000000 -M 255.0.255.0",
        "-A -f 8 -6 -s wrr -p 360 -o",
    ] {
        let Command::AddService(service) = command(words) else {
            panic!("{words} adds a service");
        };
        let (key, model) = service.to_model().expect(words).expect(words);
        assert_eq!(Service::from_model(key, &model), service, "{words}");
    }
}

#[test]
fn servers_come_back_as_they_were() {
    for words in [
        "-r 10.0.0.1 -m -w 3 -x 100 -y 80",
        "-r 10.0.0.1 -g -w 0",
        "-r 10.0.0.1 -i",
        "-r 2001:db8::9 -i --tun-type gue --tun-port 6080 --tun-csum",
        "-r 10.0.0.1 -i --tun-type gue --tun-port 6080 --tun-remcsum",
        "-r 10.0.0.1 -i --tun-type gre",
        "-r 10.0.0.1 -i --tun-type gre --tun-csum -w 2147483647",
    ] {
        let Command::AddServer(_, server) = command(&format!("-a -t 192.0.2.1:80 {words}")) else {
            panic!("{words} adds a server");
        };
        let model = Server::try_from(&server).expect(words);
        assert_eq!(Destination::from(&model), server, "{words}");
    }
}

#[test]
fn what_no_model_holds_is_refused_by_its_name() {
    let Command::AddServer(_, server) = command("-a -t 192.0.2.1:80 -r 10.0.0.1 -x 5 -y 6") else {
        panic!("it adds a server");
    };
    let refusal = Server::try_from(&server).expect_err("crossed");
    assert!(matches!(refusal, ServerRefusal::Thresholds(_)), "{refusal}");
    let Command::AddService(service) = command("-A -u 192.0.2.1:5060 -p 60 --pe sip") else {
        panic!("it adds a service");
    };
    let refusal = service.to_model().expect_err("no engines");
    assert!(refusal.to_string().contains("--pe"), "{refusal}");
    let Command::AddService(service) = command("-A -u 192.0.2.1:53 -s nonesuch") else {
        panic!("it adds a service");
    };
    assert_eq!(service.to_model(), Ok(None));
}

#[test]
fn a_timeout_beyond_the_clock_is_shortened() {
    let Command::AddService(service) = command("-A -t 192.0.2.1:80 -p 2678400") else {
        panic!("it adds a service");
    };
    let (_, model) = service.to_model().expect("legal").expect("known");
    let persistence = model.persistence.expect("persistent");
    assert_eq!(persistence.timeout, caribe_model::Persistence::LONGEST);
}
