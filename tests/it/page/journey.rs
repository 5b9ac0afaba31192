//! From a link to a file, and what can be done on the way; whether this service hands out the file or another origin.

use haul_tests::site::send;

use super::*;

#[tokio::test]
async fn from_paste_to_saved_file() -> Result<()> {
    is_pasted_and_saved(&Home::open(&[]).await?).await
}

#[tokio::test]
async fn from_paste_to_saved_file_that_is_in_a_bucket() -> Result<()> {
    is_pasted_and_saved(&Home::over(Store::S3, &[]).await?).await
}

async fn is_pasted_and_saved(home: &Home) -> Result<()> {
    let url = home.talk("/talk.html", "A talk");
    let visit = Visit { elsewhere: &home.results_elsewhere(), ..Visit::to(&home.url) };
    visit
        .goes(async |browser| {
            browser.go(&home.url).await?;
            paste(browser, "#urls", &url).await?;
            browser
                .until(
                    "it is told what it is",
                    "document.querySelector('#preview-title').innerText.startsWith('A talk')",
                )
                .await?;
            browser.until("it is shown", "document.querySelector('#preview-picture').naturalWidth === 640").await?;
            browser.press("button", "Download").await?;
            browser.find(COMPLETED).await?;
            let row = browser.text(COMPLETED).await?;
            assert!(row.contains("A talk") && row.contains("0:08"), "{row}");
            browser.until("it has a picture", "document.querySelector('#jobs img').naturalWidth > 0").await?;
            browser
                .until("storage is told", "/\\d.*B stored/.test(document.querySelector('#usage').innerText)")
                .await?;
            browser.press("link", "Save").await?;

            let (name, bytes) = browser.downloaded().await?;
            let jobs = home.house.get(DOWNLOADS).await?.json();
            let job = &jobs["downloads"][0];
            assert_eq!(job["result"]["filename"], json!(name));
            let id = job["id"].as_str().context("an id")?;
            let content = home.house.get(&format!("{DOWNLOADS}/{id}/content")).await?;
            assert!(content.status == 200 && content.body == bytes, "{} bytes", bytes.len());
            is_calm(browser).await
        })
        .await
}

#[tokio::test]
async fn many_links_at_once_are_as_many_downloads() -> Result<()> {
    let home = Home::open(&[]).await?;
    let urls = ["/one.html", "/two.html", "/three.html"].map(|path| home.talk(path, path));
    let text = format!("look at this: {}, and\n{}\n<{}>", urls[0], urls[1], urls[2]);
    Visit::to(&home.url)
        .goes(async |browser| {
            browser.go(&home.url).await?;
            paste(browser, "#urls", &text).await?;
            browser.press("button", "Download 3").await?;
            let all = format!("document.querySelectorAll({}).length === 3", json!(COMPLETED));
            browser.until("all are completed", &all).await?;
            assert_eq!(browser.text("#urls").await?, "", "there is room for the next");
            is_calm(browser).await
        })
        .await
}

#[tokio::test]
async fn the_qualities_to_choose_from_are_those_of_the_medium_and_the_one_that_is_chosen_comes() -> Result<()> {
    let home = Home::open(&[]).await?;
    Visit::to(&home.url)
        .goes(async |browser| {
            browser.go(&home.url).await?;
            paste(browser, "#urls", &home.house.origin.url("/hls-ts/master.m3u8")).await?;
            let offered = "[...document.querySelectorAll('#quality option')].map((one) => one.value).join()";
            browser.until("they are known", &format!("{offered} === 'best,720p,360p,240p'")).await?;
            browser.find("#quality").await?.select_by_value("360p").await?;
            browser.press("button", "Download").await?;
            browser.find(COMPLETED).await?;
            let result = home.house.get(DOWNLOADS).await?.json()["downloads"][0]["result"].clone();
            assert_eq!((&result["asked"], &result["got"]), (&json!("360p"), &json!("360p")));
            Ok(())
        })
        .await
}

#[tokio::test]
async fn progress_is_shown_as_it_comes_and_never_falls() -> Result<()> {
    let home = Home::open(&[]).await?;
    let url = home.house.origin.spoilt(Fault::Throttle(60_000), "/progressive.mp4");
    // every number and every word, as they are drawn
    let notes = "window.percents = []; window.words = new Set(); \
        new MutationObserver(() => document.querySelectorAll('#jobs li').forEach((row) => { \
            percents.push(Number(row.querySelector('[role=progressbar]').getAttribute('aria-valuenow'))); \
            words.add(row.querySelector('.state').innerText); \
        })).observe(document.querySelector('#jobs'), { subtree: true, childList: true, attributes: true, characterData: true })";
    Visit::to(&home.url)
        .goes(async |browser| {
            browser.go(&home.url).await?;
            browser.run(notes, &[]).await?;
            paste(browser, "#urls", &url).await?;
            browser.press("button", "Download").await?;
            browser.find(COMPLETED).await?;
            let percents: Vec<f64> = serde_json::from_value(browser.run("return percents", &[]).await?)?;
            assert!(percents.is_sorted(), "{percents:?}");
            let mut moved = percents;
            moved.dedup();
            assert!(moved.len() >= 4, "{moved:?}");
            let words: Vec<String> = serde_json::from_value(browser.run("return [...words]", &[]).await?)?;
            assert!(words.iter().any(|said| said.contains("/s") && said.contains("left")), "speed and time: {words:?}");
            is_calm(browser).await
        })
        .await
}

#[tokio::test]
async fn a_download_is_cancelled_tried_again_and_deleted_unless_that_is_taken_back() -> Result<()> {
    let home = Home::open(&[]).await?;
    let job = home.house.order(&request(&home.house.origin.spoilt(SLOW, "/progressive.mp4"), json!({}))).await?;
    let status = async |wanted: &str| home.house.until(&job, |view| view["status"] == wanted).await;
    Visit::to(&home.url)
        .goes(async |browser| {
            browser.go(&home.url).await?;
            for _ in 0..2 {
                browser.press("button", "Cancel").await?;
                browser.find("#jobs li[data-status=cancelled]").await?;
                home.house.end(&job).await?;
                browser.press("button", "Retry").await?;
                browser.find("#jobs li[data-status=running]").await?;
                status("running").await?;
            }
            browser.press("button", "Cancel").await?;
            browser.press("button", "Delete").await?;
            browser.press("button", "Undo").await?;
            browser.find("#jobs li[data-status=cancelled]").await?;
            assert_eq!(home.house.get(&job).await?.status, 200, "nothing was deleted");
            browser.press("button", "Delete").await?;
            browser.find("#empty").await.map(drop)?;
            until("it is deleted", async || home.house.get(&job).await.is_ok_and(|view| view.status == 404)).await?;
            assert_eq!(browser.count("#jobs li").await?, 0);
            is_calm(browser).await
        })
        .await
}

#[tokio::test]
async fn a_result_plays_in_its_place_from_anywhere_and_its_link_is_copied() -> Result<()> {
    plays_and_is_copied(&Home::open(&[]).await?).await
}

#[tokio::test]
async fn a_result_in_a_bucket_plays_in_its_place_from_anywhere_and_its_link_is_copied() -> Result<()> {
    plays_and_is_copied(&Home::over(Store::S3, &[]).await?).await
}

async fn plays_and_is_copied(home: &Home) -> Result<()> {
    home.completed(&home.talk("/talk.html", "A talk"), json!({})).await?;
    let visit = Visit { elsewhere: &home.results_elsewhere(), ..Visit::to(&home.url) };
    visit
        .goes(async |browser| {
            browser.go(&home.url).await?;
            browser.press("button", "Play").await?;
            let video = "document.querySelector('#jobs video')";
            browser.until("it plays", &format!("{video}?.currentTime > 0.5 && {video}.readyState >= 2")).await?;
            browser.run(&format!("{video}.currentTime = 6"), &[]).await?;
            let sought = format!("{video}.currentTime > 6.2 && !{video}.seeking && {video}.videoWidth === 640");
            browser.until("it plays from there", &sought).await?;
            browser.press("button", "Play").await?;
            browser.until("it is closed", &format!("!{video}")).await?;

            let granted =
                json!({ "origin": home.url, "permissions": ["clipboardReadWrite", "clipboardSanitizedWrite"] });
            browser.tool("Browser.grantPermissions", granted).await?;
            browser.press("button", "Copy link").await?;
            browser.until("it says so", "/copied/i.test(document.querySelector('#jobs .said').innerText)").await?;
            let script =
                "const [done] = arguments; navigator.clipboard.readText().then(done, (error) => done(String(error)))";
            let copied = browser.client().execute_async(script, Vec::new()).await?;
            let copied = copied.as_str().context("a text")?;
            let origin = home.results_elsewhere().into_iter().next().unwrap_or_else(|| format!("{}/", home.url));
            ensure!(copied.starts_with(&origin), "{copied}");
            let file = send(reqwest::Client::builder().timeout(PATIENCE).build()?.get(copied)).await?;
            assert_eq!((file.status.as_u16(), file.header("content-type")), (200, "video/mp4"));
            Ok(())
        })
        .await
}
