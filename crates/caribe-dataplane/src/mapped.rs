//! Arrays of the kernel, mapped into this process: a safe view of memory that packets change at
//! the same time.
//!
//! Everything is a 64-bit word and every access is atomic, so a word is read or written whole,
//! and compare-and-swap works between this process and the programs in the kernel. A value of
//! several words is read word by word: whoever reads one that may change meanwhile has to check
//! that it did not (the connection table's [`Meta`](caribe_packet::connection::Meta) is for that).

use std::io;
use std::marker::PhantomData;
use std::os::fd::{AsRawFd as _, BorrowedFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering};

use caribe_packet::connection::{Connection4, Connection6};
use caribe_packet::policy::Policy;
use caribe_packet::server::{Flow, Server};
use caribe_packet::service::Slot;
use caribe_packet::settings::Settings;

/// A value that lies in a mapped array.
///
/// # Safety
///
/// Every pattern of bits is a value of the type, its size is a multiple of 8 and its alignment is
/// at most 64.
pub(crate) unsafe trait Mapped: Copy {}

// SAFETY: eight bytes of any value.
unsafe impl Mapped for u64 {}
// SAFETY: eight words of any value.
unsafe impl Mapped for [u64; 8] {}
// SAFETY: integers only; 64 bytes.
unsafe impl Mapped for Server {}
// SAFETY: integers only; 16 bytes.
unsafe impl Mapped for Flow {}
// SAFETY: integers only; 8 bytes.
unsafe impl Mapped for Slot {}
// SAFETY: integers only; 32 bytes.
unsafe impl Mapped for Policy {}
// SAFETY: integers only; 200 bytes.
unsafe impl Mapped for Settings {}
// SAFETY: integers only; 64 bytes.
unsafe impl Mapped for Connection4 {}
// SAFETY: integers only; 128 bytes.
unsafe impl Mapped for Connection6 {}

/// A [`Mapped`] value that may be written as a whole.
///
/// # Safety
///
/// The type has no padding: all its bytes are initialised.
pub(crate) unsafe trait Whole: Mapped {}

// SAFETY: no padding in an integer.
unsafe impl Whole for u64 {}
// SAFETY: the fields add up to the size, checked below.
unsafe impl Whole for Server {}
// SAFETY: the fields add up to the size, checked below.
unsafe impl Whole for Slot {}
// SAFETY: the fields add up to the size, checked below.
unsafe impl Whole for Policy {}
// SAFETY: the fields add up to the size, checked below.
unsafe impl Whole for Settings {}

const _: () = assert!(size_of::<Server>() == 2 * 16 + 2 * 8 + 3 * 4 + 2 + 2);
const _: () = assert!(size_of::<Slot>() == 2 * 4);
const _: () = assert!(size_of::<Policy>() == 2 * 4 + 16 + 2 + 6);
const _: () = assert!(size_of::<Settings>() == 4 * 8 + 2 * 4 + 32 * 4 + 8 * 4);

/// A mapped array of the kernel. It stays valid when the map's descriptor is closed and its pin
/// removed; the kernel frees the memory when the last user is gone.
#[derive(Debug)]
pub(crate) struct MappedArray<T> {
    words: NonNull<AtomicU64>,
    length: u32,
    bytes: usize,
    element: PhantomData<T>,
}

// SAFETY: the memory is shared with the kernel anyway, and is only accessed through atomics.
unsafe impl<T> Send for MappedArray<T> {}
// SAFETY: as above; no method needs `&mut self`.
unsafe impl<T> Sync for MappedArray<T> {}

impl<T: Mapped> MappedArray<T> {
    const WORDS: usize = {
        assert!(size_of::<T>().is_multiple_of(8) && align_of::<T>() <= 64);
        size_of::<T>() / 8
    };

    /// Maps an array map of `length` elements, created with `BPF_F_MMAPABLE`.
    ///
    /// # Errors
    ///
    /// What mmap(2) says: the map is smaller than `length` elements, not mappable, or memory ran
    /// out.
    pub(crate) fn new(map: BorrowedFd<'_>, length: u32) -> io::Result<Self> {
        let bytes = (length as usize * size_of::<T>()).max(1);
        // SAFETY: a new shared mapping at an address of the kernel's choice; nothing that exists
        // is touched. The kernel refuses a length beyond the map's.
        let address = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                bytes,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED,
                map.as_raw_fd(),
                0,
            )
        };
        if address == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let words = NonNull::new(address.cast::<AtomicU64>())
            .ok_or_else(|| io::Error::other("the kernel mapped an array at address 0"))?;
        Ok(MappedArray {
            words,
            length,
            bytes,
            element: PhantomData,
        })
    }

    /// Number of elements.
    pub(crate) fn len(&self) -> u32 {
        self.length
    }

    /// The words of an element.
    ///
    /// # Panics
    ///
    /// When `index` is out of bounds, as slices do.
    pub(crate) fn words(&self, index: u32) -> &[AtomicU64] {
        assert!(
            index < self.length,
            "element {index} of an array of {}",
            self.length
        );
        // SAFETY: inside the mapping, by the assertion; page-aligned at its start, so each word
        // is aligned; lives as long as `self`.
        unsafe {
            std::slice::from_raw_parts(
                self.words.as_ptr().add(index as usize * Self::WORDS),
                Self::WORDS,
            )
        }
    }

    /// Reads an element, word by word.
    ///
    /// # Panics
    ///
    /// When `index` is out of bounds, as slices do.
    pub(crate) fn read(&self, index: u32) -> T {
        let mut value = std::mem::MaybeUninit::<T>::uninit();
        let target = value.as_mut_ptr().cast::<u8>();
        for (at, word) in self.words(index).iter().enumerate() {
            let bytes = word.load(Ordering::Acquire).to_ne_bytes();
            // SAFETY: `value` is `WORDS` times eight bytes long and cannot overlap with `bytes`.
            unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), target.add(at * 8), 8) };
        }
        // SAFETY: every byte was written, and every pattern of bits is a value (`Mapped`).
        unsafe { value.assume_init() }
    }
}

impl<T: Whole> MappedArray<T> {
    /// Writes an element, word by word.
    ///
    /// # Panics
    ///
    /// When `index` is out of bounds, as slices do.
    pub(crate) fn write(&self, index: u32, value: &T) {
        let source = std::ptr::from_ref(value).cast::<u8>();
        for (at, word) in self.words(index).iter().enumerate() {
            let mut bytes = [0; 8];
            // SAFETY: `value` is `WORDS` times eight initialised bytes long (`Whole`) and cannot
            // overlap with `bytes`.
            unsafe { std::ptr::copy_nonoverlapping(source.add(at * 8), bytes.as_mut_ptr(), 8) };
            word.store(u64::from_ne_bytes(bytes), Ordering::Release);
        }
    }
}

impl MappedArray<u64> {
    /// The one word of an element.
    ///
    /// # Panics
    ///
    /// When `index` is out of bounds, as slices do.
    pub(crate) fn word(&self, index: u32) -> &AtomicU64 {
        &self.words(index)[0]
    }
}

impl<T> Drop for MappedArray<T> {
    fn drop(&mut self) {
        // SAFETY: exactly what mmap returned, and no reference outlives `self`. It can only fail
        // for arguments that were never mapped.
        unsafe { libc::munmap(self.words.as_ptr().cast(), self.bytes) };
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd as _;

    use aya::maps::{Array, MapData};

    use super::*;

    /// BPF_F_MMAPABLE.
    const MAPPED: u32 = 1024;

    #[test]
    fn both_views_show_the_same_memory() {
        let mut array = Array::<MapData, [u64; 8]>::create(100, MAPPED).expect("create a map");
        let mapped =
            MappedArray::<Server>::new(array_fd(&array).as_fd(), 100).expect("map the array");
        let server = Server {
            address: [7; 16],
            mtu: 1500,
            flags: 3,
            ..Server::default()
        };
        mapped.write(99, &server);
        assert_eq!(mapped.read(99), server);
        let words = array.get(&99, 0).expect("read by system call");
        assert_eq!(words[0], 0x0707_0707_0707_0707);
        array
            .set(98, [1, 2, 3, 4, 5, 6, 7, 8], 0)
            .expect("write by system call");
        assert_eq!(mapped.words(98)[7].load(Ordering::Relaxed), 8);
        assert_eq!(mapped.read(97), Server::default());
    }

    #[test]
    #[should_panic(expected = "element 10 of an array of 10")]
    fn bounds_are_checked() {
        let array = Array::<MapData, u64>::create(10, MAPPED).expect("create a map");
        let mapped = MappedArray::<u64>::new(array_fd(&array).as_fd(), 10).expect("map the array");
        mapped.word(10);
    }

    #[test]
    fn the_kernel_refuses_what_the_map_does_not_hold() {
        let array = Array::<MapData, u64>::create(8, MAPPED).expect("create a map");
        MappedArray::<u64>::new(array_fd(&array).as_fd(), 8 * 4096).expect_err("too long");
        let plain = Array::<MapData, u64>::create(8, 0).expect("create a map");
        MappedArray::<u64>::new(array_fd(&plain).as_fd(), 8).expect_err("not mappable");
    }

    /// The descriptor of an array: aya lends it through the iterator's map.
    fn array_fd<V: aya::Pod>(array: &Array<MapData, V>) -> &aya::maps::MapFd {
        aya::maps::IterableMap::map(array).fd()
    }
}
