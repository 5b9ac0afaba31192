//! Who may see what: with keys, and as strangers.

use haul_tests::keys::{Keys, key};

use super::*;

#[tokio::test]
async fn the_key_is_asked_for_once_and_everything_works_with_it() -> Result<()> {
    let keys = Keys::of(&[("studio", "")])?;
    let home = Home::open(&[("HAUL_API_KEYS_FILE", &keys.path().display().to_string())]).await?;
    let url = home.talk("/talk.html", "A talk");
    let visit = Visit { brought_about: &["status of 401"], ..Visit::to(&home.url) };
    visit
        .goes(async |browser| {
            browser.go(&home.url).await?;
            for (entered, expected) in [("not a key", "#key-fault:not(:empty)"), (&*key("studio"), "#jobs")] {
                let field = browser.named("textbox", "Key").await?;
                field.clear().await?;
                field.send_keys(entered).await?;
                browser.press("button", "Use this key").await?;
                browser.find(expected).await?;
            }
            browser.until("it is not asked for any more", "document.querySelector('#key-card').hidden").await?;
            paste(browser, "#urls", &url).await?;
            browser.until("it is shown", "document.querySelector('#preview-picture').naturalWidth === 640").await?;
            browser.press("button", "Download").await?;
            browser.find(COMPLETED).await?;
            browser.until("it has a picture", "document.querySelector('#jobs img').naturalWidth > 0").await?;

            browser.client().refresh().await?;
            browser.find(COMPLETED).await?;
            assert_eq!(browser.count("#key-card").await?, 0, "it is asked for once");
            browser.press("button", "Play").await?;
            browser.until("it plays", "document.querySelector('#jobs video')?.currentTime > 0.2").await?;
            browser.press("link", "Save").await?;
            let (_, bytes) = browser.downloaded().await?;
            assert!(bytes.len() > 10_000, "{}", bytes.len());
            let shown = browser.run("return document.documentElement.outerHTML + location.href", &[]).await?;
            assert!(!shown.as_str().context("a text")?.contains(&key("studio")), "it is written nowhere");

            browser.press("button", "Forget key").await?;
            browser.named("textbox", "Key").await?;
            assert_eq!(browser.count("#jobs li:not(.skeleton)").await?, 0);
            Ok(())
        })
        .await
}

#[tokio::test]
async fn a_stranger_has_the_list_of_what_this_browser_ordered_and_of_nothing_else() -> Result<()> {
    let home = Home::open(&[("HAUL_MODE", "public"), ("HAUL_ADMIN_LISTEN", "127.0.0.1:0")]).await?;
    let url = home.talk("/talk.html", "A talk");
    Visit::to(&home.url)
        .goes(async |browser| {
            browser.go(&home.url).await?;
            paste(browser, "#urls", &url).await?;
            browser.press("button", "Download").await?;
            browser.find(COMPLETED).await?;
            browser.client().refresh().await?;
            browser.find(COMPLETED).await.map(drop)
        })
        .await?;
    Visit::to(&home.url)
        .goes(async |browser| {
            browser.go(&home.url).await?;
            browser.find("#empty").await?;
            assert_eq!(browser.count("#jobs li").await?, 0);
            Ok(())
        })
        .await
}
