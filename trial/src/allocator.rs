//! Memory by mimalloc. A run is a hundred and fifty allocations for each request, all on one thread.
//!
//! Nearly all of them need no more alignment than every block has. Asked for aligned ones, which a wrapper must do that goes by the layout
//! alone, it takes twice as long to find one.

use std::alloc::{GlobalAlloc, Layout};

use libmimalloc_sys::{
    mi_free, mi_malloc, mi_malloc_aligned, mi_option_large_os_pages, mi_option_set, mi_option_t, mi_realloc,
    mi_realloc_aligned, mi_zalloc, mi_zalloc_aligned,
};

/// What every block of at least that size is aligned to (`MI_MAX_ALIGN_SIZE`).
const ALIGNED: usize = 16;

/// `mi_option_purge_delay`, which the crate has no name for.
const PURGE_DELAY: mi_option_t = 15;

/// It asks the system for chance when the process and a thread begin, which is before any world, and for time never in a way that shows.
pub(crate) struct Mimalloc;

/// True if any block of this size is aligned well enough: a smaller one to its size at least.
fn is_plain(align: usize, size: usize) -> bool {
    align <= ALIGNED && align <= size
}

#[allow(unsafe_code, reason = "what an allocator is made of; each call hands on what it was given")]
unsafe impl GlobalAlloc for Mimalloc {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let (size, align) = (layout.size(), layout.align());
        unsafe { if is_plain(align, size) { mi_malloc(size) } else { mi_malloc_aligned(size, align) } }.cast()
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        let (size, align) = (layout.size(), layout.align());
        unsafe { if is_plain(align, size) { mi_zalloc(size) } else { mi_zalloc_aligned(size, align) } }.cast()
    }

    #[inline]
    unsafe fn dealloc(&self, block: *mut u8, _layout: Layout) {
        unsafe { mi_free(block.cast()) }
    }

    #[inline]
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        let (block, align) = (block.cast(), layout.align());
        unsafe { if is_plain(align, size) { mi_realloc(block, size) } else { mi_realloc_aligned(block, size, align) } }
            .cast()
    }
}

/// What one run gives back the next one takes: the system need not clear it again. Large pages, where the system has them, are fewer to clear and
/// to find.
pub(crate) fn keep_memory() {
    #[allow(unsafe_code, reason = "options of the allocator, set before any other thread is there")]
    unsafe {
        mi_option_set(PURGE_DELAY, -1);
        mi_option_set(mi_option_large_os_pages, 1);
    }
}
