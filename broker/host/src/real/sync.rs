//! One thread that makes written bytes safe. While it waits for the device requests pile up; it then takes all that wait,
//! syncs each file once, and answers everybody: the slower the device, the larger the groups.
//!
//! With a quick device the way to a thread and back takes as long as the sync, and half of the processor that a produce needs. So a file that
//! is synced again and again is synced where its writer is, one at a time: at most one of the runtime's workers stands still meanwhile, for
//! as long as a short read takes.
//!
//! Where many files wait the whole file system is synced once in their place, as when ten thousand logs are opened or closed. What others
//! have written there goes with it; so few files are synced one by one. Only on a Linux that says when that failed (5.8): then everybody
//! who waited hears of it.

use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

/// As many files are synced one by one.
pub(super) const FILES_MAX: usize = 64;

/// A device that takes longer is waited for by the thread.
const QUICK: Duration = Duration::from_millis(1);

/// A file that was synced so long ago is not synced again and again.
const AGAIN: Duration = Duration::from_millis(100);

/// When a file was last synced; clones are of the same file.
#[derive(Clone, Default)]
pub(super) struct LastSync(Arc<AtomicU64>);

/// A file or a directory whose bytes shall outlive a loss of power.
struct Request {
    file: Arc<File>,
    kind: Kind,
    answer: oneshot::Sender<io::Result<()>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Bytes, and the length that is needed to read them.
    Data,
    /// The entries of a directory.
    Directory,
    /// All that was written to the file system that has it.
    FileSystem,
}

/// The door to the thread; it ends when the last clone is gone.
#[derive(Clone)]
pub(super) struct Syncer {
    requests: mpsc::Sender<Request>,
    file_system: Option<Arc<File>>,
    device: Arc<Device>,
}

/// What is known of the device.
struct Device {
    known_since: Instant,
    /// Nanoseconds that the last sync took.
    last_took: AtomicU64,
    /// Somebody syncs a file where it is.
    is_taken: AtomicBool,
}

impl Device {
    #[allow(clippy::disallowed_methods, reason = "how quick this machine's device is")]
    fn new() -> Device {
        Device { known_since: Instant::now(), last_took: AtomicU64::new(0), is_taken: AtomicBool::new(false) }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.known_since.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    fn sync(&self, file: &File) -> io::Result<()> {
        let began = self.now();
        let result = file.sync_data();
        self.last_took.store(self.now() - began, Ordering::Relaxed);
        result
    }

    /// Syncs a file here and now, if that is often done with it, the device is quick, and nobody else does so.
    fn sync_here(&self, file: &File, last: &LastSync) -> Option<io::Result<()>> {
        let now = self.now();
        let before = last.0.swap(now, Ordering::Relaxed);
        let is_again = before != 0 && now.saturating_sub(before) < AGAIN.as_nanos() as u64;
        let is_quick = self.last_took.load(Ordering::Relaxed) < QUICK.as_nanos() as u64;
        if !is_again || !is_quick || self.is_taken.swap(true, Ordering::Acquire) {
            return None;
        }
        let result = self.sync(file);
        self.is_taken.store(false, Ordering::Release);
        Some(result)
    }
}

impl Syncer {
    /// For files below `root`.
    ///
    /// # Errors
    /// What the system says if it gives no thread.
    pub(super) fn start(root: File) -> io::Result<Syncer> {
        // It hears of what failed since it was opened.
        let file_system = tells_failures().then(|| Arc::new(root));
        let device = Arc::new(Device::new());
        Self::start_with(file_system, Arc::clone(&device), move |file, kind| match kind {
            Kind::Data => device.sync(file),
            Kind::Directory => file.sync_all(),
            Kind::FileSystem => sync_file_system(file),
        })
    }

    fn start_with(
        file_system: Option<Arc<File>>,
        device: Arc<Device>,
        sync: impl FnMut(&Arc<File>, Kind) -> io::Result<()> + Send + 'static,
    ) -> io::Result<Syncer> {
        let (sender, requests) = mpsc::channel();
        let all = file_system.clone();
        thread::Builder::new().name("disk-sync".into()).spawn(move || run(&requests, all.as_ref(), sync))?;
        Ok(Syncer { requests: sender, file_system, device })
    }

    /// Can all be synced at once?
    pub(super) fn has_file_systems(&self) -> bool {
        self.file_system.is_some()
    }

    /// Answers once everything written to the file system before the call is on the device.
    pub(super) async fn sync_file_system(&self) -> io::Result<()> {
        match &self.file_system {
            Some(file_system) => self.sync(file_system.clone(), Kind::FileSystem).await,
            None => Err(io::ErrorKind::Unsupported.into()),
        }
    }

    /// Answers once everything written to `file` before the call is on the device; the caller may stand still meanwhile.
    pub(super) async fn sync_data(&self, file: &Arc<File>, last: &LastSync) -> io::Result<()> {
        match self.device.sync_here(file, last) {
            Some(result) => result,
            None => self.sync(Arc::clone(file), Kind::Data).await,
        }
    }

    /// Answers once everything written to `file` before the call is on the device.
    pub(super) async fn sync(&self, file: Arc<File>, kind: Kind) -> io::Result<()> {
        let (answer, answered) = oneshot::channel();
        let gone = || io::Error::other("the thread that syncs files is gone");
        self.requests.send(Request { file, kind, answer }).map_err(|_| gone())?;
        answered.await.map_err(|_| gone())?
    }
}

/// Does the system say when it could not write what a sync of the whole file system was to write?
#[cfg(target_os = "linux")]
#[allow(clippy::disallowed_methods, reason = "the Host is where files are touched")]
fn tells_failures() -> bool {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let mut numbers = release.split('.').map_while(|part| part.parse::<u32>().ok());
    (Some(5), Some(8)) <= (numbers.next(), numbers.next())
}

#[cfg(not(target_os = "linux"))]
fn tells_failures() -> bool {
    false
}

#[cfg(target_os = "linux")]
fn sync_file_system(root: &File) -> io::Result<()> {
    Ok(rustix::fs::syncfs(root)?)
}

#[cfg(not(target_os = "linux"))]
fn sync_file_system(_root: &File) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

fn run(
    requests: &mpsc::Receiver<Request>,
    file_system: Option<&Arc<File>>,
    mut sync: impl FnMut(&Arc<File>, Kind) -> io::Result<()>,
) {
    while let Ok(first) = requests.recv() {
        // Taken before the first sync: a request that comes later may speak of bytes that came later.
        let mut waiting: Vec<Request> = std::iter::once(first).chain(requests.try_iter()).collect();
        let files: BTreeSet<*const File> = waiting.iter().map(|request| Arc::as_ptr(&request.file)).collect();
        if FILES_MAX < files.len()
            && let Some(all) = file_system
        {
            // Some file systems leave to a file's own sync what the device still has in its cache.
            let result = sync(all, Kind::FileSystem).and_then(|()| sync(&waiting[0].file, waiting[0].kind));
            for request in waiting {
                let _gone = request.answer.send(copy(&result));
            }
            continue;
        }
        while let Some(file) = waiting.first().map(|request| Arc::clone(&request.file)) {
            let result = sync(&file, waiting[0].kind);
            for request in waiting.extract_if(.., |request| Arc::ptr_eq(&request.file, &file)) {
                // A caller that went away no longer asks.
                let _gone = request.answer.send(copy(&result));
            }
        }
    }
}

/// The same result for every caller, which `io::Error` does not copy by itself.
fn copy(result: &io::Result<()>) -> io::Result<()> {
    match result {
        Ok(()) => Ok(()),
        Err(error) => Err(match error.raw_os_error() {
            Some(code) => io::Error::from_raw_os_error(code),
            None => io::Error::new(error.kind(), error.to_string()),
        }),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    type Calls = Arc<Mutex<Vec<Arc<File>>>>;

    /// A device that takes one sync each time the test lets it, and the syncs that it began.
    struct Tested {
        syncer: Syncer,
        began: tokio::sync::mpsc::UnboundedReceiver<()>,
        finish: mpsc::Sender<io::Result<()>>,
        calls: Calls,
    }

    fn device() -> Tested {
        device_with(None)
    }

    fn device_with(file_system: Option<Arc<File>>) -> Tested {
        let (begin, began) = tokio::sync::mpsc::unbounded_channel();
        let (finish, finished) = mpsc::channel();
        let calls = Calls::default();
        let noted = Arc::clone(&calls);
        let syncer = Syncer::start_with(file_system, Arc::new(Device::new()), move |file, _| {
            noted.lock().unwrap().push(Arc::clone(file));
            begin.send(()).unwrap();
            finished.recv().unwrap()
        })
        .unwrap();
        Tested { syncer, began, finish, calls }
    }

    fn file() -> Arc<File> {
        Arc::new(tempfile::tempfile().unwrap())
    }

    #[allow(clippy::disallowed_methods, reason = "the caller of a sync is a task of this test")]
    fn request(syncer: &Syncer, file: &Arc<File>) -> tokio::task::JoinHandle<io::Result<()>> {
        let (syncer, file) = (syncer.clone(), Arc::clone(file));
        tokio::task::spawn(async move { syncer.sync(file, Kind::Data).await })
    }

    #[tokio::test]
    async fn requests_that_wait_share_one_sync_of_each_file() {
        let mut device = device();
        let (left, right) = (file(), file());
        let first = request(&device.syncer, &left);
        device.began.recv().await.unwrap();

        // The first sync is on its way, so it proves nothing about what these four wrote since.
        let later: Vec<_> =
            [&left, &right, &left, &right].into_iter().map(|file| request(&device.syncer, file)).collect();
        tokio::task::yield_now().await;
        for _ in 0..3 {
            device.finish.send(Ok(())).unwrap();
        }
        first.await.unwrap().unwrap();
        for request in later {
            request.await.unwrap().unwrap();
        }
        let calls = device.calls.lock().unwrap();
        assert_eq!(calls.len(), 3, "one for the first, one for each file that waited");
        assert!(Arc::ptr_eq(&calls[1], &left) && Arc::ptr_eq(&calls[2], &right));
    }

    #[tokio::test]
    async fn many_files_that_wait_share_one_sync_of_their_file_system_and_hear_of_its_failure() {
        for fails in [false, true] {
            let all = file();
            let mut device = device_with(Some(all.clone()));
            let first = file();
            let begun = request(&device.syncer, &first);
            device.began.recv().await.unwrap();
            let files: Vec<_> = (0..=FILES_MAX).map(|_| file()).collect();
            let waiting: Vec<_> = files.iter().map(|file| request(&device.syncer, file)).collect();
            for _ in &files {
                tokio::task::yield_now().await;
            }
            device.finish.send(Ok(())).unwrap();
            begun.await.unwrap().unwrap();
            device.finish.send(if fails { Err(io::Error::other("a bad block")) } else { Ok(()) }).unwrap();
            device.finish.send(Ok(())).unwrap();
            for request in waiting {
                assert_eq!(request.await.unwrap().is_err(), fails);
            }
            let calls = device.calls.lock().unwrap();
            assert_eq!(calls.len(), if fails { 2 } else { 3 });
            assert!(Arc::ptr_eq(&calls[1], &all));
        }
    }

    #[tokio::test]
    async fn every_waiting_caller_hears_of_a_failed_sync() {
        let mut device = device();
        let (other, file) = (file(), file());
        let first = request(&device.syncer, &other);
        device.began.recv().await.unwrap();
        let waiting = [request(&device.syncer, &file), request(&device.syncer, &file)];
        tokio::task::yield_now().await;
        device.finish.send(Ok(())).unwrap();
        device.finish.send(Err(io::ErrorKind::StorageFull.into())).unwrap();
        first.await.unwrap().unwrap();
        for request in waiting {
            assert_eq!(request.await.unwrap().unwrap_err().kind(), io::ErrorKind::StorageFull);
        }
    }

    #[test]
    fn a_file_that_is_synced_again_and_again_on_a_quick_device_is_synced_where_its_writer_is() {
        let (device, last, file) = (Device::new(), LastSync::default(), file());
        let is_here = |last: &LastSync| device.sync_here(&file, last).map(Result::unwrap).is_some();
        assert!(!is_here(&last), "perhaps it never comes again, as when ten thousand logs are closed");
        // On a machine that is busy elsewhere a moment may be long, but not each time.
        assert!((0..100).any(|_| is_here(&last)));
        assert!(!is_here(&LastSync::default()), "another file");

        device.is_taken.store(true, Ordering::Relaxed);
        assert!(!is_here(&last), "one at a time");
        device.is_taken.store(false, Ordering::Relaxed);
        device.last_took.store(QUICK.as_nanos() as u64, Ordering::Relaxed);
        assert!(!is_here(&last), "a slow device would hold a worker up");
        device.sync(&file).unwrap();
        assert_ne!(device.last_took.load(Ordering::Relaxed), QUICK.as_nanos() as u64, "each sync is timed");
    }

    #[tokio::test]
    async fn a_caller_that_went_away_holds_up_nobody() {
        let mut device = device();
        let file = file();
        let gone = request(&device.syncer, &file);
        device.began.recv().await.unwrap();
        gone.abort();
        let second = request(&device.syncer, &file);
        device.finish.send(Ok(())).unwrap();
        device.finish.send(Ok(())).unwrap();
        second.await.unwrap().unwrap();
    }
}
