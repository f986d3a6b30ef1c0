//! Which Secrets of a ServiceAccount steps can use, and how the entrypoint is told (section 2.1).

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Secret, SecretVolumeSource, Volume, VolumeMount};
use pipelines_engine_api::annotations;

/// Where the volumes of Secrets lie.
pub const FOLDER: &str = "/tekton/creds-secrets";

/// A kind of Secret, and its parts without the content, which the engine does not keep.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credential {
    /// Name of the Secret.
    pub secret: String,
    pub kind: Kind,
}

/// What a Secret is good for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `kubernetes.io/basic-auth`, with the hosts that its annotations name.
    Basic { git: Vec<String>, docker: Vec<String> },
    /// `kubernetes.io/ssh-auth`, with the hosts that its annotations name.
    Ssh { git: Vec<String>, has_known_hosts: bool },
    /// `kubernetes.io/dockerconfigjson`
    DockerConfigJson,
    /// `kubernetes.io/dockercfg`
    DockerCfg,
}

/// The ServiceAccount that a pod runs as.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Account {
    /// Its name, where the namespace does not have the one that the run would have by default.
    pub instead: Option<String>,
    /// What its Secrets are good for.
    pub credentials: Vec<Credential>,
    /// Secrets that it names and that do not exist, sorted.
    pub missing: Vec<String>,
}

impl Credential {
    /// `None` for a Secret that steps cannot use.
    pub fn of(secret: &Secret) -> Option<Self> {
        let absent = BTreeMap::new();
        let annotations = secret.metadata.annotations.as_ref().unwrap_or(&absent);
        let hosts = |prefix: &str| {
            let mut hosts: Vec<_> = annotations
                .iter()
                .filter(|(key, _)| key.starts_with(prefix))
                .map(|(_, host)| host.clone())
                .collect();
            hosts.sort();
            hosts
        };
        let (git, docker) = (hosts(annotations::GIT_HOST_PREFIX), hosts(annotations::DOCKER_HOST_PREFIX));
        let kind = match secret.type_.as_deref()? {
            "kubernetes.io/basic-auth" if !git.is_empty() || !docker.is_empty() => {
                Kind::Basic { git, docker }
            }
            "kubernetes.io/ssh-auth" if !git.is_empty() => {
                let has_known_hosts =
                    secret.data.as_ref().is_some_and(|data| data.contains_key("known_hosts"));
                Kind::Ssh { git, has_known_hosts }
            }
            "kubernetes.io/dockerconfigjson" => Kind::DockerConfigJson,
            "kubernetes.io/dockercfg" => Kind::DockerCfg,
            _ => return None,
        };
        Some(Self { secret: secret.metadata.name.clone()?, kind })
    }

    fn flags(&self) -> Vec<String> {
        let secret = &self.secret;
        let of_hosts = |flag: &str, hosts: &[String]| {
            hosts.iter().map(|host| format!("-{flag}={secret}={host}")).collect::<Vec<_>>()
        };
        match &self.kind {
            Kind::Basic { git, docker } => {
                [of_hosts("basic-docker", docker), of_hosts("basic-git", git)].concat()
            }
            Kind::Ssh { git, .. } => of_hosts("ssh-git", git),
            Kind::DockerConfigJson => vec![format!("-docker-config={secret}")],
            Kind::DockerCfg => vec![format!("-docker-cfg={secret}")],
        }
    }
}

/// An SSH key whose host nobody can be sure of.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "secret {0:?} has no known_hosts, and require-git-ssh-secret-known-hosts is set: put the host's public keys in it"
)]
pub struct NoKnownHosts(pub String);

/// Flags of the entrypoint, sorted.
pub fn flags(credentials: &[Credential], require_known_hosts: bool) -> Result<Vec<String>, NoKnownHosts> {
    for credential in credentials {
        if let Kind::Ssh { has_known_hosts: false, .. } = credential.kind
            && require_known_hosts
        {
            return Err(NoKnownHosts(credential.secret.clone()));
        }
    }
    let mut flags: Vec<_> = credentials.iter().flat_map(Credential::flags).collect();
    flags.sort();
    flags.dedup();
    Ok(flags)
}

/// A volume for each Secret, and where it lies in every step.
pub fn volumes(credentials: &[Credential], run_uid: &str) -> Vec<(Volume, VolumeMount)> {
    let of_one = |credential: &Credential| {
        let secret = &credential.secret;
        let hash = crate::names::short_hash(&format!("{run_uid}{secret}"));
        let prefix = "tekton-internal-secret-volume-";
        // A volume's name is a DNS label: at most 63 characters without dots.
        let head: String =
            secret.replace('.', "-").chars().take(63 - prefix.len() - 1 - hash.len()).collect();
        let name = format!("{prefix}{}-{hash}", head.trim_end_matches('-'));
        let volume = Volume {
            name: name.clone(),
            secret: Some(SecretVolumeSource { secret_name: Some(secret.clone()), ..Default::default() }),
            ..Volume::default()
        };
        let mount = VolumeMount { name, mount_path: format!("{FOLDER}/{secret}"), ..VolumeMount::default() };
        (volume, mount)
    };
    credentials.iter().map(of_one).collect()
}

#[cfg(test)]
#[expect(clippy::needless_pass_by_value, reason = "values are written where they are used")]
mod tests {
    use super::*;
    use rstest::rstest;
    use serde_json::{Value, json};

    fn secret(type_: &str, annotations: Value, data: Value) -> Secret {
        serde_json::from_value(json!({
            "metadata": {"name": "s", "annotations": annotations}, "type": type_, "data": data,
        }))
        .unwrap()
    }

    #[rstest]
    #[case::git("kubernetes.io/basic-auth", json!({"tekton.dev/git-1": "https://b", "tekton.dev/git-0": "https://a"}), &["-basic-git=s=https://a", "-basic-git=s=https://b"])]
    #[case::docker("kubernetes.io/basic-auth", json!({"tekton.dev/docker-0": "https://a"}), &["-basic-docker=s=https://a"])]
    #[case::ssh("kubernetes.io/ssh-auth", json!({"tekton.dev/git-0": "host"}), &["-ssh-git=s=host"])]
    #[case::config("kubernetes.io/dockerconfigjson", json!({}), &["-docker-config=s"])]
    #[case::cfg("kubernetes.io/dockercfg", json!({}), &["-docker-cfg=s"])]
    fn tells_the_entrypoint(#[case] type_: &str, #[case] annotations: Value, #[case] expected: &[&str]) {
        let credential = Credential::of(&secret(type_, annotations, json!({}))).unwrap();
        assert_eq!(flags(&[credential], false).unwrap(), expected);
    }

    #[rstest]
    #[case::no_host("kubernetes.io/basic-auth")]
    #[case::no_host("kubernetes.io/ssh-auth")]
    #[case::opaque("Opaque")]
    fn leaves_others_alone(#[case] type_: &str) {
        assert_eq!(Credential::of(&secret(type_, json!({}), json!({}))), None);
    }

    #[test]
    fn known_hosts_can_be_required() {
        let hosts = json!({"tekton.dev/git-0": "host"});
        let without = Credential::of(&secret("kubernetes.io/ssh-auth", hosts.clone(), json!({}))).unwrap();
        assert_eq!(flags(&[without], true), Err(NoKnownHosts("s".into())));
        let with = secret("kubernetes.io/ssh-auth", hosts, json!({"known_hosts": "aG9zdA=="}));
        assert!(flags(&[Credential::of(&with).unwrap()], true).is_ok());
    }

    #[test]
    fn volumes_have_stable_legal_names() {
        let credential = Credential { secret: format!("a.{}", "b".repeat(200)), kind: Kind::DockerCfg };
        let first = volumes(std::slice::from_ref(&credential), "u");
        assert_eq!(first[0].0.name, volumes(&[credential], "u")[0].0.name);
        assert!(first[0].0.name.len() <= 63 && !first[0].0.name.contains('.'), "{}", first[0].0.name);
        assert!(first[0].1.mount_path.starts_with("/tekton/creds-secrets/a."));
    }
}
