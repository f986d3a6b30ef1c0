//! Signatures by a key of ours, as cosign writes them.

use anyhow::{Context as _, bail};
use attest::PrivateKey;
use attest::cosign::{Appended, Layer, Store};
use attest::rekor;
use attest::simple_signing::Payload;
use attest::verify::{Content, Logged};
use futures::StreamExt as _;
use registry::Attached;

use super::Item;
use crate::context::{Context, say};

/// Manifests that are signed at once.
const TOGETHER: usize = 4;

/// Signs what this key has not signed yet. All that fails is said at the end.
pub(super) async fn sign(
    items: &[Item],
    key: &PrivateKey,
    rekor_url: Option<&str>,
    context: &Context,
) -> anyhow::Result<()> {
    let log = match rekor_url {
        Some(url) => {
            let url = url.parse().with_context(|| format!("sign.rekorUrl {url:?}"))?;
            Some(rekor::Client::new(context.outbound.clone(), url))
        }
        None => None,
    };
    let store = Store::new(context.registry.clone());
    let signing = items.iter().map(async |item| {
        let signed = sign_item(item, key, log.as_ref(), &store, context).await;
        signed.with_context(|| format!("sign {}", item.manifest))
    });
    let ended: Vec<_> = futures::stream::iter(signing).buffered(TOGETHER).collect().await;
    let (mut added, mut faults) = (0, Vec::new());
    for outcome in ended {
        match outcome {
            Ok(count) => added += count,
            Err(error) => faults.push(format!("{error:#}")),
        }
    }
    let all: usize = items.iter().map(|item| item.identities.len()).sum();
    say(&format!("{added} of {all} signatures are new, by key {}", key.public().key_id()));
    if faults.is_empty() {
        Ok(())
    } else {
        bail!("{} manifests are not signed:\n{}", faults.len(), faults.join("\n"))
    }
}

async fn sign_item(
    item: &Item,
    key: &PrivateKey,
    log: Option<&rekor::Client>,
    store: &Store,
    context: &Context,
) -> anyhow::Result<usize> {
    let there = store.layers(&item.manifest, Attached::Signature, &context.keychain).await?;
    let mut layers = Vec::new();
    for identity in &item.identities {
        let payload = Payload::for_image(identity, &item.digest);
        // A log would get a new entry each time: signatures of ECDSA are never alike.
        if there.iter().any(|layer| layer.bytes == payload && layer.is_signed_by(key.public())) {
            continue;
        }
        let signature = key.sign(&payload)?;
        let mut layer = Layer::signature(payload, &signature, None);
        if let Some(log) = log {
            let logged = Logged {
                bytes: &layer.bytes,
                content: Content::Payload,
                signature: &signature,
                key: key.public(),
                certificate: None,
                bundle: None,
            };
            let bundle = log.upload(&logged).await?.bundle;
            layer = layer.with_bundle(bundle);
        }
        layers.push(layer);
    }
    if layers.is_empty() {
        return Ok(0);
    }
    let appended =
        store.append_signatures(&item.manifest, None, &layers, key.public(), &context.keychain).await?;
    Ok(appended.into_iter().filter(|how| *how == Appended::Added).count())
}
