//! Certificates that change under open connections.

use std::convert::Infallible;
use std::sync::Arc;

use axum_server::tls_rustls::RustlsConfig;

use crate::certificate::Certificates;

/// Takes up each new certificate for the connections to come; one that cannot be used is passed over.
pub(crate) async fn follow(certificates: &mut Certificates, tls: &RustlsConfig) -> Infallible {
    // An error is the end of the source: what is there goes on being served.
    while certificates.changed().await.is_ok() {
        let bundle = certificates.borrow_and_update().clone();
        match bundle.map(|bundle| bundle.server_config()) {
            Some(Ok(config)) => tls.reload_from_config(Arc::new(config)),
            Some(Err(error)) => {
                let error = &error as &dyn std::error::Error;
                tracing::error!(error, "The new serving certificate cannot be used");
            }
            None => {}
        }
    }
    std::future::pending().await
}
