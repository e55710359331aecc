//! Random words, from a seed: mostly sensible, with mistakes of every kind mixed in.

/// A generator (splitmix64), so that a seed means the same words for ever.
pub(super) struct Random(u64);

const VERBS: &[&str] = &[
    "-A",
    "-A",
    "-A",
    "-E",
    "-D",
    "-a",
    "-a",
    "-a",
    "-a",
    "-e",
    "-d",
    "-L",
    "-L",
    "-l",
    "-Z",
    "-S",
    "-C",
    "--add-service",
    "--edit-service",
    "--add-server",
    "--delete-server",
    "--list",
    "--zero",
    "--save",
    "--clear",
    "-Ln",
    "-LnX",
    "-At",
    "-Au10.0.0.1:53",
    "-at",
    "--set",
    "--start-daemon",
    "--stop-daemon",
    "-h",
    "-v",
    "-R",
    "-n",
    "foo",
    "--add",
    "-",
];

const PLACES: &[&str] = &[
    "10.0.0.1:80",
    "10.0.0.1:80",
    "10.0.0.1:80",
    "10.0.0.2:443",
    "10.0.0.1",
    "10.0.0.1:http",
    "10.0.0.1:domain",
    "10.1:80",
    "010.0.0.1:80",
    "10.0.0.1:0",
    "10.0.0.1:70000",
    "10.0.0.1:",
    "80",
    "localhost:80",
    "0x7f.1:80",
    "[::1]:80",
    "[::1]",
    "::1",
    "[2001:db8::1]:https",
    "2001:db8::1",
    "10.0.0.1:+80",
    "10.0.0.1:-1",
    "10.0.0.1:80x",
    "[10.0.0.1]:80",
    "1.2.3:9",
    "256.0.0.1:80",
    "",
    "[]:80",
    "224.0.0.1:80",
];

const NUMBERS: &[&str] = &[
    "0",
    "1",
    "7",
    "100",
    "255",
    "256",
    "65507",
    "65508",
    "65535",
    "65536",
    "2147483647",
    "2147483648",
    "4294967295",
    "4294967296",
    "-1",
    "+5",
    "010",
    "0x10",
    "1x",
    "x",
    "",
    "2678400",
    "2678401",
    "99999999999999999999",
];

const WORDS: &[&str] = &[
    "rr",
    "wlc",
    "sh",
    "mh",
    "nosuch",
    "averyveryverylongscheduler",
    "",
    "sh-port",
    "sh-fallback,sh-port",
    "mh-port",
    "flag-1",
    "flag-1,flag-3",
    "sh-port,foo",
    "foo",
    "flag-4",
    "sip",
    "ipip",
    "gue",
    "gre",
    "GUE",
    "eth0",
    "averyverylonginterfacename",
    "224.0.0.81",
    "10.0.0.1",
    "ff02::1",
    "2001:db8::1",
    "255.255.255.0",
    "255.255.0.0",
    "24",
    "64",
    "129",
    "master",
    "backup",
    "localhost",
];

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Random(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        let bound = u64::try_from(bound).expect("small");
        usize::try_from(self.next() % bound).expect("small")
    }

    fn one<'a>(&mut self, of: &'a [&'a str]) -> &'a str {
        of[self.below(of.len())]
    }

    pub(super) fn blank(&mut self) -> &'static str {
        self.one(&[" ", " ", "\t", "  "])
    }

    pub(super) fn line_end(&mut self) -> &'static str {
        self.one(&["\n", "\n", "\r\n", "\n\n"])
    }

    /// A command line. What is likely to belong to the command is likely to be in it.
    pub(super) fn command(&mut self) -> Vec<&'static str> {
        let verb = self.one(VERBS);
        let mut words = vec![verb];
        match verb {
            "-At" | "-at" => words.push(self.one(PLACES)),
            "--set" => {
                for _ in 0..self.below(5) {
                    words.push(self.one(NUMBERS));
                }
            }
            "--start-daemon" | "--stop-daemon" => {
                words.push(self.one(&["master", "backup", "foo"]));
            }
            _ if self.below(8) > 0 => {
                let option = self.one(&["-t", "-t", "-t", "-u", "--tcp-service", "-f"]);
                words.push(option);
                words.push(match option {
                    "-f" => self.one(NUMBERS),
                    _ => self.one(PLACES),
                });
            }
            _ => {}
        }
        if matches!(
            verb,
            "-a" | "-e" | "-d" | "-at" | "--add-server" | "--delete-server"
        ) && self.below(8) > 0
        {
            words.push("-r");
            words.push(self.one(PLACES));
        }
        let own: &[&str] = match verb {
            "-A" | "-E" | "-At" | "-Au10.0.0.1:53" | "--add-service" | "--edit-service" => {
                &["-s", "-b", "-p", "-M", "-o", "--pe", "-s", "-p", "-6"]
            }
            "-a" | "-e" | "-at" | "--add-server" => &[
                "-g",
                "-i",
                "-m",
                "-w",
                "-x",
                "-y",
                "--tun-type",
                "--tun-port",
                "--tun-csum",
                "--tun-nocsum",
                "--tun-remcsum",
                "-i",
                "-m",
                "-w",
            ],
            "-L" | "-l" | "--list" | "-Ln" | "-LnX" => &[
                "-n",
                "--stats",
                "--rate",
                "-c",
                "--timeout",
                "--daemon",
                "--nosort",
                "-X",
                "--thresholds",
                "--persistent-conn",
                "--tun-info",
                "--syncid",
                "--sort",
            ],
            "--start-daemon" | "--stop-daemon" => &[
                "--mcast-interface",
                "--syncid",
                "--sync-maxlen",
                "--mcast-group",
                "--mcast-port",
                "--mcast-ttl",
            ],
            _ => &["-n"],
        };
        for _ in 0..self.below(5) {
            if self.below(5) == 0 {
                self.anything(&mut words);
            } else {
                let option = self.one(own);
                self.option(option, &mut words);
            }
        }
        words
    }

    fn option(&mut self, option: &'static str, words: &mut Vec<&'static str>) {
        words.push(option);
        let values: &[&[&str]] = match option {
            "-s" | "-b" | "--pe" | "--tun-type" | "-M" | "--mcast-interface" | "--mcast-group" => {
                &[WORDS]
            }
            "-w" | "-x" | "-y" | "--tun-port" | "--syncid" | "--sync-maxlen" | "--mcast-port"
            | "--mcast-ttl" => &[NUMBERS],
            "-p" => &[NUMBERS, &[], &[]],
            _ => &[&[]],
        };
        let values = values[self.below(values.len())];
        if !values.is_empty() {
            words.push(self.one(values));
        }
    }

    /// Something that need not belong here.
    fn anything(&mut self, words: &mut Vec<&'static str>) {
        let word = self.one(&[
            "-n",
            "-c",
            "-X",
            "-o",
            "-6",
            "-g",
            "-im",
            "-np",
            "-p5",
            "-srr",
            "-s=sh",
            "-w=3",
            "--weight=4",
            "--weight=",
            "--numeric=1",
            "-n=1",
            "--scheduler",
            "-z",
            "--bogus",
            "--",
            "-",
            "foo",
            "-A",
            "-LA",
            "--list",
            "--set",
            "--start-daemon",
            "-t",
            "-r",
            "-M64",
            "--persistent",
            "--persistent=9",
            "--sort",
            "--tun-csum",
            "-b=",
            "--nosort",
            "-f7",
            "-h",
            "-6f",
        ]);
        words.push(word);
    }
}
