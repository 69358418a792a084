//! Queries under way on one socket. In: queries that leave, IDs that come back. Out: which query an ID
//! belongs to. Must never take an answer for one that was given up, nor the same answer twice.

/// As many places as may be under way at one time. An ID is a place and, above it, how often that was
/// used, so that a late answer finds another count.
pub struct Waiting {
    places: Vec<Place>,
    free: Vec<u16>,
    place_bits: u32,
}

#[derive(Clone, Copy)]
struct Place {
    query: u32,
    uses: u16,
    is_open: bool,
    due_ns: u64,
}

impl Waiting {
    pub fn new(count: usize) -> Self {
        assert!((1..=1 << 15).contains(&count), "IDs have 16 bits");
        let place = Place {
            query: 0,
            uses: 0,
            is_open: false,
            due_ns: 0,
        };
        Self {
            places: vec![place; count],
            free: (0..count as u16).rev().collect(),
            place_bits: count.next_power_of_two().trailing_zeros(),
        }
    }

    pub fn free(&self) -> usize {
        self.free.len()
    }

    pub fn is_any_open(&self) -> bool {
        self.free.len() < self.places.len()
    }

    /// A place for a query, and its ID.
    #[inline]
    pub fn open(&mut self, query: u32, due_ns: u64) -> Option<u16> {
        let index = self.free.pop()?;
        let place = &mut self.places[usize::from(index)];
        place.query = query;
        place.due_ns = due_ns;
        place.is_open = true;
        place.uses = place.uses.wrapping_add(1);
        Some(place.uses << self.place_bits | index)
    }

    /// The query of an ID and when it was due, once.
    #[inline]
    pub fn close(&mut self, id: u16) -> Option<(u32, u64)> {
        let index = id & ((1 << self.place_bits) - 1);
        let place = self.places.get_mut(usize::from(index))?;
        if !place.is_open || place.uses << self.place_bits | index != id {
            return None;
        }
        place.is_open = false;
        self.free.push(index);
        Some((place.query, place.due_ns))
    }

    /// Gives up what was due before; gives how many that were.
    pub fn expire(&mut self, before_ns: u64) -> usize {
        let mut count = 0;
        for (index, place) in self.places.iter_mut().enumerate() {
            if place.is_open && place.due_ns < before_ns {
                place.is_open = false;
                self.free.push(index as u16);
                count += 1;
            }
        }
        count
    }
}
