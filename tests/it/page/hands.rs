//! Ways to the page and about it: keys, a link that is dropped, shared or brought by a bookmark, and no scripts.

use fantoccini::key::Key;

use super::*;

/// What has the focus: its id or class, and whether a person can see that it has.
async fn focus(browser: &Browser) -> Result<(String, bool)> {
    let script = "const it = document.activeElement, style = getComputedStyle(it), at = it.getBoundingClientRect(); \
        const isSeen = (style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 1) || style.boxShadow !== 'none'; \
        return [it.id || it.className || it.nodeName.toLowerCase(), isSeen && at.width > 0 && at.bottom > 0]";
    Ok(serde_json::from_value(browser.run(script, &[]).await?)?)
}

/// Presses Tab until this has the focus, and tells what had it on the way.
async fn tab_to(browser: &Browser, wanted: &str) -> Result<Vec<String>> {
    let mut way = Vec::new();
    for _ in 0..60 {
        browser.keys(&String::from(char::from(Key::Tab))).await?;
        let (at, is_seen) = focus(browser).await?;
        ensure!(is_seen, "the focus on {at} can't be seen");
        let is_there = at.split(' ').any(|word| word == wanted);
        way.push(at);
        if is_there {
            return Ok(way);
        }
    }
    anyhow::bail!("{wanted} is never reached: {way:?}")
}

#[tokio::test]
async fn keys_alone_lead_from_a_link_to_a_file_in_the_order_in_which_things_stand() -> Result<()> {
    let home = Home::open(&[]).await?;
    let url = home.talk("/talk.html", "A talk");
    Visit::to(&home.url)
        .goes(async |browser| {
            browser.go(&home.url).await?;
            browser.until("the list has come", "!document.querySelector('#jobs').ariaBusy").await?;
            let way = tab_to(browser, "urls").await?;
            assert!(way[0].starts_with("skip"), "first of all past all this: {way:?}");
            browser.keys(&url).await?;
            browser.keys(&String::from(char::from(Key::Enter))).await?;
            browser.find(COMPLETED).await?;
            assert_eq!(focus(browser).await?.0, "urls", "where the next link goes");
            let way = tab_to(browser, "save").await?;
            let stations = ["format", "quality", "submit", "search", "filter-status", "filter-tag", "sort"];
            let stops: Vec<_> = way.iter().filter(|at| stations.contains(&at.as_str())).collect();
            assert_eq!(stops, stations, "{way:?}");
            browser.keys(&String::from(char::from(Key::Enter))).await?;
            let (name, _) = browser.downloaded().await?;
            assert!(name.starts_with("A talk") && name.ends_with(".mp4"), "{name}");
            Ok(())
        })
        .await
}

#[tokio::test]
async fn a_link_that_is_dropped_anywhere_or_shared_is_in_the_form() -> Result<()> {
    let home = Home::open(&[]).await?;
    let (dropped, shared) = (home.talk("/dropped.html", "Dropped"), home.talk("/shared.html", "Shared"));
    let titled = async |browser: &Browser, title: &str| {
        let is_so = format!("document.querySelector('#preview-title').innerText.startsWith({})", json!(title));
        browser.until("it is looked at", &is_so).await
    };
    Visit::to(&home.url)
        .goes(async |browser| {
            browser.go(&home.url).await?;
            let data = json!({ "items": [{ "mimeType": "text/uri-list", "data": dropped }], "dragOperationsMask": 1 });
            for kind in ["dragEnter", "dragOver", "drop"] {
                let event = json!({ "type": kind, "x": 30, "y": 300, "data": data });
                browser.tool("Input.dispatchDragEvent", event).await?;
            }
            titled(browser, "Dropped").await?;
            assert_eq!(browser.text("#urls").await?, dropped);

            let manifest = "const [done] = arguments; const { href } = document.querySelector('link[rel=manifest]'); \
                fetch(href).then((answer) => answer.json()).then(({ share_target }) => done([ \
                    new URL(share_target.action, href).href, share_target.method ?? 'GET', share_target.params]))";
            let target = browser.client().execute_async(manifest, Vec::new()).await?;
            let named = json!({ "title": "title", "text": "text", "url": "url" });
            assert_eq!(target, json!([format!("{}/", home.url), "GET", named]));
            // phones put the address into the text as often as where it belongs
            let query = url::form_urlencoded::Serializer::new(String::new())
                .append_pair("title", "Have a look")
                .append_pair("text", &format!("Have a look: {shared}"))
                .finish();
            browser.go(&format!("{}/?{query}", home.url)).await?;
            titled(browser, "Shared").await?;
            assert_eq!(browser.text("#urls").await?, shared);
            assert_eq!(browser.client().current_url().await?.query(), None, "it does not come back with a reload");
            Ok(())
        })
        .await
}

#[tokio::test]
async fn the_bookmarklet_brings_the_link_of_any_page_into_the_form() -> Result<()> {
    let home = Home::open(&[]).await?;
    let page = "<!doctype html><link rel=icon href='data:,'><title>A talk</title><video src=/progressive.mp4></video>";
    home.house.origin.put("/talk.html", page);
    let url = home.house.origin.url("/talk.html?part=1&of=2#now");
    let visit = Visit { elsewhere: &[home.house.origin.url("/")], ..Visit::to(&home.url) };
    visit
        .goes(async |browser| {
            browser.go(&home.url).await?;
            browser.press("link", "Haul this").await?;
            let bookmark = browser.find("#bookmarklet").await?.attr("href").await?.context("an address")?;

            browser.go(&url).await?;
            // what a browser does with a bookmark that is clicked: its address runs in the page that is open
            let put = "const link = Object.assign(document.createElement('a'), { href: arguments[0], textContent: 'Haul this' }); \
                document.body.prepend(link)";
            browser.run(put, &[json!(bookmark)]).await?;
            browser.press("link", "Haul this").await?;
            let windows = async || browser.client().windows().await.is_ok_and(|windows| windows.len() == 2);
            until("another window is open", windows).await?;
            let (here, all) = (browser.client().window().await?, browser.client().windows().await?);
            let there = all.into_iter().find(|window| *window != here).context("another window")?;
            browser.client().switch_to_window(there).await?;
            browser
                .until("it is looked at", "document.querySelector('#preview-title')?.innerText.startsWith('A talk')")
                .await?;
            assert_eq!(browser.text("#urls").await?, url);
            assert_eq!(browser.client().current_url().await?.as_str(), format!("{}/", home.url));
            Ok(())
        })
        .await
}

#[tokio::test]
async fn without_scripts_a_form_and_a_page_for_each_download_lead_to_the_file() -> Result<()> {
    let home = Home::open(&[]).await?;
    let (url, slow) = (home.talk("/talk.html", "A talk"), home.house.origin.spoilt(SLOW, "/progressive.mp4"));
    let visit = Visit { scripts: Scripts::Off, ..Visit::to(&home.url) };
    visit
        .goes(async |browser| {
            browser.go(&home.url).await?;
            browser.named("textbox", "Links").await?.send_keys(&url).await?;
            browser.find("#quality").await?.select_by_value("720p").await?;
            browser.press("button", "Download").await?;
            browser.press("link", "follow it").await?;
            browser.until("the page looks again by itself", "/Save/.test(document.body.innerText)").await?;
            browser.find("a.primary").await?.click().await?;
            let (name, bytes) = browser.downloaded().await?;
            let job = home.house.get(DOWNLOADS).await?.json()["downloads"][0].clone();
            assert_eq!(
                (job["result"]["filename"].as_str(), &job["request"]["quality"]),
                (Some(&*name), &json!("720p"))
            );
            assert_eq!(job["result"]["size_bytes"], bytes.len());

            browser.go(&home.url).await?;
            browser.named("textbox", "Links").await?.send_keys(&slow).await?;
            browser.press("button", "Download").await?;
            browser.press("link", "follow it").await?;
            browser.named("link", "Stop following").await?;
            // until its programs have ended it goes on, and so does who follows it
            browser.press("button", "Cancel").await?;
            browser.named("button", "Retry").await.map(drop)
        })
        .await
}
