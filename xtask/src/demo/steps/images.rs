//! Every service is an image in the registry.
use std::time::Instant;

use crate::{
    demo::{Fact, Show},
    images,
};

pub async fn run(show: &mut Show) -> anyhow::Result<Vec<Fact>> {
    let asked = Instant::now();
    let made =
        images::make(&images::Options::of(show.args.cluster.clone(), show.args.registry.clone())).await?;
    show.registry.clone_from(&made.registry);
    let fact = |(service, image): (String, images::record::Image)| Fact {
        object: format!("image {service}"),
        state: image.reference.rsplit('@').next().unwrap_or_default().chars().take(19).collect(),
        after: asked.elapsed(),
    };
    Ok(made.images.into_iter().map(fact).collect())
}
