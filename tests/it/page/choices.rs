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
            assert!(said.as_str().is_some_and(|said| said.contains("to be sent: too fast")), "{said}");
            assert_eq!(browser.count("#outbox").await?, 0, "nothing waits any more");
            assert_eq!(home.house.get(DOWNLOADS).await?.json()["downloads"].as_array().map(Vec::len), Some(4));
            Ok(())
        })
        .await
}

/// Which entries of lists were ordered so far, in that order.
async fn entries(home: &Home) -> Result<Vec<u64>> {
    let jobs = home.house.get(DOWNLOADS).await?.json();
    let jobs = jobs["downloads"].as_array().context("a list")?.iter().rev();
    Ok(jobs.filter_map(|job| job["request"]["playlist_index"].as_u64()).collect())
}

#[tokio::test]
async fn of_a_list_one_entry_is_chosen_or_all() -> Result<()> {
    let home = Home::open(&[]).await?;
    let url = home.two();
    let ended = |many: u8| {
        format!(
            "document.querySelectorAll('#jobs li:is([data-status=completed], [data-status=failed])').length === {many}"
        )
    };
    Visit::to(&home.url)
        .goes(async |browser| {
            browser.go(&home.url).await?;
            paste(browser, "#urls", &url).await?;
            browser.find("#entry-1:checked").await?.click().await?;
            browser.find("#entry-2:not(:checked)").await?.click().await?;
            browser.press("button", "Download").await?;
            browser.until("the second comes", &ended(1)).await?;
            assert_eq!(entries(&home).await?, [2]);
            // nothing of it is left for what is pasted next, be it the same
            browser.until("it is forgotten", "document.querySelector('#entries').hidden").await?;
            paste(browser, "#urls", &url).await?;
            browser.find("#entries-all").await?.click().await?;
            browser.press("button", "Download 2").await?;
            browser.until("both come", &ended(3)).await?;
            assert_eq!(entries(&home).await?, [2, 1, 2]);
            assert_eq!(browser.count(COMPLETED).await?, 3);
            is_calm(browser).await
        })
        .await
}

#[tokio::test]
async fn what_is_chosen_in_a_list_goes_with_its_link_and_none_is_not_the_first() -> Result<()> {
    let home = Home::open(&[]).await?;
    let url = home.two();
    Visit::to(&home.url)
        .goes(async |browser| {
            browser.go(&home.url).await?;
            paste(browser, "#urls", &url).await?;
            browser.find("#entries-none").await?.click().await?;
            browser.press("button", "Download").await?;
            browser
                .until("it is said", "/at least one/.test(document.querySelector('#composer-fault').innerText)")
                .await?;
            assert_eq!(browser.text("#urls").await?, url, "it is still to be chosen from");

            // gone and back at once: what is there in between is about to be replaced, and no choice of it would last
            let back = "const field = document.querySelector('#urls'), text = field.value; \
                for (const value of ['', text]) { field.value = value; field.dispatchEvent(new Event('input')); } \
                return document.querySelector('#entries').hidden";
            assert_eq!(browser.run(back, &[]).await?, true);
            browser.find("#entry-1:checked").await?.click().await?;
            browser.find("#entry-2").await?.click().await?;
            browser.press("button", "Download").await?;
            until("the second is ordered", async || entries(&home).await.is_ok_and(|entries| entries == [2]))
                .await
                .map(drop)
        })
        .await
}
