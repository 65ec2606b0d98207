//! What a simulated process is given of its world.

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use crate::confined::Confined;
use evidence::{NodeName, What};
use model::{Endpoint, Event, Planted, Time, Timestamp};

use crate::digest::{Kind, NodeIndex};
use crate::disk::SimDisk;
use crate::life::Life;
use crate::network::{SimConnection, SimListener};
use crate::streams::Stream;
use crate::tasks::Crew;
use crate::wall_clock::WallClock;
use crate::world::Core;

/// A simulated node as one of its processes sees it. Cheap to clone.
#[derive(Clone)]
pub struct SimHost(Arc<Process>);

/// One process, from its start to its end.
pub(crate) struct Process {
    pub(crate) core: Arc<Core>,
    pub(crate) node: NodeIndex,
    pub(crate) name: NodeName,
    pub(crate) disk: SimDisk,
    pub(crate) life: Life,
    pub(crate) crew: Crew,
    pub(crate) origin: Duration,
    pub(crate) wall_clock: Arc<Confined<WallClock>>,
    pub(crate) entropy: Confined<Stream>,
}

impl SimHost {
    pub(crate) fn new(process: Process) -> SimHost {
        SimHost(Arc::new(process))
    }

    /// The name of the node.
    pub fn name(&self) -> &str {
        &self.0.name.0
    }

    /// World time, which no node can know: for what records what clients did.
    pub fn world_time(&self) -> Time {
        self.0.core.clock.now()
    }

    /// Writes an entry of this node into the trace.
    pub fn note(&self, what: What) {
        if self.0.life.is_on() {
            self.0.core.trace.write(self.0.node, &self.0.name, what);
        }
    }
}

impl host::Host for SimHost {
    type Disk = SimDisk;
    type Listener = SimListener;
    type Connection = SimConnection;

    fn disk(&self) -> &SimDisk {
        &self.0.disk
    }

    async fn listen(&self, endpoint: &Endpoint) -> io::Result<SimListener> {
        if !self.0.life.is_on() {
            return Err(io::ErrorKind::NotConnected.into());
        }
        self.0.core.fabric.listen(self.0.node, endpoint)
    }

    async fn connect(&self, endpoint: &Endpoint) -> io::Result<SimConnection> {
        self.0.core.fabric.connect(self.0.node, endpoint).await
    }

    fn now(&self) -> Time {
        self.0.core.clock.now() + self.0.origin
    }

    fn wall_clock(&self) -> Timestamp {
        self.0.wall_clock.lock().read(self.0.core.clock.now())
    }

    fn sleep_until(&self, deadline: Time) -> impl Future<Output = ()> + Send {
        let deadline = Time(deadline.0.saturating_sub(self.0.origin.as_nanos() as u64));
        self.0.core.digest.event(Kind::Waited, self.0.node, deadline.0, 0);
        self.0.core.clock.wait_until(deadline)
    }

    fn spawn_detached(&self, future: impl Future<Output = ()> + Send + 'static) {
        if self.0.life.is_on() {
            self.0.core.digest.event(Kind::Spawned, self.0.node, 0, 0);
            self.0.core.tasks.spawn(self.0.crew, future);
        }
    }

    fn entropy(&self) -> u64 {
        let bits = self.0.entropy.lock().bits();
        self.0.core.digest.event(Kind::Entropy, self.0.node, bits, 0);
        bits
    }

    fn witness(&self, event: Event) {
        self.note(What::Witnessed(event));
    }

    fn buggify(&self, site: &'static str, chance: f64) -> bool {
        self.0.life.is_on() && self.0.core.buggify.fires(site, chance)
    }

    fn planted(&self) -> Planted {
        self.0.core.planted
    }
}
