//! Queries under way to upstreams. In: queries, attempts, the time. Out: who waits for what, and what is
//! due. Bounded in number and in octets; nothing here reads a clock or a socket.
//!
//! One client may have as much as is left for all others together. So one that asks for names that nobody
//! answers has half of the room, two such have a third each, and who comes next always finds some.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, VecDeque};
use std::net::IpAddr;
use std::time::Instant;

use super::Way;
use crate::clients::Clients;
use crate::limits::{
    FORWARD_FLIGHTS_MAX, FORWARD_PENDING_BYTES_MAX, FORWARD_PLACE_BYTES, FORWARD_WAITERS_MAX,
};

/// Names a flight, and none that has its place later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct FlightId {
    place: u32,
    serial: u32,
}

/// One query and everything that became of it so far.
pub struct Flight {
    /// The first asker's message; each attempt puts its own ID into it.
    pub query: Vec<u8>,
    /// Where its question ends, and whether it has OPT.
    pub question_end: usize,
    pub has_edns: bool,
    /// How others find it; `None`: nobody may share its answer.
    pub key: Option<Box<[u8]>>,
    pub over_tcp: bool,
    pub waiters: Vec<Waiter>,
    /// Upstreams by number, in the order in which they are preferred.
    pub route: Box<[usize]>,
    pub attempts: Vec<Attempt>,
    pub give_up_at: Instant,
    /// When those who wait are given what has expired.
    pub stale_at: Option<Instant>,
    /// When the next attempt is due.
    pub retry_at: Instant,
    /// A reply that says that the upstream could not answer: given where no other has a better one.
    pub worst: Option<Box<[u8]>>,
}

#[derive(Clone, Copy)]
pub struct Attempt {
    pub upstream: usize,
    pub at: Instant,
    pub state: AttemptState,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttemptState {
    Waits,
    /// It was refused, or could not be sent.
    Failed,
    /// Its reply was of no use.
    Unusable,
}

/// Somebody who waits for an answer.
pub struct Waiter {
    pub way: Way,
    /// Whose share it counts to (`client_of`).
    pub client: IpAddr,
    /// When it came.
    pub since: Instant,
    /// As it came.
    pub message: Box<[u8]>,
    /// Where a CNAME of the table led here: the answer so far.
    pub begun: Option<Begun>,
}

/// An answer that is whole but for the records of the name at `target_at` and OPT.
pub struct Begun {
    pub answer: Box<[u8]>,
    pub target_at: usize,
}

#[derive(Default)]
pub struct Flights {
    places: Vec<Place>,
    free: Vec<u32>,
    by_key: HashMap<Box<[u8]>, FlightId>,
    /// Flights, and some that have landed, the one that began first in front.
    order: VecDeque<FlightId>,
    due: BinaryHeap<Reverse<(Instant, FlightId)>>,
    waiter_count: usize,
    /// Octets of queries and of those who wait.
    bytes: usize,
    /// The room that each client takes, and that all of them take.
    clients: Clients,
    room_taken: usize,
}

#[derive(Default)]
struct Place {
    serial: u32,
    flight: Option<Flight>,
}

impl Flight {
    pub fn has_asked(&self, upstream: usize) -> bool {
        let mut attempts = self.attempts.iter();
        attempts.any(|attempt| attempt.upstream == upstream)
    }

    pub fn has_asked_all(&self) -> bool {
        self.route.iter().all(|number| self.has_asked(*number))
    }
}

impl Waiter {
    fn bytes(&self) -> usize {
        let begun = self.begun.as_ref().map_or(0, |begun| begun.answer.len());
        size_of::<Self>() + self.message.len() + begun
    }

    /// What counts to its client's share.
    fn room(&self) -> usize {
        self.bytes().max(FORWARD_PLACE_BYTES)
    }
}

impl Flights {
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub fn len(&self) -> usize {
        self.places.len() - self.free.len()
    }

    pub fn waiter_count(&self) -> usize {
        self.waiter_count
    }

    /// Octets of all messages that are kept.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether one more query may wait. False: somebody has to give up first.
    pub fn has_room(&self) -> bool {
        self.len() < FORWARD_FLIGHTS_MAX
            && self.waiter_count < FORWARD_WAITERS_MAX
            && self.bytes < FORWARD_PENDING_BYTES_MAX
    }

    /// Whether its client's share has room for one more. False: it has as much as is left for others.
    pub fn has_share(&self, waiter: &Waiter) -> bool {
        let left = FORWARD_PENDING_BYTES_MAX.saturating_sub(self.room_taken);
        self.clients.amount_of(waiter.client) + waiter.room() <= left
    }

    pub fn find(&self, key: &[u8]) -> Option<FlightId> {
        self.by_key.get(key).copied()
    }

    pub fn get(&mut self, id: FlightId) -> Option<&mut Flight> {
        let place = self.places.get_mut(id.place as usize)?;
        place.flight.as_mut().filter(|_| place.serial == id.serial)
    }

    pub fn start(&mut self, flight: Flight) -> FlightId {
        let place = self.free.pop().unwrap_or_else(|| {
            self.places.push(Place::default());
            self.places.len() as u32 - 1
        });
        let key = flight.key.clone();
        self.bytes += flight.query.len();
        flight.waiters.iter().for_each(|waiter| self.count(waiter));
        let mut id = FlightId { place, serial: 0 };
        if let Some(place) = self.places.get_mut(place as usize) {
            id.serial = place.serial;
            place.flight = Some(flight);
        }
        if let Some(key) = key {
            self.by_key.insert(key, id);
        }
        self.order.push_back(id);
        self.tidy_up();
        id
    }

    pub fn join(&mut self, id: FlightId, waiter: Waiter) {
        if self.get(id).is_some() {
            self.count(&waiter);
        }
        if let Some(flight) = self.get(id) {
            flight.waiters.push(waiter);
        }
    }

    fn count(&mut self, waiter: &Waiter) {
        self.waiter_count += 1;
        self.bytes += waiter.bytes();
        self.room_taken += waiter.room();
        self.clients.add(waiter.client, waiter.room());
    }

    /// Those who wait, who do so no longer.
    pub fn take_waiters(&mut self, id: FlightId) -> Vec<Waiter> {
        let Some(flight) = self.get(id) else {
            return Vec::new();
        };
        let waiters = std::mem::take(&mut flight.waiters);
        self.waiter_count -= waiters.len();
        for waiter in &waiters {
            self.bytes -= waiter.bytes();
            self.room_taken -= waiter.room();
            self.clients.remove_of(waiter.client, waiter.room());
        }
        waiters
    }

    /// Takes a flight out.
    pub fn land(&mut self, id: FlightId) -> Option<(Flight, Vec<Waiter>)> {
        let waiters = self.take_waiters(id);
        let place = self.places.get_mut(id.place as usize)?;
        if place.serial != id.serial {
            return None;
        }
        let flight = place.flight.take()?;
        place.serial = place.serial.wrapping_add(1);
        self.free.push(id.place);
        self.bytes -= flight.query.len();
        if let Some(key) = &flight.key
            && self.by_key.get(key) == Some(&id)
        {
            self.by_key.remove(key);
        }
        Some((flight, waiters))
    }

    /// The one that began first.
    pub fn oldest(&mut self) -> Option<FlightId> {
        while let Some(&id) = self.order.front() {
            if self.get(id).is_some() {
                return Some(id);
            }
            self.order.pop_front();
        }
        None
    }

    /// Has `next_due` give it at this time, or later where it is asked later.
    pub fn wake_at(&mut self, id: FlightId, at: Instant) {
        self.due.push(Reverse((at, id)));
    }

    /// When something may be due.
    pub fn due_at(&self) -> Option<Instant> {
        self.due.peek().map(|Reverse((at, _))| *at)
    }

    /// The next whose time has come.
    pub fn next_due(&mut self, now: Instant) -> Option<FlightId> {
        while let Some(&Reverse((at, id))) = self.due.peek() {
            let is_there = self.get(id).is_some();
            if is_there && at > now {
                return None;
            }
            self.due.pop();
            if is_there {
                return Some(id);
            }
        }
        None
    }

    pub fn ids(&self) -> Vec<FlightId> {
        let places = self.places.iter().enumerate();
        let flying = places.filter(|(_, place)| place.flight.is_some());
        flying
            .map(|(number, place)| FlightId {
                place: number as u32,
                serial: place.serial,
            })
            .collect()
    }

    /// Drops what landed flights left behind, once it is most of what there is.
    fn tidy_up(&mut self) {
        let kept_max = 4 * self.len() + 1024;
        let places = &self.places;
        let flies = |id: &FlightId| {
            places
                .get(id.place as usize)
                .is_some_and(|place| place.serial == id.serial && place.flight.is_some())
        };
        if self.order.len() > kept_max {
            self.order.retain(flies);
        }
        if self.due.len() > kept_max {
            self.due.retain(|Reverse((_, id))| flies(id));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn flight(now: Instant, key: Option<&[u8]>) -> Flight {
        Flight {
            query: vec![0; 30],
            question_end: 30,
            has_edns: false,
            key: key.map(Box::from),
            over_tcp: false,
            waiters: Vec::new(),
            route: Box::default(),
            attempts: Vec::new(),
            give_up_at: now,
            stale_at: None,
            retry_at: now,
            worst: None,
        }
    }

    fn waiter() -> Waiter {
        waiter_of(1)
    }

    fn waiter_of(client: u8) -> Waiter {
        let way = Way::Tcp {
            connection: 1,
            serial: 1,
            cookie: None,
        };
        Waiter {
            way,
            client: [10, 0, 0, client].into(),
            since: Instant::now(),
            message: Box::from([0; 40]),
            begun: None,
        }
    }

    #[test]
    fn flights_are_found_by_key_and_due_in_order_until_they_land() {
        let (mut flights, now) = (Flights::default(), Instant::now());
        let one = flights.start(flight(now, Some(b"one")));
        let two = flights.start(flight(now, Some(b"two")));
        flights.join(one, waiter());
        flights.join(one, waiter());
        assert_eq!(flights.find(b"one"), Some(one));
        let later = |ms| now + Duration::from_millis(ms);
        flights.wake_at(two, later(5));
        flights.wake_at(one, later(10));
        assert_eq!(flights.next_due(now), None);
        assert_eq!(flights.due_at(), Some(later(5)));
        assert_eq!(flights.next_due(later(10)), Some(two));
        assert_eq!(flights.oldest(), Some(one));
        let (_, waiters) = flights.land(one).expect("it flies");
        assert_eq!(waiters.len(), 2);
        assert!(flights.land(one).is_none());
        assert_eq!(flights.find(b"one"), None);
        assert_eq!(flights.next_due(later(10)), None);
        assert_eq!(flights.oldest(), Some(two));
        // Its place goes to another, which the old name does not reach.
        let three = flights.start(flight(now, None));
        assert!(flights.get(one).is_none());
        assert!(flights.get(three).is_some());
        flights.land(two);
        flights.land(three);
        assert!(flights.is_empty());
        assert_eq!((flights.bytes, flights.waiter_count), (0, 0));
        assert!(flights.room_taken == 0 && flights.clients.is_empty());
    }

    #[test]
    fn clients_that_ask_for_all_there_is_leave_room_for_the_next() {
        let (mut flights, now) = (Flights::default(), Instant::now());
        let mut take_all = |client: u8| {
            let mut ids = Vec::new();
            while flights.has_share(&waiter_of(client)) {
                let id = flights.start(flight(now, None));
                flights.join(id, waiter_of(client));
                ids.push(id);
            }
            assert!(flights.has_room());
            ids
        };
        let first = take_all(1);
        assert_eq!(first.len(), FORWARD_FLIGHTS_MAX / 2);
        assert_eq!(take_all(2).len(), FORWARD_FLIGHTS_MAX / 4);
        assert_eq!(take_all(3).len(), FORWARD_FLIGHTS_MAX / 8);
        // What the first lets go of is for all of them.
        for id in first {
            flights.land(id);
        }
        assert!(flights.has_share(&waiter_of(2)) && flights.has_share(&waiter_of(3)));
        // A long message takes the room of many.
        let mut long = waiter_of(4);
        long.message = vec![0; FORWARD_PENDING_BYTES_MAX].into();
        assert!(!flights.has_share(&long));
    }

    #[test]
    fn what_landed_flights_leave_behind_is_bounded() {
        let (mut flights, now) = (Flights::default(), Instant::now());
        let stuck = flights.start(flight(now, None));
        for number in 0..100_000 {
            let id = flights.start(flight(now, None));
            flights.wake_at(id, now + Duration::from_secs(number));
            flights.land(id);
        }
        assert!(flights.order.len() < 2048, "{}", flights.order.len());
        assert!(flights.due.len() < 2048, "{}", flights.due.len());
        assert_eq!(flights.oldest(), Some(stuck));
    }

    #[test]
    fn room_is_bounded_in_flights_waiters_and_octets() {
        let (mut flights, now) = (Flights::default(), Instant::now());
        let mut ids = Vec::new();
        while flights.has_room() {
            ids.push(flights.start(flight(now, None)));
            assert!(ids.len() <= FORWARD_FLIGHTS_MAX);
        }
        flights.land(ids[0]);
        assert!(flights.has_room());
        let mut big = flight(now, None);
        big.query = vec![0; FORWARD_PENDING_BYTES_MAX];
        let id = flights.start(big);
        flights.land(ids[1]);
        assert!(!flights.has_room());
        flights.land(id);
        assert!(flights.has_room());
    }
}
