//! What of the API is open: `enable-api-fields`, and flags of single features.

use super::errors::Errors;
use crate::config::{Config, Stability};

/// Refuses `feature` unless the configuration opens that much of the API.
pub(super) fn stability(config: &Config, feature: &str, wanted: Stability, path: &str) -> Errors {
    let is = config.features.stability;
    if is >= wanted {
        return Errors::none();
    }
    let wanted = match wanted {
        Stability::Alpha => "\"alpha\"",
        Stability::Beta | Stability::Stable => "\"alpha\" or \"beta\"",
    };
    let message =
        format!("{feature} requires \"enable-api-fields\" feature gate to be {wanted} but it is \"{is}\"");
    Errors::message(message, &[path])
}

/// Refuses what needs `flag`, which is `on` or not, and is there `to` do something.
pub(super) fn flag(on: bool, flag: &str, to: &str, path: &str) -> Errors {
    if on {
        return Errors::none();
    }
    Errors::message(format!("feature flag {flag} should be set to true {to}"), &[path])
}
