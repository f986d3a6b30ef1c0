//! What the controller reads. Secrets are asked for by name.

use enterprise_contract_api::EnterpriseContractPolicy;
use fleet::{Fleet, Store};

/// The objects that the controller reads.
#[derive(Clone)]
pub(crate) struct Stores {
    pub(crate) policies: Store<EnterpriseContractPolicy>,
}

impl Stores {
    pub(crate) fn new(fleet: &mut Fleet) -> Self {
        Self { policies: fleet.store().trim(trim).build() }
    }
}

fn trim(policy: &mut EnterpriseContractPolicy) {
    policy.metadata.annotations = None;
    policy.metadata.labels = None;
    policy.metadata.owner_references = None;
}
