//! What is attached to a manifest: by cosign's tags beside it, and by manifests that name it as their subject.

use futures::future::{FutureExt as _, LocalBoxFuture};
use registry::{Attached, Descriptor, Digest, Document, Manifest, Reference};
use serde_json::Value;

use super::copier::Copier;
use super::tree::Tree;

/// Signatures of attestations of SBOMs, and no further.
const MAX_DEPTH: u8 = 3;
/// What a bill of materials replaces; signatures and attestations come beside those that are there.
const KINDS: [Attached; 3] = [Attached::Signature, Attached::Attestation, Attached::Sbom];

/// Copies all that is attached to one manifest of `from`'s repository.
pub(super) async fn copy(
    copier: &Copier,
    from: &Reference,
    digest: &Digest,
    to: &Reference,
) -> anyhow::Result<()> {
    for kind in KINDS {
        copy_tag(copier, kind, from, digest, to).await?;
    }
    copy_referrers(copier, from, digest, to, 0).await
}

async fn copy_tag(
    copier: &Copier,
    kind: Attached,
    from: &Reference,
    digest: &Digest,
    to: &Reference,
) -> anyhow::Result<()> {
    let Some(source) = copier.manifest_if_any(&kind.reference(from, digest)).await? else { return Ok(()) };
    let place = kind.reference(to, digest);
    let there = copier.there(&place).await?;
    if there.as_ref().is_some_and(|there| there.digest == source.digest) {
        return Ok(());
    }
    let merged = match &there {
        // What was signed where the image went to is not lost when it is pushed again.
        Some(there) if kind != Attached::Sbom => match merged(there, &source)? {
            Merged::Same => return Ok(()),
            Merged::Manifest(merged) => merged,
        },
        _ => source.clone(),
    };
    let tree = Tree::read(&source.reference, copier).await?;
    for node in &tree.0 {
        copier.put_blobs(&node.blobs, from, to).await?;
    }
    copier.put_manifest(&place, &merged).await
}

enum Merged {
    /// All that the source has is there.
    Same,
    Manifest(Manifest),
}

/// The layers that are there, and those of the source that are not.
fn merged(there: &Manifest, source: &Manifest) -> anyhow::Result<Merged> {
    let (Document::Image(ours), Document::Image(theirs)) = (there.document()?, source.document()?) else {
        // Neither cosign nor we write such.
        return Ok(Merged::Manifest(source.clone()));
    };
    let is_there = |layer: &Descriptor| {
        ours.layers.iter().any(|known| known.digest == layer.digest && known.annotations == layer.annotations)
    };
    let missing: Vec<usize> =
        theirs.layers.iter().enumerate().filter(|(_, layer)| !is_there(layer)).map(|(at, _)| at).collect();
    if missing.is_empty() {
        return Ok(Merged::Same);
    }
    let source: Value = serde_json::from_slice(&source.bytes)?;
    let mut document: Value = serde_json::from_slice(&there.bytes)?;
    let added = missing.into_iter().map(|at| source["layers"][at].clone());
    if let Value::Array(layers) = &mut document["layers"] {
        layers.extend(added);
    }
    let bytes = document.to_string().into_bytes();
    Ok(Merged::Manifest(Manifest { digest: Digest::of(&bytes), bytes, ..there.clone() }))
}

/// Copies the manifests whose subject this one is, and those whose subject they are.
fn copy_referrers<'a>(
    copier: &'a Copier,
    from: &'a Reference,
    subject: &'a Digest,
    to: &'a Reference,
    depth: u8,
) -> LocalBoxFuture<'a, anyhow::Result<()>> {
    async move {
        if depth >= MAX_DEPTH {
            return Ok(());
        }
        for referrer in copier.referrers(&from.at(subject.clone())).await? {
            let place = to.at(referrer.digest.clone());
            if copier.there(&place).await?.is_none() {
                let tree = Tree::read(&from.at(referrer.digest.clone()), copier).await?;
                for node in &tree.0 {
                    copier.put_blobs(&node.blobs, from, to).await?;
                    if node.manifest.digest == referrer.digest {
                        copier.put_referrer(&to.at(subject.clone()), &node.manifest).await?;
                    } else {
                        copier.put_manifest(&to.at(node.manifest.digest.clone()), &node.manifest).await?;
                    }
                }
            }
            copy_referrers(copier, from, &referrer.digest, to, depth + 1).await?;
        }
        Ok(())
    }
    .boxed_local()
}
