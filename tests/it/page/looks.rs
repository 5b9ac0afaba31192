//! How the page looks to everybody: at three widths, in light and in dark, to axe-core, and how heavy it is.

use std::path::PathBuf;

use haul_tests::browser::Scheme;
use haul_tests::keys::{Keys, key};
use haul_tests::origin::{Origin, Wait};

use super::*;

/// A phone, a tablet, a desk.
const SIZES: [(u32, u32); 3] = [(360, 800), (768, 1024), (1440, 900)];
/// Bytes of all its files.
const LARGEST: u64 = 100_000;
/// As `SLOW`, where one looks six times at a page for each state.
const SLOWER: Fault = Fault::Throttle(2_000);

/// Each of the sizes in light and in dark, with a name.
fn looks() -> impl Iterator<Item = (String, (u32, u32), Scheme)> {
    let schemes = [("light", Scheme::Light), ("dark", Scheme::Dark)];
    SIZES.into_iter().flat_map(move |size| schemes.map(|(name, scheme)| (format!("{}-{name}", size.0), size, scheme)))
}

/// Where pictures of the page are wanted; built in, for a test reads no environment.
const WANTED: Option<&str> = option_env!("SCREENSHOTS");

async fn keep(browser: &Browser, name: &str) -> Result<()> {
    if let Some(folder) = WANTED.map(PathBuf::from) {
        std::fs::create_dir_all(&folder)?;
        std::fs::write(folder.join(format!("{name}.png")), browser.screenshot().await?)?;
    }
    Ok(())
}

/// What is wider than the window, so that one has to scroll sideways.
async fn too_wide(browser: &Browser) -> Result<Vec<String>> {
    let script = "return document.documentElement.scrollWidth <= innerWidth ? [] : \
        [...document.body.querySelectorAll('*')].filter((it) => it.getBoundingClientRect().right > innerWidth) \
            .map((it) => `${it.nodeName}#${it.id}: ${it.innerText}`)";
    Ok(serde_json::from_value(browser.run(script, &[]).await?)?)
}

/// axe-core has nothing against what is to be seen, and nothing is cut off.
async fn is_sound(browser: &Browser, name: &str) -> Result<()> {
    let mut found = browser.found_by_axe().await?;
    // that it was asked for beforehand, and how it is stopped, is what WCAG 2.2.1 wants; axe-core can't see either
    found.retain(|line| !(name.contains("-followed-") && line.starts_with("meta-refresh: ")));
    ensure!(found.is_empty(), "{name}: {found:#?}");
    let wide = too_wide(browser).await?;
    ensure!(wide.is_empty(), "{name}: {wide:#?}");
    keep(browser, name).await
}

/// What lies over its neighbour in the line at the top, or beyond the top: not boxes, but what is in them.
async fn overlapping(browser: &Browser) -> Result<Vec<String>> {
    let script = "const shown = [...document.querySelectorAll('.top > *')].filter((it) => it.checkVisibility()); \
        const over = (a, b) => a.right > b.left && b.right > a.left && a.bottom > b.top && b.bottom > a.top; \
        const range = new Range(), at = (it) => (range.selectNodeContents(it), range.getBoundingClientRect()); \
        return shown.flatMap((a, place) => shown.slice(place + 1).filter((b) => over(at(a), at(b))) \
            .map((b) => `${a.innerText} and ${b.innerText}`)).concat(shown.filter((it) => at(it).top < 0).map((it) => it.innerText))";
    Ok(serde_json::from_value(browser.run(script, &[]).await?)?)
}

/// A service with a download in each state.
async fn busy() -> Result<Home> {
    let home = Home::open(&[("HAUL_SLOTS", "1")]).await?;
    let (house, origin) = (&home.house, &home.house.origin);
    home.completed(&home.talk("/talk.html", "How a lighthouse works"), json!({ "tags": ["talks"] })).await?;
    home.completed(&origin.url("/progressive.mp4"), json!({ "format": "mp3", "tags": ["music"] })).await?;
    let failed = house.order(&request(&origin.url("/gone.mp4"), json!({}))).await?;
    assert_eq!(house.outcome(&failed).await?, "unavailable");
    // of another site, so that only this one waits for it
    let strict = Origin::start_at("127.0.0.2").await;
    let refused = strict.spoilt(Fault::Asks(429, 9, Wait::Seconds(600)), "/progressive.mp4");
    let refused = house.order(&request(&refused, json!({}))).await?;
    house.until(&refused, |view| !view["next_attempt_at"].is_null()).await?;
    let running = house.order(&request(&origin.spoilt(SLOWER, "/progressive.mp4"), json!({}))).await?;
    house.is_fetching(&running).await?;
    let url = home.talk("/later.html", "Later");
    let cancelled = house.order(&request(&url, json!({ "quality": "240p" }))).await?;
    house.ask(reqwest::Method::DELETE, &cancelled, &Value::Null).await?;
    house.order(&request(&url, json!({}))).await?;
    Ok(home)
}

#[tokio::test]
async fn axe_finds_nothing_at_any_width_in_light_and_in_dark_and_nothing_is_cut_off() -> Result<()> {
    let home = busy().await?;
    Visit::to(&home.url)
        .goes(async |browser| {
            for (name, size, scheme) in looks() {
                browser.view(size, scheme).await?;
                browser.go(&home.url).await?;
                browser
                    .until("all are there", "document.querySelectorAll('#jobs li[data-status]').length === 7")
                    .await?;
                paste(browser, "#urls", &home.talk("/talk.html", "How a lighthouse works")).await?;
                browser.until("it is shown", "document.querySelector('#preview-picture').naturalWidth > 0").await?;
                is_sound(browser, &name).await?;
                is_calm(browser).await.context(name.clone())?;

                browser.find("#more summary").await?.click().await?;
                browser.press("button", "Details").await?;
                is_sound(browser, &format!("{name}-opened")).await?;
            }
            Ok(())
        })
        .await
}

#[tokio::test]
async fn axe_finds_nothing_on_the_page_of_a_download_and_in_the_form_without_scripts() -> Result<()> {
    let home = busy().await?;
    let jobs = home.house.get(DOWNLOADS).await?.json();
    let mut pages = vec![("form".to_owned(), format!("{}/", home.url))];
    for job in jobs["downloads"].as_array().context("a list")? {
        let status = if job["next_attempt_at"].is_null() { &job["status"] } else { &json!("waiting") };
        let (status, id) = (status.as_str().context("a status")?, job["id"].as_str().context("an id")?);
        let page = format!("{}/downloads/{id}", home.url);
        if matches!(status, "queued" | "running" | "waiting") {
            pages.push((format!("{status}-followed"), format!("{page}?follow=1")));
        }
        pages.push((status.to_owned(), page));
    }
    pages.sort();
    pages.dedup_by(|a, b| a.0 == b.0);
    let names: Vec<_> = pages.iter().map(|(name, _)| &**name).collect();
    let all =
        "cancelled completed failed form queued queued-followed running running-followed waiting waiting-followed";
    assert_eq!(names.join(" "), all);
    Visit::to(&home.url)
        .goes(async |browser| {
            for (name, page) in &pages {
                // the page's own scripts do not run; axe-core does afterwards
                browser.tool("Emulation.setScriptExecutionDisabled", json!({ "value": true })).await?;
                browser.go(page).await?;
                let follows = name.ends_with("followed");
                if follows {
                    // nor is it loaded again meanwhile
                    browser.tool("Page.stopLoading", json!({})).await?;
                }
                browser.tool("Emulation.setScriptExecutionDisabled", json!({ "value": false })).await?;
                assert_eq!(browser.text("main").await?.contains("Stop following"), follows, "{name}");
                for (look, size, scheme) in looks() {
                    browser.view(size, scheme).await?;
                    is_sound(browser, &format!("plain-{name}-{look}")).await?;
                }
            }
            Ok(())
        })
        .await
}

#[tokio::test]
async fn axe_finds_nothing_where_the_key_is_asked_for_and_refused_nor_behind_it() -> Result<()> {
    let keys = Keys::of(&[("studio", "bytes_per_day = 2000000000")])?;
    let home = Home::open(&[("HAUL_API_KEYS_FILE", &keys.path().display().to_string())]).await?;
    let visit = Visit { brought_about: &["status of 401"], ..Visit::to(&home.url) };
    visit
        .goes(async |browser| {
            browser.go(&home.url).await?;
            for (name, size, scheme) in looks() {
                browser.view(size, scheme).await?;
                for (entered, expected) in [("not a key", "#key-fault:not(:empty)"), (&*key("studio"), "#empty")] {
                    let field = browser.named("textbox", "Key").await?;
                    field.clear().await?;
                    field.send_keys(entered).await?;
                    browser.press("button", "Use this key").await?;
                    browser.find(expected).await?;
                    is_sound(browser, &format!("{name}-{}", if expected == "#empty" { "keyed" } else { "key" }))
                        .await?;
                }
                browser
                    .until("the day is told", "/of 2.0 GB today/.test(document.querySelector('#usage').innerText)")
                    .await?;
                assert_eq!(overlapping(browser).await?, [""; 0], "{name}");
                browser.press("button", "Forget key").await?;
            }
            Ok(())
        })
        .await
}

#[tokio::test]
async fn the_page_is_small_and_asks_the_service_and_nobody_else() -> Result<()> {
    let home = Home::open(&[]).await?;
    Visit::to(&home.url)
        .goes(async |browser| {
            browser.go(&home.url).await?;
            browser.until("the list has come", "!document.querySelector('#jobs').ariaBusy").await?;
            let files = browser.weight().await?;
            let whole: u64 = files.iter().map(|(_, bytes)| bytes).sum();
            assert!(files.len() > 3 && files.iter().all(|(_, bytes)| *bytes > 0), "{files:?}");
            assert!(whole <= LARGEST, "{whole} bytes: {files:?}");
            let [paint, there, ready] = browser.soon().await?;
            println!("{whole} bytes; first paint {paint:.0} ms, document {there:.0} ms, usable {ready:.0} ms");
            Ok(())
        })
        .await
}
