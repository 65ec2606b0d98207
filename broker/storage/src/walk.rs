//! Walks the batches of a file from header to header, reading it in pieces.

use std::io;

use host::File;
use model::{BATCH_HEADER_LENGTH, BatchError, BatchHeader};

use crate::StorageError;

/// Read at once when only headers matter.
pub(crate) const HEADER_CHUNK: usize = 4 << 10;
/// Read at once when every byte matters.
pub(crate) const WHOLE_CHUNK: usize = 256 << 10;

pub(crate) struct Walk<'a, F: File> {
    file: &'a F,
    /// Where the next batch begins.
    position: u64,
    /// Where the file ends, as far as this walk goes.
    end: u64,
    chunk: usize,
    /// The batches are larger than a chunk: what lies behind a header is of no use for the next one.
    is_sparse: bool,
    /// Room for a chunk, of which so many bytes are read.
    buffer: Vec<u8>,
    have: usize,
    buffer_position: u64,
}

#[derive(Debug)]
pub(crate) enum WalkError {
    Read(io::Error),
    /// What stands at the walk's position is no batch.
    Damage(BatchError),
}

/// The error of the file at `path`.
pub(crate) fn refused(path: &str, position: u64, error: WalkError) -> StorageError {
    let file = path.to_owned();
    match error {
        WalkError::Read(error) => StorageError::Unreadable { file, position, reason: error.to_string() },
        WalkError::Damage(error) => StorageError::Corrupt { file, position, reason: error.to_string() },
    }
}

impl<'a, F: File> Walk<'a, F> {
    pub(crate) fn new(file: &'a F, position: u64, end: u64, chunk: usize) -> Walk<'a, F> {
        let (is_sparse, buffer, have) = (false, Vec::new(), 0);
        Walk { file, position, end, chunk, is_sparse, buffer, have, buffer_position: position }
    }

    pub(crate) fn position(&self) -> u64 {
        self.position
    }

    /// The header of the batch at the walk's position, if the walk is not at its end. The batch is whole, by its length.
    pub(crate) fn peek(&mut self) -> Result<Option<BatchHeader>, WalkError> {
        if self.position == self.end {
            return Ok(None);
        }
        let rest = self.end - self.position;
        let header = BatchHeader::parse(self.bytes(BATCH_HEADER_LENGTH)?).map_err(WalkError::Damage)?;
        if rest < header.size as u64 {
            return Err(WalkError::Damage(BatchError::Truncated { have: rest as usize, need: header.size }));
        }
        Ok(Some(header))
    }

    /// The bytes of the batch at the walk's position, which [`Walk::peek`] has seen.
    pub(crate) fn batch(&mut self, header: &BatchHeader) -> Result<&[u8], WalkError> {
        self.bytes(header.size)
    }

    /// As [`Walk::peek`], of a batch whose checksum is right.
    pub(crate) fn verified(&mut self) -> Result<Option<BatchHeader>, WalkError> {
        let Some(header) = self.peek()? else { return Ok(None) };
        BatchHeader::verify(self.bytes(header.size)?).map(Some).map_err(WalkError::Damage)
    }

    /// Goes on to the next batch.
    pub(crate) fn step(&mut self, header: &BatchHeader) {
        self.position += header.size as u64;
        self.is_sparse = self.chunk < header.size;
        assert!(self.position <= self.end, "a batch that was seen whole ends within the file");
    }

    /// `length` bytes from the walk's position on, or as many as there are.
    fn bytes(&mut self, length: usize) -> Result<&[u8], WalkError> {
        let skip = self.position - self.buffer_position;
        let is_there = skip + length as u64 <= self.have as u64;
        if !is_there {
            let rest = self.end - self.position;
            let chunk = if self.is_sparse { 0 } else { self.chunk };
            let want = rest.min(length.max(chunk) as u64) as usize;
            if self.buffer.len() < want {
                self.buffer.resize(want, 0);
            }
            self.have = self.file.read_at(self.position, &mut self.buffer[..want]).map_err(WalkError::Read)?;
            self.buffer_position = self.position;
        }
        let skip = (self.position - self.buffer_position) as usize;
        let until = self.have.min(skip + length);
        Ok(&self.buffer[skip..until])
    }
}
