//! CEL rules of `IntegrationTestScenario`.
//!
//! An object that was stored before a rule existed must stay editable, down to the removal of its finalizer. The API
//! server skips rules on what has not changed, but a level with unknown fields counts as changed for it, and comparing
//! with the old object costs more than a rule may. So these rules are for what is new, which `optionalOldSelf` tells;
//! what an edit breaks, the controller says in the status.

use kube::core::{Message, Rule};

/// At the root: the name of a new object is a DNS-1035 label.
pub(crate) fn name() -> Rule {
    Rule::new(
        "oldSelf.hasValue() || (self.metadata.name.size() <= 63 \
         && self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$'))",
    )
    .message(Message::Expression(
        "'invalid integration test scenario name: ' + self.metadata.name + ': metadata.name must be a DNS-1035 \
         label: 1 to 63 lower case letters, digits or dashes, first a letter, last no dash'"
            .to_owned(),
    ))
    .optional_old_self(true)
}

/// On the parameters of the runs: none takes the place of the one that integration-service adds.
pub(crate) fn no_snapshot_parameter() -> Rule {
    when_new(
        "self.all(param, param.name != 'SNAPSHOT')",
        "the parameter SNAPSHOT is added by integration-service: give yours another name",
    )
}

/// On a `resolverRef`: a Git repository is named in one way.
pub(crate) fn one_repository() -> Rule {
    let names = |name: &str| format!("self.params.exists(param, param.name == '{name}')");
    let [url, repo, org] = ["url", "repo", "org"].map(names);
    of_git(
        &format!("{url} ? !{repo} && !{org} : {repo} && {org}"),
        "the git resolver needs either the parameter url or the parameters repo and org",
    )
}

/// On a `resolverRef`: Git is reached by https only, for a token may travel with each request.
pub(crate) fn https_repository() -> Rule {
    of_git(
        "self.params.all(param, !(param.name in ['url', 'serverURL']) \
         || (isURL(param.value) && param.value.startsWith('https://')))",
        "the parameters url and serverURL of the git resolver must be absolute URLs that begin with https://",
    )
}

/// On a `resolverRef`: the token is the name of a Secret.
pub(crate) fn token_is_a_secret() -> Rule {
    of_git(
        "self.params.all(param, param.name != 'token' \
         || (param.value.size() <= 63 && param.value.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')))",
        "the parameter token of the git resolver must name a Secret, in lower case letters, digits or dashes",
    )
}

/// On a `resolverRef`: a blank that nobody sees fails no run.
pub(crate) fn no_surrounding_blanks() -> Rule {
    of_git(
        "self.params.all(param, !param.value.matches('^[[:space:]]|[[:space:]]$'))",
        "parameters of the git resolver must not begin or end with blanks",
    )
}

/// Both fields are required, but at the root, so that a rule here may meet an object without them.
fn of_git(rule: &str, message: &str) -> Rule {
    let applies = "has(self.resolver) && self.resolver == 'git' && has(self.params)";
    when_new(&format!("!({applies}) || ({rule})"), message)
}

fn when_new(rule: &str, message: &str) -> Rule {
    Rule::new(format!("oldSelf.hasValue() || {rule}")).message(message).optional_old_self(true)
}
