//! Which replicas a throttle of replication holds back, as topics' settings say it: `*` for all, or each as `partition:broker`.

use model::BrokerId;

use super::topic_settings::items;

const ALL: &str = "*";

/// Does this list name the replica of the partition that is on this broker?
pub fn is_throttled(list: &str, partition: i32, broker: BrokerId) -> bool {
    items(list).any(|item| item == ALL || replica(item) == Some((partition, broker)))
}

/// True if everything in the list is the name of a replica, or of all.
pub(super) fn is_list(list: &str) -> bool {
    list.trim() == ALL || items(list).all(|item| replica(item).is_some())
}

fn replica(item: &str) -> Option<(i32, BrokerId)> {
    let (partition, broker) = item.split_once(':')?;
    let number = |text: &str| text.parse().ok().filter(|number| 0 <= *number);
    Some((number(partition)?, BrokerId(number(broker)?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_names_replicas_by_partition_and_broker_or_all_of_them() {
        assert!(is_throttled("0:1,3:2", 3, BrokerId(2)) && is_throttled("*", 7, BrokerId(9)));
        assert!(!is_throttled("0:1,3:2", 0, BrokerId(2)) && !is_throttled("", 0, BrokerId(0)));
        assert!(is_list("") && is_list("*") && is_list("0:1, 3:2"));
        assert!(!is_list("0") && !is_list("0:-1") && !is_list("*,0:1") && !is_list("all"));
    }
}
