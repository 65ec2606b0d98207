//! The real machine: tokio's sockets and timers, files below one directory, the system's clocks and entropy.
//!
//! This is the one room under `broker/` in which the real world may be touched.
//!
//! ```text
//!  network.rs  tokio's TCP, and sendfile          sync.rs     one thread that makes written bytes safe, in groups
//!  disk.rs     positional reads and writes, here  witness.rs  what the broker says of itself, for logs
//! ```

mod disk;
mod network;
mod sync;
mod witness;

use std::future::Future;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use model::{Endpoint, Event, Planted, Time, Timestamp};
use rustix::rand::{GetRandomFlags, getrandom};
use tokio::runtime::Handle;

pub use disk::{FileRange, RealDisk, RealFile};
pub use network::{RealConnection, RealListener, RealReader, RealWriter};

use crate::Host;

type Hook = Arc<dyn Fn(&Event) + Send + Sync>;

/// This machine, with its files below one root directory.
#[derive(Clone)]
pub struct RealHost {
    disk: RealDisk,
    runtime: Handle,
    origin: Instant,
    hook: Option<Hook>,
}

impl RealHost {
    /// A host whose tasks run in the tokio runtime of the caller. Makes `root` if it is not there.
    ///
    /// # Errors
    /// `Unsupported` outside a tokio runtime; whatever the system says about a root that is no directory or may not be used.
    pub fn new(root: impl Into<PathBuf>) -> io::Result<RealHost> {
        RealHost::on(|| RealDisk::new(&root.into()))
    }

    /// A host with its files below each of these directories; paths begin with one of them. Those that cannot be used are left out.
    ///
    /// # Errors
    /// As for [`RealHost::new`], if none of them can be used.
    pub fn with_directories(directories: &[String]) -> io::Result<RealHost> {
        RealHost::on(|| RealDisk::with_directories(directories))
    }

    #[allow(clippy::disallowed_methods, reason = "monotonic time is counted from here")]
    fn on(disk: impl FnOnce() -> io::Result<RealDisk>) -> io::Result<RealHost> {
        let runtime = Handle::try_current().map_err(|error| io::Error::new(io::ErrorKind::Unsupported, error))?;
        raise_open_files_max();
        Ok(RealHost { disk: disk()?, runtime, origin: Instant::now(), hook: None })
    }

    /// Tells `hook` every event too, beside the log: metrics count there. It runs inside the broker, so it must be quick.
    #[must_use]
    pub fn with_hook(self, hook: impl Fn(&Event) + Send + Sync + 'static) -> RealHost {
        RealHost { hook: Some(Arc::new(hook)), ..self }
    }
}

/// Lets this process open as many files as the system allows it to ask for: each segment and each connection is one, and the
/// usual 1024 of a login shell is soon reached. A system that refuses is served with what it gives.
fn raise_open_files_max() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        let _refused = setrlimit(Resource::Nofile, rustix::process::Rlimit { current: limit.maximum, ..limit });
    }
}

impl Host for RealHost {
    type Disk = RealDisk;
    type Listener = RealListener;
    type Connection = RealConnection;

    fn disk(&self) -> &RealDisk {
        &self.disk
    }

    fn listen(&self, endpoint: &Endpoint) -> impl Future<Output = io::Result<RealListener>> + Send {
        RealListener::bind(endpoint.clone())
    }

    fn connect(&self, endpoint: &Endpoint) -> impl Future<Output = io::Result<RealConnection>> + Send {
        RealConnection::open(endpoint.clone())
    }

    fn now(&self) -> Time {
        Time::ZERO + self.origin.elapsed()
    }

    #[allow(clippy::disallowed_methods, reason = "the Host is where the wall clock is read")]
    fn wall_clock(&self) -> Timestamp {
        let millis = match SystemTime::now().duration_since(SystemTime::UNIX_EPOCH) {
            Ok(after) => i64::try_from(after.as_millis()).unwrap_or(i64::MAX),
            Err(before) => i64::try_from(before.duration().as_millis()).map_or(i64::MIN, |millis| -millis),
        };
        Timestamp(millis)
    }

    async fn sleep_until(&self, deadline: Time) {
        match self.origin.checked_add(Duration::from_nanos(deadline.0)) {
            Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
            // Later than this machine's clock can say.
            None => std::future::pending().await,
        }
    }

    fn spawn_detached(&self, future: impl Future<Output = ()> + Send + 'static) {
        self.runtime.spawn(future);
    }

    /// The kernel's own, so that no two brokers that start at one moment draw the same.
    fn entropy(&self) -> u64 {
        let mut bytes = [0; 8];
        let filled = getrandom(&mut bytes, GetRandomFlags::empty());
        // Up to 256 bytes the kernel gives all or, before its pool is ready, waits: it can neither fail nor give fewer.
        assert_eq!(filled, Ok(bytes.len()), "the kernel gives entropy");
        u64::from_ne_bytes(bytes)
    }

    fn witness(&self, event: Event) {
        witness::log(&event);
        if let Some(hook) = &self.hook {
            hook(&event);
        }
    }

    /// Nothing, always: there is no field to set.
    fn buggify(&self, _site: &'static str, _chance: f64) -> bool {
        false
    }

    fn planted(&self) -> Planted {
        Planted::NONE
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use model::{BrokerId, Bug, LeaderEpoch};

    use super::*;

    fn host() -> (tempfile::TempDir, RealHost) {
        let directory = tempfile::tempdir().unwrap();
        let host = RealHost::new(directory.path()).unwrap();
        (directory, host)
    }

    #[tokio::test]
    async fn nothing_can_be_planted_in_a_real_broker() {
        // Whatever an operator may do: surroundings, arguments and files in the data directory.
        let (directory, _) = host();
        for bug in Bug::ALL {
            #[allow(clippy::disallowed_methods, reason = "an operator could write such a file")]
            std::fs::write(directory.path().join(bug.name()), "on").unwrap();
        }
        let host = RealHost::new(directory.path()).unwrap().with_hook(|_| {});
        assert!(Bug::ALL.iter().all(|&bug| !host.planted().has(bug)));
        assert_eq!(host.planted(), Planted::NONE);
        assert!((0..1000).all(|_| !host.buggify("anything that is rare was done", 1.0)));

        // And whatever a later change may do to this room: it names no way to make a set that is not empty.
        let room = concat!(
            include_str!("real.rs"),
            include_str!("real/disk.rs"),
            include_str!("real/network.rs"),
            include_str!("real/sync.rs"),
            include_str!("real/witness.rs")
        );
        assert!(!room.contains(concat!("Planted::NONE", ".with")), "a real host plants nothing");
    }

    #[tokio::test]
    async fn time_goes_on_and_a_sleep_does_not_end_early() {
        let (_directory, host) = host();
        let deadline = host.now() + Duration::from_millis(20);
        host.sleep_until(deadline).await;
        assert!(deadline <= host.now());
        assert!(Timestamp(1_700_000_000_000) < host.wall_clock());
    }

    #[tokio::test]
    async fn a_task_ends_with_its_owner_and_a_detached_one_goes_on() {
        let (_directory, host) = host();
        let (sender, mut receiver) = tokio::sync::mpsc::channel::<()>(1);
        let owned = crate::spawn(&host, async move {
            let _held = sender;
            std::future::pending().await
        });
        let (done, finished) = tokio::sync::oneshot::channel();
        host.spawn_detached(async move { done.send(()).unwrap() });
        finished.await.unwrap();
        drop(owned);
        assert_eq!(receiver.recv().await, None);
    }

    #[tokio::test]
    async fn a_task_that_was_ended_leaves_nothing_running() {
        let (_directory, host) = host();
        let (held, mut let_go) = tokio::sync::mpsc::channel::<()>(1);
        let owned = crate::spawn(&host, async move {
            let _held = held;
            std::future::pending().await
        });
        owned.end().await;
        assert_eq!(let_go.try_recv(), Err(tokio::sync::mpsc::error::TryRecvError::Disconnected));
    }

    #[tokio::test]
    async fn entropy_differs_from_draw_to_draw() {
        let (_directory, host) = host();
        assert_ne!(host.entropy(), host.entropy());
    }

    #[tokio::test]
    async fn the_hook_hears_every_event() {
        let heard = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&heard);
        let (_directory, host) = host();
        let host = host.with_hook(move |_| {
            counter.fetch_add(1, Ordering::Relaxed);
        });
        host.witness(Event::VoteCast { epoch: LeaderEpoch(1), candidate: BrokerId(1) });
        host.clone().witness(Event::BrokerFenced { broker: BrokerId(1) });
        assert_eq!(heard.load(Ordering::Relaxed), 2);
    }

    #[test]
    fn outside_a_runtime_there_is_no_host() {
        let error = RealHost::new("unused").err().unwrap();
        assert_eq!(error.kind(), io::ErrorKind::Unsupported);
    }
}
