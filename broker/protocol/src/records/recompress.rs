//! What a leader does with a producer's batch without looking at its records: proves that it can be read, and compresses it otherwise.

use std::io::{self, BufRead, BufReader, ErrorKind, Read, Take};

use bytes::{Buf, Bytes};
use compression::{Compression, DECOMPRESSED_BYTES_MAX, DecompressError, Level};
use model::{BATCH_HEADER_LENGTH, BatchHeader};

use super::decode::DecodeError;
use super::encode::seal;

/// Where a header has its attributes, of which the lowest three bits are the codec.
const ATTRIBUTES: std::ops::Range<usize> = 21..23;
const CODEC_MASK: i16 = 0b111;

/// How a topic's batches are compressed (`compression.type` and its level).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recompression {
    pub codec: Compression,
    pub level: Level,
}

/// Proves that a batch of a producer holds as many whole records as its header says, counted from zero, and nothing else: whoever
/// fetches it can read it. However much that is, no more than a window of it is in memory at a time. The checksum is the caller's
/// business: see [`BatchHeader::verify`].
///
/// # Errors
/// If the records cannot be decompressed within the limit, or one of them is malformed.
pub fn check_records(header: &BatchHeader, batch: &Bytes) -> Result<(), DecodeError> {
    let stream = compression::plain(codec_of(header)?, batch.slice(BATCH_HEADER_LENGTH..), DECOMPRESSED_BYTES_MAX)?;
    if header.record_count < 1 || header.record_count != header.last_offset_delta.wrapping_add(1) {
        return Err(DecodeError::Record("its batch counts other offsets than records"));
    }
    let mut plain = Plain { stream: BufReader::new(stream), read: 0 };
    for index in 0..header.record_count {
        plain.record(index)?;
    }
    plain.end()
}

/// The same records, compressed otherwise, with everything else as it was. The checksum is made new; that of `batch` is the caller's
/// business, as in [`check_records`].
///
/// # Errors
/// If the records cannot be decompressed within the limit.
pub fn recompress(header: &BatchHeader, batch: &Bytes, to: Recompression) -> Result<Bytes, DecodeError> {
    let packed = batch.slice(BATCH_HEADER_LENGTH..);
    let plain = compression::decompress(codec_of(header)?, packed, DECOMPRESSED_BYTES_MAX)?;
    let mut out = batch[..BATCH_HEADER_LENGTH].to_vec();
    let attributes = batch.slice(ATTRIBUTES).get_i16() & !CODEC_MASK | to.codec as i16;
    out[ATTRIBUTES].copy_from_slice(&attributes.to_be_bytes());
    compression::compress(to.codec, to.level, &plain, &mut out);
    seal(&mut out);
    Ok(out.into())
}

fn codec_of(header: &BatchHeader) -> Result<Compression, DecodeError> {
    Compression::from_number(header.compression()).ok_or(DecodeError::Compression(header.compression()))
}

/// Records as they come out of their codec.
struct Plain {
    stream: BufReader<Take<Box<dyn Read>>>,
    /// Bytes so far.
    read: u64,
}

impl Plain {
    fn record(&mut self, index: i32) -> Result<(), DecodeError> {
        let length = self.length()?.ok_or(DecodeError::Record("it has no length"))?;
        let end = self.read + length;
        if self.byte()? != 0 {
            return Err(DecodeError::Record("its attributes are reserved"));
        }
        let _timestamp_delta = self.number()?;
        if self.number()? != i64::from(index) {
            return Err(DecodeError::Record("its offset is not the next"));
        }
        let (_key, _value) = (self.field(end)?, self.field(end)?);
        let headers = self.number()?;
        if headers < 0 {
            return Err(DecodeError::Record("its header count is negative"));
        }
        for _ in 0..headers {
            self.field(end)?.ok_or(DecodeError::Record("a header has no name"))?;
            self.field(end)?;
        }
        if self.read == end { Ok(()) } else { Err(DecodeError::Record("its length is another")) }
    }

    /// Passes over bytes with their length in front, which end before `end`. None is allowed.
    fn field(&mut self, end: u64) -> Result<Option<()>, DecodeError> {
        let Some(length) = self.length()? else { return Ok(None) };
        if end < self.read.saturating_add(length) {
            return Err(DecodeError::Record("a length goes past the end"));
        }
        let copied = io::copy(&mut self.stream.by_ref().take(length), &mut io::sink());
        match copied.map_err(|error| self.failed(&error))? {
            skipped if skipped == length => self.read += length,
            _ => return Err(self.failed(&ErrorKind::UnexpectedEof.into())),
        }
        Ok(Some(()))
    }

    /// A length; -1 is none.
    fn length(&mut self) -> Result<Option<u64>, DecodeError> {
        match self.number()? {
            -1 => Ok(None),
            length => u64::try_from(length).map(Some).map_err(|_| DecodeError::Record("a length is negative")),
        }
    }

    /// A zigzag varint.
    fn number(&mut self) -> Result<i64, DecodeError> {
        let mut zigzag = 0_u64;
        for index in 0..10 {
            let byte = self.byte()?;
            zigzag |= u64::from(byte & 0x7f) << (7 * index);
            if byte & 0x80 == 0 {
                return Ok((zigzag >> 1) as i64 ^ -((zigzag & 1) as i64));
            }
        }
        Err(DecodeError::Record("a number has no end"))
    }

    fn byte(&mut self) -> Result<u8, DecodeError> {
        let mut byte = [0];
        self.stream.read_exact(&mut byte).map_err(|error| self.failed(&error))?;
        self.read += 1;
        Ok(byte[0])
    }

    fn end(&mut self) -> Result<(), DecodeError> {
        match self.stream.fill_buf().map(<[u8]>::is_empty) {
            Ok(true) if 0 < self.stream.get_ref().limit() => Ok(()),
            Ok(true) => Err(BOMB.into()),
            Ok(false) => Err(DecodeError::Record("bytes follow the last one")),
            Err(error) => Err(self.failed(&error)),
        }
    }

    /// Where nothing more comes, either the limit is reached or the records are at their end.
    fn failed(&self, error: &io::Error) -> DecodeError {
        match error.kind() {
            ErrorKind::UnexpectedEof if self.stream.get_ref().limit() == 0 => BOMB.into(),
            ErrorKind::UnexpectedEof => DecodeError::Record("it goes past the end"),
            _ => DecompressError::Codec(error.to_string()).into(),
        }
    }
}

const BOMB: DecompressError = DecompressError::Bomb { max: DECOMPRESSED_BYTES_MAX };
