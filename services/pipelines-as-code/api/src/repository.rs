//! Repository: a Git repository whose events start runs in a namespace.
#![expect(clippy::duplicated_attributes, reason = "columns have their types in common")]

use fleet_api::Open;
use kube::core::Rule;
use kube::{CustomResource, KubeSchema};
use schemars::transform::{Transform, transform_subschemas};
use schemars::{JsonSchema, Schema};
use serde::{Deserialize, Serialize};

use crate::run_history::RunStatus;

/// What a Repository holds besides its metadata. The history of its runs stands beside the spec, not in the
/// status: it is written by an update of the object itself.
#[derive(CustomResource, KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "pipelinesascode.tekton.dev",
    version = "v1alpha1",
    kind = "Repository",
    plural = "repositories",
    shortname = "repo",
    doc = "A Git repository whose events start runs in this namespace.",
    namespaced,
    no_spec,
    status = "RepositoryStatus",
    derive = "Default",
    derive = "PartialEq",
    selectable = ".spec.url",
    printcolumn(name = "URL", type_ = "string", json_path = ".spec.url"),
    printcolumn(
        name = "Succeeded",
        type_ = "string",
        json_path = r#".pipelinerun_status[-1].conditions[?(@.type=="Succeeded")].status"#
    ),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = r#".pipelinerun_status[-1].conditions[?(@.type=="Succeeded")].reason"#
    ),
    printcolumn(name = "StartTime", type_ = "date", json_path = ".pipelinerun_status[-1].startTime"),
    printcolumn(
        name = "CompletionTime",
        type_ = "date",
        json_path = ".pipelinerun_status[-1].completionTime"
    )
)]
#[schemars(transform = fleet_api::schema::stored)]
pub struct RepositoryContent {
    /// What the user wants of a Repository.
    #[schemars(!default, extend("default" = {}))]
    #[serde(default)]
    pub spec: RepositorySpec,
    /// The latest runs, at most 5, the newest last.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pipelinerun_status: Vec<RunStatus>,
}

impl RepositoryContent {
    /// `pipelinerun_status`: how many are kept.
    pub const MAX_RUNS: usize = 5;
}

/// What the user wants of a Repository.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RepositorySpec {
    /// URL of the repository as a person opens it, without `.git`. One Repository in the cluster has it.
    /// Absent only in the Repository of the controller's own namespace, which holds what others take where
    /// they say nothing.
    #[x_kube(validation = web_url())]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Has no effect.
    #[schemars(extend("enum" = ["github", "gitea", "bitbucket", "gitlab", "bitbucket-enteprise"]))]
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub type_: Option<String>,
    /// How many runs go on at once; others wait. Absent means no limit.
    #[x_kube(validation = Rule::new("self > 0").message("concurrency limit must be greater than 0"))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub concurrency_limit: Option<i64>,
    /// How the forge is reached. Absent means by the GitHub App.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub git_provider: Option<GitProviderSettings>,
    /// Who may start runs without an event of the forge.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub incoming: Vec<Incoming>,
    /// Variables for the templates in `.tekton/`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub params: Vec<Param>,
    /// Who may start runs, and what runs may do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settings: Option<Settings>,
}

/// How a forge is reached. Secrets are of the same namespace.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GitProviderSettings {
    /// Kind of the forge. `forgejo` is the same as `gitea`, `bitbucket-datacenter` as `bitbucket-server`.
    #[schemars(extend("enum" = [
        "github", "gitlab", "gitea", "forgejo", "bitbucket-cloud", "bitbucket-server", "bitbucket-datacenter"
    ]))]
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub type_: Option<String>,
    /// URL of its API. Absent means the public one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// User that the token belongs to. Absent means `git`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// The token.
    #[schemars(transform = DefaultKey("provider.token"))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<SecretReference>,
    /// What the forge signs its events with.
    #[schemars(transform = DefaultKey("webhook.secret"))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub webhook_secret: Option<SecretReference>,
}

/// A value in a Secret of the same namespace.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecretReference {
    /// Name of the Secret.
    #[schemars(!default)]
    #[serde(default)]
    pub name: String,
    /// Key in the Secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}

/// Somebody who may start runs without an event of the forge.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Incoming {
    /// How: by a call with a secret.
    #[schemars(!default, extend("enum" = ["webhook-url"]))]
    #[serde(default, rename = "type")]
    pub type_: String,
    /// The secret that the caller has to know.
    #[schemars(transform = DefaultKey("secret"))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<SecretReference>,
    /// Branches that runs may be started on; `*` stands for any characters.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub targets: Vec<String>,
    /// Names of variables that the caller may set.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub params: Vec<String>,
}

impl Incoming {
    /// The `type`.
    pub const WEBHOOK_URL: &'static str = "webhook-url";
}

/// A variable for the templates in `.tekton/`.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Param {
    /// Name of the variable. Several may have one name: the first whose `filter` is true counts.
    #[schemars(!default)]
    #[serde(default)]
    pub name: String,
    /// Its value. Wins over `secret_ref`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// Its value in a Secret.
    #[schemars(transform = DefaultKey("secret"))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<SecretReference>,
    /// CEL over `body`, `headers`, `files` and `pac`: the variable exists only where this is true. Absent
    /// means always.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filter: Option<String>,
}

/// Who may start runs, and what runs may do.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// Further repositories, as `owner/name`, that the token of a run may read. Each needs a Repository in
    /// this namespace.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub github_app_token_scope_repos: Vec<String>,
    /// Where `.tekton/` is read from. Absent means `source`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pipelinerun_provenance: Option<Open<Provenance>>,
    /// Teams that may start runs. Absent means whoever may push.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<Policy>,
    /// For GitHub.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub github: Option<CommentSettings>,
    /// For GitLab.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gitlab: Option<CommentSettings>,
    /// For Forgejo and Gitea.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forgejo: Option<ForgejoSettings>,
}

/// Where `.tekton/` is read from.
#[derive(JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Provenance {
    /// The commit of the event.
    #[default]
    Source,
    /// The head of the default branch.
    DefaultBranch,
}

/// Teams that may start runs. A list that is there and empty lets nobody but the repository's owners.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    /// Who may let the runs of a stranger start, and start runs again, by a comment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ok_to_test: Option<Vec<String>>,
    /// Who may start runs by a pull request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pull_request: Option<Vec<String>>,
}

/// How pull requests are commented on.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommentSettings {
    /// Empty: a comment for each result. `disable_all`: none. `update`: one for each run in `.tekton/`, kept
    /// up to date.
    #[schemars(extend("enum" = ["", "disable_all", "update"]))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment_strategy: Option<String>,
}

/// How Forgejo and Gitea are dealt with.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForgejoSettings {
    /// Empty: a comment for each result. `disable_all`: none. `update`: one for each run in `.tekton/`, kept
    /// up to date.
    #[schemars(extend("enum" = ["", "disable_all", "update"]))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment_strategy: Option<String>,
    /// `User-Agent` of requests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_agent: Option<String>,
}

/// Nothing is written here.
#[derive(JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[schemars(extend("x-kubernetes-preserve-unknown-fields" = true))]
pub struct RepositoryStatus {}

/// On a URL: empty, or one that a browser opens. Clients, the original build-service among them, tell this refusal
/// from others by its first words.
fn web_url() -> Rule {
    Rule::new(
        "self == '' || (isURL(self) && url(self).getScheme() in ['http', 'https'] && url(self).getHostname() != '')",
    )
    .message(
        "denied the request: failed to validate url: must be an absolute URL with the https or http scheme, \
         such as https://git.example.com/team/app",
    )
}

/// On a [`SecretReference`]: the key that counts where none is given.
struct DefaultKey(&'static str);

impl Transform for DefaultKey {
    fn transform(&mut self, schema: &mut Schema) {
        if let Some(key) = schema.pointer_mut("/properties/key") {
            key["default"] = self.0.into();
        }
        // An optional one is a choice between this and null.
        transform_subschemas(self, schema);
    }
}
