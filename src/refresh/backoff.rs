//! Waits between attempts. In: how many failed in a row. Out: a time drawn at random from zero to a
//! bound that doubles (full jitter), above a floor, so that the hosts of a cluster never ask in step.

use std::time::Duration;

/// A wait that grows.
#[derive(Clone, Copy, Debug)]
pub struct Backoff {
    pub floor: Duration,
    pub first: Duration,
    pub max: Duration,
}

impl Backoff {
    /// After so many failures in a row; `chance` is from 0 to 1.
    pub fn wait(&self, failures: u32, chance: f64) -> Duration {
        let doubled = self.first.saturating_mul(1 << failures.min(20));
        self.floor + doubled.min(self.max).mul_f64(chance.clamp(0.0, 1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_their_bound_and_never_fall_below_the_floor() {
        let second = Duration::from_secs(1);
        let backoff = Backoff {
            floor: second / 2,
            first: second,
            max: 60 * second,
        };
        assert_eq!(backoff.wait(0, 0.0), second / 2);
        assert_eq!(backoff.wait(0, 1.0), second * 3 / 2);
        assert_eq!(backoff.wait(3, 0.5), second * 9 / 2);
        for failures in [6, 20, 63, u32::MAX] {
            assert_eq!(backoff.wait(failures, 1.0), second * 121 / 2);
        }
    }
}
