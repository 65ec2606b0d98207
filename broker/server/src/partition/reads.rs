//! What a partition is read for: consumers read what is committed, followers all that there is.

use host::Host;
use model::{BrokerId, Offset};
use roles::replica::{ConsumerFetch, FollowerFetch, Input};
use storage::Records;

use super::watchers::{Change, Watcher, wake};
use super::{Partition, PartitionError, State};

/// What a read found.
pub(crate) struct Read {
    pub(crate) records: Records,
    pub(crate) high_watermark: Offset,
    pub(crate) log_start: Offset,
    /// There is nothing for the fetch, and it is told when that changes.
    pub(crate) is_settled: bool,
}

impl<H: Host> Partition<H> {
    /// Reads committed batches for a consumer, as leader.
    pub(crate) fn read(
        &self,
        fetch: ConsumerFetch,
        bytes_max: usize,
        watcher: Option<Watcher<'_>>,
    ) -> Result<Read, PartitionError> {
        let state = &mut *self.state.lock();
        let below = state.replica.admit_read(state.view(self.flush_policy), &fetch)?;
        read_committed(state, fetch.offset, below, bytes_max, watcher)
    }

    /// Reads committed batches for a consumer, as leader or as follower (KIP-392).
    pub(crate) fn read_near(
        &self,
        fetch: ConsumerFetch,
        bytes_max: usize,
        watcher: Option<Watcher<'_>>,
    ) -> Result<Read, PartitionError> {
        let state = &mut *self.state.lock();
        let view = state.view(self.flush_policy);
        let below = state.replica.admit_read_near(view, &fetch, state.leader_high_watermark)?;
        read_committed(state, fetch.offset, below, bytes_max, watcher)
    }

    /// Who of `near` is to serve a consumer in this leader's place, and what it is told of the log instead of records.
    pub(crate) fn nearer_reader(&self, fetch: ConsumerFetch, near: &[BrokerId]) -> Option<(BrokerId, Read)> {
        let state = self.state.lock();
        state.replica.admit_read(state.view(self.flush_policy), &fetch).ok()?;
        let reader = state.replica.nearer_reader(fetch.offset, near)?;
        let (high_watermark, log_start) = (state.replica.high_watermark(), state.log.start());
        Some((reader, Read { records: Records::default(), high_watermark, log_start, is_settled: false }))
    }

    /// Reads for a follower, whose fetch tells what it has.
    pub(crate) fn read_for_follower(
        &self,
        fetch: FollowerFetch,
        bytes_max: usize,
        watcher: Option<Watcher<'_>>,
    ) -> Result<Read, PartitionError> {
        let mut state = self.state.lock();
        if let Some(refusal) = self.step(&mut state, Input::Fetch(fetch))? {
            return Err(refusal.into());
        }
        // It told where its log begins.
        wake(&mut state.start_watchers);
        read_to_end(&mut state, fetch.offset, bytes_max, watcher)
    }

    /// Reads again for a follower whose fetch waits. Its word was taken when it came: what it has now it tells with its next.
    pub(crate) fn read_again_for_follower(
        &self,
        fetch: FollowerFetch,
        bytes_max: usize,
        watcher: Option<Watcher<'_>>,
    ) -> Result<Read, PartitionError> {
        let mut state = self.state.lock();
        state.replica.admit_fetch(state.view(self.flush_policy), &fetch)?;
        read_to_end(&mut state, fetch.offset, bytes_max, watcher)
    }
}

fn read_below<H: Host>(
    state: &State<H>,
    offset: Offset,
    below: Offset,
    bytes_max: usize,
) -> Result<Read, PartitionError> {
    let records = if offset < below && bytes_max > 0 {
        state.log.read_to_send(offset, below, bytes_max)?
    } else {
        Records::default()
    };
    let (high_watermark, log_start) = (state.replica.high_watermark(), state.log.start());
    Ok(Read { records, high_watermark, log_start, is_settled: false })
}

fn read_committed<H: Host>(
    state: &mut State<H>,
    offset: Offset,
    below: Offset,
    bytes_max: usize,
    watcher: Option<Watcher<'_>>,
) -> Result<Read, PartitionError> {
    let read = read_below(state, offset, below, bytes_max)?;
    // More is there for it once more is committed.
    let is_settled = state.fetches.watch_if_too_little(watcher, Change::Commit, &read) && below <= offset;
    Ok(Read { is_settled, ..read })
}

fn read_to_end<H: Host>(
    state: &mut State<H>,
    offset: Offset,
    bytes_max: usize,
    watcher: Option<Watcher<'_>>,
) -> Result<Read, PartitionError> {
    let end = state.log.end();
    let read = read_below(state, offset, end, bytes_max)?;
    // More is there for it once the log grows.
    let is_watched = state.fetches.watch_if_too_little(watcher, Change::End, &read);
    Ok(Read { is_settled: is_watched && end <= offset && !state.replica.is_withholding(), ..read })
}
