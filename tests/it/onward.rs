//! Where a login leads: kept by the browser on the way, as it may be the link of an invitation.

use crate::house::{House, PASSWORD};
use crate::second_factors::{STEP, gives, turns_on};

async fn invitation(house: &House) -> String {
    let form = [("role", "manager"), ("note", "Charlie")];
    let page = house.alice().post("/owners/101/invitations", &form).await.expect(200);
    let url = page.one("#link");
    url.strip_prefix("http://prommgr.test").unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_is_not_written_down_between_password_and_second_factor() {
    let house = House::new().await;
    let (phone, _) = turns_on(&house.charlie()).await;
    let link = invitation(&house).await;
    let secret = link.rsplit('/').next().unwrap();
    let somebody = house.anyone();
    let page = somebody.get(&link).await.expect(200);
    let known = [("username", "charlie"), ("password", PASSWORD)];
    assert_eq!(somebody.presses(&page, "Log in", &known).await.leads_to(), STEP);
    let tables = house.column("select relname::text from pg_class where relkind in ('r', 'p') and relnamespace = 'public'::regnamespace and not relispartition").await;
    for table in tables {
        assert_eq!(house.count(&format!("{table} r where r::text like '%{secret}%'")).await, 0, "{table}");
    }
    // a new beginning still knows where it leads, and says it in no address
    let again = somebody.get("/login").await.expect(200);
    assert_eq!(again.typed("next"), link);
    assert_eq!(gives(&somebody, &phone.next()).await.leads_to(), link);
    assert_eq!(somebody.cookie("onward"), "");
    somebody.get(&link).await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_browser_says_leads_nowhere_else() {
    let house = House::new().await;
    let (phone, _) = turns_on(&house.charlie()).await;
    // //evil.example and no text at all
    for planted in ["Ly9ldmlsLmV4YW1wbGU", "_w", "%%%"] {
        house.db.batch_execute("update second_factors set last_step = 0").await.unwrap();
        let somebody = house.anyone();
        let form = [("username", "charlie"), ("password", PASSWORD)];
        somebody.post("/login", &form).await.leads_to();
        somebody.plant("onward", planted);
        assert_eq!(somebody.get("/login").await.expect(200).typed("next"), "/");
        assert_eq!(gives(&somebody, &phone.next()).await.leads_to(), "/");
    }
}
