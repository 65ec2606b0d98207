//! What makes operations of a disk fail or wait.
//!
//! Fault model. An operation of a kind fails the next so many times, or by chance for as long as the trouble lasts; a read or a
//! write that fails has done nothing, and a sync that fails leaves in doubt what was not safe (see the disk). A *stalled* device
//! ends no sync until it goes on; what is in the page cache can be read and written meanwhile. A *slow* one takes so many times
//! longer for each sync, for as long as it is slow: it works, every health check finds it alive, and whoever waits for it is late.

use std::collections::BTreeSet;
use std::future::poll_fn;
use std::io;
use std::task::{Poll, Waker};

use super::{DiskState, Operation, Scope};
use crate::digest::{Kind, fingerprint};
use crate::streams::Stream;

pub(super) struct Trouble {
    /// How many of the next reads, writes and syncs fail.
    next: [u32; 3],
    /// Reads, writes and syncs that fail by chance.
    by_chance: [Option<(f64, Stream)>; 3],
    /// Where they fail.
    scopes: [Scope; 3],
    /// Directories with a disk of their own, on which nothing works.
    dead: BTreeSet<String>,
    is_stalled: bool,
    waiting: Vec<Waker>,
    slowness: u32,
}

impl Default for Trouble {
    fn default() -> Trouble {
        Trouble {
            next: [0; 3],
            by_chance: [None, None, None],
            scopes: [Scope::Everything, Scope::Everything, Scope::Everything],
            dead: BTreeSet::new(),
            is_stalled: false,
            waiting: Vec::new(),
            slowness: 1,
        }
    }
}

impl Trouble {
    pub(super) fn strikes(&mut self, operation: Operation, path: &str) -> bool {
        if self.is_dead(path) {
            return true;
        }
        if !self.scopes[operation as usize].reaches(path) {
            return false;
        }
        let next = &mut self.next[operation as usize];
        if 0 < *next {
            *next -= 1;
            return true;
        }
        let by_chance = &mut self.by_chance[operation as usize];
        by_chance.as_mut().is_some_and(|(chance, stream)| stream.chance(*chance))
    }

    fn is_dead(&self, path: &str) -> bool {
        self.dead.iter().any(|directory| Scope::is_in(path, directory))
    }
}

impl DiskState {
    /// The next `times` operations of this kind fail as a broken device does.
    pub fn fail_next(&self, operation: Operation, times: u32) {
        self.0.state.lock().trouble.next[operation as usize] = times;
    }

    /// Operations of this kind fail in these directories alone, until none fails any more.
    pub fn fail_only_in(&self, operation: Operation, scope: Scope) {
        self.0.state.lock().trouble.scopes[operation as usize] = scope;
    }

    /// Nothing works on the disk that has this directory from now on.
    pub fn die(&self, directory: &str) {
        self.0.state.lock().trouble.dead.insert(directory.to_owned());
        self.charge(Kind::DiskStalled, 2, fingerprint(directory));
    }

    /// What died works again, with what was stored.
    pub fn come_back(&self) {
        if !std::mem::take(&mut self.0.state.lock().trouble.dead).is_empty() {
            self.charge(Kind::DiskStalled, 3, 0);
        }
    }

    /// The error of doing anything on a dead disk.
    pub(super) fn check_alive(&self, path: &str) -> io::Result<()> {
        if self.0.state.lock().trouble.is_dead(path) { Err(io::Error::other("input/output error")) } else { Ok(()) }
    }

    /// Each operation of this kind fails with this probability from now on.
    pub fn fail_by_chance(&self, operation: Operation, chance: f64, stream: Stream) {
        self.0.state.lock().trouble.by_chance[operation as usize] = Some((chance, stream));
    }

    /// No operation of this kind fails any more.
    pub fn fail_no_more(&self, operation: Operation) {
        let trouble = &mut self.0.state.lock().trouble;
        trouble.next[operation as usize] = 0;
        trouble.by_chance[operation as usize] = None;
        trouble.scopes[operation as usize] = Scope::Everything;
    }

    /// No sync ends from now on, until [`DiskState::go_on`].
    pub fn stall(&self) {
        self.0.state.lock().trouble.is_stalled = true;
        self.charge(Kind::DiskStalled, 1, 0);
    }

    pub fn go_on(&self) {
        let trouble = &mut self.0.state.lock().trouble;
        if std::mem::replace(&mut trouble.is_stalled, false) {
            self.charge(Kind::DiskStalled, 0, 0);
            trouble.waiting.drain(..).for_each(Waker::wake);
        }
    }

    /// Syncs take so many times longer; 1 is as always.
    pub fn set_slowness(&self, factor: u32) {
        let trouble = &mut self.0.state.lock().trouble;
        trouble.slowness = factor.max(1);
        trouble.waiting.drain(..).for_each(Waker::wake);
        self.charge(Kind::DiskStalled, 0, u64::from(factor));
    }

    pub(super) fn slowness(&self) -> u32 {
        self.0.state.lock().trouble.slowness
    }

    pub(super) async fn until_it_goes_on(&self) {
        self.until(|trouble| !trouble.is_stalled).await;
    }

    pub(super) async fn until_it_is_fast(&self) {
        self.until(|trouble| trouble.slowness == 1).await;
    }

    async fn until(&self, is_over: impl Fn(&Trouble) -> bool) {
        poll_fn(|context| {
            let trouble = &mut self.0.state.lock().trouble;
            if is_over(trouble) {
                return Poll::Ready(());
            }
            if !trouble.waiting.iter().any(|known| known.will_wake(context.waker())) {
                trouble.waiting.push(context.waker().clone());
            }
            Poll::Pending
        })
        .await;
    }
}
