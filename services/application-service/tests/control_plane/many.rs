//! Applications with very many Components: few writes of their models, and models that an object cannot hold.

use std::time::Instant;

use application_service_api::{Application, Component};
use fleet_api::Truth;
use futures::StreamExt as _;
use kube::Api;
use kube::api::{Patch, PatchParams, PostParams};
use serde_json::json;
use testkit::{DEADLINE, eventually, has_condition, wait_for};

use crate::service::{Service, application, component, devfile, git_component};

const COMPONENTS: usize = 200;

/// What `application.rs` waits for further Components before it writes a model, in milliseconds.
const TOGETHER: u128 = 200;

#[tokio::test]
async fn components_that_come_at_once_share_the_writes_of_their_model() -> anyhow::Result<()> {
    let service = Service::start().await?;
    let (applications, components) = (service.applications(), service.components());
    let shop = application("shop", &json!({"displayName": "Shop"}));
    applications.create(&PostParams::default(), &shop).await?;
    wait_for(&applications, "shop", "Created", DEADLINE, has_condition("Created", Truth::True)).await?;

    let ledger = service.plane.ledger()?;
    let mark = ledger.mark().await?;
    let began = Instant::now();
    create_all(&components).await?;
    wait_for(&applications, "shop", "all in its model", DEADLINE, |shop| projects(shop) == COMPONENTS)
        .await?;
    eventually(DEADLINE, "all Components to be created", async || {
        let list = components.list(&Default::default()).await?;
        let is_created = has_condition::<Component>("Created", Truth::True);
        let done = list.iter().filter(|component| is_created(component)).count();
        anyhow::ensure!(done == COMPONENTS, "{done} of {COMPONENTS}");
        Ok(())
    })
    .await?;
    let took = began.elapsed().as_millis();

    let calls = ledger.since(&mark).await?.by(&service.installed.user()?).about("applications");
    let most = usize::try_from(took / TOGETHER)? + 2;
    assert!((1..=most).contains(&calls.writes()), "{} writes in {took} ms:\n{calls}", calls.writes());
    assert_eq!(projects(&applications.get("shop").await?), COMPONENTS);
    Ok(())
}

/// A write is soon done, so that without waiting each Component would get one of its own.
#[tokio::test]
async fn components_that_come_one_after_another_share_writes_too() -> anyhow::Result<()> {
    const FEW: usize = 30;
    let service = Service::start().await?;
    let (applications, components) = (service.applications(), service.components());
    let shop = application("shop", &json!({"displayName": "Shop"}));
    applications.create(&PostParams::default(), &shop).await?;
    wait_for(&applications, "shop", "Created", DEADLINE, has_condition("Created", Truth::True)).await?;

    let ledger = service.plane.ledger()?;
    let mark = ledger.mark().await?;
    let began = Instant::now();
    for i in 0..FEW {
        components.create(&PostParams::default(), &git_component(&format!("c{i}"), "shop")).await?;
    }
    wait_for(&applications, "shop", "all in its model", DEADLINE, |shop| projects(shop) == FEW).await?;
    let most = usize::try_from(began.elapsed().as_millis() / TOGETHER)? + 1;

    let calls = ledger.since(&mark).await?.by(&service.installed.user()?).about("applications");
    assert!((1..=most).contains(&calls.writes()), "{} writes, not {most}:\n{calls}", calls.writes());
    Ok(())
}

async fn create_all(components: &Api<Component>) -> anyhow::Result<()> {
    let created = futures::stream::iter(0..COMPONENTS).map(async |i| {
        components.create(&PostParams::default(), &git_component(&format!("c{i}"), "shop")).await
    });
    for result in created.buffer_unordered(32).collect::<Vec<_>>().await {
        result?;
    }
    Ok(())
}

fn projects(application: &Application) -> usize {
    let model = devfile(application.status.as_ref().and_then(|status| status.devfile.as_ref()));
    model["projects"].as_array().map_or(0, Vec::len)
}

#[tokio::test]
async fn a_model_that_is_too_large_is_told_and_gets_well() -> anyhow::Result<()> {
    let service = Service::start().await?;
    let (applications, components) = (service.applications(), service.components());
    let shop = application("shop", &json!({"displayName": "Shop"}));
    applications.create(&PostParams::default(), &shop).await?;
    wait_for(&applications, "shop", "Created", DEADLINE, has_condition("Created", Truth::True)).await?;
    for name in ["a", "b", "c"] {
        let image = format!("images.example/{}", name.repeat(400_000));
        let spec = json!({"componentName": name, "application": "shop", "containerImage": image});
        components.create(&PostParams::default(), &component(name, &spec)).await?;
    }
    let told =
        wait_for(&applications, "shop", "Updated=False", DEADLINE, has_condition("Updated", Truth::False))
            .await?;
    let message = message(&told, "Updated");
    for part in ["status.devfile would be 120", "1048576", "3 Components", "move some to another Application"]
    {
        assert!(message.contains(part), "no {part} in: {message}");
    }

    components.delete("c", &Default::default()).await?;
    let well =
        wait_for(&applications, "shop", "Updated", DEADLINE, has_condition("Updated", Truth::True)).await?;
    let model = well.status.and_then(|status| status.devfile).unwrap_or_default();
    assert!(model.contains("containerImage/b"), "{} bytes", model.len());
    Ok(())
}

/// The model is below the limit, but repeats what the spec holds already: together they are too much for etcd.
#[tokio::test]
async fn an_object_that_is_too_large_with_its_model_is_told_without_a_hot_loop() -> anyhow::Result<()> {
    let service = Service::start().await?;
    let applications = service.applications();
    let shop = application("shop", &json!({"displayName": "Shop", "description": "x".repeat(900_000)}));
    applications.create(&PostParams::default(), &shop).await?;
    let told =
        wait_for(&applications, "shop", "Created=False", DEADLINE, has_condition("Created", Truth::False))
            .await?;
    let message = message(&told, "Created");
    for part in ["status.devfile would be 900", "more than fits into the object", "descriptions"] {
        assert!(message.contains(part), "no {part} in: {message}");
    }

    // A change asks once more, and then it is quiet: by the time another Application is through, nothing came.
    let ledger = service.plane.ledger()?;
    let mark = ledger.mark().await?;
    let renamed = json!({"spec": {"displayName": "Shop 2"}});
    let renamed = applications.patch("shop", &PatchParams::default(), &Patch::Merge(&renamed)).await?;
    wait_for(&applications, "shop", "the new generation", DEADLINE, |shop| {
        let conditions = shop.status.iter().flat_map(|status| &status.conditions);
        conditions.into_iter().all(|condition| condition.observed_generation == renamed.metadata.generation)
    })
    .await?;
    for name in ["next", "last"] {
        applications
            .create(&PostParams::default(), &application(name, &json!({"displayName": name})))
            .await?;
        wait_for(&applications, name, "Created", DEADLINE, has_condition("Created", Truth::True)).await?;
    }
    let calls = ledger.since(&mark).await?.by(&service.installed.user()?).about("applications");
    let of_shop = calls.filter(|call| {
        call.is_write() && call.target.as_ref().and_then(|target| target.name.as_deref()) == Some("shop")
    });
    // The change is refused and told; that its own answer wakes it costs one more attempt, as it did before the mark.
    assert!(of_shop.len() <= 4, "{of_shop}");

    let shortened = json!({"spec": {"description": "short"}});
    applications.patch("shop", &PatchParams::default(), &Patch::Merge(&shortened)).await?;
    wait_for(&applications, "shop", "Created", DEADLINE, has_condition("Created", Truth::True)).await?;
    Ok(())
}

fn message(application: &Application, type_: &str) -> String {
    let conditions = application.status.iter().flat_map(|status| &status.conditions);
    let found = conditions.into_iter().find(|condition| condition.type_ == type_);
    found.map(|condition| condition.message.clone()).unwrap_or_default()
}
