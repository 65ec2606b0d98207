//! What a broker may ask of the machine: network, disk, clock, tasks, entropy. The only door to the world.
//!
//! ```text
//!            server::run(config, host)
//!                     │
//!        ┌────────────┴────────────┐
//!   real::RealHost            sim::SimHost
//!   tokio, files              madsim, our own network, disk and clock
//! ```
//! Nothing else under `broker/` reaches the world (clippy's disallowed lists). If the simulation needs a behaviour, it goes
//! into its Host, never into a second server.
//!
//! Reads and writes of files are what the page cache makes of them: immediate, and so synchronous here; a caller can never be
//! cancelled half way through one. Only `sync` waits for the device, and only `sync` makes anything outlive a loss of power.

mod disk;
mod network;
pub mod real;
mod task;

pub use disk::{Disk, File, Space};
use std::future::Future;
use std::time::Duration;

use model::{Endpoint, Event, Planted, Time, Timestamp};
pub use network::{Connection, Listener, Reader, Writer};
pub use real::FileRange;
pub use task::{Elapsed, Task, spawn, timeout};

#[doc(hidden)]
pub use model::reached;

/// True if this place is to do now what it may do and hardly ever does: one time in four unless it says otherwise, in a trial, and
/// never in production. The name says what is done, as a sentence in the past tense; it is a point of coverage too.
#[macro_export]
macro_rules! buggify {
    ($host:expr, $name:literal) => {
        $crate::buggify!($host, $name, 0.25)
    };
    ($host:expr, $name:literal, $chance:literal) => {{
        let fires = $crate::Host::buggify(&$host, $name, $chance);
        if fires {
            $crate::reached!($name);
        }
        fires
    }};
}

/// One machine, or one node of a simulated world. Cheap to clone.
pub trait Host: Clone + Send + Sync + 'static {
    type Disk: Disk;
    type Listener: Listener<Connection = Self::Connection>;
    type Connection: Connection;

    fn disk(&self) -> &Self::Disk;

    /// Binds `endpoint`; port 0 takes a free one.
    ///
    /// # Errors
    /// `AddrInUse` if somebody listens there; `AddrNotAvailable` if the address is not this machine's.
    fn listen(&self, endpoint: &Endpoint) -> impl Future<Output = std::io::Result<Self::Listener>> + Send;

    /// Connects to `endpoint`. Never answers while the other side is unreachable: wrap it in [`timeout`].
    ///
    /// # Errors
    /// `ConnectionRefused` if the machine is there and nobody listens; `NotFound` if the name is unknown.
    fn connect(&self, endpoint: &Endpoint) -> impl Future<Output = std::io::Result<Self::Connection>> + Send;

    /// Monotonic time.
    fn now(&self) -> Time;

    /// Wall-clock time: may be wrong, and may jump.
    fn wall_clock(&self) -> Timestamp;

    /// Waits until `deadline`, or a little longer.
    fn sleep_until(&self, deadline: Time) -> impl Future<Output = ()> + Send;

    fn sleep(&self, duration: Duration) -> impl Future<Output = ()> + Send {
        self.sleep_until(self.now() + duration)
    }

    /// Runs `future` beside its caller until it ends or this node dies. See [`spawn`] for one that its owner can end.
    fn spawn_detached(&self, future: impl Future<Output = ()> + Send + 'static);

    /// 64 random bits: the only source of chance.
    fn entropy(&self) -> u64;

    /// Tells what became true. In production it feeds metrics and `tracing`; in a trial the promises.
    fn witness(&self, event: Event);

    /// Whether to do, at this place and time, what a broker may do and hardly ever does. Never on a real host; in a trial as
    /// likely as `chance`, if the site is in use in this run at all. Asked through [`buggify!`].
    fn buggify(&self, site: &'static str, chance: f64) -> bool;

    /// The bugs planted here: [`Planted::NONE`] on every real host.
    fn planted(&self) -> Planted;
}
