//! What a door answered, read as a person or a program reads it.

use axum::body::Body;
use axum::http::{HeaderMap, Response, header};
use scraper::{ElementRef, Html, Selector};

/// An answer.
pub struct Page {
    what: String,
    pub status: u16,
    pub headers: HeaderMap,
    pub text: String,
}

impl Page {
    pub async fn read(what: String, response: Response<Body>) -> Self {
        let (parts, body) = response.into_parts();
        // one that does not end by itself is read by whom it concerns
        let endless = parts.headers.get(header::CONTENT_TYPE).is_some_and(|kind| kind == "text/event-stream");
        let body = if endless { Body::empty() } else { body };
        let bytes = axum::body::to_bytes(body, usize::MAX).await.unwrap();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        Self { what, status: parts.status.as_u16(), headers: parts.headers, text }
    }

    /// Itself, when it has this status.
    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{} said: {}", self.what, self.said());
        self
    }

    /// What is to be read on it, shortened, for messages.
    fn said(&self) -> String {
        let main = self.all("main").pop().unwrap_or_else(|| self.text.clone());
        main.chars().take(600).collect()
    }

    /// Where it sends the browser.
    #[track_caller]
    pub fn leads_to(&self) -> String {
        assert_eq!(self.status, 303, "{} said: {}", self.what, self.said());
        self.header(header::LOCATION.as_str())
    }

    /// A header; empty when it is absent.
    pub fn header(&self, name: &str) -> String {
        self.headers.get(name).map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default()
    }

    /// The line that sets a cookie.
    #[track_caller]
    pub fn set_cookie(&self, name: &str) -> String {
        let lines = self.headers.get_all(header::SET_COOKIE).iter().map(|line| line.to_str().unwrap());
        let found = lines.into_iter().find(|line| line.starts_with(&format!("{name}=")));
        found.unwrap_or_else(|| panic!("{} sets no cookie {name}: {:?}", self.what, self.headers)).to_owned()
    }

    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.text)
            .unwrap_or_else(|error| panic!("{} said no JSON ({error}): {}", self.what, self.text))
    }

    fn html(&self) -> Html {
        Html::parse_document(&self.text)
    }

    /// The texts of all elements that a selector finds.
    pub fn all(&self, css: &str) -> Vec<String> {
        self.html().select(&Selector::parse(css).unwrap()).map(text).collect()
    }

    /// The text of the one element that a selector finds.
    #[track_caller]
    pub fn one(&self, css: &str) -> String {
        let mut found = self.all(css);
        assert_eq!(found.len(), 1, "{css} on {}: {found:?}, said: {}", self.what, self.said());
        found.remove(0)
    }

    pub fn has(&self, css: &str) -> bool {
        !self.all(css).is_empty()
    }

    /// An attribute of every element that a selector finds.
    pub fn attrs(&self, css: &str, name: &str) -> Vec<String> {
        let html = self.html();
        html.select(&Selector::parse(css).unwrap()).map(|element| attr(element, name)).collect()
    }

    /// The line that is shown once after an act.
    #[track_caller]
    pub fn flash(&self) -> String {
        self.one("#flash .flash p")
    }

    /// The message at a field of a form.
    #[track_caller]
    pub fn error_at(&self, field: &str) -> String {
        assert!(
            self.has(&format!("[name={field}][aria-invalid=true]")),
            "{field} is not marked on {}: {}",
            self.what,
            self.said()
        );
        self.one(&format!("#f-{field}-hint .error"))
    }

    /// How many fields have a message.
    pub fn errors(&self) -> usize {
        self.all("[aria-invalid=true]").len()
    }

    /// What stands in a field of a form.
    #[track_caller]
    pub fn typed(&self, field: &str) -> String {
        let html = self.html();
        let css = Selector::parse(&format!("[name={field}]")).unwrap();
        let element = html
            .select(&css)
            .next()
            .unwrap_or_else(|| panic!("no field {field} on {}: {}", self.what, self.said()));
        value(element)
    }

    /// The texts of the links and headings that a list's rows begin with.
    pub fn rows(&self) -> Vec<String> {
        self.all("tbody tr th[scope=row] a.through")
    }

    /// What a list of facts says of one thing.
    #[track_caller]
    pub fn fact(&self, name: &str) -> String {
        let names = self.all(".facts dt");
        let place = names
            .iter()
            .position(|found| found == name)
            .unwrap_or_else(|| panic!("no {name} among {names:?}"));
        self.all(".facts dd").remove(place)
    }

    /// The options of a choice.
    pub fn options(&self, field: &str) -> Vec<String> {
        self.all(&format!("select[name={field}] option"))
    }

    /// Whether there is a button or a link of this accessible name.
    pub fn offers(&self, name: &str) -> bool {
        let html = self.html();
        html.select(&Selector::parse("button, a[href]").unwrap())
            .any(|element| accessible_name(element) == name)
    }

    /// Where the form of a button goes, and what it sends when nothing else is typed.
    #[track_caller]
    pub fn form_of(&self, button: &str) -> (String, Vec<(String, String)>) {
        let html = self.html();
        let found: Vec<_> = html
            .select(&Selector::parse("button").unwrap())
            .filter(|element| accessible_name(*element) == button && attr(*element, "type") != "button")
            .collect();
        assert_eq!(found.len(), 1, "buttons `{button}` on {}, said: {}", self.what, self.said());
        let pressed = found[0];
        let form = pressed
            .ancestors()
            .filter_map(ElementRef::wrap)
            .find(|element| element.value().name() == "form")
            .unwrap();
        let id = attr(form, "id");
        let fields = Selector::parse("input[name], select[name], textarea[name]").unwrap();
        let of_form = |element: &ElementRef<'_>| match element.value().attr("form") {
            Some(other) => other == id,
            None => element.ancestors().any(|node| node.id() == form.id()),
        };
        let sent = |element: &ElementRef<'_>| {
            attr(*element, "type") != "checkbox" || element.value().attr("checked").is_some()
        };
        let mut pairs: Vec<_> = html
            .select(&fields)
            .filter(|element| of_form(element) && sent(element))
            .map(|element| (attr(element, "name"), value(element)))
            .collect();
        if pressed.value().attr("name").is_some() {
            pairs.push((attr(pressed, "name"), attr(pressed, "value")));
        }
        let action = Some(attr(pressed, "formaction"))
            .filter(|action| !action.is_empty())
            .unwrap_or_else(|| attr(form, "action"));
        (action.split('#').next().unwrap().to_owned(), pairs)
    }
}

fn attr(element: ElementRef<'_>, name: &str) -> String {
    element.value().attr(name).unwrap_or_default().to_owned()
}

/// The words of an element, single blanks between them.
fn text(element: ElementRef<'_>) -> String {
    element.text().collect::<String>().split_whitespace().collect::<Vec<_>>().join(" ")
}

fn accessible_name(element: ElementRef<'_>) -> String {
    element.value().attr("aria-label").map_or_else(|| text(element), str::to_owned)
}

fn value(element: ElementRef<'_>) -> String {
    match element.value().name() {
        "textarea" => element.text().collect(),
        "select" => {
            let chosen = element.select(&Selector::parse("option[selected]").unwrap()).next();
            let first = element.select(&Selector::parse("option").unwrap()).next();
            chosen.or(first).map(|option| attr(option, "value")).unwrap_or_default()
        }
        _ => attr(element, "value"),
    }
}
