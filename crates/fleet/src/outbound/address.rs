//! Which addresses belong to the world, and which to somebody's inside.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::LazyLock;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// Whom an address reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Anybody on the internet.
    Public,
    /// Something of ours or of our neighbours: only by permission.
    Internal,
    /// The machine's own link, where clouds keep credentials, or nobody in particular: only if its network is named.
    Special,
}

/// The IANA special-purpose address registries (RFC 6890 and later), IPv4. What is not here is public.
const IPV4: &[(&str, Reach)] = &[
    ("0.0.0.0/8", Reach::Special),       // this network, unspecified
    ("10.0.0.0/8", Reach::Internal),     // private, RFC 1918
    ("100.64.0.0/10", Reach::Internal),  // carrier-grade NAT, RFC 6598: pods and nodes of some clouds
    ("127.0.0.0/8", Reach::Internal),    // loopback
    ("169.254.0.0/16", Reach::Special),  // link-local; 169.254.169.254 hands out a cloud's credentials
    ("172.16.0.0/12", Reach::Internal),  // private
    ("192.0.0.0/24", Reach::Special),    // IETF protocols
    ("192.0.2.0/24", Reach::Special),    // documentation
    ("192.88.99.0/24", Reach::Special),  // 6to4 relays
    ("192.168.0.0/16", Reach::Internal), // private
    ("198.18.0.0/15", Reach::Internal),  // benchmarks: used inside as if it were private
    ("198.51.100.0/24", Reach::Special), // documentation
    ("203.0.113.0/24", Reach::Special),  // documentation
    ("224.0.0.0/4", Reach::Special),     // multicast
    ("240.0.0.0/4", Reach::Special),     // reserved, broadcast
];

/// The same for IPv6. Only 2000::/3 is public at all; these are the exceptions in it, and what is internal outside.
const IPV6: &[(&str, Reach)] = &[
    ("::1/128", Reach::Internal),        // loopback
    ("64:ff9b:1::/48", Reach::Internal), // NAT64 of somebody's own network
    ("2001::/23", Reach::Special),       // IETF protocols, Teredo, benchmarks, ORCHID
    ("2001:db8::/32", Reach::Special),   // documentation
    ("2002::/16", Reach::Special),       // 6to4: any IPv4 address in disguise
    ("3fff::/20", Reach::Special),       // documentation
    ("fc00::/7", Reach::Internal),       // unique local
    ("fec0::/10", Reach::Internal),      // site-local, deprecated
];

const IPV6_PUBLIC: Ipv6Net = Ipv6Net::new_assert(Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 0), 3);

/// NAT64 (RFC 6052): the last 32 bits are the IPv4 address that is reached.
const NAT64: Ipv6Net = Ipv6Net::new_assert(Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, 0, 0), 96);

static V4: LazyLock<Vec<(Ipv4Net, Reach)>> = LazyLock::new(|| parsed(IPV4));
static V6: LazyLock<Vec<(Ipv6Net, Reach)>> = LazyLock::new(|| parsed(IPV6));

fn parsed<N: std::str::FromStr<Err: std::fmt::Debug>>(table: &[(&str, Reach)]) -> Vec<(N, Reach)> {
    table
        .iter()
        .map(|(network, reach)| (network.parse().expect("a network of the table above"), *reach))
        .collect()
}

/// Whom `address` reaches.
pub fn reach(address: IpAddr) -> Reach {
    match real(address) {
        IpAddr::V4(address) => {
            V4.iter().find(|(net, _)| net.contains(&address)).map_or(Reach::Public, |(_, reach)| *reach)
        }
        IpAddr::V6(address) => {
            let listed = V6.iter().find(|(net, _)| net.contains(&address)).map(|(_, reach)| *reach);
            let unlisted = if IPV6_PUBLIC.contains(&address) { Reach::Public } else { Reach::Special };
            listed.unwrap_or(unlisted)
        }
    }
}

/// The IPv4 address that an IPv6 address only wraps (`::ffff:10.0.0.1`, `64:ff9b::10.0.0.1`), else the address itself.
pub(super) fn real(address: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = address else { return address };
    let wrapped = v6.to_ipv4_mapped().or_else(|| {
        let [.., a, b, c, d] = v6.octets();
        NAT64.contains(&v6).then(|| Ipv4Addr::new(a, b, c, d))
    });
    wrapped.map_or(address, IpAddr::V4)
}

/// Whether one of `networks` holds the address, or what it wraps.
pub(super) fn is_in(networks: &[IpNet], address: IpAddr) -> bool {
    let real = real(address);
    networks.iter().any(|network| network.contains(&address) || network.contains(&real))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::public(&["1.1.1.1", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "172.15.255.255", "172.32.0.0", "192.169.0.1", "223.255.255.255"], Reach::Public)]
    #[case::public_v6(&["2606:4700::1111", "2a00:1450::1", "2001:200::1"], Reach::Public)]
    #[case::public_wrapped(&["::ffff:1.1.1.1", "64:ff9b::1.1.1.1"], Reach::Public)]
    #[case::private(&["10.0.0.1", "10.255.255.255", "172.16.0.1", "172.31.255.255", "192.168.1.1", "100.64.0.1", "100.127.255.255", "198.18.0.1", "198.19.255.255"], Reach::Internal)]
    #[case::loopback(&["127.0.0.1", "127.255.0.1", "::1"], Reach::Internal)]
    #[case::private_v6(&["fc00::1", "fdff::1", "fec0::1", "64:ff9b:1::1"], Reach::Internal)]
    #[case::private_wrapped(&["::ffff:10.0.0.1", "::ffff:127.0.0.1", "64:ff9b::10.0.0.1", "64:ff9b::7f00:1"], Reach::Internal)]
    #[case::metadata(&["169.254.169.254", "::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe", "fe80::1", "fe80::a9fe:a9fe"], Reach::Special)]
    #[case::nobody(&["0.0.0.0", "0.1.2.3", "::", "255.255.255.255", "240.0.0.1", "224.0.0.1", "239.1.1.1", "ff02::1", "::127.0.0.1", "100::1", "4000::1"], Reach::Special)]
    #[case::examples(&["192.0.2.1", "198.51.100.1", "203.0.113.1", "2001:db8::1", "3fff::1", "192.0.0.1", "192.88.99.1"], Reach::Special)]
    #[case::tunnels(&["2002:0a00:0001::1", "2001:0:1::1"], Reach::Special)]
    fn judges(#[case] addresses: &[&str], #[case] expected: Reach) {
        for address in addresses {
            assert_eq!(reach(address.parse().unwrap()), expected, "{address}");
        }
    }

    #[test]
    fn networks_hold_what_addresses_wrap() {
        let networks = ["10.0.0.0/8".parse().unwrap()];
        assert!(is_in(&networks, "::ffff:10.1.2.3".parse().unwrap()));
        assert!(is_in(&networks, "64:ff9b::10.1.2.3".parse().unwrap()));
        assert!(!is_in(&networks, "::ffff:11.1.2.3".parse().unwrap()));
    }
}
