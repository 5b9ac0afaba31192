//! The list of downloads: what is found in it, and that nothing in it is more than text.

use fantoccini::key::Key;

use super::*;

/// The titles of the rows, from the top, without the number that yt-dlp gives to media of a page.
async fn titles(browser: &Browser) -> Result<Vec<String>> {
    let script =
        "return [...document.querySelectorAll('#jobs .title')].map((it) => it.innerText.replace(/ [(]1[)]$/, ''))";
    Ok(serde_json::from_value(browser.run(script, &[]).await?)?)
}

/// Empties the search as a person does, whom the page hears.
async fn erase(browser: &Browser) -> Result<()> {
    let field = browser.find("#search").await?;
    for _ in browser.text("#search").await?.chars() {
        field.send_keys(&String::from(char::from(Key::Backspace))).await?;
    }
    Ok(())
}

async fn shows(browser: &Browser, wanted: &[&str]) -> Result<()> {
    let is_so = async || titles(browser).await.is_ok_and(|titles| titles == wanted);
    if until("it does", is_so).await.is_err() {
        anyhow::bail!("not {wanted:?}, but {:?}", titles(browser).await?);
    }
    Ok(())
}

#[tokio::test]
async fn the_list_is_searched_and_filtered_by_status_and_by_tag() -> Result<()> {
    let home = Home::open(&[]).await?;
    for (path, title, tag) in
        [("/a.html", "Gulls", "birds"), ("/b.html", "Owls", "birds"), ("/c.html", "Bees", "insects")]
    {
        home.completed(&home.talk(path, title), json!({ "tags": [tag] })).await?;
    }
    let url = home.house.origin.url("/gone.mp4");
    let failed = home.house.order(&request(&url, json!({}))).await?;
    assert_eq!(home.house.outcome(&failed).await?, "unavailable");
    // of which no title is known
    let gone = url.trim_start_matches("http://");
    Visit::to(&home.url)
        .goes(async |browser| {
            browser.go(&home.url).await?;
            shows(browser, &[gone, "Bees", "Owls", "Gulls"]).await?;
            // what moves from here on is what a person has asked for, however late the answer
            is_calm(browser).await?;
            paste(browser, "#search", "owl").await?;
            shows(browser, &["Owls"]).await?;
            erase(browser).await?;
            browser.find("#filter-tag").await?.select_by_value("birds").await?;
            shows(browser, &["Owls", "Gulls"]).await?;
            paste(browser, "#search", "bee").await?;
            shows(browser, &[]).await?;
            browser.find("#empty").await?;
            erase(browser).await?;
            browser.find("#filter-tag").await?.select_by_value("").await?;
            browser.find("#filter-status").await?.select_by_value("failed").await?;
            shows(browser, &[gone]).await?;
            let row = browser.text("#jobs li").await?;
            assert!(row.contains("Gone") && row.contains("removed"), "what happened, and what to do: {row}");
            Ok(())
        })
        .await
}

#[tokio::test]
async fn whatever_a_site_calls_its_media_is_text() -> Result<()> {
    let home = Home::open(&[]).await?;
    let title = "<img src=x onerror=\"window.hit = 1\"><b>\u{202e}\"';--{{ 7 * 7 }}</b>";
    let escaped = title.replace('<', "&lt;").replace('>', "&gt;");
    let url = home.talk("/hostile.html", &escaped);
    let more = json!({ "tags": ["<i>tag</i>"], "filename": "<u>name</u>", "external_id": "<s>order</s>" });
    let job = home.completed(&url, more).await?;
    assert!(job["media"]["title"].as_str().is_some_and(|title| title.contains("<img src=x")), "{job}");
    let id = job["id"].as_str().context("an id")?;
    let is_text = async |browser: &Browser| {
        browser.until("it is shown as it is", "document.body.innerText.includes('<img src=x onerror=')").await?;
        let found =
            "return [window.hit ?? 0, document.querySelectorAll('img[src=x], main b, main i, main u, main s').length]";
        assert_eq!(browser.run(found, &[]).await?, json!([0, 0]));
        Ok(())
    };
    Visit::to(&home.url)
        .goes(async |browser| {
            browser.go(&home.url).await?;
            browser.find(COMPLETED).await?;
            is_text(browser).await?;
            browser.press("button", "Details").await?;
            paste(browser, "#urls", &url).await?;
            let previewed = "document.querySelector('#preview-title').innerText.includes('<img src=x')";
            browser.until("the preview shows it as it is", previewed).await?;
            browser.press("button", "Delete").await?;
            is_text(browser).await?;
            browser.press("button", "Undo").await?;
            is_text(browser).await
        })
        .await?;
    let visit = Visit { scripts: Scripts::Off, ..Visit::to(&home.url) };
    visit
        .goes(async |browser| {
            browser.go(&format!("{}/downloads/{id}", home.url)).await?;
            is_text(browser).await
        })
        .await
}

#[tokio::test]
async fn what_people_think_of_a_result_is_kept_and_the_list_is_sorted_and_filtered_by_it() -> Result<()> {
    let home = Home::open(&[]).await?;
    let short = home.completed(&home.talk("/a.html", "Gulls"), json!({ "clip": { "start": 0, "end": 3 } })).await?;
    home.completed(&home.talk("/b.html", "Owls"), json!({})).await?;
    home.completed(&home.talk("/c.html", "Bees"), json!({ "format": "mp3" })).await?;
    let id = short["id"].as_str().context("an id")?.to_owned();
    let saved = home.house.get(&format!("{DOWNLOADS}/{id}/content")).await?;
    assert_eq!(saved.status, 200);
    let library = async || anyhow::Ok(home.house.get(&format!("{DOWNLOADS}/{id}")).await?.json()["library"].clone());
    Visit::to(&home.url)
        .goes(async |browser| {
            browser.go(&home.url).await?;
            shows(browser, &["Bees", "Owls", "Gulls"]).await?;
            let row = format!("#job-{id}");
            browser.find(&format!("{row} .expand")).await?.click().await?;
            paste(browser, &format!("{row} .notes"), "over the harbour").await?;
            browser.find(&format!("{row} .rating")).await?.select_by_value("4").await?;
            browser.find(&format!("{row} .favourite")).await?.click().await?;
            let expected = json!({ "notes": "over the harbour", "favourite": true, "rating": 4, "downloads": 1 });
            until("all is kept", async || library().await.is_ok_and(|kept| kept == expected)).await?;

            for (by, order) in [
                ("rating", ["Gulls", "Bees", "Owls"]),
                ("downloads", ["Gulls", "Bees", "Owls"]),
                ("created", ["Bees", "Owls", "Gulls"]),
            ] {
                browser.find("#sort").await?.select_by_value(by).await?;
                shows(browser, &order).await.context(by)?;
            }
            for (by, of) in [("size", "size_bytes"), ("duration", "duration_seconds")] {
                let listed = home.house.get(&format!("{DOWNLOADS}?sort={by}")).await?.json();
                let jobs = listed["downloads"].as_array().context("a list")?;
                let order: Vec<_> = jobs.iter().filter_map(|job| job["media"]["title"].as_str()).collect();
                assert!(jobs.is_sorted_by_key(|job| -job["result"][of].as_f64().unwrap_or_default()), "{listed}");
                let order: Vec<_> = order.iter().map(|title| title.trim_end_matches(" (1)")).collect();
                browser.find("#sort").await?.select_by_value(by).await?;
                shows(browser, &order).await.context(by)?;
            }
            browser.press("button", "Favourites only").await?;
            shows(browser, &["Gulls"]).await?;
            browser.client().refresh().await?;
            paste(browser, "#search", "harbour").await?;
            shows(browser, &["Gulls"]).await?;
            browser.find(&format!("{row} .expand")).await?.click().await?;
            assert_eq!(browser.text(&format!("{row} .notes")).await?, "over the harbour");
            assert_eq!(browser.text(&format!("{row} .rating")).await?, "4");
            browser.find(&format!("{row} .favourite[aria-pressed=true]")).await?.click().await?;
            until("it is one no more", async || library().await.is_ok_and(|kept| kept["favourite"] == false))
                .await
                .map(drop)
        })
        .await
}

#[tokio::test]
async fn a_list_that_is_sorted_among_the_newest_only_says_so() -> Result<()> {
    let home = Home::open(&[]).await?;
    home.completed(&home.talk("/a.html", "Gulls"), json!({})).await?;
    // tickets whose records are gone fill the index
    let fill = "for i = 1, 10001 do
        redis.call('ZADD', KEYS[1], i * 4e8, string.format('%08x-0000-4000-8000-000000000000', i)) end";
    let connection = home.house.redis.connection().await?;
    Visit::to(&home.url)
        .goes(async |browser| {
            browser.go(&home.url).await?;
            shows(browser, &["Gulls"]).await?;
            redis::Script::new(fill).key("haul1:{0}:recent").invoke_async::<()>(&mut connection.clone()).await?;
            assert_eq!(browser.text("#among").await?, "");
            browser.find("#sort").await?.select_by_value("size").await?;
            browser.until("it says so", "/newest 10,000/.test(document.querySelector('#among').innerText)").await?;
            browser.find("#sort").await?.select_by_value("created").await?;
            browser.until("by date it is whole", "document.querySelector('#among').innerText === ''").await
        })
        .await
}
