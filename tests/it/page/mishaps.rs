//! What goes wrong on the way between the form and the service: answers that break off, proxies that give up, refusals that
//! come late, and a key that is taken away meanwhile.

use haul_tests::gateway::{Gateway, Turn};
use haul_tests::keys::{Keys, key};
use haul_tests::site::send;
use reqwest::Method;

use super::*;

const METADATA: &str = "/api/v1/metadata";

impl Home {
    /// What was ordered so far; the newest first.
    async fn ordered(&self) -> Result<Vec<Value>> {
        Ok(self.house.get(DOWNLOADS).await?.json()["downloads"].as_array().context("a list")?.clone())
    }
}

/// The id of what has the focus.
async fn focus(browser: &Browser) -> Result<String> {
    let id = browser.run("return document.activeElement.id", &[]).await?;
    Ok(id.as_str().unwrap_or_default().to_owned())
}

#[tokio::test]
async fn an_answer_that_breaks_off_or_is_a_page_of_somebody_else_stops_neither_the_list_nor_what_is_sent() -> Result<()>
{
    let home = Home::open(&[]).await?;
    let way = Gateway::to(home.house.api.address()).await;
    way.next(Method::GET, DOWNLOADS, Turn::Halved);
    // as where one has to log in to the network first
    way.next(Method::POST, DOWNLOADS, Turn::Refused(200));
    way.next(Method::POST, DOWNLOADS, Turn::Halved);
    let (url, page) = (home.talk("/talk.html", "A talk"), way.url());
    let visit = Visit { brought_about: &["net::ERR_"], ..Visit::to(&page) };
    visit
        .goes(async |browser| {
            browser.go(&page).await?;
            browser.until("the list has come", "!document.querySelector('#jobs').ariaBusy").await?;
            paste(browser, "#urls", &url).await?;
            browser.press("button", "Download").await?;
            browser.find(COMPLETED).await?;
            assert_eq!(home.ordered().await?.len(), 1, "it was sent again, and ordered once");
            browser.until("nothing is said to be wrong", "document.querySelector('#offline').hidden").await
        })
        .await
}

#[tokio::test]
async fn what_a_proxy_gave_up_on_and_what_is_stopped_on_its_way_and_sent_again_is_ordered_once() -> Result<()> {
    let home = Home::open(&[]).await?;
    let way = Gateway::to(home.house.api.address()).await;
    way.next(Method::POST, DOWNLOADS, Turn::GivenUp(504));
    way.next(Method::POST, DOWNLOADS, Turn::Held);
    let (url, page) = (home.talk("/talk.html", "A talk"), way.url());
    let visit = Visit { brought_about: &["status of 504"], ..Visit::to(&page) };
    visit
        .goes(async |browser| {
            browser.go(&page).await?;
            paste(browser, "#urls", &url).await?;
            browser.press("button", "Download").await?;
            until("it is sent again by itself", async || way.held() == 1).await?;
            browser.press("button", "Stop").await?;
            assert_eq!(browser.text("#urls").await?, url);
            browser.press("button", "Download").await?;
            browser.find(COMPLETED).await?;
            assert_eq!(home.ordered().await?.len(), 1);
            Ok(())
        })
        .await
}

#[tokio::test]
async fn an_order_that_is_never_answered_is_sent_again() -> Result<()> {
    let home = Home::open(&[]).await?;
    let way = Gateway::to(home.house.api.address()).await;
    way.next(Method::POST, DOWNLOADS, Turn::Held);
    let (url, page) = (home.talk("/talk.html", "A talk"), way.url());
    Visit::to(&page)
        .goes(async |browser| {
            // nobody here waits for as long as the page does
            let soon =
                "const { timeout } = AbortSignal; AbortSignal.timeout = (ms) => timeout.call(AbortSignal, ms / 20)";
            browser.tool("Page.addScriptToEvaluateOnNewDocument", json!({ "source": soon })).await?;
            browser.go(&page).await?;
            paste(browser, "#urls", &url).await?;
            browser.press("button", "Download").await?;
            until("it is sent", async || way.held() == 1).await?;
            browser.find(COMPLETED).await?;
            assert_eq!(home.ordered().await?.len(), 1);
            Ok(())
        })
        .await
}

#[tokio::test]
async fn a_look_at_a_link_is_taken_again_while_it_stays_and_ends_with_it() -> Result<()> {
    let home = Home::open(&[]).await?;
    let way = Gateway::to(home.house.api.address()).await;
    way.next(Method::POST, METADATA, Turn::Refused(503));
    way.next(Method::POST, METADATA, Turn::Held);
    let (url, page) = (home.talk("/talk.html", "A talk"), way.url());
    let looks = "document.querySelector('#preview').classList.contains('looking')";
    let visit = Visit { brought_about: &["status of 503"], ..Visit::to(&page) };
    visit
        .goes(async |browser| {
            browser.go(&page).await?;
            paste(browser, "#urls", &url).await?;
            until("it is looked at again", async || way.held() == 1).await?;
            browser.until("that is shown", looks).await?;
            browser.press("button", "Download").await?;
            browser.until("nothing is looked at any more", &format!("!{looks}")).await?;
            paste(browser, "#urls", &url).await?;
            let titled = "document.querySelector('#preview-title').innerText.startsWith('A talk')";
            browser.until("it is told what it is", titled).await
        })
        .await
}

#[tokio::test]
async fn notes_that_did_not_reach_the_service_stay_until_they_do() -> Result<()> {
    let home = Home::open(&[]).await?;
    let way = Gateway::to(home.house.api.address()).await;
    let job = home.completed(&home.talk("/talk.html", "A talk"), json!({})).await?;
    let path = format!("{DOWNLOADS}/{}", job["id"].as_str().context("an id")?);
    let page = way.url();
    let visit = Visit { brought_about: &["status of 503"], ..Visit::to(&page) };
    visit
        .goes(async |browser| {
            browser.go(&page).await?;
            browser.press("button", "Details").await?;
            way.next(Method::PATCH, &path, Turn::Refused(503));
            paste(browser, "#jobs .notes", "over the harbour").await?;
            browser.find("#search").await?.click().await?;
            let said = "document.querySelector('#jobs .said').innerText";
            browser.until("it is said", &format!("{said} === 'No connection. Try again.'")).await?;
            // the second list is asked for when the first is drawn
            for _ in 0..2 {
                let before = way.answered(&Method::GET, DOWNLOADS);
                browser.run("document.dispatchEvent(new Event('visibilitychange'))", &[]).await?;
                until("the list comes again", async || way.answered(&Method::GET, DOWNLOADS) > before).await?;
            }
            assert_eq!(browser.text("#jobs .notes").await?, "over the harbour");
            browser.find("#jobs .notes").await?.send_keys(", at night").await?;
            browser.find("#search").await?.click().await?;
            let kept = async || {
                home.house
                    .get(&path)
                    .await
                    .is_ok_and(|job| job.json()["library"]["notes"] == "over the harbour, at night")
            };
            until("all of it is kept", kept).await.map(drop)
        })
        .await
}

#[tokio::test]
async fn a_refusal_that_comes_late_takes_no_focus_and_brings_back_all_that_was_asked() -> Result<()> {
    let home = Home::open(&[]).await?;
    let way = Gateway::to(home.house.api.address()).await;
    way.next(Method::POST, DOWNLOADS, Turn::Held);
    let (url, page) = (home.two(), way.url());
    let visit = Visit { brought_about: &["status of 422"], ..Visit::to(&page) };
    visit
        .goes(async |browser| {
            browser.go(&page).await?;
            paste(browser, "#urls", &url).await?;
            browser.find("#entry-1:checked").await?.click().await?;
            browser.find("#entry-2:not(:checked)").await?.click().await?;
            browser.find("#more summary").await?.click().await?;
            // longer than a day
            paste(browser, "#live", "30:00:00").await?;
            paste(browser, "#filename", "mine").await?;
            browser.press("button", "Download").await?;
            until("it is on its way", async || way.held() == 1).await?;
            assert_eq!(browser.text("#filename").await?, "", "there is room for the next");
            browser.find("#search").await?.click().await?;
            way.release();
            browser.find("#live-fault:not(:empty)").await?;
            assert_eq!(focus(browser).await?, "search");
            for (field, text) in [("#urls", &*url), ("#live", "30:00:00"), ("#filename", "mine")] {
                assert_eq!(browser.text(field).await?, text, "{field}");
            }
            browser.find("#entry-2:checked").await?;
            browser.run("document.querySelector('#live').value = ''", &[]).await?;
            browser.press("button", "Download").await?;
            until("it is ordered", async || home.ordered().await.is_ok_and(|jobs| !jobs.is_empty())).await?;
            let request = home.ordered().await?[0]["request"].clone();
            assert_eq!((&request["playlist_index"], &request["filename"]), (&json!(2), &json!("mine")));
            Ok(())
        })
        .await
}

/// Enters this key, which is a good one.
async fn enter(browser: &Browser, name: &str) -> Result<()> {
    browser.named("textbox", "Key").await?.send_keys(&key(name)).await?;
    browser.press("button", "Use this key").await?;
    browser.find("#forget-key").await.map(drop)
}

#[tokio::test]
async fn what_one_key_ordered_deleted_and_saw_is_not_the_next_ones() -> Result<()> {
    let keys = Keys::of(&[("anna", ""), ("bert", "")])?;
    let home = Home::open(&[("HAUL_API_KEYS_FILE", &keys.path().display().to_string())]).await?;
    let way = Gateway::to(home.house.api.address()).await;
    let page = way.url();
    let urls = ["/a.html", "/b.html", "/c.html", "/d.html"].map(|path| home.talk(path, path));
    let shown = "return [...document.querySelectorAll('#jobs li')].map((row) => row.id.slice(4))";
    let asked = async |name: &str, path: &str| {
        send(home.house.request(&home.house.api, Method::GET, path).bearer_auth(key(name))).await
    };
    let visit = Visit { brought_about: &["status of 503", "status of 401"], ..Visit::to(&page) };
    visit
        .goes(async |browser| {
            browser.go(&page).await?;
            enter(browser, "anna").await?;
            paste(browser, "#urls", &urls[..2].join("\n")).await?;
            browser.press("button", "Download 2").await?;
            let both = format!("document.querySelectorAll({}).length === 2", json!(COMPLETED));
            browser.until("both are completed", &both).await?;
            // asked for later, that of what is deleted would be missing
            let pictures = "[...document.querySelectorAll('#jobs img')].every((picture) => picture.naturalWidth > 0)";
            browser.until("both have their pictures", pictures).await?;
            browser.until("storage is told", "document.querySelector('#usage').innerText !== ''").await?;
            let [liked, deleted]: [String; 2] = serde_json::from_value(browser.run(shown, &[]).await?)?;
            way.next(Method::PATCH, &format!("{DOWNLOADS}/{liked}"), Turn::Held);
            browser.find(&format!("#job-{liked} .favourite")).await?.click().await?;
            until("it is on its way", async || way.held() == 1).await?;
            browser.find(&format!("#job-{deleted} .delete")).await?.click().await?;
            way.next(Method::POST, DOWNLOADS, Turn::Refused(503));
            paste(browser, "#urls", &urls[2]).await?;
            browser.press("button", "Download").await?;
            browser.find("#outbox").await?;
            paste(browser, "#urls", &urls[0]).await?;

            browser.press("button", "Forget key").await?;
            assert_eq!((browser.text("#urls").await?, browser.count("#usage").await?), (String::new(), 0));
            browser.until("no title is left", "document.querySelector('#jobs').textContent.trim() === ''").await?;
            let path = format!("{DOWNLOADS}/{deleted}");
            let is_gone = async || asked("anna", &path).await.is_ok_and(|answer| answer.status == 404);
            until("what was deleted is", is_gone).await?;
            enter(browser, "bert").await?;
            let notes = "window.rows = new Set(); new MutationObserver(() => document.querySelectorAll('#jobs li') \
                .forEach((row) => rows.add(row.id.slice(4)))).observe(document.querySelector('#jobs'), { childList: true })";
            browser.run(notes, &[]).await?;
            way.release();
            paste(browser, "#urls", &urls[3]).await?;
            browser.press("button", "Download").await?;
            browser.find(COMPLETED).await?;
            // what is sent is sent in its order: what was before this one would have come
            let jobs = asked("bert", DOWNLOADS).await?.json()["downloads"].clone();
            let jobs: Vec<_> = jobs.as_array().context("a list")?.iter().map(|job| job["id"].clone()).collect();
            assert_eq!(jobs.len(), 1, "{jobs:?}");
            assert_eq!(browser.run("return [...rows]", &[]).await?, json!(jobs));
            Ok(())
        })
        .await
}
