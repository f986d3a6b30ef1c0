//! The token for a forge.

use std::path::Path;

use anyhow::{Context as _, bail};
use fleet::Secret;
use k8s_openapi::api::core::v1;

use crate::cluster::{object_key, patiently};
use crate::context::Context;
use crate::workspace;

/// Keys of a Secret, best first: the second is that of Secrets for basic authentication.
const KEYS: [&str; 2] = ["token", "password"];

/// Of the Secret that is named, else of the folder where one is mounted.
pub(super) async fn read(
    name: Option<&str>,
    folder: Option<&Path>,
    context: &Context,
) -> anyhow::Result<Secret<String>> {
    let found = if let Some(name) = name {
        of_secret(name, context).await?
    } else {
        let file =
            folder.and_then(|folder| KEYS.iter().map(|key| folder.join(key)).find(|path| path.is_file()));
        let Some(file) = file else {
            bail!(
                "there is no token for the forge: mount a Secret with the key token or password, or set data.releaseRecord.tokenSecret"
            )
        };
        Secret::new(workspace::read(&file).with_context(|| format!("read {}", file.display()))?)
    };
    let text = std::str::from_utf8(found.expose()).context("the token for the forge is no text")?.trim();
    Ok(Secret::new(text.to_owned()))
}

async fn of_secret(name: &str, context: &Context) -> anyhow::Result<Secret<Vec<u8>>> {
    let key = name.strip_prefix("k8s://").map(object_key);
    let Some(Ok(key)) = key else {
        bail!("data.releaseRecord.tokenSecret is {name:?}: expected k8s://<namespace>/<name> of a Secret")
    };
    let api = context.cluster().await?.api::<v1::Secret>(&key.namespace);
    let secret = patiently(&format!("get Secret {key}"), async || api.get(&key.name).await).await?;
    let mut data = secret.data.unwrap_or_default();
    let found = KEYS.iter().find_map(|key| data.remove(*key));
    let found = found.with_context(|| format!("Secret {key} has neither the key token nor password"))?;
    Ok(Secret::new(found.0))
}
