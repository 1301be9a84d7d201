//! What charlie can find out about Nordwind, where it might show: nothing.

use crate::alerts::{busy, found};
use crate::page::Page;
use crate::strangers::Scene;

#[tokio::test(flavor = "multi_thread")]
async fn charlie_learns_nothing_of_nordwind() {
    let (house, web) = busy().await;
    let charlie = house.charlie();
    let page = charlie.get("/alerts").await.expect(200);
    assert_eq!((page.rows().len(), page.one(".pager .count")), (1, "1 alert".into()));
    assert_eq!(page.options("severity"), ["Every severity", "Critical", "Warning"]);
    assert!(!page.has("select[name=owner]") && !page.options("rule").contains(&"somebody_elses".to_owned()));
    assert_eq!(page.one("nav a[href='/alerts'] .count"), "1 open");
    for query in [
        "owner=101",
        "owner=unassigned",
        "q=nord",
        "q=memory",
        "rule=mem_threshold_exceeded",
        "rule=somebody_elses",
    ] {
        assert!(found(&charlie, query).await.is_empty(), "{query}");
    }
    // a server that is not his is no server
    for id in [web.to_string(), "9999".into(), "x".into()] {
        charlie.get(&format!("/alerts?server={id}")).await.expect(404);
    }
    let everything = [
        page,
        charlie.get("/").await,
        charlie.get("/alerts?q=nord").await,
        charlie.fragment("/alerts").await,
    ];
    for page in everything {
        let text = page.text.to_lowercase().replace("q=nord", "").replace("value=\"nord\"", "");
        assert!(!text.contains("nord"), "{text}");
    }
    let all: i64 = house.count("alerts").await;
    for id in house.column("select id::text from alerts where owner_id is distinct from 102").await {
        charlie.get(&format!("/alerts/{id}")).await.expect(404);
    }
    assert_eq!(all, 6);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_and_what_is_not_yours_look_alike() {
    let scene = Scene::new().await;
    let charlie = scene.house.charlie();
    // the first page notes when the session was last used, by a cookie
    charlie.get("/").await.expect(200);
    for (path, theirs) in [
        ("/owners/", scene.house.nordwind.to_string()),
        ("/servers/", scene.server.to_string()),
        ("/alerts/", scene.alert.clone()),
        ("/thresholds?owner=", scene.house.nordwind.to_string()),
        ("/alerts?server=", scene.server.to_string()),
    ] {
        let yours = charlie.get(&format!("{path}{theirs}")).await.expect(404);
        let none = charlie.get(&format!("{path}987654321")).await.expect(404);
        let without_id = |page: &Page, id: &str| page.text.replace(id, "…");
        assert_eq!(without_id(&yours, &theirs), without_id(&none, "987654321"), "{path}");
        let names = |page: &Page| page.headers.keys().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(names(&yours), names(&none), "{path}");
    }
}
