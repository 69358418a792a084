//! Which resolvers a name is asked of. In: the configuration's lists and a name. Out: addresses, in
//! the order in which they are preferred. Pure.

use std::net::SocketAddr;

use crate::dns::name;

/// Resolvers of all names, and of the names of single zones.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Routes {
    resolvers: Box<[SocketAddr]>,
    /// The longest zones first.
    zones: Box<[Zone]>,
}

#[derive(Clone, Debug, PartialEq)]
struct Zone {
    /// Wire format, lower case.
    apex: Box<[u8]>,
    resolvers: Box<[SocketAddr]>,
}

impl Routes {
    /// `zones` are in wire format, lower case.
    pub fn new(
        resolvers: impl Into<Box<[SocketAddr]>>,
        zones: impl IntoIterator<Item = (Box<[u8]>, Box<[SocketAddr]>)>,
    ) -> Self {
        let zones = zones
            .into_iter()
            .map(|(apex, resolvers)| Zone { apex, resolvers });
        let mut zones: Vec<_> = zones.collect();
        zones.sort_by_key(|zone| std::cmp::Reverse(zone.apex.len()));
        Self {
            resolvers: resolvers.into(),
            zones: zones.into(),
        }
    }

    /// The resolvers of a name in wire format, lower case: those of the longest zone that holds it.
    pub fn resolvers_of(&self, wire: &[u8]) -> &[SocketAddr] {
        let mut zones = self.zones.iter();
        match zones.find(|zone| name::is_at_or_below(wire, &zone.apex)) {
            Some(zone) => &zone.resolvers,
            None => &self.resolvers,
        }
    }

    /// Every resolver there is, each once.
    pub fn all(&self) -> Vec<SocketAddr> {
        let zones = self.zones.iter().flat_map(|zone| &zone.resolvers);
        let mut all = Vec::new();
        for address in self.resolvers.iter().chain(zones) {
            if !all.contains(address) {
                all.push(*address);
            }
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dns::name::wire_from_text;

    #[test]
    fn longest_zone_that_holds_a_name_has_it() {
        let wire = |text: &str| wire_from_text(text).expect(text).into_boxed_slice();
        let at = |last: u8| SocketAddr::from(([192, 0, 2, last], 53));
        let zones = [("corp", 2), ("lab.corp", 3)];
        let zones = zones.map(|(zone, last)| (wire(zone), Box::from([at(last)])));
        let routes = Routes::new([at(1)], zones);
        for (name, last) in [
            ("corp", 2),
            ("a.corp", 2),
            ("xlab.corp", 2),
            ("lab.corp", 3),
            ("a.b.lab.corp", 3),
            ("xcorp", 1),
            ("corp.example", 1),
            (".", 1),
        ] {
            assert_eq!(routes.resolvers_of(&wire(name)), [at(last)], "{name}");
        }
        assert_eq!(routes.all(), [at(1), at(3), at(2)]);
    }
}
