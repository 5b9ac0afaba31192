//! Who may use a dialect: with a key in any way that a client can present one, and from which pages.

use anyhow::Result;
use haul_tests::keys::{Keys, key};
use haul_tests::site::Site;
use reqwest::Method;
use rustix::process::Signal;

use super::{METUBE, basic, get_at, is_refusal, sent};

#[tokio::test]
async fn a_key_is_presented_in_a_header_of_any_scheme_or_in_the_address() -> Result<()> {
    let keys = Keys::of(&[("a", "")])?;
    let logs = tempfile::tempdir()?;
    let site = keys.site(&[METUBE]).await?;
    let ask = async |path: &str, authorization: Option<String>| {
        let lines = format!("GET {path} HTTP/1.1\nHost: h");
        sent(&site, &authorization.map_or(lines.clone(), |it| format!("{lines}\nAuthorization: {it}"))).await
    };
    let good = key("a");
    let in_path = format!("/metube/key/{}", good.replace(' ', "%20"));
    let plain = "/metube/presets";
    for (path, authorization) in [
        (plain.to_owned(), Some(format!("Bearer {good}"))),
        (plain.to_owned(), Some(format!("Api-Key {good}"))),
        (plain.to_owned(), Some(basic("anybody", &good))),
        (plain.to_owned(), Some(basic("", &good))),
        (format!("{in_path}/presets"), None),
        (format!("{in_path}//presets"), None),
        // a proxy on the way may want a header for itself
        (format!("{in_path}/presets"), Some(basic("proxy", "its password"))),
    ] {
        let told = ask(&path, authorization.clone()).await?;
        assert_eq!(told.status, 200, "{path} {authorization:?}");
    }
    for (path, authorization) in [
        (plain.to_owned(), None),
        (plain.to_owned(), Some("Bearer other".to_owned())),
        (plain.to_owned(), Some(basic(&good, ""))),
        (plain.to_owned(), Some(basic(&good, "other"))),
        ("/metube/key/other/presets".to_owned(), Some(format!("Bearer {good}"))),
        (format!("{plain}?key={}", good.replace(' ', "+")), None),
    ] {
        let told = ask(&path, authorization.clone()).await?;
        assert_eq!(told.status, 401, "{path} {authorization:?}");
        assert!(is_refusal(&told) && told.header("www-authenticate").starts_with("Basic realm="), "{path}");
    }
    // the API itself has one way
    for authorization in [format!("Api-Key {good}"), basic("anybody", &good)] {
        let told = ask("/api/v1/downloads", Some(authorization)).await?;
        assert_eq!((told.told().as_str(), told.header("www-authenticate")), ("401 unauthorized", "Bearer"));
    }
    assert_eq!(
        get_at(&site, "h", &format!("/key/{}/presets", good.replace(' ', "%20"))).await?.told(),
        "404 not_found"
    );

    let metrics = String::from_utf8(site.get("/metrics").await?.body)?;
    assert!(metrics.contains("metube:/presets") && !metrics.contains("key of"), "{metrics}");
    let mut api = site
        .another_api(&[
            METUBE,
            ("HAUL_API_KEYS_FILE", &keys.path().display().to_string()),
            ("HAUL_LOG", "debug"),
            ("HAUL_LOG_DIR", &logs.path().display().to_string()),
        ])
        .await?;
    let asked = site.request_to(Method::GET, &format!("http://{}{in_path}/presets", api.address())).send().await?;
    assert_eq!(asked.status(), 200);
    // one that ends has written all that it had to say
    api.signal(Signal::TERM)?;
    api.ended().await?;
    let mut log = String::new();
    for file in std::fs::read_dir(logs.path())? {
        log += &std::fs::read_to_string(file?.path())?;
    }
    assert!(log.contains("metube:/presets") && !log.contains("key%20of") && !log.contains("key of a"), "{log}");
    Ok(())
}

#[tokio::test]
async fn pages_of_named_origins_may_call_and_no_other_page_can_make_a_browser_do_so() -> Result<()> {
    let named = "https://www.video.example";
    let site = Site::with(&[METUBE, ("HAUL_CORS_ORIGINS", named)]).await?;
    let preflight = async |origin: &str| {
        let head = "OPTIONS /metube/cancel-add HTTP/1.1\nHost: h\nAccess-Control-Request-Method: POST";
        sent(
            &site,
            &format!("{head}\nAccess-Control-Request-Headers: content-type,cf-access-client-id\nOrigin: {origin}"),
        )
        .await
    };
    let told = preflight(named).await?;
    assert_eq!(told.status, 200);
    assert_eq!(told.header("access-control-allow-origin"), named);
    assert_eq!(told.header("access-control-allow-credentials"), "true");
    assert_eq!(told.header("access-control-allow-headers"), "content-type,cf-access-client-id");
    assert!(told.header("access-control-allow-methods").contains("POST"));
    assert_eq!(preflight("https://evil.example").await?.header("access-control-allow-origin"), "");

    // what a browser sends unasked, because it is no JSON
    let post = async |origin: &str, kind: &str| {
        let head = format!("POST /metube/cancel-add HTTP/1.1\nHost: h\nOrigin: {origin}\nContent-Type: {kind}");
        sent(&site, &format!("{head}\n\n{{}}")).await
    };
    let told = post(named, "text/plain;charset=UTF-8").await?;
    assert_eq!((told.status.as_u16(), told.header("access-control-allow-origin")), (200, named));
    assert_eq!(post("http://h", "text/plain").await?.status, 200, "our own");
    for origin in ["https://evil.example", "null"] {
        let told = post(origin, "text/plain").await?;
        assert!(told.status == 400 && is_refusal(&told), "{origin}");
        assert_eq!(told.header("access-control-allow-origin"), "", "{origin}");
    }
    assert_eq!(sent(&site, "POST /metube/cancel-add HTTP/1.1\nHost: h\n\n{}").await?.status, 200, "no browser");
    Ok(())
}
