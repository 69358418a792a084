//! The last minutes, a sample a second, so that the plots of the status page are full when it opens.
//! In: sums of the answering threads' counters. Out: what came between two of them. Pure; it must
//! never keep more than `LIVE_SAMPLES_MAX`.

use std::collections::VecDeque;
use std::time::Duration;

use serde_json::{Value, json};

use crate::limits::LIVE_SAMPLES_MAX;
use crate::stats::Totals;
use crate::stats::traffic::RCODES;

#[derive(Default)]
pub struct Samples {
    kept: VecDeque<Sample>,
    before: Option<Totals>,
}

/// One second, by and large: what is here is by the second.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// Seconds since 1970.
    pub at: f64,
    pub queries: f64,
    /// Answers by RCODE: NOERROR, NXDOMAIN, SERVFAIL, REFUSED, all others.
    pub answers: [f64; 5],
    /// Microseconds that half and 99 percent of the answers took at most that waited for nobody;
    /// `None`: there were none.
    pub took_us: [Option<f64>; 2],
}

impl Samples {
    /// Takes the sums of now, `elapsed` after those before.
    pub fn take(&mut self, at: f64, elapsed: Duration, totals: Totals) {
        if let Some(sample) = self
            .before
            .as_ref()
            .and_then(|before| Sample::between(before, &totals, at, elapsed))
        {
            if self.kept.len() == LIVE_SAMPLES_MAX {
                self.kept.pop_front();
            }
            self.kept.push_back(sample);
        }
        self.before = Some(totals);
    }

    /// Nothing is answered at present, or nobody may ask.
    pub fn forget(&mut self) {
        *self = Self::default();
    }

    pub fn last(&self) -> Option<&Sample> {
        self.kept.back()
    }

    pub fn value(&self) -> Value {
        self.kept.iter().map(Sample::value).collect()
    }
}

impl Sample {
    /// `None`: the sums fell, so that they are those of another server.
    fn between(before: &Totals, now: &Totals, at: f64, elapsed: Duration) -> Option<Self> {
        let seconds = elapsed.as_secs_f64().max(0.001);
        let rate = |now: u64, before: u64| {
            let tenths = now.checked_sub(before)? as f64 / seconds * 10.0;
            Some(tenths.round() / 10.0)
        };
        let of = |totals: &Totals| totals.queries_udp + totals.queries_tcp;
        let mut answers = [0.0; 5];
        for rcode in 0..RCODES {
            let place = match rcode {
                0 => 0,
                3 => 1,
                2 => 2,
                5 => 3,
                _ => 4,
            };
            answers[place] += rate(now.answers_of(rcode), before.answers_of(rcode))?;
        }
        let took = now.latency_at_once().since(&before.latency_at_once());
        let micros = |time: Duration| (time.as_nanos() as f64 / 100.0).round() / 10.0;
        Some(Self {
            at,
            queries: rate(of(now), of(before))?,
            answers,
            took_us: [50.0, 99.0].map(|percent| took.percentile(percent).map(micros)),
        })
    }

    /// A row of numbers: there may be hundreds.
    pub fn value(&self) -> Value {
        let [p50, p99] = self.took_us;
        json!([self.at, self.queries, self.answers, p50, p99])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn totals(queries: u64) -> Totals {
        let mut totals = Totals {
            queries_udp: queries,
            ..Totals::default()
        };
        totals.answers[0][0] = queries / 2;
        totals.answers[1][3] = queries / 4;
        totals
    }

    #[test]
    fn a_sample_is_what_came_between_two_sums_by_the_second() {
        let mut samples = Samples::default();
        samples.take(1.0, SECOND, totals(1_000));
        assert_eq!(samples.last(), None, "there is nothing before the first");
        samples.take(3.0, 2 * SECOND, totals(1_400));
        let sample = samples.last().expect("a sample");
        assert_eq!((sample.at, sample.queries), (3.0, 200.0));
        assert_eq!(sample.answers, [100.0, 50.0, 0.0, 0.0, 0.0]);
    }

    #[test]
    fn sums_of_another_server_begin_anew() {
        let mut samples = Samples::default();
        for (at, queries) in [(1.0, 100), (2.0, 200), (3.0, 50), (4.0, 60)] {
            samples.take(at, SECOND, totals(queries));
        }
        let queries: Vec<f64> = samples.kept.iter().map(|it| it.queries).collect();
        assert_eq!(queries, [100.0, 10.0]);
    }

    #[test]
    fn the_oldest_samples_go() {
        let mut samples = Samples::default();
        for second in 0..LIVE_SAMPLES_MAX as u64 + 10 {
            samples.take(second as f64, SECOND, totals(second));
        }
        assert_eq!(samples.kept.len(), LIVE_SAMPLES_MAX);
        assert_eq!(samples.kept.front().map(|it| it.at), Some(10.0));
    }
}
