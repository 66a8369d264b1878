use std::sync::{Arc, LazyLock};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use steersman_apimachinery::Tree;
use steersman_pki::SigningKey;

use super::*;
use crate::fake::FakeObjects;

static KEY: LazyLock<Arc<SigningKey>> = LazyLock::new(|| Arc::new(SigningKey::create().unwrap()));

/// The issuer that tests of this crate share.
pub(crate) fn issuer() -> TokenIssuer {
    TokenIssuer::new(DEFAULT_ISSUER, KEY.clone())
}

/// A namespace with the account `builder` and a pod of it on node `n1`.
pub(crate) fn objects() -> FakeObjects {
    let objects = FakeObjects::default();
    let named = |name: &str, uid: &str| json!({"metadata": {"name": name, "namespace": "ns", "uid": uid}});
    objects.put("", "serviceaccounts", named("builder", "sa-uid"));
    objects.put("", "secrets", named("box", "secret-uid"));
    let mut pod = named("web", "pod-uid");
    pod["spec"] = json!({"serviceAccountName": "builder", "nodeName": "n1"});
    objects.put("", "pods", pod);
    objects.put("", "nodes", json!({"metadata": {"name": "n1", "uid": "node-uid"}}));
    objects
}

pub(crate) fn now() -> Timestamp {
    Timestamp::from_second(1_800_000_000).unwrap()
}

async fn create(request: Tree) -> Result<Tree, (u16, String)> {
    let created = issuer().create(&objects(), "ns", "builder", &request, now()).await;
    created.map_err(|error| (error.code, error.message))
}

fn claims_of(answer: &Tree) -> Claims {
    issuer().verify(answer["status"]["token"].as_str().unwrap(), now()).unwrap().unwrap()
}

#[tokio::test]
async fn an_empty_request_gets_an_hour_for_the_api_server() {
    let answer = create(json!({})).await.unwrap();
    assert_eq!(answer["metadata"]["name"], "builder");
    assert_eq!(answer["spec"]["expirationSeconds"], 3600);
    assert_eq!(answer["spec"]["boundObjectRef"], Tree::Null);
    assert_eq!(answer["status"]["expirationTimestamp"], "2027-01-15T09:00:00Z");
    let claims = claims_of(&answer);
    assert_eq!(claims.aud, [DEFAULT_ISSUER]);
    assert_eq!(claims.exp - claims.iat, 3600);
    assert_eq!(claims.sub, "system:serviceaccount:ns:builder");
    assert_eq!(claims.kubernetes.serviceaccount, Reference { name: "builder".into(), uid: "sa-uid".into() });
    assert!(claims.kubernetes.pod.is_none() && claims.kubernetes.warnafter.is_none());
    assert_eq!(claims.jti.len(), 36);
}

#[tokio::test]
async fn a_pods_token_names_pod_and_node_and_is_extended_for_the_api_server_only() {
    let bound = |audiences: Tree| {
        json!({"spec": {"expirationSeconds": 3607, "audiences": audiences, "boundObjectRef":
            {"apiVersion": "v1", "kind": "Pod", "name": "web", "uid": "pod-uid"}}})
    };
    let answer = create(bound(json!([]))).await.unwrap();
    let claims = claims_of(&answer);
    assert_eq!(claims.kubernetes.pod.unwrap().uid, "pod-uid");
    assert_eq!(claims.kubernetes.node.unwrap().uid, "node-uid");
    assert_eq!(claims.exp - claims.iat, 365 * 24 * 3600);
    assert_eq!(claims.kubernetes.warnafter, Some(claims.iat + 3607));
    assert_eq!(answer["status"]["expirationTimestamp"], "2027-01-15T09:00:07Z");

    let claims = claims_of(&create(bound(json!(["vault"]))).await.unwrap());
    assert_eq!((claims.exp - claims.iat, claims.kubernetes.warnafter), (3607, None));
}

#[tokio::test]
async fn bad_requests_get_upstreams_words() {
    let bound = |kind: &str, name: &str, uid: &str| json!({"spec": {"boundObjectRef": {"apiVersion": "v1", "kind": kind, "name": name, "uid": uid}}});
    let cases = [
        (
            json!({"spec": {"expirationSeconds": 599}}),
            422,
            "TokenRequest.authentication.k8s.io \"\" is invalid: spec.expirationSeconds: Invalid value: 599: may not specify a duration less than 10 minutes",
        ),
        (
            json!({"spec": {"expirationSeconds": 4_294_967_297_i64}}),
            422,
            "TokenRequest.authentication.k8s.io \"\" is invalid: spec.expirationSeconds: Invalid value: 4294967297: may not specify a duration larger than 2^32 seconds",
        ),
        (bound("Pod", "gone", ""), 404, "pods \"gone\" not found"),
        (bound("ConfigMap", "x", ""), 400, "cannot bind token to object of type /v1, Kind=ConfigMap"),
        (
            bound("Secret", "box", "old"),
            409,
            "Operation cannot be fulfilled on Secret \"box\": the UID in the bound object reference (old) does not match the UID in record. The object might have been deleted and then recreated",
        ),
        (
            json!({"metadata": {"namespace": "other"}}),
            400,
            "the namespace of the provided object does not match the namespace sent on the request",
        ),
    ];
    for (request, code, message) in cases {
        assert_eq!(create(request).await.unwrap_err(), (code, message.to_owned()));
    }
    let other = issuer().create(&objects(), "ns", "nobody", &json!({}), now()).await.unwrap_err();
    assert_eq!(other.message, "serviceaccounts \"nobody\" not found");
    let objects = objects();
    objects.put("", "serviceaccounts", json!({"metadata": {"name": "other", "namespace": "ns", "uid": "o"}}));
    let stolen = issuer().create(&objects, "ns", "other", &bound("Pod", "web", ""), now()).await.unwrap_err();
    assert_eq!(
        stolen.message,
        "cannot bind token for serviceaccount \"other\" to pod running with different serviceaccount name."
    );
}

#[tokio::test]
async fn forged_and_stale_tokens_are_refused() {
    let token = create(json!({})).await.unwrap()["status"]["token"].as_str().unwrap().to_owned();
    let parts: Vec<&str> = token.split('.').collect();
    let later = |seconds| now() + SignedDuration::from_secs(seconds);
    let with_header = |header: &str| format!("{}.{}.{}", URL_SAFE_NO_PAD.encode(header), parts[1], parts[2]);
    let mut payload: Tree = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(parts[1]).unwrap()).unwrap();
    payload["kubernetes.io"]["serviceaccount"]["name"] = "admin".into();
    let altered = format!("{}.{}.{}", parts[0], URL_SAFE_NO_PAD.encode(payload.to_string()), parts[2]);
    let other_key = TokenIssuer::new(DEFAULT_ISSUER, Arc::new(SigningKey::create().unwrap()));
    let claims = issuer().verify(&token, now()).unwrap().unwrap();
    let foreign = other_key.sign(&claims).unwrap();

    let cases = [
        ("expired", token.clone(), later(3700), Err(TokenError::Expired)),
        ("within leeway", token.clone(), later(3650), Ok(true)),
        ("future", token.clone(), later(-120), Err(TokenError::NotYetValid)),
        ("none", with_header(r#"{"alg":"none"}"#), now(), Err(TokenError::Algorithm)),
        ("hmac", with_header(r#"{"alg":"HS256"}"#), now(), Err(TokenError::Algorithm)),
        ("other kid", with_header(r#"{"alg":"RS256","kid":"x"}"#), now(), Err(TokenError::Signature)),
        ("altered", altered, now(), Err(TokenError::Signature)),
        ("foreign key", foreign, now(), Err(TokenError::Signature)),
        ("not a token", "abc".to_owned(), now(), Ok(false)),
        ("four parts", format!("{token}.x"), now(), Ok(false)),
    ];
    for (name, token, at, want) in cases {
        assert_eq!(issuer().verify(&token, at).map(|claims| claims.is_some()), want, "{name}");
    }
    let renamed = TokenIssuer::new("https://other", KEY.clone());
    assert_eq!(renamed.verify(&token, now()), Ok(None));
}

#[test]
fn discovery_reads_as_upstreams() {
    let issuer = issuer();
    assert_eq!(
        issuer.configuration("https://10.0.0.1:6443/openid/v1/jwks"),
        "{\"issuer\":\"https://kubernetes.default.svc.cluster.local\",\
         \"jwks_uri\":\"https://10.0.0.1:6443/openid/v1/jwks\",\"response_types_supported\":[\"id_token\"],\
         \"subject_types_supported\":[\"public\"],\"id_token_signing_alg_values_supported\":[\"RS256\"]}"
    );
    let keys: Tree = serde_json::from_str(&issuer.key_set()).unwrap();
    assert_eq!(keys["keys"][0]["kid"], KEY.verification_key().id());
    assert_eq!(keys["keys"][0]["e"], "AQAB");
}
