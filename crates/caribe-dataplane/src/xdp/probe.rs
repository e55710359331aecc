//! One frame through the loaded program, without a wire: `BPF_PROG_TEST_RUN`.
//!
//! For tests and for answering "what would happen to this packet?". It is the real program on
//! the real maps: a probe is counted and may open a connection, but its frame is never sent.

use aya::programs::{TestRun as _, TestRunOptions, Xdp};

use super::XdpDataplane;
use super::error::kernel;
use super::interfaces::PROGRAM;
use crate::DataplaneError;

/// What the program did with a frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// Its answer to the kernel.
    pub action: Action,
    /// The frame as it left it.
    pub frame: Vec<u8>,
}

/// An answer of an XDP program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// The program failed.
    Aborted,
    /// The frame is dropped.
    Drop,
    /// The kernel gets the frame.
    Pass,
    /// The frame goes out where it came in.
    Transmit,
    /// The frame goes out on another interface.
    Redirect,
    /// A number that XDP does not define.
    Unknown(u32),
}

impl From<u32> for Action {
    fn from(number: u32) -> Self {
        match number {
            0 => Action::Aborted,
            1 => Action::Drop,
            2 => Action::Pass,
            3 => Action::Transmit,
            4 => Action::Redirect,
            other => Action::Unknown(other),
        }
    }
}

/// Room for an outer header in front of the frame.
const GROWTH: usize = 256;

impl XdpDataplane {
    /// Runs a frame through the program as if it had come in on the interface with this index,
    /// which must carry an XDP program; without one, on the loopback.
    ///
    /// # Errors
    ///
    /// Reports what the kernel refused: frames shorter than an Ethernet header or longer than a
    /// page, and interfaces that are not there.
    pub fn probe(&self, frame: &[u8], interface: Option<u32>) -> Result<Outcome, DataplaneError> {
        run(&self.ebpf, frame, interface)
    }
}

/// Runs a frame through the program of an object.
pub(super) fn run(
    ebpf: &aya::Ebpf,
    frame: &[u8],
    interface: Option<u32>,
) -> Result<Outcome, DataplaneError> {
    let action = "run a frame through the program";
    let program = ebpf
        .program(PROGRAM)
        .ok_or("the program is not loaded")
        .and_then(|program| <&Xdp>::try_from(program).map_err(|_| "it is no XDP program"))
        .map_err(kernel(action))?;
    let mut out = vec![0; frame.len() + GROWTH];
    // struct xdp_md: data, data_end, data_meta, ingress_ifindex, rx_queue_index and
    // egress_ifindex; positions count from the frame's start. A frame is shorter than a page.
    let fields = [0, frame.len() as u32, 0, interface.unwrap_or(0), 0, 0];
    let context: Vec<u8> = fields
        .iter()
        .flat_map(|field| field.to_ne_bytes())
        .collect();
    let result = program
        .test_run(TestRunOptions {
            data_in: Some(frame),
            data_out: Some(&mut out),
            ctx_in: interface.is_some().then_some(context.as_slice()),
            ..TestRunOptions::default()
        })
        .map_err(kernel(action))?;
    out.truncate(result.data_size_out as usize);
    Ok(Outcome {
        action: result.return_value.into(),
        frame: out,
    })
}
