//! Atomic operations on words in maps.

use core::intrinsics::AtomicOrdering::{AcqRel, Acquire, Relaxed};
use core::intrinsics::{atomic_and, atomic_cxchg, atomic_or, atomic_xadd};

/// Puts `new` where `old` is; true if it was.
///
/// # Safety
///
/// `word` points to an aligned word in a map.
#[inline(always)]
pub unsafe fn compare_and_swap(word: *mut u64, old: u64, new: u64) -> bool {
    // SAFETY: passed on to the caller.
    unsafe { atomic_cxchg::<u64, { AcqRel }, { Acquire }>(word, old, new).1 }
}

/// Adds and returns what was there before.
///
/// Not relaxed: for a relaxed addition LLVM emits the instruction that returns nothing, also
/// where the result is used, which is then the addend.
///
/// # Safety
///
/// `word` points to an aligned word in a map.
#[inline(always)]
pub unsafe fn fetch_add(word: *mut u64, addend: u64) -> u64 {
    // SAFETY: passed on to the caller.
    unsafe { atomic_xadd::<u64, u64, { AcqRel }>(word, addend) }
}

/// Adds.
///
/// # Safety
///
/// `word` points to an aligned word in a map.
#[inline(always)]
pub unsafe fn add(word: *mut u64, addend: u64) {
    // SAFETY: passed on to the caller.
    unsafe { atomic_xadd::<u64, u64, { Relaxed }>(word, addend) };
}

/// Sets bits.
///
/// # Safety
///
/// `word` points to an aligned word in a map.
#[inline(always)]
pub unsafe fn set_bits(word: *mut u64, bits: u64) {
    // SAFETY: passed on to the caller.
    unsafe { atomic_or::<u64, u64, { Relaxed }>(word, bits) };
}

/// Clears bits.
///
/// # Safety
///
/// `word` points to an aligned word in a map.
#[inline(always)]
pub unsafe fn clear_bits(word: *mut u64, bits: u64) {
    // SAFETY: passed on to the caller.
    unsafe { atomic_and::<u64, u64, { Relaxed }>(word, !bits) };
}

/// Reads a word that others may be writing.
///
/// # Safety
///
/// `word` points to an aligned word in a map.
#[inline(always)]
pub unsafe fn load(word: *const u64) -> u64 {
    // SAFETY: passed on to the caller.
    unsafe { word.read_volatile() }
}
