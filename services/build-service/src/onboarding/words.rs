//! What people read at the forge.

use forge::{AppInfo, Author};

use crate::git::{Access, Mode};

/// Whose commits they are, and what they begin with, unless the GitHub App has a name.
const NAME: &str = "redhat-appstudio";
const EMAIL: &str = "rhtap@redhat.com";
const TITLE: &str = "Appstudio";

const DOCUMENTATION: &str = "https://pipelinesascode.com/docs/guide/running/";

/// Names of what is made for one Component.
pub(super) struct Words<'a> {
    app: Option<&'a AppInfo>,
    component: &'a str,
}

impl<'a> Words<'a> {
    pub(super) fn new(access: &'a Access, component: &'a str) -> Self {
        let app = match &access.mode {
            Mode::App(app) => app.as_ref(),
            Mode::Token(_) => None,
        };
        Self { app, component }
    }

    /// The branch that the files are proposed on.
    pub(super) fn branch(&self) -> String {
        format!("appstudio-{}", self.component)
    }

    /// The branch that they are deleted on.
    pub(super) fn purge_branch(&self) -> String {
        format!("appstudio-purge-{}", self.component)
    }

    /// Also the message of the commit.
    pub(super) fn title(&self) -> String {
        format!("{} update {}", self.subject(), self.component)
    }

    pub(super) fn purge_title(&self) -> String {
        format!("{} purge {}", self.subject(), self.component)
    }

    fn subject(&self) -> &str {
        self.app.map_or(TITLE, |app| &app.name)
    }

    pub(super) fn author(&self) -> Author {
        let name = self.app.map_or(NAME, |app| &app.slug).to_owned();
        Author { name, email: EMAIL.to_owned() }
    }

    /// `replaced`: paths of files that are there with other content.
    pub(super) fn body(&self, replaced: &[String]) -> String {
        let mut body = format!(
            "This pull request adds the pipelines that build the Component `{}`: one for pushes, and one for pull requests.\n\n\
             Once it is merged, every push and every pull request is built. The files are yours then: change them as you need.\n\n\
             Pull requests of people whom the repository does not know are built when a member comments `/ok-to-test`. \
             More is in the [documentation of Pipelines as Code]({DOCUMENTATION}).\n",
            self.component
        );
        if !replaced.is_empty() {
            body += "\n**These files are there already, with other content. Look at what this pull request changes in them \
                     before you merge it:**\n\n";
            for path in replaced {
                body.extend(["- `", path, "`\n"]);
            }
        }
        body
    }

    pub(super) fn purge_body(&self) -> String {
        format!(
            "The Component `{}` is no longer built by Pipelines as Code. This pull request deletes its pipelines.\n",
            self.component
        )
    }
}
