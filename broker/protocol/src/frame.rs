//! Frames: a four-byte big-endian length, then so many bytes.

use bytes::{Buf, Bytes, BytesMut};
use thiserror::Error;

use crate::limits::FRAME_RESERVE_MAX;

const LENGTH_SIZE: usize = 4;

/// Why a stream is not a stream of frames: close the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum FrameError {
    #[error("a frame claims {0} bytes")]
    Negative(i32),
    #[error("a frame claims {claimed} bytes, more than the {max} that are taken")]
    TooLarge { claimed: usize, max: usize },
}

/// Takes the first whole frame out of `buffer`, without its length and without a copy; none if it has not all arrived.
///
/// # Errors
/// If the length is negative or more than `bytes_max`. Nothing can follow on this stream.
pub fn next_frame(buffer: &mut BytesMut, bytes_max: usize) -> Result<Option<Bytes>, FrameError> {
    let Some(length) = buffer.first_chunk::<LENGTH_SIZE>() else {
        return Ok(None);
    };
    let length = i32::from_be_bytes(*length);
    let claimed = usize::try_from(length).map_err(|_| FrameError::Negative(length))?;
    if claimed > bytes_max {
        return Err(FrameError::TooLarge { claimed, max: bytes_max });
    }
    let whole = LENGTH_SIZE + claimed;
    if buffer.len() < whole {
        // Never on a mere claim: at most as much again as has arrived, or a small constant.
        let missing = whole - buffer.len();
        buffer.reserve(missing.min(buffer.len().max(FRAME_RESERVE_MAX)));
        return Ok(None);
    }
    let mut frame = buffer.split_to(whole);
    frame.advance(LENGTH_SIZE);
    Ok(Some(frame.freeze()))
}

#[cfg(test)]
mod tests {
    use bytes::BufMut;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_claim_of_two_gigabytes_is_refused_and_reserves_nothing() {
        let mut buffer = BytesMut::from(&[0x7f, 0xff, 0xff, 0xff][..]);
        assert_eq!(
            next_frame(&mut buffer, 1 << 20),
            Err(FrameError::TooLarge { claimed: i32::MAX as usize, max: 1 << 20 })
        );
        let mut buffer = BytesMut::from(&[0x7f, 0xff, 0xff, 0xff][..]);
        assert_eq!(next_frame(&mut buffer, usize::MAX), Ok(None));
        assert!(buffer.capacity() <= 2 * FRAME_RESERVE_MAX);
    }

    #[test]
    fn a_negative_length_is_refused() {
        let mut buffer = BytesMut::from(&[0xff, 0xff, 0xff, 0xfe][..]);
        assert_eq!(next_frame(&mut buffer, 1 << 20), Err(FrameError::Negative(-2)));
    }

    #[test]
    fn an_empty_frame_is_a_frame() {
        let mut buffer = BytesMut::from(&[0, 0, 0, 0][..]);
        assert_eq!(next_frame(&mut buffer, 10), Ok(Some(Bytes::new())));
        assert!(buffer.is_empty());
    }

    proptest! {
        #[test]
        fn frames_arrive_whole_however_the_stream_is_cut(
            frames in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..8),
            piece in 1_usize..17,
        ) {
            let mut stream = Vec::new();
            for frame in &frames {
                stream.put_i32(frame.len() as i32);
                stream.put_slice(frame);
            }
            let mut buffer = BytesMut::new();
            let mut seen = Vec::new();
            for bytes in stream.chunks(piece) {
                buffer.extend_from_slice(bytes);
                while let Some(frame) = next_frame(&mut buffer, 1 << 10).unwrap() {
                    seen.push(frame.to_vec());
                }
            }
            prop_assert_eq!(seen, frames);
        }
    }
}
