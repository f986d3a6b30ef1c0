//! Tests of what crosses services. There is nothing to use in here: see the folder `tests`.
//!
//! - `manifests`: the kustomizations against a real API server.
//! - `e2e`: the fleet as it was deployed, on the cluster that `$KONFLUX_E2E_KUBECONFIG` names.
