//! Secrets, read one by one and kept for a moment.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use fleet::{ObjectKey, Secret};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use k8s_openapi::api::core::v1;
use kube::{Api, Client};
use parking_lot::Mutex;
use tokio::time::Instant;

/// How long what was read is believed.
const KEPT: Duration = Duration::from_secs(30);

/// What did not fit is read again at most this often: whoever sends wrong signatures must not keep the API server busy.
const FRESH: Duration = Duration::from_secs(5);

/// Secrets that are kept at once, at most.
const MOST: usize = 1024;

/// Values that are longer are no secrets of ours.
const LONGEST: usize = 16 * 1024;

/// What ends the key of the value before the last rotation.
const PREVIOUS: &str = ".previous";

/// Keys and values.
type Data = BTreeMap<String, Secret<Vec<u8>>>;

type Fetch = Arc<dyn Fn(ObjectKey) -> BoxFuture<'static, Result<Option<Data>, kube::Error>> + Send + Sync>;

/// The values under one key of a Secret.
#[derive(Clone, Debug)]
pub(super) struct Values {
    /// The current one first, then that before the last rotation. Blanks around them are taken off.
    pub(super) all: Vec<Secret<Vec<u8>>>,
    /// Whether there were blanks or line breaks in one, or around it.
    pub(super) has_blanks: bool,
}

/// Reads Secrets. Cheap to clone.
#[derive(Clone)]
pub(super) struct Secrets {
    fetch: Fetch,
    slots: Arc<Mutex<HashMap<ObjectKey, Slot>>>,
}

/// Locked while it is read, so that many who ask at once are answered by one request.
type Slot = Arc<tokio::sync::Mutex<Option<Kept>>>;

struct Kept {
    at: Instant,
    data: Option<Arc<Data>>,
}

impl Secrets {
    pub(super) fn new(client: Client) -> Self {
        Self::by(Arc::new(move |key| read(client.clone(), key).boxed()))
    }

    fn by(fetch: Fetch) -> Self {
        Self { fetch, slots: Arc::default() }
    }

    /// The values under `key`; `None` if there is no such Secret or no such key in it, or it is empty.
    pub(super) async fn values(&self, secret: &ObjectKey, key: &str) -> Result<Option<Values>, kube::Error> {
        let Some(data) = self.data(secret).await? else { return Ok(None) };
        let mut values = Values { all: Vec::new(), has_blanks: false };
        for value in [data.get(key), data.get(&format!("{key}{PREVIOUS}"))].into_iter().flatten() {
            let trimmed = value.expose().trim_ascii();
            values.has_blanks |= value.expose().iter().any(u8::is_ascii_whitespace);
            if !trimmed.is_empty() {
                values.all.push(Secret::new(trimmed.to_vec()));
            }
        }
        Ok((!values.all.is_empty()).then_some(values))
    }

    /// What was read of this Secret does not work: it is read again by the next who asks, unless that was a moment ago. Returns
    /// whether it makes sense to try once more.
    pub(super) async fn refused(&self, secret: &ObjectKey) -> bool {
        let slot = self.slots.lock().get(secret).cloned();
        let Some(slot) = slot else { return true };
        let mut kept = slot.lock().await;
        let is_old = kept.as_ref().is_none_or(|kept| kept.at.elapsed() >= FRESH);
        if is_old {
            *kept = None;
        }
        is_old
    }

    async fn data(&self, secret: &ObjectKey) -> Result<Option<Arc<Data>>, kube::Error> {
        let slot = self.slot(secret);
        let mut kept = slot.lock().await;
        if let Some(kept) = kept.as_ref().filter(|kept| kept.at.elapsed() < KEPT) {
            return Ok(kept.data.clone());
        }
        let data = (self.fetch)(secret.clone()).await?.map(Arc::new);
        *kept = Some(Kept { at: Instant::now(), data: data.clone() });
        Ok(data)
    }

    fn slot(&self, secret: &ObjectKey) -> Slot {
        let mut slots = self.slots.lock();
        if slots.len() >= MOST && !slots.contains_key(secret) {
            let is_kept = |slot: &Slot| {
                slot.try_lock()
                    .map_or(true, |kept| kept.as_ref().is_some_and(|kept| kept.at.elapsed() < KEPT))
            };
            slots.retain(|_, slot| is_kept(slot));
            // More than that many in half a minute: all are read again.
            if slots.len() >= MOST {
                slots.clear();
            }
        }
        slots.entry(secret.clone()).or_default().clone()
    }
}

async fn read(client: Client, secret: ObjectKey) -> Result<Option<Data>, kube::Error> {
    let api: Api<v1::Secret> = Api::namespaced(client, &secret.namespace);
    let Some(found) = api.get_opt(&secret.name).await? else { return Ok(None) };
    let values = found.data.into_iter().flatten().filter(|(_, value)| value.0.len() <= LONGEST);
    Ok(Some(values.map(|(key, value)| (key, Secret::new(value.0))).collect()))
}

#[cfg(test)]
pub(super) mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// Secrets that are there, as `namespace/name`, key and value; and how often one was read.
    pub(in crate::credentials) fn secrets(all: &[(&str, &str, &str)]) -> (Secrets, Arc<AtomicUsize>) {
        let mut found: HashMap<String, Vec<(String, Vec<u8>)>> = HashMap::new();
        for (secret, key, value) in all {
            found
                .entry((*secret).to_owned())
                .or_default()
                .push(((*key).to_owned(), value.as_bytes().to_vec()));
        }
        let reads = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&reads);
        let fetch = move |key: ObjectKey| {
            count.fetch_add(1, Ordering::SeqCst);
            let data = found.get(&key.to_string()).map(|data| {
                data.iter().map(|(key, value)| (key.clone(), Secret::new(value.clone()))).collect()
            });
            async move { Ok(data) }.boxed()
        };
        (Secrets::by(Arc::new(fetch)), reads)
    }

    async fn values(secrets: &Secrets, key: &str) -> Option<(Vec<String>, bool)> {
        let found = secrets.values(&ObjectKey::new("n", "s"), key).await.unwrap()?;
        let text = |value: &Secret<Vec<u8>>| String::from_utf8(value.expose().clone()).unwrap();
        Some((found.all.iter().map(text).collect(), found.has_blanks))
    }

    #[tokio::test]
    async fn both_values_of_a_rotation_without_blanks_around() {
        let (secrets, _) = secrets(&[
            ("n/s", "webhook.secret", "new\n"),
            ("n/s", "webhook.secret.previous", "old"),
            ("n/s", "empty", " \n"),
        ]);
        let found = values(&secrets, "webhook.secret").await.unwrap();
        assert_eq!(found, (vec!["new".to_owned(), "old".to_owned()], true));
        assert_eq!(values(&secrets, "empty").await, None);
        assert_eq!(values(&secrets, "absent").await, None);
    }

    #[tokio::test(start_paused = true)]
    async fn reads_once_in_half_a_minute() {
        let (secrets, reads) = secrets(&[("n/s", "a", "1"), ("n/s", "b", "2")]);
        for key in ["a", "b", "absent", "a"] {
            values(&secrets, key).await;
        }
        assert_eq!(reads.load(Ordering::SeqCst), 1);
        tokio::time::advance(KEPT).await;
        values(&secrets, "a").await;
        assert_eq!(reads.load(Ordering::SeqCst), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn what_did_not_work_is_read_again_but_not_all_the_time() {
        let (secrets, reads) = secrets(&[("n/s", "a", "1")]);
        let key = ObjectKey::new("n", "s");
        values(&secrets, "a").await;
        assert!(!secrets.refused(&key).await);
        tokio::time::advance(FRESH).await;
        assert!(secrets.refused(&key).await);
        values(&secrets, "a").await;
        assert_eq!(reads.load(Ordering::SeqCst), 2);
    }

    #[tokio::test]
    async fn keeps_no_more_than_so_many() {
        let (secrets, _) = secrets(&[]);
        for number in 0..2 * MOST {
            secrets.values(&ObjectKey::new("n", number.to_string()), "a").await.unwrap();
        }
        assert!(secrets.slots.lock().len() <= MOST);
    }
}
