//! The rights that a measured service has: those of its own account, no more.
use std::path::Path;

use anyhow::Context as _;
use serde_json::{Value, json};
use testkit::ControlPlane;

/// Writes a kubeconfig with a token of this `ServiceAccount`, valid for an hour, to `path`.
pub(super) async fn write_kubeconfig(
    plane: &ControlPlane,
    namespace: &str,
    account: &str,
    path: &Path,
) -> anyhow::Result<()> {
    let token = plane.token_of(namespace, account, &[]).await?;
    let admin = std::fs::read_to_string(plane.kubeconfig()).context("read the administrator's kubeconfig")?;
    let mut kubeconfig: Value =
        serde_saphyr::from_str(&admin).context("read the administrator's kubeconfig")?;
    *kubeconfig.pointer_mut("/users/0/user").context("the administrator's kubeconfig names a user")? =
        json!({"token": token});
    // JSON is YAML.
    std::fs::write(path, kubeconfig.to_string()).with_context(|| format!("write {}", path.display()))
}
