//! What the functions `ec.*` ask of the world outside the policy.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use parking_lot::Mutex;
use regorus::Value;

/// Answers the functions that look at registries and signatures.
pub trait Host: Send + Sync {
    /// Calls a function by its name, as `ec.oci.blob`. Blocks. `None` is undefined: whatever went wrong, a rule that needs the
    /// answer then does not hold.
    fn call(&self, name: &str, arguments: &[serde_json::Value]) -> Option<serde_json::Value>;
}

/// Knows nothing: for unit tests of policies, which replace the functions that they need, and for inputs without images.
#[derive(Clone, Copy, Debug, Default)]
pub struct Offline;

impl Host for Offline {
    fn call(&self, _: &str, _: &[serde_json::Value]) -> Option<serde_json::Value> {
        None
    }
}

/// Remembers the answers of a host during one evaluation, so that all rules see the same ones.
pub(super) struct Memo {
    host: Arc<dyn Host>,
    answers: Mutex<BTreeMap<(&'static str, Vec<Value>), Value>>,
}

impl Memo {
    pub(super) fn new(host: &Arc<dyn Host>) -> Arc<Self> {
        Arc::new(Self { host: Arc::clone(host), answers: Mutex::default() })
    }

    pub(super) fn call(&self, name: &'static str, arguments: Vec<Value>) -> Value {
        let key = (name, arguments);
        if let Some(answer) = self.answers.lock().get(&key) {
            return answer.clone();
        }
        let arguments: Result<Vec<_>, _> = key.1.iter().map(serde_json::to_value).collect();
        let answer = arguments.ok().and_then(|arguments| self.host.call(name, &arguments));
        let answer = answer.map_or(Value::Undefined, Value::from);
        self.answers.lock().insert(key, answer.clone());
        answer
    }
}

impl fmt::Debug for Memo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Memo").finish_non_exhaustive()
    }
}
