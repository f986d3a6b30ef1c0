//! What may be called: `--outbound-allow`, `--outbound-deny`, and what holds without them.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use ipnet::IpNet;
use url::{Host, Url};

use super::address::{Reach, is_in, reach};

/// Why a call is not made. Tells nothing of the address: whoever chose the host could map our network by it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("its address is none on the internet; an administrator can permit the host by --outbound-allow")]
    Address,
    #[error("{0}:// is not permitted, use https://")]
    Scheme(String),
    #[error("it names no host")]
    NoHost,
    #[error("an address must not contain a user name or password; credentials are configured beside it")]
    Userinfo,
    #[error("the server redirects from https to http")]
    Downgrade,
    #[error("the server redirects too often")]
    TooManyRedirects,
    #[error("the server redirects to what is no address")]
    BadRedirect,
    #[error("the server redirects a request with content to another server")]
    RedirectWithBody,
}

/// The value of `--outbound-allow`: entries that are separated by commas.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AllowList(Vec<Entry>);

/// The value of `--outbound-deny`: networks that are separated by commas.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DenyList(Vec<IpNet>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Entry {
    /// Wherever a name leads there.
    Network(IpNet),
    /// Wherever this name leads, link-local and the like excepted.
    Server { host: Host, port: Option<u16>, plain: bool },
}

/// An entry that is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{entry:?}: expected {expected}")]
pub struct BadEntry {
    entry: String,
    expected: &'static str,
}

const ALLOWED: &str = "host, host:port, http://host[:port], an IP address or a network as 10.0.0.0/8";

impl FromStr for AllowList {
    type Err = BadEntry;

    fn from_str(text: &str) -> Result<Self, BadEntry> {
        entries(text).map(str::parse).collect::<Result<_, _>>().map(Self)
    }
}

impl FromStr for DenyList {
    type Err = BadEntry;

    fn from_str(text: &str) -> Result<Self, BadEntry> {
        let parse = |entry: &str| {
            network(entry).ok_or_else(|| BadEntry {
                entry: entry.to_owned(),
                expected: "an IP address or a network as 10.0.0.0/8",
            })
        };
        entries(text).map(parse).collect::<Result<_, _>>().map(Self)
    }
}

fn entries(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|entry| !entry.is_empty())
}

fn network(text: &str) -> Option<IpNet> {
    text.parse().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from))
}

impl FromStr for Entry {
    type Err = BadEntry;

    fn from_str(text: &str) -> Result<Self, BadEntry> {
        if let Some(network) = network(text) {
            return Ok(Self::Network(network));
        }
        let bad = || BadEntry { entry: text.to_owned(), expected: ALLOWED };
        let (plain, authority) = match text.strip_prefix("http://") {
            Some(authority) => (true, authority),
            None => (false, text),
        };
        // The parser of the addresses that it will be compared with; with a scheme that has no default port.
        let url = Url::parse(&format!("tcp://{authority}")).map_err(|_| bad())?;
        let is_bare = url.path().is_empty()
            && url.query().is_none()
            && url.fragment().is_none()
            && url.username().is_empty()
            && url.password().is_none();
        let host =
            url.host_str().filter(|_| is_bare).and_then(|host| Host::parse(host).ok()).ok_or_else(bad)?;
        // A pattern would never match, and nobody would notice.
        if matches!(&host, Host::Domain(name) if name.contains('*')) {
            return Err(bad());
        }
        Ok(Self::Server { host, port: url.port(), plain })
    }
}

impl fmt::Display for AllowList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        joined(f, &self.0)
    }
}

impl fmt::Display for DenyList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        joined(f, &self.0)
    }
}

fn joined(f: &mut fmt::Formatter<'_>, entries: &[impl fmt::Display]) -> fmt::Result {
    entries.iter().enumerate().try_for_each(|(at, entry)| {
        if at > 0 {
            f.write_str(",")?;
        }
        entry.fmt(f)
    })
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Network(network) => network.fmt(f),
            Self::Server { host, port, plain } => {
                let scheme = if *plain { "http://" } else { "" };
                let port = port.map(|port| format!(":{port}")).unwrap_or_default();
                write!(f, "{scheme}{host}{port}")
            }
        }
    }
}

/// Whether the host was permitted by its name, so that its addresses are not looked at as closely.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Permit {
    ByAddress,
    ByName,
}

/// Decides what may be called.
#[derive(Debug)]
pub(super) struct Guard {
    allowed: Vec<Entry>,
    networks: Vec<IpNet>,
    denied: Vec<IpNet>,
}

impl Guard {
    pub(super) fn new(AllowList(allowed): AllowList, DenyList(denied): DenyList) -> Self {
        let network = |entry: &Entry| match entry {
            Entry::Network(network) => Some(*network),
            Entry::Server { .. } => None,
        };
        Self { networks: allowed.iter().filter_map(network).collect(), allowed, denied }
    }

    /// Checks all that can be seen before a name is resolved.
    pub(super) fn check(&self, url: &Url) -> Result<Permit, Refusal> {
        let host = url.host().ok_or(Refusal::NoHost)?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(Refusal::Userinfo);
        }
        let named = self.servers(&host, url.port_or_known_default());
        match url.scheme() {
            "https" => {}
            "http" if named == Some(true) => {}
            scheme => return Err(Refusal::Scheme(scheme.to_owned())),
        }
        let permit = if named.is_some() { Permit::ByName } else { Permit::ByAddress };
        // Such an address is connected to without asking the resolver.
        match host {
            Host::Ipv4(address) => self.check_address(address.into(), permit)?,
            Host::Ipv6(address) => self.check_address(address.into(), permit)?,
            Host::Domain(_) => {}
        }
        Ok(permit)
    }

    /// Whether a server is listed, and if so, whether plain http is permitted there.
    fn servers(&self, host: &Host<&str>, port: Option<u16>) -> Option<bool> {
        let is_same = |listed: &Host| match (listed, host) {
            // A final dot only says that the name is complete.
            (Host::Domain(listed), Host::Domain(host)) => {
                listed.trim_end_matches('.') == host.trim_end_matches('.')
            }
            (Host::Ipv4(listed), Host::Ipv4(host)) => listed == host,
            (Host::Ipv6(listed), Host::Ipv6(host)) => listed == host,
            _ => false,
        };
        let plain = self.allowed.iter().filter_map(|entry| match entry {
            Entry::Server { host: listed, port: only, plain }
                if is_same(listed) && only.is_none_or(|only| Some(only) == port) =>
            {
                Some(*plain)
            }
            Entry::Network(_) | Entry::Server { .. } => None,
        });
        plain.reduce(|one, other| one | other)
    }

    pub(super) fn check_address(&self, address: IpAddr, permit: Permit) -> Result<(), Refusal> {
        let is_permitted = is_in(&self.networks, address)
            || match (reach(address), permit) {
                (Reach::Special, _) | (Reach::Internal, Permit::ByAddress) => false,
                (Reach::Public, Permit::ByAddress) => !is_in(&self.denied, address),
                (Reach::Public | Reach::Internal, Permit::ByName) => true,
            };
        if is_permitted { Ok(()) } else { Err(Refusal::Address) }
    }

    /// Those of a name's addresses that may be connected to. One at least, or it is a refusal.
    pub(super) fn permitted(
        &self,
        addresses: impl IntoIterator<Item = SocketAddr>,
        permit: Permit,
    ) -> Result<Vec<SocketAddr>, Refusal> {
        let permitted: Vec<_> = addresses
            .into_iter()
            .filter(|address| self.check_address(address.ip(), permit).is_ok())
            .collect();
        if permitted.is_empty() { Err(Refusal::Address) } else { Ok(permitted) }
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn guard(allow: &str, deny: &str) -> Guard {
        Guard::new(allow.parse().unwrap(), deny.parse().unwrap())
    }

    #[rstest]
    #[case::empty("", "")]
    #[case::as_kustomize_writes_it(" git.test ,, 10.0.0.0/8,", "git.test,10.0.0.0/8")]
    #[case::upper_case("Git.TEST:8443", "git.test:8443")]
    #[case::address("10.1.2.3,fd00::1", "10.1.2.3/32,fd00::1/128")]
    #[case::address_with_port("10.1.2.3:8443,[fd00::1]:8443", "10.1.2.3:8443,[fd00::1]:8443")]
    #[case::plain("http://git.test,http://git.test:3000", "http://git.test,http://git.test:3000")]
    fn reads_the_list(#[case] text: &str, #[case] expected: &str) {
        assert_eq!(text.parse::<AllowList>().unwrap().to_string(), expected);
        assert_eq!(expected.parse::<AllowList>().unwrap().to_string(), expected);
    }

    #[rstest]
    #[case::scheme("https://git.test")]
    #[case::path("git.test/konflux")]
    #[case::port("git.test:x")]
    #[case::large_port("git.test:70000")]
    #[case::network("10.0.0.0/33")]
    #[case::credentials("user@git.test")]
    #[case::wildcard("*.git.test")]
    #[case::space("git test")]
    #[case::query("git.test?x")]
    fn refuses_other_entries(#[case] text: &str) {
        let error = text.parse::<AllowList>().unwrap_err().to_string();
        assert!(error.contains(text) && error.contains("host:port"), "{error}");
        assert!(text.parse::<DenyList>().is_err());
    }

    #[rstest]
    #[case::public("https://1.1.1.1/x", "", Ok(Permit::ByAddress))]
    #[case::a_name_is_checked_when_it_is_resolved("https://git.test/x", "", Ok(Permit::ByAddress))]
    #[case::plain("http://git.test/x", "", Err(Refusal::Scheme("http".into())))]
    #[case::file("file:///etc/passwd", "", Err(Refusal::NoHost))]
    #[case::other_scheme("ftp://git.test/x", "git.test", Err(Refusal::Scheme("ftp".into())))]
    #[case::userinfo("https://u:p@git.test/x", "git.test", Err(Refusal::Userinfo))]
    #[case::user("https://u@git.test/x", "git.test", Err(Refusal::Userinfo))]
    #[case::private("https://10.0.0.1/x", "", Err(Refusal::Address))]
    #[case::loopback("https://127.0.0.1:6443/x", "", Err(Refusal::Address))]
    #[case::loopback_in_octal("https://0177.0.0.1/x", "", Err(Refusal::Address))]
    #[case::loopback_as_number("https://2130706433/x", "", Err(Refusal::Address))]
    #[case::loopback_in_short("https://127.1/x", "", Err(Refusal::Address))]
    #[case::loopback_v6("https://[::1]/x", "", Err(Refusal::Address))]
    #[case::loopback_mapped("https://[::ffff:127.0.0.1]/x", "", Err(Refusal::Address))]
    #[case::metadata("https://169.254.169.254/latest", "", Err(Refusal::Address))]
    #[case::unspecified("https://0.0.0.0/x", "", Err(Refusal::Address))]
    #[case::private_network_is_listed("https://10.0.0.1/x", "10.0.0.0/8", Ok(Permit::ByAddress))]
    #[case::address_is_listed("https://10.0.0.1:8443/x", "10.0.0.1", Ok(Permit::ByAddress))]
    #[case::port_is_listed("https://10.0.0.1:8443/x", "10.0.0.1:8443", Ok(Permit::ByName))]
    #[case::other_port_is_listed("https://10.0.0.1:8443/x", "10.0.0.1:443", Err(Refusal::Address))]
    #[case::name_is_listed("https://git.test/x", "git.test", Ok(Permit::ByName))]
    #[case::final_dot("https://git.test./x", "git.test", Ok(Permit::ByName))]
    #[case::default_port("https://git.test/x", "git.test:443", Ok(Permit::ByName))]
    #[case::other_port("https://git.test:8443/x", "git.test:443", Ok(Permit::ByAddress))]
    #[case::longer_name("https://a.git.test/x", "git.test", Ok(Permit::ByAddress))]
    #[case::plain_is_listed("http://git.test/x", "http://git.test", Ok(Permit::ByName))]
    #[case::plain_on_other_port("http://git.test/x", "http://git.test:3000", Err(Refusal::Scheme("http".into())))]
    #[case::plain_is_not_listed("http://git.test/x", "git.test", Err(Refusal::Scheme("http".into())))]
    #[case::plain_with_network("http://10.0.0.1/x", "10.0.0.0/8", Err(Refusal::Scheme("http".into())))]
    #[case::metadata_by_name("https://169.254.169.254/x", "169.254.169.254:443", Err(Refusal::Address))]
    #[case::metadata_by_network("https://169.254.169.254/x", "169.254.169.254/32", Ok(Permit::ByAddress))]
    fn checks_addresses(#[case] url: &str, #[case] allow: &str, #[case] expected: Result<Permit, Refusal>) {
        assert_eq!(guard(allow, "").check(&Url::parse(url).unwrap()), expected);
    }

    #[rstest]
    #[case::public("1.1.1.1", "", "", Permit::ByAddress, true)]
    #[case::denied("1.1.1.1", "", "1.0.0.0/8", Permit::ByAddress, false)]
    #[case::denied_wrapped("64:ff9b::1.1.1.1", "", "1.0.0.0/8", Permit::ByAddress, false)]
    #[case::denied_but_named("1.1.1.1", "", "1.0.0.0/8", Permit::ByName, true)]
    #[case::denied_but_for_a_part("1.1.1.1", "1.1.1.1", "1.0.0.0/8", Permit::ByAddress, true)]
    #[case::private("10.0.0.1", "", "", Permit::ByAddress, false)]
    #[case::private_and_named("10.0.0.1", "", "", Permit::ByName, true)]
    #[case::metadata_and_named("169.254.169.254", "", "", Permit::ByName, false)]
    fn checks_what_names_lead_to(
        #[case] address: &str,
        #[case] allow: &str,
        #[case] deny: &str,
        #[case] permit: Permit,
        #[case] expected: bool,
    ) {
        let address = SocketAddr::new(address.parse().unwrap(), 443);
        let permitted = guard(allow, deny).permitted([address], permit);
        assert_eq!(permitted, if expected { Ok(vec![address]) } else { Err(Refusal::Address) });
    }

    #[test]
    fn leaves_out_what_is_not_permitted() {
        let [public, private]: [SocketAddr; 2] = ["1.1.1.1:443", "10.0.0.1:443"].map(|a| a.parse().unwrap());
        assert_eq!(guard("", "").permitted([private, public], Permit::ByAddress), Ok(vec![public]));
        assert_eq!(guard("", "").permitted([], Permit::ByAddress), Err(Refusal::Address));
    }

    #[test]
    fn says_nothing_of_the_address() {
        let refusal = guard("", "").check(&Url::parse("https://10.1.2.3/x").unwrap()).unwrap_err();
        assert!(!refusal.to_string().contains("10.1.2.3"), "{refusal}");
    }
}
