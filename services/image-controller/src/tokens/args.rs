//! Flags of the token endpoint.

use std::net::SocketAddr;
use std::path::PathBuf;

/// Gives robots of image repositories short-lived tokens for the registry.
#[derive(Clone, Debug, clap::Parser)]
#[command(name = "image-registry-tokens", version, about)]
pub struct Args {
    #[command(flatten)]
    pub fleet: fleet::Args,

    /// Address of the token endpoint (TLS).
    #[arg(long, env, default_value = "0.0.0.0:8443", value_name = "ADDRESS")]
    pub token_addr: SocketAddr,

    /// Folder with tls.crt and tls.key that the token endpoint serves with. Read again when they change.
    #[arg(long, env, default_value = "/var/run/serving-cert", value_name = "FOLDER")]
    pub token_cert_dir: PathBuf,

    /// Folder with tls.crt and tls.key that tokens are signed with: the certificate is what the registry trusts
    /// (auth.token.rootcertbundle). Read again when they change.
    #[arg(long, env, default_value = "/var/run/registry-token-key", value_name = "FOLDER")]
    pub registry_token_key_dir: PathBuf,

    /// Name of the registry that tokens are for: its auth.token.service.
    #[arg(long, env, value_name = "HOST")]
    pub registry_host: String,
}

impl fleet::ServiceArgs for Args {
    const SERVICE: &'static str = "image-registry-tokens";

    fn fleet(&self) -> &fleet::Args {
        &self.fleet
    }
}
