//! A lock that one thread alone can take: the one on which its world lives.
//!
//! A run is one thread from its beginning to its end, and takes hundreds of locks for one request of a client. What makes a lock safe among
//! threads are two instructions that wait for all that the core wrote before. This one asks on whose thread it is, and waits for nothing.

use std::cell::{Cell, UnsafeCell};
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicUsize, Ordering};

thread_local! {
    /// Its place is the thread's name: no other that lives at the same time has it.
    static HERE: Cell<u8> = const { Cell::new(0) };
}

fn here() -> usize {
    HERE.with(|here| std::ptr::from_ref(here).addr())
}

/// What only one thread may look at, the first that did, and one at a time.
pub struct Confined<T> {
    thread: AtomicUsize,
    is_taken: Cell<bool>,
    value: UnsafeCell<T>,
}

/// No thread's name.
const NOBODY: usize = 0;

/// Gives it back when it is dropped. It stays on its thread.
pub struct Taken<'a, T>(&'a Confined<T>, PhantomData<*const ()>);

#[allow(unsafe_code, reason = "no other thread than the first gets at anything but `thread`, which changes once")]
unsafe impl<T: Send> Sync for Confined<T> {}

impl<T> Confined<T> {
    pub fn new(value: T) -> Confined<T> {
        Confined { thread: AtomicUsize::new(NOBODY), is_taken: Cell::new(false), value: UnsafeCell::new(value) }
    }

    pub fn into_inner(self) -> T {
        self.value.into_inner()
    }

    /// # Panics
    /// On another thread than the first, and while somebody has it.
    #[inline]
    pub fn lock(&self) -> Taken<'_, T> {
        let here = here();
        if self.thread.load(Ordering::Relaxed) != here {
            let first = self.thread.compare_exchange(NOBODY, here, Ordering::Relaxed, Ordering::Relaxed);
            assert!(first.is_ok(), "a world is one thread's alone");
        }
        assert!(!self.is_taken.replace(true), "what is taken is taken again");
        Taken(self, PhantomData)
    }
}

impl<T: Default> Default for Confined<T> {
    fn default() -> Confined<T> {
        Confined::new(T::default())
    }
}

impl<T> Deref for Taken<'_, T> {
    type Target = T;

    #[inline]
    #[allow(unsafe_code, reason = "there is one `Taken` at most, and it is on the thread of what it took")]
    fn deref(&self) -> &T {
        unsafe { &*self.0.value.get() }
    }
}

impl<T> DerefMut for Taken<'_, T> {
    #[inline]
    #[allow(unsafe_code, reason = "there is one `Taken` at most, and it is on the thread of what it took")]
    fn deref_mut(&mut self) -> &mut T {
        unsafe { &mut *self.0.value.get() }
    }
}

impl<T> Drop for Taken<'_, T> {
    #[inline]
    fn drop(&mut self) {
        self.0.is_taken.set(false);
    }
}
