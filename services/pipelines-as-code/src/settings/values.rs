//! How the values of single keys are read.

use std::net::IpAddr;

use ipnet::IpNet;
use regex::Regex;

use super::Data;

/// A key with a value that cannot be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{key}: {value:?} is not valid: expected {expected}")]
pub struct Invalid {
    pub key: String,
    pub value: String,
    /// What would be valid, with an example.
    pub expected: String,
}

/// What a value should have been, for a person.
type Expected = String;

/// Reads keys and collects what cannot be read.
pub(super) struct Reader<'a> {
    data: &'a Data,
    invalid: Vec<Invalid>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(data: &'a Data) -> Self {
        Self { data, invalid: Vec::new() }
    }

    pub(super) fn data(&self) -> &'a Data {
        self.data
    }

    pub(super) fn invalid(self) -> Vec<Invalid> {
        self.invalid
    }

    /// The value of `key`: `default` where there is none, `before` where it cannot be read.
    pub(super) fn get<T: Clone>(
        &mut self,
        key: &str,
        read: impl FnOnce(&str) -> Result<T, Expected>,
        default: T,
        before: &T,
    ) -> T {
        match present(self.data, key) {
            None => default,
            Some(value) => self.read(key, value, read).unwrap_or_else(|| before.clone()),
        }
    }

    /// The value of a `key` that has to be there.
    pub(super) fn need<T>(&mut self, key: &str, read: impl FnOnce(&str) -> Result<T, Expected>) -> Option<T> {
        if let Some(value) = present(self.data, key) {
            return self.read(key, value, read);
        }
        let expected = "a value: id, name and url of a catalog belong together".to_owned();
        self.invalid.push(Invalid { key: key.to_owned(), value: String::new(), expected });
        None
    }

    fn read<T>(
        &mut self,
        key: &str,
        value: &str,
        read: impl FnOnce(&str) -> Result<T, Expected>,
    ) -> Option<T> {
        let key = key.to_owned();
        read(value)
            .map_err(|expected| self.invalid.push(Invalid { key, value: value.to_owned(), expected }))
            .ok()
    }
}

fn present<'a>(data: &'a Data, key: &str) -> Option<&'a str> {
    data.get(key).map(|value| value.trim()).filter(|value| !value.is_empty())
}

#[expect(clippy::unnecessary_wraps, reason = "the shape of all readers")]
pub(super) fn text(value: &str) -> Result<String, Expected> {
    Ok(value.to_owned())
}

/// What Go's `ParseBool` takes, and what people write besides.
pub(super) fn flag(value: &str) -> Result<bool, Expected> {
    match value.to_ascii_lowercase().as_str() {
        "1" | "t" | "true" | "yes" | "on" => Ok(true),
        "0" | "f" | "false" | "no" | "off" => Ok(false),
        _ => Err("true or false".to_owned()),
    }
}

pub(super) fn count(value: &str) -> Result<usize, Expected> {
    value.parse().map_err(|_| "a whole number, as 3".to_owned())
}

pub(super) fn lines(value: &str) -> Result<Option<usize>, Expected> {
    if value == "-1" {
        return Ok(None);
    }
    count(value).map(Some).map_err(|_| "a whole number, as 50, or -1 for all lines".to_owned())
}

/// `0` means that there is none.
pub(super) fn no_limit(value: &str) -> Result<Option<u32>, Expected> {
    let number: u32 = value.parse().map_err(|_| "a whole number, as 5, or 0 for none".to_owned())?;
    Ok((number > 0).then_some(number))
}

/// May have placeholders in it, so that not all of it can be checked. Without the `/` at its end.
pub(super) fn web_url(value: &str) -> Result<String, Expected> {
    let rest = ["https://", "http://"].iter().find_map(|scheme| value.strip_prefix(scheme));
    match rest {
        Some(rest) if !rest.is_empty() && !rest.starts_with('/') => {
            Ok(value.trim_end_matches('/').to_owned())
        }
        _ => Err("a URL with https or http, as https://console.example.com".to_owned()),
    }
}

pub(super) fn catalog_id(value: &str) -> Result<String, Expected> {
    if ["http", "https"].contains(&value) {
        return Err("a word that is not the scheme of a URL".to_owned());
    }
    text(value)
}

pub(super) fn repositories(value: &str) -> Result<Vec<String>, Expected> {
    let is_repository = |text: &&str| {
        text.split_once('/')
            .is_some_and(|(owner, name)| !owner.is_empty() && !name.is_empty() && !name.contains('/'))
    };
    match items(value).find(|item| !is_repository(item)) {
        Some(item) => Err(format!("repositories as owner/name with commas between them, and not {item:?}")),
        None => Ok(items(value).map(str::to_owned).collect()),
    }
}

pub(super) fn addresses(value: &str) -> Result<Vec<IpNet>, Expected> {
    let read = |item: &str| {
        let network =
            item.parse::<IpNet>().or_else(|error| item.parse::<IpAddr>().map(IpNet::from).map_err(|_| error));
        network.map_err(|_| {
            format!("addresses or networks, as 192.0.2.1, 198.51.100.0/24, with commas between them, and not {item:?}")
        })
    };
    items(value).map(read).collect()
}

/// A regular expression that says where in a file an error is.
pub(super) fn rule(value: &str) -> Result<Regex, Expected> {
    let regex = Regex::new(value).map_err(|error| format!("a regular expression ({error})"))?;
    let lacks = ["filename", "line", "error"]
        .into_iter()
        .find(|group| !regex.capture_names().flatten().any(|name| name == *group));
    match lacks {
        Some(group) => Err(format!("a regular expression with the group (?P<{group}>…)")),
        None => Ok(regex),
    }
}

fn items(value: &str) -> impl Iterator<Item = &str> {
    value.split([',', '\n']).map(str::trim).filter(|item| !item.is_empty())
}
