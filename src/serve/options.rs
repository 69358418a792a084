//! The EDNS options of an answer, made before it, so that it keeps room for them. In: whole options. Out:
//! their octets. It must never hold more than one of each kind.

use crate::dns::cookie::COOKIE_OPTION_BYTES;
use crate::dns::subnet::SUBNET_OPTION_BYTES_MAX;

const OPTIONS_BYTES_MAX: usize = SUBNET_OPTION_BYTES_MAX + COOKIE_OPTION_BYTES;

/// The options of an answer's OPT record.
pub struct Options {
    octets: [u8; OPTIONS_BYTES_MAX],
    pub bytes: usize,
}

impl Default for Options {
    #[inline]
    fn default() -> Self {
        Self {
            octets: [0; OPTIONS_BYTES_MAX],
            bytes: 0,
        }
    }
}

impl Options {
    pub fn put(&mut self, option: &[u8]) {
        let end = self.bytes + option.len();
        if let Some(place) = self.octets.get_mut(self.bytes..end) {
            place.copy_from_slice(option);
            self.bytes = end;
        }
    }

    #[inline]
    pub fn as_bytes(&self) -> &[u8] {
        self.octets.get(..self.bytes).unwrap_or_default()
    }
}
