//! The container that runs the updater (specification, sections 4.10 and 5).

use serde_json::{Map, Value, json};

use super::options::Updater;

/// Where the ConfigMap with the settings is.
pub(crate) const CONFIGS: &str = "/configs";

/// What the variables begin with that hold tokens.
const TOKEN_PREFIX: &str = "TOKEN_";

/// ConfigMap with authorities that are trusted beside the image's own. It need not be there.
pub(crate) const TRUSTED_CA: &str = "trusted-ca";
const TRUSTED_CA_KEY: &str = "ca-bundle.crt";
const TRUSTED_CA_FOLDER: &str = "/etc/trusted-ca";

/// User of the toolbox's steps. The image of Renovate has one of its own.
const USER: i64 = 65532;

/// Key of the ConfigMap for the settings with this id.
pub(crate) fn config_key(id: &str) -> String {
    format!("{id}.json")
}

/// The volumes of a pod whose ConfigMap is named `name`.
pub(crate) fn volumes(name: &str) -> Value {
    json!([
        {"name": "configs", "configMap": {"name": name}},
        trusted_ca(),
    ])
}

/// The volume that [`container`] mounts.
pub(crate) fn trusted_ca() -> Value {
    let items = json!([{"key": TRUSTED_CA_KEY, "path": TRUSTED_CA_KEY}]);
    json!({"name": TRUSTED_CA, "configMap": {"name": TRUSTED_CA, "optional": true, "items": items}})
}

/// The container `renovate`, without what tells a container of a pod from a step of a task. It works with the settings and
/// tokens of `ids`, which are keys of the ConfigMap and the Secret named `name`.
pub(crate) fn container(updater: &Updater, name: &str, ids: &[&str]) -> Map<String, Value> {
    let mut container = base(updater);
    container.insert("envFrom".into(), json!([{"prefix": TOKEN_PREFIX, "secretRef": {"name": name}}]));
    push(&mut container, "volumeMounts", json!({"name": "configs", "mountPath": CONFIGS, "readOnly": true}));
    container.insert("script".into(), json!(script(updater, ids)));
    container
}

/// What all containers with the updater have in common.
pub(crate) fn base(updater: &Updater) -> Map<String, Value> {
    let ca = format!("{TRUSTED_CA_FOLDER}/{TRUSTED_CA_KEY}");
    let mut security = json!({
        "allowPrivilegeEscalation": false,
        "capabilities": {"drop": ["ALL"]},
        "runAsNonRoot": true,
        "seccompProfile": {"type": "RuntimeDefault"},
    });
    if !updater.is_renovate() {
        security["runAsUser"] = json!(USER);
    }
    let container = json!({
        "name": "renovate",
        "image": updater.image(),
        "env": [
            {"name": "LOG_LEVEL", "value": "debug"},
            {"name": "HOME", "value": "/tmp"},
            // The toolbox's, and that of Node.js: a file that is not there adds no authority.
            {"name": "TOOLBOX_CA_BUNDLE", "value": ca},
            {"name": "NODE_EXTRA_CA_CERTS", "value": ca},
        ],
        "volumeMounts": [{"name": TRUSTED_CA, "mountPath": TRUSTED_CA_FOLDER, "readOnly": true}],
        "securityContext": security,
    });
    match container {
        Value::Object(container) => container,
        _ => Map::new(),
    }
}

/// Adds an element to one of a container's lists.
pub(crate) fn push(container: &mut Map<String, Value>, list: &str, element: Value) {
    if let Some(list) = container.entry(list).or_insert_with(|| json!([])).as_array_mut() {
        list.push(element);
    }
}

/// Runs the updater once for each id; one that fails does not keep the others from running.
fn script(updater: &Updater, ids: &[&str]) -> String {
    let command = updater.command();
    let run = |id: &&str| {
        let config = config_key(id);
        format!("RENOVATE_TOKEN=$TOKEN_{id} RENOVATE_CONFIG_FILE={CONFIGS}/{config} {command} || failed=1\n")
    };
    let runs: String = ids.iter().map(run).collect();
    format!("#!/bin/sh\n{runs}exit ${{failed:-0}}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn updater(renovate: &str) -> Updater {
        Updater { update_image: "konflux/toolbox".to_owned(), renovate_image: renovate.to_owned() }
    }

    #[test]
    fn each_task_has_its_token_and_its_settings() {
        assert_eq!(
            script(&updater("renovate:37"), &["aa", "bb"]),
            "#!/bin/sh\n\
             RENOVATE_TOKEN=$TOKEN_aa RENOVATE_CONFIG_FILE=/configs/aa.json renovate || failed=1\n\
             RENOVATE_TOKEN=$TOKEN_bb RENOVATE_CONFIG_FILE=/configs/bb.json renovate || failed=1\n\
             exit ${failed:-0}\n"
        );
        assert!(script(&updater(""), &["aa"]).contains("aa.json toolbox update ||"));
    }

    #[test]
    fn works_without_rights() {
        let container = container(&updater(""), "run", &["aa"]);
        assert_eq!(container["image"], "konflux/toolbox");
        assert_eq!(container["securityContext"]["runAsUser"], 65532);
        assert_eq!(container["securityContext"]["capabilities"]["drop"], json!(["ALL"]));
        assert_eq!(container["envFrom"][0]["secretRef"]["name"], "run");
        assert_eq!(container["volumeMounts"].as_array().map(Vec::len), Some(2));
        assert_eq!(base(&updater("renovate:37"))["securityContext"].get("runAsUser"), None);
    }
}
