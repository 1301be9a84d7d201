//! TLS to PostgreSQL: a server that takes nothing else, with a certificate of our own authority.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::time::Duration;

use prommgr::demo::stack::free_port;
use prommgr::leash::{Leash, Signal, Spec};
use prommgr::store::Store;
use prommgr::store::embedded::{self, Options};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};

use crate::cluster::scratch;
use crate::house::eventually;

/// Certificates for `localhost`: the authority's, another authority's, the server's own and its key.
fn certificates(dir: &Path) -> (PathBuf, PathBuf) {
    let authority = |name: &str| {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
    };
    let (ours, other) = (authority("ours"), authority("another"));
    let key = KeyPair::generate().unwrap();
    let server =
        CertificateParams::new(vec!["localhost".to_owned()]).unwrap().signed_by(&key, &ours).unwrap();
    fs::write(dir.join("server.crt"), server.pem()).unwrap();
    fs::write(dir.join("server.key"), key.serialize_pem()).unwrap();
    let (right, wrong) = (dir.join("ca.pem"), dir.join("other.pem"));
    fs::write(&right, ours.pem()).unwrap();
    fs::write(&wrong, other.pem()).unwrap();
    (right, wrong)
}

/// A PostgreSQL on a port of loopback that lets in nobody without TLS.
async fn postgres(dir: &Path, port: u16) -> Leash {
    // the embedded one makes the cluster and knows the machine's programs
    let embedded = embedded::start_with(dir, Options { durable: false, ..Options::default() }).await.unwrap();
    let cluster = dir.join("postgres");
    let pid = fs::read_to_string(cluster.join("postmaster.pid")).unwrap().lines().next().unwrap().to_owned();
    let program = fs::read_link(format!("/proc/{pid}/exe")).unwrap();
    embedded.stop().await.unwrap();
    let owner = fs::metadata(&cluster).unwrap();
    let hba = dir.join("tls-hba.conf");
    fs::write(&hba, "hostssl all all 127.0.0.1/32 trust\n").unwrap();
    for file in [&hba, &dir.join("server.crt"), &dir.join("server.key")] {
        fs::set_permissions(file, fs::Permissions::from_mode(0o600)).unwrap();
        chown(file, Some(owner.uid()), Some(owner.gid())).unwrap();
    }
    let show = |path: &Path| path.display().to_string();
    let settings = [
        "listen_addresses=127.0.0.1".to_owned(),
        format!("port={port}"),
        "unix_socket_directories=".into(),
        "ssl=on".into(),
        format!("ssl_cert_file={}", show(&dir.join("server.crt"))),
        format!("ssl_key_file={}", show(&dir.join("server.key"))),
        format!("hba_file={}", show(&hba)),
        "fsync=off".into(),
    ];
    let mut args = vec!["-D".into(), cluster.into_os_string()];
    args.extend(settings.iter().flat_map(|setting| ["-c".into(), setting.into()]));
    let root = fs::metadata("/proc/self").unwrap().uid() == 0;
    Leash::spawn(Spec {
        program,
        args,
        env: vec![("LC_ALL".into(), "C".into())],
        user: root.then_some((owner.uid(), owner.gid())),
        dir: Some("/".into()),
        log: dir.join("tls.log"),
        stop: Signal::Int,
    })
    .unwrap()
}

async fn reach(url: &str) -> Result<(), String> {
    Store::new(url, 2).unwrap().reach().await.map_err(|error| error.to_string())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_server_is_verified_by_the_authority_that_is_named() {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let dir = scratch("tls").await;
    let (right, wrong) = certificates(&dir);
    let port = free_port(0).unwrap();
    let running = postgres(&dir, port).await;
    let url = |host: &str, query: &str| format!("postgres://prommgr@{host}:{port}/prommgr?{query}");
    let verified = url("localhost", &format!("sslmode=verify-full&sslrootcert={}", right.display()));
    eventually("PostgreSQL answers over TLS", async || reach(&verified).await.ok()).await;
    let store = Store::new(&verified, 2).unwrap();
    assert!(store.migrate().await.unwrap() > 0);
    let mut db = store.door().await.unwrap();
    assert!(prommgr::store::health_of(&mut db).await.unwrap().migrated);

    let other_authority =
        reach(&url("localhost", &format!("sslmode=verify-full&sslrootcert={}", wrong.display())))
            .await
            .unwrap_err();
    assert!(
        other_authority.contains("certificate") && other_authority.contains("UnknownIssuer"),
        "{other_authority}"
    );
    // it has no certificate for its number
    let other_name =
        reach(&url("127.0.0.1", &format!("sslmode=verify-full&sslrootcert={}", right.display())))
            .await
            .unwrap_err();
    assert!(other_name.contains("certificate") && other_name.contains("name"), "{other_name}");
    // without an authority of our own, the system's are asked
    let system = reach(&url("localhost", "sslmode=require")).await.unwrap_err();
    assert!(system.contains("certificate"), "{system}");
    let missing = reach(&url("localhost", "sslmode=verify-full&sslrootcert=/nowhere.pem")).await.unwrap_err();
    assert!(missing.contains("sslrootcert /nowhere.pem"), "{missing}");
    let plain = reach(&url("localhost", "sslmode=disable")).await.unwrap_err();
    assert!(plain.contains("no encryption"), "{plain}");
    drop((db, store));
    running.stop(Duration::from_secs(20)).await.unwrap();
}
