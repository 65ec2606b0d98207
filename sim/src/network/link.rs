//! Links: how long bytes take from one node to another, and sets of links for faults to name.

use std::collections::BTreeSet;
use std::time::Duration;

use model::Time;

use crate::digest::NodeIndex;
use crate::streams::Stream;

/// What a segment carries at most: a longer write is lost more easily.
const SEGMENT_LENGTH: usize = 1448;

/// The first retransmission of a lost segment comes this much later, each further one twice as late (RFC 6298, as Linux has it).
const RETRANSMISSION_DELAY: Duration = Duration::from_millis(200);

/// A segment that was lost this often gets through.
const LOSSES_IN_A_ROW_MAX: u32 = 6;

/// One direction between two nodes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LinkSettings {
    /// No byte is faster.
    pub latency_min: Duration,
    /// On top of it, exponentially distributed.
    pub latency_mean_extra: Duration,
    /// The chance that a write is one of the slow ones,
    pub tail_chance: f64,
    /// and what that adds, exponentially distributed.
    pub tail_mean: Duration,
    /// The chance that a segment is lost. A stream shows it as delay: the segment is sent again.
    pub loss: f64,
    /// Bytes a second; none is unlimited.
    pub bandwidth: Option<u64>,
}

impl LinkSettings {
    /// A good local network: 0.1 ms at least, 0.2 ms on average, one write in a thousand 10 ms late.
    pub const LOCAL: LinkSettings = LinkSettings {
        latency_min: Duration::from_micros(100),
        latency_mean_extra: Duration::from_micros(100),
        tail_chance: 0.001,
        tail_mean: Duration::from_millis(10),
        loss: 0.0,
        bandwidth: None,
    };

    /// A node and itself.
    pub const LOOPBACK: LinkSettings = LinkSettings {
        latency_min: Duration::from_micros(10),
        latency_mean_extra: Duration::from_micros(5),
        tail_chance: 0.0,
        tail_mean: Duration::ZERO,
        loss: 0.0,
        bandwidth: None,
    };

    /// Always the same latency and nothing else: for tests.
    pub fn constant(latency: Duration) -> LinkSettings {
        LinkSettings {
            latency_min: latency,
            latency_mean_extra: Duration::ZERO,
            tail_chance: 0.0,
            tail_mean: Duration::ZERO,
            loss: 0.0,
            bandwidth: None,
        }
    }
}

/// A set of directed links.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Links(pub(crate) BTreeSet<(NodeIndex, NodeIndex)>);

impl Links {
    /// From each of `from` to each of `to`, and not back.
    pub fn one_way(from: &[NodeIndex], to: &[NodeIndex]) -> Links {
        let pairs = from.iter().flat_map(|&from| to.iter().map(move |&to| (from, to)));
        Links(pairs.filter(|(from, to)| from != to).collect())
    }

    pub fn both_ways(one: &[NodeIndex], other: &[NodeIndex]) -> Links {
        Links::one_way(one, other).and(&Links::one_way(other, one))
    }

    /// Each group apart from every other.
    pub fn split(groups: &[&[NodeIndex]]) -> Links {
        let mut links = Links::default();
        for (index, one) in groups.iter().enumerate() {
            for other in &groups[index + 1..] {
                links = links.and(&Links::both_ways(one, other));
            }
        }
        links
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn and(mut self, others: &Links) -> Links {
        self.0.extend(&others.0);
        self
    }
}

/// One direction between two nodes, with what happens on it.
#[derive(Clone, Debug)]
pub(super) struct Link {
    pub(super) settings: LinkSettings,
    /// Faults that block it now.
    pub(super) blocked_by: u32,
    /// Faults by which requests for a connection are refused, or lost.
    pub(super) refused_by: u32,
    pub(super) ignored_by: u32,
    /// Since when it is blocked.
    pub(super) blocked_since: Time,
    pub(super) queue: Queue,
}

/// Bytes that leave one after the other, at so many a second.
#[derive(Clone, Copy, Debug)]
pub(super) struct Queue {
    /// Bytes a second; none is unlimited.
    bandwidth: Option<u64>,
    /// When the last byte will have left.
    busy_until: Time,
}

impl Queue {
    pub(super) fn new(bandwidth: Option<u64>) -> Queue {
        Queue { bandwidth, busy_until: Time::ZERO }
    }

    /// When the last of `length` bytes has left that join the queue at `now`.
    fn pass(&mut self, now: Time, length: usize) -> Time {
        let Some(bandwidth) = self.bandwidth else { return now };
        let nanos = (length as u128 * 1_000_000_000 / u128::from(bandwidth.max(1))) as u64;
        if now < self.busy_until {
            model::reached!("bytes waited in line for bandwidth");
        }
        self.busy_until = self.busy_until.max(now) + Duration::from_nanos(nanos);
        self.busy_until
    }

    /// Sets the bandwidth and forgets who waits: true if somebody may have, and is to join again.
    pub(super) fn set(&mut self, bandwidth: Option<u64>) -> bool {
        let had_limit = self.bandwidth.is_some();
        let is_other = self.bandwidth != bandwidth;
        if is_other {
            *self = Queue::new(bandwidth);
        }
        had_limit && is_other
    }
}

/// The two queues of one machine's network card.
#[derive(Clone, Copy, Debug)]
pub(super) struct Card {
    pub(super) outward: Queue,
    pub(super) inward: Queue,
}

/// One transmission.
#[derive(Clone, Copy, Debug)]
pub(super) struct Flight {
    /// When the transmission that gets through leaves the sender.
    pub(super) departure: Time,
    pub(super) arrival: Time,
}

impl Link {
    pub(super) fn new(settings: LinkSettings) -> Link {
        let queue = Queue::new(settings.bandwidth);
        Link { settings, blocked_by: 0, refused_by: 0, ignored_by: 0, blocked_since: Time::ZERO, queue }
    }

    /// Sends `length` bytes at `now`, through the cards of both machines if they have a limit: first queue, then fly. Two
    /// draws, whatever the settings.
    pub(super) fn fly(
        &mut self,
        now: Time,
        length: usize,
        cards: Option<[&mut Card; 2]>,
        stream: &mut Stream,
    ) -> Flight {
        let settings = &self.settings;
        let (chance, luck) = (stream.bits(), stream.bits());
        let mut departure = match cards {
            None => self.queue.pass(now, length),
            Some([from, to]) => {
                let departure = self.queue.pass(from.outward.pass(now, length), length);
                to.inward.pass(departure, length)
            }
        };
        if settings.loss > 0.0 {
            departure = departure + retransmissions(settings.loss, length, fraction(luck));
        }
        // The low bits say whether it is slow, the high ones how slow.
        let is_slow = ((chance & 0xff_ffff) as f64) < settings.tail_chance * f64::from(1 << 24);
        let depth = -(1.0 - (chance >> 24) as f64 / (1u64 << 40) as f64).ln();
        let mean = settings.latency_mean_extra + if is_slow { settings.tail_mean } else { Duration::ZERO };
        let extra = Duration::from_nanos((depth * mean.as_nanos() as f64) as u64);
        Flight { departure, arrival: departure + settings.latency_min + extra }
    }
}

/// How long it takes until a write has got through, given one draw.
fn retransmissions(loss: f64, length: usize, luck: f64) -> Duration {
    let segments = 1 + length / SEGMENT_LENGTH;
    let mut chance = 1.0 - (1.0 - loss).powi(segments as i32);
    let mut delay = Duration::ZERO;
    for attempt in 0..LOSSES_IN_A_ROW_MAX {
        if luck >= chance {
            break;
        }
        delay += RETRANSMISSION_DELAY * 2u32.pow(attempt);
        chance *= loss;
    }
    delay
}

fn fraction(bits: u64) -> f64 {
    (bits >> 11) as f64 / (1u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::streams::Streams;

    #[test]
    fn latency_has_its_minimum_and_its_mean() {
        let mut stream = Streams::new(1).stream("network");
        let mut link = Link::new(LinkSettings { tail_chance: 0.0, ..LinkSettings::LOCAL });
        let flights: Vec<_> = (0..10_000).map(|_| link.fly(Time::ZERO, 100, None, &mut stream).arrival.0).collect();
        assert!(flights.iter().all(|&arrival| arrival >= 100_000));
        let mean = flights.iter().sum::<u64>() / 10_000;
        assert!((195_000..205_000).contains(&mean), "{mean}");
    }

    #[test]
    fn loss_is_delay() {
        let mut stream = Streams::new(1).stream("network");
        let mut link = Link::new(LinkSettings { loss: 0.1, ..LinkSettings::constant(Duration::from_millis(1)) });
        let late = (0..10_000).filter(|_| link.fly(Time::ZERO, 100, None, &mut stream).arrival.0 > 200_000_000).count();
        assert!((900..1100).contains(&late), "{late}");
    }

    #[test]
    fn bandwidth_makes_the_second_write_wait_for_the_first() {
        let mut stream = Streams::new(1).stream("network");
        let settings = LinkSettings { bandwidth: Some(1_000_000), ..LinkSettings::constant(Duration::from_millis(1)) };
        let mut link = Link::new(settings);
        let arrivals = [(); 2].map(|()| link.fly(Time::ZERO, 100_000, None, &mut stream).arrival);
        assert_eq!(arrivals, [Time(101_000_000), Time(201_000_000)]);
    }

    #[test]
    fn a_split_cuts_groups_apart_and_leaves_them_whole() {
        let [a, b, c] = [1, 2, 3].map(NodeIndex);
        let links = Links::split(&[&[a, b], &[c]]);
        assert_eq!(links, Links::both_ways(&[c], &[a, b]));
        assert!(!links.0.contains(&(a, b)));
    }
}
