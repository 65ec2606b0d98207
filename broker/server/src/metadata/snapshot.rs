//! The bytes of a snapshot of the metadata: batches of records, as in the log that they stand for.
//!
//! ```text
//! batch of one record     header: version, the timestamp of the last record that it stands for
//! batches of records      as Image::records tells them
//! batch of one record     footer: what it stands for, how many records, the checksum of all that is above
//! ```
//! Offsets count from zero, every batch is of the epoch of the last record that it stands for, and nothing in it is of this node or of its
//! clock: the same image gives the same bytes on every node. Only one that is whole, to the footer, is ever taken for a snapshot.

use bytes::{Bytes, BytesMut};
use minicbor::{Decode, Encode};
use model::{
    BatchError, BatchHeader, LeaderEpoch, MetadataVersion, Offset, Planted, SnapshotId, Timestamp, batches, patch_batch,
};
use protocol::records::{self, Compression, DecodeError, ProducerFields, batch_records};
use roles::controller::{Image, Record, RecordError};
use thiserror::Error;

const VERSION: u32 = 1;
/// Records of one batch.
const BATCH_RECORDS_MAX: usize = 1000;

/// Why bytes are no snapshot.
#[derive(Debug, Error)]
pub(super) enum SnapshotError {
    #[error("a batch is damaged: {0}")]
    Batch(#[from] BatchError),
    #[error("a batch cannot be read: {0}")]
    Records(#[from] DecodeError),
    #[error(transparent)]
    Record(#[from] RecordError),
    #[error("its header or its footer cannot be read: {0}")]
    Frame(#[from] minicbor::decode::Error),
    #[error("it is of version {0}, which a newer program wrote: run that one here")]
    Version(u32),
    #[error("it is not whole")]
    Torn,
}

impl SnapshotError {
    /// It is whole, and of a newer release: to pass it over would be to pass over what the cluster agreed on.
    pub(super) fn is_of_a_newer_release(&self) -> bool {
        matches!(self, SnapshotError::Record(_) | SnapshotError::Version(_))
    }
}

#[derive(Encode, Decode)]
#[cbor(map)]
struct Header {
    #[n(0)]
    version: u32,
    #[n(1)]
    latest: i64,
}

#[derive(Encode, Decode)]
#[cbor(map)]
struct Footer {
    #[n(0)]
    end: Offset,
    #[n(1)]
    epoch: LeaderEpoch,
    #[n(2)]
    records: u64,
    #[n(3)]
    checksum: u32,
}

/// What a snapshot says.
pub(super) struct Content {
    pub(super) image: Image,
    /// The timestamp of the last record that it stands for.
    pub(super) latest: Timestamp,
}

/// The snapshot of `image`.
pub(super) fn encode(image: &Image, snapshot: SnapshotId, latest: Timestamp, planted: Planted) -> Bytes {
    let records = image.records(planted);
    let mut writer = Writer { bytes: BytesMut::new(), epoch: snapshot.epoch, end: Offset::ZERO };
    writer.put(&[frame(&Header { version: VERSION, latest: latest.0 })]);
    for batch in records.chunks(BATCH_RECORDS_MAX) {
        writer.put(&batch.iter().map(|record| record.encode().into()).collect::<Vec<_>>());
    }
    let checksum = crc32c::crc32c(&writer.bytes);
    let SnapshotId { end, epoch } = snapshot;
    writer.put(&[frame(&Footer { end, epoch, records: records.len() as u64, checksum })]);
    writer.bytes.freeze()
}

/// What `bytes` say to a program that knows metadata up to `newest`, if they are the whole of this snapshot.
pub(super) fn decode(bytes: &Bytes, snapshot: SnapshotId, newest: MetadataVersion) -> Result<Content, SnapshotError> {
    let mut values: Vec<Bytes> = Vec::new();
    let mut end = Offset::ZERO;
    let mut last_position = 0;
    let mut position = 0;
    for batch in batches(bytes) {
        let (_, batch) = batch?;
        let header = BatchHeader::verify(batch)?;
        if header.base_offset != end || header.leader_epoch != snapshot.epoch {
            return Err(SnapshotError::Torn);
        }
        let mut stored = Vec::new();
        batch_records(&header, bytes.slice(position..position + header.size), &mut stored)?;
        values.extend(stored.into_iter().map(|stored| stored.record.value.unwrap_or_default()));
        (last_position, position, end) = (position, position + header.size, header.end_offset());
    }
    let [header, records @ .., footer] = &values[..] else { return Err(SnapshotError::Torn) };
    let header: Header = minicbor::decode(header)?;
    if header.version != VERSION {
        return Err(SnapshotError::Version(header.version));
    }
    let footer: Footer = minicbor::decode(footer)?;
    let is_whole = SnapshotId { end: footer.end, epoch: footer.epoch } == snapshot
        && footer.records == records.len() as u64
        && footer.checksum == crc32c::crc32c(&bytes[..last_position]);
    if !is_whole || position < bytes.len() {
        return Err(SnapshotError::Torn);
    }
    let records = records.iter().map(|value| Record::decode(value, newest)).collect::<Result<Vec<_>, _>>()?;
    Ok(Content { image: Image::from_records(&records, snapshot.end), latest: Timestamp(header.latest) })
}

/// What stands for the bytes of a snapshot where they are compared.
pub(super) fn checksum(bytes: &[u8]) -> u32 {
    crc32c::crc32c(bytes)
}

struct Writer {
    bytes: BytesMut,
    epoch: LeaderEpoch,
    end: Offset,
}

impl Writer {
    /// Adds one batch; no value, no batch.
    fn put(&mut self, values: &[Bytes]) {
        let record = |value: &Bytes| records::Record { value: Some(value.clone()), ..records::Record::default() };
        let records: Vec<_> = values.iter().map(record).collect();
        let mut batch = BytesMut::from(records::encode_batch(&records, Compression::None, ProducerFields::default()));
        patch_batch(&mut batch, self.end, self.epoch);
        self.bytes.extend_from_slice(&batch);
        self.end = self.end.plus(values.len() as i64);
    }
}

fn frame(content: &impl Encode<()>) -> Bytes {
    let encoded = minicbor::to_vec(content).unwrap_or_else(|never: minicbor::encode::Error<_>| {
        unreachable!("a vector takes all that is written: {never}")
    });
    encoded.into()
}

#[cfg(test)]
mod tests {
    use model::TopicId;
    use roles::controller::{FeatureLevel, TopicRecord};

    use super::*;

    const SNAPSHOT: SnapshotId = SnapshotId { end: Offset(5000), epoch: LeaderEpoch(7) };
    const LATEST: Timestamp = Timestamp(1_700_000_000_000);

    fn image(topics: u128) -> Image {
        let topic = |id| Record::Topic(TopicRecord { id: TopicId(id + 2), name: format!("topic-{id}") });
        let records: Vec<Record> = (0..topics).map(topic).collect();
        Image::from_records(&records, SNAPSHOT.end)
    }

    fn read(bytes: &Bytes, snapshot: SnapshotId) -> Result<Content, SnapshotError> {
        decode(bytes, snapshot, MetadataVersion::NEWEST)
    }

    fn encoded(topics: u128) -> Bytes {
        encode(&image(topics), SNAPSHOT, LATEST, Planted::NONE)
    }

    #[test]
    fn a_snapshot_reads_back_whatever_its_size() {
        for topics in [0, 1, 999, 1000, 2500] {
            let content = read(&encoded(topics), SNAPSHOT).unwrap();
            assert_eq!((content.image, content.latest), (image(topics), LATEST));
        }
    }

    #[test]
    fn one_that_is_cut_or_changed_anywhere_or_is_another_is_refused() {
        let whole = encoded(3);
        for at in 0..whole.len() {
            assert!(read(&whole.slice(..at), SNAPSHOT).is_err(), "cut at {at}");
            let mut rotten = whole.to_vec();
            rotten[at] ^= 1;
            assert!(read(&rotten.into(), SNAPSHOT).is_err(), "byte {at}");
        }
        let twice = [&whole[..], &whole[..]].concat();
        assert!(read(&twice.into(), SNAPSHOT).is_err());
        for other in [SnapshotId { end: Offset(4999), ..SNAPSHOT }, SnapshotId { epoch: LeaderEpoch(8), ..SNAPSHOT }] {
            assert!(read(&whole, other).is_err());
        }
    }

    #[test]
    fn a_snapshot_of_a_later_level_is_no_damaged_one() {
        let records = [Record::FeatureLevel(FeatureLevel::of(MetadataVersion(2)))];
        let bytes = encode(&Image::from_records(&records, SNAPSHOT.end), SNAPSHOT, LATEST, Planted::NONE);
        assert_eq!(read(&bytes, SNAPSHOT).unwrap().image.metadata_version(), MetadataVersion(2));
        let refused = decode(&bytes, SNAPSHOT, MetadataVersion(1)).err().unwrap();
        assert!(refused.is_of_a_newer_release(), "{refused}");
        assert!(!read(&bytes.slice(..9), SNAPSHOT).err().unwrap().is_of_a_newer_release());
    }
}
