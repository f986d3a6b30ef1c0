use super::*;
use jiff::SignedDuration;
use kube::ResourceExt;
use pipelines_engine_api::pipeline_run::PENDING;
use proptest::collection::vec;
use proptest::prelude::*;
use rstest::rstest;
use testkit::World;

use crate::watch::testing::{self, names};

fn run(name: &str, second: i64, is_paused: bool, order: &[&str]) -> Run {
    Run {
        name: name.to_owned(),
        created_at: Timestamp::UNIX_EPOCH + SignedDuration::from_secs(second),
        is_paused,
        order: order.iter().map(|name| format!("team/{name}")).collect(),
    }
}

#[test]
fn starts_as_many_as_there_are_places() {
    let runs = [run("a", 1, false, &[]), run("b", 2, true, &[]), run("c", 3, true, &[])];
    assert_eq!(starts("team", Some(1), &runs), Vec::<&str>::new());
    assert_eq!(starts("team", Some(2), &runs), ["b"]);
    assert_eq!(starts("team", Some(9), &runs), ["b", "c"]);
}

#[test]
fn without_a_limit_all_start() {
    let runs = [run("b", 2, true, &[]), run("a", 1, true, &[])];
    assert_eq!(starts("team", None, &runs), ["a", "b"]);
}

#[test]
fn a_lower_limit_stops_nobody() {
    let runs = [run("a", 1, false, &[]), run("b", 1, false, &[]), run("c", 3, true, &[])];
    assert_eq!(starts("team", Some(1), &runs), Vec::<&str>::new());
}

#[test]
fn runs_of_one_event_keep_their_order_and_events_theirs() {
    let first = ["x", "y", "z"];
    let runs = [
        run("later", 5, true, &["later"]),
        run("z", 3, true, &first),
        run("x", 4, true, &first),
        run("y", 3, true, &first),
        run("alone", 4, true, &[]),
        run("stranger", 2, true, &first),
    ];
    assert_eq!(
        starts("team", None, &runs),
        ["stranger", "x", "y", "z", "alone", "later"],
        "an order that does not name the run does not move it"
    );
}

/// A Repository with this limit and this list.
fn repository(limit: Option<usize>, started: &[&str]) -> Repository {
    let mut repository = testing::repository(&json!({"concurrency_limit": limit}));
    let started: Places = started.iter().map(|name| ((*name).to_owned(), format!("u-{name}"))).collect();
    let list = json!(started).to_string();
    repository.annotations_mut().insert(STARTED_RUNS.into(), list);
    repository
}

fn limit_of(repository: &Repository) -> Option<usize> {
    repository.spec.spec.concurrency_limit.and_then(|limit| usize::try_from(limit).ok())
}

/// Whose turn it is, and who is in the list then.
fn turns(repository: &Repository, runs: &[PipelineRun]) -> (Vec<String>, Vec<String>) {
    let runs: Vec<_> = runs.iter().cloned().map(Arc::new).collect();
    let gone = BTreeSet::new();
    let turns = decide(&Observed { repository, limit: limit_of(repository), runs: &runs, gone: &gone });
    (names(&turns.begin), turns.places.into_iter().flatten().map(|(name, _)| name).collect())
}

/// Scenario 9: one goes on, the others wait and follow in the order of their names.
#[test]
fn one_after_another() {
    let order = "team/a,team/b,team/c";
    let waiting = |name| testing::run(name).paused().both("execution-order", order).build();
    let (a, b, c) = (waiting("a"), waiting("b"), waiting("c"));
    assert_eq!(turns(&repository(Some(1), &[]), &[c.clone(), b.clone(), a.clone()]), strings(&["a"], &["a"]));

    // The service was killed between the list and the run: it goes on from there.
    let repository = repository(Some(1), &["a"]);
    assert_eq!(turns(&repository, &[a.clone(), b.clone(), c.clone()]), strings(&["a"], &["a"]));

    let going = testing::run("a");
    assert_eq!(turns(&repository, &[going.clone().build(), b.clone(), c.clone()]), strings(&[], &["a"]));
    let ended = going.clone().ended_at(9, "False").build();
    assert_eq!(turns(&repository, &[ended, b.clone(), c.clone()]), strings(&["b"], &["b"]));
    let deleted = going.deleted().build();
    assert_eq!(
        turns(&repository, &[deleted, b, c]),
        strings(&["b"], &["b"]),
        "a deleted one lets the next begin"
    );
}

fn strings(begin: &[&str], places: &[&str]) -> (Vec<String>, Vec<String>) {
    let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    (owned(begin), owned(places))
}

/// Scenario 10.
#[test]
fn without_a_limit_nobody_waits() {
    let runs = ["a", "b", "c"].map(|name| testing::run(name).paused().build());
    assert_eq!(turns(&repository(None, &["a"]), &runs), strings(&["a", "b", "c"], &[]));
}

#[test]
fn a_lower_limit_lets_those_go_on_that_do() {
    let runs = [testing::run("a").build(), testing::run("b").build(), testing::run("c").paused().build()];
    assert_eq!(turns(&repository(Some(1), &["a", "b"]), &runs).0, Vec::<String>::new());
}

#[rstest]
#[case::deleted(testing::run("a").paused().deleted())]
#[case::restored(testing::run("a").paused().label("velero.io/restore-name", "monday"))]
#[case::a_copy(testing::run("a").paused().annotation("fleet.konflux-ci.dev/uid", "another"))]
#[case::not_ours_to_start(testing::run("a").spec_status("PipelineRunPending"))]
fn some_never_begin(#[case] run: testing::RunBuilder) {
    assert_eq!(turns(&repository(Some(3), &[]), &[run.build()]).0, Vec::<String>::new());
}

#[test]
fn a_name_in_the_list_keeps_its_place_until_its_run_is_proven_gone() {
    let repository = repository(Some(1), &["elsewhere"]);
    let runs = [Arc::new(testing::run("a").paused().build())];
    assert_eq!(unknown(&repository, &runs), [("elsewhere".to_owned(), "u-elsewhere".to_owned())].into());
    let begin = |gone: &[&str]| {
        let gone = gone.iter().map(|name| (*name).to_owned()).collect();
        names(&decide(&Observed { repository: &repository, limit: Some(1), runs: &runs, gone: &gone }).begin)
    };
    assert_eq!(begin(&[]), Vec::<String>::new());
    assert_eq!(begin(&["elsewhere"]), ["a"]);
    let gone = ["elsewhere".to_owned()].into();
    let turns = decide(&Observed { repository: &repository, limit: Some(1), runs: &[], gone: &gone });
    assert!(turns.is_news, "or it would be asked for again each time");
}

/// A delivery came again after its run was deleted.
#[test]
fn another_run_of_the_same_name_has_no_place() {
    let repository = repository(Some(1), &["a"]);
    let mut again = testing::run("a").paused().build();
    again.metadata.uid = Some("another".to_owned());
    let runs = [Arc::new(again)];
    let decide = |gone: &BTreeSet<String>| {
        decide(&Observed { repository: &repository, limit: Some(1), runs: &runs, gone })
    };
    assert_eq!(
        names(&decide(&BTreeSet::new()).begin),
        Vec::<String>::new(),
        "until the first is proven gone"
    );
    let turns = decide(&["a".to_owned()].into());
    let places = Some([("a".to_owned(), "another".to_owned())].into());
    assert_eq!((names(&turns.begin), turns.places), (vec!["a".to_owned()], places));
}

#[test]
fn a_list_that_cannot_be_read_is_empty() {
    let mut repository = repository(Some(1), &[]);
    repository.annotations_mut().insert(STARTED_RUNS.into(), "[1".to_owned());
    assert_eq!(recorded(&repository), Places::new());
}

#[test]
fn a_run_begins_only_as_it_was_read() {
    let run = testing::run("a").paused().without_finalizer().build();
    let Write::Patch(patch) = begin(&run) else { panic!("a patch is expected") };
    assert_eq!(
        patch.body,
        json!({
            "metadata": {
                "uid": "u-a", "resourceVersion": "1", "finalizers": ["pipelinesascode.tekton.dev"],
                "labels": {"pipelinesascode.tekton.dev/state": "started"},
                "annotations": {"pipelinesascode.tekton.dev/state": "started"},
            },
            "spec": {"status": null},
        })
    );
}

/// What may happen at any moment.
#[derive(Clone, Debug)]
enum Step {
    /// Somebody makes a run.
    Make(usize),
    /// A run that goes on ends, well or not; a paused one does so where it is cancelled.
    End(usize),
    Delete(usize),
    /// The last that held a run lets it go.
    Release(usize),
    /// One of two replicas that both believe to lead sees the Repository or the runs as they are; until then it sees them as
    /// they were.
    SeeRepository(usize),
    SeeRun(usize, usize),
    /// It decides by what it sees. Its writes are on their way.
    Decide(usize),
    /// The first of its writes arrives. If it is refused, or its answer is lost, the others are never sent.
    Arrive {
        replica: usize,
        is_answer_lost: bool,
    },
    /// It is killed: what it has not sent is forgotten. What is on its way arrives some time.
    Kill(usize),
    /// A write of a replica that was killed arrives.
    ArriveLate,
}

fn any_step() -> impl Strategy<Value = Step> {
    let (run, replica) = (0..6_usize, 0..2_usize);
    prop_oneof![
        2 => run.clone().prop_map(Step::Make),
        2 => run.clone().prop_map(Step::End),
        1 => run.clone().prop_map(Step::Delete),
        1 => run.clone().prop_map(Step::Release),
        4 => replica.clone().prop_map(Step::SeeRepository),
        6 => (replica.clone(), run).prop_map(|(replica, run)| Step::SeeRun(replica, run)),
        5 => replica.clone().prop_map(Step::Decide),
        8 => (replica.clone(), any::<bool>())
            .prop_map(|(replica, is_answer_lost)| Step::Arrive { replica, is_answer_lost }),
        1 => replica.prop_map(Step::Kill),
        2 => Just(Step::ArriveLate),
    ]
}

/// What a replica believes.
#[derive(Clone, Default)]
struct Replica {
    repository: Option<Repository>,
    runs: BTreeMap<String, PipelineRun>,
    /// Not sent yet, but for the first.
    writes: Vec<Write>,
}

struct Play {
    world: World,
    replicas: [Replica; 2],
    late: Vec<Write>,
    made: usize,
}

impl Play {
    fn new(limit: usize) -> Self {
        let mut world = World::default();
        world.insert(&testing::repository(&json!({"concurrency_limit": limit})));
        let mut play = Self { world, replicas: Default::default(), late: Vec::new(), made: 0 };
        for replica in 0..2 {
            play.step(&Step::SeeRepository(replica));
        }
        play
    }

    fn runs(&self) -> Vec<PipelineRun> {
        self.world.list("team")
    }

    /// Runs that go on.
    fn going(&self) -> usize {
        let runs = self.runs();
        runs.iter().filter(|run| run.spec.status != PENDING && !has_left(run)).count()
    }

    fn step(&mut self, step: &Step) {
        match *step {
            // In the order of their names backwards, so that later ones come first.
            Step::Make(number) => {
                let (name, second) = (format!("r{number}"), i64::try_from(9 - number).unwrap());
                if self.world.get::<PipelineRun>("team", &name).is_none() && self.made < 12 {
                    self.made += 1;
                    self.world.insert(&testing::run(&name).created_at(second).paused().build());
                }
            }
            Step::End(number) => self.edit(number, |run| {
                let ended = testing::run("x").ended_at(5, "True").build();
                run.status = ended.status;
                if run.spec.status == PENDING {
                    "Cancelled".clone_into(&mut run.spec.status);
                }
            }),
            Step::Delete(number) => self.world.remove::<PipelineRun>("team", &format!("r{number}")),
            Step::Release(number) => {
                let name = format!("r{number}");
                if self.world.get::<PipelineRun>("team", &name).is_some_and(|run| run::is_being_deleted(&run))
                {
                    self.edit(number, |run| run.metadata.finalizers = None);
                }
            }
            Step::SeeRepository(replica) => {
                self.replicas[replica].repository = self.world.get("team", "app");
            }
            Step::SeeRun(replica, number) => {
                let name = format!("r{number}");
                match self.world.get("team", &name) {
                    Some(run) => drop(self.replicas[replica].runs.insert(name, run)),
                    None => drop(self.replicas[replica].runs.remove(&name)),
                }
            }
            Step::Decide(replica) => {
                if self.replicas[replica].writes.is_empty() {
                    self.replicas[replica].writes = self.decided(replica);
                }
            }
            Step::Arrive { replica, is_answer_lost } => {
                let mut writes = std::mem::take(&mut self.replicas[replica].writes);
                if writes.is_empty() {
                    return;
                }
                let is_taken = self.arrives(&writes.remove(0));
                if is_taken && !is_answer_lost {
                    self.replicas[replica].writes = writes;
                }
            }
            Step::Kill(replica) => {
                let killed = std::mem::take(&mut self.replicas[replica]);
                self.late.extend(killed.writes.into_iter().next());
                self.step(&Step::SeeRepository(replica));
            }
            Step::ArriveLate => {
                if let Some(write) = self.late.pop() {
                    self.arrives(&write);
                }
            }
        }
    }

    fn edit(&mut self, number: usize, change: impl FnOnce(&mut PipelineRun)) {
        let name = format!("r{number}");
        if self.world.get::<PipelineRun>("team", &name).is_some() {
            self.world.edit("team", &name, change);
        }
    }

    /// Whether the API server takes a write: then the object has another version.
    fn arrives(&mut self, write: &Write) -> bool {
        let before = self.world.clone();
        self.world.apply(std::slice::from_ref(write));
        let version = |world: &World| {
            let Write::Patch(patch) = write else { panic!("only patches are written") };
            let name = &patch.target.key.name;
            let run: Option<PipelineRun> = world.get("team", name);
            let repository: Option<Repository> = world.get("team", name);
            run.and_then(|run| run.resource_version())
                .or_else(|| repository.and_then(|found| found.resource_version()))
        };
        version(&before) != version(&self.world)
    }

    /// What the shell would write.
    fn decided(&self, replica: usize) -> Vec<Write> {
        let Replica { repository, runs, .. } = &self.replicas[replica];
        let Some(repository) = repository else { return Vec::new() };
        let runs: Vec<_> = runs.values().cloned().map(Arc::new).collect();
        let unknown = unknown(repository, &runs);
        // Asked of the API server, not of the store.
        let is_gone = |(name, uid): &(&String, &String)| {
            let run: Option<PipelineRun> = self.world.get("team", name);
            run.is_none_or(|run| run.metadata.uid.as_ref() != Some(*uid) || has_left(&run))
        };
        let gone = unknown.iter().filter(is_gone).map(|(name, _)| name.clone()).collect();
        let turns = decide(&Observed { repository, limit: limit_of(repository), runs: &runs, gone: &gone });
        let mut writes = Vec::new();
        if let (Some(places), true) = (&turns.places, turns.is_news) {
            let body = json!({"metadata": {"annotations": {STARTED_RUNS.as_str(): record(places)}}});
            writes.push(Write::merge(repository, body));
        }
        writes.extend(turns.begin.iter().map(|run| begin(run)));
        writes
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Two replicas that both believe to lead, each with views of any age, killed at any moment, with answers lost and writes
    /// that arrive late, never let more begin than may.
    #[test]
    fn never_more_than_may(limit in 1..3_usize, steps in vec(any_step(), 0..120)) {
        let mut play = Play::new(limit);
        for step in steps {
            play.step(&step);
            prop_assert!(play.going() <= limit, "{} go on after {step:?}", play.going());
        }
    }

    /// Whatever has happened: once a replica sees what is there, and runs end, each begins and nobody is forgotten.
    #[test]
    fn everybody_has_a_turn(limit in 1..3_usize, steps in vec(any_step(), 0..120)) {
        let mut play = Play::new(limit);
        for step in steps {
            play.step(&step);
        }
        for _ in 0..40 {
            play.step(&Step::SeeRepository(0));
            for number in 0..6 {
                play.step(&Step::SeeRun(0, number));
            }
            play.replicas[0].writes.clear();
            play.step(&Step::Decide(0));
            while !play.replicas[0].writes.is_empty() {
                play.step(&Step::Arrive { replica: 0, is_answer_lost: false });
            }
            prop_assert!(play.going() <= limit);
            let going = play.runs().into_iter().find(|run| run.spec.status != PENDING && !has_left(run));
            if let Some(run) = going {
                play.world.edit::<PipelineRun>("team", &run.name_any(), |run| {
                    run.status = testing::run("x").ended_at(5, "True").build().status;
                });
            }
        }
        let waiting: Vec<_> = play.runs().into_iter().filter(|run| run::is_paused(run) && !has_left(run)).collect();
        prop_assert!(waiting.is_empty(), "{:?} wait for ever", waiting.iter().map(ResourceExt::name_any).collect::<Vec<_>>());
    }
}
