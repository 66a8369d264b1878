//! The seats of one level and the queues before them. Pure: times come in, and who waits is an opaque `T`.
//!
//! Fair queuing by start times: a queue's next request has a virtual start, the virtual end of the one before it or the
//! virtual time at which the queue became busy; the smallest start goes first. The cost of a request is its seats times
//! its duration: guessed when it starts, corrected when it ends. A flow has a hand of queues dealt by its hash (shuffle
//! sharding) and takes the least loaded, so that a flow that floods its queues leaves most flows one of their own.
//!
//! Who comes when nobody waits and seats are free runs at once, in no queue and at no cost: there is nobody to be fair
//! to.

use std::collections::VecDeque;
use std::time::Duration;

use super::demand::{Demand, Smoothed};

/// How long a request is taken to run until it has, in seconds (`estimatedServiceDuration` upstream).
pub const GUESS: f64 = 0.003;

/// What a level does with its requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Runs them all.
    Exempt,
    /// Turns away who finds no seat.
    Reject,
    /// Lets them wait.
    Queue {
        /// How many queues there are.
        queues: u32,
        /// How many of them one flow may use.
        hand_size: u32,
        /// How many requests one holds.
        length_limit: u32,
    },
}

/// Why a request is turned away; the words are upstream's metric labels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// `concurrency-limit`
    ConcurrencyLimit,
    /// `queue-full`
    QueueFull,
    /// `time-out`
    TimeOut,
    /// `cancelled`
    Cancelled,
}

impl Reason {
    /// All of them, each at its own place.
    pub const ALL: [Self; 4] = [Self::ConcurrencyLimit, Self::QueueFull, Self::TimeOut, Self::Cancelled];
}

/// Seats taken. Must be given back with [`Seats::finish`].
#[derive(Debug)]
#[must_use]
pub struct Grant {
    seats: u32,
    /// The queue it waited in, and in which arrangement of queues.
    queue: Option<(u32, usize)>,
    started: Duration,
}

impl Grant {
    /// How many seats.
    pub fn seats(&self) -> u32 {
        self.seats
    }
}

/// A place in a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ticket {
    number: u64,
    queue: usize,
}

/// What happens to a request that comes.
#[derive(Debug)]
pub enum Offer {
    /// It runs.
    Run(Grant),
    /// It waits, or is among the next [`Seats::dispatch`].
    Wait(Ticket),
    /// It is turned away.
    Reject(Reason),
}

/// One who waits.
#[derive(Debug)]
pub struct Waiter<T> {
    number: u64,
    /// How many seats it needs.
    pub width: u32,
    /// Who.
    pub who: T,
}

/// One queue.
#[derive(Debug)]
pub struct Queue<T> {
    /// Who waits, the oldest first.
    pub waiting: VecDeque<Waiter<T>>,
    /// Requests of it that run.
    pub executing: u32,
    /// Their seats.
    pub seats_in_use: u32,
    /// The virtual start of its next request, in seat-seconds.
    pub next_start: f64,
}

impl<T> Default for Queue<T> {
    fn default() -> Self {
        Self { waiting: VecDeque::new(), executing: 0, seats_in_use: 0, next_start: 0.0 }
    }
}

impl<T> Queue<T> {
    /// The seats that its requests have and want.
    pub fn load(&self) -> u32 {
        self.seats_in_use + self.waiting.iter().map(|waiter| waiter.width).sum::<u32>()
    }
}

/// What became of a level's requests so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Totals {
    pub dispatched: u64,
    pub rejected: u64,
    pub timed_out: u64,
    pub cancelled: u64,
}

/// The seats of a level and who waits for them.
#[derive(Debug)]
pub struct Seats<T> {
    mode: Mode,
    limit: u32,
    in_use: u32,
    executing: u32,
    waiting: u32,
    waiting_seats: u32,
    queues: Vec<Queue<T>>,
    /// Counts the arrangements of queues.
    arrangement: u32,
    virtual_time: f64,
    tickets: u64,
    demand: Demand,
    totals: Totals,
}

impl<T> Seats<T> {
    /// A level's seats, all free.
    pub fn new(mode: Mode, limit: u32) -> Self {
        let mut seats = Self {
            mode: Mode::Reject,
            limit,
            in_use: 0,
            executing: 0,
            waiting: 0,
            waiting_seats: 0,
            queues: Vec::new(),
            arrangement: 0,
            virtual_time: 0.0,
            tickets: 0,
            demand: Demand::default(),
            totals: Totals::default(),
        };
        seats.reconfigure(mode);
        seats
    }

    /// Changes what happens to who finds no seat; [`Self::dispatch`] afterwards. Who waits stays in line: as long as
    /// somebody does, queues are only added.
    pub fn reconfigure(&mut self, mode: Mode) {
        if mode == self.mode {
            return;
        }
        self.mode = mode;
        let wanted = if let Mode::Queue { queues, .. } = mode { queues as usize } else { 0 };
        if self.waiting == 0 {
            // Nobody has a place to lose; who runs is not counted against a queue of another arrangement.
            self.arrangement = self.arrangement.wrapping_add(1);
            self.queues.clear();
        }
        self.queues.resize_with(self.queues.len().max(wanted), Queue::default);
    }

    /// Changes how many seats there are; [`Self::dispatch`] afterwards.
    pub fn set_limit(&mut self, limit: u32) {
        self.limit = limit;
    }

    /// A request of `width` seats comes. `hash` is its flow's, asked for only if it has to wait; so is `who`.
    pub fn offer(
        &mut self,
        width: u32,
        now: Duration,
        hash: impl FnOnce() -> u64,
        who: impl FnOnce() -> T,
    ) -> Offer {
        if self.waiting == 0 && self.fits(width) {
            return Offer::Run(self.take(width, None, now));
        }
        let Mode::Queue { queues, hand_size, length_limit } = self.mode else {
            self.totals.rejected += 1;
            return Offer::Reject(Reason::ConcurrencyLimit);
        };
        let index = self.least_loaded(deal(hash(), queues, hand_size));
        let queue = &mut self.queues[index];
        if queue.waiting.len() >= length_limit as usize {
            self.totals.rejected += 1;
            return Offer::Reject(Reason::QueueFull);
        }
        if queue.waiting.is_empty() && queue.executing == 0 {
            queue.next_start = queue.next_start.max(self.virtual_time);
        }
        self.tickets += 1;
        let number = self.tickets;
        queue.waiting.push_back(Waiter { number, width, who: who() });
        self.waiting += 1;
        self.waiting_seats += width;
        self.note_demand(now);
        Offer::Wait(Ticket { number, queue: index })
    }

    /// Gives seats to those whose turn it is, as far as seats are free. They have their grants now.
    #[must_use]
    pub fn dispatch(&mut self, now: Duration) -> Vec<(T, Grant)> {
        let mut chosen = Vec::new();
        while self.waiting > 0 {
            let Some(index) = self.next_queue() else { break };
            // Nobody overtakes a wide one, or it would never find enough seats.
            let width = self.queues[index].waiting[0].width;
            if !self.fits(width) {
                break;
            }
            let waiter = self.queues[index].waiting.pop_front().expect("the chosen queue is not empty");
            self.waiting -= 1;
            self.waiting_seats -= waiter.width;
            self.virtual_time = self.virtual_time.max(self.queues[index].next_start);
            chosen.push((waiter.who, self.take(width, Some(index), now)));
        }
        chosen
    }

    /// A request has ended; [`Self::dispatch`] afterwards.
    pub fn finish(&mut self, grant: &Grant, now: Duration) {
        self.in_use -= grant.seats;
        self.executing -= 1;
        if let Some((arrangement, index)) = grant.queue
            && arrangement == self.arrangement
        {
            let queue = &mut self.queues[index];
            queue.executing -= 1;
            queue.seats_in_use -= grant.seats;
            let took = now.saturating_sub(grant.started).as_secs_f64();
            queue.next_start += f64::from(grant.seats) * (took - GUESS);
        }
        self.note_demand(now);
    }

    /// Takes somebody out of line; false if they have been dispatched already. [`Self::dispatch`] afterwards: a wide one
    /// may have kept others waiting.
    pub fn leave(&mut self, ticket: Ticket, why: Reason, now: Duration) -> bool {
        let Some(queue) = self.queues.get_mut(ticket.queue) else { return false };
        let Some(at) = queue.waiting.iter().position(|waiter| waiter.number == ticket.number) else {
            return false;
        };
        let gone = queue.waiting.remove(at).expect("it was found there");
        self.waiting -= 1;
        self.waiting_seats -= gone.width;
        self.totals.rejected += 1;
        match why {
            Reason::TimeOut => self.totals.timed_out += 1,
            _ => self.totals.cancelled += 1,
        }
        self.note_demand(now);
        true
    }

    /// Ends a period of demand.
    pub fn end_period(&mut self, now: Duration, before: Smoothed) -> Smoothed {
        self.demand.end_period(now, before)
    }

    /// The seats there are.
    pub fn limit(&self) -> u32 {
        self.limit
    }

    /// The seats in use.
    #[cfg(test)]
    pub fn in_use(&self) -> u32 {
        self.in_use
    }

    /// The requests that run.
    pub fn executing(&self) -> u32 {
        self.executing
    }

    /// The requests that wait.
    pub fn waiting(&self) -> u32 {
        self.waiting
    }

    /// The queues.
    pub fn queues(&self) -> &[Queue<T>] {
        &self.queues
    }

    /// What became of requests so far.
    pub fn totals(&self) -> Totals {
        self.totals
    }

    /// The seats that a request of that width takes: one wider than the level takes it all.
    fn charge(&self, width: u32) -> u32 {
        match self.mode {
            Mode::Exempt => width,
            _ => width.min(self.limit).max(1),
        }
    }

    /// Whether it may run now. Even a level without seats runs one at a time.
    fn fits(&self, width: u32) -> bool {
        self.mode == Mode::Exempt || self.in_use + self.charge(width) <= self.limit.max(1)
    }

    fn take(&mut self, width: u32, queue: Option<usize>, now: Duration) -> Grant {
        let seats = self.charge(width);
        self.in_use += seats;
        self.executing += 1;
        self.totals.dispatched += 1;
        if let Some(index) = queue {
            let queue = &mut self.queues[index];
            queue.executing += 1;
            queue.seats_in_use += seats;
            queue.next_start += f64::from(seats) * GUESS;
        }
        self.note_demand(now);
        Grant { seats, queue: queue.map(|index| (self.arrangement, index)), started: now }
    }

    fn note_demand(&mut self, now: Duration) {
        self.demand.set(self.in_use + self.waiting_seats, now);
    }

    fn least_loaded(&self, hand: impl Iterator<Item = usize>) -> usize {
        hand.min_by_key(|index| self.queues[*index].load()).expect("a hand has at least one queue")
    }

    /// The queue whose turn it is.
    fn next_queue(&self) -> Option<usize> {
        let busy = self.queues.iter().enumerate().filter(|(_, queue)| !queue.waiting.is_empty());
        let first = busy.min_by(|(_, a), (_, b)| {
            // Among equals who has waited longest, so that no place in the row is a better one.
            a.next_start.total_cmp(&b.next_start).then(a.waiting[0].number.cmp(&b.waiting[0].number))
        });
        first.map(|(index, _)| index)
    }
}

/// Deals `hand_size` different queues of `queues` by `hash`.
fn deal(hash: u64, queues: u32, hand_size: u32) -> impl Iterator<Item = usize> {
    let (mut rest, mut hand) = (hash, Vec::with_capacity(hand_size as usize));
    let mut dealt: Vec<u64> = Vec::with_capacity(hand_size as usize);
    for taken in 0..hand_size.min(queues) {
        let left = u64::from(queues - taken);
        let mut card = rest % left;
        rest /= left;
        // The card is counted among those not yet dealt: skip the others, the smallest first.
        for other in &dealt {
            card += u64::from(card >= *other);
        }
        let at = dealt.partition_point(|other| *other < card);
        dealt.insert(at, card);
        hand.push(card as usize);
    }
    hand.into_iter()
}

#[cfg(test)]
mod tests;
