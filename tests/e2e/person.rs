//! A person with a browser: cookies, forms, redirects, and what a page says.

use std::net::SocketAddr;
use std::time::Duration;

use reqwest::header::{COOKIE, LOCATION, SET_COOKIE};
use scraper::{Html, Selector};

/// A client that follows no redirect by itself.
pub fn http() -> reqwest::Client {
    // the program's own setting; set once is enough
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let http = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none());
    http.timeout(Duration::from_secs(60)).build().unwrap()
}

/// Asks again and again until there is an answer.
pub async fn until<T>(what: &str, limit: Duration, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let asked = async {
        let mut beat = tokio::time::interval(Duration::from_millis(100));
        loop {
            beat.tick().await;
            if let Some(answer) = ask().await {
                return answer;
            }
        }
    };
    match tokio::time::timeout(limit, asked).await {
        Ok(answer) => answer,
        Err(_) => panic!("waited {limit:?} in vain until {what}"),
    }
}

pub struct Person {
    http: reqwest::Client,
    base: String,
    cookie: String,
}

impl Person {
    pub fn new(at: SocketAddr) -> Self {
        Self { http: http(), base: format!("http://{at}"), cookie: String::new() }
    }

    pub async fn get(&mut self, path: &str) -> Page {
        self.follow(self.http.get(self.url(path))).await
    }

    /// Sends a form and follows where it leads.
    pub async fn post(&mut self, path: &str, form: &[(&str, &str)]) -> Page {
        self.follow(self.http.post(self.url(path)).form(form)).await
    }

    /// Looks at the difference, then presses the button, and waits until the targets were seen, too.
    pub async fn publish(&mut self) -> Page {
        let page = self.get("/publications").await;
        let revision = page.value("input[name=revision]").expect("something waits to be published");
        let page = self.post("/publications", &[("revision", &revision)]).await;
        let path = page.path.clone();
        until("the publication ends", Duration::from_secs(60), async || {
            let page = self.get(&path).await;
            let running = ["Running", "Following the targets"].contains(&page.state()?.as_str());
            (!running).then_some(page)
        })
        .await
    }

    fn url(&self, path: &str) -> String {
        if path.starts_with("http") { path.to_owned() } else { format!("{}{path}", self.base) }
    }

    async fn follow(&mut self, mut request: reqwest::RequestBuilder) -> Page {
        for _ in 0..5 {
            let answer = request.header(COOKIE, &self.cookie).send().await.unwrap();
            for set in answer.headers().get_all(SET_COOKIE) {
                set.to_str().unwrap().split(';').next().unwrap().clone_into(&mut self.cookie);
            }
            if !answer.status().is_redirection() {
                let path = answer.url().path().to_owned();
                let status = answer.status();
                let text = answer.text().await.unwrap();
                assert!(
                    status.is_success(),
                    "{path} answered {status}: {}",
                    plain(&Html::parse_document(&text))
                );
                return Page { path, text };
            }
            let to = answer.headers()[LOCATION].to_str().unwrap().to_owned();
            request = self.http.get(self.url(&to));
        }
        panic!("too many redirects");
    }
}

pub struct Page {
    path: String,
    text: String,
}

impl Page {
    fn html(&self) -> Html {
        Html::parse_document(&self.text)
    }

    #[track_caller]
    pub fn is_page(&self, path: &str) {
        assert_eq!(self.path, path);
    }

    /// Whether a person reads this on it.
    #[track_caller]
    pub fn says(&self, text: &str) {
        let plain = plain(&self.html());
        assert!(plain.contains(text), "{} does not say `{text}`, but:\n{plain}", self.path);
    }

    /// Whether a person reads this on it, without a complaint.
    pub fn reads(&self, text: &str) -> bool {
        plain(&self.html()).contains(text)
    }

    /// The word of the first state in the page's content.
    pub fn state(&self) -> Option<String> {
        let html = self.html();
        let found = html.select(&Selector::parse("main .state").unwrap()).next()?;
        Some(found.text().collect::<String>().trim().to_owned())
    }

    /// The value of a form's field.
    pub fn value(&self, selector: &str) -> Option<String> {
        let html = self.html();
        let found = html.select(&Selector::parse(selector).unwrap()).next()?;
        found.value().attr("value").map(str::to_owned)
    }

    /// The target of the first link in the content below a path and an id.
    pub fn first_link(&self, room: &str) -> Option<String> {
        self.links(room).into_iter().map(|(href, _)| href).next()
    }

    /// How many links there are below a path and an id.
    pub fn links_below(&self, room: &str) -> usize {
        self.links(room).len()
    }

    /// The target of the link with that text.
    #[track_caller]
    pub fn link_to(&self, room: &str, text: &str) -> String {
        let links = self.links(room);
        let found = links.iter().find(|(_, words)| words == text);
        found.unwrap_or_else(|| panic!("no link {text} among {links:?}")).0.clone()
    }

    fn links(&self, room: &str) -> Vec<(String, String)> {
        let html = self.html();
        let selector = Selector::parse("main a[href]").unwrap();
        let links = html.select(&selector).map(|link| {
            (link.value().attr("href").unwrap().to_owned(), link.text().collect::<String>().trim().to_owned())
        });
        let id = |href: &str| {
            href.strip_prefix(room).is_some_and(|id| !id.is_empty() && id.bytes().all(|b| b.is_ascii_digit()))
        };
        links.filter(|(href, _)| id(href)).collect()
    }
}

/// What is to be read in the content, blanks folded.
fn plain(html: &Html) -> String {
    let main = html.select(&Selector::parse("main").unwrap()).next();
    let text: String = main.map(|main| main.text().collect::<Vec<_>>().join(" ")).unwrap_or_default();
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
