//! `GET /metrics`: everything that is counted, for Prometheus. In: what the other threads publish. Out:
//! text, in Prometheus's own form or in OpenMetrics's where the reader asks for that. Each scrape reads
//! all anew; nothing that answers a query ever waits for one.

mod dns;
mod families;
mod records;
mod sheet;

use std::fmt;
use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, prometheus_text, text};
use prometheus_client::registry::Registry;

pub use families::FAMILIES;
pub use sheet::{Family, Kind};

use self::sheet::Sheet;
use crate::forward;
use crate::responses::Snapshot;
use crate::stats::engine::EngineInUse;
use crate::stats::freshness::Freshness;
use crate::sys::process::Usage;

/// What one scrape found.
pub struct Scrape {
    pub ready: bool,
    pub freshness: Freshness,
    pub snapshot: Option<Arc<Snapshot>>,
    /// None where DNS is off.
    pub engine: Option<Arc<EngineInUse>>,
    pub forward: Arc<forward::Common>,
    pub usage: Usage,
}

/// The form of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    Prometheus,
    OpenMetrics,
}

impl Form {
    /// What a reader prefers. Whoever names OpenMetrics can read it; others get what all can.
    pub fn wanted(accept: Option<&str>) -> Self {
        match accept {
            Some(accept) if accept.contains("application/openmetrics-text") => Self::OpenMetrics,
            _ => Self::Prometheus,
        }
    }

    pub fn content_type(self) -> &'static str {
        match self {
            Self::Prometheus => prometheus_text::CONTENT_TYPE,
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// The text of a scrape.
pub fn write(scrape: Scrape, form: Form) -> Result<String, fmt::Error> {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(scrape));
    let mut output = String::with_capacity(EXPECTED_BYTES);
    match form {
        Form::Prometheus => prometheus_text::encode(&mut output, &registry)?,
        Form::OpenMetrics => text::encode(&mut output, &registry)?,
    }
    Ok(output)
}

impl Collector for Scrape {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let sheet = &mut Sheet::new(encoder);
        let engine = self.engine.as_deref();
        let totals = engine.map(|engine| engine.stats.totals());
        let totals = totals.unwrap_or_default();
        sheet.info(&families::BUILD, Some(&[env!("CARGO_PKG_VERSION")]))?;
        let name = engine.map(|engine| [engine.name]);
        sheet.info(&families::ENGINE, name.as_ref().map(|name| &name[..]))?;
        sheet.count(&families::READY, u64::from(self.ready))?;
        dns::answering(&totals, self.usage.udp_drops, sheet)?;
        let cache_bytes_max = self.forward.settings.load().cache_bytes;
        dns::forwarding(&totals, cache_bytes_max, sheet)?;
        let looping = self.forward.looping();
        let upstreams = engine.map(|engine| engine.stats.upstreams.totals());
        dns::upstreams(
            &upstreams.unwrap_or_default(),
            |it| looping.contains(&it.address),
            sheet,
        )?;
        records::table(self.snapshot.as_deref(), &self.freshness, sheet)?;
        records::source(&self.freshness, sheet)?;
        records::process(&self.usage, sheet)
    }
}

impl fmt::Debug for Scrape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scrape").finish_non_exhaustive()
    }
}

/// A scrape with a few upstreams; only a hint for reserving memory.
const EXPECTED_BYTES: usize = 32 << 10;

#[cfg(test)]
mod tests;
