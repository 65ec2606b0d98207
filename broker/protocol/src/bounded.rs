//! Bytes of one message with a budget: what keeps a small frame from asking for much memory.
//!
//! The message decoder trusts `remaining` to bound its arrays. This buffer answers with the smallest of what is left, what
//! an array may have, and what is left of the budget for structure; strings and records are handed out uncopied and cost one.

use bytes::{Buf, Bytes};
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

    pub(crate) fn starts_with(&self, bytes: &[u8]) -> bool {
        self.bytes.starts_with(bytes)
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
