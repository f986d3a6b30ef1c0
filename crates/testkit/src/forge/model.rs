//! What a forge holds: accounts and repositories, with what people and programs put on them.
//!
//! All fakes share it. Where they name a thing differently GitHub's word is used: a pull request is GitLab's merge request,
//! a comment its note, an organization its group, or Bitbucket's workspace or project.

use anyhow::Context as _;
use fleet::Clock;
use jiff::{SignedDuration, Timestamp};

use super::app::{App, Installation};
use super::git::{Commit, Entry, Objects, Signature};
use super::repository::{Repository, Visibility};

/// The whole content of one forge.
#[derive(Debug)]
pub struct Model {
    /// Web address without a slash at its end; all addresses in answers and payloads begin with it.
    pub url: String,
    pub accounts: Vec<Account>,
    pub repositories: Vec<Repository>,
    /// GitHub's.
    pub apps: Vec<App>,
    pub installations: Vec<Installation>,
    networks: Vec<Objects>,
    clock: Clock,
    ahead: SignedDuration,
    last_id: u64,
}

/// A user, a program, or an organization.
#[derive(Clone, Debug)]
pub struct Account {
    pub id: u64,
    /// User name, or the full path of a group: `acme/platform`.
    pub login: String,
    pub kind: AccountKind,
    /// Of an organization.
    pub members: Vec<Member>,
    pub teams: Vec<Team>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccountKind {
    User,
    Organization,
    /// What an App or an access token of a project acts as.
    Bot,
}

#[derive(Clone, Debug)]
pub struct Member {
    pub login: String,
    pub access: Access,
    /// Whether the membership of an organization is shown to everybody.
    pub is_public: bool,
}

/// GitHub's roles, lowest first; GitLab's Guest to Owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Access {
    Read,
    Triage,
    Write,
    Maintain,
    Admin,
}

#[derive(Clone, Debug)]
pub struct Team {
    pub id: u64,
    pub slug: String,
    pub members: Vec<String>,
}

impl Access {
    /// GitHub's name of the role.
    pub fn role(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Triage => "triage",
            Self::Write => "write",
            Self::Maintain => "maintain",
            Self::Admin => "admin",
        }
    }

    /// GitLab's number: Guest, Reporter, Developer, Maintainer, Owner.
    pub fn level(self) -> u64 {
        match self {
            Self::Read => 10,
            Self::Triage => 20,
            Self::Write => 30,
            Self::Maintain => 40,
            Self::Admin => 50,
        }
    }
}

impl Account {
    pub fn is_organization(&self) -> bool {
        self.kind == AccountKind::Organization
    }

    /// For commits.
    pub fn email(&self) -> String {
        format!("{}@users.noreply.example", self.login)
    }

    pub fn team(&self, slug: &str) -> Option<&Team> {
        self.teams.iter().find(|team| team.slug == slug)
    }
}

impl Model {
    /// An empty forge that is reached at `url`. Payloads can be built from it without any server.
    pub fn new(url: &str, clock: Clock) -> Self {
        Self {
            url: url.trim_end_matches('/').to_owned(),
            accounts: Vec::new(),
            repositories: Vec::new(),
            apps: Vec::new(),
            installations: Vec::new(),
            networks: Vec::new(),
            clock,
            ahead: SignedDuration::ZERO,
            last_id: 1000,
        }
    }

    pub fn now(&self) -> Timestamp {
        self.clock.now().saturating_add(self.ahead).unwrap_or(Timestamp::MAX)
    }

    /// Sets the forge's clock ahead: tokens expire, rate limits are reset.
    pub fn advance(&mut self, by: SignedDuration) {
        self.ahead += by;
    }

    /// Ids of all kinds of things come from one counter, so that one is never taken for another.
    pub fn next_id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }

    /// Adds a user.
    pub fn user(&mut self, login: &str) -> u64 {
        self.account(login, AccountKind::User)
    }

    /// Adds an organization or group. A group of a group has the path of both: `acme/platform`.
    pub fn organization(&mut self, login: &str) -> u64 {
        self.account(login, AccountKind::Organization)
    }

    /// Adds an account, or finds it: a name is given once.
    pub fn account(&mut self, login: &str, kind: AccountKind) -> u64 {
        if let Some(account) = self.find_account(login) {
            return account.id;
        }
        let id = self.next_id();
        let login = login.to_owned();
        self.accounts.push(Account { id, login, kind, members: Vec::new(), teams: Vec::new() });
        id
    }

    /// Makes a user, who is added if unknown, a member of an organization. Memberships of GitHub are private at first.
    pub fn member(&mut self, organization: &str, login: &str, access: Access) -> anyhow::Result<&mut Member> {
        self.user(login);
        let members = &mut self.account_mut(organization)?.members;
        members.push(Member { login: login.to_owned(), access, is_public: false });
        members.last_mut().context("a member that was just added")
    }

    pub fn team(&mut self, organization: &str, slug: &str, members: &[&str]) -> anyhow::Result<()> {
        let id = self.next_id();
        for login in members {
            self.user(login);
        }
        let members = members.iter().map(|login| (*login).to_owned()).collect();
        self.account_mut(organization)?.teams.push(Team { id, slug: slug.to_owned(), members });
        Ok(())
    }

    /// Adds a public repository `owner/name` with a branch `main` of one commit; its owner is added as an organization
    /// if unknown.
    pub fn repository(&mut self, full_name: &str) -> anyhow::Result<&mut Repository> {
        self.empty_repository(full_name)?;
        let readme = format!("# {full_name}\n");
        self.commit(full_name, "main", "Begin", &[("README.md", Some(readme.as_bytes()))])?;
        self.repo_mut(full_name)
    }

    /// A repository without any commit.
    pub fn empty_repository(&mut self, full_name: &str) -> anyhow::Result<&mut Repository> {
        let (owner, name) = full_name
            .rsplit_once('/')
            .with_context(|| format!("repository {full_name:?}: give owner/name"))?;
        anyhow::ensure!(self.find_repo(full_name).is_none(), "repository {full_name}: exists already");
        self.organization(owner);
        self.networks.push(Objects::default());
        let network = self.networks.len() - 1;
        self.add_repository(owner, name, network, None)
    }

    /// Copies a repository with its branches to the account of `owner`.
    pub fn fork(&mut self, full_name: &str, owner: &str) -> anyhow::Result<&mut Repository> {
        self.user(owner);
        let parent = self.repo(full_name)?;
        let (id, network, refs) = (parent.id, parent.network, parent.refs.clone());
        let (name, branch) = (parent.name.clone(), parent.default_branch.clone());
        let fork = self.add_repository(owner, &name, network, Some(id))?;
        fork.refs = refs;
        fork.default_branch = branch;
        Ok(fork)
    }

    fn add_repository(
        &mut self,
        owner: &str,
        name: &str,
        network: usize,
        fork_of: Option<u64>,
    ) -> anyhow::Result<&mut Repository> {
        let (id, now) = (self.next_id(), self.now());
        self.repositories.push(Repository::new(id, owner, name, network, fork_of, now));
        self.repositories.last_mut().context("a repository that was just added")
    }

    pub fn find_account(&self, login: &str) -> Option<&Account> {
        self.accounts.iter().find(|account| account.login.eq_ignore_ascii_case(login))
    }

    pub fn account_mut(&mut self, login: &str) -> anyhow::Result<&mut Account> {
        let found = self.accounts.iter_mut().find(|account| account.login.eq_ignore_ascii_case(login));
        found.with_context(|| format!("account {login}: add it to the forge first"))
    }

    pub fn find_repo(&self, full_name: &str) -> Option<&Repository> {
        self.repositories.iter().find(|repo| repo.full_name().eq_ignore_ascii_case(full_name))
    }

    pub fn repo(&self, full_name: &str) -> anyhow::Result<&Repository> {
        self.find_repo(full_name)
            .with_context(|| format!("repository {full_name}: add it to the forge first"))
    }

    pub fn repo_mut(&mut self, full_name: &str) -> anyhow::Result<&mut Repository> {
        let found =
            self.repositories.iter_mut().find(|repo| repo.full_name().eq_ignore_ascii_case(full_name));
        found.with_context(|| format!("repository {full_name}: add it to the forge first"))
    }

    pub fn repo_by_id(&self, id: u64) -> Option<&Repository> {
        self.repositories.iter().find(|repo| repo.id == id)
    }

    /// Git's objects of the repository and its forks.
    pub fn objects(&self, repository: &Repository) -> &Objects {
        &self.networks[repository.network]
    }

    pub fn objects_mut(&mut self, full_name: &str) -> anyhow::Result<&mut Objects> {
        let network = self.repo(full_name)?.network;
        Ok(&mut self.networks[network])
    }

    /// What a user may do with a repository, as owner, member of a group above it, or collaborator. `None` is what
    /// everybody may do.
    pub fn access(&self, repository: &Repository, login: &str) -> Option<Access> {
        if repository.owner.eq_ignore_ascii_case(login) {
            return Some(Access::Admin);
        }
        self.members_above(&repository.owner)
            .chain(&repository.collaborators)
            .filter(|member| member.login.eq_ignore_ascii_case(login))
            .map(|member| member.access)
            .max()
    }

    /// Members of a group and of those that it lies in.
    pub fn members_above(&self, owner: &str) -> impl Iterator<Item = &Member> {
        let above = move |account: &&Account| {
            let rest =
                owner.get(..account.login.len()).filter(|head| head.eq_ignore_ascii_case(&account.login));
            rest.is_some() && matches!(owner.as_bytes().get(account.login.len()), None | Some(b'/'))
        };
        self.accounts.iter().filter(above).flat_map(|account| &account.members)
    }

    pub fn can_read(&self, repository: &Repository, login: Option<&str>) -> bool {
        match repository.visibility {
            Visibility::Public => true,
            Visibility::Internal => login.is_some(),
            Visibility::Private => login.is_some_and(|login| self.access(repository, login).is_some()),
        }
    }

    /// The commit that a branch, a tag, a full ref or a commit's name stands for.
    pub fn resolve(&self, repository: &Repository, name: &str) -> Option<&Commit> {
        let objects = self.objects(repository);
        let candidates = [name.to_owned(), format!("refs/heads/{name}"), format!("refs/tags/{name}")];
        let mut candidates = candidates.into_iter().chain([format!("refs/{name}")]);
        let sha = candidates.find_map(|name| repository.refs.get(&name));
        sha.and_then(|sha| objects.commit(sha))
            .or_else(|| objects.commit(name))
            .or_else(|| objects.commit_by_prefix(name))
    }

    /// Writes files (`None` deletes one) as a commit onto a branch, which begins at the default branch if it is new, and
    /// returns the commit. An empty repository gets its first.
    pub fn commit(
        &mut self,
        full_name: &str,
        branch: &str,
        message: &str,
        files: &[(&str, Option<&[u8]>)],
    ) -> anyhow::Result<String> {
        let by =
            Signature { name: "Test".to_owned(), email: "test@example.com".to_owned(), date: self.now() };
        self.commit_as(full_name, branch, message, files, by)
    }

    pub(super) fn commit_as(
        &mut self,
        full_name: &str,
        branch: &str,
        message: &str,
        files: &[(&str, Option<&[u8]>)],
        by: Signature,
    ) -> anyhow::Result<String> {
        let repository = self.repo(full_name)?;
        let parent = self
            .resolve(repository, &format!("refs/heads/{branch}"))
            .or_else(|| self.resolve(repository, &format!("refs/heads/{}", repository.default_branch)))
            .map(|commit| (commit.sha.clone(), commit.tree.clone()));
        let objects = self.objects_mut(full_name)?;
        let mut content = parent.as_ref().map(|(_, tree)| objects.files(tree)).unwrap_or_default();
        for (path, file) in files {
            match file {
                Some(file) => {
                    let mode = content.get(*path).map_or("100644", |entry| entry.mode.as_str()).to_owned();
                    content.insert((*path).to_owned(), Entry { mode, sha: objects.put_blob(file) });
                }
                None => _ = content.remove(*path),
            }
        }
        let tree = objects.put_files(&content);
        let parents: Vec<String> = parent.into_iter().map(|(sha, _)| sha).collect();
        let sha = objects.put_commit(&tree, &parents, message, by.clone(), by);
        self.set_ref(full_name, &format!("refs/heads/{branch}"), &sha)?;
        Ok(sha)
    }

    /// Makes a ref point to a commit. Open pull requests from that branch follow.
    pub fn set_ref(&mut self, full_name: &str, name: &str, sha: &str) -> anyhow::Result<()> {
        let now = self.now();
        let repository = self.repo_mut(full_name)?;
        repository.refs.insert(name.to_owned(), sha.to_owned());
        let id = repository.id;
        for pull in self.open_pulls_from(id, name) {
            sha.clone_into(&mut pull.head_sha);
            pull.updated_at = now;
        }
        Ok(())
    }

    /// Deletes a ref, and says whether it was there. Open pull requests from that branch are closed.
    pub fn delete_ref(&mut self, full_name: &str, name: &str) -> anyhow::Result<bool> {
        let now = self.now();
        let repository = self.repo_mut(full_name)?;
        let existed = repository.refs.remove(name).is_some();
        let id = repository.id;
        self.open_pulls_from(id, name).for_each(|pull| pull.close(now));
        Ok(existed)
    }

    fn open_pulls_from(
        &mut self,
        repository: u64,
        name: &str,
    ) -> impl Iterator<Item = &mut super::repository::PullRequest> {
        let branch = name.strip_prefix("refs/heads/").map(str::to_owned);
        let pulls = self.repositories.iter_mut().flat_map(|repo| &mut repo.pulls);
        pulls.filter(move |pull| {
            pull.is_open() && pull.head_repository == repository && Some(&pull.head_branch) == branch.as_ref()
        })
    }
}
