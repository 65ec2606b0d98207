//! Batches on their way out: bytes, or where they lie in a file, so that a host that can sends them from there.

use bytes::Bytes;
use host::FileRange;

#[derive(Clone, Debug)]
pub enum Records {
    InMemory(Bytes),
    /// As they were written, with nobody having looked since.
    InFile(FileRange),
}

impl Records {
    /// Bytes.
    pub fn len(&self) -> usize {
        match self {
            Records::InMemory(bytes) => bytes.len(),
            Records::InFile(range) => range.length(),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Default for Records {
    fn default() -> Records {
        Records::InMemory(Bytes::new())
    }
}

impl From<Bytes> for Records {
    fn from(bytes: Bytes) -> Records {
        Records::InMemory(bytes)
    }
}
