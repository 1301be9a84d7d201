//! A small OpenID Connect provider: discovery, keys, codes that work once, PKCE, and ID tokens signed with
//! real keys; and one that lies, where a test asks for it.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, Mutex};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair, RSA_PKCS1_SHA256, RsaKeyPair,
};
use aws_lc_rs::{digest, hmac};
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use axum_extra::extract::{Form, Query};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD as BASE64};
use prommgr::config::Settings;
use prommgr::server;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};

pub const CLIENT: &str = "prommgr";
/// With characters that basic authentication has to escape.
pub const SECRET: &str = "se:cr%t &c";
/// Where the tests' prommgr is, as browsers see it.
const HOUSE: &str = "http://prommgr.test";

static RSA: LazyLock<[RsaKeyPair; 2]> = LazyLock::new(|| [rsa(), rsa()]);
static EC: LazyLock<EcdsaKeyPair> =
    LazyLock::new(|| EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap());

fn rsa() -> RsaKeyPair {
    RsaKeyPair::generate(KeySize::Rsa2048).unwrap()
}

/// How ID tokens are signed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Signs {
    Rs256,
    Es256,
    /// With a key that is not among the published ones, under the id of one that is.
    Wrongly,
    /// With the client's secret.
    Hs256,
    /// With the text of the public key as if it were a shared secret.
    Hs256WithThePublicKey,
    /// `alg: none`.
    Not,
}

/// Ends when it is dropped.
pub struct Provider {
    pub url: String,
    inner: Arc<Inner>,
    _stop: DropGuard,
}

struct Inner {
    url: String,
    redirect: String,
    says: Mutex<Says>,
    codes: Mutex<HashMap<String, HashMap<String, String>>>,
    discovered: AtomicUsize,
    redeemed: AtomicUsize,
}

/// What it says, for tests to change.
pub struct Says {
    /// Claims that are put over the true ones; `null` takes one away.
    pub claims: Value,
    pub userinfo: Value,
    pub signs: Signs,
    pub key_id: String,
    /// Which of the two RSA keys is published and used.
    pub key: usize,
    /// The error that the login page answers with instead of a code.
    pub error: Option<&'static str>,
    /// The error that the token endpoint answers with.
    pub token_error: Option<(StatusCode, &'static str)>,
    pub auth_methods: Value,
    /// The parameters of the last visit.
    pub asked: HashMap<String, String>,
    pub silent: bool,
}

impl Provider {
    /// Knows ada, who is in no group.
    pub async fn start() -> Self {
        Self::of(HOUSE).await
    }

    /// One that sends people back to a prommgr at that address.
    pub async fn of(house: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        // to a browser another site than 127.0.0.1
        let url = format!("http://localhost:{}", listener.local_addr().unwrap().port());
        let says = Says {
            claims: json!({"sub": "ada-1", "preferred_username": "ada", "email": "ada@example.com", "groups": []}),
            userinfo: Value::Null,
            signs: Signs::Rs256,
            key_id: "key-1".into(),
            key: 0,
            error: None,
            token_error: None,
            auth_methods: json!(["client_secret_basic", "client_secret_post"]),
            asked: HashMap::new(),
            silent: false,
        };
        let inner = Arc::new(Inner {
            url: url.clone(),
            redirect: format!("{house}/login/sso/callback"),
            says: Mutex::new(says),
            codes: Mutex::default(),
            discovered: AtomicUsize::new(0),
            redeemed: AtomicUsize::new(0),
        });
        let router = Router::new()
            .route("/.well-known/openid-configuration", get(discovery))
            .route("/keys", get(keys))
            .route("/authorize", get(authorize))
            .route("/token", post(token))
            .route("/userinfo", get(userinfo))
            .with_state(inner.clone());
        let stop = CancellationToken::new();
        tokio::spawn(server::serve(listener, router, 100, stop.clone()));
        Self { url, inner, _stop: stop.drop_guard() }
    }

    /// The settings of a prommgr that trusts it, with these roles.
    pub fn settings(&self, roles: &str) -> impl FnOnce(&mut Settings) + use<> {
        let (url, roles) = (self.url.clone(), roles.to_owned());
        move |settings| {
            settings.sso_issuer = Some(url);
            settings.sso_client_id = Some(CLIENT.into());
            settings.sso_client_secret = Some(SECRET.into());
            settings.sso_roles = Some(roles);
            settings.sso_name = Some("Keyring".into());
        }
    }

    /// Changes what it says.
    pub fn says(&self, change: impl FnOnce(&mut Says)) {
        change(&mut self.inner.says.lock().unwrap());
    }

    /// Has another person before it: their id, name and groups.
    pub fn person(&self, subject: &str, name: &str, groups: &[&str]) {
        self.says(|says| says.claims = json!({"sub": subject, "preferred_username": name, "groups": groups}));
    }

    /// Changes one claim.
    pub fn claim(&self, name: &str, value: Value) {
        self.says(|says| says.claims[name] = value);
    }

    /// The parameters of the last visit.
    pub fn asked(&self, name: &str) -> Option<String> {
        self.inner.says.lock().unwrap().asked.get(name).cloned()
    }

    /// How often it was discovered, and how many codes it was shown.
    pub fn counts(&self) -> (usize, usize) {
        (self.inner.discovered.load(Ordering::Relaxed), self.inner.redeemed.load(Ordering::Relaxed))
    }

    /// A browser is sent here, the person logs in, and it is sent back; returns to which path of ours.
    pub async fn visit(&self, url: &str) -> String {
        let http = reqwest::Client::builder()
            .no_proxy()
            .tls_certs_only([])
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .unwrap();
        assert!(url.starts_with(&format!("{}/authorize?", self.url)), "sent to {url}");
        let answer = http.get(url).send().await.unwrap();
        let location = answer.headers().get(header::LOCATION).map(|to| to.to_str().unwrap().to_owned());
        let Some(location) = location else {
            panic!("the provider said: {}", answer.text().await.unwrap());
        };
        location.strip_prefix(HOUSE).unwrap().to_owned()
    }
}

async fn discovery(State(inner): State<Arc<Inner>>) -> Response {
    inner.discovered.fetch_add(1, Ordering::Relaxed);
    let says = inner.says.lock().unwrap();
    if says.silent {
        return StatusCode::BAD_GATEWAY.into_response();
    }
    let url = &inner.url;
    let mut document = json!({
        "issuer": url,
        "authorization_endpoint": format!("{url}/authorize"),
        "token_endpoint": format!("{url}/token"),
        "jwks_uri": format!("{url}/keys"),
        "response_types_supported": ["code"],
        "subject_types_supported": ["public"],
        // it claims to use even what is never to be believed
        "id_token_signing_alg_values_supported": ["RS256", "ES256", "HS256", "none"],
        "token_endpoint_auth_methods_supported": says.auth_methods,
    });
    if !says.userinfo.is_null() {
        document["userinfo_endpoint"] = json!(format!("{url}/userinfo"));
    }
    Json(document).into_response()
}

fn modulus(key: &RsaKeyPair) -> &[u8] {
    // RSAPublicKey in DER: two lengths, the zero before 256 bytes of modulus, then 65537
    &key.public_key().as_ref()[9..265]
}

async fn keys(State(inner): State<Arc<Inner>>) -> Json<Value> {
    let says = inner.says.lock().unwrap();
    let point = EC.public_key().as_ref();
    Json(json!({"keys": [
        {"kty": "RSA", "use": "sig", "alg": "RS256", "kid": says.key_id, "n": BASE64.encode(modulus(&RSA[says.key])), "e": "AQAB"},
        {"kty": "EC", "use": "sig", "crv": "P-256", "kid": "ec-1", "x": BASE64.encode(&point[1..33]), "y": BASE64.encode(&point[33..])},
        {"kty": "something new", "kid": "unknown"},
    ]}))
}

fn sha256(text: &str) -> Vec<u8> {
    digest::digest(&digest::SHA256, text.as_bytes()).as_ref().to_vec()
}

async fn authorize(
    State(inner): State<Arc<Inner>>,
    Query(asked): Query<HashMap<String, String>>,
) -> Response {
    let is = |name: &str, value: &str| asked.get(name).is_some_and(|given| given == value);
    let scopes = asked.get("scope").cloned().unwrap_or_default();
    let fine = is("client_id", CLIENT)
        && is("redirect_uri", &inner.redirect)
        && is("response_type", "code")
        && is("code_challenge_method", "S256")
        && scopes.split(' ').filter(|scope| *scope == "openid").count() == 1
        && ["state", "nonce", "code_challenge"].iter().all(|name| asked[*name].len() >= 16);
    if !fine {
        return (StatusCode::BAD_REQUEST, format!("{asked:?}")).into_response();
    }
    let mut back = url::Url::parse(&inner.redirect).unwrap();
    back.query_pairs_mut().append_pair("state", &asked["state"]).append_pair("iss", &inner.url);
    let mut says = inner.says.lock().unwrap();
    says.asked.clone_from(&asked);
    if let Some(error) = says.error {
        back.query_pairs_mut()
            .append_pair("error", error)
            .append_pair("error_description", "<b>who knows</b>");
    } else {
        let code = format!("code-{}", BASE64.encode(sha256(&asked["state"])));
        back.query_pairs_mut().append_pair("code", &code);
        inner.codes.lock().unwrap().insert(code, asked);
    }
    Redirect::to(back.as_str()).into_response()
}

fn no(status: StatusCode, error: &str) -> Response {
    (status, Json(json!({"error": error}))).into_response()
}

/// Whether the client shows its secret, in the way that was said.
fn knows_client(says: &Says, headers: &HeaderMap, form: &HashMap<String, String>) -> bool {
    let basic = says.auth_methods.as_array().unwrap().contains(&json!("client_secret_basic"));
    let shown = headers.get(header::AUTHORIZATION).map(|value| value.to_str().unwrap().to_owned());
    if !basic {
        return shown.is_none() && form.get("client_secret").is_some_and(|secret| secret == SECRET);
    }
    let escape = |text: &str| url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    let right = format!("Basic {}", STANDARD.encode(format!("{}:{}", escape(CLIENT), escape(SECRET))));
    shown == Some(right) && !form.contains_key("client_secret")
}

async fn token(
    State(inner): State<Arc<Inner>>,
    headers: HeaderMap,
    Form(form): Form<HashMap<String, String>>,
) -> Response {
    inner.redeemed.fetch_add(1, Ordering::Relaxed);
    let says = inner.says.lock().unwrap();
    if let Some((status, error)) = says.token_error {
        return no(status, error);
    }
    if !knows_client(&says, &headers, &form) {
        return no(StatusCode::UNAUTHORIZED, "invalid_client");
    }
    let field = |name: &str| form.get(name).map(String::as_str).unwrap_or_default();
    let Some(asked) = inner.codes.lock().unwrap().remove(field("code")) else {
        return no(StatusCode::BAD_REQUEST, "invalid_grant");
    };
    let proved = BASE64.encode(sha256(field("code_verifier"))) == asked["code_challenge"];
    if !proved || field("redirect_uri") != inner.redirect || field("grant_type") != "authorization_code" {
        return no(StatusCode::BAD_REQUEST, "invalid_grant");
    }
    let access = "an-access-token";
    let now = jiff::Timestamp::now().as_second();
    let mut claims = json!({
        "iss": inner.url, "aud": CLIENT, "iat": now, "exp": now + 300, "auth_time": now, "nonce": asked["nonce"],
        "at_hash": BASE64.encode(&sha256(access)[..16]),
    });
    for (name, value) in says.claims.as_object().unwrap() {
        claims[name] = value.clone();
    }
    claims.as_object_mut().unwrap().retain(|_, value| !value.is_null());
    let id_token = says.sign(&claims);
    let answer =
        json!({"access_token": access, "token_type": "Bearer", "expires_in": 300, "id_token": id_token});
    Json(answer).into_response()
}

async fn userinfo(State(inner): State<Arc<Inner>>, headers: HeaderMap) -> Response {
    if headers.get(header::AUTHORIZATION).is_none_or(|token| token != "Bearer an-access-token") {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    Json(inner.says.lock().unwrap().userinfo.clone()).into_response()
}

impl Says {
    fn sign(&self, claims: &Value) -> String {
        let (algorithm, key_id) = match self.signs {
            Signs::Rs256 | Signs::Wrongly => ("RS256", self.key_id.as_str()),
            Signs::Es256 => ("ES256", "ec-1"),
            Signs::Hs256 | Signs::Hs256WithThePublicKey => ("HS256", self.key_id.as_str()),
            Signs::Not => ("none", self.key_id.as_str()),
        };
        let head = json!({"alg": algorithm, "typ": "JWT", "kid": key_id}).to_string();
        let text = format!("{}.{}", BASE64.encode(head), BASE64.encode(claims.to_string()));
        let by_rsa = |key: &RsaKeyPair| {
            let mut signature = vec![0; key.public_modulus_len()];
            key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), text.as_bytes(), &mut signature).unwrap();
            signature
        };
        let by_secret = |secret: &[u8]| {
            hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), text.as_bytes()).as_ref().to_vec()
        };
        let signature = match self.signs {
            Signs::Rs256 => by_rsa(&RSA[self.key]),
            Signs::Wrongly => by_rsa(&RSA[1 - self.key]),
            Signs::Es256 => EC.sign(&SystemRandom::new(), text.as_bytes()).unwrap().as_ref().to_vec(),
            Signs::Hs256 => by_secret(SECRET.as_bytes()),
            Signs::Hs256WithThePublicKey => by_secret(modulus(&RSA[self.key])),
            Signs::Not => Vec::new(),
        };
        format!("{text}.{}", BASE64.encode(signature))
    }
}
