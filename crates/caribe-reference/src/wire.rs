//! The two links of a director under test, as TAP devices whose far ends are here.
//!
//! A frame that is written goes through the kernel, XDP or ip_vs and all, before the write returns,
//! and what the director sends in answer can be read then: nothing has to be waited for. That
//! holds because no neighbour has to be found first, and a TAP device queues nothing.

use std::io::ErrorKind;

use tun_rs::{DeviceBuilder, Layer, SyncDevice};

use crate::PlayError;
use crate::network::Side;

/// Longer than any frame here.
const LONGEST: usize = 4096;

/// Both links, in the network namespace of the thread that opened them.
pub struct Wire {
    front: SyncDevice,
    back: SyncDevice,
}

impl Wire {
    /// Makes both interfaces in this thread's network namespace. They go when this is dropped.
    ///
    /// # Errors
    ///
    /// Reports what the kernel refused: root is needed, and a kernel with TAP devices.
    pub fn open() -> Result<Wire, PlayError> {
        Ok(Wire {
            front: open(Side::Front)?,
            back: open(Side::Back)?,
        })
    }

    /// Sends a frame to the director and gives the frames that it sent, in order on each side,
    /// those of the front first. What the director's kernel says by itself (address resolution,
    /// router and group management) is left out.
    ///
    /// # Errors
    ///
    /// Reports what the kernel refused.
    pub fn exchange(&self, side: Side, frame: &[u8]) -> Result<Vec<(Side, Vec<u8>)>, PlayError> {
        // What came by itself since the last time.
        self.read()?;
        let sent = self.device(side).send(frame);
        sent.map_err(PlayError::system(format!("write to {}", side.interface())))?;
        self.read()
    }

    fn read(&self) -> Result<Vec<(Side, Vec<u8>)>, PlayError> {
        let mut frames = Vec::new();
        for side in Side::ALL {
            let mut buffer = [0; LONGEST];
            loop {
                match self.device(side).recv(&mut buffer) {
                    Ok(length) => {
                        let frame = &buffer[..length];
                        if !is_chatter(frame) {
                            frames.push((side, frame.to_vec()));
                        }
                    }
                    Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                    Err(error) => {
                        let action = format!("read from {}", side.interface());
                        return Err(PlayError::system(action)(error));
                    }
                }
            }
        }
        Ok(frames)
    }

    fn device(&self, side: Side) -> &SyncDevice {
        match side {
            Side::Front => &self.front,
            Side::Back => &self.back,
        }
    }
}

fn open(side: Side) -> Result<SyncDevice, PlayError> {
    let name = side.interface();
    let device = DeviceBuilder::new()
        .name(name)
        .layer(Layer::L2)
        .enable(false)
        .build_sync()
        .map_err(PlayError::system(format!("make the TAP device {name}")))?;
    // Also what lets a TAP device run XDP before it makes a packet of a frame.
    device
        .set_nonblocking(true)
        .map_err(PlayError::system(format!("prepare {name}")))?;
    Ok(device)
}

/// What a kernel sends unasked: ARP, IGMP, and ICMPv6's discovery and group management.
fn is_chatter(frame: &[u8]) -> bool {
    match frame.get(12..14) {
        Some([0x08, 0x00]) => frame.get(23) == Some(&2),
        Some([0x86, 0xdd]) => match frame.get(20) {
            Some(0) => true,
            Some(58) => frame.get(54).is_some_and(|kind| (130..=143).contains(kind)),
            _ => false,
        },
        _ => true,
    }
}
