//! Whether whoever watches a page sees its faults.

use haul_tests::browser::Scheme;
use haul_tests::origin::Origin;

use super::*;

#[tokio::test]
async fn what_is_wrong_with_a_page_is_seen() -> Result<()> {
    let (origin, elsewhere) = (Origin::start().await, Origin::start_at("127.0.0.2").await);
    let home = origin.url("");
    let page = format!(
        "<!doctype html><html lang=en><title>Faults</title><body style='color:#bbb;background:#fff'>\
         <div id=late></div><p>Pale<input><img src='{}' alt=''><script>\
         console.error('I am an error'); fetch('/nothing.mp4');\
         requestAnimationFrame(() => setTimeout(() => late.style.height = '200px'))</script>",
        elsewhere.url("/poster.png")
    );
    origin.put("/faults.html", page);
    let browser = Browser::start(Scripts::On).await?;
    browser.view((360, 640), Scheme::Light).await?;
    browser.go(&origin.url("/faults.html")).await?;
    browser.until("it has jumped", "late.offsetHeight === 200").await?;

    let found = browser.found_by_axe().await?;
    for rule in ["color-contrast: ", "label: "] {
        assert!(found.iter().any(|line| line.starts_with(rule)), "{rule} {found:#?}");
    }
    assert!(browser.shifts().await?.0 > 0.05, "{:?}", browser.shifts().await?);
    let weight = browser.weight().await?;
    assert!(weight.iter().any(|(path, bytes)| path == "/faults.html" && *bytes > 300), "{weight:?}");
    let faults = Visit::to(&home).faults(&browser).await?;
    // no policy of the browser's keeps it from there: that nothing answers is what it is told
    for fault in ["I am an error", "status of 404", &format!("asked {}", elsewhere.url("/poster.png"))] {
        assert!(faults.iter().any(|line| line.contains(fault)), "{fault} {faults:#?}");
    }
    assert_eq!(elsewhere.all_hits(), 0, "a browser of tests reaches one address");
    browser.close().await
}

#[tokio::test]
async fn a_page_without_faults_has_none_and_without_scripts_none_runs() -> Result<()> {
    let origin = Origin::start().await;
    let home = origin.url("");
    let page = "<!doctype html><html lang=en><link rel=icon href='data:,'><title>Plain</title><main><h1 id=a>before</h1></main>\
                <script>a.textContent = 'after'</script>";
    origin.put("/plain.html", page);
    for (scripts, text) in [(Scripts::On, "after"), (Scripts::Off, "before")] {
        let visit = Visit { scripts, ..Visit::to(&home) };
        visit
            .goes(async |browser| {
                browser.view((1440, 900), Scheme::Dark).await?;
                browser.go(&origin.url("/plain.html")).await?;
                assert_eq!(browser.text("h1").await?, text);
                assert_eq!(browser.run("return [innerWidth, innerHeight]", &[]).await?, json!([1440, 900]));
                if scripts == Scripts::On {
                    assert_eq!(browser.found_by_axe().await?, [""; 0]);
                }
                assert!(browser.shifts().await?.0.abs() < f64::EPSILON);
                Ok(())
            })
            .await?;
    }
    Ok(())
}

#[tokio::test]
async fn the_page_to_try_the_api_has_no_fault() -> Result<()> {
    let house = House::open(Store::Disk, &[]).await?;
    let home = format!("http://{}", house.api.address());
    Visit::to(&home)
        .goes(async |browser| {
            browser.go(&format!("{home}/docs")).await?;
            browser.find("#operations-downloads-submit").await.map(drop)
        })
        .await
}
