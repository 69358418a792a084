//! Variables that the container image of mesos-dns took: `MESOS_IP` and `RESOLVER`. In: the
//! environment. Out: values of our own keys. They must never win over a variable of our own, and
//! count only where no configuration file is read: agents and masters of Mesos are configured
//! through variables like `MESOS_IP` too, and a host's file must not give way to those.

use std::net::{IpAddr, SocketAddr};

/// Variable, key, and how the one's value is written for the other.
type Alias = (&'static str, &'static str, fn(&str) -> String);

const ALIASES: &[Alias] = &[
    ("MESOS_IP", "Masters", masters),
    ("RESOLVER", "Resolvers", str::to_owned),
];

/// Where masters listen unless they are told otherwise.
const MASTER_PORT: u16 = 5050;

/// The variable's own name, the key and the value, where `variable` is one of these.
pub fn read(variable: &str, value: &str) -> Option<(&'static str, &'static str, String)> {
    let (name, key, written) = *ALIASES.iter().find(|(name, ..)| *name == variable)?;
    Some((name, key, written(value))).filter(|_| !value.is_empty())
}

fn masters(value: &str) -> String {
    let masters = value.split(',').map(|master| with_port(master.trim()));
    masters.collect::<Vec<_>>().join(",")
}

fn with_port(master: &str) -> String {
    match master.parse::<IpAddr>() {
        Ok(address) => SocketAddr::new(address, MASTER_PORT).to_string(),
        Err(_) if master.is_empty() || master.contains(':') => master.to_owned(),
        Err(_) => format!("{master}:{MASTER_PORT}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_master_without_a_port_has_that_of_mesos() {
        for (value, masters) in [
            ("10.0.0.1", "10.0.0.1:5050"),
            ("10.0.0.1:5051", "10.0.0.1:5051"),
            ("fd00::1", "[fd00::1]:5050"),
            ("[fd00::1]:5051", "[fd00::1]:5051"),
            ("m1.example, 10.0.0.2:1", "m1.example:5050,10.0.0.2:1"),
        ] {
            let found = read("MESOS_IP", value).map(|(_, _, value)| value);
            assert_eq!(found.as_deref(), Some(masters));
        }
        assert_eq!(read("MESOS_IP", ""), None);
        assert_eq!(read("ROLLCALL_MASTERS", "10.0.0.1"), None);
    }
}
