//! Clients by their network, and what each has of something that they share. In: addresses and amounts.
//! Out: a number for each client as long as it has anything. It must never keep those that have nothing:
//! strangers choose their addresses.

use std::collections::HashMap;
use std::net::IpAddr;

/// What each client has, in whatever unit the owner counts.
#[derive(Default)]
pub struct Clients {
    // Strangers choose what stands here: it has the standard hash, keyed at random.
    numbers: HashMap<IpAddr, usize>,
    shares: Vec<Share>,
    free: Vec<usize>,
}

struct Share {
    client: IpAddr,
    amount: usize,
}

impl Clients {
    /// Gives a client so much, above 0. Its number is the same until it has nothing.
    pub fn add(&mut self, client: IpAddr, amount: usize) -> usize {
        let number = *self.numbers.entry(client).or_insert_with(|| {
            self.free.pop().unwrap_or_else(|| {
                self.shares.push(Share { client, amount: 0 });
                self.shares.len() - 1
            })
        });
        if let Some(share) = self.shares.get_mut(number) {
            share.client = client;
            share.amount += amount;
        }
        number
    }

    /// Takes back what was given.
    pub fn remove(&mut self, number: usize, amount: usize) {
        let Some(share) = self.shares.get_mut(number) else {
            return;
        };
        let had = share.amount;
        share.amount = had.saturating_sub(amount);
        if had > 0 && share.amount == 0 {
            self.numbers.remove(&share.client);
            self.free.push(number);
        }
    }

    /// The same for a client whose number was not kept.
    pub fn remove_of(&mut self, client: IpAddr, amount: usize) {
        if let Some(number) = self.numbers.get(&client) {
            self.remove(*number, amount);
        }
    }

    /// What the client of a number has.
    pub fn amount(&self, number: usize) -> usize {
        self.shares.get(number).map_or(0, |share| share.amount)
    }

    /// What a client has.
    pub fn amount_of(&self, client: IpAddr) -> usize {
        let number = self.numbers.get(&client);
        number.map_or(0, |number| self.amount(*number))
    }

    pub fn is_empty(&self) -> bool {
        self.numbers.is_empty()
    }
}

/// An address, or of IPv6 the network: a client has all addresses of its /64.
pub fn client_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) if !address.is_loopback() => {
            let network = u128::from(address) >> 64 << 64;
            IpAddr::V6(network.into())
        }
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(text: &str) -> IpAddr {
        client_of(text.parse().expect(text))
    }

    #[test]
    fn a_client_of_ipv6_is_its_network_and_ipv4_in_its_clothes_is_ipv4() {
        assert_eq!(client("2001:db8::1"), client("2001:db8::ffff:1"));
        assert_ne!(client("2001:db8::1"), client("2001:db8:0:1::1"));
        assert_eq!(client("::ffff:10.0.0.1"), client("10.0.0.1"));
        assert_ne!(client("10.0.0.1"), client("10.0.0.2"));
        assert_eq!(client("::1").to_string(), "::1");
    }

    #[test]
    fn who_has_nothing_is_not_kept_and_its_number_goes_to_another() {
        let mut clients = Clients::default();
        let (one, other) = (client("10.0.0.1"), client("10.0.0.2"));
        let number = clients.add(one, 2);
        assert_eq!(clients.add(one, 1), number);
        assert_eq!((clients.amount(number), clients.amount_of(one)), (3, 3));
        clients.remove(number, 2);
        assert_eq!(clients.amount_of(one), 1);
        clients.remove_of(one, 1);
        assert!(clients.is_empty());
        // Nothing is taken twice.
        clients.remove(number, 1);
        assert_eq!(clients.add(other, 1), number);
        assert_ne!(clients.add(one, 1), number);
        assert_eq!((clients.amount_of(one), clients.amount_of(other)), (1, 1));
    }
}
