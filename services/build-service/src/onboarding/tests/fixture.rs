//! One repository, as we see it and as its people do.

use futures::future::BoxFuture;

use crate::git::testing::TENANT;
use crate::git::{Access, Gits, Mode, Source};

/// What we see.
pub(super) struct Fixture {
    pub(super) gits: Gits,
    pub(super) source: Source,
}

impl Fixture {
    /// For one piece of work.
    pub(super) async fn access(&self) -> Access {
        self.gits.access(TENANT, &self.source).await.unwrap()
    }

    /// As requests begin.
    pub(super) async fn title(&self, rest: &str) -> String {
        let begin = match &self.access().await.mode {
            Mode::App(info) => info.as_ref().unwrap().name.clone(),
            Mode::Token(_) => "Appstudio".to_owned(),
        };
        format!("{begin} {rest}")
    }
}

/// An open request.
#[derive(Debug)]
pub(super) struct Open {
    pub(super) number: u64,
    pub(super) title: String,
    pub(super) body: String,
    pub(super) head: String,
    pub(super) base: String,
}

/// What its people do.
pub(super) trait Repo {
    fn open(&self) -> BoxFuture<'_, Vec<Open>>;

    fn merge(&self, number: u64) -> BoxFuture<'_, ()>;

    /// Content of a file. `None` if it, or the branch, is not there.
    fn text<'a>(&'a self, branch: &'a str, path: &'a str) -> BoxFuture<'a, Option<String>>;

    fn write<'a>(&'a self, branch: &'a str, path: &'a str, text: Option<&'a str>) -> BoxFuture<'a, ()>;

    fn delete_branch<'a>(&'a self, branch: &'a str) -> BoxFuture<'a, ()>;
}

/// What people do in the model of a fake.
pub(super) mod model {
    use testkit::forge::Model;

    use super::Open;

    /// A private repository with `.tekton/other.yaml`.
    pub(in super::super) fn fill(model: &mut Model, full_name: &str) {
        model.repository(full_name).unwrap().make_private();
        model.commit(full_name, "main", "Begin", &[(".tekton/other.yaml", Some(b"kind: Task\n"))]).unwrap();
    }

    pub(in super::super) fn open(model: &Model, full_name: &str) -> Vec<Open> {
        let open = model.repo(full_name).unwrap().pulls.iter().filter(|pull| pull.is_open());
        open.map(|pull| Open {
            number: pull.number,
            title: pull.title.clone(),
            body: pull.body.clone(),
            head: pull.head_branch.clone(),
            base: pull.base_branch.clone(),
        })
        .collect()
    }

    pub(in super::super) fn text(model: &Model, full_name: &str, branch: &str, path: &str) -> Option<String> {
        let repository = model.repo(full_name).unwrap();
        let objects = model.objects(repository);
        let tree = &objects.commit(repository.head(branch)?)?.tree;
        objects.file(tree, path).map(|content| String::from_utf8(content.to_vec()).unwrap())
    }

    pub(in super::super) fn write(
        model: &mut Model,
        full_name: &str,
        branch: &str,
        path: &str,
        text: Option<&str>,
    ) {
        model.commit(full_name, branch, "Change", &[(path, text.map(str::as_bytes))]).unwrap();
    }
}

/// [`Repo`] of a repository in a fake.
macro_rules! repo_of_fake {
    ($fake:ty) => {
        impl $crate::onboarding::tests::fixture::Repo for $fake {
            fn open(&self) -> BoxFuture<'_, Vec<Open>> {
                let open = self.forge.edit(|model| model::open(model, REPOSITORY));
                std::future::ready(open).boxed()
            }

            fn merge(&self, number: u64) -> BoxFuture<'_, ()> {
                self.forge.edit(|model| model.merge_pull(REPOSITORY, number, "Merge").unwrap());
                std::future::ready(()).boxed()
            }

            fn text<'a>(&'a self, branch: &'a str, path: &'a str) -> BoxFuture<'a, Option<String>> {
                let text = self.forge.edit(|model| model::text(model, REPOSITORY, branch, path));
                std::future::ready(text).boxed()
            }

            fn write<'a>(
                &'a self,
                branch: &'a str,
                path: &'a str,
                text: Option<&'a str>,
            ) -> BoxFuture<'a, ()> {
                self.forge.edit(|model| model::write(model, REPOSITORY, branch, path, text));
                std::future::ready(()).boxed()
            }

            fn delete_branch<'a>(&'a self, branch: &'a str) -> BoxFuture<'a, ()> {
                let branch = format!("refs/heads/{branch}");
                self.forge.edit(|model| model.delete_ref(REPOSITORY, &branch).unwrap());
                std::future::ready(()).boxed()
            }
        }
    };
}
pub(super) use repo_of_fake;
