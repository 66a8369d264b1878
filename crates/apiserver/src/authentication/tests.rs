use std::net::IpAddr;

use futures::FutureExt;
use http::{HeaderMap, Request};
use jiff::Timestamp;
use serde_json::json;
use steersman_pki::{Authority, ClientVerifier, Profile};

use super::*;
use crate::fake::FakeObjects;
use crate::request::{Attributes, Authorizer, Decision, PeerCertificates};
use crate::tokens::TokenIssuer;
use crate::tokens::tests::{issuer, objects};

struct World {
    authority: Authority,
    foreign: Authority,
    issuer: Arc<TokenIssuer>,
    objects: Arc<FakeObjects>,
    authentication: Authentication,
}

fn world() -> World {
    let authority = Authority::create("kubernetes", Timestamp::now()).unwrap();
    let foreign = Authority::create("kubernetes", Timestamp::now()).unwrap();
    let issuer = Arc::new(issuer());
    let objects = Arc::new(objects());
    let tokens = Arc::new(ServiceAccountTokens::new(issuer.clone(), objects.clone()));
    let verifier = ClientVerifier::new([authority.certificate()]).unwrap();
    let authentication = Authentication::new(ClientCertificates::new(verifier), tokens);
    World { authority, foreign, issuer, objects, authentication }
}

fn request(path: &str) -> Request<()> {
    Request::builder().uri(path).body(()).unwrap()
}

fn shows(mut request: Request<()>, authority: &Authority, profile: &Profile) -> Request<()> {
    let chain = authority.issue(profile, Timestamp::now()).unwrap().chain();
    request.extensions_mut().insert(PeerCertificates(Arc::new(chain)));
    request
}

fn bears(mut request: Request<()>, token: &str) -> Request<()> {
    request.headers_mut().insert(AUTHORIZATION, format!("Bearer {token}").parse().unwrap());
    request
}

impl World {
    async fn ask(&self, request: Request<()>) -> Result<Option<User>, String> {
        self.authentication.authenticate(&request.into_parts().0).await
    }

    async fn token(&self, spec: serde_json::Value) -> String {
        let request = json!({ "spec": spec });
        let answer = self.issuer.create(&*self.objects, "ns", "builder", &request, Timestamp::now()).await;
        answer.unwrap()["status"]["token"].as_str().unwrap().to_owned()
    }
}

#[tokio::test]
async fn certificates_name_user_and_groups() {
    let world = world();
    let shown = shows(request("/api/v1/pods"), &world.authority, &Profile::node("n1"));
    let user = world.ask(shown).await.unwrap().unwrap();
    assert_eq!(user.name, "system:node:n1");
    assert_eq!(user.groups, ["system:nodes", AUTHENTICATED]);
    assert!(user.extra["authentication.kubernetes.io/credential-id"][0].starts_with("X509SHA256="));
}

#[tokio::test]
async fn certificates_of_others_and_of_servers_are_refused_even_on_open_paths() {
    let world = world();
    for path in ["/api/v1/pods", "/livez"] {
        let foreign = shows(request(path), &world.foreign, &Profile::super_admin());
        assert!(world.ask(foreign).await.is_err(), "{path}");
        let server = Profile::server("system:admin", vec!["a".to_owned()], Vec::<IpAddr>::new());
        assert!(world.ask(shows(request(path), &world.authority, &server)).await.is_err(), "{path}");
    }
}

#[tokio::test]
async fn a_good_token_makes_up_for_a_bad_certificate() {
    let world = world();
    let token = world.token(json!({})).await;
    let both = bears(shows(request("/api"), &world.foreign, &Profile::admin()), &token);
    assert_eq!(world.ask(both).await.unwrap().unwrap().name, "system:serviceaccount:ns:builder");
}

#[tokio::test]
async fn pod_tokens_carry_their_pod() {
    let world = world();
    let bound = json!({"boundObjectRef": {"apiVersion": "v1", "kind": "Pod", "name": "web"}});
    let token = world.token(bound).await;
    let user = world.ask(bears(request("/api"), &token)).await.unwrap().unwrap();
    assert_eq!(user.uid, "sa-uid");
    assert_eq!(user.groups, ["system:serviceaccounts", "system:serviceaccounts:ns", AUTHENTICATED]);
    let extra = |key: &str| user.extra[&format!("authentication.kubernetes.io/{key}")][0].as_str();
    assert_eq!((extra("pod-name"), extra("pod-uid")), ("web", "pod-uid"));
    assert_eq!((extra("node-name"), extra("node-uid")), ("n1", "node-uid"));
    assert!(extra("credential-id").starts_with("JTI="));
}

#[tokio::test]
async fn a_token_dies_with_what_it_is_bound_to() {
    type Change = fn(&FakeObjects);
    let cases: [(&str, &str, Change, &str); 5] = [
        ("Pod", "web", |o| o.remove("", "pods", "ns", "web"), "pod \"web\" not found"),
        ("Secret", "box", |o| o.remove("", "secrets", "ns", "box"), "secret \"box\" not found"),
        (
            "Node",
            "n1",
            |o| o.put("", "nodes", json!({"metadata": {"name": "n1", "uid": "new"}})),
            "node UID (new) does not match claim (node-uid)",
        ),
        (
            "Pod",
            "web",
            |o| o.remove("", "serviceaccounts", "ns", "builder"),
            "service account \"builder\" not found",
        ),
        (
            "Secret",
            "box",
            |o| {
                o.put("", "serviceaccounts", json!({"metadata": {"name": "builder", "namespace": "ns", "uid": "sa-uid", "deletionTimestamp": "2020-01-01T00:00:00Z"}}))
            },
            "service account \"builder\" has been deleted",
        ),
    ];
    for (kind, name, change, message) in cases {
        let world = world();
        let bound = json!({"boundObjectRef": {"apiVersion": "v1", "kind": kind, "name": name}});
        let token = world.token(bound).await;
        assert!(world.ask(bears(request("/api"), &token)).await.unwrap().is_some(), "{message}");
        change(&world.objects);
        assert_eq!(world.ask(bears(request("/api"), &token)).await.unwrap_err(), message);
    }
}

#[tokio::test]
async fn tokens_for_others_and_garbage_are_refused() {
    let world = world();
    let vault = world.token(json!({"audiences": ["vault"]})).await;
    let problem = world.ask(bears(request("/api"), &vault)).await.unwrap_err();
    assert!(problem.contains("is invalid for the target audiences"), "{problem}");
    assert_eq!(world.ask(bears(request("/livez"), "garbage")).await.unwrap_err(), "invalid bearer token");
}

#[tokio::test]
async fn nobody_is_welcome_on_open_paths_only() {
    let world = world();
    for (path, open) in [
        ("/livez", true),
        ("/readyz?verbose", true),
        ("/healthz", true),
        ("/version", true),
        ("/livez/ping", false),
        ("/api", false),
        ("/", false),
        ("/api/v1/namespaces/default/secrets", false),
    ] {
        let user = world.ask(request(path)).await.unwrap();
        assert_eq!(user.is_some(), open, "{path}");
        assert!(user.is_none_or(|user| user.name == ANONYMOUS && user.groups == [UNAUTHENTICATED]));
    }
}

/// Allows impersonating exactly these `resource[/subresource]:name`s.
struct May(&'static [&'static str]);

impl Authorizer for May {
    fn authorize(&self, asked: &Attributes) -> Decision {
        assert_eq!(asked.verb, "impersonate");
        let what = format!("{}:{}", asked.resource, asked.name);
        match self.0.contains(&what.as_str()) {
            true => Decision::Allow { reason: String::new() },
            false => Decision::NoOpinion { reason: String::new() },
        }
    }
}

fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in pairs {
        headers.append(*name, value.parse().unwrap());
    }
    headers
}

#[test]
fn impersonation_needs_leave_for_every_part() {
    let alice = Arc::new(User { name: "alice".to_owned(), ..User::default() });
    let everything = May(&["users:bob", "groups:dev", "userextras:x", "uids:7", "serviceaccounts:sa"]);
    let act = |pairs: &[_], may: &May| {
        let mut headers = headers(pairs);
        let outcome = impersonate(&mut headers, &alice, may).now_or_never().unwrap();
        let outcome = outcome.map_err(|error| (error.code, error.message));
        assert!(headers.keys().all(|name| !name.as_str().starts_with("impersonate")));
        outcome
    };

    assert_eq!(act(&[("accept", "*/*")], &everything), Ok(None));
    let full = [
        ("impersonate-user", "bob"),
        ("impersonate-group", "dev"),
        ("impersonate-uid", "7"),
        ("impersonate-extra-acme%2eio%2fscope", "x"),
    ];
    let bob = act(&full, &everything).unwrap().unwrap();
    assert_eq!((bob.name.as_str(), bob.uid.as_str()), ("bob", "7"));
    assert_eq!(bob.groups, ["dev", AUTHENTICATED]);
    assert_eq!(bob.extra["acme.io/scope"], ["x"]);

    let account = act(&[("impersonate-user", "system:serviceaccount:ns:sa")], &everything).unwrap().unwrap();
    assert_eq!(account.groups, ["system:serviceaccounts", "system:serviceaccounts:ns", AUTHENTICATED]);

    assert_eq!(
        act(&full, &May(&["users:bob"])).unwrap_err(),
        (403, "groups \"dev\" is forbidden: User \"alice\" cannot impersonate resource \"groups\" in API group \"\" at the cluster scope".to_owned())
    );
    assert_eq!(
        act(&[("impersonate-group", "dev")], &everything).unwrap_err(),
        (400, "requested [{Group  dev    }] without impersonating a user".to_owned())
    );
}

#[test]
fn impersonating_nobody_is_unauthenticated() {
    let alice = Arc::new(User::default());
    let mut headers = headers(&[("impersonate-user", "system:anonymous")]);
    let may = May(&["users:system:anonymous"]);
    let user = impersonate(&mut headers, &alice, &may).now_or_never().unwrap().unwrap().unwrap();
    assert_eq!(user.groups, [UNAUTHENTICATED]);
}
