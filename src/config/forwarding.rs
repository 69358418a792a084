//! Names outside the domain: the keys that say whom they are asked of, who may ask, and how long answers
//! are kept. In: the settings. Out: what `load` takes of them, or the error that names the culprit.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use super::error::{ConfigError, Warning};
use super::settings::Settings;
use super::{AllowedClients, Config, values};
use crate::dns::cookie;
use crate::dns::subnet::Subnet;

/// Zones of which every name is answered here: RFC 6761, 6.3 and 6.4, RFC 7686, 2.
const ANSWERED_HERE: [&str; 3] = ["localhost", "invalid", "onion"];

/// In place of the blocks of this host's own interfaces, in `AllowRecursion`.
const INTERFACES: &str = "interfaces";

/// Without `ExternalOn` nothing is forwarded, so that the lists are not checked (as in mesos-dns).
pub fn resolvers(
    settings: &Settings,
    external_on: bool,
) -> Result<Option<Vec<SocketAddr>>, ConfigError> {
    let list = settings.list("Resolvers")?;
    if !external_on {
        return Ok(Some(Vec::new()));
    }
    let addresses = resolver_list(settings, "Resolvers", &list, "")?;
    Ok(Some(addresses).filter(|addresses| !addresses.is_empty()))
}

fn resolver_list(
    settings: &Settings,
    key: &'static str,
    list: &[String],
    zone: &str,
) -> Result<Vec<SocketAddr>, ConfigError> {
    let mut addresses = Vec::with_capacity(list.len());
    for text in list {
        let place = format!("{zone}{text}");
        let address = match values::resolver(text) {
            Ok(address) => address,
            Err((problem, cure)) => return Err(settings.wrong_part(key, place, problem, cure)),
        };
        if addresses.contains(&address) {
            let problem = "this resolver is listed twice";
            let cure = "right would be each address and port once";
            return Err(settings.wrong_part(key, place, problem, cure));
        }
        addresses.push(address);
    }
    Ok(addresses)
}

/// Zones may lie in one another, and hold the domain: the longest that holds a name has it, and the
/// domain itself is answered before.
pub fn zone_resolvers(
    settings: &Settings,
    external_on: bool,
    own_domain: &str,
) -> Result<BTreeMap<String, Vec<SocketAddr>>, ConfigError> {
    const KEY: &str = "ZoneResolvers";
    let written = settings.zones(KEY)?;
    let mut zones = BTreeMap::new();
    if !external_on {
        return Ok(zones);
    }
    for (text, list) in &written {
        let zone = values::domain(text)
            .map_err(|(problem, cure)| settings.wrong_part(KEY, text, problem, cure))?;
        if list.is_empty() {
            let cure = "right would be at least one resolver, or no such zone";
            return Err(settings.wrong_part(KEY, text, "the zone has no resolver", cure));
        }
        let cure = "right would be a zone outside the domain";
        if zone == own_domain {
            return Err(settings.wrong_part(KEY, text, "this is our own domain", cure));
        }
        if is_below(&zone, own_domain) {
            let problem = format!("the zone is masked by {own_domain}, our own domain");
            return Err(settings.wrong_part(KEY, text, problem, cure));
        }
        let addresses = resolver_list(settings, KEY, list, &format!("{text}="))?;
        if zones.insert(zone, addresses).is_some() {
            let cure = "right would be each zone once, since names have no case (RFC 4343)";
            return Err(settings.wrong_part(KEY, text, "the zone is listed twice", cure));
        }
    }
    Ok(zones)
}

/// Zones whose resolvers are never asked, because their names are answered here.
pub fn zones_never_asked(config: &Config) -> impl Iterator<Item = Warning> {
    let special = |zone: &&String| {
        let mut all = ANSWERED_HERE.into_iter();
        all.any(|special| *zone == special || is_below(zone, special))
    };
    config
        .zone_resolvers
        .keys()
        .filter(special)
        .map(|zone| Warning::ZoneNeverAsked { zone: zone.clone() })
}

fn is_below(zone: &str, other: &str) -> bool {
    zone.strip_suffix(other)
        .is_some_and(|rest| rest.ends_with('.'))
}

/// Blocks of addresses, one or more bits of which may be set behind the prefix.
pub fn blocks(settings: &Settings, key: &'static str) -> Result<Vec<Subnet>, ConfigError> {
    let blocks = settings.list(key)?.into_iter().map(|text| {
        Subnet::parse(&text).ok_or_else(|| {
            let cure = "right would be ADDRESS/BITS, such as 10.0.0.0/8";
            settings.wrong_part(key, text, "this is no block of addresses", cure)
        })
    });
    blocks.collect()
}

/// `CookieSecret`; `None` where it is empty.
pub fn cookie_secret(settings: &Settings) -> Result<Option<cookie::Secret>, ConfigError> {
    const KEY: &str = "CookieSecret";
    match settings.text(KEY)? {
        "" => Ok(None),
        text => cookie::Secret::parse(text).map(Some).ok_or_else(|| {
            let cure = "right would be 32 hexadecimal digits, as `openssl rand -hex 16` gives";
            settings.wrong(KEY, "this is no secret for cookies", cure)
        }),
    }
}

pub fn allow_recursion(settings: &Settings) -> Result<Vec<AllowedClients>, ConfigError> {
    const KEY: &str = "AllowRecursion";
    let allowed = settings.list(KEY)?.into_iter().map(|text| {
        if text == INTERFACES {
            return Ok(AllowedClients::Interfaces);
        }
        let block = Subnet::parse(&text).map(AllowedClients::Block);
        block.ok_or_else(|| {
            let cure = "right would be ADDRESS/BITS, such as 10.0.0.0/8, or the word interfaces";
            settings.wrong_part(KEY, text, "this is no block of addresses", cure)
        })
    });
    allowed.collect()
}

/// Bounds on how long answers are kept: `CacheMinTTL` and `CacheMaxTTL`, in seconds.
pub fn cache_ttl(settings: &Settings) -> Result<(u32, u32), ConfigError> {
    const KEY: &str = "CacheMinTTL";
    let (min, max) = (settings.integer(KEY)?, settings.integer("CacheMaxTTL")?);
    if min > max {
        let problem = "this is more than CacheMaxTTL";
        return Err(settings.wrong(KEY, problem, format!("right would be {max} at most")));
    }
    Ok((min, max))
}

impl std::fmt::Display for AllowedClients {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Block(block) => block.fmt(f),
            Self::Interfaces => f.write_str(INTERFACES),
        }
    }
}
