//! prommgr on a real stack, for a test.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use prommgr::demo::stack::{Stack, free_port};
use prommgr::leash::{Leash, Spec};

use crate::person;

/// A folder that is removed when the test ends.
pub struct Folder(pub PathBuf);

impl Folder {
    pub fn new(name: &str) -> Self {
        let dir = std::env::temp_dir().join(format!("prommgr-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        Self(dir)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A free port below those that outgoing connections take, so that none has it while a program starts again.
fn port() -> u16 {
    free_port(rand::random_range(20_000..32_000)).unwrap()
}

/// A stack in a folder, on ports that are free, its configuration written.
pub fn stack(folder: &Folder) -> Stack {
    let stack = Stack {
        dir: folder.0.clone(),
        prom_dir: folder.0.join("prom"),
        prommgr: SocketAddr::from((Ipv4Addr::LOCALHOST, port())),
        webhook_token: "a-webhook-token-of-the-tests".into(),
        prometheus: port(),
        alertmanager: port(),
        node_exporter: port(),
    };
    stack.write().unwrap();
    stack
}

/// Starts prommgr, with some more flags, and waits until it is ready.
pub async fn start_prommgr(stack: &Stack, more: &[(&str, &str)]) -> Leash {
    let dir = &stack.dir;
    let flag = |name: &str, value: String| format!("--{name}={value}").into();
    let mut args: Vec<_> = more.iter().map(|(name, value)| flag(name, (*value).to_owned())).collect();
    args.extend([
        "serve".into(),
        flag("listen", stack.prommgr.to_string()),
        flag("data-dir", dir.join("data").display().to_string()),
        flag("prom-dir", stack.prom_dir.display().to_string()),
        flag("prometheus-url", format!("http://127.0.0.1:{}", stack.prometheus)),
        flag("webhook-token", stack.webhook_token.clone()),
    ]);
    if !more.iter().any(|(name, _)| *name == "alertmanager-url") {
        args.push(flag("alertmanager-url", format!("http://127.0.0.1:{}", stack.alertmanager)));
    }
    // one that was killed a moment ago may still hold it
    person::until("the port is free", Duration::from_secs(20), async || {
        std::net::TcpListener::bind(stack.prommgr).ok().map(drop)
    })
    .await;
    let mut prommgr = Leash::spawn(Spec {
        program: env!("CARGO_BIN_EXE_prommgr").into(),
        args,
        log: dir.join("prommgr.log"),
        ..Spec::default()
    })
    .unwrap();
    let http = person::http();
    let ready = format!("http://{}/readyz", stack.prommgr);
    person::until("prommgr is ready", Duration::from_secs(60), async || {
        if let Some(ended) = prommgr.try_wait().unwrap() {
            panic!("prommgr ended: {ended}");
        }
        http.get(&ready).send().await.is_ok_and(|answer| answer.status().is_success()).then_some(())
    })
    .await;
    prommgr
}

/// The link by which the first admin is made, as prommgr printed it.
pub fn setup_link(log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap();
    let link =
        text.split_whitespace().find(|word| word.contains("/setup/")).expect("the setup link is printed");
    link.to_owned()
}
