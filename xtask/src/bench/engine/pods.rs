//! The rows that need real pods: what the engine adds to what pods take by themselves, and what it writes for it.
//!
//! Everything is timed from the client's request until the client sees the end, alternately with and without the engine,
//! so that both meet the same machine. The first of each kind is not counted: it fetches images and delivers the entrypoint.
use std::time::Duration;

use anyhow::{Context as _, ensure};
use futures::future::try_join_all;
use k8s_openapi::api::core::v1::{Namespace, Pod, ServiceAccount};
use kube::{
    Api, Client, ResourceExt as _,
    api::{DeleteParams, ListParams, PostParams},
};
use pipelines_engine_api::{PipelineRun, TaskRun};
use testkit::ledger::Ledger;
use tokio::time::Instant;

use super::{
    Sizes,
    runs::Image,
    seen::{Milestone, Seen, of_pipeline_run, of_pod, of_task_run},
};
use crate::{
    bench::{
        process::Service,
        table::Table,
        units::{count, mebibytes, median, percentile, time},
    },
    ui,
};

/// Quiet for this long is idle.
const CALM: Duration = Duration::from_secs(2);
/// For a node to take its pods away.
const PATIENCE: Duration = Duration::from_mins(2);

/// An engine that this program runs, so that it can be asked what it costs.
pub(super) struct Inside<'a> {
    pub(super) service: &'a Service,
    pub(super) ledger: Ledger,
    /// As the API server knows it.
    pub(super) user: String,
}

/// Runs everything in a namespace of its own. `inside` is absent for an engine that is only seen from outside.
pub(super) async fn measure(
    client: &Client,
    image: &Image,
    sizes: &Sizes,
    inside: Option<&Inside<'_>>,
    table: &mut Table,
) -> anyhow::Result<()> {
    let bench = Bench::begin(client, image).await?;
    let outcome = bench.all(sizes, inside, table).await;
    bench.end().await?;
    outcome
}

struct Bench<'a> {
    image: &'a Image,
    namespaces: Api<Namespace>,
    namespace: String,
    pods: (Api<Pod>, Seen),
    task_runs: (Api<TaskRun>, Seen),
    pipeline_runs: (Api<PipelineRun>, Seen),
}

/// What one pod took, and where.
struct Took {
    all: Duration,
    stages: [Duration; STAGES.len()],
}

/// From one to the next on the way of a run; a bare pod takes those in between.
const STAGES: [&str; 5] = [
    "request → pod exists",
    "→ scheduled",
    "→ volumes and network are there",
    "→ pod has succeeded",
    "→ run has succeeded",
];

impl<'a> Bench<'a> {
    async fn begin(client: &Client, image: &'a Image) -> anyhow::Result<Self> {
        let namespaces = Api::<Namespace>::all(client.clone());
        let namespace = serde_json::from_value(serde_json::json!({"metadata": {"generateName": "bench-"}}))?;
        let namespace = namespaces.create(&PostParams::default(), &namespace).await?.name_any();
        create_account(client, &namespace).await?;
        let accounts = Api::<ServiceAccount>::namespaced(client.clone(), &namespace);
        testkit::eventually(testkit::DEADLINE, "the namespace to have its default account", async || {
            accounts.get("default").await.map(drop).map_err(Into::into)
        })
        .await?;
        let (pods, task_runs) =
            (Api::namespaced(client.clone(), &namespace), Api::namespaced(client.clone(), &namespace));
        let pipeline_runs = Api::namespaced(client.clone(), &namespace);
        Ok(Self {
            image,
            namespaces,
            pods: (pods.clone(), Seen::begin(pods, of_pod).await?),
            task_runs: (task_runs.clone(), Seen::begin(task_runs, of_task_run).await?),
            pipeline_runs: (pipeline_runs.clone(), Seen::begin(pipeline_runs, of_pipeline_run).await?),
            namespace,
        })
    }

    async fn end(&self) -> anyhow::Result<()> {
        let removed = self.namespaces.delete(&self.namespace, &DeleteParams::default()).await;
        removed.with_context(|| format!("remove namespace {}", self.namespace)).map(drop)
    }

    async fn all(&self, sizes: &Sizes, inside: Option<&Inside<'_>>, table: &mut Table) -> anyhow::Result<()> {
        let step = ui::step("first pod and first run");
        self.pod("first-pod", "x").await?;
        self.task_run("first-run", "x").await?;
        step.done();
        self.single(sizes, inside, table).await?;
        self.sequence(sizes, table).await?;
        self.parallel(sizes, table).await?;
        if let Some(inside) = inside {
            let service = inside.service;
            table.row(
                "memory after these runs, now and at most",
                "≤ 20 MiB",
                format!("{}, {}", mebibytes(service.memory()?), mebibytes(service.peak_memory()?)),
            );
        }
        Ok(())
    }

    /// One step, again and again.
    async fn single(
        &self,
        sizes: &Sizes,
        inside: Option<&Inside<'_>>,
        table: &mut Table,
    ) -> anyhow::Result<()> {
        let step = ui::step(format!("{} TaskRuns and as many bare pods, in turn", sizes.runs));
        let before = match inside {
            Some(inside) => {
                inside.service.settle(CALM, |at| step.waiting(at)).await?;
                Some((inside.ledger.mark().await?, inside.service.processor_time()?))
            }
            None => None,
        };
        let (mut bare, mut runs) = (Vec::new(), Vec::new());
        for number in 0..sizes.runs {
            pause().await;
            bare.push(self.pod(&format!("single-pod-{number}"), "x").await?);
            pause().await;
            runs.push(self.task_run(&format!("single-{number}"), "x").await?);
            step.waiting(&format!("{} of {}", number + 1, sizes.runs));
        }
        let all = |took: &[Took]| took.iter().map(|took| took.all).collect::<Vec<_>>();
        table.row("1-step TaskRun, created → Succeeded", "≤ 1.1×", compared(&all(&runs), &all(&bare)));
        for (number, stage) in STAGES.iter().enumerate() {
            let of = |took: &[Took]| median(&took.iter().map(|took| took.stages[number]).collect::<Vec<_>>());
            table.row(
                format!("of it: {stage}"),
                "",
                format!("{}, bare pod {}", time(of(&runs)), time(of(&bare))),
            );
        }
        if let (Some(inside), Some((mark, used))) = (inside, before) {
            inside.service.settle(CALM, |at| step.waiting(at)).await?;
            let used = inside.service.processor_time()?.saturating_sub(used);
            let calls = inside.ledger.since(&mark).await?.by(&inside.user).except("leases");
            let each = |number: usize| count(number) / count(sizes.runs);
            let [pods, task_runs, events] =
                ["pods", "taskruns", "events"].map(|resource| calls.about(resource).writes());
            let others = calls.writes() - pods - task_runs - events;
            table.row(
                "writes of its own per TaskRun (pods + TaskRuns + others)",
                "≤ 4",
                format!(
                    "{:.1} ({:.1} + {:.1} + {:.1})",
                    each(pods + task_runs + others),
                    each(pods),
                    each(task_runs),
                    each(others)
                ),
            );
            table.row("Events per TaskRun", "≤ 3", format!("{:.1}", each(events)));
            // It also looks after its certificates now and then, wherever runs are.
            let reads = calls.in_namespace(&self.namespace).reads();
            table.row("reads per TaskRun", "", format!("{:.1}", each(reads)));
            let milliseconds = used.as_secs_f64() * 1e3 / count(sizes.runs);
            table.row("CPU per TaskRun", "", format!("{milliseconds:.1} ms"));
        }
        step.done();
        Ok(())
    }

    /// Tasks that pass a result on.
    async fn sequence(&self, sizes: &Sizes, table: &mut Table) -> anyhow::Result<()> {
        let length = sizes.sequence;
        let step =
            ui::step(format!("{length} tasks in sequence and as many bare pods, {} times", sizes.rounds));
        let (mut bare, mut runs) = (Vec::new(), Vec::new());
        for round in 0..sizes.rounds {
            self.clear().await?;
            let began = Instant::now();
            let mut text = String::new();
            for number in 0..length {
                let name = format!("sequence-{round}-pod-{number}");
                text = self.said_by_pod(&name, &(text + "x")).await?;
            }
            bare.push(began.elapsed());
            ensure!(text.len() == length, "the pods have passed {text:?} on");
            self.clear().await?;
            let name = format!("sequence-{round}");
            let began = Instant::now();
            self.pipeline_runs.0.create(&PostParams::default(), &self.image.chain(&name, length)?).await?;
            self.pipeline_runs.1.success(&name).await?;
            runs.push(began.elapsed());
            let last = self.task_runs.1.success(&format!("{name}-t{}", length - 1)).await?.1;
            ensure!(last == text, "the tasks have passed {last:?} on");
            step.waiting(&format!("{} of {}", round + 1, sizes.rounds));
        }
        table.row(format!("{length} sequential tasks passing a result"), "≤ 1.15×", compared(&runs, &bare));
        step.done();
        Ok(())
    }

    /// Many at once.
    async fn parallel(&self, sizes: &Sizes, table: &mut Table) -> anyhow::Result<()> {
        let number = sizes.parallel;
        let step =
            ui::step(format!("{number} TaskRuns at once and as many bare pods, {} times", sizes.rounds));
        let (mut bare, mut runs) = (Vec::new(), Vec::new());
        for round in 0..sizes.rounds {
            self.clear().await?;
            let began = Instant::now();
            let names: Vec<_> = (0..number).map(|number| format!("parallel-{round}-pod-{number}")).collect();
            try_join_all(names.iter().map(|name| self.said_by_pod(name, "x"))).await?;
            bare.push(began.elapsed());
            self.clear().await?;
            let began = Instant::now();
            let names: Vec<_> = (0..number).map(|number| format!("parallel-{round}-{number}")).collect();
            try_join_all(names.iter().map(|name| self.task_run(name, "x"))).await?;
            runs.push(began.elapsed());
            step.waiting(&format!("{} of {}", round + 1, sizes.rounds));
        }
        table.row(format!("{number} parallel TaskRuns, until the last"), "≤ 1.15×", compared(&runs, &bare));
        step.done();
        Ok(())
    }

    /// Removes what has ended, and waits until the node is rid of it: else what comes next would pay for that.
    async fn clear(&self) -> anyhow::Result<()> {
        let (how, all) = (DeleteParams::default(), ListParams::default());
        self.pipeline_runs.0.delete_collection(&how, &all).await?;
        self.task_runs.0.delete_collection(&how, &all).await?;
        self.pods.0.delete_collection(&how, &all).await?;
        testkit::eventually(PATIENCE, "the pods to be gone", async || {
            let left = self.pods.0.list_metadata(&all).await?.items.len();
            ensure!(left == 0, "{left} pods are left");
            Ok(())
        })
        .await
    }

    async fn said_by_pod(&self, name: &str, text: &str) -> anyhow::Result<String> {
        self.pods.0.create(&PostParams::default(), &self.image.bare_pod(name, text)?).await?;
        Ok(self.pods.1.success(name).await?.1)
    }

    async fn pod(&self, name: &str, text: &str) -> anyhow::Result<Took> {
        let began = Instant::now();
        self.said_by_pod(name, text).await?;
        self.took(began, name, None).await
    }

    async fn task_run(&self, name: &str, text: &str) -> anyhow::Result<Took> {
        let began = Instant::now();
        self.task_runs.0.create(&PostParams::default(), &self.image.task_run(name, text)?).await?;
        let (record, said) = self.task_runs.1.success(name).await?;
        ensure!(said == text, "TaskRun {name} has result {said:?}, not {text:?}");
        self.took(began, &format!("{name}-pod"), Some(record.at(Milestone::Ended)?)).await
    }

    async fn took(&self, began: Instant, pod: &str, run_ended: Option<Instant>) -> anyhow::Result<Took> {
        // A run has ended with its steps, which may be before its pod says so of itself.
        let (record, _) = self.pods.1.success(pod).await?;
        let pod_ended = record.at(Milestone::Ended)?;
        let ended = run_ended.unwrap_or(pod_ended);
        let at = [
            began,
            record.at(Milestone::Exists)?,
            record.at(Milestone::Scheduled)?,
            record.at(Milestone::Prepared)?,
            pod_ended,
            ended,
        ];
        let stages = std::array::from_fn(|stage| at[stage + 1].saturating_duration_since(at[stage]));
        Ok(Took { all: ended.saturating_duration_since(began), stages })
    }
}

/// Lets the kubelet clear the last pod away, and meets it at another moment of its second: it looks at containers once in
/// each, so that pods which begin as others end would all meet it alike.
async fn pause() {
    tokio::time::sleep(Duration::from_millis(rand::random_range(500..1500))).await;
}

/// Makes the account that the fleet's configuration names for runs, as every tenant has it: without it each run would say
/// that it has to do with another.
pub(super) async fn create_account(client: &Client, namespace: &str) -> anyhow::Result<()> {
    let account = serde_json::from_value(serde_json::json!({"metadata": {"name": "appstudio-pipeline"}}))?;
    Api::<ServiceAccount>::namespaced(client.clone(), namespace)
        .create(&PostParams::default(), &account)
        .await?;
    Ok(())
}

/// Ratio of the medians, and what it is made of.
fn compared(runs: &[Duration], bare: &[Duration]) -> String {
    let ratio = median(runs).as_secs_f64() / median(bare).as_secs_f64().max(f64::EPSILON);
    let shown = |times: &[Duration]| match times {
        [only] => time(*only),
        few if few.len() < 10 => time(median(few)),
        many => format!("{} (p95 {})", time(median(many)), time(percentile(many, 95))),
    };
    format!("{ratio:.2}×: {} against {}, n = {}", shown(runs), shown(bare), runs.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compares_medians() {
        let times = |milliseconds: [u64; 3]| milliseconds.map(Duration::from_millis);
        let text = compared(&times([2200, 9000, 2100]), &times([2000, 1900, 2100]));
        assert_eq!(text, "1.10×: 2.20 s against 2.00 s, n = 3");
    }
}
