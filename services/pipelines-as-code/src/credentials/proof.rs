//! Whether a delivery comes from whom it says (spec section 4.2, point 3). No credential is used for that.

use std::net::IpAddr;

use forge::signature::{Invalid, Sender, Verifier};
use http::HeaderMap;
use ipnet::IpNet;
use pipelines_as_code_api::Repository;
use pipelines_as_code_api::pipeline_run::GitProvider;

use super::Credentials;
use super::choose::{self, Chosen, Place};

/// Why a delivery is not believed.
#[derive(Debug, thiserror::Error)]
pub enum Unverified {
    /// For the Repository's owner; the sender is told nothing of it.
    #[error("{0}")]
    Refused(String),
    /// It cannot be said at the moment.
    #[error("{0}")]
    NotNow(String),
}

/// What a delivery says and brings to prove where it comes from.
#[derive(Clone, Copy)]
pub(crate) struct Proof<'a> {
    pub(crate) sender: Sender,
    /// What it says of itself.
    pub(crate) installation: Option<u64>,
    pub(crate) headers: &'a HeaderMap,
    pub(crate) body: &'a [u8],
    /// Where it came from.
    pub(crate) source: Option<IpAddr>,
}

impl Credentials {
    /// Whether a delivery comes from the forge of this Repository, which has the defaults of all.
    pub(crate) async fn verify(&self, repository: &Repository, proof: Proof<'_>) -> Result<(), Unverified> {
        let chosen = choose::chosen(repository);
        let places = choose::proofs(proof.sender, proof.installation, chosen.as_ref(), &self.secret);
        if proof.sender == Sender::BitbucketCloud {
            if chosen.as_ref().and_then(Chosen::provider) != Some(GitProvider::BitbucketCloud) {
                let text = "spec.git_provider.type is not bitbucket-cloud, where the delivery says that it comes from";
                return Err(Unverified::Refused(text.to_owned()));
            }
            self.comes_from_bitbucket(proof.source).await?;
            // Bitbucket Cloud signs only where its webhook has a secret.
            if places.is_empty() {
                return Ok(());
            }
        }
        self.is_signed(&places, proof).await
    }

    /// As [`verify`](Self::verify), for what is not about one Repository: proven by our own secret for GitHub.
    pub(crate) async fn verify_as_ours(&self, proof: Proof<'_>) -> Result<(), Unverified> {
        let places = choose::proofs(Sender::GitHub, Some(0), None, &self.secret);
        self.is_signed(&places, proof).await
    }

    async fn is_signed(&self, places: &[Place], proof: Proof<'_>) -> Result<(), Unverified> {
        // Of two tries, the second one by what the Secrets hold now.
        let mut is_last = false;
        loop {
            let (mut known, mut has_blanks) = (Vec::new(), false);
            for place in places {
                let values = self.secrets.values(&place.secret, &place.key).await.map_err(|error| {
                    Unverified::NotNow(format!("Secret {} cannot be read: {error}", place.secret))
                })?;
                if let Some(values) = values {
                    has_blanks |= values.has_blanks;
                    known.extend(values.all);
                }
            }
            let verifier = Verifier::new(proof.sender, known);
            let Err(invalid) = verifier.verify(proof.headers, proof.body) else { return Ok(()) };
            let could_be_new = matches!(invalid, Invalid::NoSecret(_) | Invalid::Mismatch(_));
            if is_last || !could_be_new || !self.forget_all(places).await {
                return Err(Unverified::Refused(refusal(invalid, places, has_blanks)));
            }
            is_last = true;
        }
    }

    async fn forget_all(&self, places: &[Place]) -> bool {
        let mut is_any = false;
        for place in places {
            is_any |= self.secrets.refused(&place.secret).await;
        }
        is_any
    }

    async fn comes_from_bitbucket(&self, source: Option<IpAddr>) -> Result<(), Unverified> {
        let settings = self.settings.get();
        if !settings.bitbucket_check_source_ip {
            return Ok(());
        }
        let Some(source) = source else {
            return Err(Unverified::Refused("where the delivery came from is not known".to_owned()));
        };
        let is_in = |networks: &[IpNet]| networks.iter().any(|network| network.contains(&source));
        if is_in(&settings.bitbucket_additional_source_ip) {
            return Ok(());
        }
        match self.ranges.contain(source).await {
            Ok(true) => Ok(()),
            Ok(false) => Err(Unverified::Refused(format!(
                "it came from {source}, which is no address of Bitbucket Cloud; the setting bitbucket-cloud-additional-source-ip \
                 permits others"
            ))),
            Err(text) => Err(Unverified::NotNow(text)),
        }
    }
}

/// For the owner of the Repository.
fn refusal(invalid: Invalid, places: &[Place], has_blanks: bool) -> String {
    let named: Vec<String> =
        places.iter().map(|place| format!("{} (key {})", place.secret, place.key)).collect();
    let looked_at = if named.is_empty() {
        "spec.git_provider.webhook_secret names none".to_owned()
    } else {
        format!("Secrets that were looked at: {}", named.join(", "))
    };
    let mut text = format!("the signature is not accepted: {invalid}; {looked_at}");
    if has_blanks {
        text.push_str("; one of them has a space or a line break in it: was it stored with one by mistake?");
    }
    text
}
