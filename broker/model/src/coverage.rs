//! Coverage: points that a run may reach, named where they are. A point that no run reaches shows what a trial has not tried.
//!
//! `reached!("a torn tail was cut")` registers a point when the program is linked, so that those which nobody reaches can be listed
//! too. Nothing in a broker reads a point, so none can change a run; passing one costs an atomic addition.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};

#[doc(hidden)]
pub use linkme;

/// Every point of the program.
#[doc(hidden)]
#[linkme::distributed_slice]
pub static POINTS: [Point];

thread_local! {
    /// The points passed on this thread since [`begin`], by place in [`POINTS`]; empty where nobody asked.
    static PASSED: RefCell<Vec<u64>> = const { RefCell::new(Vec::new()) };
}

/// A place in the program that runs should pass: a branch that is rarely taken, a race that is rarely lost.
#[derive(Debug)]
pub struct Point {
    name: &'static str,
    file: &'static str,
    line: u32,
    hits: AtomicU64,
}

impl Point {
    #[doc(hidden)]
    pub const fn new(name: &'static str, file: &'static str, line: u32) -> Point {
        assert!(is_sentence(name), "a point is named by a sentence of four words or more");
        Point { name, file, line, hits: AtomicU64::new(0) }
    }

    /// What happened, as a sentence; several points may tell the same.
    pub fn name(&self) -> &'static str {
        self.name
    }

    pub fn file(&self) -> &'static str {
        self.file
    }

    pub fn line(&self) -> u32 {
        self.line
    }

    /// How often it was passed since the program began, on all threads.
    pub fn hits(&self) -> u64 {
        self.hits.load(Ordering::Relaxed)
    }

    #[doc(hidden)]
    pub fn pass(&self) {
        self.hits.fetch_add(1, Ordering::Relaxed);
        PASSED.with_borrow_mut(|passed| {
            if let Some(count) = passed.get_mut(self.place()) {
                *count += 1;
            }
        });
    }

    fn place(&self) -> usize {
        (std::ptr::from_ref(self).addr() - POINTS.as_ptr().addr()) / size_of::<Point>()
    }
}

/// Notes that this place was reached. The name is a sentence, in the past tense.
#[macro_export]
macro_rules! reached {
    ($name:literal) => {{
        #[$crate::coverage::linkme::distributed_slice($crate::coverage::POINTS)]
        #[linkme(crate = $crate::coverage::linkme)]
        #[allow(unsafe_code, reason = "a section of the program's own, which the linker makes a slice of")]
        static POINT: $crate::coverage::Point = $crate::coverage::Point::new($name, file!(), line!());
        POINT.pass();
    }};
}

/// May this be the name of a point? It has four words or more.
pub const fn is_sentence(name: &str) -> bool {
    let (mut blanks, mut index) = (0, 0);
    while index < name.len() {
        if name.as_bytes()[index] == b' ' {
            blanks += 1;
        }
        index += 1;
    }
    3 <= blanks
}

/// Every point that is linked into this program, passed or not, in no order that means anything.
pub fn points() -> impl Iterator<Item = &'static Point> {
    POINTS.iter()
}

/// The names of all points, in the order of the alphabet.
pub fn names() -> BTreeSet<&'static str> {
    points().map(Point::name).collect()
}

/// From now on counts what this thread passes, from zero. A simulated run has a thread of its own.
pub fn begin() {
    PASSED.set(vec![0; POINTS.len()]);
}

/// What this thread passed since [`begin`], and how often; from now on it counts no more.
pub fn end() -> BTreeMap<&'static str, u64> {
    let mut passed = BTreeMap::new();
    for (point, hits) in points().zip(PASSED.take()).filter(|(_, hits)| 0 < *hits) {
        *passed.entry(point.name).or_default() += hits;
    }
    passed
}

#[cfg(test)]
mod tests {
    use super::*;

    fn generic<T: Default>(reaches: bool) -> T {
        if reaches {
            reached!("a generic function was called");
        }
        T::default()
    }

    fn hits(name: &str) -> u64 {
        points().filter(|point| point.name() == name).map(Point::hits).sum()
    }

    #[test]
    fn a_point_is_known_before_it_is_reached() {
        if std::hint::black_box(false) {
            reached!("the impossible happened here");
        }
        let point = points().find(|point| point.name() == "the impossible happened here").unwrap();
        assert!(point.file().ends_with("coverage.rs") && 0 < point.line());
        assert_eq!(point.hits(), 0);
    }

    #[test]
    fn a_run_counts_what_its_own_thread_passes() {
        generic::<u8>(true);
        begin();
        generic::<u8>(true);
        generic::<u16>(true);
        generic::<u16>(false);
        #[allow(clippy::disallowed_methods, reason = "another run's thread")]
        std::thread::spawn(|| generic::<u8>(true)).join().unwrap();
        assert_eq!(end(), [("a generic function was called", 2)].into());
        generic::<u8>(true);
        assert_eq!(end(), [].into());
        assert_eq!(hits("a generic function was called"), 5);
    }
}
