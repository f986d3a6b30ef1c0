//! Signs TaskRuns, and the images that they say they have built.

use std::sync::Arc;

use fleet::{Fleet, ObjectKey, Runner, Wake};

use crate::decide::Children;
use crate::reconcile::{Error, Look, Step};
use crate::run::as_built;
use crate::service::Context;
use crate::sign::Target;

pub(crate) fn controller(fleet: &Fleet, context: &Arc<Context>) -> Runner {
    let (shared, stores) = (Arc::clone(context), context.stores.clone());
    let task_runs = stores.task_runs.clone();
    fleet
        .controller("taskrun")
        .of(&stores.task_runs)
        // What waited for settings goes on with them.
        .reads_changes(&stores.configuration, move |_| task_runs.keys())
        .reconcile(move |key| {
            let context = Arc::clone(&shared);
            async move { Box::pin(reconcile(&context, &key)).await }
        })
}

async fn reconcile(context: &Context, key: &ObjectKey) -> Result<Wake, Error> {
    let Some(run) = context.stores.task_runs.get(key) else {
        context.task_run_attempts.forget(key);
        return Ok(Wake::OnChange);
    };
    let look = Look {
        context,
        key,
        run: &run,
        store: &context.stores.task_runs,
        attempts: &context.task_run_attempts,
    };
    match look.decide(Children::Settled).await? {
        Step::Rest(wake) => Ok(wake),
        Step::Sign(config) => {
            let built = Arc::new(as_built(&*run));
            // Before it is marked: its PipelineRun may be looked at that very moment.
            context.task_runs.keep(&built);
            Box::pin(look.sign(&config, &Target::TaskRun(&built))).await
        }
    }
}
