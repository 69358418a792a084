//! Where certain octets stand in a block of 64. In: the block. Out: one bit for each octet. It must
//! give the same on every CPU.

pub const BLOCK_BYTES: usize = 64;

/// One bit for each octet of a block of JSON, the first octet in the lowest bit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct JsonMasks {
    pub quotes: u64,
    pub backslashes: u64,
    /// `{` and `[`.
    pub opens: u64,
    /// `}` and `]`.
    pub closes: u64,
}

/// '[' and ']' with this bit are '{' and '}', and no other octets become these by it.
const BRACKET_FOLD: u8 = 0x20;

impl JsonMasks {
    #[cfg(target_arch = "x86_64")]
    #[inline]
    pub fn of(block: &[u8; BLOCK_BYTES]) -> Self {
        #[allow(unsafe_code)]
        // SAFETY: SSE2 belongs to every x86-64 CPU.
        unsafe {
            Self::of_sse2(block)
        }
    }

    #[cfg(not(target_arch = "x86_64"))]
    #[inline]
    pub fn of(block: &[u8; BLOCK_BYTES]) -> Self {
        Self::portable(block)
    }

    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "sse2")]
    #[inline]
    fn of_sse2(block: &[u8; BLOCK_BYTES]) -> Self {
        use std::arch::x86_64::{
            __m128i, _mm_cmpeq_epi8, _mm_movemask_epi8, _mm_or_si128, _mm_set_epi64x, _mm_set1_epi8,
        };
        #[target_feature(enable = "sse2")]
        #[inline]
        fn find(lane: __m128i, octet: u8) -> u64 {
            let equal = _mm_cmpeq_epi8(lane, _mm_set1_epi8(octet as i8));
            u64::from(_mm_movemask_epi8(equal) as u16)
        }
        let mut masks = Self::default();
        let (lanes, _) = block.as_chunks::<16>();
        for (index, lane) in lanes.iter().enumerate() {
            let whole = u128::from_le_bytes(*lane);
            let lane = _mm_set_epi64x((whole >> 64) as i64, whole as i64);
            let folded = _mm_or_si128(lane, _mm_set1_epi8(BRACKET_FOLD as i8));
            let shift = index * 16;
            masks.quotes |= find(lane, b'"') << shift;
            masks.backslashes |= find(lane, b'\\') << shift;
            masks.opens |= find(folded, b'{') << shift;
            masks.closes |= find(folded, b'}') << shift;
        }
        masks
    }

    #[cfg(any(test, not(target_arch = "x86_64")))]
    fn portable(block: &[u8; BLOCK_BYTES]) -> Self {
        let mask = |wanted: fn(u8) -> bool| {
            block
                .iter()
                .rev()
                .fold(0, |bits, &octet| bits << 1 | u64::from(wanted(octet)))
        };
        Self {
            quotes: mask(|octet| octet == b'"'),
            backslashes: mask(|octet| octet == b'\\'),
            opens: mask(|octet| octet | BRACKET_FOLD == b'{'),
            closes: mask(|octet| octet | BRACKET_FOLD == b'}'),
        }
    }
}

/// How many octets at the beginning can stand in a JSON string as they are: up to the first quote,
/// backslash or control character.
#[inline]
pub fn plain_text_length(octets: &[u8]) -> usize {
    let mut length = 0;
    #[cfg(target_arch = "x86_64")]
    for lane in octets.as_chunks::<16>().0 {
        #[allow(unsafe_code)]
        // SAFETY: SSE2 belongs to every x86-64 CPU.
        let ends = unsafe { text_ends_sse2(lane) };
        if ends != 0 {
            return length + ends.trailing_zeros() as usize;
        }
        length += lane.len();
    }
    let rest = &octets[length..];
    let end = rest
        .iter()
        .position(|&octet| matches!(octet, b'"' | b'\\' | ..b' '));
    length + end.unwrap_or(rest.len())
}

/// One bit for each octet that cannot stand in a string as it is.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "sse2")]
#[inline]
fn text_ends_sse2(lane: &[u8; 16]) -> u32 {
    use std::arch::x86_64::{
        _mm_cmpeq_epi8, _mm_max_epu8, _mm_movemask_epi8, _mm_or_si128, _mm_set_epi64x,
        _mm_set1_epi8,
    };
    let whole = u128::from_le_bytes(*lane);
    let lane = _mm_set_epi64x((whole >> 64) as i64, whole as i64);
    let quotes = _mm_cmpeq_epi8(lane, _mm_set1_epi8(b'"' as i8));
    let backslashes = _mm_cmpeq_epi8(lane, _mm_set1_epi8(b'\\' as i8));
    let last_control = _mm_set1_epi8(0x1f);
    let controls = _mm_cmpeq_epi8(_mm_max_epu8(lane, last_control), last_control);
    let ends = _mm_or_si128(_mm_or_si128(quotes, backslashes), controls);
    _mm_movemask_epi8(ends) as u32
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_octet_has_the_same_masks_on_every_cpu() {
        for octet in 0..=u8::MAX {
            let block = [octet; BLOCK_BYTES];
            assert_eq!(JsonMasks::of(&block), JsonMasks::portable(&block));
        }
    }

    #[test]
    fn a_plain_text_ends_at_each_octet_that_cannot_stand_in_it_and_at_no_other() {
        for octet in 0..=u8::MAX {
            let ends = matches!(octet, b'"' | b'\\' | ..b' ');
            for place in 0..40 {
                let mut octets = [b'a'; 40];
                octets[place] = octet;
                let wanted = if ends { place } else { octets.len() };
                assert_eq!(plain_text_length(&octets), wanted, "{octet} at {place}");
            }
        }
    }

    proptest! {
        #[test]
        fn every_block_has_the_same_masks_on_every_cpu(
            octets in prop::collection::vec(any::<u8>(), BLOCK_BYTES),
        ) {
            let block: &[u8; BLOCK_BYTES] = octets.as_slice().try_into().unwrap();
            prop_assert_eq!(JsonMasks::of(block), JsonMasks::portable(block));
        }
    }
}
