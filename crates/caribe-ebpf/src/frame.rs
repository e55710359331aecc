//! Bounds-checked access to a frame.

use aya_ebpf::EbpfContext;
use aya_ebpf::bindings::xdp_action::XDP_TX;
use aya_ebpf::helpers::{bpf_redirect, bpf_xdp_adjust_head, bpf_xdp_adjust_tail};
use aya_ebpf::programs::XdpContext;

/// The `T` at an offset, if all of it is inside the frame. `T` is made of bytes, so any address
/// is aligned.
#[inline(always)]
pub fn at<T>(context: &XdpContext, offset: usize) -> Option<&mut T> {
    const { assert!(align_of::<T>() == 1, "frames are not aligned") };
    let start = context.data() + offset;
    if start + size_of::<T>() > context.data_end() {
        return None;
    }
    // SAFETY: inside the frame, as just checked; every pattern of bytes is a `T`.
    Some(unsafe { &mut *(start as *mut T) })
}

/// As [`at`], for an offset that is not known when the program is built.
///
/// Left to itself the compiler may compute the address for the check and the one for the access
/// each in its own way, and the verifier would not see that they are the same.
#[inline(always)]
pub fn at_variable<T>(context: &XdpContext, offset: usize) -> Option<&mut T> {
    const { assert!(align_of::<T>() == 1, "frames are not aligned") };
    let start = context.data() + offset;
    // SAFETY: a local variable.
    let start = unsafe { core::ptr::read_volatile(&raw const start) };
    if start + size_of::<T>() > context.data_end() {
        return None;
    }
    // SAFETY: inside the frame, as just checked; every pattern of bytes is a `T`.
    Some(unsafe { &mut *(start as *mut T) })
}

/// Length of the frame in bytes.
#[inline(always)]
pub fn length(context: &XdpContext) -> usize {
    context.data_end() - context.data()
}

/// Makes room in front of the frame (or takes it away, if negative). Every reference into the
/// frame is void afterwards.
#[inline(always)]
pub fn grow_head(context: &XdpContext, bytes: i32) -> bool {
    // SAFETY: the context is the one that the kernel gave us.
    unsafe { bpf_xdp_adjust_head(context.as_ptr().cast(), -bytes) == 0 }
}

/// Cuts the frame to a length. Every reference into the frame is void afterwards.
#[inline(always)]
pub fn cut(context: &XdpContext, to: usize) -> bool {
    let excess = length(context) as i32 - to as i32;
    // SAFETY: the context is the one that the kernel gave us.
    excess >= 0 && unsafe { bpf_xdp_adjust_tail(context.as_ptr().cast(), -excess) == 0 }
}

/// The action that sends the frame out of an interface.
#[inline(always)]
pub fn send(context: &XdpContext, interface: u32) -> u32 {
    if context.ingress_ifindex() as u32 == interface {
        return XDP_TX;
    }
    // SAFETY: a helper that any XDP program may call.
    unsafe { bpf_redirect(interface, 0) as u32 }
}
