//! Impersonation: a user who may (`verb: impersonate`) acts as another.

use std::collections::BTreeMap;
use std::sync::Arc;

use http::HeaderMap;
use steersman_apimachinery::status::ApiError;

use super::service_accounts::{service_account_groups, split_service_account};
use super::{ANONYMOUS, AUTHENTICATED, UNAUTHENTICATED};
use crate::authorization::require;
use crate::request::{Attributes, Authorizer, User};

const USER: &str = "impersonate-user";
const GROUP: &str = "impersonate-group";
const UID: &str = "impersonate-uid";
const EXTRA: &str = "impersonate-extra-";
const AUTHENTICATION: &str = "authentication.k8s.io";

/// What the request asks to act as.
#[derive(Default)]
struct Wanted {
    user: String,
    uid: String,
    groups: Vec<String>,
    extra: BTreeMap<String, Vec<String>>,
}

/// Takes the impersonation headers off a request and gives the user it acts as: `None` if it asks for nobody. Every
/// part of the identity must be allowed to `user`.
pub async fn impersonate(
    headers: &mut HeaderMap,
    user: &Arc<User>,
    authorizer: &dyn Authorizer,
) -> Result<Option<User>, ApiError> {
    let wanted = take(headers);
    if wanted.is_empty() {
        return Ok(None);
    }
    if wanted.user.is_empty() {
        let what = wanted.described();
        return Err(ApiError::bad_request(format!("requested {what} without impersonating a user")));
    }
    for attributes in wanted.questions(user) {
        require(authorizer, &attributes).await?;
    }
    Ok(Some(wanted.into_user()))
}

fn take(headers: &mut HeaderMap) -> Wanted {
    let extra_names: Vec<_> =
        headers.keys().filter(|name| name.as_str().starts_with(EXTRA)).cloned().collect();
    let mut wanted = Wanted {
        user: values(headers, USER).into_iter().next().unwrap_or_default(),
        uid: values(headers, UID).into_iter().next().unwrap_or_default(),
        groups: values(headers, GROUP),
        extra: BTreeMap::new(),
    };
    for name in [USER, UID, GROUP] {
        headers.remove(name);
    }
    for name in extra_names {
        let key = percent_decoded(&name.as_str()[EXTRA.len()..]);
        wanted.extra.entry(key).or_default().extend(values(headers, name.as_str()));
        headers.remove(name);
    }
    wanted
}

fn values(headers: &HeaderMap, name: &str) -> Vec<String> {
    headers.get_all(name).iter().map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned()).collect()
}

/// A key that is not properly encoded stands for itself.
fn percent_decoded(key: &str) -> String {
    let mut bytes = Vec::with_capacity(key.len());
    let mut rest = key.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        if first != b'%' {
            bytes.push(first);
            rest = tail;
            continue;
        }
        let code = tail.get(..2).and_then(|two| std::str::from_utf8(two).ok());
        let Some(byte) = code.and_then(|two| u8::from_str_radix(two, 16).ok()) else {
            return key.to_owned();
        };
        bytes.push(byte);
        rest = &tail[2..];
    }
    String::from_utf8(bytes).unwrap_or_else(|_| key.to_owned())
}

impl Wanted {
    fn is_empty(&self) -> bool {
        self.user.is_empty() && self.uid.is_empty() && self.groups.is_empty() && self.extra.is_empty()
    }

    /// What must be allowed, one question a part, in upstream's order.
    fn questions(&self, user: &Arc<User>) -> Vec<Attributes> {
        let ask = |group: &str, version: &str, resource: &str, name: &str| Attributes {
            user: user.clone(),
            verb: "impersonate".to_owned(),
            group: group.to_owned(),
            version: version.to_owned(),
            resource: resource.to_owned(),
            name: name.to_owned(),
            ..Attributes::default()
        };
        let who = match split_service_account(&self.user) {
            Some((namespace, name)) => {
                Attributes { namespace: namespace.to_owned(), ..ask("", "", "serviceaccounts", name) }
            }
            None => ask("", "", "users", &self.user),
        };
        let mut questions = vec![who];
        questions.extend(self.groups.iter().map(|group| ask("", "", "groups", group)));
        for (key, values) in &self.extra {
            questions.extend(values.iter().map(|value| Attributes {
                subresource: key.clone(),
                ..ask(AUTHENTICATION, "v1", "userextras", value)
            }));
        }
        if !self.uid.is_empty() {
            questions.push(ask(AUTHENTICATION, "v1", "uids", &self.uid));
        }
        questions
    }

    /// The parts as Go prints a list of `ObjectReference`s (kind, namespace, name, uid, apiVersion,
    /// resourceVersion, fieldPath), which upstream's message shows.
    fn described(&self) -> String {
        let mut parts: Vec<String> =
            self.groups.iter().map(|group| format!("{{Group  {group}    }}")).collect();
        for (key, values) in &self.extra {
            let part = |value: &String| format!("{{UserExtra  {value}  {AUTHENTICATION}/v1  {key}}}");
            parts.extend(values.iter().map(part));
        }
        if !self.uid.is_empty() {
            parts.push(format!("{{UID  {}  {AUTHENTICATION}/v1  }}", self.uid));
        }
        format!("[{}]", parts.join(" "))
    }

    fn into_user(self) -> User {
        let mut groups = self.groups;
        if let (true, Some((namespace, _))) = (groups.is_empty(), split_service_account(&self.user)) {
            groups = service_account_groups(namespace);
        }
        let has = |group: &str| groups.iter().any(|have| have == group);
        let added = match self.user == ANONYMOUS {
            true if !has(UNAUTHENTICATED) => Some(UNAUTHENTICATED),
            false if !has(UNAUTHENTICATED) && !has(AUTHENTICATED) => Some(AUTHENTICATED),
            _ => None,
        };
        groups.extend(added.map(str::to_owned));
        User { name: self.user, uid: self.uid, groups, extra: self.extra }
    }
}
