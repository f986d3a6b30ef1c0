use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use clap::Parser;
use testkit::git_server::{GitServer, Repository};

use super::*;
use crate::context::Global;

#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(flatten)]
    args: Args,
}

struct World {
    server: GitServer,
    repository: Repository,
    folder: tempfile::TempDir,
}

impl World {
    async fn new() -> Self {
        let server = GitServer::start().await.unwrap();
        let repository = server.repository("app").unwrap();
        Self { server, repository, folder: tempfile::tempdir().unwrap() }
    }

    async fn clone(&self, flags: &[&str]) -> anyhow::Result<()> {
        let path = |name: &str| self.folder.path().join(name).display().to_string();
        fs::create_dir_all(path("results")).unwrap();
        let url = self.server.url("app");
        let mut all = vec![
            "git-clone".to_owned(),
            format!("--output={}", path("output")),
            format!("--user-home={}", path("home")),
            format!("--result-commit={}", path("results/commit")),
            format!("--result-url={}", path("results/url")),
            format!("--result-short-commit={}", path("results/short")),
            format!("--result-commit-timestamp={}", path("results/timestamp")),
        ];
        if !flags.iter().any(|flag| flag.starts_with("--url=")) {
            all.push(format!("--url={url}"));
        }
        all.extend(flags.iter().map(|flag| (*flag).to_owned()));
        let cli = Cli::try_parse_from(all).unwrap();
        run(cli.args, &Context::new(cli.global).unwrap()).await
    }

    fn result(&self, name: &str) -> String {
        fs::read_to_string(self.folder.path().join("results").join(name)).unwrap()
    }

    fn source(&self) -> std::path::PathBuf {
        self.folder.path().join("output/source")
    }
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap()
}

#[tokio::test]
async fn clones_the_default_branch_or_a_revision_and_says_what_it_got() {
    let world = World::new().await;
    let first = world.repository.commit(&[("file", "one")]).unwrap();
    let second = world.repository.commit(&[("file", "two")]).unwrap();
    world.clone(&[]).await.unwrap();
    assert_eq!(read(&world.source().join("file")), "two");
    assert_eq!(world.result("commit"), second);
    assert_eq!(world.result("url"), world.server.url("app"));
    assert!(second.starts_with(&world.result("short")));
    assert!(world.result("timestamp").parse::<i64>().unwrap() > 0);

    fs::write(world.source().join("left over"), "").unwrap();
    world.clone(&[&format!("--revision={first}")]).await.unwrap();
    assert_eq!(read(&world.source().join("file")), "one");
    assert_eq!(world.result("commit"), first);
    assert!(!world.source().join("left over").exists());
}

#[tokio::test]
async fn checks_out_the_wanted_folders_only() {
    let world = World::new().await;
    world.repository.commit(&[("a/file", "a"), ("b/file", "b")]).unwrap();
    world.clone(&["--sparse-checkout-directories=/a/, ", "--subdirectory=deep/checkout"]).await.unwrap();
    let checkout = world.folder.path().join("output/deep/checkout");
    assert!(checkout.join("a/file").exists() && !checkout.join("b").exists());
}

#[tokio::test]
async fn a_link_out_of_the_checkout_fails_the_clone_unless_that_is_permitted() {
    let world = World::new().await;
    world.repository.commit(&[("file", "content")]).unwrap();
    let folder = world.repository.folder().to_owned();
    fs::create_dir(folder.join("dir")).unwrap();
    symlink("/etc/passwd", folder.join("dir/evil")).unwrap();
    symlink("../file", folder.join("dir/fine")).unwrap();
    world.repository.git(&["add", "."]).unwrap();
    world.repository.git(&["commit", "--quiet", "--message=links"]).unwrap();
    let error = format!("{:#}", world.clone(&[]).await.unwrap_err());
    assert!(error.contains("dir/evil -> /etc/passwd") && !error.contains("fine"), "{error}");
    assert!(error.contains("enableSymlinkCheck"), "{error}");
    world.clone(&["--enable-symlink-check=false"]).await.unwrap();
}

#[tokio::test]
async fn says_what_is_wrong() {
    let world = World::new().await;
    world.repository.commit(&[("file", "content")]).unwrap();
    let error = format!("{:#}", world.clone(&["--revision=no-such-branch"]).await.unwrap_err());
    assert!(error.contains("no-such-branch") && error.contains("git ended with"), "{error}");
    let error = format!("{:#}", world.clone(&["--revision=--upload-pack=evil"]).await.unwrap_err());
    assert!(error.contains("--revision begins with -"), "{error}");
    let error = format!("{:#}", world.clone(&["--url=ext::sh -c evil"]).await.unwrap_err());
    assert!(error.contains("helper of git's"), "{error}");
    let error = format!("{:#}", world.clone(&["--url=/etc"]).await.unwrap_err());
    assert!(error.contains("not allowed"), "{error}");
    let error = format!("{:#}", world.clone(&["--subdirectory=../x"]).await.unwrap_err());
    assert!(error.contains("leads out of the output folder"), "{error}");

    // Workspaces that are not bound.
    world.clone(&["--basic-auth=", "--ssh-directory="]).await.unwrap();
    let workspace = world.folder.path().join("auth");
    fs::create_dir(&workspace).unwrap();
    let flag = format!("--basic-auth={}", workspace.display());
    let error = format!("{:#}", world.clone(&[&flag]).await.unwrap_err());
    assert!(error.contains("Unknown basic-auth workspace format"), "{error}");
    fs::write(workspace.join("username"), "robot").unwrap();
    fs::write(workspace.join("password"), "p@ss/word\n").unwrap();
    world.clone(&[&flag]).await.unwrap();
    let inside = fs::read_dir(world.folder.path()).unwrap().count();
    assert_eq!(inside, 3, "no home is left behind: output, results, auth");
}

#[test]
fn a_login_is_kept_for_its_host_alone() {
    let folder = tempfile::tempdir().unwrap();
    let workspace = folder.path().join("auth");
    fs::create_dir(&workspace).unwrap();
    fs::write(workspace.join("username"), "robot").unwrap();
    fs::write(workspace.join("password"), "p@ss/word\n").unwrap();
    let home = Home::new(&home::Sources {
        url: "https://git.test:8443/org/app.git?x",
        user_home: folder.path(),
        basic_auth: Some(workspace),
        ssh: None,
        ca_bundle: None,
    })
    .unwrap();
    let path = home.env().into_iter().find(|(name, _)| *name == "HOME").unwrap().1;
    let path = Path::new(&path);
    assert_eq!(read(&path.join(".git-credentials")), "https://robot:p%40ss%2Fword@git.test:8443/\n");
    assert_eq!(read(&path.join(".gitconfig")), "[credential \"https://git.test:8443\"]\n\thelper = store\n");
    let path = path.to_owned();
    drop(home);
    assert!(!path.exists());
}

#[test]
fn keys_are_named_to_ssh_and_odd_names_are_not() {
    let folder = tempfile::tempdir().unwrap();
    let keys = folder.path().join("keys");
    fs::create_dir(&keys).unwrap();
    for name in ["id_rsa", "id_rsa.pub", "known_hosts", "x; touch evil", "..data"] {
        fs::write(keys.join(name), "").unwrap();
    }
    let home = Home::new(&home::Sources {
        url: "git@git.test:org/app.git",
        user_home: folder.path(),
        basic_auth: None,
        ssh: Some(keys),
        ca_bundle: None,
    })
    .unwrap();
    let command = home.env().into_iter().find(|(name, _)| *name == "GIT_SSH_COMMAND").unwrap().1;
    let command = command.into_string().unwrap();
    assert!(command.contains(".ssh/id_rsa ") && command.contains("StrictHostKeyChecking=yes"), "{command}");
    assert!(!command.contains("evil") && !command.contains(".pub") && !command.contains("data"), "{command}");
}
