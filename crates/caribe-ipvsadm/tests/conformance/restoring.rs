//! Cases 54 to 60: `-S` and `-R`.

use crate::kernel::Memory;
use crate::listings::eight_services;
use crate::program::Said;

#[test]
fn case_54_saved_tables() {
    let mut table = eight_services();
    table.does("-a -t 10.0.0.5:443 -r 10.2.0.11 -i --tun-type gre --tun-csum");
    table.does("-a -t 10.0.0.5:443 -r 10.2.0.12 -i --tun-type gue --tun-port 6080 --tun-remcsum");
    table.shows(
        "-S -n",
        "\
-A -t 207.175.44.110:80 -s rr$
-a -t 207.175.44.110:80 -r 192.168.10.1:80 -m -w 1$
-a -t 207.175.44.110:80 -r 192.168.10.2:8080 -m -w 5$
-A -t 10.0.0.5:443 -s sh -p 600 -M 255.255.255.0 -b sh-fallback,sh-port$
-a -t 10.0.0.5:443 -r 10.2.0.9:443 -i -w 10 --tun-type ipip$
-a -t 10.0.0.5:443 -r 10.2.0.11:443 -i -w 1 --tun-type gre --tun-csum$
-a -t 10.0.0.5:443 -r 10.2.0.12:443 -i -w 1 --tun-type gue --tun-port 6080 --tun-remcsum$
-A -u 10.0.0.53:53 -s wlc -o$
-a -u 10.0.0.53:53 -r 10.1.1.1:53 -g -w 0$
-A -u 10.0.0.60:5060 -s rr -p 60 --pe sip -o$
-A --sctp-service 10.0.0.9:3868 -s rr$
-A -t [2001:db8::80]:80 -s lc$
-a -t [2001:db8::80]:80 -r [2001:db8::a0a0]:80 -m -w 3$
-A -f 7 -s wrr -p 360$
-a -f 7 -r 10.3.0.1:0 -g -w 1$
-A -f 8 -6 -s mh -p 360 -M 64 -b mh-port$
-a -f 8 -6 -r [2001:db8::10]:0 -g -w 1$
",
    );
}

#[test]
fn case_54_saved_by_name() {
    let mut table = Memory::new();
    table.does("-A -t 127.0.0.1:80 -s rr");
    table.shows("-S", "-A -t localhost:http -s rr\n");
}

#[test]
fn case_55_what_was_saved_is_restored() {
    let mut table = eight_services();
    let saved = table.run("-S -n").out;
    table.does("-C");
    assert_eq!(table.run("-S -n").out, "");
    assert_eq!(table.restore(&saved), Said::default());
    assert_eq!(table.run("-S -n").out, saved);
}

/// What `-R` says of these lines when the last words are these.
fn refusal(message: &str, code: u8) -> Said {
    Said {
        error: format!("{message}\n"),
        code,
        ..Said::default()
    }
}

#[test]
fn case_56_there_are_no_comments() {
    let mut table = Memory::new();
    let said = table.restore("-A -t 10.0.0.1:80 -s rr # c\n");
    assert_eq!(said, refusal("unexpected argument #", 2));
    assert_eq!(table.changes, 0);
}

#[test]
fn case_57_a_line_of_comment_ends_it() {
    let mut table = Memory::new();
    let said = table.restore("#c\n-A -t 10.0.0.1:80 -s rr\n");
    let message = "Try `CLI -h' or 'CLI --help' for more information.";
    assert_eq!(said, refusal(message, 255));
    assert_eq!(table.changes, 0);
}

#[test]
fn case_58_what_the_kernel_refuses_is_survived() {
    let mut table = Memory::new();
    let said = table.restore("-A -t 10.0.0.1:80\n-A -t 10.0.0.1:80\n-L -n\n");
    assert_eq!(said.error, "Service already exists\n");
    assert!(said.out.ends_with("\nTCP  10.0.0.1:80 wlc\n"), "{said:?}");
    assert_eq!(said.code, 0);
}

#[test]
fn case_59_the_last_line_decides() {
    let mut table = Memory::new();
    let said = table.restore("-A -t 10.0.0.1:80\n-A -t 10.0.0.1:80\n");
    assert_eq!(said, refusal("Service already exists", 255));
}

#[test]
fn case_60_forms_of_lines() {
    let mut table = Memory::new();
    let said = table.restore(
        "ipvsadm -A -t 10.0.0.1:80\n-A\t-t\t10.0.0.2:80\r\n\n  \n-a -t 10.0.0.1:80 -r 10.0.0.9",
    );
    assert_eq!(said, Said::default());
    assert_eq!(table.services.len(), 2);
    assert_eq!(table.services[0].destinations.len(), 1);
}

#[test]
fn rules_that_are_broken_end_it_with_the_lines_before_done() {
    let mut table = Memory::new();
    let said = table.restore("-A -t 10.0.0.1:80\n-A\n-A -t 10.0.0.2:80\n");
    assert_eq!(said.code, 2);
    assert_eq!(table.services.len(), 1);
}

#[test]
fn unknown_options_are_survived() {
    let mut table = Memory::new();
    let said = table.restore("-L --bogus\n-A -t 10.0.0.1:80\n");
    assert_eq!(
        (said.error.as_str(), said.code),
        ("--bogus: unknown option\n", 0)
    );
    assert_eq!(table.services.len(), 1);
}
