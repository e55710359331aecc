//! tshark on an interface: what is on the wire, decoded by a program that is not ours.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::{Host, LabError, Process, wait};

/// A capture under way.
#[derive(Debug)]
pub struct Capture {
    host: Host,
    process: Process,
    file: PathBuf,
}

/// One packet: each wanted field by its name, with every value that it has in the packet (a
/// tunnelled packet has two `ip.src`, the outer one first).
pub type Packet = BTreeMap<String, Vec<String>>;

impl Capture {
    /// Starts to capture on `interface` of `host` what the pcap `filter` lets through, e.g.
    /// `tcp port 80`, and waits until it does. Outgoing frames that XDP itself sends are seen
    /// only at the other end of their link.
    ///
    /// # Errors
    ///
    /// Says when tshark is not installed, or why it did not start.
    pub fn start(host: &Host, interface: &str, filter: &str) -> Result<Capture, LabError> {
        let file = host.file(&format!("{interface}.pcapng"));
        let mut process = host
            .command("tshark")
            .args(["-n", "-i", interface, "-f", filter, "-w"])
            .arg(&file)
            .spawn()?;
        process.wait_until_says("Capture started", Duration::from_secs(20))?;
        Ok(Capture {
            host: host.clone(),
            process,
            file,
        })
    }

    /// Ends the capture and decodes it: of each packet the wanted fields, by the names of
    /// tshark's display filters, e.g. `ip.src`, `ip.ttl`, `tcp.checksum.status`. Checksums are
    /// verified (status 1 is good, 0 bad).
    ///
    /// # Errors
    ///
    /// Says why tshark could not end or decode.
    pub fn finish(mut self, fields: &[&str]) -> Result<Vec<Packet>, LabError> {
        // What was on the wire a moment ago is still on its way through the capture's buffers.
        wait::pause(Duration::from_millis(300));
        self.process.signal(Signal::SIGINT)?;
        self.process.wait(Duration::from_secs(10))?;
        let mut command = self
            .host
            .command("tshark")
            .args(["-n", "-r"])
            .arg(&self.file);
        for option in [
            "ip.check_checksum",
            "tcp.check_checksum",
            "udp.check_checksum",
        ] {
            command = command.args(["-o", &format!("{option}:TRUE")]);
        }
        command = command.args(["-T", "fields", "-E", "separator=/t", "-E", "occurrence=a"]);
        for field in fields {
            command = command.args(["-e", field]);
        }
        let text = command.run()?;
        Ok(text.lines().map(|line| packet(line, fields)).collect())
    }
}

/// One line of fields, values of one field separated by commas.
fn packet(line: &str, fields: &[&str]) -> Packet {
    fields
        .iter()
        .zip(line.split('\t'))
        .filter(|(_, values)| !values.is_empty())
        .map(|(field, values)| {
            let values = values.split(',').map(str::to_owned).collect();
            ((*field).to_owned(), values)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_keep_all_their_values() {
        let packet = packet("10.0.0.1,10.0.0.2\t\t64", &["ip.src", "tcp.port", "ip.ttl"]);
        assert_eq!(packet["ip.src"], ["10.0.0.1", "10.0.0.2"]);
        assert_eq!(packet["ip.ttl"], ["64"]);
        assert!(!packet.contains_key("tcp.port"));
    }
}
