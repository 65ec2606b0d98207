//! The four codecs that batches know, each decompressing up to a limit and no further.
//!
//! Absent from here: batches, and what is in them.

mod zstandard;

use std::io::{self, Read, Write};

use bytes::{Buf, BufMut, Bytes};
use thiserror::Error;

/// Bytes that the records of one batch may have once decompressed, beyond which a batch is taken for a bomb.
pub const DECOMPRESSED_BYTES_MAX: usize = 128 << 20;

/// Why bytes cannot be decompressed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum DecompressError {
    #[error("the records cannot be decompressed: {0}")]
    Codec(String),
    #[error("the records have more than {max} bytes when decompressed")]
    Bomb { max: usize },
}

/// How the records of a batch are compressed, by the number that its attributes carry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Compression {
    #[default]
    None = 0,
    Gzip = 1,
    Snappy = 2,
    Lz4 = 3,
    /// KIP-110.
    Zstd = 4,
}

impl Compression {
    pub const ALL: [Compression; 5] =
        [Compression::None, Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd];

    /// The codec of a batch header's [`compression`](model::BatchHeader::compression); none if nobody has defined it.
    pub fn from_number(number: i16) -> Option<Compression> {
        Compression::ALL.into_iter().find(|codec| *codec as i16 == number)
    }
}

/// How hard a codec tries: more takes longer and makes less. What a codec cannot do is brought into its range.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Level {
    /// What the codec does by itself.
    #[default]
    Usual,
    /// 1 to 9 for gzip, 1 to 17 for lz4, -131072 to 22 for zstd; snappy has none.
    Of(i32),
}

/// Appends `plain` to `out`, compressed.
pub fn compress(codec: Compression, level: Level, plain: &[u8], out: &mut Vec<u8>) {
    let done = match codec {
        Compression::None => {
            out.extend_from_slice(plain);
            Ok(())
        }
        Compression::Gzip => gzip(level, plain, out),
        Compression::Snappy => snappy(plain, out),
        Compression::Lz4 => lz4(level, plain, out),
        // Zero stands for the usual one.
        Compression::Zstd => zstandard::compress(if let Level::Of(level) = level { level } else { 0 }, plain, out),
    };
    // Compressing from memory into memory has nothing outside that could fail.
    assert!(done.is_ok(), "{codec:?} failed in memory: {done:?}");
}

fn gzip(level: Level, plain: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
    let level = match level {
        Level::Usual => flate2::Compression::default(),
        Level::Of(level) => flate2::Compression::new(level.clamp(1, 9).unsigned_abs()),
    };
    let mut encoder = flate2::write::GzEncoder::new(out, level);
    encoder.write_all(plain)?;
    encoder.finish()?;
    Ok(())
}

fn lz4(level: Level, plain: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
    let mut builder = lz4::EncoderBuilder::new();
    builder.block_mode(lz4::BlockMode::Independent);
    if let Level::Of(level) = level {
        builder.level(level.clamp(1, 17).unsigned_abs());
    }
    let mut encoder = builder.build(out)?;
    encoder.write_all(plain)?;
    encoder.finish().1
}

/// The framing that Java's snappy library gives its streams, and that every Kafka client therefore writes: a magic, two
/// versions, then blocks with their compressed length in front.
const SNAPPY_FRAMING: [u8; 16] = *b"\x82SNAPPY\0\0\0\0\x01\0\0\0\x01";
const SNAPPY_BLOCK: usize = 32 << 10;

fn snappy(plain: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
    out.put_slice(&SNAPPY_FRAMING);
    for block in plain.chunks(SNAPPY_BLOCK) {
        let block = snap::raw::Encoder::new().compress_vec(block)?;
        out.put_u32(block.len() as u32);
        out.put_slice(&block);
    }
    Ok(())
}

/// What `bytes` were before they were compressed.
///
/// # Errors
/// `Bomb` if that is more than `bytes_max`; `Codec` if they are not what the codec makes.
pub fn decompress(codec: Compression, bytes: Bytes, bytes_max: usize) -> Result<Bytes, DecompressError> {
    match codec {
        Compression::None => Ok(bytes),
        Compression::Gzip => read_all(flate2::bufread::MultiGzDecoder::new(&bytes[..]), bytes_max),
        Compression::Snappy => unsnappy(&bytes, bytes_max),
        Compression::Lz4 => read_all(lz4::Decoder::new(&bytes[..]).map_err(codec_error)?, bytes_max),
        Compression::Zstd => read_all(zstandard::plain(&bytes[..]), bytes_max),
    }
}

/// What `bytes` were before they were compressed, piece by piece: in memory is a window of it at a time, whatever it comes to. More than
/// `bytes_max` are never given.
///
/// # Errors
/// `Codec` if they are not what the codec makes; what comes up on the way is an error of the stream.
pub fn plain(codec: Compression, bytes: Bytes, bytes_max: usize) -> Result<io::Take<Box<dyn Read>>, DecompressError> {
    let stream: Box<dyn Read> = match codec {
        Compression::None => Box::new(bytes.reader()),
        Compression::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(bytes.reader())),
        Compression::Snappy => Box::new(Snappy::new(bytes, bytes_max)),
        Compression::Lz4 => Box::new(lz4::Decoder::new(bytes.reader()).map_err(codec_error)?),
        Compression::Zstd => Box::new(zstandard::plain(bytes.reader())),
    };
    Ok(stream.take(bytes_max as u64))
}

/// Snappy, block by block.
struct Snappy {
    rest: Bytes,
    is_framed: bool,
    block: io::Cursor<Vec<u8>>,
    bytes_max: usize,
}

impl Snappy {
    fn new(mut bytes: Bytes, bytes_max: usize) -> Snappy {
        let is_framed = SNAPPY_FRAMING.len() <= bytes.len() && bytes.starts_with(&SNAPPY_FRAMING[..8]);
        if is_framed {
            bytes.advance(SNAPPY_FRAMING.len());
        }
        Snappy { rest: bytes, is_framed, block: io::Cursor::default(), bytes_max }
    }

    fn next_block(&mut self) -> Result<Bytes, DecompressError> {
        if !self.is_framed {
            return Ok(std::mem::take(&mut self.rest));
        }
        if self.rest.len() < 4 {
            return Err(DecompressError::Codec("a block has no length".into()));
        }
        let length = self.rest.get_u32() as usize;
        if self.rest.len() < length {
            return Err(DecompressError::Codec("a block goes past the end".into()));
        }
        Ok(self.rest.split_to(length))
    }
}

impl Read for Snappy {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        loop {
            let read = self.block.read(out)?;
            if 0 < read || out.is_empty() || self.rest.is_empty() {
                return Ok(read);
            }
            let block = self.next_block().map_err(io::Error::other)?;
            let mut plain = std::mem::take(&mut self.block).into_inner();
            plain.clear();
            unsnappy_block(&block, &mut plain, self.bytes_max).map_err(io::Error::other)?;
            self.block = io::Cursor::new(plain);
        }
    }
}

fn read_all(stream: impl Read, bytes_max: usize) -> Result<Bytes, DecompressError> {
    let mut plain = Vec::new();
    stream.take(bytes_max as u64 + 1).read_to_end(&mut plain).map_err(codec_error)?;
    if plain.len() > bytes_max {
        return Err(DecompressError::Bomb { max: bytes_max });
    }
    Ok(plain.into())
}

fn unsnappy(bytes: &[u8], bytes_max: usize) -> Result<Bytes, DecompressError> {
    let mut plain = Vec::new();
    // Some clients write one bare block without the framing.
    let Some(mut rest) = bytes.strip_prefix(&SNAPPY_FRAMING[..8]).and_then(|rest| rest.get(8..)) else {
        unsnappy_block(bytes, &mut plain, bytes_max)?;
        return Ok(plain.into());
    };
    while !rest.is_empty() {
        let (length, after) =
            rest.split_first_chunk::<4>().ok_or(DecompressError::Codec("a block has no length".into()))?;
        let length = u32::from_be_bytes(*length) as usize;
        let (block, after) =
            after.split_at_checked(length).ok_or(DecompressError::Codec("a block goes past the end".into()))?;
        unsnappy_block(block, &mut plain, bytes_max)?;
        rest = after;
    }
    Ok(plain.into())
}

fn unsnappy_block(block: &[u8], plain: &mut Vec<u8>, bytes_max: usize) -> Result<(), DecompressError> {
    let claimed = snap::raw::decompress_len(block).map_err(codec_error)?;
    let start = plain.len();
    if bytes_max - start < claimed {
        return Err(DecompressError::Bomb { max: bytes_max });
    }
    // Snappy makes at most 64 bytes out of three, so a claim beyond that is false and gets no memory.
    if claimed / 64 > block.len() {
        return Err(DecompressError::Codec("a block claims more than it can hold".into()));
    }
    plain.resize(start + claimed, 0);
    snap::raw::Decoder::new().decompress(block, &mut plain[start..]).map_err(codec_error)?;
    Ok(())
}

fn codec_error(error: impl std::fmt::Display) -> DecompressError {
    DecompressError::Codec(error.to_string())
}
