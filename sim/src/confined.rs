//! A lock that one thread alone can take: the one on which its world lives.
//!
//! A run is one thread from its beginning to its end, and takes hundreds of locks for one request of a client. What makes a lock safe among
//! threads are two instructions that wait for all that the core wrote before. This one asks on whose thread it is, and waits for nothing.

use std::cell::{Cell, UnsafeCell};
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};

thread_local! {
    /// Its place is the thread's name: no other that lives at the same time has it.
    static HERE: Cell<u8> = const { Cell::new(0) };
}

fn here() -> usize {
    HERE.with(|here| std::ptr::from_ref(here).addr())
}

/// What only the thread that made it may look at, one at a time.
pub(crate) struct Confined<T> {
    thread: usize,
    is_taken: Cell<bool>,
    value: UnsafeCell<T>,
}

/// Gives it back when it is dropped. It stays on its thread.
pub(crate) struct Taken<'a, T>(&'a Confined<T>, PhantomData<*const ()>);

#[allow(
    unsafe_code,
    reason = "no other thread than the one that made it gets at anything but `thread`, which never changes"
)]
unsafe impl<T: Send> Sync for Confined<T> {}

impl<T> Confined<T> {
    pub(crate) fn new(value: T) -> Confined<T> {
        Confined { thread: here(), is_taken: Cell::new(false), value: UnsafeCell::new(value) }
    }

    /// # Panics
    /// On another thread, and while somebody has it.
    #[inline]
    pub(crate) fn lock(&self) -> Taken<'_, T> {
        assert_eq!(self.thread, here(), "a world is one thread's alone");
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
