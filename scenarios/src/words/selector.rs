//! Selectors: whom a fault means, resolved at the moment when it begins.

use std::fmt;
use std::str::FromStr;

use super::{WordError, nearest, word};

/// One partition by its topic's name: `orders/0`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PartitionName {
    pub topic: String,
    pub index: u32,
}

/// One node or several, in words.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Selector {
    /// The broker that leads the partition.
    LeaderOf(PartitionName),
    /// One replica that does not lead, drawn.
    FollowerOf(PartitionName),
    /// Every replica that does not lead.
    FollowersOf(PartitionName),
    /// The leader and its followers.
    ReplicasOf(PartitionName),
    /// One replica in sync that does not lead, drawn.
    FollowerInSyncOf(PartitionName),
    /// Every replica in sync that does not lead.
    FollowersInSyncOf(PartitionName),
    /// The active controller, wherever it runs.
    Controller,
    /// By number, from 1.
    Broker(u32),
    RandomBroker,
    /// So many brokers, drawn.
    AnyBrokers(u32),
    /// Fewer than half of the brokers, at least one.
    RandomMinority,
    /// More than half of the brokers, not all.
    RandomMajority,
    AllBrokers,
    /// Brokers and separate controllers.
    AllNodes,
    /// By its place in the file, from 1.
    Producer(u32),
    Consumer(u32),
    RandomClient,
    AllClients,
    /// All of these, none of them such a list itself.
    Several(Vec<Selector>),
}

word!(
    Selector,
    "nodes in words, such as \"leader of orders/0\", \"broker 2\", \"controller\" or \"random minority\"",
    r"^((leader|followers?|followers? in sync|replicas) of [A-Za-z0-9._-]+/[0-9]+|(broker|producer|consumer) [0-9]+|any [0-9]+ brokers|controller|random (broker|minority|majority|client)|all (brokers|nodes|clients))( and ((leader|followers?|followers? in sync|replicas) of [A-Za-z0-9._-]+/[0-9]+|(broker|producer|consumer) [0-9]+|any [0-9]+ brokers|controller|random (broker|minority|majority|client)|all (brokers|nodes|clients)))*$"
);

const FIXED: [(&str, Selector); 8] = [
    ("controller", Selector::Controller),
    ("random broker", Selector::RandomBroker),
    ("random minority", Selector::RandomMinority),
    ("random majority", Selector::RandomMajority),
    ("all brokers", Selector::AllBrokers),
    ("all nodes", Selector::AllNodes),
    ("random client", Selector::RandomClient),
    ("all clients", Selector::AllClients),
];

impl Selector {
    /// The partition that it speaks of.
    pub fn partition(&self) -> Option<&PartitionName> {
        match self {
            Selector::LeaderOf(partition)
            | Selector::FollowerOf(partition)
            | Selector::FollowersOf(partition)
            | Selector::ReplicasOf(partition)
            | Selector::FollowerInSyncOf(partition)
            | Selector::FollowersInSyncOf(partition) => Some(partition),
            _ => None,
        }
    }

    /// The selectors that it is made of: itself, if it is no list.
    pub fn parts(&self) -> &[Selector] {
        match self {
            Selector::Several(parts) => parts,
            one => std::slice::from_ref(one),
        }
    }

    /// True if it can mean clients.
    pub fn means_clients(&self) -> bool {
        let is_client = |one: &Selector| {
            matches!(one, Selector::Producer(_) | Selector::Consumer(_) | Selector::RandomClient | Selector::AllClients)
        };
        self.parts().iter().any(is_client)
    }
}

impl fmt::Display for PartitionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.topic, self.index)
    }
}

impl FromStr for PartitionName {
    type Err = WordError;

    fn from_str(text: &str) -> Result<PartitionName, WordError> {
        let wrong = || {
            let help = "write the topic's name, a slash and the partition's number, such as \"orders/0\"";
            WordError::new(format!("\"{text}\" is not a partition"), help)
        };
        let (topic, index) = text.rsplit_once('/').filter(|(topic, _)| !topic.is_empty()).ok_or_else(wrong)?;
        let index = index.parse().map_err(|_| wrong())?;
        Ok(PartitionName { topic: topic.into(), index })
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Selector::LeaderOf(partition) => write!(f, "leader of {partition}"),
            Selector::FollowerOf(partition) => write!(f, "follower of {partition}"),
            Selector::FollowersOf(partition) => write!(f, "followers of {partition}"),
            Selector::ReplicasOf(partition) => write!(f, "replicas of {partition}"),
            Selector::FollowerInSyncOf(partition) => write!(f, "follower in sync of {partition}"),
            Selector::FollowersInSyncOf(partition) => write!(f, "followers in sync of {partition}"),
            Selector::AnyBrokers(count) => write!(f, "any {count} brokers"),
            Selector::Several(parts) => {
                for (place, part) in parts.iter().enumerate() {
                    write!(f, "{}{part}", if place == 0 { "" } else { " and " })?;
                }
                Ok(())
            }
            Selector::Broker(number) => write!(f, "broker {number}"),
            Selector::Producer(number) => write!(f, "producer {number}"),
            Selector::Consumer(number) => write!(f, "consumer {number}"),
            fixed => {
                let word = FIXED.iter().find(|(_, selector)| selector == fixed).map_or("", |(word, _)| word);
                f.write_str(word)
            }
        }
    }
}

impl FromStr for Selector {
    type Err = WordError;

    fn from_str(text: &str) -> Result<Selector, WordError> {
        if text.contains(" and ") {
            let parts: Result<Vec<Selector>, WordError> = text.split(" and ").map(str::parse).collect();
            return Ok(Selector::Several(parts?));
        }
        if let Some((_, selector)) = FIXED.iter().find(|(word, _)| *word == text) {
            return Ok(selector.clone());
        }
        match text.split_once(" of ") {
            Some(("leader", partition)) => return partition.parse().map(Selector::LeaderOf),
            Some(("follower", partition)) => return partition.parse().map(Selector::FollowerOf),
            Some(("followers", partition)) => return partition.parse().map(Selector::FollowersOf),
            Some(("replicas", partition)) => return partition.parse().map(Selector::ReplicasOf),
            Some(("follower in sync", partition)) => return partition.parse().map(Selector::FollowerInSyncOf),
            Some(("followers in sync", partition)) => return partition.parse().map(Selector::FollowersInSyncOf),
            _ => {}
        }
        if let Some(count) = text.strip_prefix("any ").and_then(|rest| rest.strip_suffix(" brokers")) {
            return count.parse().map(Selector::AnyBrokers).map_err(|_| unknown(text));
        }
        let numbered = text.split_once(' ').and_then(|(noun, number)| Some((noun, number.parse::<u32>().ok()?)));
        match numbered {
            Some(("broker" | "producer" | "consumer", 0)) => {
                Err(WordError::new(format!("\"{text}\" does not exist"), "they are counted from 1"))
            }
            Some(("broker", number)) => Ok(Selector::Broker(number)),
            Some(("producer", number)) => Ok(Selector::Producer(number)),
            Some(("consumer", number)) => Ok(Selector::Consumer(number)),
            _ => Err(unknown(text)),
        }
    }
}

fn unknown(text: &str) -> WordError {
    let message = format!("\"{text}\" selects nobody");
    let partition = text.rsplit(' ').next().filter(|last| last.contains('/')).unwrap_or("orders/0");
    let digits: String = text.chars().filter(char::is_ascii_digit).collect();
    let number = if digits.is_empty() { "1" } else { digits.as_str() };
    let mut candidates: Vec<String> = FIXED.iter().map(|(word, _)| (*word).to_string()).collect();
    candidates.extend(["leader", "follower", "followers", "replicas"].map(|role| format!("{role} of {partition}")));
    candidates.extend(["follower", "followers"].map(|role| format!("{role} in sync of {partition}")));
    candidates.extend(["broker", "producer", "consumer"].map(|noun| format!("{noun} {number}")));
    candidates.push(format!("any {number} brokers"));
    let help = match nearest(text, candidates.iter().map(String::as_str)) {
        Some(word) => format!("did you mean \"{word}\"?"),
        None => "write one of: \"leader of orders/0\", \"follower of orders/0\", \"followers of orders/0\", \
                 \"replicas of orders/0\", \"follower in sync of orders/0\", \"followers in sync of orders/0\", \"controller\", \"broker 2\", \
                 \"any 2 brokers\", \"random broker\", \"random minority\", \"random majority\", \"all brokers\", \"all nodes\", \
                 \"producer 1\", \"consumer 1\", \"random client\", \"all clients\"; or several, with \" and \" between them"
            .into(),
    };
    WordError::new(message, help)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn selectors_read_back_as_they_were_written() {
        let others = [
            "leader of orders/0",
            "follower of a.b_c/12",
            "followers of x/1",
            "replicas of x/1",
            "follower in sync of x/1",
            "followers in sync of x/1",
            "any 2 brokers",
            "broker 2",
            "producer 1",
            "consumer 3",
            "broker 1 and broker 2",
            "leader of orders/0 and random client and controller",
        ];
        for text in FIXED.iter().map(|(word, _)| *word).chain(others) {
            assert_eq!(text.parse::<Selector>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn a_selector_with_a_slip_is_answered_with_the_one_that_was_meant() {
        for (slip, meant) in [
            ("leadr of orders/3", "leader of orders/3"),
            ("broker2", "broker 2"),
            ("random minorty", "random minority"),
            ("all broker", "all brokers"),
            ("Controller", "controller"),
            ("any 2 broker", "any 2 brokers"),
            ("follower insync of orders/1", "follower in sync of orders/1"),
            ("broker 1 and brokr 2", "broker 2"),
        ] {
            let error = slip.parse::<Selector>().unwrap_err();
            assert_eq!(error.help, format!("did you mean \"{meant}\"?"));
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_a_selector_panic(text in ".{0,30}") {
            let _ = text.parse::<Selector>();
        }
    }
}
