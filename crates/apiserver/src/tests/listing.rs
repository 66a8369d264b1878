use serde_json::json;

use super::{CONFIG_MAPS, Harness, config_map};
use crate::wire::body;

async fn filled() -> Harness {
    let h = Harness::new().await;
    for (name, tier) in [("a", "web"), ("b", "db"), ("c", "web"), ("d", "web")] {
        let mut object = config_map(name);
        object["metadata"]["labels"] = json!({"tier": tier});
        h.post(CONFIG_MAPS, &object).await.ok();
    }
    h
}

fn names(list: &serde_json::Value) -> Vec<&str> {
    let items = list["items"].as_array().expect("items");
    items.iter().filter_map(|item| item["metadata"]["name"].as_str()).collect()
}

#[tokio::test]
async fn selectors_choose_and_the_list_has_the_stores_version() {
    let h = filled().await;
    let list = h.get(CONFIG_MAPS).await.ok();
    assert_eq!((list["kind"].as_str(), names(&list)), (Some("ConfigMapList"), vec!["a", "b", "c", "d"]));
    // Items do not repeat what the list says.
    assert_eq!(list["items"][0].get("kind"), None);
    let version = list["metadata"]["resourceVersion"].clone();
    h.post("/api/v1/namespaces/other/configmaps", &config_map("x")).await.ok();
    let later = h.get(CONFIG_MAPS).await.ok();
    assert_eq!(names(&later).len(), 4);
    assert_ne!(later["metadata"]["resourceVersion"], version);
    assert_eq!(names(&h.get("/api/v1/configmaps").await.ok()).len(), 5);

    for (query, want) in [
        ("labelSelector=tier%3Dweb", vec!["a", "c", "d"]),
        ("labelSelector=tier+notin+(web)", vec!["b"]),
        ("fieldSelector=metadata.name%3Dc", vec!["c"]),
        ("fieldSelector=metadata.name!%3Dc&labelSelector=tier%3Dweb", vec!["a", "d"]),
    ] {
        assert_eq!(names(&h.get(&format!("{CONFIG_MAPS}?{query}")).await.ok()), want, "{query}");
    }
    let unknown = h.get(&format!("{CONFIG_MAPS}?fieldSelector=spec.x%3D1")).await.failure();
    assert_eq!(
        unknown.2,
        "\"spec.x\" is not a known field selector: only \"metadata.name\", \"metadata.namespace\""
    );
    assert_eq!(h.get(&format!("{CONFIG_MAPS}?labelSelector=a+b")).await.failure().0, 400);
}

#[tokio::test]
async fn pages_are_of_one_revision() {
    let h = filled().await;
    let first = h.get(&format!("{CONFIG_MAPS}?limit=2")).await.ok();
    assert_eq!(names(&first), ["a", "b"]);
    assert_eq!(first["metadata"]["remainingItemCount"], 2);
    let token = first["metadata"]["continue"].as_str().expect("a token").to_owned();
    h.delete(&format!("{CONFIG_MAPS}/d")).await.ok();
    let second = h.get(&format!("{CONFIG_MAPS}?limit=2&continue={token}")).await.ok();
    assert_eq!(names(&second), ["c", "d"]);
    assert_eq!(second["metadata"].get("continue"), None);
    assert_eq!(second["metadata"]["resourceVersion"], first["metadata"]["resourceVersion"]);

    let selected = h.get(&format!("{CONFIG_MAPS}?limit=1&labelSelector=tier%3Dweb")).await.ok();
    assert_eq!(names(&selected), ["a"]);
    assert_eq!(selected["metadata"].get("remainingItemCount"), None);
    let both = h.get(&format!("{CONFIG_MAPS}?continue={token}&resourceVersion=5")).await.failure();
    assert_eq!(both.0, 400);
}

#[tokio::test]
async fn an_expired_token_comes_with_a_fresh_one() {
    let h = filled().await;
    let first = h.get(&format!("{CONFIG_MAPS}?limit=2")).await.ok();
    let token = first["metadata"]["continue"].as_str().expect("a token").to_owned();
    h.post(CONFIG_MAPS, &config_map("e")).await.ok();
    let store = h.server.0.storage.store();
    store.compact(store.revision().await.expect("a revision")).await.expect("compacts");
    let answer = h.get(&format!("{CONFIG_MAPS}?limit=2&continue={token}")).await;
    assert_eq!((answer.code.as_u16(), answer.json()["reason"].as_str()), (410, Some("Expired")));
    let fresh = answer.json()["metadata"]["continue"].as_str().expect("a token").to_owned();
    let rest = h.get(&format!("{CONFIG_MAPS}?continue={fresh}")).await.ok();
    assert_eq!(names(&rest), ["c", "d", "e"]);
    assert_eq!(
        h.get(&format!("{CONFIG_MAPS}?resourceVersion=2&resourceVersionMatch=Exact")).await.failure().1,
        "Expired"
    );
}

#[tokio::test]
async fn versions_of_the_future_and_odd_combinations_are_refused() {
    let h = filled().await;
    let future = h.get(&format!("{CONFIG_MAPS}?resourceVersion=99999")).await;
    assert_eq!(future.code, 504);
    assert_eq!(future.json()["details"]["causes"][0]["reason"], "ResourceVersionTooLarge");
    assert_eq!(h.get(&format!("{CONFIG_MAPS}?resourceVersion=0")).await.code, 200);
    for query in
        ["resourceVersionMatch=Exact", "resourceVersion=0&resourceVersionMatch=Exact", "resourceVersion=x"]
    {
        assert_eq!(h.get(&format!("{CONFIG_MAPS}?{query}")).await.failure().0, 422, "{query}");
    }
}

#[tokio::test]
async fn tables_and_metadata_alone_are_made_on_request() {
    let h = filled().await;
    let get = async |accept: &str, uri: &str| {
        let request = Harness::request("GET", uri).header("accept", accept);
        h.answer(request.body(body::empty()).expect("a request")).await.ok()
    };
    let table = get("application/json;as=Table;v=v1;g=meta.k8s.io,application/json", CONFIG_MAPS).await;
    assert_eq!((table["kind"].as_str(), table["rows"].as_array().map(Vec::len)), (Some("Table"), Some(4)));
    assert_eq!(table["columnDefinitions"][0]["name"], "Name");
    assert_eq!(table["rows"][0]["cells"][0], "a");
    assert_eq!(table["rows"][0]["object"]["kind"], "PartialObjectMetadata");
    let partial = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io";
    let list = get(partial, CONFIG_MAPS).await;
    assert_eq!(list["kind"], "PartialObjectMetadataList");
    assert_eq!(list["items"][0].get("data"), None);
    let one =
        get("application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io", &format!("{CONFIG_MAPS}/a"))
            .await;
    assert_eq!((one["kind"].as_str(), one.get("data")), (Some("PartialObjectMetadata"), None));
}

#[tokio::test]
async fn large_lists_are_gzipped_for_who_takes_it() {
    let h = Harness::new().await;
    let mut object = config_map("big");
    object["data"]["a"] = "x".repeat(200_000).into();
    h.post(CONFIG_MAPS, &object).await.ok();
    let request = Harness::request("GET", CONFIG_MAPS).header("accept-encoding", "gzip");
    let answer = h.answer(request.body(body::empty()).expect("a request")).await;
    assert_eq!(answer.headers["content-encoding"], "gzip");
    let mut text = String::new();
    std::io::Read::read_to_string(&mut flate2::read::GzDecoder::new(&answer.body[..]), &mut text)
        .expect("gzip");
    let plain = h.get(CONFIG_MAPS).await;
    assert_eq!(text.as_bytes(), &plain.body[..]);
}

#[tokio::test]
async fn objects_and_lists_are_sent_in_every_encoding() {
    let h = filled().await;
    let get = async |accept: &str, uri: &str| {
        let request = Harness::request("GET", uri).header("accept", accept);
        let answer = h.answer(request.body(body::empty()).expect("a request")).await;
        assert_eq!(answer.headers["content-type"], accept);
        answer.body
    };
    let uri = format!("{CONFIG_MAPS}/a");
    let object = h.get(&uri).await.ok();
    let proto = "application/vnd.kubernetes.protobuf";
    let (decoded, _) = steersman_api::protobuf::decode(&get(proto, &uri).await).expect("protobuf");
    assert_eq!(decoded, object);
    let (list, _) = steersman_api::protobuf::decode(&get(proto, CONFIG_MAPS).await).expect("protobuf");
    assert_eq!((list["kind"].as_str(), names(&list).len()), (Some("ConfigMapList"), 4));
    let yaml = steersman_api::yaml::parse(&get("application/yaml", &uri).await).expect("YAML");
    assert_eq!(yaml.tree, object);

    let mut sent = object.clone();
    sent["metadata"] = json!({"name": "z"});
    let id = steersman_api::catalog().definition("io.k8s.api.core.v1.ConfigMap").expect("a type");
    let body = steersman_api::protobuf::encode(&sent, id).expect("protobuf");
    assert_eq!(h.with_body("POST", CONFIG_MAPS, proto, &body).await.ok()["data"], object["data"]);
    let body = b"metadata:\n  name: z2\ndata:\n  a: \"0x1\"\n";
    assert_eq!(
        h.with_body("POST", CONFIG_MAPS, "application/yaml", body).await.ok()["data"],
        json!({"a": "0x1"})
    );
}
