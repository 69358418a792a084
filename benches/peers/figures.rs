//! Figures and their ratios. In: what was measured of one server in one round. Out: medians with their
//! extremes, and ratios of what was measured in the same round.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::queries::Kind;

/// One server in one round.
pub struct Sample {
    pub kind: Kind,
    pub round: usize,
    pub server: usize,
    /// By the name of what was measured.
    pub values: BTreeMap<String, f64>,
    pub lost: u64,
    pub wrong: u64,
    /// Queries under way when the rate was measured: fewer than asked for where answers were lost.
    pub window: usize,
}

#[derive(Clone, Copy, Serialize)]
pub struct Spread {
    pub median: f64,
    pub min: f64,
    pub max: f64,
}

impl Spread {
    pub fn of(mut values: Vec<f64>) -> Option<Self> {
        values.retain(|value| value.is_finite());
        values.sort_by(f64::total_cmp);
        let (min, max) = (*values.first()?, *values.last()?);
        let count = values.len();
        let median = f64::midpoint(values[(count - 1) / 2], values[count / 2]);
        Some(Self { median, min, max })
    }
}

/// All samples of a run.
#[derive(Default)]
pub struct Figures(pub Vec<Sample>);

impl Figures {
    pub fn of(&self, kind: Kind, server: usize) -> impl Iterator<Item = &Sample> {
        let samples = self.0.iter();
        samples.filter(move |sample| sample.kind == kind && sample.server == server)
    }

    pub fn spread(&self, kind: Kind, server: usize, what: &str) -> Option<Spread> {
        let values = self
            .of(kind, server)
            .filter_map(|sample| sample.values.get(what));
        Spread::of(values.copied().collect())
    }

    /// This server's by the other's, round by round.
    pub fn ratio(&self, kind: Kind, server: usize, other: usize, what: &str) -> Option<Spread> {
        let ratios = self.of(kind, server).filter_map(|sample| {
            let mut others = self.of(kind, other);
            let same_round = others.find(|other| other.round == sample.round)?;
            Some(sample.values.get(what)? / same_round.values.get(what)?)
        });
        Spread::of(ratios.collect())
    }
}

/// What is measured with a closed load.
pub const CPU: &str = "cpu_us_per_query";
pub const RATE: &str = "queries_per_second";
pub const RESIDENT: &str = "rss_mib";
/// Percentages of a server's own rate at which times are measured.
pub const LOADS: [u32; 3] = [10, 50, 90];
/// Quantiles of times.
pub const QUANTILES: [(&str, f64); 3] = [("p50", 0.5), ("p99", 0.99), ("p99.9", 0.999)];

/// The name of a time, such as `p99_us_at_50`.
pub fn time_name(quantile: &str, load: u32) -> String {
    format!("{quantile}_us_at_{load}")
}
