//! Summing bytes of a frame, for the few packets whose headers do not tell their sum.

use aya_ebpf::EbpfContext;
use aya_ebpf::bindings::xdp_md;
use aya_ebpf::helpers::generated::bpf_csum_diff;
use aya_ebpf::programs::XdpContext;
use caribe_packet::checksum::Sum;

use crate::frame;

/// The longest packet that is summed: a jumbo frame's.
pub const LONGEST: u32 = 9216;

/// Bytes that are summed at once, as long as there are so many.
const CHUNK: u32 = 128;

/// The sum of `length` bytes from an even offset; `None` if they are not all there, or too many.
#[inline(always)]
pub fn of(context: &XdpContext, offset: usize, length: usize) -> Option<Sum> {
    let sum = sum_of(context.as_ptr().cast(), offset as u32, length as u32);
    if sum > u32::MAX as u64 {
        return None;
    }
    Some(Sum::from_raw(sum as u32))
}

/// The sum of some bytes at a place, a multiple of four.
#[inline(always)]
pub fn exactly<const LENGTH: usize>(bytes: *mut u8) -> Sum {
    const { assert!(LENGTH % 4 == 0, "the helper sums words of four bytes") };
    let nothing = core::ptr::null_mut();
    // SAFETY: the caller has them; the verifier makes sure.
    let sum = unsafe { bpf_csum_diff(nothing, 0, bytes.cast(), LENGTH as u32, 0) };
    Sum::from_raw(sum as u32)
}

/// No sum.
const FAILED: u64 = u64::MAX;

/// A function of its own for the verifier, which so follows its loops once.
#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn sum_of(context: *mut xdp_md, offset: u32, length: u32) -> u64 {
    let context = XdpContext::new(context);
    if length > LONGEST || offset > 256 {
        return FAILED;
    }
    // Where each part begins is computed anew from the beginning, so that what the verifier knows
    // after a loop does not depend on how often it went round.
    let mut sum = 0;
    for number in 0..LONGEST / CHUNK {
        if number >= length / CHUNK {
            break;
        }
        let Some(next) = chunk::<{ CHUNK as usize }>(&context, offset + number * CHUNK, sum) else {
            return FAILED;
        };
        sum = next;
    }
    let words = offset + length / CHUNK * CHUNK;
    for number in 0..CHUNK / 4 {
        if number >= length % CHUNK / 4 {
            break;
        }
        let Some(next) = chunk::<4>(&context, words + number * 4, sum) else {
            return FAILED;
        };
        sum = next;
    }
    let mut total = sum as u64;
    let rest = offset + length / 4 * 4;
    if length & 2 != 0 {
        let Some(pair) = frame::at::<[u8; 2]>(&context, bounded(rest)) else {
            return FAILED;
        };
        total += u16::from_ne_bytes(*pair) as u64;
    }
    if length & 1 != 0 {
        // With the byte before it: of a single byte at a variable offset the verifier learns
        // nothing from the check of bounds.
        let before = offset + length - 2;
        let Some([_, last]) = frame::at::<[u8; 2]>(&context, bounded(before)) else {
            return FAILED;
        };
        total += u16::from_ne_bytes([*last, 0]) as u64;
    }
    (total & 0xffff_ffff) + (total >> 32)
}

/// An offset that the verifier knows to be one. The compiler may not know what it is: it would
/// leave out a bound that it can prove, which older verifiers cannot.
#[inline(always)]
fn bounded(offset: u32) -> usize {
    // SAFETY: a local variable.
    let offset = unsafe { core::ptr::read_volatile(&raw const offset) };
    (offset & MOST) as usize
}

/// More than any offset of a frame that is summed.
const MOST: u32 = 0x3fff;

#[inline(always)]
fn chunk<const LENGTH: usize>(context: &XdpContext, at: u32, sum: u32) -> Option<u32> {
    let bytes = frame::at::<[u8; LENGTH]>(context, bounded(at))?;
    let bytes = bytes.as_mut_ptr().cast();
    // SAFETY: the bytes are inside the frame, as just checked, and a multiple of four.
    let sum = unsafe { bpf_csum_diff(core::ptr::null_mut(), 0, bytes, LENGTH as u32, sum) };
    Some(sum as u32)
}
