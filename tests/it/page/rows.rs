//! Rows of the list: that what they say is so, and that nobody who acts on one is led astray.

use haul_tests::proxy::Proxy;
use reqwest::Method;

use super::*;

/// There is a region that no worker serves: what is ordered there waits.
const NOWHERE: [(&str, &str); 1] = [("HAUL_REGIONS", "default,moon")];

/// The page looks again, as when somebody comes back to it.
async fn come_back(browser: &Browser) -> Result<()> {
    browser.run("document.dispatchEvent(new Event('visibilitychange'))", &[]).await.map(drop)
}

/// Whatever has changed is drawn.
async fn is_drawn(browser: &Browser) -> Result<()> {
    let script = "const [done] = arguments; requestAnimationFrame(() => requestAnimationFrame(() => done()))";
    Ok(browser.client().execute_async(script, Vec::new()).await.map(drop)?)
}

fn id_of(job: &Value) -> Result<&str> {
    job["id"].as_str().context("an id")
}

/// A mouse that clicks somewhere, whatever is there by then.
struct Mouse {
    x: f64,
    y: f64,
}

impl Mouse {
    async fn over(browser: &Browser, css: &str) -> Result<Self> {
        browser.find(css).await?;
        let script = "const at = document.querySelector(arguments[0]).getBoundingClientRect(); \
            return [at.x + at.width / 2, at.y + at.height / 2]";
        let (x, y) = serde_json::from_value(browser.run(script, &[json!(css)]).await?)?;
        Ok(Self { x, y })
    }

    /// The first click of some in quick succession, or a later one.
    async fn click(&self, browser: &Browser, nth: u8) -> Result<()> {
        for kind in ["mousePressed", "mouseReleased"] {
            let event = json!({ "type": kind, "x": self.x, "y": self.y, "button": "left", "clickCount": nth });
            browser.tool("Input.dispatchMouseEvent", event).await?;
        }
        Ok(())
    }
}

// It was back in the next frame, beside the words that it is deleted.
#[tokio::test]
async fn what_is_deleted_is_not_in_the_list_while_that_can_be_taken_back_nor_afterwards() -> Result<()> {
    let home = Home::open(&[]).await?;
    let id = id_of(&home.completed(&home.talk("/talk.html", "A talk"), json!({})).await?)?.to_owned();
    let watch = "window.back = 0; const [id] = arguments; \
        new MutationObserver((changes) => changes.forEach(({ addedNodes }) => addedNodes.forEach((node) => { \
            if (node.id === id) back += 1; }))).observe(document.querySelector('#jobs'), { childList: true })";
    let visit = Visit { brought_about: &["status of 404"], ..Visit::to(&home.url) };
    visit
        .goes(async |browser| {
            browser.go(&home.url).await?;
            browser.find(COMPLETED).await?;
            browser.run(watch, &[json!(format!("job-{id}"))]).await?;
            browser.press("button", "Delete").await?;
            is_drawn(browser).await?;
            assert_eq!(browser.run("return back", &[]).await?, 0);
            // somebody else is quicker: then there is nothing left to delete, and nothing to show
            home.house.ask(Method::DELETE, &format!("{DOWNLOADS}/{id}"), &Value::Null).await?;
            browser.find("#empty").await?;
            is_drawn(browser).await?;
            assert_eq!(browser.run("return back", &[]).await?, 0);
            Ok(())
        })
        .await
}

// The second DELETE found a cancelled download, and deleted it.
#[tokio::test]
async fn cancel_says_at_once_that_it_stops_and_pressed_twice_it_neither_deletes_nor_starts_again() -> Result<()> {
    let home = Home::open(&NOWHERE).await?;
    let (house, wire) = (&home.house, Proxy::to(home.house.api.address()).await);
    let url = format!("http://{}", wire.address());
    let waiting = house.order(&request(&home.talk("/later.html", "Later"), json!({ "region": "moon" }))).await?;
    let row = format!("#job-{}", waiting.trim_start_matches(DOWNLOADS).trim_start_matches('/'));
    let status = async || anyhow::Ok(house.get(&waiting).await?.json()["status"].clone());
    Visit::to(&url)
        .goes(async |browser| {
            browser.go(&url).await?;
            let mouse = Mouse::over(browser, &format!("{row} .cancel")).await?;
            wire.hold();
            mouse.click(browser, 1).await?;
            let words = browser.text(&format!("{row} .state-words")).await?;
            assert_eq!(words, "Stopping…");
            mouse.click(browser, 1).await?;
            wire.pass();
            browser.find(&format!("{row}[data-status=cancelled] .retry")).await?;
            assert_eq!(status().await?, "cancelled");
            // by now another button is under the mouse
            let retry = Mouse::over(browser, &format!("{row} .retry")).await?;
            retry.click(browser, 2).await?;
            come_back(browser).await?;
            is_drawn(browser).await?;
            let asked = browser.asked().await?;
            assert!(asked.iter().any(|url| url.ends_with("/cancel")), "{asked:?}");
            assert!(!asked.iter().any(|url| url.ends_with("/retry")), "{asked:?}");
            assert_eq!(status().await?, "cancelled");
            retry.click(browser, 1).await?;
            browser.find(&format!("{row}[data-status=queued]")).await.map(drop)
        })
        .await
}

// Only an answer without a filter took anything out of the list.
#[tokio::test]
async fn under_a_filter_stays_only_what_fits_and_the_filter_can_be_left_when_nothing_does() -> Result<()> {
    let home = Home::open(&NOWHERE).await?;
    let house = &home.house;
    let birds = house.order(&request(&home.talk("/gulls.html", "Gulls"), json!({ "tags": ["birds"] }))).await?;
    house.end(&birds).await?;
    let mut waiting = Vec::new();
    // of more than are followed, the first is not
    for name in ["a", "b", "c", "d", "e"] {
        let url = home.talk(&format!("/{name}.html"), name);
        waiting.push(house.order(&request(&url, json!({ "region": "moon" }))).await?);
    }
    let shows = |count: u8| format!("document.querySelectorAll('#jobs li[data-status]').length === {count}");
    Visit::to(&home.url)
        .goes(async |browser| {
            browser.go(&home.url).await?;
            browser.until("all are there", &shows(6)).await?;
            browser.find("#filter-status").await?.select_by_value("queued").await?;
            browser.until("those that wait are", &shows(5)).await?;
            house.ask(Method::DELETE, &waiting[0], &Value::Null).await?;
            browser.until("the one that waits no more is not", &shows(4)).await?;
            browser.find("#filter-status").await?.select_by_value("").await?;
            browser.find("#jobs li[data-status=cancelled]").await?;

            browser.find("#filter-tag").await?.select_by_value("birds").await?;
            browser.until("it is found", &shows(1)).await?;
            house.ask(Method::DELETE, &birds, &Value::Null).await?;
            come_back(browser).await?;
            browser.find("#empty").await?;
            assert_eq!(browser.text("#filter-tag").await?, "birds", "it says what is asked for");
            browser.find("#filter-tag").await?.select_by_value("").await?;
            browser.until("the others are there", &shows(5)).await
        })
        .await
}

// It fell to the top of the page.
#[tokio::test]
async fn when_a_row_leaves_what_is_in_its_place_has_the_focus() -> Result<()> {
    let home = Home::open(&[]).await?;
    for (path, title) in [("/a.html", "Gulls"), ("/b.html", "Owls"), ("/c.html", "Bees")] {
        let job = home.completed(&home.talk(path, title), json!({})).await?;
        let path = format!("{DOWNLOADS}/{}", id_of(&job)?);
        home.house.ask(Method::PATCH, &path, &json!({ "favourite": true })).await?;
    }
    let leave = async |browser: &Browser, row: &str, left: u8| {
        browser.find(&format!("{row} .favourite")).await?.click().await?;
        let are_left = format!("document.querySelectorAll('#jobs li').length === {left}");
        browser.until("it is no favourite any more", &are_left).await?;
        let focused = "const { id, innerText } = document.activeElement; return id === 'list-title' ? id : innerText";
        Ok::<_, anyhow::Error>(browser.run(focused, &[]).await?.as_str().unwrap_or_default().to_owned())
    };
    Visit::to(&home.url)
        .goes(async |browser| {
            browser.go(&home.url).await?;
            browser.press("button", "Favourites only").await?;
            browser.find("#jobs li:nth-child(3)").await?;
            let next = leave(browser, "#jobs li:nth-child(2)", 2).await?;
            assert!(next.contains("Gulls"), "the next one has it: {next}");
            let last = leave(browser, "#jobs li:nth-child(2)", 1).await?;
            assert!(last.contains("Bees"), "or the last one: {last}");
            assert_eq!(leave(browser, "#jobs li", 0).await?, "list-title");
            Ok(())
        })
        .await
}

// All of them were to be told aloud; and the letters could not be switched off.
#[tokio::test]
async fn entries_of_a_list_are_not_read_aloud_as_they_come_and_letters_are_keys_only_for_who_wants_that() -> Result<()>
{
    let home = Home::open(&[]).await?;
    let page = "<!doctype html><title>Two</title><video src=/progressive.mp4></video><video src=/silent.mp4></video>";
    home.house.origin.put("/two.html", page);
    let url = home.house.origin.url("/two.html");
    let is_told = async |browser: &Browser, css: &str| {
        let live =
            "return document.querySelector(arguments[0]).closest('[aria-live], [role=status], [role=alert]') !== null";
        browser.run(live, &[json!(css)]).await
    };
    // from where a person is who has clicked beside everything
    let press_n = async |browser: &Browser| {
        browser.run("document.activeElement.blur()", &[]).await?;
        browser.keys("n").await?;
        browser.run("return document.activeElement.id", &[]).await
    };
    Visit::to(&home.url)
        .goes(async |browser| {
            browser.go(&home.url).await?;
            browser.until("the list has come", "!document.querySelector('#jobs').ariaBusy").await?;
            assert_eq!(press_n(browser).await?, "urls");
            assert_eq!(browser.text("#urls").await?, "", "it is no text");
            paste(browser, "#urls", &url).await?;
            browser.find("#entry-2").await?;
            assert_eq!(is_told(browser, "#entry-2").await?, false);
            assert_eq!(is_told(browser, "#preview-title").await?, true);

            browser.find("#letters").await?.click().await?;
            assert_eq!(press_n(browser).await?, "");
            browser.client().refresh().await?;
            browser.until("the list has come", "!document.querySelector('#jobs').ariaBusy").await?;
            assert_eq!(press_n(browser).await?, "", "that is remembered");
            Ok(())
        })
        .await
}

// One that did not come kept all others away, and what had ended was as it had ended for ever.
#[tokio::test]
async fn a_stranger_sees_each_of_its_downloads_whatever_becomes_of_another_and_when_it_has_expired() -> Result<()> {
    let variables = [("HAUL_MODE", "public"), ("HAUL_ADMIN_LISTEN", "127.0.0.1:0"), ("HAUL_RESULT_TTL", "20s")];
    let home = Home::open(&variables).await?;
    let urls = ["/one.html", "/two.html"].map(|path| home.talk(path, path));
    let shows = |count: u8| format!("document.querySelectorAll('#jobs li[data-status]').length === {count}");
    let visit = Visit { brought_about: &["net::ERR_", "status of 404"], ..Visit::to(&home.url) };
    visit
        .goes(async |browser| {
            browser.go(&home.url).await?;
            paste(browser, "#urls", &urls.join("\n")).await?;
            browser.press("button", "Download 2").await?;
            browser.until("both are there", &shows(2)).await?;
            let ids = browser.run("return JSON.parse(localStorage['haul.jobs'])", &[]).await?;
            let older = ids[1].as_str().context("an id")?;
            browser.tool("Network.setBlockedURLs", json!({ "urls": [format!("*/{older}*")] })).await?;
            browser.client().refresh().await?;
            browser.find("#offline").await?;
            browser.until("the other is there", &shows(1)).await?;
            browser.tool("Network.setBlockedURLs", json!({ "urls": [] })).await?;
            browser.until("both are there", &shows(2)).await?;

            let path = format!("{DOWNLOADS}/{older}");
            let is_over = async || home.house.get(&path).await.is_ok_and(|job| job.json()["status"] == "expired");
            until("its time is over", is_over).await?;
            come_back(browser).await?;
            browser.find(&format!("#job-{older}[data-status=expired]")).await?;

            browser.go(&format!("{}/downloads/5b0c1f0e-4f0b-4c57-9a52-3b1f2f3a7c11", home.url)).await?;
            browser.find("#missing:not(:empty)").await.map(drop)
        })
        .await
}
