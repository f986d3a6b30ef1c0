//! What a caller is given. Pure.

use std::collections::BTreeSet;

use image_controller_api::Visibility;

use super::record::Repository;
use super::signer::Access;
use crate::registry::Role;

/// Repositories that one token is asked for. A push with blobs of another repository names two.
const MAX_SCOPES: usize = 16;

/// Who asks, after the password was found to be right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Caller {
    Anonymous,
    Robot {
        /// In full.
        name: String,
        /// Of its Secret.
        uid: String,
    },
}

/// `repository:org/team/web:pull,push`: one repository, and what is wanted with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Scope {
    pub(crate) repository: String,
    pub(crate) actions: BTreeSet<String>,
}

/// All scopes of a request, each parameter with one or more, blanks between them. What is no repository is left out, as
/// `registry:catalog:*`: nobody here may have it.
pub(crate) fn scopes<'a>(parameters: impl IntoIterator<Item = &'a str>) -> Vec<Scope> {
    parameters
        .into_iter()
        .flat_map(|parameter| parameter.split(' '))
        .filter_map(|scope| {
            let (repository, actions) = scope.strip_prefix("repository:")?.rsplit_once(':')?;
            let actions = actions.split(',').map(str::to_owned).collect();
            Some(Scope { repository: repository.to_owned(), actions })
        })
        .take(MAX_SCOPES)
        .collect()
}

/// What of the scopes the caller may have. A scope of which nothing is left is left out: the registry then refuses.
pub(crate) fn grant(
    caller: &Caller,
    scopes: &[Scope],
    find: impl Fn(&str) -> Option<Repository>,
) -> Vec<Access> {
    let granted = |scope: &Scope| {
        let repository = find(&scope.repository)?;
        let allowed = allowed(caller, &repository);
        let actions: Vec<&str> =
            allowed.iter().copied().filter(|action| scope.actions.contains(*action)).collect();
        (!actions.is_empty()).then(|| Access::repository(&scope.repository, actions))
    };
    scopes.iter().filter_map(granted).collect()
}

fn allowed(caller: &Caller, repository: &Repository) -> &'static [&'static str] {
    const PULL: &[&str] = &["pull"];
    let role = match caller {
        Caller::Anonymous => None,
        Caller::Robot { name, uid } => {
            repository.grants.get(name).filter(|grant| grant.account_uid == *uid).map(|grant| grant.role)
        }
    };
    match (role, repository.visibility) {
        (Some(Role::Write), _) => &["pull", "push"],
        (Some(Role::Read), _) | (None, Visibility::Public) => PULL,
        (None, Visibility::Private) => &[],
    }
}

#[cfg(test)]
mod tests {
    use super::super::record::Grant;
    use rstest::rstest;

    use super::*;

    fn repository(visibility: Visibility) -> Repository {
        let grant = |role| Grant { role, account_uid: "1".to_owned() };
        Repository {
            name: "org/team/web".to_owned(),
            visibility,
            grants: [("org+push".to_owned(), grant(Role::Write)), ("org+pull".to_owned(), grant(Role::Read))]
                .into(),
        }
    }

    fn robot(name: &str, uid: &str) -> Caller {
        Caller::Robot { name: name.to_owned(), uid: uid.to_owned() }
    }

    #[rstest]
    #[case::writer(robot("org+push", "1"), Visibility::Private, "pull,push", &["pull", "push"])]
    #[case::writer_who_pulls(robot("org+push", "1"), Visibility::Private, "pull", &["pull"])]
    #[case::reader(robot("org+pull", "1"), Visibility::Private, "pull,push", &["pull"])]
    #[case::reader_who_pushes(robot("org+pull", "1"), Visibility::Private, "push", &[])]
    #[case::writer_made_anew(robot("org+push", "2"), Visibility::Private, "pull,push", &[])]
    #[case::stranger(robot("org+other", "1"), Visibility::Private, "pull,push", &[])]
    #[case::stranger_where_public(robot("org+other", "1"), Visibility::Public, "pull,push", &["pull"])]
    #[case::anonymous(Caller::Anonymous, Visibility::Private, "pull", &[])]
    #[case::anonymous_where_public(Caller::Anonymous, Visibility::Public, "pull,push,delete,*", &["pull"])]
    #[case::nobody_deletes(robot("org+push", "1"), Visibility::Public, "delete,*", &[])]
    fn grants(
        #[case] caller: Caller,
        #[case] visibility: Visibility,
        #[case] wanted: &str,
        #[case] expected: &[&'static str],
    ) {
        let scopes = scopes([format!("repository:org/team/web:{wanted}").as_str()]);
        let granted =
            grant(&caller, &scopes, |name| (name == "org/team/web").then(|| repository(visibility)));
        let expected: Vec<_> = (!expected.is_empty())
            .then(|| Access::repository("org/team/web", expected.iter().copied()))
            .into_iter()
            .collect();
        assert_eq!(granted, expected);
    }

    #[test]
    fn each_scope_is_judged_by_itself() {
        let scopes =
            scopes(["repository:org/team/web:push repository:org/other/web:pull,push", "registry:catalog:*"]);
        let find = |name: &str| (name == "org/team/web").then(|| repository(Visibility::Private));
        let granted = grant(&robot("org+push", "1"), &scopes, find);
        assert_eq!(granted, [Access::repository("org/team/web", ["push"])]);
    }

    #[rstest]
    #[case::usual("repository:org/a:pull", &["org/a"])]
    #[case::port_in_the_name("repository:host:5000/a:pull", &["host:5000/a"])]
    #[case::class("repository(plugin):org/a:pull", &[])]
    #[case::no_action("repository:org/a", &[])]
    #[case::nothing("", &[])]
    fn reads_scopes(#[case] parameter: &str, #[case] expected: &[&str]) {
        let names: Vec<_> = scopes([parameter]).into_iter().map(|scope| scope.repository).collect();
        assert_eq!(names, expected);
    }

    #[test]
    fn has_a_limit() {
        assert_eq!(scopes(["repository:a:pull"; 1000]).len(), MAX_SCOPES);
    }
}
