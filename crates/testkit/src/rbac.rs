//! Are a service's rules exactly what it uses? Compares the Roles of its kustomize base with the ledger.

use std::collections::BTreeSet;
use std::fmt::{self, Write as _};

use anyhow::{Context as _, bail};
use k8s_openapi::api::rbac::v1::{
    ClusterRole, ClusterRoleBinding, PolicyRule, Role, RoleBinding, RoleRef, Subject,
};
use kube::api::ResourceExt as _;
use kube::core::DynamicObject;
use serde::de::DeserializeOwned;

use crate::control_plane::user_name;
use crate::ledger::{Call, Calls};
use crate::manifests::kind;

/// A permission that a request needed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Use {
    pub verb: String,
    /// Empty for the core group.
    pub group: String,
    /// As in a rule: `pods`, `pods/log`; the path of a request that is about no resource.
    pub resource: String,
    /// Absent where a rule cannot ask for one: on lists, and on creates, whose name is in the body.
    pub name: Option<String>,
    /// Absent for what is cluster-wide, and for lists of all namespaces.
    pub namespace: Option<String>,
}

/// One permission of a `ServiceAccount`: a verb on a resource, and on a name if the rule has names.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Grant {
    /// `Role <name>` or `ClusterRole <name>`.
    pub role: String,
    /// Where it holds; everywhere if absent.
    pub namespace: Option<String>,
    pub verb: String,
    pub group: String,
    pub resource: String,
    pub name: Option<String>,
}

/// A permission that no test uses, and why the service has it all the same.
#[derive(Clone, Copy, Debug)]
pub struct Rare {
    pub verb: &'static str,
    /// As in the rule: `secrets`, `pods/log`.
    pub resource: &'static str,
    pub because: &'static str,
}

/// Where rules and use differ. [`Comparison::check`] is what a test calls.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[must_use]
pub struct Comparison {
    /// Granted, never used, not [`Rare`].
    pub unused: Vec<Grant>,
    /// Granted with a `*` in it, which says nothing about what is used.
    pub wildcards: Vec<Grant>,
    /// Used and allowed, but not by a rule of the base: something else in the cluster gives it.
    pub unexplained: Vec<Use>,
    /// Requests that were refused, one line each.
    pub refused: Vec<String>,
    /// Allowances whose permission the base does not grant (any more): `<verb> <resource>`.
    pub outdated: Vec<String>,
}

impl Calls {
    /// The permissions that a user's requests needed and had.
    ///
    /// Permissions that no request stands for (`bind`, `escalate`, `impersonate`) do not show here.
    pub fn rules_used_by(&self, user: &str) -> BTreeSet<Use> {
        self.iter()
            .filter(|call| call.user == user && call.code != 403)
            .map(Use::of)
            .filter(|usage| !usage.is_everybodys())
            .collect()
    }
}

impl Use {
    fn of(call: &Call) -> Self {
        let Some(target) = &call.target else {
            let path = call.uri.split('?').next().unwrap_or_default();
            return Self {
                verb: call.verb.clone(),
                group: String::new(),
                resource: path.to_owned(),
                name: None,
                namespace: None,
            };
        };
        let is_named_in_body = call.verb == "create" && target.subresource.is_none();
        Self {
            verb: call.verb.clone(),
            group: target.group.clone(),
            resource: target.rbac_resource(),
            name: target.name.clone().filter(|_| !is_named_in_body),
            namespace: target.namespace.clone(),
        }
    }

    /// Whether Kubernetes allows it to everybody who is authenticated (`system:discovery`, `system:basic-user`).
    fn is_everybodys(&self) -> bool {
        const PATHS: [&str; 6] = ["/api", "/healthz", "/livez", "/openapi", "/readyz", "/version"];
        const SELF_REVIEWS: [&str; 3] =
            ["selfsubjectreviews", "selfsubjectaccessreviews", "selfsubjectrulesreviews"];
        PATHS.iter().any(|path| self.resource.starts_with(path))
            || SELF_REVIEWS.contains(&self.resource.as_str())
    }
}

impl Grant {
    fn covers(&self, usage: &Use) -> bool {
        let matches = |granted: &str, used: &str| granted == "*" || granted == used;
        matches(&self.verb, &usage.verb)
            && matches(&self.group, &usage.group)
            && matches(&self.resource, &usage.resource)
            && (self.name.is_none() || self.name == usage.name)
            && (self.namespace.is_none() || self.namespace == usage.namespace)
    }

    fn has_wildcard(&self) -> bool {
        [&self.verb, &self.group, &self.resource].into_iter().any(|part| part.contains('*'))
    }

    fn is_allowed_by(&self, rare: &Rare) -> bool {
        rare.verb == self.verb && rare.resource == self.resource
    }
}

/// What a `ServiceAccount` may, by the bindings and roles among `objects`.
pub fn grants(objects: &[DynamicObject], namespace: &str, account: &str) -> anyhow::Result<Vec<Grant>> {
    let mut grants = Vec::new();
    for object in objects {
        match kind(object) {
            "ClusterRoleBinding" => {
                let binding: ClusterRoleBinding = typed(object)?;
                if names(binding.subjects.as_deref(), None, namespace, account) {
                    grants.extend(granted(objects, &binding.role_ref, None)?);
                }
            }
            "RoleBinding" => {
                let binding: RoleBinding = typed(object)?;
                let scope = object.namespace().with_context(|| {
                    format!(
                        "RoleBinding {} has no namespace: set one in the kustomization",
                        object.name_any()
                    )
                })?;
                if names(binding.subjects.as_deref(), Some(&scope), namespace, account) {
                    grants.extend(granted(objects, &binding.role_ref, Some(&scope))?);
                }
            }
            _ => {}
        }
    }
    Ok(grants)
}

/// Compares the rules of every `ServiceAccount` of a base with the calls it made.
pub fn compare(base: &[DynamicObject], calls: &Calls, rare: &[Rare]) -> anyhow::Result<Comparison> {
    let mut comparison = Comparison::default();
    let mut all = Vec::new();
    for account in base.iter().filter(|object| kind(object) == "ServiceAccount") {
        let (name, namespace) = (account.name_any(), account.namespace().unwrap_or_default());
        let user = user_name(&namespace, &name);
        let grants = grants(base, &namespace, &name)?;
        let asked = calls.rules_used_by(&user);

        let is_used = |grant: &Grant| asked.iter().any(|usage| grant.covers(usage));
        let is_rare = |grant: &Grant| rare.iter().any(|rare| grant.is_allowed_by(rare));
        let (wild, exact): (Vec<Grant>, Vec<Grant>) = grants.iter().cloned().partition(Grant::has_wildcard);
        comparison.wildcards.extend(wild);
        comparison.unused.extend(exact.into_iter().filter(|grant| !is_used(grant) && !is_rare(grant)));
        let is_explained = |usage: &Use| grants.iter().any(|grant| grant.covers(usage));
        comparison.unexplained.extend(asked.iter().filter(|usage| !is_explained(usage)).cloned());
        let refused = calls.iter().filter(|call| call.user == user && call.code == 403);
        comparison.refused.extend(refused.map(Call::to_string));
        all.extend(grants);
    }
    let outdated = rare.iter().filter(|rare| !all.iter().any(|grant| grant.is_allowed_by(rare)));
    comparison.outdated.extend(outdated.map(|rare| format!("{} {}", rare.verb, rare.resource)));
    Ok(comparison)
}

impl Comparison {
    /// Fails, naming every difference and what to do about it, unless rules and use are the same.
    pub fn check(&self) -> anyhow::Result<()> {
        let mut text = String::new();
        section(
            &mut text,
            "no test needs these rules: drop them, or list them as rare and say why",
            &self.unused,
        );
        section(&mut text, "these rules have a wildcard: name what is used", &self.wildcards);
        section(&mut text, "these requests are allowed by no rule of the base: add one", &self.unexplained);
        section(&mut text, "these requests were refused: add a rule, or do not make them", &self.refused);
        section(&mut text, "listed as rare, but no rule grants it: drop it from the list", &self.outdated);
        if text.is_empty() { Ok(()) } else { bail!("rules and their use differ\n{text}") }
    }
}

fn section(text: &mut String, title: &str, lines: &[impl fmt::Display]) {
    if !lines.is_empty() {
        _ = writeln!(text, "{title}:");
        let lines: BTreeSet<String> = lines.iter().map(ToString::to_string).collect();
        for line in lines {
            _ = writeln!(text, "  {line}");
        }
    }
}

/// `verb resource[.group] [name] [in namespace]`
fn describe(
    f: &mut fmt::Formatter<'_>,
    [verb, group, resource]: [&str; 3],
    name: Option<&str>,
    namespace: Option<&str>,
) -> fmt::Result {
    write!(f, "{verb} {resource}")?;
    if !group.is_empty() {
        write!(f, ".{group}")?;
    }
    if let Some(name) = name {
        write!(f, " {name}")?;
    }
    namespace.map_or(Ok(()), |namespace| write!(f, " in {namespace}"))
}

impl fmt::Display for Use {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { verb, group, resource, name, namespace } = self;
        describe(f, [verb, group, resource], name.as_deref(), namespace.as_deref())
    }
}

impl fmt::Display for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { role, verb, group, resource, name, namespace } = self;
        describe(f, [verb, group, resource], name.as_deref(), namespace.as_deref())?;
        write!(f, " ({role})")
    }
}

/// Whether an account is among a binding's subjects. One without a namespace is of the binding's own.
fn names(subjects: Option<&[Subject]>, binding: Option<&str>, namespace: &str, account: &str) -> bool {
    subjects.unwrap_or_default().iter().any(|subject| {
        subject.kind == "ServiceAccount"
            && subject.name == account
            && subject.namespace.as_deref().or(binding) == Some(namespace)
    })
}

/// What a role grants. One that is not among `objects` is somebody else's: that it is bound is an error, since
/// nobody here could say what it allows.
fn granted(objects: &[DynamicObject], role: &RoleRef, namespace: Option<&str>) -> anyhow::Result<Vec<Grant>> {
    let is_meant = |object: &&DynamicObject| {
        kind(object) == role.kind
            && object.name_any() == role.name
            && (role.kind == "ClusterRole" || object.namespace().as_deref() == namespace)
    };
    let title = format!("{} {}", role.kind, role.name);
    let object = objects.iter().find(is_meant);
    let object = object.with_context(|| format!("{title} is bound, but not among the manifests"))?;
    let rules = match role.kind.as_str() {
        "ClusterRole" => typed::<ClusterRole>(object)?.rules,
        _ => typed::<Role>(object)?.rules,
    };
    let cells = rules.unwrap_or_default().into_iter().flat_map(|rule| cells(&rule));
    let grant = |[verb, group, resource]: [String; 3], name| Grant {
        role: title.clone(),
        namespace: namespace.map(ToOwned::to_owned),
        verb,
        group,
        resource,
        name,
    };
    Ok(cells.map(|(cell, name)| grant(cell, name)).collect())
}

/// Every `[verb, group, resource]` of a rule, with every name.
fn cells(rule: &PolicyRule) -> Vec<([String; 3], Option<String>)> {
    let mut cells = Vec::new();
    let names: Vec<Option<&String>> = match rule.resource_names.as_deref() {
        None | Some([]) => vec![None],
        Some(names) => names.iter().map(Some).collect(),
    };
    for verb in &rule.verbs {
        for group in rule.api_groups.iter().flatten() {
            for resource in rule.resources.iter().flatten() {
                for name in &names {
                    cells.push(([verb.clone(), group.clone(), resource.clone()], name.cloned()));
                }
            }
        }
        for path in rule.non_resource_urls.iter().flatten() {
            cells.push(([verb.clone(), String::new(), path.clone()], None));
        }
    }
    cells
}

fn typed<K: DeserializeOwned>(object: &DynamicObject) -> anyhow::Result<K> {
    serde_json::to_value(object)
        .and_then(serde_json::from_value)
        .with_context(|| format!("read {} {}", kind(object), object.name_any()))
}

#[cfg(test)]
mod tests;
