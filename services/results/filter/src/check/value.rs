//! What an expression is, before it is known what it is used for.

use crate::bounds::Bounds;
use crate::test::{Json, MapColumn, Number, Test, Text, Time, Whole};

#[derive(Clone, Debug)]
pub(super) enum Value {
    Test(Test),
    Text(Text),
    /// The type of a run in every version.
    RunType(RunType),
    Whole(Whole, u64),
    Number(Number, Bounds),
    Time(Time),
    /// Becomes what it is compared with.
    Json(Json),
    Map(MapColumn),
    /// `summary`, which is nothing by itself.
    Summary,
    List(Vec<Value>),
}

/// The types that the Records of one kind of run have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RunType {
    PipelineRun,
    TaskRun,
}

impl RunType {
    /// The oldest version first: it is the value where only one can be.
    pub(super) fn all(self) -> [Text; 2] {
        let names = match self {
            Self::PipelineRun => ["tekton.dev/v1beta1.PipelineRun", "tekton.dev/v1.PipelineRun"],
            Self::TaskRun => ["tekton.dev/v1beta1.TaskRun", "tekton.dev/v1.TaskRun"],
        };
        names.map(|name| Text::Constant(name.to_owned()))
    }

    fn text(self) -> Text {
        let [oldest, _] = self.all();
        oldest
    }
}

impl Value {
    /// For people.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Test(_) => "a truth value",
            Self::Text(_) | Self::RunType(_) => "a text",
            Self::Whole(..) => "a whole number",
            Self::Number(..) => "a number",
            Self::Time(_) => "a time",
            Self::Json(_) => "a value of data",
            Self::Map(_) => "a map",
            Self::Summary => "the whole summary",
            Self::List(_) => "a list",
        }
    }

    pub(super) fn is_json(&self) -> bool {
        matches!(self, Self::Json(_))
    }

    pub(super) fn is_text(&self) -> bool {
        matches!(self, Self::Text(_) | Self::RunType(_))
    }

    pub(super) fn is_number(&self) -> bool {
        matches!(self, Self::Whole(..) | Self::Number(..))
    }

    pub(super) fn into_test(self) -> Option<Test> {
        match self {
            Self::Test(test) => Some(test),
            Self::Json(place) => Some(Test::Json(place)),
            _ => None,
        }
    }

    pub(super) fn into_text(self) -> Option<Text> {
        match self {
            Self::Text(text) => Some(text),
            Self::RunType(run) => Some(run.text()),
            Self::Json(place) => Some(Text::Json(place)),
            _ => None,
        }
    }

    pub(super) fn into_number(self) -> Option<(Number, Bounds)> {
        match self {
            Self::Number(number, bounds) => Some((number, bounds)),
            Self::Whole(whole, _) => Some((Number::Whole(whole), Bounds::of_whole())),
            Self::Json(place) => Some((Number::Json(place), Bounds::of_json())),
            _ => None,
        }
    }

    pub(super) fn into_time(self) -> Option<Time> {
        match self {
            Self::Time(time) => Some(time),
            Self::Json(place) => Some(Time::Json(place)),
            _ => None,
        }
    }
}
