//! What is to happen to a pod.

use std::collections::BTreeMap;

/// What happens to a pod. By default each container succeeds at once.
#[derive(Clone, Debug, Default)]
pub struct PodScript {
    pub(super) fate: Fate,
    containers: BTreeMap<String, Container>,
    others: Container,
    pub(super) one_after_another: bool,
}

/// What happens to a pod as a whole.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Fate {
    #[default]
    Runs,
    Unschedulable {
        message: String,
    },
    Evicted {
        message: String,
    },
    NodeLost,
}

impl PodScript {
    pub fn new() -> Self {
        Self::default()
    }

    /// No node takes the pod: condition PodScheduled False, reason Unschedulable. It stays Pending.
    pub fn unschedulable(message: &str) -> Self {
        Self { fate: Fate::Unschedulable { message: message.to_owned() }, ..Self::new() }
    }

    /// The kubelet evicts the pod when it runs: phase Failed, reason Evicted.
    pub fn evicted(message: &str) -> Self {
        Self { fate: Fate::Evicted { message: message.to_owned() }, ..Self::new() }
    }

    /// The node is lost when the pod runs: it gets unready, its deletion is asked for, and nothing answers that. The pod
    /// goes once another script is played.
    pub fn node_lost() -> Self {
        Self { fate: Fate::NodeLost, ..Self::new() }
    }

    /// What a container does; an init container too.
    #[must_use]
    pub fn container(mut self, name: &str, container: Container) -> Self {
        self.containers.insert(name.to_owned(), container);
        self
    }

    /// What the containers do that are not named.
    #[must_use]
    pub fn others(self, container: Container) -> Self {
        Self { others: container, ..self }
    }

    /// Containers end in the order in which the pod lists them, as the steps of a Task do, each in a write of its own.
    #[must_use]
    pub fn one_after_another(self) -> Self {
        Self { one_after_another: true, ..self }
    }

    pub(super) fn of(&self, container: &str) -> &Container {
        self.containers.get(container).unwrap_or(&self.others)
    }
}

/// What a container does. By default it succeeds at once, without a message.
#[derive(Clone, Debug)]
pub struct Container {
    pub(super) start: Start,
    /// One for each time that it is started; it runs on when there is none left.
    pub(super) exits: Vec<Exit>,
    pub(super) turn: usize,
    pub(super) awaited_annotation: Option<String>,
    pub(super) is_ready: bool,
}

/// Whether a container starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Start {
    Starts,
    CannotPull { message: String },
    Waits { reason: String, message: String },
}

/// How a container ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Exit {
    pub(super) code: i32,
    pub(super) reason: String,
    pub(super) message: String,
}

impl Exit {
    pub(super) fn new(code: i32) -> Self {
        let reason = if code == 0 { "Completed" } else { "Error" };
        Self { code, reason: reason.to_owned(), message: String::new() }
    }
}

impl Default for Container {
    fn default() -> Self {
        Self {
            start: Start::Starts,
            exits: vec![Exit::new(0)],
            turn: 0,
            awaited_annotation: None,
            is_ready: true,
        }
    }
}

impl Container {
    pub fn succeeds() -> Self {
        Self::default()
    }

    /// Ends with this code, reason `Completed` or `Error`.
    pub fn exits(code: i32) -> Self {
        Self { exits: vec![Exit::new(code)], ..Self::default() }
    }

    /// Ends with code 137, reason `OOMKilled`.
    pub fn is_oom_killed() -> Self {
        Self::exits(137).reason("OOMKilled")
    }

    /// Runs until the pod is deleted, the container's image is changed, or another script is played.
    pub fn never_ends() -> Self {
        Self { exits: Vec::new(), ..Self::default() }
    }

    /// Its image cannot be pulled: it waits with `ErrImagePull`, then `ImagePullBackOff`.
    pub fn cannot_pull(message: &str) -> Self {
        Self { start: Start::CannotPull { message: message.to_owned() }, ..Self::default() }
    }

    /// It waits with this reason, such as `CreateContainerConfigError` or `InvalidImageName`.
    pub fn waits(reason: &str, message: &str) -> Self {
        let start = Start::Waits { reason: reason.to_owned(), message: message.to_owned() };
        Self { start, ..Self::default() }
    }

    /// What it leaves as its termination message. Cut as a kubelet does: to 4 KiB, or an equal share of 12 KiB for all
    /// containers of the pod.
    #[must_use]
    pub fn message(self, message: &str) -> Self {
        self.last_exit(|exit| message.clone_into(&mut exit.message))
    }

    /// Another reason of its end.
    #[must_use]
    pub fn reason(self, reason: &str) -> Self {
        self.last_exit(|exit| reason.clone_into(&mut exit.reason))
    }

    /// How it ends when it was started once more, as the pod's `restartPolicy` may have it. [`Self::message`] and
    /// [`Self::reason`] are about this end from then on.
    #[must_use]
    pub fn then_exits(mut self, code: i32) -> Self {
        self.exits.push(Exit::new(code));
        self
    }

    /// Instead of a duration: containers that end do so in the order of their turns, those of the same one (by default
    /// 0) at once.
    #[must_use]
    pub fn turn(self, turn: usize) -> Self {
        Self { turn, ..self }
    }

    /// Does not end before the pod has a value in this annotation, as a step that waits for a file of the downward API.
    #[must_use]
    pub fn after_annotation(self, key: &str) -> Self {
        Self { awaited_annotation: Some(key.to_owned()), ..self }
    }

    /// Runs without passing its readiness probe.
    #[must_use]
    pub fn never_ready(self) -> Self {
        Self { is_ready: false, ..self }
    }

    fn last_exit(mut self, change: impl FnOnce(&mut Exit)) -> Self {
        if let Some(exit) = self.exits.last_mut() {
            change(exit);
        }
        self
    }
}
