//! Whether a cluster survives what happens to clusters, and leaves nothing behind when it goes.
use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail, ensure};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tokio::{process::Command, time::sleep};

use super::{Choice, Cluster, Embedded, Settings, Wishes, cgroups, packages, processes::Processes, smoke};
use crate::ui;

/// Most that an `up` of a running cluster may take.
const SECOND_UP: Duration = Duration::from_secs(10);
const DEADLINE: Duration = Duration::from_mins(1);
const POLL: Duration = Duration::from_millis(200);

/// Takes a cluster through its life: up, a part killed, the supervisor killed, up again, down. Its state is
/// dropped at the end, so it must be nobody's who cares.
pub async fn run(choice: &Choice) -> anyhow::Result<()> {
    super::down(choice, true).await?;
    expect_nothing_left(choice).await?;

    let cluster = super::up(choice, Wishes::default()).await?;
    smoke::run(&cluster).await?;
    let kept = smoke::leave(&cluster).await?;

    let step = ui::step("a part that is killed is started again");
    kill_part(&cluster, "controller-manager").await?;
    step.done();

    let step = ui::step("the node ends with its supervisor");
    let before = members(choice)?;
    let supervisor = Processes::find(choice.layout()?.root()).supervisor;
    kill(Pid::from_raw(*supervisor.first().context("no supervisor")?), Signal::SIGKILL)?;
    until("processes of the node are gone", || Ok(before.iter().find(|process| process.is_alive()))).await?;
    step.done();

    let cluster = super::up(choice, Wishes::default()).await?;
    smoke::find(&cluster, &kept).await?;
    smoke::run(&cluster).await?;

    let began = Instant::now();
    super::up(choice, Wishes::default()).await?;
    ensure!(began.elapsed() < SECOND_UP, "an `up` of a running cluster took {:?}", began.elapsed());

    let before = members(choice)?;
    super::down(choice, false).await?;
    if let Some(process) = before.iter().find(|process| process.is_alive()) {
        bail!("after `down`, {process:?} of the cluster still runs");
    }
    expect_nothing_left(choice).await?;

    let cluster = super::up(choice, Wishes::default()).await?;
    smoke::find(&cluster, &kept).await?;
    super::down(choice, true).await?;
    expect_nothing_left(choice).await?;
    ensure!(!choice.layout()?.root().exists(), "`down --purge` left the state folder");
    Ok(())
}

async fn expect_nothing_left(choice: &Choice) -> anyhow::Result<()> {
    let left = left_behind(choice).await?;
    ensure!(left.is_empty(), "left behind by `down`:\n{}", left.join("\n"));
    Ok(())
}

/// Processes, mounts, interfaces, routes, control groups and tables of the cluster that are on the host now.
pub async fn left_behind(choice: &Choice) -> anyhow::Result<Vec<String>> {
    let layout = choice.layout()?;
    let cluster = choice.derive()?;
    let mut left = Vec::new();
    let running = Processes::find(layout.root());
    if !running.is_empty() {
        left.push(format!("{running:?}"));
    }
    let mounts = fs::read_to_string("/proc/self/mountinfo")?;
    let state = layout.root().display().to_string();
    left.extend(mounts.lines().filter(|line| line.contains(&state)).map(|line| format!("mount {line}")));
    let interface = cluster.interface();
    if Path::new("/sys/class/net").join(&interface).exists() {
        left.push(format!("interface {interface}"));
    }
    if cgroups::exist(&cluster.group()) {
        left.push(format!("control groups {}", cluster.group()));
    }
    for (program, arguments) in
        [("nft", vec!["list", "ruleset"]), ("ip", vec!["route", "show", "table", "all"])]
    {
        let Some(path) = packages::find(program) else { continue };
        let output = Command::new(path).args(&arguments).output().await?;
        let text = String::from_utf8_lossy(&output.stdout);
        let of_ours =
            text.lines().filter(|line| line.contains(&cluster.group()) || line.contains(&interface));
        left.extend(of_ours.map(|line| format!("{program}: {line}")));
    }
    Ok(left)
}

/// Kills one part and waits until the supervisor has replaced it.
async fn kill_part(cluster: &Cluster, part: &str) -> anyhow::Result<()> {
    let supervisor = Processes::find(cluster.layout.root()).supervisor;
    let supervisor = *supervisor.first().context("no supervisor")?;
    // The kernel lists children by the thread that started them.
    let threads = fs::read_dir(format!("/proc/{supervisor}/task"))?.filter_map(Result::ok);
    let lists: Vec<String> =
        threads.filter_map(|thread| fs::read_to_string(thread.path().join("children")).ok()).collect();
    let mut children =
        lists.iter().flat_map(|list| list.split_whitespace()).filter_map(|pid| pid.parse().ok());
    let is_part = |pid: &i32| {
        let command = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        command.split(|byte| *byte == 0).nth(1) == Some(part.as_bytes())
    };
    let pid = children.find(is_part).with_context(|| format!("{part} is no child of the supervisor"))?;
    kill(Pid::from_raw(pid), Signal::SIGKILL)?;
    until(&format!("{part} was started again"), || {
        let report = cluster.report().context("no report")?;
        let state = report.parts.into_iter().find(|found| found.name == part).context("no such part")?;
        let is_back = state.restarts > 0 && state.state == super::State::Ready;
        Ok((!is_back).then(|| format!("{state:?}")))
    })
    .await
}

/// A process, so that another one with its number is not taken for it.
#[derive(Debug, PartialEq, Eq)]
struct Member {
    pid: i32,
    started: String,
}

impl Member {
    fn read(pid: i32) -> Option<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // Fields after the command, which is in parentheses and may hold anything: state is 3, start time 22.
        let fields: Vec<&str> = stat.rsplit(')').next()?.split_whitespace().collect();
        let is_dead = fields.first().is_some_and(|state| ["Z", "X"].contains(state));
        (!is_dead).then(|| Self { pid, started: (*fields.get(19).unwrap_or(&"")).to_owned() })
    }

    fn is_alive(&self) -> bool {
        Self::read(self.pid).as_ref() == Some(self)
    }
}

/// All processes of the running cluster, containers included.
fn members(choice: &Choice) -> anyhow::Result<Vec<Member>> {
    let cluster: Embedded = match Settings::read(&choice.layout()?)? {
        Some(Settings::Embedded(cluster)) => cluster,
        _ => choice.derive()?,
    };
    let members: Vec<Member> =
        cgroups::members(&cluster.group())?.into_iter().filter_map(Member::read).collect();
    ensure!(members.len() > 5, "a running cluster has more than {} processes", members.len());
    Ok(members)
}

/// Asks until nothing is left to wait for.
async fn until<T: std::fmt::Debug>(
    what: &str,
    missing: impl Fn() -> anyhow::Result<Option<T>>,
) -> anyhow::Result<()> {
    let deadline = Instant::now() + DEADLINE;
    while let Some(reason) = missing()? {
        ensure!(
            Instant::now() < deadline,
            "{what}: not within {} s; last seen: {reason:?}",
            DEADLINE.as_secs()
        );
        sleep(POLL).await;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_itself_only() {
        let pid = i32::try_from(std::process::id()).unwrap();
        let ourselves = Member::read(pid).unwrap();
        assert!(ourselves.is_alive());
        assert!(!Member { started: "0".into(), ..ourselves }.is_alive());
    }

    #[tokio::test]
    async fn a_cluster_that_never_was_left_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let choice = Choice { name: "never".into(), state_dir: Some(folder.path().join("none")) };
        assert_eq!(left_behind(&choice).await.unwrap(), [""; 0]);
    }
}
