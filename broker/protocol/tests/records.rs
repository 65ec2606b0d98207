//! Batches: written, read, compared with another implementation, cut, bent, and blown up.

use bytes::{Bytes, BytesMut};
use compression::DecompressError;
use model::{BatchHeader, LeaderEpoch, Offset, Timestamp, patch_batch};
use proptest::prelude::*;
use proto_kafka::records::RecordBatchDecoder;
use protocol::records::{
    Compression, DecodeError, Level, ProducerFields, Recompression, Record, RecordHeader, check_records,
    decode_batches, encode_batch, recompress, record_size,
};

fn bytes_maybe() -> impl Strategy<Value = Option<Bytes>> {
    prop::option::of(prop::collection::vec(any::<u8>(), 0..100).prop_map(Bytes::from))
}

fn record() -> impl Strategy<Value = Record> {
    let header = ("[a-c]{0,3}", bytes_maybe()).prop_map(|(key, value)| RecordHeader { key: Bytes::from(key), value });
    (0..1_i64 << 45, bytes_maybe(), bytes_maybe(), prop::collection::vec(header, 0..4))
        .prop_map(|(timestamp, key, value, headers)| Record { timestamp: Timestamp(timestamp), key, value, headers })
}

fn compression() -> impl Strategy<Value = Compression> {
    prop::sample::select(Compression::ALL.to_vec())
}

/// The batch as its leader would store it.
fn stored(batch: &Bytes, base: i64, epoch: i32) -> Bytes {
    let mut batch = BytesMut::from(&batch[..]);
    patch_batch(&mut batch, Offset(base), LeaderEpoch(epoch));
    batch.freeze()
}

proptest! {
    #[test]
    fn records_come_back_with_their_offsets_and_epoch(
        records in prop::collection::vec(record(), 1..20),
        compression in compression(),
    ) {
        let batch = stored(&encode_batch(&records, compression, ProducerFields::default()), 1000, 7);
        let read = decode_batches(batch).unwrap();
        prop_assert_eq!(read.len(), records.len());
        for (index, (read, written)) in read.iter().zip(&records).enumerate() {
            prop_assert_eq!(&read.record, written);
            prop_assert_eq!((read.offset, read.leader_epoch), (Offset(1000 + index as i64), LeaderEpoch(7)));
        }
    }

    #[test]
    fn another_implementation_reads_the_same(
        records in prop::collection::vec(record(), 1..20),
        compression in compression(),
    ) {
        let producer = ProducerFields { id: 5, epoch: 2, base_sequence: 30 };
        let mut batch = stored(&encode_batch(&records, compression, producer), 50, 3);
        let theirs = RecordBatchDecoder::decode(&mut batch).unwrap().records;
        prop_assert_eq!(theirs.len(), records.len());
        for (index, (theirs, ours)) in theirs.iter().zip(&records).enumerate() {
            prop_assert_eq!((&theirs.key, &theirs.value), (&ours.key, &ours.value));
            prop_assert_eq!((theirs.timestamp, theirs.offset), (ours.timestamp.0, 50 + index as i64));
            prop_assert_eq!((theirs.producer_id, theirs.sequence), (5, 30 + index as i32));
            prop_assert_eq!(theirs.headers.len(), ours.headers.len());
        }
    }

    #[test]
    fn a_record_is_never_larger_than_was_reckoned(records in prop::collection::vec(record(), 1..20)) {
        let batch = encode_batch(&records, Compression::None, ProducerFields::default());
        let reckoned: usize = records.iter().map(record_size).sum();
        prop_assert!(batch.len() <= model::BATCH_HEADER_LENGTH + reckoned);
    }

    #[test]
    fn bent_batches_are_refused_and_never_panic(
        records in prop::collection::vec(record(), 1..5),
        compression in compression(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..5),
        mend in any::<bool>(),
    ) {
        let mut batch = encode_batch(&records, compression, ProducerFields::default()).to_vec();
        for (at, value) in changes {
            let at = at.index(batch.len());
            batch[at] = value;
        }
        if mend {
            // A right checksum over wrong content: what a hostile producer would send.
            let crc = crc32c::crc32c(&batch[21..]);
            batch[17..21].copy_from_slice(&crc.to_be_bytes());
        }
        let _ = decode_batches(batch.into());
    }

    #[test]
    fn every_batch_of_a_producer_passes_and_is_the_same_under_another_codec(
        records in prop::collection::vec(record(), 1..20),
        from in compression(),
        to in compression(),
    ) {
        let producer = ProducerFields { id: 5, epoch: 2, base_sequence: 30 };
        let batch = encode_batch(&records, from, producer);
        let header = BatchHeader::verify(&batch).unwrap();
        prop_assert_eq!(check_records(&header, &batch), Ok(()));
        let other = recompress(&header, &batch, Recompression { codec: to, level: Level::Usual }).unwrap();
        let other_header = BatchHeader::verify(&other).unwrap();
        prop_assert_eq!(other_header.compression(), to as i16);
        prop_assert_eq!(other_header.stamp(), header.stamp());
        prop_assert_eq!(decode_batches(other).unwrap(), decode_batches(batch).unwrap());
    }

    #[test]
    fn what_passes_can_be_read_and_what_is_bent_never_panics(
        records in prop::collection::vec(record(), 1..5),
        from in compression(),
        to in compression(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..5),
    ) {
        let mut batch = encode_batch(&records, from, ProducerFields::default()).to_vec();
        for (at, value) in changes {
            let at = at.index(batch.len() - model::BATCH_HEADER_LENGTH);
            batch[model::BATCH_HEADER_LENGTH + at] = value;
        }
        let crc = crc32c::crc32c(&batch[21..]);
        batch[17..21].copy_from_slice(&crc.to_be_bytes());
        let batch = Bytes::from(batch);
        let header = BatchHeader::verify(&batch).unwrap();
        let _ = recompress(&header, &batch, Recompression { codec: to, level: Level::Of(1) });
        if check_records(&header, &batch).is_ok() {
            prop_assert!(decode_batches(batch).is_ok());
        }
    }

    #[test]
    fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = decode_batches(bytes.into());
    }
}

fn text(text: &'static str) -> Record {
    Record { value: Some(Bytes::from_static(text.as_bytes())), ..Record::default() }
}

#[test]
fn a_last_batch_that_is_cut_short_is_left_out() {
    let first = encode_batch(&[text("a"), text("b")], Compression::None, ProducerFields::default());
    let second = stored(&encode_batch(&[text("c")], Compression::None, ProducerFields::default()), 2, 0);
    for end in 0..second.len() {
        let both = [&first[..], &second[..end]].concat();
        assert_eq!(decode_batches(both.into()).unwrap().len(), 2, "cut at {end}");
    }
}

#[test]
fn a_wrong_checksum_is_refused() {
    let mut batch = encode_batch(&[text("a")], Compression::None, ProducerFields::default()).to_vec();
    *batch.last_mut().unwrap() ^= 1;
    assert!(matches!(decode_batches(batch.into()), Err(DecodeError::Batch(_))));
}

#[test]
fn values_of_an_uncompressed_batch_are_slices_of_it() {
    let batch = encode_batch(&[text("not copied")], Compression::None, ProducerFields::default());
    let range = batch.as_ptr_range();
    let value = decode_batches(batch).unwrap().remove(0).record.value.unwrap();
    assert!(range.contains(&value.as_ptr()));
}

#[test]
fn a_small_batch_that_would_become_huge_is_refused() {
    let huge = Record { value: Some(vec![0; 129 << 20].into()), ..Record::default() };
    for compression in [Compression::Gzip, Compression::Lz4, Compression::Zstd, Compression::Snappy] {
        let batch = encode_batch(std::slice::from_ref(&huge), compression, ProducerFields::default());
        assert!(
            matches!(decode_batches(batch), Err(DecodeError::Decompress(DecompressError::Bomb { .. }))),
            "{compression:?}"
        );
        let batch = encode_batch(std::slice::from_ref(&huge), compression, ProducerFields::default());
        let header = BatchHeader::verify(&batch).unwrap();
        let bomb = Err(DecodeError::Decompress(DecompressError::Bomb { max: 128 << 20 }));
        assert_eq!(check_records(&header, &batch), bomb, "{compression:?}");
        let to = Recompression { codec: Compression::None, level: Level::Usual };
        assert_eq!(recompress(&header, &batch, to).map(|_| ()), bomb, "{compression:?}");
    }
}

#[test]
fn a_level_asks_a_codec_to_try_harder() {
    let words: String =
        (0..20_000).map(|number: u32| format!("{} ", number.wrapping_mul(2_654_435_761) % 977)).collect();
    let batch = encode_batch(
        &[Record { value: Some(words.into()), ..Record::default() }],
        Compression::None,
        ProducerFields::default(),
    );
    let header = BatchHeader::verify(&batch).unwrap();
    let size =
        |codec, level| recompress(&header, &batch, Recompression { codec, level: Level::Of(level) }).unwrap().len();
    for (codec, least, most) in [(Compression::Gzip, 1, 9), (Compression::Lz4, 1, 12), (Compression::Zstd, 1, 19)] {
        assert!(size(codec, most) < size(codec, least), "{codec:?}");
        let _within_range = (size(codec, i32::MIN), size(codec, i32::MAX));
    }
}

#[test]
fn a_batch_carries_its_producer() {
    let producer = ProducerFields { id: 9, epoch: 1, base_sequence: 4 };
    let batch = encode_batch(&[text("a"), text("b")], Compression::None, producer);
    let header = BatchHeader::verify(&batch).unwrap();
    assert_eq!((header.producer_id, header.producer_epoch, header.base_sequence), (9, 1, 4));
    assert_eq!((header.record_count, header.last_offset_delta, header.size), (2, 1, batch.len()));
}
