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
            is_calm(browser).await
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
