//! One connection: two ends and a pipe towards each, where bytes wait until their time of arrival has come.
//!
//! Nothing happens *at* an arrival: a segment carries the time from which its reader may see it, and only a reader that waits is
//! woken then. So a message costs one timer at most, and no task of its own.

use std::collections::VecDeque;
use std::io;
use std::task::Waker;
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use model::Time;

use crate::clock::Clock;
use crate::digest::NodeIndex;

/// Bytes that a writer may be ahead of its peer's reading: both sockets' buffers.
pub const WINDOW: usize = 512 * 1024;

/// A sender that hears nothing of what it sent gives its connection up after this: fifteen retransmissions, as Linux has it.
pub const GIVEN_UP_AFTER: Duration = Duration::from_millis(924_600);

/// Bytes that one read appends at most.
const READ_MAX: usize = 128 * 1024;

/// Not sent at all.
pub(super) const NEVER: Time = Time(u64::MAX);

/// Sent, and kept from arriving by a fault: sent again when that is over.
pub(super) const HELD: Time = Time(u64::MAX - 1);

pub(super) struct Connection {
    /// Its how many-th of the world: no two have the same.
    pub(super) serial: u64,
    pub(super) ends: [End; 2],
    /// `pipes[side]` flows towards `ends[side]`.
    pub(super) pipes: [Pipe; 2],
    /// Nothing passes any more, and nobody is told.
    pub(super) is_stranded: bool,
}

impl Connection {
    /// When `side` will give the connection up, because what it sent is not answered.
    pub(super) fn gives_up(&self, side: Side) -> Time {
        self.pipes[1 - side].given_up
    }

    /// When a reader at `side` will next have something: bytes, the end, a reset, or no more patience.
    pub(super) fn next_for_reader(&self, side: Side) -> Time {
        self.pipes[side].next_arrival().min(self.gives_up(side))
    }

    /// When a writer at `side` learns that it writes in vain.
    pub(super) fn next_for_writer(&self, side: Side) -> Time {
        self.pipes[side].reset.min(self.gives_up(side))
    }
}

/// One of the two ends of a connection: 0 asked for it, 1 was asked.
pub(super) type Side = usize;

pub(super) struct End {
    pub(super) node: NodeIndex,
    pub(super) port: u16,
    pub(super) state: EndState,
    pub(super) has_reader: bool,
    pub(super) has_writer: bool,
    pub(super) reader: Waiter,
    pub(super) writer: Waiter,
    /// Somebody here has been told of the reset.
    knows_of_reset: bool,
    /// The reset is none: this end has given up.
    pub(super) has_given_up: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum EndState {
    Open,
    /// The process is done with it; the machine knows that it was.
    Closed,
    /// The machine lost its power and with it all knowledge of this connection.
    Forgotten,
    /// The machine has no such connection any more; its process may still hold the socket.
    Lost,
}

impl End {
    pub(super) fn new(node: NodeIndex, port: u16) -> End {
        End {
            node,
            port,
            state: EndState::Open,
            has_reader: true,
            has_writer: true,
            reader: Waiter::default(),
            writer: Waiter::default(),
            knows_of_reset: false,
            has_given_up: false,
        }
    }

    /// Nothing can come of this end any more.
    pub(super) fn is_over(&self) -> bool {
        match self.state {
            EndState::Open => false,
            EndState::Closed | EndState::Forgotten => true,
            EndState::Lost => !self.has_reader && !self.has_writer,
        }
    }

    /// The error that a reset is to whoever comes next: news to the first, unless the stream had ended before.
    pub(super) fn reset_error(&mut self, had_ended: bool) -> io::Error {
        let is_news = !std::mem::replace(&mut self.knows_of_reset, true) && !had_ended;
        match is_news {
            true if self.has_given_up => io::ErrorKind::TimedOut.into(),
            true => io::ErrorKind::ConnectionReset.into(),
            false => io::ErrorKind::BrokenPipe.into(),
        }
    }
}

/// Who waits for something on a pipe, and when they will be woken.
#[derive(Default)]
pub(super) struct Waiter {
    waker: Option<Waker>,
    alarm: Option<Time>,
}

impl Waiter {
    /// Waits with `waker`; wakes it at `at` if that is known already.
    pub(super) fn wait(&mut self, waker: &Waker, at: Time, clock: &Clock) {
        if !self.waker.as_ref().is_some_and(|known| known.will_wake(waker)) {
            self.waker = Some(waker.clone());
            self.alarm = None;
        }
        let at = Some(at).filter(|&at| at < HELD);
        if let Some(at) = at
            && self.alarm != Some(at)
        {
            clock.wake_at(at, waker);
        }
        self.alarm = at;
    }

    /// Something will be there at `at`.
    pub(super) fn announce(&mut self, at: Time, clock: &Clock) {
        if let Some(waker) = &self.waker
            && at < HELD
            && self.alarm.is_none_or(|alarm| at < alarm)
        {
            clock.wake_at(at, waker);
            self.alarm = Some(at);
        }
    }

    /// Something is there now.
    pub(super) fn wake(&mut self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    pub(super) fn done(&mut self) {
        self.waker = None;
    }
}

/// The bytes on their way to one end.
pub(super) struct Pipe {
    segments: VecDeque<Segment>,
    /// When the end of the stream arrives.
    pub(super) finish: Time,
    /// When the word arrives that the connection is gone.
    pub(super) reset: Time,
    /// Nothing overtakes this.
    last_arrival: Time,
    /// Bytes written and not known to be read.
    in_window: usize,
    /// Bytes read, of which the sender does not know because the way back is blocked.
    unacknowledged: usize,
    /// When the sender gives up because nothing that it sent since a blockage began is answered.
    given_up: Time,
}

struct Segment {
    departure: Time,
    arrival: Time,
    bytes: Bytes,
}

impl Pipe {
    pub(super) fn new() -> Pipe {
        Pipe {
            segments: VecDeque::new(),
            finish: NEVER,
            reset: NEVER,
            last_arrival: Time::ZERO,
            in_window: 0,
            unacknowledged: 0,
            given_up: NEVER,
        }
    }

    pub(super) fn room(&self) -> usize {
        WINDOW - self.in_window
    }

    /// When a reader will next have something: bytes, the end, or a reset.
    pub(super) fn next_arrival(&self) -> Time {
        let stream = self.segments.front().map_or(self.finish, |segment| segment.arrival);
        stream.min(self.reset)
    }

    /// Moves an arrival behind all that was sent before it.
    pub(super) fn in_order(&mut self, arrival: Time) -> Time {
        if arrival < HELD {
            self.last_arrival = self.last_arrival.max(arrival);
            self.last_arrival
        } else {
            arrival
        }
    }

    /// Something was sent at `now` that cannot be answered.
    pub(super) fn is_unanswered(&mut self, now: Time) {
        if self.given_up == NEVER {
            self.given_up = now + GIVEN_UP_AFTER;
        }
    }

    /// Whatever was sent will be answered.
    pub(super) fn is_answered(&mut self) {
        self.given_up = NEVER;
    }

    /// Puts bytes on their way; `arrival` is in order.
    pub(super) fn push(&mut self, bytes: Bytes, departure: Time, arrival: Time) {
        self.in_window += bytes.len();
        self.segments.push_back(Segment { departure, arrival, bytes });
    }

    /// Appends what has arrived by `now` to `buffer`, and says how much.
    pub(super) fn pull(&mut self, now: Time, buffer: &mut BytesMut) -> usize {
        let mut length = 0;
        while let Some(segment) = self.segments.front_mut().filter(|segment| segment.arrival <= now) {
            let part = segment.bytes.len().min(READ_MAX - length);
            buffer.extend_from_slice(&segment.bytes[..part]);
            length += part;
            if part < segment.bytes.len() {
                segment.bytes.advance(part);
                break;
            }
            self.segments.pop_front();
        }
        length
    }

    /// The sender learns that `length` bytes were read.
    pub(super) fn acknowledge(&mut self, length: usize) {
        self.in_window -= length;
    }

    /// The sender does not learn yet that `length` bytes were read.
    pub(super) fn acknowledge_later(&mut self, length: usize) {
        self.unacknowledged += length;
    }

    /// The way back is free: true if the sender has room because of it.
    pub(super) fn acknowledge_now(&mut self) -> bool {
        let length = std::mem::take(&mut self.unacknowledged);
        self.in_window -= length;
        length > 0
    }

    /// When the first bytes arrive at an end that does not want them, if any are on their way.
    pub(super) fn first_unwanted(&self) -> Option<Time> {
        self.segments.front().map(|segment| segment.arrival)
    }

    /// All that was sent has been read, and the end of the stream is here.
    pub(super) fn has_ended(&self, now: Time) -> bool {
        self.segments.is_empty() && self.finish <= now
    }

    pub(super) fn has_unread(&self, now: Time) -> bool {
        self.segments.front().is_some_and(|segment| segment.arrival <= now)
    }

    pub(super) fn discard(&mut self) {
        self.segments.clear();
    }

    /// What has arrived by `at` is lost; what has not will be refused.
    pub(super) fn discard_received(&mut self, at: Time) {
        self.segments.retain(|segment| segment.arrival > at);
        if self.finish > at {
            self.finish = NEVER;
        }
    }

    /// Keeps from arriving what has not arrived by `now`.
    pub(super) fn hold(&mut self, now: Time) {
        for segment in self.segments.iter_mut().filter(|segment| segment.arrival > now) {
            segment.arrival = HELD;
        }
        for arrival in [&mut self.finish, &mut self.reset] {
            if *arrival > now && *arrival != NEVER {
                *arrival = HELD;
            }
        }
        self.last_arrival = self.last_arrival.min(now);
    }

    /// Something is on its way at `now`, or held.
    pub(super) fn is_under_way(&self, now: Time) -> bool {
        let finish = Some(self.finish).filter(|&finish| finish != NEVER);
        finish.or(self.segments.back().map(|segment| segment.arrival)).is_some_and(|last| last > now)
    }

    /// Takes back what has not left by `now`, to be sent anew. False if there is nothing.
    pub(super) fn hold_unsent(&mut self, now: Time) -> bool {
        let waits = |segment: &Segment| segment.departure > now && segment.arrival < HELD;
        let Some(first) = self.segments.iter().position(waits) else { return false };
        self.segments.iter_mut().skip(first).for_each(|segment| segment.arrival = HELD);
        for behind in [&mut self.finish, &mut self.reset] {
            if *behind > now && *behind != NEVER {
                *behind = HELD;
            }
        }
        let last = first.checked_sub(1).map_or(now, |last| self.segments[last].arrival);
        self.last_arrival = self.last_arrival.min(last.max(now));
        true
    }

    pub(super) fn held_bytes(&self) -> usize {
        self.segments.iter().filter(|segment| segment.arrival == HELD).map(|segment| segment.bytes.len()).sum()
    }

    pub(super) fn holds_anything(&self) -> bool {
        self.segments.back().is_some_and(|segment| segment.arrival == HELD) || self.finish == HELD || self.reset == HELD
    }

    /// Lets what was held arrive.
    pub(super) fn release(&mut self, departure: Time, arrival: Time) {
        let arrival = self.in_order(arrival);
        for segment in self.segments.iter_mut().filter(|segment| segment.arrival == HELD) {
            (segment.departure, segment.arrival) = (departure, arrival);
        }
        for held in [&mut self.finish, &mut self.reset] {
            if *held == HELD {
                *held = arrival;
            }
        }
    }

    /// The sender is no more from `now` on: what has not left never will.
    pub(super) fn cut_off(&mut self, now: Time) {
        let has_left = |segment: &&Segment| segment.departure <= now && segment.arrival < HELD;
        let left = self.segments.iter().take_while(has_left).count();
        if left < self.segments.len() || self.finish == HELD {
            self.finish = NEVER;
        }
        if self.reset == HELD {
            self.reset = NEVER;
        }
        self.segments.truncate(left);
    }

    /// The receiving machine goes dark at `now`: what it had is gone, what it had not acknowledged will be sent again.
    pub(super) fn lose_received(&mut self, now: Time) {
        self.segments.retain(|segment| segment.arrival > now);
        self.hold(now);
    }
}
