//! The last thing that is asked of a run: what lies on the disks of those who are up, whatever they say of it.

use evidence::{StoredBatch, What};
use host::Disk;
use storage::stocktaking::{Stock, take_stock};

use crate::stage::Stage;

/// Tells of each log, one after the other.
pub(crate) fn take(stage: &Stage) {
    let servers = (0..stage.roles().len()).filter(|&member| !stage.roles()[member].is_client());
    for member in servers.filter(|&member| stage.is_up(member)) {
        let disk = stage.node(member).disk().look();
        for root in stage.log_dirs(member) {
            let names = disk.list(&root).unwrap_or_default();
            for name in names.iter().filter(|name| is_of_log(name)) {
                let directory = format!("{root}/{name}");
                // What cannot be read is the world's doing, and no broker's.
                if let Ok(Some(stock)) = take_stock(&disk, &directory) {
                    tell(stage, member, directory, stock);
                }
            }
        }
    }
}

/// A topic's name and a partition's number, or what the metadata log's directory is called.
fn is_of_log(name: &str) -> bool {
    name.rsplit_once('-').is_some_and(|(_, number)| number.parse::<u32>().is_ok())
}

fn tell(stage: &Stage, member: usize, directory: String, stock: Stock) {
    let node = stage.node(member);
    for flaw in stock.flaws {
        let (file, position, reason, producer) = (flaw.file, flaw.position, flaw.reason, flaw.producer);
        node.note(What::LogFlawed { file, position, reason, producer });
    }
    let batches = stock.batches.iter().map(|header| StoredBatch {
        base: header.base_offset,
        end: header.end_offset(),
        epoch: header.leader_epoch,
        crc: if header.record_count == 0 { 0 } else { header.crc },
    });
    let (start, end, batches) = (stock.start, stock.end, batches.collect());
    node.note(What::LogStored { directory, start, end, batches });
}
