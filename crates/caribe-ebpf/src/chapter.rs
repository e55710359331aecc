//! Turning to another program of the packet path.

use aya_ebpf::programs::XdpContext;
use caribe_packet::chapter::Chapter;
use caribe_packet::verdict::Verdict;

use crate::maps::CHAPTERS;
use crate::verdict::{Outcome, drop};

/// Goes on in another program, and comes back only if it is not there.
#[inline(always)]
pub fn turn_to(context: &XdpContext, chapter: Chapter) -> Outcome {
    // SAFETY: nothing here waits to be dropped.
    unsafe { CHAPTERS.tail_call(context, chapter as u32) };
    drop(Verdict::DroppedNoChapter)
}
