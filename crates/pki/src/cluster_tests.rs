use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use rustls::pki_types::ServerName;
use rustls::{ClientConnection, ServerConnection};

use super::*;
use crate::{ClientAuth, ClientVerifier, Kubeconfig, RotatingIdentity, client_config, server_config};

fn now() -> Timestamp {
    Timestamp::now()
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

fn apiserver() -> Profile {
    Profile::apiserver("n1", "cluster.local", &[], &[[10, 96, 0, 1].into()])
}

/// Shakes hands in memory; gives the client's chain as the server saw it.
fn handshake(server: rustls::ServerConfig, client: rustls::ClientConfig) -> Result<usize, rustls::Error> {
    let mut server = ServerConnection::new(Arc::new(server)).unwrap();
    let name = ServerName::try_from("kubernetes.default").unwrap();
    let mut client = ClientConnection::new(Arc::new(client), name).unwrap();
    while client.is_handshaking() || server.is_handshaking() {
        let mut wire = Vec::new();
        client.write_tls(&mut wire).unwrap();
        server.read_tls(&mut wire.as_slice()).unwrap();
        server.process_new_packets()?;
        let mut wire = Vec::new();
        server.write_tls(&mut wire).unwrap();
        client.read_tls(&mut wire.as_slice()).unwrap();
        client.process_new_packets()?;
    }
    Ok(server.peer_certificates().map_or(0, <[_]>::len))
}

#[test]
fn a_second_start_takes_what_the_first_made() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("pki");
    let first = ClusterPki::load_or_create(&path, now()).unwrap();
    let certificate = first.identity("apiserver", &apiserver(), now()).unwrap();
    let second = ClusterPki::load_or_create(&path, now()).unwrap();
    let again = second.identity("apiserver", &apiserver(), now()).unwrap();
    assert_eq!(first.ca().certificate_pem(), second.ca().certificate_pem());
    assert_eq!(certificate.certificate_pem(), again.certificate_pem());
    let kid = |pki: &ClusterPki| pki.service_account_key().verification_key().id().to_owned();
    assert_eq!(kid(&first), kid(&second));
    for key in ["ca.key", "front-proxy-ca.key", "sa.key", "apiserver.key"] {
        assert_eq!(mode(&path.join(key)), 0o600, "{key}");
    }
    assert_eq!(mode(&path), 0o700);
}

#[test]
fn certificates_are_made_anew_when_they_no_longer_serve() {
    let dir = tempfile::tempdir().unwrap();
    let pki = ClusterPki::load_or_create(dir.path(), now()).unwrap();
    let first = pki.identity("apiserver", &apiserver(), now()).unwrap();
    let due = now() + SignedDuration::from_hours(300 * 24);
    let moved =
        Profile::apiserver("n1", "cluster.local", &[], &[[10, 96, 0, 1].into(), [10, 0, 0, 9].into()]);

    let renewed = pki.identity("apiserver", &apiserver(), due).unwrap();
    assert_ne!(renewed.certificate_pem(), first.certificate_pem(), "due");
    let readdressed = pki.identity("apiserver", &moved, due).unwrap();
    assert_ne!(readdressed.certificate_pem(), renewed.certificate_pem(), "another address");
    assert_eq!(
        pki.identity("apiserver", &moved, due).unwrap().certificate_pem(),
        readdressed.certificate_pem(),
        "settled"
    );

    let other = pki.identity("other", &moved, due).unwrap();
    std::fs::write(dir.path().join("apiserver.key"), other.key_pem()).unwrap();
    let rejoined = pki.identity("apiserver", &moved, due).unwrap();
    assert_ne!(rejoined.certificate_pem(), readdressed.certificate_pem(), "parted from its key");

    for file in ["ca.crt", "ca.key"] {
        std::fs::remove_file(dir.path().join(file)).unwrap();
    }
    let pki = ClusterPki::load_or_create(dir.path(), due).unwrap();
    let resigned = pki.identity("apiserver", &moved, due).unwrap();
    assert_ne!(resigned.certificate_pem(), rejoined.certificate_pem(), "another authority");
}

#[test]
fn damaged_files_are_named() {
    for (file, content) in [
        ("ca.crt", "not a certificate"),
        ("ca.key", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"),
        ("sa.key", "SECRET-WORDS"),
        ("front-proxy-ca.crt", ""),
    ] {
        let dir = tempfile::tempdir().unwrap();
        ClusterPki::load_or_create(dir.path(), now()).unwrap();
        std::fs::write(dir.path().join(file), content).unwrap();
        let message = ClusterPki::load_or_create(dir.path(), now()).unwrap_err().to_string();
        assert!(message.contains(&format!("{file} is not usable")), "{message}");
        assert!(!message.contains("SECRET-WORDS"), "{message}");
    }
}

#[test]
fn an_authority_without_its_key_is_refused_and_a_cut_short_start_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    ClusterPki::load_or_create(dir.path(), now()).unwrap();
    std::fs::remove_file(dir.path().join("ca.crt")).unwrap();
    ClusterPki::load_or_create(dir.path(), now()).unwrap();
    std::fs::remove_file(dir.path().join("ca.key")).unwrap();
    let error = ClusterPki::load_or_create(dir.path(), now()).unwrap_err();
    assert!(matches!(error, PkiError::KeyMissing { .. }), "{error}");
}

#[test]
fn another_authoritys_certificate_and_key_do_not_pair() {
    let dir = tempfile::tempdir().unwrap();
    ClusterPki::load_or_create(dir.path(), now()).unwrap();
    std::fs::copy(dir.path().join("front-proxy-ca.key"), dir.path().join("ca.key")).unwrap();
    let message = ClusterPki::load_or_create(dir.path(), now()).unwrap_err().to_string();
    assert!(message.contains("ca.crt is not usable: its public key is not that"), "{message}");
}

#[test]
fn tls_verifies_clients_now_or_later() {
    let dir = tempfile::tempdir().unwrap();
    let pki = ClusterPki::load_or_create(dir.path(), now()).unwrap();
    let foreign = Authority::create("kubernetes", now()).unwrap();
    let verifier = ClientVerifier::new([pki.ca().certificate()]).unwrap();
    let serving = RotatingIdentity::new(&pki.identity("apiserver", &apiserver(), now()).unwrap()).unwrap();
    let known = pki.ca().issue(&Profile::admin(), now()).unwrap();
    let unknown = foreign.issue(&Profile::super_admin(), now()).unwrap();
    let connect = |auth: &ClientAuth, identity: Option<&Identity>| {
        let identity = identity.map(|identity| RotatingIdentity::new(identity).unwrap());
        let client = client_config([pki.ca().certificate()], identity).unwrap();
        handshake(server_config(serving.clone(), auth).unwrap(), client)
    };

    let verified = ClientAuth::Verified(verifier.clone());
    assert_eq!(connect(&verified, Some(&known)), Ok(1));
    assert_eq!(connect(&verified, None), Ok(0));
    assert!(connect(&verified, Some(&unknown)).is_err());

    let deferred = ClientAuth::Deferred(verifier.clone());
    assert_eq!(connect(&deferred, Some(&unknown)), Ok(1));
    assert!(verifier.verify(&unknown.chain(), now()).is_err());
    assert!(verifier.verify(&known.chain(), now()).is_ok());
    assert!(verifier.verify(&known.chain(), now() + SignedDuration::from_hours(366 * 24)).is_err());
    let server_only = pki.ca().issue(&apiserver(), now()).unwrap();
    assert!(verifier.verify(&server_only.chain(), now()).is_err(), "not meant for clients");
    assert!(verifier.verify(&[], now()).is_err());
}

#[test]
fn a_replaced_identity_serves_the_next_connection() {
    let old = Authority::create("old", now()).unwrap();
    let new = Authority::create("new", now()).unwrap();
    let serving = RotatingIdentity::new(&old.issue(&apiserver(), now()).unwrap()).unwrap();
    let auth = ClientAuth::Verified(ClientVerifier::new([new.certificate()]).unwrap());
    let connect = || {
        let client = client_config([new.certificate()], None).unwrap();
        handshake(server_config(serving.clone(), &auth).unwrap(), client)
    };
    assert!(connect().is_err());
    serving.replace(&new.issue(&apiserver(), now()).unwrap()).unwrap();
    assert_eq!(connect(), Ok(0));
}

#[test]
fn token_signatures_verify_and_forgeries_do_not() {
    let dir = tempfile::tempdir().unwrap();
    let key = SigningKey::load_or_create(dir.path(), "sa").unwrap();
    let signature = key.sign(b"message").unwrap();
    let public = std::fs::read_to_string(dir.path().join("sa.pub")).unwrap();
    let verification = crate::VerificationKey::from_pem(&public).unwrap();
    assert_eq!(&verification, key.verification_key());
    assert!(verification.verifies(b"message", &signature));
    assert!(!verification.verifies(b"messagf", &signature));
    assert!(!verification.verifies(b"message", &signature[1..]));
    assert_eq!(verification.exponent(), "AQAB");
    assert_eq!(verification.id().len(), 43);
}

#[test]
fn debug_output_has_no_key() {
    let dir = tempfile::tempdir().unwrap();
    let pki = ClusterPki::load_or_create(dir.path(), now()).unwrap();
    let identity = pki.identity("admin", &Profile::admin(), now()).unwrap();
    let rotating = RotatingIdentity::new(&identity).unwrap();
    let text = format!("{pki:?} {identity:?} {rotating:?}");
    let secret = identity.key_pem().lines().nth(1).unwrap();
    assert!(!text.contains(secret) && !text.contains("PRIVATE"), "{text}");
}

#[test]
fn a_kubeconfig_is_written_for_its_owner_and_only_when_it_changes() {
    let dir = tempfile::tempdir().unwrap();
    let pki = ClusterPki::load_or_create(dir.path(), now()).unwrap();
    let identity = pki.identity("admin", &Profile::admin(), now()).unwrap();
    let path = dir.path().join("admin.kubeconfig");
    let config = Kubeconfig {
        cluster: "steersman",
        server: "https://127.0.0.1:6443",
        authority_pem: pki.ca().certificate_pem(),
        user: "kubernetes-admin",
        identity: &identity,
    };
    config.write(&path).unwrap();
    assert_eq!(mode(&path), 0o600);
    let written = std::fs::metadata(&path).unwrap().modified().unwrap();
    config.write(&path).unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().modified().unwrap(), written);
    assert!(
        std::fs::read_to_string(&path).unwrap().contains("current-context: kubernetes-admin@steersman\n")
    );
}

#[test]
fn a_running_identity_is_renewed_when_it_is_due() {
    let dir = tempfile::tempdir().unwrap();
    let pki = ClusterPki::load_or_create(dir.path(), now()).unwrap();
    let start = now();
    let current = RotatingIdentity::new(&pki.identity("apiserver", &apiserver(), start).unwrap()).unwrap();
    assert!(!pki.renew_if_due(&current, "apiserver", &apiserver(), start).unwrap());
    let due = current.renewal_time();
    assert!(pki.renew_if_due(&current, "apiserver", &apiserver(), due).unwrap());
    assert!(current.renewal_time() > due);
    assert!(!pki.renew_if_due(&current, "apiserver", &apiserver(), due).unwrap());
}
