//! What can be asked for, and what comes of it.

use http::{Method, StatusCode, Uri};
use serde_json::{Value, json};
use url::form_urlencoded;

use super::ORGANIZATION;
use super::model::{Model, Notification, Repository, Robot};

const TAGS_AT_MOST: usize = 100;

/// All routes, by which [`Traffic`](crate::forge::Traffic) counts.
pub(super) const ALL: [&str; 19] = [
    "POST /repository",
    "GET /repository",
    "GET /repository/{repository}",
    "DELETE /repository/{repository}",
    "POST /repository/{repository}/changevisibility",
    "PUT /repository/{repository}/permissions/user/{user}",
    "GET /repository/{repository}/tag/",
    "DELETE /repository/{repository}/tag/{tag}",
    "GET /repository/{repository}/manifest/{digest}",
    "GET /repository/{repository}/notification/",
    "POST /repository/{repository}/notification/",
    "GET /repository/{repository}/notification/{uuid}",
    "POST /repository/{repository}/notification/{uuid}",
    "DELETE /repository/{repository}/notification/{uuid}",
    "GET /organization/{organization}/robots",
    "PUT /organization/{organization}/robots/{robot}",
    "GET /organization/{organization}/robots/{robot}",
    "DELETE /organization/{organization}/robots/{robot}",
    "POST /organization/{organization}/robots/{robot}/regenerate",
];

/// An answer. `Null` is no content.
pub(super) struct Reply {
    pub(super) status: StatusCode,
    pub(super) body: Value,
}

impl Reply {
    fn ok(body: Value) -> Self {
        Self { status: StatusCode::OK, body }
    }

    fn created(body: Value) -> Self {
        Self { status: StatusCode::CREATED, body }
    }

    fn gone() -> Self {
        Self { status: StatusCode::NO_CONTENT, body: Value::Null }
    }

    fn not_found() -> Self {
        let body = json!({ "detail": "Not Found", "error_message": "Not Found", "error_type": "not_found", "status": 404 });
        Self { status: StatusCode::NOT_FOUND, body }
    }

    /// In one of the shapes that Quay's errors have.
    pub(super) fn error(status: StatusCode, message: &str) -> Self {
        Self { status, body: json!({ "message": message, "status": status.as_u16() }) }
    }

    fn invalid(message: &str) -> Self {
        let body = json!({ "error_message": message, "error_type": "invalid_request", "status": 400 });
        Self { status: StatusCode::BAD_REQUEST, body }
    }

    fn payment() -> Self {
        let body = json!({ "detail": "Payment Required", "error_type": "exceeds_license", "status": 402 });
        Self { status: StatusCode::PAYMENT_REQUIRED, body }
    }
}

/// A request whose route was found.
pub(super) struct Call {
    route: &'static str,
    /// Of the path, in its order.
    arguments: Vec<String>,
    query: Vec<(String, String)>,
    body: Value,
}

/// Names of repositories have slashes, so what follows them is recognised from the end.
pub(super) fn find(method: &Method, uri: &Uri, body: Value) -> Option<(&'static str, Call)> {
    let path = uri.path().strip_prefix("/api/v1/")?;
    let decoded: Vec<String> = path.split('/').map(percent_decode).collect();
    let segments: Vec<&str> = decoded.iter().map(String::as_str).collect();
    let (pattern, arguments): (&str, Vec<String>) = match segments.as_slice() {
        ["repository"] => ("/repository", vec![]),
        ["repository", organization, rest @ ..] if *organization == ORGANIZATION => {
            let name = |segments: &[&str]| segments.join("/");
            match rest {
                [name_of @ .., "changevisibility"] => {
                    ("/repository/{repository}/changevisibility", vec![name(name_of)])
                }
                [name_of @ .., "permissions", "user", user] => (
                    "/repository/{repository}/permissions/user/{user}",
                    vec![name(name_of), (*user).to_owned()],
                ),
                [name_of @ .., "tag", ""] => ("/repository/{repository}/tag/", vec![name(name_of)]),
                [name_of @ .., "tag", tag] => {
                    ("/repository/{repository}/tag/{tag}", vec![name(name_of), (*tag).to_owned()])
                }
                [name_of @ .., "manifest", digest] => {
                    ("/repository/{repository}/manifest/{digest}", vec![name(name_of), (*digest).to_owned()])
                }
                [name_of @ .., "notification", ""] => {
                    ("/repository/{repository}/notification/", vec![name(name_of)])
                }
                [name_of @ .., "notification", uuid] => {
                    ("/repository/{repository}/notification/{uuid}", vec![name(name_of), (*uuid).to_owned()])
                }
                whole => ("/repository/{repository}", vec![name(whole)]),
            }
        }
        ["organization", ORGANIZATION, "robots"] => ("/organization/{organization}/robots", vec![]),
        ["organization", ORGANIZATION, "robots", robot] => {
            ("/organization/{organization}/robots/{robot}", vec![(*robot).to_owned()])
        }
        ["organization", ORGANIZATION, "robots", robot, "regenerate"] => {
            ("/organization/{organization}/robots/{robot}/regenerate", vec![(*robot).to_owned()])
        }
        _ => return None,
    };
    let wanted = format!("{method} {pattern}");
    let route = ALL.into_iter().find(|route| *route == wanted)?;
    let query = form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes());
    let query = query.map(|(key, value)| (key.into_owned(), value.into_owned())).collect();
    Some((route, Call { route, arguments, query, body }))
}

fn percent_decode(segment: &str) -> String {
    // A form's parser without its plus sign.
    let protected = segment.replace('+', "%2B");
    let mut parsed = form_urlencoded::parse(protected.as_bytes());
    parsed.next().map(|(key, _)| key.into_owned()).unwrap_or_default()
}

impl Call {
    fn argument(&self, index: usize) -> &str {
        self.arguments.get(index).map_or("", String::as_str)
    }

    fn field(&self, name: &str) -> &str {
        self.body[name].as_str().unwrap_or_default()
    }

    fn query(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// Does the work.
    pub(super) fn carry_out(&self, model: &mut Model) -> Reply {
        if self.route.contains("/robots") {
            return self.of_robots(model);
        }
        match self.route {
            "POST /repository" => self.create(model),
            "GET /repository" => self.list(model),
            _ => self.of_repository(model),
        }
    }

    fn create(&self, model: &mut Model) -> Reply {
        let (name, is_public) = (self.field("repository"), self.field("visibility") == "public");
        if self.field("namespace") != ORGANIZATION {
            return Reply::error(StatusCode::FORBIDDEN, "Unauthorized");
        }
        if model.repositories.contains_key(name) {
            return Reply::invalid("Repository already exists");
        }
        if !is_public && !model.has_room() {
            return Reply::payment();
        }
        let description = self.field("description").to_owned();
        model
            .repositories
            .insert(name.to_owned(), Repository { is_public, description, ..Repository::default() });
        Reply::created(json!({ "namespace": ORGANIZATION, "name": name, "kind": "image" }))
    }

    /// Pages are found by a token that is the name to begin with.
    fn list(&self, model: &Model) -> Reply {
        let from = self.query("next_page").unwrap_or_default();
        let mut names = model.repositories.keys().filter(|name| name.as_str() >= from);
        let page: Vec<Value> = names
            .by_ref()
            .take(model.page_size)
            .map(
                |name| json!({ "namespace": ORGANIZATION, "name": name, "kind": "image", "state": "NORMAL" }),
            )
            .collect();
        let mut body = json!({ "repositories": page });
        if let Some(next) = names.next() {
            body["next_page"] = json!(next);
        }
        Reply::ok(body)
    }

    fn of_repository(&self, model: &mut Model) -> Reply {
        let name = self.argument(0);
        let (has_room, token) = (model.has_room(), model.new_uuid());
        let is_robot = |user: &str| {
            let short = user.strip_prefix(ORGANIZATION).and_then(|user| user.strip_prefix('+'));
            short.filter(|short| model.robots.contains_key(*short)).map(str::to_owned)
        };
        let robot = is_robot(self.argument(1));
        if self.route == "DELETE /repository/{repository}" {
            return match model.repositories.remove(name) {
                Some(_) => Reply::gone(),
                None => Reply::not_found(),
            };
        }
        let Some(repository) = model.repositories.get_mut(name) else { return Reply::not_found() };
        match self.route {
            "GET /repository/{repository}" => Reply::ok(json!({
                "namespace": ORGANIZATION,
                "name": name,
                "kind": "image",
                "description": repository.description,
                "is_public": repository.is_public,
            })),
            "POST /repository/{repository}/changevisibility" => {
                let is_public = self.field("visibility") == "public";
                if !is_public && repository.is_public && !has_room {
                    return Reply::payment();
                }
                repository.is_public = is_public;
                Reply::ok(json!({ "success": true }))
            }
            "PUT /repository/{repository}/permissions/user/{user}" => {
                let Some(robot) = robot else { return Reply::invalid("Invalid robot name") };
                let role = self.field("role").to_owned();
                let body = json!({ "name": self.argument(1), "role": role, "is_robot": true });
                repository.permissions.insert(robot, role);
                Reply::ok(body)
            }
            "GET /repository/{repository}/tag/" => self.tags(repository),
            "DELETE /repository/{repository}/tag/{tag}" => {
                let before = repository.tags.len();
                repository.tags.retain(|tag| tag.name != self.argument(1));
                if repository.tags.len() < before { Reply::gone() } else { Reply::not_found() }
            }
            "GET /repository/{repository}/manifest/{digest}" => {
                let digest = self.argument(1);
                let is_there = repository.manifests.contains(digest)
                    || repository.tags.iter().any(|tag| tag.digest == digest);
                if is_there { Reply::ok(json!({ "digest": digest })) } else { Reply::not_found() }
            }
            _ => self.of_notifications(repository, token),
        }
    }

    fn tags(&self, repository: &Repository) -> Reply {
        let number = |name: &str| self.query(name).and_then(|text| text.parse::<usize>().ok());
        let limit = number("limit").unwrap_or(50).clamp(1, TAGS_AT_MOST);
        let page = number("page").unwrap_or(1).max(1);
        let wanted = self.query("specificTag");
        let mut tags = repository
            .tags
            .iter()
            .filter(|tag| wanted.is_none_or(|wanted| tag.name == wanted))
            .skip((page - 1) * limit);
        let shown: Vec<Value> = tags
            .by_ref()
            .take(limit)
            .map(|tag| json!({ "name": tag.name, "manifest_digest": tag.digest }))
            .collect();
        Reply::ok(json!({ "tags": shown, "page": page, "has_additional": tags.next().is_some() }))
    }

    fn of_notifications(&self, repository: &mut Repository, uuid: String) -> Reply {
        let found = repository.notifications.iter().position(|known| known.uuid == self.argument(1));
        match (self.route, found) {
            ("GET /repository/{repository}/notification/", _) => {
                let all: Vec<Value> = repository.notifications.iter().map(shown).collect();
                Reply::ok(json!({ "notifications": all }))
            }
            ("POST /repository/{repository}/notification/", _) => {
                let target = &self.body["config"];
                let key = if self.field("method") == "webhook" { "url" } else { "email" };
                if target[key].as_str().unwrap_or_default().is_empty() {
                    return Reply::invalid(&format!("Missing {key} in the config of the notification"));
                }
                let made = Notification {
                    uuid,
                    title: self.field("title").to_owned(),
                    event: self.field("event").to_owned(),
                    method: self.field("method").to_owned(),
                    config: target.clone(),
                    failures: 0,
                };
                let body = shown(&made);
                repository.notifications.push(made);
                Reply::created(body)
            }
            (_, None) => Reply::invalid("No repository notification found"),
            ("DELETE /repository/{repository}/notification/{uuid}", Some(index)) => {
                repository.notifications.remove(index);
                Reply::gone()
            }
            ("POST /repository/{repository}/notification/{uuid}", Some(index)) => {
                repository.notifications[index].failures = 0;
                Reply::gone()
            }
            (_, Some(index)) => Reply::ok(shown(&repository.notifications[index])),
        }
    }

    fn of_robots(&self, model: &mut Model) -> Reply {
        let name = self.argument(0).to_owned();
        let full = format!("{ORGANIZATION}+{name}");
        let token = Model::new_token();
        match (self.route, model.robots.get_mut(&name)) {
            ("GET /organization/{organization}/robots", _) => {
                let all: Vec<Value> = model
                    .robots
                    .iter()
                    .map(|(name, robot)| described(&format!("{ORGANIZATION}+{name}"), robot))
                    .collect();
                Reply::ok(json!({ "robots": all }))
            }
            ("PUT /organization/{organization}/robots/{robot}", Some(_)) => {
                Reply::error(StatusCode::BAD_REQUEST, &format!("Existing robot with name: {full}"))
            }
            ("PUT /organization/{organization}/robots/{robot}", None) => {
                let robot = Robot { token, description: self.field("description").to_owned(), rotations: 0 };
                let body = described(&full, &robot);
                model.robots.insert(name, robot);
                Reply::created(body)
            }
            ("DELETE /organization/{organization}/robots/{robot}", Some(_)) => {
                model.robots.remove(&name);
                for repository in model.repositories.values_mut() {
                    repository.permissions.remove(&name);
                }
                Reply::gone()
            }
            ("DELETE /organization/{organization}/robots/{robot}", None) => Reply::not_found(),
            (_, None) => Reply::error(
                StatusCode::BAD_REQUEST,
                &format!("Could not find robot with specified username: {full}"),
            ),
            ("POST /organization/{organization}/robots/{robot}/regenerate", Some(robot)) => {
                robot.token = token;
                robot.rotations += 1;
                Reply::ok(described(&full, robot))
            }
            (_, Some(robot)) => Reply::ok(described(&full, robot)),
        }
    }
}

fn described(full: &str, robot: &Robot) -> Value {
    json!({ "name": full, "token": robot.token, "description": robot.description })
}

fn shown(notification: &Notification) -> Value {
    json!({
        "uuid": notification.uuid,
        "title": notification.title,
        "event": notification.event,
        "method": notification.method,
        "config": notification.config,
        "event_config": {},
        "number_of_failures": notification.failures,
    })
}
