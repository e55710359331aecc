use super::*;

fn read(line: &str) -> Result<Request, Refusal> {
    let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
    parse(&words)
}

fn list(numeric: bool) -> List {
    List {
        numeric,
        ..List::default()
    }
}

#[test]
fn listings_in_all_spellings() {
    for line in ["", "-L", "-l", "--list", "-L --sort", "-LX", "-L --"] {
        assert_eq!(read(line), Ok(Request::List(list(false))), "{line}");
    }
    for line in ["-Ln", "-ln", "-L -n", "--list --numeric", "-LnX"] {
        assert_eq!(read(line), Ok(Request::List(list(true))), "{line}");
    }
}

#[test]
fn one_service_in_all_spellings() {
    let wanted = Wanted::Address(Protocol::Tcp, "10.0.0.1:80".to_owned());
    for line in [
        "-Ln -t 10.0.0.1:80",
        "-Lnt 10.0.0.1:80",
        "-Lnt10.0.0.1:80",
        "-L -t=10.0.0.1:80 -n",
        "-L --tcp-service 10.0.0.1:80 -n",
        "-L --tcp-service=10.0.0.1:80 -n",
    ] {
        let expected = List {
            service: Some(wanted.clone()),
            ..list(true)
        };
        assert_eq!(read(line), Ok(Request::List(expected)), "{line}");
    }
    let mark = |ipv6| {
        let mark = NonZeroU32::new(7).expect("not zero");
        Ok(Request::List(List {
            service: Some(Wanted::Mark { mark, ipv6 }),
            ..List::default()
        }))
    };
    assert_eq!(read("-L -f 7"), mark(false));
    assert_eq!(read("-L -f 7 -6"), mark(true));
}

#[test]
fn our_own_option_may_stand_anywhere() {
    for line in [
        "--runtime-dir /run/x -L -n",
        "-L --runtime-dir=/run/x -n",
        "-Ln --runtime-dir /run/x",
    ] {
        let expected = List {
            runtime_dir: Some(PathBuf::from("/run/x")),
            ..list(true)
        };
        assert_eq!(read(line), Ok(Request::List(expected)), "{line}");
    }
}

#[test]
fn the_first_option_must_be_a_command() {
    for line in ["-n -L", "--bogus", "list", "-n", "-t 10.0.0.1:80"] {
        assert_eq!(read(line), Err(Refusal::NoCommand), "{line}");
    }
}

#[test]
fn refusals_in_ipvsadms_words() {
    for (line, message) in [
        ("-L --bogus", "--bogus: unknown option"),
        ("-L -A", "invalid option `-A'"),
        ("-L x", "unexpected argument x"),
        ("-L -n -n", "multiple 'numeric' options specified"),
        (
            "-L -t 10.0.0.1:80 -u 10.0.0.1:80",
            "multiple 'service-address' options specified",
        ),
        ("-L -f 0", "invalid fwmark value `0' specified"),
        ("-L -f x", "invalid fwmark value `x' specified"),
        ("-L -6", "-6 used before -f\n"),
    ] {
        let refusal = read(line).expect_err(line);
        assert_eq!(refusal.to_string(), message, "{line}");
    }
}

#[test]
fn what_only_changes_tables_is_refused_by_name() {
    for (line, name) in [
        ("-A -t 10.0.0.1:80", "-A"),
        ("-At 10.0.0.1:80", "-A"),
        ("--clear", "--clear"),
        ("-L --stats", "--stats"),
        ("-Lnc", "-c"),
        ("--set 1 2 3", "--set"),
    ] {
        assert_eq!(read(line), Err(Refusal::NotYet(name.to_owned())), "{line}");
    }
}

#[test]
fn addresses_of_services() {
    let names = SystemNames::new();
    let key = |text: &str| Wanted::Address(Protocol::Tcp, text.to_owned()).key(&names);
    let expected = |address: &str, port| {
        Ok(ServiceKey::Address {
            protocol: Protocol::Tcp,
            address: address.parse().expect("an address"),
            port,
        })
    };
    assert_eq!(key("10.0.0.1:80"), expected("10.0.0.1", 80));
    assert_eq!(key("[2001:db8::1]:80"), expected("2001:db8::1", 80));
    assert_eq!(key("2001:db8::1"), expected("2001:db8::1", 0));
    assert_eq!(key("10.0.0.1"), expected("10.0.0.1", 0));
    for text in [
        "10.0.0.1:",
        "x:80",
        "10.0.0.1:no-such-service",
        "",
        "10.0.0.1:99999",
    ] {
        assert_eq!(key(text), Err(Refusal::Address), "{text}");
    }
}
