//! Summing bytes of a frame, for the few packets whose headers do not tell their sum.

use aya_ebpf::EbpfContext;
use aya_ebpf::bindings::xdp_md;
use aya_ebpf::helpers::generated::bpf_csum_diff;
use aya_ebpf::programs::XdpContext;
use caribe_packet::checksum::Sum;

use crate::frame;

/// The longest packet that is summed: a jumbo frame's.
pub const LONGEST: u32 = 9216;

/// The most that the helper takes at once.
const CHUNK: u32 = 512;

/// The sum of `length` bytes from an even offset; `None` if they are not all there, or too many.
#[inline(always)]
pub fn of(context: &XdpContext, offset: usize, length: usize) -> Option<Sum> {
    let sum = sum_of(context.as_ptr().cast(), offset as u32, length as u32);
    if sum > u32::MAX as u64 {
        return None;
    }
    Some(Sum::from_raw(sum as u32))
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
    let (mut at, mut left, mut sum) = (offset, length, 0);
    for _ in 0..LONGEST / CHUNK {
        if left < CHUNK {
            break;
        }
        let Some(next) = chunk::<512>(&context, at, sum) else {
            return FAILED;
        };
        (sum, at, left) = (next, at + CHUNK, left - CHUNK);
    }
    macro_rules! rest {
        ($($length:literal)+) => {
            $(
                if left & $length != 0 {
                    let Some(next) = chunk::<$length>(&context, at, sum) else {
                        return FAILED;
                    };
                    (sum, at) = (next, at + $length);
                }
            )+
        };
    }
    rest!(256 128 64 32 16 8 4);
    let mut total = sum as u64;
    if left & 2 != 0 {
        let Some(pair) = frame::at::<[u8; 2]>(&context, (at & MOST) as usize) else {
            return FAILED;
        };
        total += u16::from_ne_bytes(*pair) as u64;
        at += 2;
    }
    if left & 1 != 0 {
        let Some(last) = frame::at::<u8>(&context, (at & MOST) as usize) else {
            return FAILED;
        };
        total += u16::from_ne_bytes([*last, 0]) as u64;
    }
    (total & 0xffff_ffff) + (total >> 32)
}

/// Bounds an offset for the verifier.
const MOST: u32 = 0x3fff;

#[inline(always)]
fn chunk<const LENGTH: usize>(context: &XdpContext, at: u32, sum: u32) -> Option<u32> {
    let bytes = frame::at::<[u8; LENGTH]>(context, (at & MOST) as usize)?;
    let bytes = bytes.as_mut_ptr().cast();
    // SAFETY: the bytes are inside the frame, as just checked, and a multiple of four.
    let sum = unsafe { bpf_csum_diff(core::ptr::null_mut(), 0, bytes, LENGTH as u32, sum) };
    Some(sum as u32)
}
