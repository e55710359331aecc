//! A second witness: tshark reads what the program emitted, in every kind, and finds every
//! checksum right and nothing malformed.

use std::collections::HashMap;
use std::fs;
use std::process::Command;

use libtest_mimic::{Failed, Trial};

use crate::bench::Sent;
use crate::fields::describe;

/// Frames of each kind that are shown: verdict, EtherType, outer protocol.
const SAMPLES: usize = 60;

/// Checksums that tshark verifies, and what it says of a bad one and a good one.
const CHECKSUMS: [&str; 6] = [
    "ip.checksum.status",
    "tcp.checksum.status",
    "udp.checksum.status",
    "sctp.checksum.status",
    "icmp.checksum.status",
    "icmpv6.checksum.status",
];
const BAD: &str = "0";
const GOOD: &str = "1";

/// The tests of what was emitted.
pub(crate) fn trials(sent: &[Sent]) -> Vec<Trial> {
    let frames = samples(sent);
    vec![
        Trial::test("witness::tshark finds nothing wrong", {
            let frames = frames.clone();
            move || finds_nothing_wrong(&frames)
        }),
        Trial::test("witness::tshark would find it", move || {
            would_find_it(&frames)
        }),
    ]
}

/// Some frames of each kind, sound ones only.
fn samples(sent: &[Sent]) -> Vec<Vec<u8>> {
    let mut counts: HashMap<(usize, Vec<u8>, u8), usize> = HashMap::new();
    let mut frames = Vec::new();
    for sent in sent.iter().filter(|sent| sent.is_sound) {
        let Some(frame) = &sent.emitted else {
            continue;
        };
        let protocol = if frame[12] == 0x08 {
            frame[23]
        } else {
            frame[20]
        };
        let kind = (sent.verdict as usize, frame[12..14].to_vec(), protocol);
        let count = counts.entry(kind).or_default();
        if *count < SAMPLES {
            *count += 1;
            frames.push(frame.clone());
        }
    }
    frames
}

fn finds_nothing_wrong(frames: &[Vec<u8>]) -> Result<(), Failed> {
    let lines = tshark(frames)?;
    let mut good = [0; CHECKSUMS.len()];
    for (number, line) in lines.iter().enumerate() {
        let columns: Vec<_> = line.split('\t').collect();
        let complaint = match columns[..] {
            // What is in SCTP's chunks makes no sense in most cases, and is nobody's business here.
            [protocols, malformed, ref statuses @ ..]
                if statuses.len() == CHECKSUMS.len()
                    && (malformed.is_empty() || protocols.contains(":sctp")) =>
            {
                let mut bad = None;
                // tshark sums up what an error quotes of a segment, which is cut short.
                let is_quoted = |name: &str| {
                    protocols.contains(":icmp") && matches!(&name[..3], "tcp" | "udp" | "sct")
                };
                for (at, status) in statuses.iter().enumerate() {
                    if is_quoted(CHECKSUMS[at]) {
                        continue;
                    }
                    // One value per layer of a tunnel.
                    for status in status.split(',') {
                        good[at] += usize::from(status == GOOD);
                        if status == BAD {
                            bad = Some(format!("{} is bad", CHECKSUMS[at]));
                        }
                    }
                }
                bad
            }
            _ => Some(format!("malformed: {line}")),
        };
        if let Some(complaint) = complaint {
            return Err(format!("{complaint}\n{}", describe(&frames[number])).into());
        }
    }
    for (name, count) in CHECKSUMS.iter().zip(good) {
        if count < 20 {
            return Err(format!("tshark verified {name} of only {count} frames").into());
        }
    }
    Ok(())
}

/// A frame whose last byte of a header is wrong is told from one that is right.
fn would_find_it(frames: &[Vec<u8>]) -> Result<(), Failed> {
    let ipv4 = frames
        .iter()
        .find(|frame| frame[12] == 0x08 && frame[23] == 6);
    let sound = ipv4.ok_or("no TCP over IPv4 was emitted")?;
    let [mut header, mut segment, mut cut] = [0; 3].map(|_: i32| sound.clone());
    header[30] ^= 1;
    segment[40] ^= 1;
    cut[16] = 0xff;
    let lines = tshark(&[sound.clone(), header, segment, cut[..40].to_vec()])?;
    let statuses = |line: &String| -> Vec<String> { line.split('\t').map(str::to_owned).collect() };
    let [sound, header, segment, cut] = &lines[..] else {
        return Err(format!("four frames, but {lines:?}").into());
    };
    assert_eq!(statuses(sound)[2..4], [GOOD, GOOD]);
    assert_eq!(statuses(header)[2], BAD);
    assert_eq!(statuses(segment)[2..4], [GOOD, BAD]);
    assert_ne!(
        statuses(cut)[1],
        "",
        "a segment that is cut short is malformed"
    );
    Ok(())
}

/// What tshark says of frames: protocols, malformed or not, checksums; a line each.
fn tshark(frames: &[Vec<u8>]) -> Result<Vec<String>, Failed> {
    let file = tempfile::NamedTempFile::new().map_err(|error| format!("make a file: {error}"))?;
    fs::write(file.path(), pcap(frames)).map_err(|error| format!("write a pcap: {error}"))?;
    let mut command = Command::new("tshark");
    command.arg("-n").arg("-r").arg(file.path());
    for option in ["ip", "tcp", "udp"] {
        command.args(["-o", &format!("{option}.check_checksum:TRUE")]);
    }
    command.args(["-o", "sctp.checksum:CRC 32c"]);
    command.args([
        "-T",
        "fields",
        "-e",
        "frame.protocols",
        "-e",
        "_ws.malformed",
    ]);
    for field in CHECKSUMS {
        command.args(["-e", field]);
    }
    let output = command.output().map_err(|error| {
        format!("run tshark, which this test needs (apt-get install tshark): {error}")
    })?;
    if !output.status.success() {
        return Err(format!("tshark: {}", String::from_utf8_lossy(&output.stderr)).into());
    }
    let text = String::from_utf8(output.stdout).map_err(|error| error.to_string())?;
    let lines: Vec<_> = text.lines().map(str::to_owned).collect();
    if lines.len() == frames.len() {
        Ok(lines)
    } else {
        Err(format!("{} lines for {} frames", lines.len(), frames.len()).into())
    }
}

/// A capture file: the classic format, Ethernet, all at time 0.
fn pcap(frames: &[Vec<u8>]) -> Vec<u8> {
    let mut file = Vec::new();
    // Magic, version 2.4, no time zone, no accuracy, longest frame, Ethernet.
    for word in [0xa1b2_c3d4_u32, 0x0004_0002, 0, 0, 65_535, 1] {
        file.extend(word.to_le_bytes());
    }
    for frame in frames {
        let length = u32::try_from(frame.len()).expect("a frame");
        for word in [0, 0, length, length] {
            file.extend(word.to_le_bytes());
        }
        file.extend(frame);
    }
    file
}
