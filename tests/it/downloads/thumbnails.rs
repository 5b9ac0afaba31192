//! Thumbnails, which are made once their downloads are completed.

use std::time::Duration;

use rustix::process::Signal;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::*;

/// A page whose picture is held back until the test lets it go.
struct Held {
    page: String,
    listener: TcpListener,
    picture: Vec<u8>,
}

impl Held {
    async fn at(house: &House, path: &str) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let poster = format!("http://{}/poster.png", listener.local_addr()?);
        let html =
            format!("<!doctype html><title>Held</title><video src=\"/progressive.mp4\" poster=\"{poster}\"></video>");
        house.origin.put(path, html);
        let client = reqwest::Client::builder().timeout(Duration::from_secs(10)).build()?;
        let picture = client.get(house.origin.url("/poster.png")).send().await?.bytes().await?.to_vec();
        Ok(Self { page: house.origin.url(path), listener, picture })
    }

    /// Orders the medium, and waits until it is completed while its picture is asked for in vain.
    async fn completed(&self, house: &House) -> Result<(String, TcpStream)> {
        let job = house.order(&request(&self.page, json!({}))).await?;
        let (asked, _) = self.listener.accept().await?;
        ensure!(house.outcome(&job).await? == "completed", "{}", house.get(&job).await?.json());
        Ok((job, asked))
    }

    async fn let_go(&self, mut asked: TcpStream) -> Result<()> {
        let mut question = [0; 4096];
        ensure!(asked.read(&mut question).await? > 0, "nothing was asked");
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", self.picture.len());
        asked.write_all(head.as_bytes()).await?;
        Ok(asked.write_all(&self.picture).await?)
    }
}

#[tokio::test]
async fn a_download_is_complete_and_linked_before_its_thumbnail_for_which_who_asks_waits() -> Result<()> {
    let house = House::open(Store::S3, &[]).await?;
    let mut worker = house.worker(&[("HAUL_SHUTDOWN_GRACE", "0s")]).await?;
    let held = Held::at(&house, "/held.html").await?;
    let (job, asked) = held.completed(&house).await?;
    house.fetch(&job).await?;
    let follower = house.order(&request(&held.page, json!({}))).await?;
    let view = house.get(&follower).await?.json();
    assert_eq!(view["status"], "completed", "{view}");
    assert!(view["links"]["thumbnail"].is_string(), "{view}");
    let (first, second) = (format!("{job}/thumbnail"), format!("{follower}/thumbnail"));
    let (first, second, gone) = tokio::join!(house.get(&first), house.get(&second), held.let_go(asked));
    gone?;
    for answer in [first?, second?] {
        assert_eq!((answer.status.as_u16(), answer.header("content-type")), (200, "image/jpeg"), "{}", answer.told());
        assert!(answer.body.starts_with(b"\xff\xd8\xff"));
    }

    // who deletes the download while its thumbnail is being made leaves none
    let held = Held::at(&house, "/deleted.html").await?;
    let (deleted, asked) = held.completed(&house).await?;
    assert_eq!(house.ask(Method::DELETE, &deleted, &Value::Null).await?.status, 204);
    held.let_go(asked).await?;
    let settled = async || house.metric(&worker, "haul_thumbnails_total").await.is_ok_and(|all| all >= 2.0);
    processes::until("both thumbnails have met their fates", settled).await?;
    assert_eq!(house.stored_beside(), 1);
    for job in [&job, &follower] {
        assert_eq!(house.ask(Method::DELETE, job, &Value::Null).await?.status, 204);
    }
    processes::until("everything is removed", async || house.stored() + house.stored_beside() == 0).await?;

    // a worker that stops says that there will be none
    let held = Held::at(&house, "/stopped.html").await?;
    let (job, _asked) = held.completed(&house).await?;
    worker.signal(Signal::TERM)?;
    assert!(worker.ended().await?.success());
    assert_eq!(house.get(&format!("{job}/thumbnail")).await?.told(), "404 not_found");
    let view = house.get(&job).await?.json();
    assert!(view["links"]["thumbnail"].is_null() && view["links"]["link"].is_string(), "{view}");
    assert_eq!(house.scratch_files(), 0);
    Ok(())
}
