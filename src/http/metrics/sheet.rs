//! Families of metrics, and how their samples are written. In: a family, its samples. Out: text, by the
//! library's encoder. A family that is not in `FAMILIES` must never be written: the README lists those.

use std::fmt;

use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::exemplar::Exemplar;
use prometheus_client::registry::Unit;

/// What a family counts in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measure {
    /// Things: the name says which.
    Count,
    Seconds,
    Bytes,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Counter,
    Gauge,
    Histogram,
    /// A gauge of 1 whose labels tell.
    Info,
}

/// One family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Family {
    /// Without the unit and what the kind adds.
    pub name: &'static str,
    pub measure: Measure,
    pub kind: Kind,
    pub labels: &'static [&'static str],
    /// What it means; also the README's text.
    pub help: &'static str,
}

impl Kind {
    /// As Prometheus calls it; an info is a gauge there.
    pub fn label(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge | Self::Info => "gauge",
            Self::Histogram => "histogram",
        }
    }

    fn metric_type(self) -> MetricType {
        match self {
            Self::Counter => MetricType::Counter,
            Self::Gauge => MetricType::Gauge,
            Self::Histogram => MetricType::Histogram,
            Self::Info => MetricType::Info,
        }
    }
}

impl Measure {
    fn unit(self) -> Option<Unit> {
        match self {
            Self::Count => None,
            Self::Seconds => Some(Unit::Seconds),
            Self::Bytes => Some(Unit::Bytes),
        }
    }
}

impl Family {
    /// Its name with those of its labels, as the README has it.
    pub fn shown(&self) -> String {
        match self.labels {
            [] => self.full_name(),
            labels => format!("{}{{{}}}", self.full_name(), labels.join(",")),
        }
    }

    /// Its name in a query: with unit, and `_total` or `_info`.
    pub fn full_name(&self) -> String {
        let unit = match self.measure {
            Measure::Count => "",
            Measure::Seconds => "_seconds",
            Measure::Bytes => "_bytes",
        };
        let ending = match self.kind {
            Kind::Counter => "_total",
            Kind::Info => "_info",
            Kind::Gauge | Kind::Histogram => "",
        };
        format!("{}{unit}{ending}", self.name)
    }
}

/// What is known of a distribution.
pub struct Distribution {
    /// Upper bounds in seconds and how many lie below each and above the one before; the last is infinite.
    pub buckets: Vec<(f64, u64)>,
    pub sum_seconds: f64,
}

/// Values of labels, in the order in which the family names them.
pub type Values<'v> = &'v [&'v str];

/// The text that is being written.
pub struct Sheet<'a>(DescriptorEncoder<'a>);

impl<'a> Sheet<'a> {
    pub fn new(encoder: DescriptorEncoder<'a>) -> Self {
        Self(encoder)
    }

    /// One number without labels; none: it is not known, and the family stands without a sample.
    pub fn one(&mut self, family: &Family, value: impl Into<Option<f64>>) -> fmt::Result {
        let value = value.into();
        self.samples(family, value.map(|value| (&[][..], value)))
    }

    /// A count without labels.
    pub fn count(&mut self, family: &Family, value: u64) -> fmt::Result {
        self.counts(family, [(&[][..], value)])
    }

    pub fn samples<'v>(
        &mut self,
        family: &Family,
        samples: impl IntoIterator<Item = (Values<'v>, f64)>,
    ) -> fmt::Result {
        self.write(family, samples, |mut encoder, value| match family.kind {
            Kind::Counter => encoder.encode_counter::<NoLabelSet, _, u64>(&value, NO_EXEMPLAR),
            _ => encoder.encode_gauge(&value),
        })
    }

    pub fn counts<'v>(
        &mut self,
        family: &Family,
        samples: impl IntoIterator<Item = (Values<'v>, u64)>,
    ) -> fmt::Result {
        self.write(family, samples, |mut encoder, value| match family.kind {
            Kind::Counter => encoder.encode_counter::<NoLabelSet, _, u64>(&value, NO_EXEMPLAR),
            _ => encoder.encode_gauge(&value),
        })
    }

    pub fn distributions<'v>(
        &mut self,
        family: &Family,
        samples: impl IntoIterator<Item = (Values<'v>, Distribution)>,
    ) -> fmt::Result {
        self.write(family, samples, |mut encoder, it| {
            let count = it.buckets.iter().map(|(_, count)| count).sum();
            encoder.encode_histogram::<NoLabelSet>(it.sum_seconds, count, &it.buckets, None)
        })
    }

    /// The labels tell, and the number is 1.
    pub fn info(&mut self, family: &Family, values: Option<Values<'_>>) -> fmt::Result {
        let unit = family.measure.unit();
        let kind = family.kind.metric_type();
        let mut encoder =
            (self.0).encode_descriptor(family.name, family.help, unit.as_ref(), kind)?;
        match values {
            Some(values) => encoder.encode_info(&labels(family, values)),
            None => Ok(()),
        }
    }

    fn write<'v, V>(
        &mut self,
        family: &Family,
        samples: impl IntoIterator<Item = (Values<'v>, V)>,
        mut one: impl FnMut(MetricEncoder<'_>, V) -> fmt::Result,
    ) -> fmt::Result {
        let unit = family.measure.unit();
        let kind = family.kind.metric_type();
        let mut encoder =
            (self.0).encode_descriptor(family.name, family.help, unit.as_ref(), kind)?;
        for (values, value) in samples {
            let labels = labels(family, values);
            one(encoder.encode_family(&labels)?, value)?;
        }
        Ok(())
    }
}

const NO_EXEMPLAR: Option<&Exemplar<NoLabelSet, u64>> = None;

fn labels<'v>(family: &Family, values: Values<'v>) -> Vec<(&'static str, &'v str)> {
    let names = family.labels.iter().copied();
    names.zip(values.iter().copied()).collect()
}
