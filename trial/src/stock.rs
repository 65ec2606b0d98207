//! The last thing that is asked of a run: what lies on the disks of those who are up, whatever they say of it.

use evidence::{StoredBatch, What};
use host::Disk;
use model::TopicId;
use storage::checkpoint::read_file;
use storage::stocktaking::{Stock, take_stock};

use crate::stage::Stage;

/// Tells of each log, one after the other. `known` is the topic that has a name by now: what is left of one that had it before is nobody's.
pub(crate) fn take(stage: &Stage, known: impl Fn(&str) -> Option<TopicId>) {
    let servers = (0..stage.roles().len()).filter(|&member| !stage.roles()[member].is_client());
    for member in servers.filter(|&member| stage.is_up(member)) {
        let disk = stage.node(member).disk().look();
        for root in stage.log_dirs(member) {
            let names = disk.list(&root).unwrap_or_default();
            for name in names.iter().filter(|name| is_of_log(name)) {
                let directory = format!("{root}/{name}");
                let owner = owner(&disk, &directory);
                if owner.is_some() && owner != name.rsplit_once('-').and_then(|(topic, _)| known(topic)) {
                    continue;
                }
                // What cannot be read is the world's doing, and no broker's.
                if let Ok(Some(stock)) = take_stock(&disk, &directory) {
                    tell(stage, member, directory, stock);
                }
            }
        }
    }
}

/// The topic that a directory says it belongs to; that of the metadata log says nothing.
fn owner(disk: &impl Disk, directory: &str) -> Option<TopicId> {
    let bytes = read_file(disk, &format!("{directory}/partition.metadata")).ok()??;
    let text = String::from_utf8(bytes).ok()?;
    let id = text.lines().find_map(|line| line.strip_prefix("topic_id: "))?;
    u128::from_str_radix(id, 16).ok().map(TopicId)
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
