//! Reads a master's `/state-summary` for the one thing that the event stream does not tell: where
//! libprocess schedulers are. In: its octets. Out: the pid of each framework that it lists.

use std::collections::HashMap;
use std::fmt;
use std::io::Read;
use std::marker::PhantomData;
use std::sync::Arc;

use serde::de::{Deserialize, Deserializer, Error as _, IgnoredAny, MapAccess, Visitor};

use super::cluster::Endpoint;
use super::cut::{CutError, Cutter, Kind};
use super::decode::Decoder;
use super::fields::{Loose, Text, fold, is_folded, object};
use super::values::read_loose_pid;

object! {
    FrameworkFields {
        "id" => id: Text<'a>,
        "pid" => pid: Loose<'a>,
    }
}

/// Pids by framework id; `None`: an HTTP scheduler, or a pid that makes no sense.
pub type Pids = HashMap<Arc<str>, Option<Endpoint>>;

/// Reads the document to its end. Frameworks that cannot be read are left out.
pub fn read_pids<R: Read>(source: R, bytes_max: u64) -> Result<Pids, CutError> {
    let mut cutter = Cutter::new(source, bytes_max);
    let mut decoder = Decoder::default();
    let mut pids = Pids::new();
    let mut key = String::new();
    cutter.root()?;
    while cutter.next_key(&mut key)? {
        if fold(&key) != "frameworks" || cutter.kind()? != Kind::List {
            cutter.skip_value()?;
            continue;
        }
        cutter.enter()?;
        while cutter.next_item()? {
            let raw = cutter.take_value()?.unwrap_or_default();
            if let Ok(fields) = decoder.decode::<FrameworkFields<'_>>(raw) {
                let pid = read_loose_pid(&fields.pid).unwrap_or_default();
                pids.insert(Arc::from(&*fields.id.0), pid);
            }
        }
    }
    cutter.finish()?;
    Ok(pids)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pids_are_read_and_bad_frameworks_passed_over() {
        let text = r#"{"hostname":"m","slaves":[{"id":"S0"}],"frameworks":[{"id":"a","pid":"scheduler-1@10.0.0.1:9000","name":"x"},
            {"id":"b","name":"y"},7,{"id":"c","pid":"nonsense"},{"id":["d"]}]}"#;
        let pids = read_pids(text.as_bytes(), 1_000).expect("a document");
        let of = |id: &str| {
            pids.get(id)
                .map(|pid| pid.as_ref().map(ToString::to_string))
        };
        assert_eq!(of("a"), Some(Some("10.0.0.1:9000".to_owned())));
        assert_eq!((of("b"), of("c")), (Some(None), Some(None)));
        assert_eq!(pids.len(), 3);
        assert!(read_pids(&b"{\"frameworks\":["[..], 1_000).is_err());
    }
}
