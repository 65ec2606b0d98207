//! Record batches made by hand, with real records and a true checksum.

/// What a batch is made from.
#[derive(Clone, Debug)]
pub(crate) struct Recipe {
    pub(crate) base_offset: i64,
    pub(crate) epoch: i32,
    /// One timestamp a record.
    pub(crate) timestamps: Vec<i64>,
    /// Bytes of each record's value.
    pub(crate) value_bytes: usize,
    /// Producer id, producer epoch and first sequence.
    pub(crate) producer: (i64, i16, i32),
}

/// Without idempotence.
pub(crate) const NO_PRODUCER: (i64, i16, i32) = (-1, -1, -1);

impl Recipe {
    pub(crate) fn build(&self) -> Vec<u8> {
        let base_timestamp = self.timestamps[0];
        let mut records = Vec::new();
        for (delta, timestamp) in self.timestamps.iter().enumerate() {
            let mut record = vec![0];
            varint(&mut record, timestamp - base_timestamp);
            varint(&mut record, delta as i64);
            varint(&mut record, -1);
            varint(&mut record, self.value_bytes as i64);
            record.extend((0..self.value_bytes).map(|at| (self.base_offset as usize + at + delta) as u8));
            varint(&mut record, 0);
            varint(&mut records, record.len() as i64);
            records.extend(record);
        }
        let count = self.timestamps.len() as i32;
        let latest = self.timestamps.iter().max().copied().unwrap_or(-1);
        let mut bytes = Vec::with_capacity(61 + records.len());
        bytes.extend(self.base_offset.to_be_bytes());
        bytes.extend((49 + records.len() as i32).to_be_bytes());
        bytes.extend(self.epoch.to_be_bytes());
        bytes.push(2);
        bytes.extend([0; 4]);
        bytes.extend([0; 2]);
        bytes.extend((count - 1).to_be_bytes());
        bytes.extend(base_timestamp.to_be_bytes());
        bytes.extend(latest.to_be_bytes());
        let (producer, producer_epoch, sequence) = self.producer;
        bytes.extend(producer.to_be_bytes());
        bytes.extend(producer_epoch.to_be_bytes());
        bytes.extend(sequence.to_be_bytes());
        bytes.extend(count.to_be_bytes());
        bytes.extend(records);
        let checksum = crc32c::crc32c(&bytes[21..]);
        bytes[17..21].copy_from_slice(&checksum.to_be_bytes());
        bytes
    }
}

/// A batch of `records` records of `value_bytes` each.
pub(crate) fn batch(base_offset: i64, epoch: i32, records: usize, value_bytes: usize) -> Vec<u8> {
    batch_of(NO_PRODUCER, base_offset, epoch, records, value_bytes)
}

/// The same, of a producer.
pub(crate) fn batch_of(
    producer: (i64, i16, i32),
    base_offset: i64,
    epoch: i32,
    records: usize,
    value_bytes: usize,
) -> Vec<u8> {
    let timestamps = (0..records as i64).map(|at| 1_000 + base_offset + at).collect();
    Recipe { base_offset, epoch, timestamps, value_bytes, producer }.build()
}

fn varint(bytes: &mut Vec<u8>, value: i64) {
    let mut rest = ((value << 1) ^ (value >> 63)) as u64;
    while 0x80 <= rest {
        bytes.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    bytes.push(rest as u8);
}
