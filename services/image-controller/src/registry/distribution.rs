//! Any registry that asks us for tokens (decision 22): repositories and robots are records of our own, by which the token
//! endpoint grants what it grants.
//!
//! ```text
//! Distribution ─▶ Records: Secrets of our namespace ─watch─▶ token endpoint ─▶ registry
//!       └───────▶ Manifests: what is in a repository, deleted with it ───────────▲
//! ```

mod manifests;
mod records;

use fleet::Secret;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use image_controller_api::Visibility;

pub(crate) use self::manifests::Manifests;
pub(crate) use self::records::Records;
use super::name::{check_repository, short_robot};
use super::{Backend, Error, Robot, Role};
use crate::tokens::record::{Account, Grant, Repository};

/// One organization of such a registry.
pub(crate) struct Distribution {
    host: String,
    organization: String,
    records: Records,
    manifests: Manifests,
}

impl Distribution {
    pub(crate) fn new(host: String, organization: String, records: Records, manifests: Manifests) -> Self {
        Self { host, organization, records, manifests }
    }

    /// Full name of a repository, and what is done, for errors.
    fn repository(&self, what: &str, repository: &str) -> Result<(String, String), Error> {
        let step = format!("{what} {}/{repository}", self.organization);
        check_repository(&step, &self.organization, repository)?;
        Ok((format!("{}/{repository}", self.organization), step))
    }

    /// Full name of a robot, and what is done, for errors.
    fn account(&self, what: &str, robot: &str) -> Result<(String, String), Error> {
        let step = format!("{what} {robot}");
        let short = short_robot(&step, robot)?;
        Ok((format!("{}+{short}", self.organization), step))
    }
}

/// 256 bits of chance.
fn new_token() -> Secret<String> {
    let chance: [u8; 32] = rand::random();
    Secret::new(data_encoding::BASE32_NOPAD.encode(&chance).to_lowercase())
}

fn robot_of(account: Account) -> Robot {
    Robot { name: account.name, token: account.token }
}

impl Backend for Distribution {
    fn url(&self, repository: &str) -> String {
        format!("{}/{}/{repository}", self.host, self.organization)
    }

    fn create<'a>(
        &'a self,
        repository: &'a str,
        visibility: Visibility,
        description: &'a str,
    ) -> BoxFuture<'a, Result<(), Error>> {
        async move {
            let (name, step) = self.repository("create repository", repository)?;
            let record = Repository { name, visibility, grants: [].into() };
            if self.records.create(&step, &record, description).await? {
                tracing::info!(audit = true, repository = record.name, "Created repository");
            }
            Ok(())
        }
        .boxed()
    }

    fn find<'a>(&'a self, repository: &'a str) -> BoxFuture<'a, Result<Option<Visibility>, Error>> {
        async move {
            let (name, step) = self.repository("look up repository", repository)?;
            let found = self.records.find::<Repository>(&step, &name).await?;
            Ok(found.map(|found| found.record.visibility))
        }
        .boxed()
    }

    fn delete<'a>(&'a self, repository: &'a str) -> BoxFuture<'a, Result<(), Error>> {
        async move {
            let (name, step) = self.repository("delete repository", repository)?;
            // First nobody may push any more, then all goes, and last what is known of it: so that a crash leaves a reason to
            // go on.
            let closed = self.records.change(&step, &name, |record: &mut Repository| {
                record.visibility = Visibility::Private;
                record.grants.clear();
                Ok(())
            });
            if closed.await?.is_none() {
                return Ok(());
            }
            self.manifests.delete_all(&step, &name).await?;
            self.records.delete::<Repository>(&step, &name).await?;
            tracing::info!(audit = true, repository = name, "Deleted repository");
            Ok(())
        }
        .boxed()
    }

    fn set_visibility<'a>(
        &'a self,
        repository: &'a str,
        visibility: Visibility,
    ) -> BoxFuture<'a, Result<(), Error>> {
        async move {
            let (name, step) = self.repository("change visibility of repository", repository)?;
            let changed = self.records.change(&step, &name, |record: &mut Repository| {
                record.visibility = visibility;
                Ok(())
            });
            changed.await?.ok_or_else(|| Error::refused(&step, "there is no such repository"))?;
            tracing::info!(audit = true, repository = name, ?visibility, "Changed visibility of repository");
            Ok(())
        }
        .boxed()
    }

    fn robot<'a>(&'a self, robot: &'a str, description: &'a str) -> BoxFuture<'a, Result<Robot, Error>> {
        async move {
            let (name, step) = self.account("create robot account", robot)?;
            if let Some(found) = self.records.find::<Account>(&step, &name).await? {
                return Ok(robot_of(found.record));
            }
            let account = Account { name: name.clone(), token: new_token(), tenant: None };
            if self.records.create(&step, &account, description).await? {
                tracing::info!(audit = true, robot = name, "Created robot account");
                return Ok(robot_of(account));
            }
            // Somebody was faster.
            let found = self.records.find::<Account>(&step, &name).await?;
            found
                .map(|found| robot_of(found.record))
                .ok_or_else(|| Error::transient(&step, "it was deleted at the same moment"))
        }
        .boxed()
    }

    fn rotate<'a>(&'a self, robot: &'a str) -> BoxFuture<'a, Result<Robot, Error>> {
        async move {
            let (name, step) = self.account("replace token of robot account", robot)?;
            let changed = self.records.change(&step, &name, |account: &mut Account| {
                account.token = new_token();
                Ok(())
            });
            let changed =
                changed.await?.ok_or_else(|| Error::refused(&step, "there is no such robot account"))?;
            tracing::info!(audit = true, robot = name, "Replaced token of robot account");
            Ok(robot_of(changed.record))
        }
        .boxed()
    }

    fn delete_robot<'a>(&'a self, robot: &'a str) -> BoxFuture<'a, Result<(), Error>> {
        async move {
            let (name, step) = self.account("delete robot account", robot)?;
            if self.records.delete::<Account>(&step, &name).await? {
                tracing::info!(audit = true, robot = name, "Deleted robot account");
            }
            Ok(())
        }
        .boxed()
    }

    fn grant<'a>(
        &'a self,
        repository: &'a str,
        robot: &'a str,
        role: Role,
    ) -> BoxFuture<'a, Result<(), Error>> {
        async move {
            let (repository, step) =
                self.repository("give a robot account rights on repository", repository)?;
            let (robot, _) = self.account("", robot)?;
            let tenant = tenant_of(&repository).to_owned();
            // A robot belongs to the namespace of its first repository, and to no other, whoever asks.
            let claimed = self.records.change(&step, &robot, |account: &mut Account| match &account.tenant {
                Some(other) if *other != tenant => {
                    Err(Error::refused(&step, &format!("robot account {robot} belongs to namespace {other}")))
                }
                _ => {
                    account.tenant = Some(tenant.clone());
                    Ok(())
                }
            });
            let claimed = claimed
                .await?
                .ok_or_else(|| Error::refused(&step, &format!("there is no robot account {robot}")))?;
            let granted = self.records.change(&step, &repository, |record: &mut Repository| {
                let grant = Grant { role, account_uid: claimed.uid.clone() };
                record.grants.insert(robot.clone(), grant);
                Ok(())
            });
            granted.await?.ok_or_else(|| Error::refused(&step, "there is no such repository"))?;
            tracing::info!(audit = true, robot, repository, ?role, "Gave robot account rights");
            Ok(())
        }
        .boxed()
    }
}

/// The namespace that a repository belongs to: `team` of `organization/team/app/web`.
fn tenant_of(repository: &str) -> &str {
    repository.split('/').nth(1).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_long_and_never_the_same() {
        let (one, other) = (new_token(), new_token());
        assert_eq!(one.expose().len(), 52);
        assert_ne!(one, other);
    }

    #[test]
    fn the_namespace_is_what_comes_after_the_organization() {
        assert_eq!(tenant_of("org/team/app/web"), "team");
        assert_eq!(tenant_of("org/team"), "team");
    }
}
