//! Users, organisations and tokens.

use std::str::FromStr;

use reqwest::Method;
use serde::Deserialize;
use serde_json::json;

use super::client::Client;

/// A user to be.
#[derive(Clone, Debug)]
pub struct NewUser<'a> {
    pub name: &'a str,
    pub password: &'a str,
    /// Whether they administrate the forge.
    pub is_administrator: bool,
}

/// What the members of a team may do in each repository of their organisation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    Read,
    Write,
    Admin,
}

impl Role {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Admin => "admin",
        }
    }
}

impl FromStr for Role {
    type Err = NoRole;

    fn from_str(text: &str) -> Result<Self, NoRole> {
        [Self::Read, Self::Write, Self::Admin].into_iter().find(|role| role.as_str() == text).ok_or(NoRole)
    }
}

/// Not what somebody may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a role is read, write or admin")]
pub struct NoRole;

/// What a forge tells of a token that it has made.
#[derive(Clone, Debug, Deserialize)]
pub struct KnownToken {
    name: String,
    pub scopes: Vec<String>,
    #[serde(rename = "token_last_eight")]
    end: String,
}

impl KnownToken {
    /// Whether it may be this one: they end alike.
    pub fn is(&self, token: &str) -> bool {
        !self.end.is_empty() && token.ends_with(&self.end)
    }
}

#[derive(Deserialize)]
struct Team {
    id: u64,
    name: String,
}

#[derive(Deserialize)]
struct Token {
    sha1: String,
}

impl Client {
    /// Whether there is a user or an organisation of this name.
    pub async fn has_account(&self, name: &str) -> anyhow::Result<bool> {
        let what = format!("look for account {name}");
        let answer = self.call(&what, Method::GET, &["users", name], &[], None).await?;
        Ok(answer.found().map(super::client::Answer::success).transpose()?.is_some())
    }

    /// Makes the user, or gives the existing one this password and rank.
    pub async fn ensure_user(&self, user: &NewUser<'_>) -> anyhow::Result<()> {
        if !self.has_account(user.name).await? {
            let body = json!({
                "username": user.name,
                // Nobody sends mail; that of a name which ends in .test could not reach anybody.
                "email": format!("{}@users.konflux.test", user.name),
                "password": user.password,
                "must_change_password": false,
            });
            let what = format!("make user {}", user.name);
            self.call(&what, Method::POST, &["admin", "users"], &[], Some(&body)).await?.success()?;
        }
        let body = json!({
            "login_name": user.name,
            "source_id": 0,
            "password": user.password,
            "must_change_password": false,
            "admin": user.is_administrator,
        });
        let what = format!("set password and rank of user {}", user.name);
        self.call(&what, Method::PATCH, &["admin", "users", user.name], &[], Some(&body)).await?.success()?;
        Ok(())
    }

    /// Makes the organisation unless there is one. Its owner is whose client this is.
    pub async fn ensure_organization(&self, name: &str) -> anyhow::Result<()> {
        let what = format!("look for organisation {name}");
        let answer = self.call(&what, Method::GET, &["orgs", name], &[], None).await?;
        if let Some(answer) = answer.found() {
            answer.success()?;
            return Ok(());
        }
        let body = json!({ "username": name, "visibility": "public" });
        let what = format!("make organisation {name}");
        self.call(&what, Method::POST, &["orgs"], &[], Some(&body)).await?.success()?;
        Ok(())
    }

    /// Makes the team unless there is one, and has the user in it. Every organisation has a team `Owners`.
    pub async fn ensure_member(
        &self,
        organization: &str,
        team: &str,
        role: Role,
        user: &str,
    ) -> anyhow::Result<()> {
        let what = format!("list teams of {organization}");
        let path = ["orgs", organization, "teams"];
        let answer = self.call(&what, Method::GET, &path, &[("limit", "50")], None).await?;
        let known = answer.json::<Vec<Team>>()?.into_iter().find(|known| known.name == team);
        let id = match known {
            Some(team) => team.id,
            None => self.make_team(organization, team, role).await?,
        };
        let what = format!("have {user} in team {team} of {organization}");
        let path = ["teams", &id.to_string(), "members", user];
        self.call(&what, Method::PUT, &path, &[], None).await?.success()?;
        Ok(())
    }

    async fn make_team(&self, organization: &str, team: &str, role: Role) -> anyhow::Result<u64> {
        let body = json!({
            "name": team,
            "permission": role.as_str(),
            "includes_all_repositories": true,
            "units": ["repo.code", "repo.issues", "repo.pulls"],
        });
        let what = format!("make team {team} of {organization}");
        let path = ["orgs", organization, "teams"];
        Ok(self.call(&what, Method::POST, &path, &[], Some(&body)).await?.json::<Team>()?.id)
    }

    /// A new token of the user with these scopes (`write:repository`); one of the same name ends. The forge tells
    /// a token once only. Needs a client with the password of that user or of an administrator.
    pub async fn new_token(&self, user: &str, name: &str, scopes: &[&str]) -> anyhow::Result<String> {
        let what = format!("end token {name} of {user}");
        let path = ["users", user, "tokens", name];
        if let Some(answer) = self.call(&what, Method::DELETE, &path, &[], None).await?.found() {
            answer.success()?;
        }
        let body = json!({ "name": name, "scopes": scopes });
        let what = format!("make token {name} of {user}");
        let path = ["users", user, "tokens"];
        Ok(self.call(&what, Method::POST, &path, &[], Some(&body)).await?.json::<Token>()?.sha1)
    }

    /// Takes the user's account and all repositories that they own away, if there is one.
    pub async fn delete_user(&self, name: &str) -> anyhow::Result<()> {
        let what = format!("delete user {name}");
        let path = ["admin", "users", name];
        let answer = self.call(&what, Method::DELETE, &path, &[("purge", "true")], None).await?;
        if let Some(answer) = answer.found() {
            answer.success()?;
        }
        Ok(())
    }

    /// The user's token of this name, as far as the forge tells of it.
    pub async fn token(&self, user: &str, name: &str) -> anyhow::Result<Option<KnownToken>> {
        let what = format!("list tokens of {user}");
        let path = ["users", user, "tokens"];
        let answer = self.call(&what, Method::GET, &path, &[("limit", "50")], None).await?;
        let Some(answer) = answer.found() else { return Ok(None) };
        Ok(answer.json::<Vec<KnownToken>>()?.into_iter().find(|token| token.name == name))
    }
}
