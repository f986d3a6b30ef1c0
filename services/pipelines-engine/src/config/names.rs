//! What the ConfigMaps are called.

use super::observability::Observability;
use super::{Config, Data, Defaults, Features, Invalid};

/// Names of ConfigMaps in the engine's own namespace.
#[derive(Clone, Debug, PartialEq, Eq, clap::Args)]
pub struct Names {
    /// The ConfigMap of defaults for what runs leave open.
    #[arg(long = "config-defaults-name", env = "CONFIG_DEFAULTS_NAME", default_value = Defaults::CONFIG_MAP, value_name = "NAME")]
    pub defaults: String,

    /// The ConfigMap that turns features on and off.
    #[arg(long = "config-feature-flags-name", env = "CONFIG_FEATURE_FLAGS_NAME", default_value = Features::CONFIG_MAP, value_name = "NAME")]
    pub features: String,

    /// The ConfigMap that says what labels metrics have.
    #[arg(long = "config-observability-name", env = "CONFIG_OBSERVABILITY_NAME", default_value = Observability::CONFIG_MAP, value_name = "NAME")]
    pub observability: String,
}

impl Default for Names {
    fn default() -> Self {
        Self {
            defaults: Defaults::CONFIG_MAP.to_owned(),
            features: Features::CONFIG_MAP.to_owned(),
            observability: Observability::CONFIG_MAP.to_owned(),
        }
    }
}

impl Names {
    /// Puts what the ConfigMap `name` says into `config`. False: it is none of these.
    pub fn read(&self, name: &str, data: &Data, config: &mut Config) -> Result<bool, Invalid> {
        if name == self.defaults {
            config.defaults = Defaults::parse(data)?;
        } else if name == self.features {
            config.features = Features::parse(data)?;
        } else if name == self.observability {
            config.observability = Observability::parse(data)?;
        } else {
            return Ok(false);
        }
        Ok(true)
    }
}

/// What upstream reads from ConfigMaps and this engine from flags: where an administrator finds it. By the beginning of the
/// ConfigMap's name.
pub const ELSEWHERE: [(&str, &str); 5] = [
    ("config-logging", "set what is logged with --log-filter"),
    ("config-tracing", "set the receiver of traces with --otlp-endpoint"),
    ("config-leader-election", "leases have the fleet's flags"),
    ("config-events", "this version sends no CloudEvents"),
    ("config-spire", "this engine has no SPIRE"),
];
