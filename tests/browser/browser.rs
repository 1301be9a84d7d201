//! A person at a real Chromium: finds things by what they are called, presses, types, and waits
//! until the page says so. Speaks the WebDriver protocol to chromedriver, which is a few JSON calls.

use std::fmt::Display;
use std::path::Path;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use prommgr::demo::stack::free_port;
use prommgr::leash::{Leash, Spec};
use reqwest::Method;
use serde_json::{Value, json};

use crate::person;

/// How long a page may take to say what is expected of it; the machine may be busy.
const PATIENCE: Duration = Duration::from_secs(20);
/// The key under which WebDriver names an element.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";
/// Things of a page by their accessible names.
const WORDS: &str = include_str!("words.js");

/// Keys that are no characters, as WebDriver writes them.
pub const TAB: &str = "\u{e004}";
pub const ENTER: &str = "\u{e007}";
pub const ESCAPE: &str = "\u{e00c}";
const UP: &str = "\u{e013}";
const DOWN: &str = "\u{e015}";

/// chromedriver, which starts and ends the browsers.
pub struct Driver {
    url: String,
    leash: Leash,
}

impl Driver {
    pub async fn start(dir: &Path) -> Self {
        let port = free_port(0).unwrap();
        let program = ["/usr/bin/chromedriver", "chromedriver"]
            .into_iter()
            .find(|path| Path::new(path).exists())
            .unwrap_or("chromedriver");
        let mut leash = Leash::spawn(Spec {
            program: program.into(),
            args: vec![format!("--port={port}").into()],
            env: vec![("HOME".into(), dir.into())],
            dir: Some(dir.into()),
            log: dir.join("chromedriver.log"),
            ..Spec::default()
        })
        .unwrap();
        let url = format!("http://127.0.0.1:{port}");
        person::until("chromedriver is ready", PATIENCE, async || {
            if let Some(ended) = leash.try_wait().unwrap() {
                panic!("chromedriver ended: {ended}");
            }
            person::http()
                .get(format!("{url}/status"))
                .send()
                .await
                .is_ok_and(|answer| answer.status().is_success())
                .then_some(())
        })
        .await;
        Self { url, leash }
    }

    pub async fn stop(self) {
        self.leash.stop(PATIENCE).await.unwrap();
    }
}

/// A browser with one window, fresh.
pub struct Browser {
    http: reqwest::Client,
    session: String,
    /// Where prommgr is.
    pub base: String,
}

impl Browser {
    /// Opens one; with scripts forbidden it is a browser as some people have it.
    pub async fn open(driver: &Driver, base: String, profile: &Path, scripts: bool) -> Self {
        let profile = format!("--user-data-dir={}", profile.display());
        let flags = [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--disable-dev-shm-usage",
            "--window-size=1280,900",
            // it ends with chromedriver, also when that is killed
            "--remote-debugging-pipe",
            // colours are measured, so they must not be on their way
            "--force-prefers-reduced-motion",
            "--lang=en-GB",
            "--host-resolver-rules=MAP lan.test 127.0.0.1",
            &profile,
        ];
        let mut options = json!({ "args": flags });
        if !scripts {
            options["prefs"] = json!({ "profile.managed_default_content_settings.javascript": 2 });
        }
        let logs = json!({ "browser": "ALL", "performance": "ALL" });
        let wanted =
            json!({ "browserName": "chrome", "goog:chromeOptions": options, "goog:loggingPrefs": logs });
        let mut browser = Self { http: person::http(), session: format!("{}/session", driver.url), base };
        let answer = browser
            .call(Method::POST, "", json!({ "capabilities": { "alwaysMatch": wanted } }))
            .await
            .unwrap();
        browser.session = format!("{}/{}", browser.session, answer["sessionId"].as_str().unwrap());
        browser
    }

    /// Closes it; one that does not answer ends with chromedriver.
    pub async fn close(self) {
        let _ = tokio::time::timeout(PATIENCE, self.call(Method::DELETE, "", Value::Null)).await;
    }

    /// One WebDriver command: its value, or what chromedriver says is wrong.
    async fn call(&self, method: Method, command: &str, body: Value) -> Result<Value, String> {
        let mut request = self.http.request(method, format!("{}{command}", self.session));
        if !body.is_null() {
            request = request.json(&body);
        }
        let answer: Value = request
            .send()
            .await
            .map_err(|error| error.to_string())?
            .json()
            .await
            .map_err(|error| error.to_string())?;
        let value = answer["value"].clone();
        match value["error"].as_str() {
            Some(error) => Err(format!("{error}: {}", value["message"].as_str().unwrap_or_default())),
            None => Ok(value),
        }
    }

    async fn post(&self, command: &str, body: Value) -> Result<Value, String> {
        self.call(Method::POST, command, body).await
    }

    /// Asks again and again until it works; says why it did not.
    async fn until<T>(&self, what: impl Display, ask: impl AsyncFn() -> Result<T, String>) -> T {
        let mut why = String::new();
        let asked = async {
            let mut beat = tokio::time::interval(Duration::from_millis(25));
            loop {
                beat.tick().await;
                match ask().await {
                    Ok(answer) => return answer,
                    Err(error) => why = error,
                }
            }
        };
        match tokio::time::timeout(PATIENCE, asked).await {
            Ok(answer) => answer,
            Err(_) => panic!("waited {PATIENCE:?} in vain until {what}: {why}"),
        }
    }

    /// Runs a function's body in the page. Not bound by the page's CSP.
    pub async fn script(&self, body: &str, args: Value) -> Value {
        self.try_script(body, args).await.unwrap()
    }

    async fn try_script(&self, body: &str, args: Value) -> Result<Value, String> {
        self.post("/execute/sync", json!({ "script": body, "args": args })).await
    }

    /// Runs a function's body that gives its answer to the last argument.
    pub async fn script_async(&self, body: &str, args: Value) -> Value {
        self.post("/execute/async", json!({ "script": body, "args": args })).await.unwrap()
    }

    /// A command of Chromium's own protocol.
    pub async fn cdp(&self, command: &str, params: Value) {
        self.post("/goog/cdp/execute", json!({ "cmd": command, "params": params })).await.unwrap();
    }

    async fn words(&self, ask: &str, args: Value) -> Result<Value, String> {
        self.try_script(&format!("{WORDS}\nreturn {ask}(...arguments);"), args).await
    }

    /// The one element of a name, as a command's path.
    async fn element(&self, ask: &str, args: Value) -> Result<String, String> {
        let found = self.words(ask, args).await?;
        let id = found[ELEMENT].as_str().ok_or_else(|| format!("there is not one such thing but {found}"))?;
        Ok(format!("/element/{id}"))
    }

    // What a person does.

    /// Opens a page of ours.
    pub async fn go(&self, path: &str) {
        let url = if path.starts_with("http") { path.to_owned() } else { format!("{}{path}", self.base) };
        self.post("/url", json!({ "url": url })).await.unwrap();
    }

    pub async fn back(&self) {
        self.post("/back", json!({})).await.unwrap();
    }

    pub async fn reload(&self) {
        self.post("/refresh", json!({})).await.unwrap();
    }

    /// Presses the one button, link or summary of this name.
    pub async fn press(&self, name: &str) {
        self.press_in("body", name).await;
    }

    /// Presses the one within a part of the page.
    pub async fn press_in(&self, within: &str, name: &str) {
        self.until(format!("`{name}` is pressed"), async || {
            let element = self.element("pressable", json!([within, name])).await?;
            self.post(&format!("{element}/click"), json!({})).await
        })
        .await;
    }

    /// Puts the cursor into the field of this name.
    pub async fn focus(&self, label: &str) {
        self.until(format!("`{label}` has the cursor"), async || {
            let element = self.element("field", json!([label])).await?;
            self.post(&format!("{element}/click"), json!({})).await
        })
        .await;
    }

    /// Writes into the field of this name, instead of what stands there.
    pub async fn fill(&self, label: &str, text: &str) {
        self.until(format!("`{label}` is filled"), async || {
            let element = self.element("field", json!([label])).await?;
            self.post(&format!("{element}/clear"), json!({})).await?;
            self.post(&format!("{element}/value"), json!({ "text": text })).await
        })
        .await;
    }

    /// Chooses from the list of this name, by the arrow keys: chromedriver's click on an option tells the
    /// page less than a person's does.
    pub async fn choose(&self, label: &str, option: &str) {
        self.until(format!("`{option}` is chosen as `{label}`"), async || {
            let element = self.element("field", json!([label])).await?;
            let steps = self.words("steps", json!([label, option])).await?;
            let steps = steps.as_i64().ok_or_else(|| format!("there is no such choice but {steps}"))?;
            let key = if steps < 0 { UP } else { DOWN };
            self.post(
                &format!("{element}/value"),
                json!({ "text": key.repeat(steps.unsigned_abs() as usize) }),
            )
            .await
        })
        .await;
    }

    /// Presses keys, one after the other, wherever the focus is.
    pub async fn keys(&self, keys: &str) {
        let each = keys.chars().flat_map(|key| {
            [json!({ "type": "keyDown", "value": key }), json!({ "type": "keyUp", "value": key })]
        });
        let actions = json!([{ "type": "key", "id": "keyboard", "actions": each.collect::<Vec<_>>() }]);
        self.post("/actions", json!({ "actions": actions })).await.unwrap();
    }

    // What a person sees.

    /// Waits until this is the page, by its path and query.
    pub async fn at(&self, place: &str) {
        self.until(format!("the page is {place}"), async || {
            let here = self.place().await?;
            if here == place { Ok(()) } else { Err(format!("it is {here}")) }
        })
        .await;
    }

    /// Waits until the page's path is one with an id below this one; says it.
    pub async fn at_one_of(&self, room: &str) -> String {
        self.until(format!("the page is one of {room}"), async || {
            let here = self.place().await?;
            let id = here.strip_prefix(room).and_then(|rest| rest.strip_prefix('/'));
            if id.is_some_and(|id| id.parse::<i64>().is_ok()) {
                Ok(here)
            } else {
                Err(format!("it is {here}"))
            }
        })
        .await
    }

    async fn place(&self) -> Result<String, String> {
        let here = self.try_script("return document.readyState !== 'complete' ? 'on its way' : location.pathname + location.search", json!([])).await?;
        Ok(here.as_str().unwrap_or_default().to_owned())
    }

    /// Waits until a person reads this in the page, or in the dialog that is open.
    pub async fn says(&self, text: &str) {
        self.until(format!("the page says `{text}`"), async || {
            let said = self.said().await?;
            if said.contains(text) { Ok(()) } else { Err(format!("it says {said}")) }
        })
        .await;
    }

    /// What is to be read, blanks folded.
    pub async fn said(&self) -> Result<String, String> {
        Ok(self.words("said", json!([])).await?.as_str().unwrap_or_default().to_owned())
    }

    /// Waits until the texts of all visible elements of a selector are these.
    pub async fn reads(&self, css: &str, texts: &[&str]) {
        self.until(format!("{css} reads {texts:?}"), async || {
            let read = self.texts(css).await?;
            if read == texts { Ok(()) } else { Err(format!("it reads {read:?}")) }
        })
        .await;
    }

    async fn texts(&self, css: &str) -> Result<Vec<String>, String> {
        let found = self.words("texts", json!([css])).await?;
        Ok(found
            .as_array()
            .into_iter()
            .flatten()
            .map(|text| text.as_str().unwrap_or_default().to_owned())
            .collect())
    }

    /// Waits until so many elements of a selector are to be seen.
    pub async fn count(&self, css: &str, wanted: usize) {
        self.until(format!("{wanted} of {css} are there"), async || {
            let found = self.texts(css).await?.len();
            if found == wanted { Ok(()) } else { Err(format!("it is {found}")) }
        })
        .await;
    }

    /// Waits until an expression about the page is true.
    pub async fn holds(&self, expression: &str) {
        self.until(format!("`{expression}` holds"), async || {
            let value = self.try_script(&format!("return ({expression})"), json!([])).await?;
            if value == true { Ok(()) } else { Err(format!("it is {value}")) }
        })
        .await;
    }

    /// Waits until the field of this name holds a value.
    pub async fn holds_value(&self, label: &str, value: &str) {
        self.until(format!("`{label}` holds `{value}`"), async || {
            let held = self.words("value", json!([label])).await?;
            if held == value { Ok(()) } else { Err(format!("it holds {held}")) }
        })
        .await;
    }

    /// Where the link of this name leads.
    pub async fn link(&self, name: &str) -> String {
        self.until(format!("there is a link `{name}`"), async || {
            let href = self.words("link", json!([name])).await?;
            href.as_str().map(str::to_owned).ok_or_else(|| "there is none".to_owned())
        })
        .await
    }

    /// The message that is read out with a field which is marked as wrong.
    pub async fn complaint(&self, label: &str) -> String {
        self.until(format!("`{label}` is marked as wrong"), async || {
            let said = self.words("complaint", json!([label])).await?;
            said.as_str().map(str::to_owned).ok_or_else(|| "it is not".to_owned())
        })
        .await
    }

    /// Makes the window so wide; below 500 as a phone's.
    pub async fn resize(&self, width: u32) {
        let (height, mobile) = if width < 500 { (740, true) } else { (900, false) };
        let size = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": mobile });
        self.cdp("Emulation.setDeviceMetricsOverride", size).await;
        self.drawn("").await;
    }

    /// Runs a statement in the page, and waits until what it changed is drawn.
    pub async fn drawn(&self, statement: &str) {
        let frames = "requestAnimationFrame(() => requestAnimationFrame(arguments[0]))";
        self.script_async(&format!("{statement}; {frames}"), json!([])).await;
    }

    /// A log of the browser since it was last asked: `browser` or `performance`.
    pub async fn log(&self, kind: &str) -> Vec<Value> {
        let entries = self.post("/se/log", json!({ "type": kind })).await.unwrap();
        entries.as_array().cloned().unwrap_or_default()
    }

    /// Saves a picture of the window, and what is to be read.
    pub async fn save(&self, folder: &Path, name: &str) -> Result<String, String> {
        let picture = self.call(Method::GET, "/screenshot", Value::Null).await?;
        let picture =
            STANDARD.decode(picture.as_str().unwrap_or_default()).map_err(|error| error.to_string())?;
        let text = format!("{}\n{}\n", self.place().await?, self.said().await?);
        let path = folder.join(name);
        std::fs::create_dir_all(folder).map_err(|error| error.to_string())?;
        std::fs::write(path.with_extension("png"), picture).map_err(|error| error.to_string())?;
        std::fs::write(path.with_extension("txt"), text).map_err(|error| error.to_string())?;
        Ok(format!("{}.png and .txt", path.display()))
    }
}
