//! Zigzag varints, as records use them.

use bytes::{Buf, Bytes};

use super::decode::DecodeError;

pub(super) fn put(out: &mut Vec<u8>, value: i64) {
    let mut rest = ((value << 1) ^ (value >> 63)) as u64;
    while rest >= 0x80 {
        out.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

pub(super) fn size(value: i64) -> usize {
    let zigzag = ((value << 1) ^ (value >> 63)) as u64;
    let bits = (u64::BITS - (zigzag | 1).leading_zeros()) as usize;
    bits.div_ceil(7)
}

/// Takes a number off the front.
pub(super) fn take(bytes: &mut Bytes) -> Result<i64, DecodeError> {
    let mut zigzag = 0_u64;
    for (index, &byte) in bytes.iter().take(10).enumerate() {
        zigzag |= u64::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            bytes.advance(index + 1);
            return Ok((zigzag >> 1) as i64 ^ -((zigzag & 1) as i64));
        }
    }
    Err(DecodeError::Record("a number has no end"))
}

/// Takes bytes with their length in front; a length of -1 is none.
pub(super) fn take_bytes(bytes: &mut Bytes) -> Result<Option<Bytes>, DecodeError> {
    let length = take(bytes)?;
    if length == -1 {
        return Ok(None);
    }
    let length = usize::try_from(length).map_err(|_| DecodeError::Record("a length is negative"))?;
    if bytes.len() < length {
        return Err(DecodeError::Record("a length goes past the end"));
    }
    Ok(Some(bytes.split_to(length)))
}

pub(super) fn put_bytes(out: &mut Vec<u8>, bytes: Option<&Bytes>) {
    let Some(bytes) = bytes else {
        return put(out, -1);
    };
    put(out, bytes.len() as i64);
    out.extend_from_slice(bytes);
}

pub(super) fn bytes_size(bytes: Option<&Bytes>) -> usize {
    bytes.map_or(1, |bytes| size(bytes.len() as i64) + bytes.len())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_number_reads_back_and_has_the_size_it_was_said_to_have(value in any::<i64>(), shift in 0_u32..64) {
            let value = value >> shift;
            let mut out = Vec::new();
            put(&mut out, value);
            prop_assert_eq!(out.len(), size(value));
            prop_assert_eq!(take(&mut out.into()).unwrap(), value);
        }
    }

    #[test]
    fn ten_bytes_without_an_end_are_no_number() {
        assert!(take(&mut Bytes::from_static(&[0xff; 11])).is_err());
        assert!(take(&mut Bytes::from_static(&[0x80])).is_err());
    }
}
