//! Whether the registry's API works: asked each minute for an account that is made for this.

use std::time::Duration;

use image_controller_api::names::HEALTH_CHECK_ROBOT;

use crate::metrics::Metrics;
use crate::registry::Connector;

const INTERVAL: Duration = Duration::from_mins(1);

/// Asks until it is dropped.
pub(crate) async fn watch(registry: Connector, metrics: Metrics) {
    let mut was_available = None;
    loop {
        let outcome = match registry.connect().await {
            Ok(backend) => backend.robot(HEALTH_CHECK_ROBOT, "Shows that the API works").await.map(drop),
            Err(error) => Err(error),
        };
        let is_available = outcome.is_ok();
        metrics.set_available(is_available);
        if was_available != Some(is_available) {
            match outcome {
                Ok(()) => tracing::info!("The registry's API works"),
                Err(error) => tracing::warn!(error = error.to_string(), "The registry's API does not work"),
            }
            was_available = Some(is_available);
        }
        tokio::time::sleep(INTERVAL).await;
    }
}
