//! Bytes of one message with a budget: what keeps a small frame from asking for much memory.
//!
//! The message decoder trusts `remaining` to bound its arrays. This buffer answers with the smallest of what is left, what
//! an array may have, and what is left of the budget for structure; strings and records are handed out uncopied and cost one.

use bytes::{Buf, Bytes, TryGetError};
use proto_kafka::protocol::buf::{ByteBuf, NotEnoughBytesError};

use crate::limits::ARRAY_ENTRIES_MAX;

pub(crate) struct Bounded {
    bytes: Bytes,
    budget: usize,
}

impl Bounded {
    pub(crate) fn new(bytes: Bytes, budget: usize) -> Bounded {
        Bounded { bytes, budget }
    }

    /// What is left.
    pub(crate) fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The next bytes, if there are so many: all numbers are read so.
    fn take<const N: usize>(&mut self) -> Result<[u8; N], TryGetError> {
        match self.bytes.first_chunk::<N>() {
            Some(&taken) if N <= self.budget => {
                self.advance(N);
                Ok(taken)
            }
            _ => Err(TryGetError { requested: N, available: self.remaining() }),
        }
    }

    /// True once every byte has been read.
    pub(crate) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }
}

impl Buf for Bounded {
    fn remaining(&self) -> usize {
        self.bytes.len().min(self.budget).min(ARRAY_ENTRIES_MAX)
    }

    fn chunk(&self) -> &[u8] {
        &self.bytes[..self.remaining()]
    }

    fn advance(&mut self, count: usize) {
        assert!(count <= self.remaining(), "the decoder asks before it reads");
        self.budget -= count;
        self.bytes.advance(count);
    }

    fn try_get_u8(&mut self) -> Result<u8, TryGetError> {
        self.take().map(u8::from_be_bytes)
    }

    fn try_get_i8(&mut self) -> Result<i8, TryGetError> {
        self.take().map(i8::from_be_bytes)
    }

    fn try_get_u16(&mut self) -> Result<u16, TryGetError> {
        self.take().map(u16::from_be_bytes)
    }

    fn try_get_i16(&mut self) -> Result<i16, TryGetError> {
        self.take().map(i16::from_be_bytes)
    }

    fn try_get_u32(&mut self) -> Result<u32, TryGetError> {
        self.take().map(u32::from_be_bytes)
    }

    fn try_get_i32(&mut self) -> Result<i32, TryGetError> {
        self.take().map(i32::from_be_bytes)
    }

    fn try_get_u64(&mut self) -> Result<u64, TryGetError> {
        self.take().map(u64::from_be_bytes)
    }

    fn try_get_i64(&mut self) -> Result<i64, TryGetError> {
        self.take().map(i64::from_be_bytes)
    }
}

impl ByteBuf for Bounded {
    fn peek_bytes(&mut self, range: std::ops::Range<usize>) -> Bytes {
        self.bytes.slice(range)
    }

    fn get_bytes(&mut self, size: usize) -> Bytes {
        self.budget = self.budget.saturating_sub(1);
        self.bytes.split_to(size)
    }

    fn try_peek_bytes(&mut self, range: std::ops::Range<usize>) -> Result<Bytes, NotEnoughBytesError> {
        if self.bytes.len() < range.end {
            return Err(NotEnoughBytesError);
        }
        Ok(self.peek_bytes(range))
    }

    fn try_get_bytes(&mut self, size: usize) -> Result<Bytes, NotEnoughBytesError> {
        if self.bytes.len() < size || self.budget == 0 {
            return Err(NotEnoughBytesError);
        }
        Ok(self.get_bytes(size))
    }
}
