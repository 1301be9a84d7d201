//! The second factor: setting it up, the second step of a login, and what may not get through it.

use jiff::{SignedDuration, Timestamp};
use prommgr::app::App;
use prommgr::config::Settings;
use prommgr::store::changes::Actor;
use prommgr::store::scope::All;
use prommgr::store::second_factors::{self, Resealed};
use prommgr::store::users;
use prommgr::totp::Secret;

use crate::house::{House, KEY, PASSWORD};
use crate::page::Page;
use crate::person::Person;

const HERE: &str = "/account/second-factor";
pub const STEP: &str = "/login/second-factor";

/// Somebody's app.
pub struct Phone(Secret);

impl Phone {
    /// One that has taken the key that a page shows.
    fn scans(page: &Page) -> Self {
        let key = page.one("#key").replace(' ', "");
        let bytes = totp_rs::Secret::try_from_base32(&key).unwrap().as_bytes().to_vec();
        Self(Secret::from_bytes(bytes))
    }

    /// Holds for half a minute at least.
    fn now(&self) -> String {
        self.0.code(Timestamp::now()).unwrap()
    }

    /// The code after it, which holds already.
    pub fn next(&self) -> String {
        self.0.code(Timestamp::now() + SignedDuration::from_secs(30)).unwrap()
    }

    /// None of those that hold.
    fn wrong(&self) -> String {
        let around: Vec<_> = (-3..=3)
            .map(|steps| self.0.code(Timestamp::now() + SignedDuration::from_secs(30 * steps)).unwrap())
            .collect();
        (0..).map(|n| format!("{n:06}")).find(|code| !around.contains(code)).unwrap()
    }
}

async fn begins(person: &Person) -> (Page, Phone) {
    let page = person.get(HERE).await.expect(200);
    assert_eq!(person.presses(&page, "Set it up", &[]).await.leads_to(), HERE);
    let page = person.get(HERE).await.expect(200);
    let phone = Phone::scans(&page);
    (page, phone)
}

/// Turns it on with the code of now; returns the recovery codes too.
pub async fn turns_on(person: &Person) -> (Phone, Vec<String>) {
    let (page, phone) = begins(person).await;
    let codes = person.presses(&page, "Turn it on", &[("code", &phone.now())]).await.expect(200);
    (phone, codes.one("#codes").split(' ').map(str::to_owned).collect())
}

async fn gives_password(person: &Person, name: &str) -> Page {
    person.post("/login", &[("username", name), ("password", PASSWORD)]).await
}

pub async fn gives(person: &Person, code: &str) -> Page {
    person.post(STEP, &[("code", code)]).await
}

/// Somebody new at the second step.
async fn halfway(house: &House, name: &str) -> Person {
    let person = house.anyone();
    assert_eq!(gives_password(&person, name).await.leads_to(), STEP);
    person
}

/// As if nothing had been used yet.
async fn forget_used(house: &House) {
    house.db.batch_execute("update second_factors set last_step = 0").await.unwrap();
}

async fn is_out(person: &Person) {
    for path in ["/", "/servers", HERE] {
        let to = person.get(path).await.leads_to();
        assert!(to == "/login" || to.starts_with("/login?next="), "{path} leads to {to}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn from_setting_it_up_to_logging_in_with_it() {
    let house = House::new().await;
    let (alice, elsewhere) = (house.alice(), house.anyone());
    gives_password(&elsewhere, "alice").await.leads_to();
    elsewhere.get("/").await.expect(200);
    let (page, phone) = begins(&alice).await;
    assert_eq!(page.attrs(".qr", "role"), ["img"]);
    let link = page.attrs("a[href^='otpauth:']", "href").remove(0);
    assert!(link.starts_with("otpauth://totp/prommgr:alice%40prommgr.test?secret="), "{link}");
    assert!(!page.has("[style], style"), "the CSP forbids it");

    let before = alice.cookie("prommgr");
    let codes = alice.presses(&page, "Turn it on", &[("code", &phone.now())]).await.expect(200);
    assert_eq!(codes.one("#codes").split(' ').count(), 10);
    assert_eq!(codes.header("cache-control"), "no-store");
    // what the password alone has opened is over
    elsewhere.get("/").await.leads_to();
    assert_ne!(alice.cookie("prommgr"), before);
    let thief = house.anyone();
    thief.plant("prommgr", &before);
    is_out(&thief).await;
    assert_eq!(alice.get("/account").await.fact("Second factor"), "On · Change it");
    let on = alice.get(HERE).await.expect(200);
    assert!(on.fact("State").starts_with("On, since"));
    assert_eq!(on.fact("Recovery codes"), "10 left");
    assert!(!on.has("#key"));

    alice.post("/logout", &[]).await.leads_to();
    let login = alice.get("/alerts?state=open").await.leads_to();
    let form = alice.get(&login).await.expect(200);
    let sent = alice.presses(&form, "Log in", &[("username", "alice"), ("password", PASSWORD)]).await;
    assert_eq!(sent.leads_to(), STEP);
    let form = alice.get(STEP).await.expect(200);
    assert_eq!(form.attrs("[name=code]", "autocomplete"), ["one-time-code"]);
    assert_eq!(form.attrs("[name=code]", "inputmode"), ["numeric"]);
    // as apps show it
    let next = phone.next();
    let code = format!(" {} {} ", &next[..3], &next[3..]);
    assert_eq!(alice.presses(&form, "Log in", &[("code", &code)]).await.leads_to(), "/alerts?state=open");
    assert_eq!(alice.get("/").await.expect(200).one(".menu.user .name"), "alice");
    assert_eq!(house.count("users where name = 'alice' and last_login_at is not null").await, 1);
    // bob has none
    assert_eq!(gives_password(&house.anyone(), "bob").await.leads_to(), "/");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_only_being_set_up_asks_nobody() {
    let house = House::new().await;
    let alice = house.alice();
    let (page, phone) = begins(&alice).await;
    assert_eq!(gives_password(&house.anyone(), "alice").await.leads_to(), "/");
    for code in ["", "12345", &phone.wrong(), "abcd-efgh-jkmn-2345"] {
        let wrong = alice.presses(&page, "Turn it on", &[("code", code)]).await.expect(422);
        assert!(wrong.error_at("code").starts_with("This is not what the app should show now."), "{code}");
        assert_eq!(wrong.one("#key"), page.one("#key"), "the same key is still shown");
    }
    assert_eq!(house.count("second_factors where secret is not null").await, 0);
    assert_eq!(gives_password(&house.anyone(), "alice").await.leads_to(), "/");
    // nor for ever
    house
        .db
        .batch_execute("update second_factors set pending_at = now() - interval '61 minutes'")
        .await
        .unwrap();
    assert!(!alice.get(HERE).await.has("#key"));
    let late = alice.does(&format!("{HERE}/confirmation"), &[("code", &phone.now())]).await;
    assert_eq!(late.flash(), "Nothing is being set up any more. Begin anew.");
    assert_eq!(house.count("second_factors where secret is not null").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn halfway_is_nobody() {
    let house = House::new().await;
    let alice = house.alice();
    turns_on(&alice).await;
    let half = halfway(&house, "alice").await;
    is_out(&half).await;
    for path in [HERE, &format!("{HERE}/removal"), &format!("{HERE}/recovery-codes"), "/servers"] {
        let to = half.post(path, &[("name", "x")]).await.leads_to();
        assert!(to.starts_with("/login?next="), "{to}");
    }
    assert_eq!(house.count("second_factors where secret is not null").await, 1);
    half.get(STEP).await.expect(200);
    // and whoever did not give the password gets no question
    for person in [house.anyone(), house.bob()] {
        assert_eq!(person.get(STEP).await.leads_to(), "/login");
        assert_eq!(gives(&person, "123456").await.leads_to(), "/login");
    }
    // whoever was signed in at that browser is not any more
    let charlie = house.charlie();
    gives_password(&charlie, "alice").await.leads_to();
    is_out(&charlie).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_is_taken_once() {
    let house = House::new().await;
    let (phone, _) = turns_on(&house.alice()).await;
    let next = phone.next();
    let one = halfway(&house, "alice").await;
    // the code that turned it on has been used
    assert_eq!(
        gives(&one, &phone.0.code(turned_on_at(&house).await).unwrap()).await.expect(422).error_at("code"),
        "This code was used before. Wait for the next one."
    );
    assert_eq!(gives(&one, &next).await.leads_to(), "/");
    let other = halfway(&house, "alice").await;
    let refused = gives(&other, &next).await.expect(422);
    assert_eq!(refused.error_at("code"), "This code was used before. Wait for the next one.");
    assert_eq!(refused.typed("code"), "");
    is_out(&other).await;
}

/// The moment of the step whose code was taken last.
async fn turned_on_at(house: &House) -> Timestamp {
    let step: i64 = house.column("select last_step::text from second_factors").await[0].parse().unwrap();
    Timestamp::from_second(step * 30).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_with_the_same_code_at_the_same_moment_one_gets_in() {
    let house = House::new().await;
    let (phone, codes) = turns_on(&house.alice()).await;
    for recovery_code in &codes[..5] {
        forget_used(&house).await;
        for code in [&phone.next(), recovery_code] {
            let mut people = Vec::new();
            for _ in 0..4 {
                people.push(halfway(&house, "alice").await);
            }
            let answers =
                futures_util::future::join_all(people.iter().map(|person| gives(person, code))).await;
            let got_in = answers.iter().filter(|answer| answer.status == 303).count();
            assert_eq!(got_in, 1, "{:?}", answers.iter().map(|answer| answer.status).collect::<Vec<_>>());
            house.db.batch_execute("update second_factors set wrong = 0").await.unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recovery_code_works_once_however_it_is_typed() {
    let house = House::new().await;
    let (_, codes) = turns_on(&house.alice()).await;
    let typed = [codes[0].clone(), codes[1].to_uppercase(), format!(" {} ", codes[2].replace('-', " "))];
    for (used, code) in typed.iter().enumerate() {
        let alice = halfway(&house, "alice").await;
        let form = alice.get(STEP).await;
        let to = alice.presses(&form, "Log in", &[("recovery_code", code)]).await.leads_to();
        let flash = alice.get(&to).await.expect(200).flash();
        assert!(flash.contains(&format!("{} are left", 9 - used)), "{flash}");
        let again = halfway(&house, "alice").await;
        let refused = again.post(STEP, &[("recovery_code", code)]).await.expect(422);
        assert_eq!(refused.error_at("recovery_code"), "This is none of your recovery codes, or it was used.");
        assert!(refused.has("details[open] [name=recovery_code]"));
    }
    // the first field takes them too
    assert_eq!(gives(&halfway(&house, "alice").await, &codes[3]).await.leads_to(), "/");
    // another person's do not work
    let (_, bobs) = turns_on(&house.bob()).await;
    gives(&halfway(&house, "alice").await, &bobs[0]).await.expect(422);
    assert_eq!(house.count("recovery_codes").await, 16);
}

#[tokio::test(flavor = "multi_thread")]
async fn new_recovery_codes_take_the_place_of_the_old() {
    let house = House::new().await;
    let alice = house.alice();
    // without a second factor there are none
    assert_eq!(alice.does(&format!("{HERE}/recovery-codes"), &[]).await.flash(), "The second factor is off.");
    let (_, old) = turns_on(&alice).await;
    let page = alice.get(HERE).await;
    let new = alice.presses(&page, "Make new ones", &[]).await.expect(200).one("#codes");
    assert_eq!(house.count("recovery_codes").await, 10);
    let half = halfway(&house, "alice").await;
    gives(&half, &old[0]).await.expect(422);
    assert_eq!(gives(&half, new.split(' ').next().unwrap()).await.leads_to(), "/");
    // the session that made them goes on
    assert_eq!(alice.get(HERE).await.expect(200).fact("Recovery codes"), "9 left");
}

#[tokio::test(flavor = "multi_thread")]
async fn turned_off_the_password_is_enough() {
    let house = House::new().await;
    let alice = house.alice();
    let (_, codes) = turns_on(&alice).await;
    let page = alice.get(HERE).await;
    assert_eq!(alice.presses(&page, "Turn off", &[]).await.leads_to(), HERE);
    assert_eq!(alice.get(HERE).await.flash(), "The second factor is off.");
    assert_eq!(gives_password(&house.anyone(), "alice").await.leads_to(), "/");
    assert_eq!(house.count("recovery_codes").await, 0);
    // the old codes do not come back with another one
    turns_on(&alice).await;
    gives(&halfway(&house, "alice").await, &codes[0]).await.expect(422);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_app_takes_over_when_it_has_shown_a_code() {
    let house = House::new().await;
    let alice = house.alice();
    let (old, old_codes) = turns_on(&alice).await;
    let page = alice.get(HERE).await;
    alice.presses(&page, "Use another app", &[]).await.leads_to();
    let page = alice.get(HERE).await.expect(200);
    let new = Phone::scans(&page);
    assert_ne!(old.0.as_bytes(), new.0.as_bytes());
    let half = halfway(&house, "alice").await;
    gives(&half, &new.next()).await.expect(422);
    assert_eq!(gives(&half, &old.next()).await.leads_to(), "/");
    let half = halfway(&house, "alice").await;
    alice.presses(&page, "Turn it on", &[("code", &new.now())]).await.expect(200);
    // a login that began with the old one is over
    assert_eq!(gives(&half, &new.next()).await.leads_to(), "/login");
    let half = halfway(&house, "alice").await;
    forget_used(&house).await;
    gives(&half, &old.next()).await.expect(422);
    gives(&half, &old_codes[0]).await.expect(422);
    assert_eq!(gives(&half, &new.next()).await.leads_to(), "/");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_step_has_a_session_id_of_its_own() {
    let house = House::new().await;
    let (phone, _) = turns_on(&house.alice()).await;
    // one that never was, and one that somebody has
    for planted in [house.invented_cookie(), house.charlie().cookie("prommgr")] {
        forget_used(&house).await;
        let alice = house.anyone();
        alice.plant("prommgr", &planted);
        gives_password(&alice, "alice").await.leads_to();
        let half = alice.cookie("prommgr");
        assert_ne!(half, planted);
        assert_eq!(gives(&alice, &phone.next()).await.leads_to(), "/");
        let whole = alice.cookie("prommgr");
        assert_ne!(whole, half);
        alice.get("/").await.expect(200);
        for old in [&planted, &half] {
            let thief = house.anyone();
            thief.plant("prommgr", old);
            is_out(&thief).await;
            assert_eq!(thief.get(STEP).await.leads_to(), "/login");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_changes_in_the_middle_ends_it() {
    let house = House::new().await;
    let (phone, codes) = turns_on(&house.alice()).await;
    let (all, shell) = (All::operator(), Actor::command_line());
    let mut db = house.app.db(all).await.unwrap();
    let alice = users::by_name(&mut db, "alice").await.unwrap().unwrap().id;
    let over = async |half: &Person| {
        for code in [&phone.next(), &codes[0]] {
            assert!(gives(half, code).await.leads_to().starts_with("/login"));
            is_out(half).await;
        }
    };

    let half = halfway(&house, "alice").await;
    house.db.batch_execute("update users set disabled_at = now() where name = 'alice'").await.unwrap();
    over(&half).await;
    house.db.batch_execute("update users set disabled_at = null").await.unwrap();

    let half = halfway(&house, "alice").await;
    users::set_password(&mut db, all, "alice", "quite another one".into(), &shell).await.unwrap();
    over(&half).await;
    users::set_password(&mut db, all, "alice", PASSWORD.into(), &shell).await.unwrap();

    // ten minutes are enough
    let half = halfway(&house, "alice").await;
    let age = async |seconds: i64| {
        let sql = "update sessions set data = jsonb_set(data, '{half_login,since}', to_jsonb((data#>>'{half_login,since}')::bigint - $1)) where data ? 'half_login'";
        assert_eq!(house.db.execute(sql, &[&seconds]).await.unwrap(), 1);
    };
    age(540).await;
    half.get(STEP).await.expect(200);
    age(61).await;
    let to = half.get(STEP).await.leads_to();
    assert!(half.get(&to).await.expect(200).flash().starts_with("That took too long"));
    over(&half).await;

    let half = halfway(&house, "alice").await;
    assert!(second_factors::reset(&mut db, all, alice, &shell).await.unwrap());
    over(&half).await;
    assert_eq!(gives_password(&half, "alice").await.leads_to(), "/");
    // where there is nothing to reset nobody is sent away
    assert!(!second_factors::reset(&mut db, all, alice, &shell).await.unwrap());
    half.get("/").await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn five_wrong_codes_lead_back_and_none_is_tried_for_a_while() {
    let house = House::new().await;
    let (phone, codes) = turns_on(&house.alice()).await;
    let half = halfway(&house, "alice").await;
    gives(&half, "").await.expect(422);
    gives(&half, "12 34").await.expect(422);
    for _ in 0..4 {
        assert_eq!(
            gives(&half, &phone.wrong()).await.expect(422).error_at("code"),
            "This is not what the app shows now. Is it the entry for this prommgr, and is the clock of the phone right?"
        );
    }
    assert_eq!(gives(&half, &phone.wrong()).await.leads_to(), "/login");
    let login = half.get("/login").await.expect(200);
    assert_eq!(
        login.flash(),
        "Too many wrong codes. Log in again; in the next 1 minute only a recovery code works."
    );
    assert_eq!(half.get(STEP).await.leads_to(), "/login");

    // also the right one is not tried now, in whichever session
    let half = halfway(&house, "alice").await;
    let blocked = gives(&half, &phone.next()).await.expect(429);
    assert!((1..=60).contains(&blocked.header("retry-after").parse::<u64>().unwrap()));
    assert!(blocked.error_at("code").starts_with("Too many wrong codes were given"));
    // nobody is locked out by it
    assert_eq!(gives(&halfway(&house, "alice").await, &codes[0]).await.leads_to(), "/");
    assert_eq!(gives(&half, &phone.next()).await.leads_to(), "/");
    assert_eq!(house.column("select wrong::text from second_factors").await, ["0"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_codes_at_the_same_moment_are_all_counted() {
    let house = House::new().await;
    let (phone, _) = turns_on(&house.alice()).await;
    let wrong = phone.wrong();
    let half = halfway(&house, "alice").await;
    let answers = futures_util::future::join_all((0..12).map(|_| gives(&half, &wrong))).await;
    for answer in answers {
        assert!([422, 429].contains(&answer.status) || answer.leads_to().starts_with("/login"));
    }
    assert_eq!(house.column("select wrong::text from second_factors").await, ["5"]);
    assert_eq!(house.count("second_factors where blocked_until > now() + interval '50 seconds'").await, 1);
    // when the time is over there are five more, and then it takes twice as long
    house.db.batch_execute("update second_factors set blocked_until = now()").await.unwrap();
    let half = halfway(&house, "alice").await;
    for _ in 0..4 {
        gives(&half, &wrong).await.expect(422);
    }
    gives(&half, &wrong).await.leads_to();
    assert_eq!(house.count("second_factors where blocked_until > now() + interval '110 seconds'").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_database_holds_nothing_that_lets_somebody_in() {
    let house = House::new().await;
    let (phone, codes) = turns_on(&house.alice()).await;
    begins(&house.bob()).await;
    let rows = house.column("select row_to_json(second_factors)::text from second_factors union all select row_to_json(recovery_codes)::text from recovery_codes union all select data::text from sessions").await;
    let everything = rows.join("\n");
    let hex: String = phone.0.as_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    assert!(rows.len() > 11 && !everything.contains(&hex));
    for code in codes {
        assert!(!everything.contains(&code) && !everything.contains(&code.replace('-', "")));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_copied_to_another_person_opens_nothing() {
    let house = House::new().await;
    let (alices, _) = turns_on(&house.alice()).await;
    let (_, bobs_codes) = turns_on(&house.bob()).await;
    house.db.batch_execute("update second_factors set last_step = 0, secret = (select secret from second_factors f join users u on u.id = f.user_id where u.name = 'alice')").await.unwrap();
    let bob = halfway(&house, "bob").await;
    let refused = gives(&bob, &alices.next()).await.expect(422);
    assert!(refused.error_at("code").starts_with("The app's codes cannot be checked here any more."));
    is_out(&bob).await;
    assert_eq!(gives(&halfway(&house, "alice").await, &alices.next()).await.leads_to(), "/");
    assert_eq!(gives(&bob, &bobs_codes[0]).await.leads_to(), "/");
}

const NEW_KEY: &str = "another-key-for-the-tests-9876543210";

fn with_key(house: &House, key: &str) -> App {
    let key = key.to_owned();
    house.twin_with(|settings: &mut Settings| settings.secret_key = Some(key))
}

async fn reseal(app: &App) -> Resealed {
    second_factors::reseal(&mut app.door().await.unwrap(), &app.config().vault).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_key_is_rotated() {
    let house = House::new().await;
    let (phone, _) = turns_on(&house.alice()).await;
    begins(&house.bob()).await;
    let works = async |app: &App| {
        forget_used(&house).await;
        let alice = Person::new(app);
        gives_password(&alice, "alice").await.leads_to();
        gives(&alice, &phone.next()).await.status == 303
    };
    let (both, new) = (with_key(&house, &format!("{NEW_KEY}, {KEY}")), with_key(&house, NEW_KEY));
    assert!(works(&both).await);
    assert!(!works(&new).await);
    assert_eq!(reseal(&new).await, Resealed { renewed: 0, unreadable: 1 });
    assert_eq!(reseal(&both).await, Resealed { renewed: 1, unreadable: 0 });
    assert_eq!(reseal(&both).await, Resealed { renewed: 0, unreadable: 0 });
    assert!(works(&new).await && works(&both).await);
    assert!(!works(&house.app).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn where_the_key_is_lost_a_recovery_code_and_another_app_help() {
    let house = House::new().await;
    let (phone, codes) = turns_on(&house.alice()).await;
    let elsewhere = with_key(&house, NEW_KEY);
    let alice = Person::new(&elsewhere);
    gives_password(&alice, "alice").await.leads_to();
    let refused = gives(&alice, &phone.next()).await.expect(422);
    assert!(refused.error_at("code").starts_with("The app's codes cannot be checked here any more."));
    is_out(&alice).await;
    assert_eq!(gives(&alice, &codes[0]).await.leads_to(), "/");
    alice.get("/").await.expect(200);
    let page = alice.get(HERE).await.expect(200);
    assert!(page.one(".flash.error").starts_with("The codes of your app cannot be checked any more"));
    alice.presses(&page, "Use another app", &[]).await.leads_to();
    let page = alice.get(HERE).await;
    let phone = Phone::scans(&page);
    alice.presses(&page, "Turn it on", &[("code", &phone.now())]).await.expect(200);
    alice.post("/logout", &[]).await.leads_to();
    gives_password(&alice, "alice").await.leads_to();
    assert_eq!(gives(&alice, &phone.next()).await.leads_to(), "/");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_key_it_is_not_offered_but_still_asked_for() {
    let house = House::new().await;
    let (phone, codes) = turns_on(&house.alice()).await;
    let keyless = house.twin_with(|settings| settings.secret_key = None);
    let charlie = Person::new(&keyless);
    charlie.plant("prommgr", &house.charlie().cookie("prommgr"));
    let page = charlie.get(HERE).await.expect(200);
    assert!(page.one(".empty").contains("PROMMGR_SECRET_KEY"));
    assert!(!page.offers("Set it up"));
    charlie.post(HERE, &[]).await.expect(409);
    assert_eq!(reseal(&keyless).await, Resealed { renewed: 0, unreadable: 1 });

    let alice = Person::new(&keyless);
    assert_eq!(gives_password(&alice, "alice").await.leads_to(), STEP);
    gives(&alice, &phone.next()).await.expect(422);
    is_out(&alice).await;
    assert_eq!(gives(&alice, &codes[0]).await.leads_to(), "/");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_admin_resets_it_for_who_has_lost_it() {
    let house = House::new().await;
    let (alice, root) = (house.alice(), house.root());
    turns_on(&alice).await;
    let (bob, _) = turns_on(&house.bob()).await;
    let all = All::operator();
    assert_eq!(second_factors::people(&mut house.app.db(all).await.unwrap(), all).await.unwrap().len(), 2);
    let path = format!("/users/{}", house.person_of("alice").await.id());
    let page = root.get(&path).await.expect(200);
    assert!(page.fact("Second factor").starts_with("On, since"));
    assert_eq!(root.presses(&page, "Reset", &[]).await.leads_to(), path);
    let page = root.get(&path).await.expect(200);
    assert!(page.flash().starts_with("alice logs in with the password alone."));
    assert_eq!(page.fact("Second factor"), "none");
    assert!(!page.offers("Reset"));
    is_out(&alice).await;
    assert_eq!(gives_password(&alice, "alice").await.leads_to(), "/");
    assert_eq!(
        house.column("select user_name from audit where action = 'second_factor.reset'").await,
        ["root"]
    );
    // bob keeps his
    assert_eq!(house.count("recovery_codes").await, 10);
    assert_eq!(gives(&halfway(&house, "bob").await, &bob.next()).await.leads_to(), "/");
    // and nobody takes away their own here
    turns_on(&root).await;
    let own = format!("/users/{}", house.person_of("root").await.id());
    assert!(!root.get(&own).await.expect(200).offers("Reset"));
    root.post(&format!("{own}/second-factor/removal"), &[]).await.expect(409);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_whose_password_was_given_long_ago_changes_and_learns_nothing() {
    let house = House::new().await;
    let alice = house.alice();
    let (page, phone) = begins(&alice).await;
    let long_ago = "update sessions set data = data - 'confirmed' where data ? 'confirmed'";
    house.db.batch_execute(long_ago).await.unwrap();
    // whoever has only the session does not learn what the app is going to know
    let bare = alice.get(HERE).await.expect(200);
    assert!(!bare.has("#key, .qr, a[href^='otpauth:']") && !bare.text.contains(&page.one("#key")));
    for path in ["", "/confirmation", "/recovery-codes", "/removal"] {
        let asked = alice.post(&format!("{HERE}{path}"), &[("code", &phone.now())]).await.expect(403);
        assert_eq!(asked.one("h1"), "Is it you?");
    }
    assert_eq!(house.count("second_factors where secret is not null").await, 0);
    // with the password it goes on as if it had not been asked
    let asked = alice.presses(&page, "Turn it on", &[("code", &phone.now())]).await.expect(403);
    let codes = alice.presses(&asked, "Go on", &[("sudo_password", PASSWORD)]).await.expect(200);
    assert!(codes.has("#codes"));
}

#[tokio::test(flavor = "multi_thread")]
async fn each_change_is_in_the_audit_without_a_secret() {
    let house = House::new().await;
    let alice = house.alice();
    let (phone, codes) = turns_on(&alice).await;
    let half = halfway(&house, "alice").await;
    for _ in 0..5 {
        gives(&half, &phone.wrong()).await;
    }
    gives(&halfway(&house, "alice").await, &codes[0]).await.leads_to();
    let page = alice.get(HERE).await;
    let new = alice.presses(&page, "Make new ones", &[]).await.expect(200).one("#codes");
    let page = alice.does(HERE, &[]).await;
    let other = Phone::scans(&page);
    alice.presses(&page, "Turn it on", &[("code", &other.now())]).await.expect(200);
    alice.post(&format!("{HERE}/removal"), &[]).await.leads_to();
    alice.post(&format!("{HERE}/removal"), &[]).await.leads_to();
    turns_on(&alice).await;
    let (all, shell) = (All::operator(), Actor::command_line());
    let mut db = house.app.db(all).await.unwrap();
    let id = users::by_name(&mut db, "alice").await.unwrap().unwrap().id;
    second_factors::reset(&mut db, all, id, &shell).await.unwrap();
    let noted = house.column("select user_name || ' ' || action || ' ' || object || coalesce(' ' || new::text, '') from audit where action like 'second_factor.%' order by at").await;
    assert_eq!(
        noted,
        [
            "alice second_factor.enabled alice",
            "alice second_factor.blocked alice {\"wrong_codes\": 5}",
            "alice second_factor.recovery_code_used alice {\"left\": 9}",
            "alice second_factor.codes_renewed alice",
            "alice second_factor.replaced alice",
            "alice second_factor.disabled alice",
            "alice second_factor.enabled alice",
            "command line second_factor.reset alice",
        ]
    );
    let everything =
        house.column("select string_agg(row_to_json(audit)::text, ' ') from audit").await.remove(0);
    for secret in codes.iter().map(String::as_str).chain(new.split(' ')) {
        assert!(!everything.contains(secret) && !everything.contains(&secret.replace('-', "")));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_to_choose_a_password_does_not_lead_around_it() {
    let house = House::new().await;
    let (phone, _) = turns_on(&house.alice()).await;
    let all = All::operator();
    let id = house.person_of("alice").await.id();
    let mut db = house.app.db(all).await.unwrap();
    let made = users::password_link(&mut db, all, id, &Actor::command_line()).await.unwrap();
    let somebody = house.anyone();
    let new = [("password", "quite another one"), ("password_again", "quite another one")];
    let to = somebody.post(&format!("/password/{}", made.secret), &new).await.leads_to();
    assert_eq!(to, STEP);
    is_out(&somebody).await;
    assert_eq!(somebody.get(STEP).await.expect(200).flash(), "Your password is set.");
    assert_eq!(gives(&somebody, &phone.next()).await.leads_to(), "/");
}
