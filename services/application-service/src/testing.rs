//! Builders of valid objects for the tests of this crate; a test names what matters to it.

use application_service_api::component::ComponentSource;
use application_service_api::source::GitSource;
use application_service_api::{Application, ApplicationSpec, Component, ComponentSpec};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{EnvVar, EnvVarSource};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::Resource;
use serde::Serialize;
use testkit::World;

/// When the tests take place, and when their objects were created.
pub(crate) fn now() -> Timestamp {
    "2024-03-01T12:00:00Z".parse().unwrap()
}

/// A world of `objects`, all in namespace `n`.
pub(crate) fn world<K>(objects: impl IntoIterator<Item = K>) -> World
where
    K: Resource<DynamicType = ()> + Serialize,
{
    let mut world = World::default();
    for object in objects {
        world.insert(&object);
    }
    world
}

pub(crate) fn application(name: &str) -> Application {
    let spec = ApplicationSpec { display_name: name.to_owned(), ..ApplicationSpec::default() };
    let mut application = Application::new(name, spec);
    application.metadata.namespace = Some("n".to_owned());
    application.metadata.creation_timestamp = Some(Time(now()));
    application
}

/// A Component built from Git, of no Application yet.
pub(crate) fn component(name: &str) -> ComponentBuilder {
    let git = GitSource { url: format!("https://git.example/acme/{name}"), ..GitSource::default() };
    let source = ComponentSource { git: Some(git), ..ComponentSource::default() };
    let spec =
        ComponentSpec { component_name: name.to_owned(), source: Some(source), ..ComponentSpec::default() };
    let mut component = Component::new(name, spec);
    component.metadata.namespace = Some("n".to_owned());
    component.metadata.creation_timestamp = Some(Time(now()));
    ComponentBuilder(component)
}

pub(crate) struct ComponentBuilder(Component);

impl ComponentBuilder {
    pub(crate) fn of(mut self, application: &str) -> Self {
        self.0.spec.application = application.to_owned();
        self
    }

    pub(crate) fn named_in_model(mut self, name: &str) -> Self {
        self.0.spec.component_name = name.to_owned();
        self
    }

    pub(crate) fn image(mut self, image: &str) -> Self {
        self.0.spec.source = None;
        self.0.spec.container_image = Some(image.to_owned());
        self
    }

    /// Its latest build, beside its source.
    pub(crate) fn built(mut self, image: &str) -> Self {
        self.0.spec.container_image = Some(image.to_owned());
        self
    }

    pub(crate) fn without_source(mut self) -> Self {
        self.0.spec.source = None;
        self
    }

    pub(crate) fn secret(mut self, name: &str) -> Self {
        self.0.spec.secret = Some(name.to_owned());
        self
    }

    pub(crate) fn env_from(mut self, name: &str) -> Self {
        let source = EnvVarSource::default();
        self.0.spec.env.push(EnvVar { name: name.to_owned(), value_from: Some(source), ..EnvVar::default() });
        self
    }

    pub(crate) fn nudges(mut self, targets: &[&str]) -> Self {
        self.0.spec.build_nudges_ref = targets.iter().map(|name| (*name).to_owned()).collect();
        self
    }

    pub(crate) fn finalizer(mut self, name: &str) -> Self {
        self.0.metadata.finalizers.get_or_insert_default().push(name.to_owned());
        self
    }

    pub(crate) fn annotation(mut self, key: &str, value: &str) -> Self {
        self.0.metadata.annotations.get_or_insert_default().insert(key.to_owned(), value.to_owned());
        self
    }

    pub(crate) fn build(self) -> Component {
        self.0
    }
}
