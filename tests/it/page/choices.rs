//! What is chosen besides a link: a part of it, subtitles, entries of a list; and many links at once where few are taken.

use super::*;

/// The newest job, as the API has it.
async fn newest(home: &Home) -> Result<Value> {
    Ok(home.house.get(DOWNLOADS).await?.json()["downloads"][0].clone())
}

#[tokio::test]
async fn a_part_is_cut_out_and_a_time_that_is_none_is_told_beside_its_field() -> Result<()> {
    let home = Home::open(&[]).await?;
    let url = home.talk("/talk.html", "A talk");
    Visit::to(&home.url)
        .goes(async |browser| {
            browser.go(&home.url).await?;
            paste(browser, "#urls", &url).await?;
            browser.find("#more summary").await?.click().await?;
            paste(browser, "#clip-start", "0:02").await?;
            paste(browser, "#clip-end", "1").await?;
            browser.press("button", "Download").await?;
            browser.find("#clip-fault:not(:empty)").await?;
            paste(browser, "#clip-end", "0").await?;
            browser.run("document.querySelector('#clip-end').value = '0:05'", &[]).await?;
            browser.press("button", "Download").await?;
            browser.find(COMPLETED).await?;
            let job = newest(&home).await?;
            assert_eq!((&job["request"]["clip"]["start"], &job["request"]["clip"]["end"]), (&json!(2.0), &json!(5.0)));
            assert!(job["result"]["duration_seconds"].as_f64().is_some_and(|length| length < 6.0), "{job}");
            assert_eq!(browser.text("#clip-start").await?, "", "it belongs to this medium only");
            Ok(())
        })
        .await
}

#[tokio::test]
async fn subtitles_are_chosen_from_those_there_are_and_saved_beside_the_file() -> Result<()> {
    let home = Home::open(&[]).await?;
    let text = "WEBVTT\n\n00:00:00.500 --> 00:00:02.500\nThe beginning\n";
    home.house.origin.put("/en.vtt", text);
    let page = "<!doctype html><title>A talk</title><video src=/progressive.mp4>\
        <track kind=subtitles srclang=en src=/en.vtt></video>";
    home.house.origin.put("/talk.html", page);
    Visit::to(&home.url)
        .goes(async |browser| {
            browser.go(&home.url).await?;
            paste(browser, "#urls", &home.house.origin.url("/talk.html")).await?;
            browser.find("#more summary").await?.click().await?;
            browser.find("#language-choices button").await?.click().await?;
            assert_eq!(browser.text("#languages").await?, "en");
            paste(browser, "#languages", ", xx").await?;
            browser.find("#subtitle-mode").await?.select_by_value("sidecar").await?;
            browser.press("button", "Download").await?;
            browser.find(COMPLETED).await?;
            browser.press("button", "Details").await?;
            let details = browser.text("#jobs .details").await?;
            assert!(details.contains("en beside the file, xx: none"), "{details}");
            browser.press("button", "Save subtitles: en").await?;
            let (name, bytes) = browser.downloaded().await?;
            assert!(name.starts_with("A talk") && name.ends_with(".en.vtt"), "{name}");
            assert_eq!(String::from_utf8(bytes)?.lines().last(), Some("The beginning"));
            Ok(())
        })
        .await
}

#[tokio::test]
async fn links_that_are_too_many_at_once_wait_and_are_sent_one_after_another() -> Result<()> {
    let home = Home::open(&[("HAUL_RATE_DOWNLOADS", "1/s")]).await?;
    let urls: Vec<_> = (0..4).map(|at| home.house.origin.url(&format!("/progressive.mp4?{at}"))).collect();
    let visit = Visit { brought_about: &["status of 429"], ..Visit::to(&home.url) };
    visit
        .goes(async |browser| {
            browser.go(&home.url).await?;
            let notes = "window.said = []; new MutationObserver(() => said.push(document.querySelector('#outbox').innerText)) \
                .observe(document.querySelector('#outbox'), { subtree: true, childList: true, attributes: true })";
            browser.run(notes, &[]).await?;
            paste(browser, "#urls", &urls.join("\n")).await?;
            browser.press("button", "Download 4").await?;
            let all = format!("document.querySelectorAll({}).length === 4", json!(COMPLETED));
            browser.until("all are completed", &all).await?;
            let said = browser.run("return said.join('\\n')", &[]).await?;
            assert!(said.as_str().is_some_and(|said| said.contains("to be sent: not so many at once")), "{said}");
            assert_eq!(browser.count("#outbox").await?, 0, "nothing waits any more");
            assert_eq!(home.house.get(DOWNLOADS).await?.json()["downloads"].as_array().map(Vec::len), Some(4));
            Ok(())
        })
        .await
}
