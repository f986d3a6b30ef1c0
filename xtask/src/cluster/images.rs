//! The tenants' registry of the cluster: who pushes or pulls shows a token of image-controller's token endpoint.
//!
//! ```text
//! pod, containerd, host ─▶ registry-images 401 ─▶ :30443/token (node port) ─▶ pods of image-registry-tokens
//!          └────────────── token ─▶ registry-images ── trusts pki/images-tokens.crt, and no other key
//! ```
//! The realm is named like the registry, so that whoever can reach the one can reach the other; nobody pushes or pulls while
//! image-controller is not deployed.
use image_controller_api::names::REGISTRY_TOKEN_ISSUER;
use serde_json::{Value, json};

use super::{
    config,
    layout::Layout,
    settings::{Embedded, IMAGES_NAME, TOKENS_PORT},
};

/// Name of its part, of its log and of its configuration.
pub const REGISTRY: &str = "registry-images";
/// Its folder, and its certificate.
const IMAGES: &str = "images";
/// Certificate and key that tokens are signed with. Kept, as the Secret of the endpoint is.
pub const TOKEN_KEY: &str = "images-tokens";

/// Of the registry's process.
pub fn config(layout: &Layout, cluster: &Embedded) -> Value {
    let mut config = config::registry(layout, IMAGES, cluster.images(), 443);
    config["auth"] = json!({
        "token": {
            "realm": format!("https://{IMAGES_NAME}:{TOKENS_PORT}/token"),
            "service": IMAGES_NAME,
            "issuer": REGISTRY_TOKEN_ISSUER,
            "rootcertbundle": layout.pki(&format!("{TOKEN_KEY}.crt")),
        }
    });
    config
}

/// How it is reached from the host, for tools and tests.
pub fn access(cluster: &Embedded, certificate_authority: &str) -> Value {
    json!({
        "name": IMAGES_NAME,
        "address": format!("{}:443", cluster.images()),
        "certificateAuthority": certificate_authority,
    })
}

/// Further lines of the node's `/etc/hosts`. containerd is told the registry's address, but follows the realm by name, and the
/// node has no resolver of the cluster's.
pub fn hosts(cluster: &Embedded) -> String {
    cluster.names().map(|(name, address)| format!("{address} {name}\n")).concat()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn the_node_knows_all_names() {
        let hosts = hosts(&Embedded::derive("dev", Path::new("/x"), true).unwrap());
        assert!(hosts.contains("10.88.0.3 images.dev.konflux.test\n"), "{hosts}");
        assert_eq!(hosts.lines().count(), 3);
    }
}
