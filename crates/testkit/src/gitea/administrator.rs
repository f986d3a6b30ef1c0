//! The first account, by which all others are made.

use anyhow::{Context as _, bail};
use reqwest::Method;
use serde_json::json;

use super::access::Access;
use super::client::Client;

/// Makes the administrator of a forge that serves, or gives the existing one the password of `access`.
///
/// `command` runs the forge's program with these arguments and its configuration, and returns all that it printed
/// if it succeeded. Others can read arguments, so the password that stays is no argument: it is set by the API.
pub async fn ensure_administrator(
    access: &Access,
    command: impl AsyncFn(&[&str]) -> anyhow::Result<String>,
) -> anyhow::Result<()> {
    let client = Client::new(access)?;
    if client.whoami().await?.is_some() {
        return Ok(());
    }
    let name = access.administrator.as_str();
    let first = data_encoding::HEXLOWER.encode(&rand::random::<[u8; 16]>());
    let create = [
        "admin",
        "user",
        "create",
        "--admin",
        "--username",
        name,
        "--email",
        &format!("{name}@users.konflux.test"),
        "--password",
        &first,
        "--must-change-password=false",
    ];
    if let Err(refusal) = command(&create).await {
        if !format!("{refusal:#}").contains("already exists") {
            return Err(refusal.context(format!("make the forge's administrator {name}")));
        }
        let change = [
            "admin",
            "user",
            "change-password",
            "--username",
            name,
            "--password",
            &first,
            "--must-change-password=false",
        ];
        command(&change).await.with_context(|| format!("let the forge's administrator {name} in again"))?;
    }
    let body = json!({
        "login_name": name,
        "source_id": 0,
        "password": access.password,
        "must_change_password": false,
        "admin": true,
    });
    let what = format!("set the password of administrator {name}");
    let path = ["admin", "users", name];
    client
        .with_password(name, &first)
        .call(&what, Method::PATCH, &path, &[], Some(&body))
        .await?
        .success()?;
    if client.whoami().await?.is_none() {
        bail!("the forge does not know its administrator {name} by the password that was set just now");
    }
    Ok(())
}
