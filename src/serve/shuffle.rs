//! Random order without allocation. In: a count and a seed. Out: each index below the count once,
//! each first with equal chance; the same seed gives the same order again.

/// So few records are shuffled by one draw, of which each choice takes a part: 16! orders in 2^64
/// make none of them likelier than another by more than one in a million.
const DRAWN_AT_ONCE_MAX: usize = 16;
/// Up to this many records are shuffled in full (Fisher and Yates); more are walked from a random
/// start with a random stride, which also makes every record first with equal chance.
const SHUFFLED_MAX: usize = 64;

/// An order of the numbers below a count.
pub struct Order {
    count: usize,
    seed: u64,
}

impl Order {
    pub fn new(count: usize, seed: u64) -> Self {
        Self { count, seed }
    }

    /// Calls `visit` with every index, until it returns false.
    #[inline]
    pub fn for_each(&self, mut visit: impl FnMut(usize) -> bool) {
        match self.count {
            0 => {}
            1 => {
                visit(0);
            }
            2..=DRAWN_AT_ONCE_MAX => self.drawn_at_once(visit),
            count if count <= SHUFFLED_MAX => self.shuffled(visit),
            _ => self.strided(visit),
        }
    }

    #[inline]
    fn drawn_at_once(&self, mut visit: impl FnMut(usize) -> bool) {
        let mut places: [u8; DRAWN_AT_ONCE_MAX] = std::array::from_fn(|index| index as u8);
        let mut left = self.seed;
        let mut rest = places.get_mut(..self.count).unwrap_or_default();
        while !rest.is_empty() {
            // The draw as a fraction: times the choices there are, its whole part is the choice and
            // what is behind the point the draw of the next one.
            let scaled = u128::from(left) * rest.len() as u128;
            left = scaled as u64;
            let chosen = (scaled >> 64) as usize;
            rest.swap(0, chosen);
            let Some((&mut index, next)) = rest.split_first_mut() else {
                return;
            };
            if !visit(usize::from(index)) {
                return;
            }
            rest = next;
        }
    }

    fn shuffled(&self, mut visit: impl FnMut(usize) -> bool) {
        let mut random = fastrand::Rng::with_seed(self.seed);
        let mut places = [0_u8; SHUFFLED_MAX];
        for (place, index) in places.iter_mut().zip(0..self.count as u8) {
            *place = index;
        }
        for at in 0..self.count {
            places.swap(at, at + random.usize(..self.count - at));
            if !places
                .get(at)
                .is_some_and(|&index| visit(usize::from(index)))
            {
                return;
            }
        }
    }

    fn strided(&self, mut visit: impl FnMut(usize) -> bool) {
        let mut random = fastrand::Rng::with_seed(self.seed);
        let mut at = random.usize(..self.count);
        let mut stride = 1 + random.usize(..self.count - 1);
        // Only a stride that shares no factor with the count meets every index.
        while greatest_common_divisor(stride, self.count) != 1 {
            stride = 1 + stride % (self.count - 1);
        }
        for _ in 0..self.count {
            if !visit(at) {
                return;
            }
            at = (at + stride) % self.count;
        }
    }
}

fn greatest_common_divisor(mut a: usize, mut b: usize) -> usize {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(count: usize, seed: u64) -> Vec<usize> {
        let mut order = Vec::new();
        Order::new(count, seed).for_each(|index| {
            order.push(index);
            true
        });
        order
    }

    #[test]
    fn every_index_comes_once_and_the_same_way_again() {
        for count in [0, 1, 2, 3, 63, 64, 65, 100, 4096, 5000] {
            for seed in 0..20 {
                let mut indices = order(count, seed);
                assert_eq!(indices, order(count, seed));
                indices.sort_unstable();
                assert!(indices.into_iter().eq(0..count), "{count}");
            }
        }
    }

    #[test]
    fn each_index_is_first_with_equal_chance() {
        for count in [2_usize, 4, 7, 64, 65, 300] {
            let mut firsts = vec![0_u32; count];
            let draws = 2_000 * count as u64;
            let mut seeds = fastrand::Rng::with_seed(7);
            for _ in 0..draws {
                firsts[order(count, seeds.u64(..))[0]] += 1;
            }
            // Expected 2,000 each, standard deviation about 45: six of them either way.
            assert!(
                firsts.iter().all(|&n| (1_730..2_270).contains(&n)),
                "{count}: {firsts:?}"
            );
        }
    }

    #[test]
    fn every_order_has_equal_chance() {
        let mut orders = std::collections::BTreeMap::new();
        let mut seeds = fastrand::Rng::with_seed(7);
        for _ in 0..24 * 2_000 {
            *orders.entry(order(4, seeds.u64(..))).or_insert(0) += 1;
        }
        assert_eq!(orders.len(), 24);
        assert!(
            orders.values().all(|n| (1_730..2_270).contains(n)),
            "{orders:?}"
        );
    }

    #[test]
    fn visiting_ends_when_told() {
        let mut seen = 0;
        Order::new(50, 1).for_each(|_| {
            seen += 1;
            seen < 3
        });
        assert_eq!(seen, 3);
    }
}
