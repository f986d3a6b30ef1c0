//! `.docker/config.json`: what registries want to see.

use alloc::borrow::ToOwned as _;
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString as _};
use alloc::vec;
use alloc::vec::Vec;

use super::{Made, Secrets, text};
use crate::flags::{Credential, Kind};
use crate::{base64, json};

/// Entries by registry, in JSON.
type Entries = BTreeMap<String, String>;

pub(super) fn make(credentials: &[Credential], secrets: Secrets<'_>, faults: &mut Vec<String>) -> Vec<Made> {
    let mut entries = Entries::new();
    // The later kinds win.
    for kind in [Kind::DockerCfg, Kind::DockerConfigJson, Kind::BasicDocker] {
        for Credential { secret, host, .. } in credentials.iter().filter(|it| it.kind == kind) {
            let added = match kind {
                Kind::DockerCfg => of_file(secrets, secret, ".dockercfg"),
                Kind::DockerConfigJson => of_file(secrets, secret, ".dockerconfigjson"),
                _ => of_user(secrets, secret, host),
            };
            match added {
                Ok(added) => entries.extend(added),
                Err(fault) => faults.push(fault),
            }
        }
    }
    if entries.is_empty() {
        return Vec::new();
    }
    let mut config = String::from("{\"auths\":{");
    for (index, (registry, entry)) in entries.iter().enumerate() {
        if index > 0 {
            config.push(',');
        }
        json::write_string(&mut config, registry);
        config.push(':');
        config.push_str(entry);
    }
    config.push_str("}}");
    vec![Made { name: ".docker/config.json".to_owned(), content: config.into_bytes() }]
}

/// Entries of a client's own file. Since config.json they are below `auths`.
fn of_file(secrets: Secrets<'_>, secret: &str, key: &str) -> Result<Entries, String> {
    let fault = || format!("Secret {secret}: key {key} holds no credentials in JSON");
    let content = text(secrets, secret, key)?;
    let mut fields = json::object(&content).ok_or_else(fault)?;
    if key == ".dockerconfigjson" {
        let auths = fields.iter().find(|(name, _)| name == "auths").map_or("{}", |(_, auths)| *auths);
        fields = json::object(auths).ok_or_else(fault)?;
    }
    Ok(fields.into_iter().map(|(registry, entry)| (registry, entry.to_string())).collect())
}

fn of_user(secrets: Secrets<'_>, secret: &str, registry: &str) -> Result<Entries, String> {
    let (user, password) = (text(secrets, secret, "username")?, text(secrets, secret, "password")?);
    let both = base64::encode(format!("{user}:{password}").as_bytes());
    let mut entry = String::new();
    for (before, value) in [("{\"username\":", &user), (",\"password\":", &password), (",\"auth\":", &both)] {
        entry.push_str(before);
        json::write_string(&mut entry, value);
    }
    entry.push('}');
    Ok([(registry.to_owned(), entry)].into())
}

#[cfg(test)]
mod tests {
    use super::super::testing::made;
    use super::*;

    #[test]
    fn kinds_are_merged() {
        let credentials = [
            (Kind::BasicDocker, "basic", "b.example"),
            (Kind::DockerConfigJson, "json", ""),
            (Kind::DockerConfigJson, "second", ""),
            (Kind::DockerCfg, "cfg", ""),
            (Kind::DockerCfg, "broken", ""),
        ];
        let values = [
            ("basic", "username", "u\""),
            ("basic", "password", "p"),
            (
                "json",
                ".dockerconfigjson",
                r#"{"credsStore": "x", "auths": {"a.example": {"auth": "anNvbg=="}, "b.example": {}}}"#,
            ),
            ("second", ".dockerconfigjson", r#"{"auths":{"s.example":{"auth":"c2Vjb25k"}}}"#),
            ("cfg", ".dockercfg", r#"{"a.example": {"auth": "Y2Zn"}, "c.example": {"auth": "Y2Zn"}}"#),
            ("broken", ".dockercfg", "{"),
        ];
        let (files, faults) = made(&credentials, &values);
        let config = concat!(
            r#"{"auths":{"a.example":{"auth": "anNvbg=="},"#,
            r#""b.example":{"username":"u\"","password":"p","auth":"dSI6cA=="},"#,
            r#""c.example":{"auth": "Y2Zn"},"s.example":{"auth":"c2Vjb25k"}}}"#
        );
        assert_eq!(files, [(".docker/config.json".to_owned(), config.to_owned())]);
        assert!(serde_json::from_str::<serde_json::Value>(config).is_ok());
        assert_eq!(faults, ["Secret broken: key .dockercfg holds no credentials in JSON"]);
    }
}
