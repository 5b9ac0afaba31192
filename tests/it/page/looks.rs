//! How the page looks to everybody: at three widths, in light and in dark, to axe-core, and how heavy it is.

use std::path::PathBuf;

use haul_tests::browser::Scheme;

use super::*;

/// A phone, a tablet, a desk.
const SIZES: [(u32, u32); 3] = [(360, 800), (768, 1024), (1440, 900)];
/// Bytes of all its files.
const LARGEST: u64 = 100_000;

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

/// A service with a download in each state.
async fn busy() -> Result<Home> {
    let home = Home::open(&[("HAUL_SLOTS", "1")]).await?;
    let (house, origin) = (&home.house, &home.house.origin);
    home.completed(&home.talk("/talk.html", "How a lighthouse works"), json!({ "tags": ["talks"] })).await?;
    home.completed(&origin.url("/progressive.mp4"), json!({ "format": "mp3", "tags": ["music"] })).await?;
    let failed = house.order(&request(&origin.url("/gone.mp4"), json!({}))).await?;
    assert_eq!(house.outcome(&failed).await?, "unavailable");
    let running = house.order(&request(&origin.spoilt(SLOW, "/progressive.mp4"), json!({}))).await?;
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
            for (size, scheme) in SIZES.iter().flat_map(|size| [(*size, Scheme::Light), (*size, Scheme::Dark)]) {
                let name = format!("{}-{}", size.0, if scheme == Scheme::Light { "light" } else { "dark" });
                browser.view(size, scheme).await?;
                browser.go(&home.url).await?;
                browser
                    .until("all are there", "document.querySelectorAll('#jobs li[data-status]').length === 6")
                    .await?;
                paste(browser, "#urls", &home.talk("/talk.html", "How a lighthouse works")).await?;
                browser.until("it is shown", "document.querySelector('#preview-picture').naturalWidth > 0").await?;
                let found = browser.found_by_axe().await?;
                assert!(found.is_empty(), "{name}: {found:#?}");
                keep(browser, &name).await?;
                is_calm(browser).await.context(name.clone())?;

                browser.find("#more summary").await?.click().await?;
                browser.press("button", "Details").await?;
                let found = browser.found_by_axe().await?;
                assert!(found.is_empty(), "{name}, opened: {found:#?}");
                assert_eq!(too_wide(browser).await?, [""; 0], "{name}");
                keep(browser, &format!("{name}-opened")).await?;
            }
            Ok(())
        })
        .await
}

#[tokio::test]
async fn axe_finds_nothing_on_the_page_of_a_download_and_in_the_form_without_scripts() -> Result<()> {
    let home = busy().await?;
    let jobs = home.house.get(DOWNLOADS).await?.json();
    let ids = jobs["downloads"].as_array().context("a list")?.iter().filter_map(|job| job["id"].as_str());
    let pages = ids.map(|id| format!("/downloads/{id}")).chain(["/".to_owned()]);
    let pages: Vec<String> = pages.map(|path| format!("{}{path}", home.url)).collect();
    Visit::to(&home.url)
        .goes(async |browser| {
            for (page, scheme) in pages.iter().flat_map(|page| [(page, Scheme::Light), (page, Scheme::Dark)]) {
                browser.view(SIZES[0], scheme).await?;
                // the page's own scripts do not run; axe-core does afterwards
                browser.tool("Emulation.setScriptExecutionDisabled", json!({ "value": true })).await?;
                browser.go(page).await?;
                browser.tool("Emulation.setScriptExecutionDisabled", json!({ "value": false })).await?;
                let found = browser.found_by_axe().await?;
                assert!(found.is_empty(), "{page} {scheme:?}: {found:#?}");
                assert_eq!(too_wide(browser).await?, [""; 0], "{page}");
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
