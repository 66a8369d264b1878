//! Who may do what: certificates, tokens, RBAC, anonymous access.

use anyhow::{Context, Result, ensure};
use steersman_e2e::suite::{Suite, Test};

use crate::manifests::shell;

pub const TESTS: &[Test] = &[
    ("anonymous_access_is_limited", anonymous_access_is_limited),
    ("can_i_answers_from_rbac", can_i_answers_from_rbac),
    ("tokens_are_bound_to_what_they_were_made_for", tokens_are_bound_to_what_they_were_made_for),
    ("a_pod_uses_its_service_account", a_pod_uses_its_service_account),
    ("the_issuer_is_discoverable", the_issuer_is_discoverable),
];

fn bearer(token: &str) -> [String; 2] {
    ["--header".to_owned(), format!("Authorization: Bearer {}", token.trim())]
}

fn anonymous_access_is_limited(suite: &Suite) -> Result<()> {
    let api = suite.cluster()?.api()?;
    let cases = [
        ("/livez", 200),
        ("/readyz", 200),
        ("/version", 200),
        ("/api/v1/namespaces", 401),
        ("/apis", 401),
        ("/metrics", 401),
        ("/", 401),
    ];
    for (path, code) in cases {
        let answer = api.send_as(&[], path)?;
        ensure!(answer.code == code, "{path}: {answer:?}");
    }
    // Anonymous requests are taken on those paths only, as with upstream's conditions for anonymous access.
    let refused = api.send_as(&[], "/api/v1/nodes")?;
    ensure!(refused.status() == (401, "Unauthorized", "Unauthorized"), "{refused:?}");
    let [option, header] = bearer("not.a.token");
    let unknown = api.send_as(&[&option, &header], "/version")?;
    ensure!(unknown.status() == (401, "Unauthorized", "Unauthorized"), "{unknown:?}");
    Ok(())
}

fn can_i_answers_from_rbac(suite: &Suite) -> Result<()> {
    let kubectl = suite.namespace()?;
    let somebody = |question: &str| {
        let words: Vec<_> = question.split(' ').collect();
        let answer = kubectl.run(&[&["auth", "can-i", "--as=somebody"], &words[..]].concat())?;
        Ok::<_, anyhow::Error>(answer.stdout.trim().to_owned())
    };
    ensure!(kubectl.ok(&["auth", "can-i", "*", "*"])? == "yes\n");
    ensure!(somebody("get pods")? == "no");
    kubectl.ok(&["create", "role", "reader", "--verb=get,list", "--resource=pods", "--resource=pods/log"])?;
    kubectl.ok(&["create", "rolebinding", "reader", "--role=reader", "--user=somebody"])?;
    for (question, wanted) in [
        ("get pods", "yes"),
        ("get pods/log", "yes"),
        ("delete pods", "no"),
        ("get pods --namespace=default", "no"),
        ("get nodes", "no"),
    ] {
        let got = somebody(question)?;
        ensure!(got == wanted, "{question}: {got}");
    }
    let list = kubectl.ok(&["auth", "can-i", "--list", "--as=somebody"])?;
    ensure!(list.contains("pods/log") && list.contains("selfsubjectaccessreviews"), "{list}");
    let refused = kubectl.fails(&["delete", "pod", "x", "--as=somebody"])?;
    ensure!(
        refused.contains("(Forbidden): pods \"x\" is forbidden: User \"somebody\" cannot delete resource \"pods\" in API group \"\" in the namespace"),
        "{refused}"
    );
    let who = kubectl.ok(&["auth", "whoami", "-o", "jsonpath={.status.userInfo.groups}"])?;
    ensure!(who.contains("system:masters") || who.contains("cluster-admins"), "{who}");
    Ok(())
}

fn tokens_are_bound_to_what_they_were_made_for(suite: &Suite) -> Result<()> {
    let (kubectl, api) = (suite.namespace()?, suite.cluster()?.api()?);
    let path = format!("/api/v1/namespaces/{}/pods", kubectl.namespace());
    let code = |token: &str| {
        let [option, header] = bearer(token);
        Ok::<_, anyhow::Error>(api.send_as(&[&option, &header], &path)?.code)
    };
    kubectl.ok(&["create", "serviceaccount", "worker"])?;
    let token = kubectl.ok(&["create", "token", "worker", "--duration=20m"])?;
    ensure!(code(&token)? == 403, "known, but without rights");
    let binding = format!("--serviceaccount={}:worker", kubectl.namespace());
    kubectl.ok(&["create", "rolebinding", "worker", "--clusterrole=view", &binding])?;
    ensure!(code(&token)? == 200, "with the rights of view");
    let other = kubectl.ok(&["create", "token", "worker", "--audience=somebody-else"])?;
    ensure!(code(&other)? == 401, "for another audience");
    ensure!(code(&format!("{}x", token.trim()))? == 401, "with a broken signature");
    kubectl.ok(&["delete", "serviceaccount", "worker"])?;
    ensure!(code(&token)? == 401, "of an account that is gone");
    Ok(())
}

fn a_pod_uses_its_service_account(suite: &Suite) -> Result<()> {
    let (kubectl, api) = (suite.namespace()?, suite.cluster()?.api()?);
    kubectl.apply(&shell("account", &suite.image("busybox:1")?, "sleep 1000").to_string())?;
    kubectl.until_ready("account")?;
    let read = |file: &str| {
        let path = format!("/var/run/secrets/kubernetes.io/serviceaccount/{file}");
        kubectl.ok(&["exec", "account", "--", "cat", &path])
    };
    ensure!(read("namespace")? == kubectl.namespace());
    ensure!(read("ca.crt")?.starts_with("-----BEGIN CERTIFICATE-----"));
    let [option, header] = bearer(&read("token")?);
    let refused =
        api.send_as(&[&option, &header], &format!("/api/v1/namespaces/{}/secrets", kubectl.namespace()))?;
    let user = format!(
        "User \"system:serviceaccount:{}:default\" cannot list resource \"secrets\"",
        kubectl.namespace()
    );
    ensure!(refused.code == 403 && refused.status().2.contains(&user), "{refused:?}");
    // The API is reached from the pod through the service of its name, as clients in pods do.
    let banner = kubectl.run(&[
        "exec",
        "account",
        "--",
        "sh",
        "-c",
        "echo | nc -w 5 kubernetes.default.svc 443 | wc -c",
    ])?;
    ensure!(banner.status.success(), "{banner:?}");
    Ok(())
}

fn the_issuer_is_discoverable(suite: &Suite) -> Result<()> {
    let api = suite.cluster()?.api()?;
    let found = api.send("GET", "/.well-known/openid-configuration", "application/json", b"")?;
    ensure!(found.code == 200, "{found:?}");
    let issuer = found.body["issuer"].as_str().context("it names the issuer")?;
    ensure!(issuer.starts_with("https://kubernetes.default.svc"), "{issuer}");
    ensure!(found.body["id_token_signing_alg_values_supported"] == serde_json::json!(["RS256"]), "{found:?}");
    let keys = api.send("GET", "/openid/v1/jwks", "application/json", b"")?;
    ensure!(keys.body["keys"][0]["kty"] == "RSA", "{keys:?}");
    Ok(())
}
